"""Cells of a workbook as text: numbers without a decimal point where they are whole, moments in ISO 8601.

Belongs here: a column of cells to a column of text, and the type that all its cells have. Does not belong here: sheets
and rows (`workbook.py`).
"""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.ingest.types import ColumnType

_WHOLE = 2.0**53
_LONG = 1e21
_TYPES: dict[frozenset[type], ColumnType] = {
    frozenset({str}): "text",
    frozenset({bool}): "boolean",
    frozenset({dt.date}): "date",
    frozenset({dt.datetime}): "local_timestamp",
    frozenset({dt.datetime, dt.date}): "local_timestamp",
    frozenset({dt.time}): "time",
    frozenset({dt.timedelta}): "text",
}


def column(cells: Sequence[Any]) -> tuple[pa.Array, ColumnType | None]:
    """The texts of a column's cells, null where a cell is empty, and the type that all of them have, if one.

    Args:
        cells: as python-calamine gives them; an empty string is an empty cell.
    """
    kinds = set(map(type, cells))
    if kinds == {str}:
        texts = pa.array(cells, pa.string())
        texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
        return texts, None if texts.null_count == len(texts) else "text"
    if str in kinds:
        cells = [None if cell == "" else cell for cell in cells]
        kinds = set(map(type, cells)) - {type(None)}
    if kinds <= {int, float}:
        return _numbers(cells)
    shared = _TYPES.get(frozenset(kinds))
    if kinds == {dt.date} or kinds == {bool}:
        return pa.array(cells, pa.date32() if kinds == {dt.date} else pa.bool_()).cast(pa.string()), shared
    return pa.array([text(cell) for cell in cells], pa.string()), shared


def _numbers(cells: Sequence[Any]) -> tuple[pa.Array, ColumnType]:
    numbers = pa.array(cells, pa.float64(), from_pandas=False)
    whole = pc.equal(numbers, pc.floor(numbers))
    small = pc.less(pc.abs(numbers), _WHOLE)
    if pc.all(pc.and_(whole, small), min_count=0).as_py():
        return numbers.cast(pa.int64()).cast(pa.string()), "integer"
    texts = numbers.cast(pa.string())
    odd = pc.fill_null(pc.or_(pc.match_substring(texts, "e"), pc.equal(texts, "-0")), False)
    if odd.true_count:
        plain = [text(cell) for cell in numbers.filter(odd).to_pylist()]
        texts = pc.replace_with_mask(texts, odd, pa.array(plain, pa.string()))
    return texts, "integer" if pc.all(whole, min_count=0).as_py() else "decimal"


def text(cell: Any) -> str | None:
    """One cell as text; None for an empty one."""
    if isinstance(cell, float):
        if cell.is_integer() and abs(cell) < _WHOLE:
            return str(int(cell))
        shortest = repr(cell)
        return format(Decimal(shortest), "f") if "e" in shortest and abs(cell) < _LONG else shortest
    if isinstance(cell, str):
        return cell or None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, dt.datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, dt.date | dt.time):
        return cell.isoformat()
    if isinstance(cell, dt.timedelta):
        return _clock(cell)
    return None if cell is None else str(cell)


def _clock(duration: dt.timedelta) -> str:
    """A duration as hours, minutes and seconds, as sheets show it."""
    seconds, micro = divmod(abs(duration) // dt.timedelta(microseconds=1), 1_000_000)
    sign = "-" if duration < dt.timedelta(0) else ""
    fraction = f".{micro:06d}".rstrip("0") if micro else ""
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}"
