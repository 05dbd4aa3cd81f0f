"""Arrow values as text: exact, readable by PostgreSQL, the same whatever the batch.

Belongs here: one rule per Arrow type, and finding text that no row may hold. Does not belong here: files and batches
(`parquet.py`).
"""

import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.ingest.readers.json_text import quoted
from atlas_pipeline.ingest.types import ColumnType, joined_type

_STRINGS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds"}


def as_text(array: pa.Array) -> pa.Array:
    """Return the values as text, in a binary array: strings come as their bytes are, not checked to be UTF-8.

    Integers and decimals are exact, floats the shortest text that reads back the same (`NaN`, `Infinity`), booleans
    `true`/`false`, times ISO 8601 (with `+00:00` where a timezone is known, converted to UTC), bytes as the text that
    they are where that is printable UTF-8 (without the NULs that fill up a fixed length), else `\\x` and hex,
    durations a count with its unit, lists, structs and maps JSON.
    """
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        if kind.extension_name == "arrow.uuid":
            return _each(array.storage, lambda value: str(uuid.UUID(bytes=value)))
        return as_text(array.storage)
    if pa.types.is_dictionary(kind):
        return as_text(array.dictionary_decode())
    if _is_string(kind):
        return array.cast(pa.binary())
    if _is_nested(kind):
        # A null's fragment is "null", which is also JSON's: told apart by the array's validity.
        fragments = pa.array(_fragments(array), pa.binary())
        return pc.if_else(array.is_valid(), fragments, pa.scalar(None, pa.binary()))
    return _scalar_text(array).cast(pa.binary())


_SOURCE_TYPES: tuple[tuple[Callable[[pa.DataType], bool], ColumnType], ...] = (
    (pa.types.is_integer, "integer"),
    (pa.types.is_float64, "float"),
    (pa.types.is_floating, "real"),
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_date, "date"),
    (pa.types.is_time, "time"),
    (pa.types.is_duration, "interval"),
)
_UNSIGNED = joined_type("decimal", (20, 0))  # 64 bits without sign are more than those of bigint
_EXTENSIONS: dict[str, ColumnType] = {"arrow.uuid": "uuid", "arrow.json": "json"}


def source_type(kind: pa.DataType) -> str:
    """The type that holds what a source types so, as a column declares it: `decimal(10,2)`, `local_timestamp`.

    Strings and bytes stay text, whatever they look like. A timestamp is local unless the source says which instant it
    is.
    """
    if isinstance(kind, pa.BaseExtensionType):
        return _EXTENSIONS.get(kind.extension_name) or source_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return source_type(kind.value_type)
    if _is_nested(kind):
        return "json"
    if pa.types.is_uint64(kind):
        return _UNSIGNED
    if pa.types.is_decimal(kind):
        fits = 0 <= kind.scale <= kind.precision
        return joined_type("decimal", (kind.precision, kind.scale) if fits else None)
    if pa.types.is_timestamp(kind):
        return "local_timestamp" if kind.tz is None else "timestamp"
    return next((type for fits, type in _SOURCE_TYPES if fits(kind)), "text")


def faulty(columns: list[pa.Array]) -> dict[int, str]:
    """Return the rule by row index of the rows with text that is not UTF-8 or holds NUL; `columns` are binary."""
    faults: dict[int, str] = {}
    for column in columns:
        for i in pc.indices_nonzero(pc.fill_null(pc.match_substring(column, "\0"), False)).to_pylist():
            faults.setdefault(i, "nul_byte")
        try:
            column.cast(pa.string())
        except pa.ArrowInvalid:
            for i, value in enumerate(column.to_pylist()):
                if value is not None and not _is_utf8(value):
                    faults[i] = "encoding"
    return faults


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_string(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in _STRINGS)


def _is_bytes(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in _BYTES)


def _is_list(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in _LISTS)


def _is_nested(kind: pa.DataType) -> bool:
    return _is_list(kind) or bool(pa.types.is_struct(kind) or pa.types.is_map(kind))


def _scalar_text(array: pa.Array) -> pa.Array:
    """Return scalars other than strings as a string or binary array."""
    kind = array.type
    if _is_bytes(kind):
        padded = pa.types.is_fixed_size_binary(kind)
        return _each(array, _padded_text if padded else bytes_text)
    if pa.types.is_decimal(kind):
        text = array.cast(pa.string())
        if pc.any(pc.match_substring(text, "E")).as_py():
            return _each(text, lambda value: format(Decimal(value), "f"))
        return text
    if pa.types.is_floating(kind):
        numbers = array.cast(pa.float32()) if pa.types.is_float16(kind) else array
        text = numbers.cast(pa.string())
        if pc.any(pc.invert(pc.is_finite(numbers))).as_py():
            text = pc.replace_substring(pc.replace_substring(text, "nan", "NaN"), "inf", "Infinity")
        return text
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        text = array.cast(pa.timestamp(kind.unit, "UTC")).cast(pa.timestamp(kind.unit)).cast(pa.string())
        return pc.binary_join_element_wise(text, "+00:00", "")
    if pa.types.is_duration(kind):
        count = array.cast(pa.int64())
        if kind.unit == "ns":
            # PostgreSQL knows no nanoseconds: these are microseconds with decimals.
            return _each(count, lambda value: f"{Decimal(value).scaleb(-3)} microseconds")
        return pc.binary_join_element_wise(count.cast(pa.string()), _UNITS[kind.unit], " ")
    return array.cast(pa.string())


_READABLE = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+")


def bytes_text(value: bytes) -> str:
    """Bytes that are text as that text, so that it is looked at; others as Postgres writes them."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return "\\x" + value.hex()
    return text if text and _READABLE.fullmatch(text) else "\\x" + value.hex()


def _padded_text(value: bytes) -> str:
    """Bytes of one length as text, without the NULs that a shorter text was filled up with."""
    text = bytes_text(value.rstrip(b"\0"))
    return "\\x" + value.hex() if text.startswith("\\x") else text


def _each(array: pa.Array, function: Callable[[Any], str]) -> pa.Array:
    return pa.array([None if value is None else function(value).encode() for value in array.to_pylist()], pa.binary())


def _fragments(array: pa.Array) -> list[bytes]:
    """Return each value as JSON, nulls as `null`."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray) and _is_nested(array.storage.type):
        return _fragments(array.storage)
    if pa.types.is_dictionary(kind):
        return _fragments(array.dictionary_decode())
    if pa.types.is_struct(kind):
        keys = [_quoted(kind.field(i).name.encode()) for i in range(kind.num_fields)]
        values = zip(*(_fragments(column) for column in array.flatten()), strict=True) if keys else [()] * len(array)
        whole = [b"{" + b",".join(k + b":" + v for k, v in zip(keys, row, strict=True)) + b"}" for row in values]
    elif pa.types.is_map(kind):
        keys = [key if key.startswith(b'"') else _quoted(key) for key in _fragments(of_slice(array, array.keys))]
        items = [k + b":" + v for k, v in zip(keys, _fragments(of_slice(array, array.items)), strict=True)]
        whole = [b"{" + b",".join(items[start:end]) + b"}" for start, end in _spans(array)]
    elif _is_list(kind):
        items = _fragments(of_slice(array, array.values))
        whole = [b"[" + b",".join(items[start:end]) + b"]" for start, end in _spans(array)]
    else:
        plain = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)
        plain = plain or pa.types.is_floating(kind)
        whole = [
            b"null" if text is None else text if plain and text[-1:] not in b"Ny" else _quoted(text)
            for text in as_text(array).to_pylist()
        ]
    return [text if valid else b"null" for text, valid in zip(whole, array.is_valid().to_pylist(), strict=True)]


def of_slice(array: pa.Array, items: pa.Array) -> pa.Array:
    """The items that the lists or maps of `array` hold; `items` are those of the array that it may be a slice of."""
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        return items.slice(array.offset * size, len(array) * size)
    if not len(array):
        return items.slice(0, 0)
    first, last = array.offsets[0].as_py(), array.offsets[-1].as_py()
    return items.slice(first, last - first)


def _spans(array: pa.Array) -> list[tuple[int, int]]:
    """Return where each list's items begin and end in `of_slice(array, …)`."""
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        return [(i * size, (i + 1) * size) for i in range(len(array))]
    offsets = array.offsets.to_pylist()
    return [(start - offsets[0], end - offsets[0]) for start, end in pairwise(offsets)]


def _quoted(text: bytes) -> bytes:
    """Return text as a JSON string; NUL and what is not UTF-8 stay so, for the row to be rejected."""
    parts = (quoted(part)[1:-1] for part in text.decode("utf-8", errors="surrogateescape").split("\0"))
    return f'"{chr(0).join(parts)}"'.encode("utf-8", errors="surrogateescape")
