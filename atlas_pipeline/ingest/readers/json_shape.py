"""Nested JSON to flat rows: objects within objects as columns, arrays as rows of a table of their own.

Belongs here: the names of such columns, and which rows an array makes. Does not belong here: JSON itself
(`json_text.py`), lines (`jsonl.py`) and arrays of a whole file (`json_array.py`).
"""

import re
from dataclasses import dataclass
from typing import Any

from atlas_pipeline.ingest.column_names import seems_personal
from atlas_pipeline.ingest.readers.json_text import Number

Row = dict[str, Any]


class NotAnArray(Exception):
    """What is to be exploded is there and no array."""


@dataclass(frozen=True)
class Shape:
    """How an object becomes rows.

    Attributes:
        flatten: fields of objects within it are columns: `city` of `address` is `address_city`. An object whose keys
            seem to be values about people stays one.
        explode: key of an array, each item of which is a row: its fields, as `items_sku`, its position from 1, as
            `items_index`, and the other fields of the object.
    """

    flatten: bool = False
    explode: str | None = None

    def rows(self, row: Row) -> list[Row]:
        """The rows of an object. Raises NotAnArray, and ValueError when two fields would be one column."""
        if self.explode is None:
            return [flattened(row) if self.flatten else row]
        items = row.get(self.explode)
        if items is None:
            return []
        if not isinstance(items, list):
            raise NotAnArray
        others = {key: value for key, value in row.items() if key != self.explode}
        found = []
        for number, item in enumerate(items, 1):
            name = safe(self.explode)
            child = {f"{name}_{safe(key)}": value for key, value in item.items()} if has_fields(item) else {name: item}
            whole = _joined(_joined(others, {f"{name}_index": Number(number)}), child)
            found.append(flattened(whole) if self.flatten else whole)
        return found


def flattened(row: Row) -> Row:
    """The row with a column for each field of the objects within it. Raises ValueError when two have one name."""
    if not any(type(value) is dict for value in row.values()):
        return row
    flat: Row = {}
    for key, value in row.items():
        if value and has_fields(value):
            below = {f"{safe(key)}_{safe(name)}": one for name, one in value.items()}
            if len(below) < len(value):
                raise ValueError("two fields would be one column")
            flat = _joined(flat, flattened(below))
        else:
            flat = _joined(flat, {key: value})
    return flat


def has_fields(value: object) -> bool:
    """Whether a value is an object whose keys name fields, and are no values such as e-mail addresses."""
    return type(value) is dict and not any(map(seems_personal, value))


def _joined(first: Row, second: Row) -> Row:
    if not first.keys().isdisjoint(second):
        raise ValueError("two fields would be one column")
    return first | second


def safe(name: str) -> str:
    """A part of a column's name: letters, digits and underscores."""
    return re.sub(r"\W+", "_", name)
