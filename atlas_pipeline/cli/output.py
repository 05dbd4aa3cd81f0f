"""Output of commands: text and tables for people, JSON for scripts, progress and errors on standard error.

Tables have the width of the terminal, or of `COLUMNS`; in a pipe they have 160 columns.

Belongs here: printing. Does not belong here: what is printed.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from atlas_pipeline.environment import terminal_columns

OUT = Console(soft_wrap=True, width=terminal_columns() or (None if sys.stdout.isatty() else 160))
ERR = Console(stderr=True, soft_wrap=True)

_BETWEEN = 3
_EDGES = 2
"""Characters that a table has between two columns, and at its sides together."""
_LEAST_WRAPPED = 30
"""Characters that a column of text keeps at least while there are optional columns to leave out."""


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document to standard output."""
    sys.stdout.write(json.dumps(document, indent=2, default=str, ensure_ascii=False) + "\n")


def print_table(
    title: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]], optional: Sequence[str] = ()
) -> None:
    """Print a table to standard output, in the width of the terminal.

    A terminal that is too narrow does without the optional columns, then columns of long text are wrapped.

    Args:
        title: The line above the table.
        columns: Headings, and for each its alignment, `left` or `right`.
        rows: One sequence of cells for each row, in the order of the headings. Integers get thousands separators.
        optional: Headings of columns that may be left out, the least important one first.
    """
    headings = list(columns)
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    table = {heading: [row[number] for row in cells] for number, heading in enumerate(headings)}
    widths = {heading: max(map(_width, (heading, *texts))) for heading, texts in table.items()}
    left = [heading for heading in headings if columns[heading] == "left"]
    wrapped = {heading for heading in left if widths[heading] > _LEAST_WRAPPED}
    wrapped.add(max(left, key=lambda heading: widths[heading]))
    least = widths | {heading: min(widths[heading], _LEAST_WRAPPED) for heading in wrapped}
    for heading in optional:
        if sum(least[heading] + _BETWEEN for heading in table) - _BETWEEN + _EDGES > OUT.width:
            del table[heading]
    grid = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in table:
        side: JustifyMethod = "right" if columns[heading] == "right" else "left"
        grid.add_column(heading, justify=side, no_wrap=heading not in wrapped, overflow="fold")
    for row in zip(*table.values(), strict=True):
        grid.add_row(*map(Text, row))
    OUT.print(grid)


def _width(text: str) -> int:
    return max(map(cell_len, text.splitlines() or [""]))


@contextmanager
def progress(message: str) -> Iterator[Callable[[str], None]]:
    """Show progress on standard error: a spinner on a terminal, elsewhere a line for each new message.

    Yields the function that changes the message.
    """
    if ERR.is_terminal:
        with ERR.status(message) as status:
            yield status.update
        return
    ERR.print(message)
    last = message

    def show(text: str) -> None:
        nonlocal last
        if text != last:
            ERR.print(text, markup=False)
            last = text

    yield show


@contextmanager
def failures_as_messages() -> Iterator[None]:
    """Set up logging, and report errors that a user can fix as a message and exit code 1, without a traceback."""
    import typer

    from atlas_pipeline.settings import SettingsError, load_settings
    from atlas_pipeline.telemetry.setup import configure
    from atlas_pipeline.warehouse.connect import WarehouseError
    from atlas_pipeline.warehouse.embedded import ServerError

    try:
        with suppress(SettingsError):
            configure(load_settings())
        yield
    except (SettingsError, WarehouseError, ServerError, FileExistsError, ValueError) as error:
        ERR.print(f"atlas: {error}", markup=False, highlight=False)
        raise typer.Exit(1) from None
