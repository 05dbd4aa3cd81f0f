"""JSON to text and back without changing how a number is written.

Belongs here: parsing one JSON text with its numbers kept as text, and writing nested values compactly. Does not belong
here: lines and rows (`jsonl.py`), or Arrow values (`parquet_text.py`).
"""

import json
from collections.abc import Callable, Iterable, Iterator

from atlas_pipeline.ingest.source_types import NUMBER, STRING, common_type

quoted: Callable[[str], str] = json.encoder.encode_basestring


class Number(str):
    """A number as it was written, to tell it from a string of the same characters."""

    __slots__ = ()


class Constant(Number):
    """NaN, Infinity or -Infinity: not JSON, but what Python, JavaScript and pandas write for such a double."""

    __slots__ = ()


class DuplicateKey(ValueError):
    """An object has a key twice."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise DuplicateKey("a key is there twice")
    return found


flat = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_unique)
exact = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=Constant)


def text(value: object) -> str | None:
    """Return a value that `exact` decoded as text: strings as they are, null as None, the rest as compact JSON."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, Constant):
        return str(value)
    return compact(value)


def compact(value: object) -> str:
    """Write a value that `exact` decoded as JSON without spaces, non-ASCII characters as they are."""
    if isinstance(value, Number) and not isinstance(value, Constant):
        return str(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{quoted(key)}:{compact(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    return "null" if value is None else "true" if value else "false"


_KINDS: dict[type, str] = {str: STRING, Number: NUMBER, Constant: NUMBER, bool: "boolean", dict: "json", list: "json"}


def types_of(rows: Iterable[dict[str, object]]) -> dict[str, str]:
    """The types of columns that `exact` decoded; one with values of several is text, unless all of them are JSON."""
    found: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                found.setdefault(name, set()).add(_KINDS[type(value)])
    return {name: common_type(kinds) for name, kinds in found.items()}


def strings(value: object) -> Iterator[str]:
    """Yield every string in a value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
