"""The process that reads a workbook: python-calamine under a limit of memory, its rows written to the parent.

Belongs here: what happens in that process, which imports nothing of Atlas. Does not belong here: starting it
(`workbook_process.py`). A damaged or hostile file can end it, as the library lays a sheet out as one rectangle and
takes sizes from the file: two cells in opposite corners are enough.
"""

import pickle
import resource
import sys
from pathlib import Path
from typing import Any

from python_calamine import (
    CalamineError,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
    WorksheetNotFound,
)

_CHUNK_LETTERS = 1_000_000
_CELL_LETTERS = 20
"""What a cell counts for besides its text."""


def main() -> None:
    """Answer with the sheets, then with the rows of the sheet that is asked for."""
    path, memory = sys.argv[1], int(sys.argv[2])
    allowed = resource.getrlimit(resource.RLIMIT_AS)[1]
    memory = memory if allowed == resource.RLIM_INFINITY else min(memory, allowed)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with Path(path).open("rb") as stream:
            book = CalamineWorkbook.from_filelike(stream)
        _say(("sheets", _sheets(book)))
        name = pickle.load(sys.stdin.buffer)  # noqa: S301 — from the parent
        sheet = book.get_sheet_by_name(name)
        _say(("left", sheet.start[1] if sheet.start else 0))
        chunk: list[list[Any]] = []
        letters = 0
        for row in sheet.iter_rows() if sheet.start else ():
            chunk.append(row)
            letters += _CELL_LETTERS * len(row) + sum([len(cell) for cell in row if type(cell) is str])
            if letters >= _CHUNK_LETTERS:
                _say(("rows", chunk))
                chunk, letters = [], 0
        _say(("rows", chunk))
        _say(("end", None))
    except PasswordError:
        _say(("password", None))
    except (CalamineError, WorksheetNotFound):
        _say(("damage", None))


def _sheets(book: CalamineWorkbook) -> list[tuple[str, bool]]:
    return [
        (one.name, one.visible != SheetVisibleEnum.Visible)
        for one in book.sheets_metadata
        if one.typ == SheetTypeEnum.WorkSheet
    ]


def _say(what: tuple[str, Any]) -> None:
    pickle.dump(what, sys.stdout.buffer, protocol=5)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
