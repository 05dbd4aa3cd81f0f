"""Excel and OpenDocument workbooks to batches: the sheet, its header row, the rows below it.

Belongs here: which sheet is read, where its table begins and ends, rows that do not fit. Does not belong here: what a
file may grow to (`workbook_process.py`), a cell as text (`workbook_cells.py`), rules of column names (`columns.py`).
"""

import json
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.ingest.batch import Batch, FileRefused, Reject
from atlas_pipeline.ingest.limits import Meter
from atlas_pipeline.ingest.readers import workbook_cells, workbook_xml
from atlas_pipeline.ingest.readers.columns import check_names
from atlas_pipeline.ingest.readers.compression import Compression
from atlas_pipeline.ingest.readers.lines import lines_array
from atlas_pipeline.ingest.readers.options import ReadOptions
from atlas_pipeline.ingest.readers.text import RAW_KEPT_BYTES
from atlas_pipeline.ingest.readers.workbook_process import Workbook, opened
from atlas_pipeline.ingest.types import ColumnType

_BATCH_LETTERS = 8_000_000
_CELL_LETTERS = 20
"""What a cell counts for besides its text."""
_Row = list[Any]


def read_workbook(stream: BinaryIO, compression: Compression, options: ReadOptions, meter: Meter) -> Iterator[Batch]:
    """Yield the rows of one sheet, every cell as text, in batches of at most 400,000; `lines` are the sheet's rows.

    A process of its own holds the sheet in memory, in about 100 bytes a cell. Blank rows are left out, as are columns
    without name and value. Raises FileRefused as `readers.read` says.

    Args:
        stream: at the file's beginning.
        compression: of the whole file.
        options: the sheet, and where its table is.
        meter: counts what it turns into.
    """
    with opened(stream, compression, meter) as book:
        yield from _batches(_rows(book, chosen(book, options.sheet)), options)


def chosen(book: Workbook, sheet: str | int | None) -> str:
    """Name of the sheet to read. Raises FileRefused `no_such_sheet`; the names are not told, as they are the file's."""
    names = [name for name, _ in book.sheets]
    if sheet is None:
        visible = [name for name, hidden in book.sheets if not hidden]
        if names:
            return (visible or names)[0]
    elif isinstance(sheet, int) and 1 <= sheet <= len(names):
        return names[sheet - 1]
    elif isinstance(sheet, str) and sheet in names:
        return sheet
    count = f"{len(names):,} sheet{'' if len(names) == 1 else 's'}"
    wanted = f"number {sheet}" if isinstance(sheet, int) else "with the declared name"
    raise FileRefused(
        "no_such_sheet",
        f"The workbook has {count} with cells, none of them {wanted}. Correct `sheet` in the declaration, or the file.",
    )


def _rows(book: Workbook, name: str) -> Iterator[tuple[int, _Row]]:
    """Rows that hold something: the row's number from 0, and the cells from the first column that holds something."""
    book.ask(name)
    shown = workbook_xml.overlay(book.file, name) if book.zipped else {}
    for number, (left, row) in enumerate(book.rows()):
        for at, text in shown.pop(number, ()) if shown else ():
            if left <= at < left + len(row):
                row[at - left] = text
        if row.count("") < len(row):
            yield number, row


def head(book: Workbook, name: str, rows: int) -> tuple[list[tuple[int, list[str]]], bool]:
    """The first rows of a sheet that hold something, as text with their numbers from 1, and whether these are all.

    Args:
        book: the workbook.
        name: of the sheet.
        rows: how many.

    Raises:
        FileRefused: the sheet cannot be read.
    """
    found: list[tuple[int, list[str]]] = []
    for number, row in _rows(book, name):
        if len(found) == rows:
            return found, False
        found.append((number + 1, [workbook_cells.text(cell) or "" for cell in row]))
    return found, True


def _batches(rows: Iterator[tuple[int, _Row]], options: ReadOptions) -> Iterator[Batch]:
    rows = (row for row in rows if row[0] >= options.csv.skip_lines) if options.csv.skip_lines else rows
    rows = _without_footer(rows, options.csv.footer) if options.csv.footer else rows
    table: _Table | None = _Table(list(options.csv.names), None) if options.csv.names else None
    block: list[_Row] = []
    numbers: list[int] = []
    letters, found = 0, False
    header: _Row | None = None
    for number, row in rows:
        if table is None and header is None:
            header = row
            continue
        if table is None and header is not None:
            table = _Table.of_header(header, row)
        assert table is not None
        block.append(row)
        numbers.append(number + 1)
        letters += _CELL_LETTERS * len(row) + sum([len(cell) for cell in row if type(cell) is str])
        if letters >= _BATCH_LETTERS:
            yield table.batch(block, numbers)
            block, numbers, letters, found = [], [], 0, True
    if block and table:
        yield table.batch(block, numbers)
    elif header is None and table is None:
        raise FileRefused("empty", "The sheet is empty. A header row and rows were expected.")
    elif not found:
        raise FileRefused("header_only", "The sheet has a header and no rows. Send it with its rows, or not at all.")


def _without_footer(rows: Iterator[tuple[int, _Row]], footer: int) -> Iterator[tuple[int, _Row]]:
    held: deque[tuple[int, _Row]] = deque()
    for row in rows:
        held.append(row)
        if len(held) > footer:
            yield held.popleft()


class _Table:
    """The named columns of a sheet; turns rows into batches."""

    def __init__(self, names: list[str], at: list[int] | None):
        check_names(names)
        self._names = names
        self._at = list(range(len(names))) if at is None else at
        self._types: dict[str, ColumnType | None] = {}

    @classmethod
    def of_header(cls, header: _Row, first: _Row) -> "_Table":
        """Take the names from the header row above the first row; a column whose header is empty has none."""
        texts = [(workbook_cells.text(cell) or "").strip() for cell in header]
        at = [i for i, text in enumerate(texts) if text]
        filled = sum(cell != "" for cell in first)
        if len(at) * 2 <= filled:
            raise FileRefused(
                "bad_header",
                f"The first row names {len(at):,} columns and the row after it has {filled:,} values: is it a title "
                "above the table? Declare `skip_lines`, the number of rows above the header.",
            )
        return cls([texts[i] for i in at], at)

    def batch(self, rows: list[_Row], numbers: list[int]) -> Batch:
        """The batch of some rows. A row with a value in a column without name is rejected."""
        columns = list(zip(*rows, strict=True))
        rejects: dict[int, Reject] = {}
        for i in set(range(len(columns))) - set(self._at):
            if any(cell != "" for cell in columns[i]):
                for j, cell in enumerate(columns[i]):
                    if cell != "" and j not in rejects:
                        rejects[j] = self._reject(rows[j], numbers[j], "too_many_fields", _UNNAMED.format(i + 1))
        empty = [""] * len(rows)
        cells = [columns[i] if i < len(columns) else empty for i in self._at]
        texts = []
        for name, one in zip(self._names, cells, strict=True):
            array, type = workbook_cells.column(one)
            texts.append(array)
            if array.null_count < len(array):
                self._types[name] = type
            for j in pc.indices_nonzero(pc.fill_null(pc.match_substring(array, "\0"), False)).to_pylist():
                rejects.setdefault(j, self._reject(rows[j], numbers[j], "nul_byte", _NUL))
        table = pa.table(texts, schema=pa.schema([(name, pa.string()) for name in self._names]))
        lines = np.array(numbers, np.int64)
        if rejects:
            kept = np.setdiff1d(np.arange(len(rows)), np.fromiter(rejects, np.int64, len(rejects)))
            table, lines = table.take(pa.array(kept.tolist(), pa.int64())), lines[kept]
        types = {name: type for name, type in self._types.items() if type is not None}
        return Batch(table, lines_array(lines), [rejects[j] for j in sorted(rejects)], types)

    def _reject(self, row: Sequence[Any], number: int, rule: str, reason: str) -> Reject:
        raw = json.dumps([workbook_cells.text(cell) for cell in row], ensure_ascii=False)
        return Reject(number, rule, reason, raw.encode("utf-8", "surrogatepass")[:RAW_KEPT_BYTES])


_UNNAMED = (
    "The row has a value in column {} of the table, which has no name in the header row. Name the column, or empty it."
)
_NUL = "The row holds a NUL character, which no text may. Remove it."
