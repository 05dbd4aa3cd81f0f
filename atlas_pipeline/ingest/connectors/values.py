"""Values of Python as text, exactly: what a database driver or JSON gave becomes what bronze holds.

Belongs here: one rule per Python type, and which kind of value a column holds. Does not belong here: files.
"""

import datetime as dt
import ipaddress
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pyarrow as pa

from atlas_pipeline.ingest.readers.parquet_text import bytes_text

_LONGEST_EXPONENT = 400
_KINDS: Mapping[type, str] = {
    str: "text",
    bytes: "text",
    memoryview: "text",
    uuid.UUID: "text",
    ipaddress.IPv4Address: "text",
    ipaddress.IPv6Address: "text",
    bool: "boolean",
    int: "number",
    float: "number",
    Decimal: "number",
    dt.date: "date",
    dt.datetime: "timestamp",
    dt.time: "time",
    dt.timedelta: "time",
    dict: "json",
    list: "json",
    tuple: "json",
}


def kind_of(values: Sequence[Any]) -> str | None:
    """The kind of values that a column holds: null when it holds none, `mixed` for several kinds."""
    kinds = {_KINDS.get(found, "text") for found in set(map(type, values)) - {type(None)}}
    return "mixed" if len(kinds) > 1 else next(iter(kinds), None)


def as_array(values: list[Any]) -> pa.Array:
    """The values as an array of text. Text that is not valid stays so, for its row to be rejected when it is read."""
    if set(map(type, values)) <= {str, type(None)}:
        with suppress(UnicodeEncodeError):
            return pa.array(values, pa.string())
    texts = [None if value is None else text_of(value).encode("utf-8", "surrogatepass") for value in values]
    return pa.Array.from_buffers(pa.string(), len(texts), pa.array(texts, pa.binary()).buffers())


def text_of(value: Any) -> str:
    """The text of one value."""
    rule = _RULES.get(type(value))
    if rule is None:
        rule = next((rule for kind, rule in _RULES.items() if isinstance(value, kind)), str)
    return rule(value)


def _float(value: float) -> str:
    text = repr(value)
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text, text)


def _decimal(value: Decimal) -> str:
    exponent = value.as_tuple().exponent
    plain = isinstance(exponent, int) and abs(exponent) < _LONGEST_EXPONENT
    return format(value, "f") if plain else str(value)


def _json(value: Any) -> str:
    import simplejson

    return simplejson.dumps(
        value, use_decimal=True, ensure_ascii=False, separators=(",", ":"), default=text_of, ignore_nan=False
    )


def _duration(value: dt.timedelta) -> str:
    """As a time of day is written, which is what MySQL's TIME is; beyond a day, too."""
    sign, rest = ("-", -value) if value < dt.timedelta() else ("", value)
    seconds, micros = rest.days * 86_400 + rest.seconds, rest.microseconds
    text = f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{micros:06d}" if micros else text


_RULES: Mapping[type, Callable[[Any], str]] = {
    str: str,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _float,
    Decimal: _decimal,
    dt.datetime: lambda value: value.isoformat(" "),
    dt.date: dt.date.isoformat,
    dt.time: dt.time.isoformat,
    dt.timedelta: _duration,
    bytes: bytes_text,
    memoryview: lambda value: bytes_text(bytes(value)),
    dict: _json,
    list: _json,
    tuple: _json,
}
