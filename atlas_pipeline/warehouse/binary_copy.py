"""Rows of text in the binary format of COPY, which Postgres takes in at half the cost of parsing them.

Belongs here: the layout (Postgres manual, COPY, "Binary Format"), and how each type is written. Does not belong here:
which texts are of a type (`ingest/types.py`), and where rows go.

Only what is written the same way in nearly all rows is encoded here: values for whose text Postgres has rules of its
own (numbers of many digits, NaN, intervals) are left to it, a block at a time.

Whole columns are encoded at once. Columns of one width without a null come first in each row, as one record of NumPy;
the others follow, each as a column of lengths and one of bytes, and Arrow joins them.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Bytes = np.ndarray[Any, Any]
"""One item for each row, in the order of bytes that Postgres reads."""

SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
"""What comes before all rows."""
TRAILER = b"\xff\xff"
"""What comes after them."""
_NULL = -1
_EPOCH_DAYS = 10_957
_EPOCH_MICROSECONDS = _EPOCH_DAYS * 86_400_000_000
"""Postgres counts from 2000, Arrow from 1970."""
_MOST_DIGITS, _MOST_PLACES = 18, 16
_GROUP = 10_000
_NEGATIVE = 0x4000
_TENS = 10 ** np.arange(_MOST_DIGITS + 1, dtype=np.int64)
_UUID_GROUPS = ((0, 8), (9, 13), (14, 18), (19, 23), (24, 36))
_HEX = np.zeros(256, np.uint8)
_HEX[list(b"0123456789abcdef")] = range(16)


class _LeftToPostgres(Exception):
    pass


@dataclass
class _Row:
    """The parts of a row so far: fields of one width, and columns of bytes to join."""

    fixed: list[tuple[str, Bytes]] = field(default_factory=list)
    loose: list[tuple[str, list[pa.Array]]] = field(default_factory=list)


@dataclass(frozen=True)
class BinaryRows:
    """Rows as they are sent to Postgres, and the columns in their order there; `loose` are those after the record."""

    columns: tuple[str, ...]
    loose: frozenset[str]
    body: pa.Buffer


def binary_rows(rows: pa.Table, types: Mapping[str, str], loose: Collection[str] = ()) -> BinaryRows | None:
    """Encode rows for `COPY … FROM STDIN (FORMAT binary)`, without what comes before and after them.

    Args:
        rows: strings that Postgres would parse into the types of their columns without an error, or int64 for a bigint.
        types: of all columns, as Postgres names them.
        loose: columns that are not put into the record even where they have no null, so that they stay in their place.

    Returns:
        The rows; null when something in them is for Postgres to parse.
    """
    row = _Row()
    try:
        for name, type in types.items():
            _add(row, name, type, rows[name].combine_chunks(), loose=name in loose)
    except (_LeftToPostgres, pa.ArrowInvalid):
        return None
    head = _record(len(types), rows.num_rows, [values for _, values in row.fixed])
    joined = [head, *(array for _, arrays in row.loose for array in arrays)]
    body = pc.binary_join_element_wise(*joined, pa.scalar(b"", pa.binary()), null_handling="replace")
    last = [name for name, _ in row.loose]
    return BinaryRows((*(name for name, _ in row.fixed), *last), frozenset(last), _content(body))


def _add(row: _Row, name: str, type: str, values: pa.Array, *, loose: bool) -> None:
    if type == "text":
        row.loose.append((name, [_lengths(pc.binary_length(values)), values.cast(pa.binary())]))
        return
    if type == "jsonb":
        version = pa.repeat(pa.scalar(b"\x01", pa.binary()), len(values))
        version = pc.if_else(values.is_valid(), version, pa.scalar(b"", pa.binary()))
        row.loose.append((name, [_lengths(pc.add(pc.binary_length(values), 1)), version, values.cast(pa.binary())]))
        return
    encode = _ENCODERS.get("numeric" if type.startswith("numeric") else type)
    if encode is None:
        raise _LeftToPostgres
    if values.null_count == 0 and not loose:
        row.fixed.append((name, encode(values)))
        return
    given = encode(values.drop_null())
    lengths = pc.if_else(values.is_valid(), given.dtype.itemsize, pa.scalar(None, pa.int32()))
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(values.is_valid().to_numpy(zero_copy_only=False) * given.dtype.itemsize, out=offsets[1:])
    data = pa.Array.from_buffers(
        pa.binary(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(given))]
    )
    row.loose.append((name, [_lengths(lengths), data]))


def _record(columns: int, rows: int, fields: list[Bytes]) -> pa.Array:
    """The beginning of each row: how many columns it has, and those of one width, each after its length."""
    layout: list[Any] = [("columns", ">i2")]
    for at, values in enumerate(fields):
        layout += [(f"length{at}", ">i4"), (f"value{at}", values.dtype)]
    record = np.empty(rows, np.dtype(layout))
    record["columns"] = columns
    for at, values in enumerate(fields):
        record[f"length{at}"] = values.dtype.itemsize
        record[f"value{at}"] = values
    return _bytes(record)


def _lengths(lengths: pa.Array) -> pa.Array:
    """Four bytes for each length."""
    return _bytes(pc.fill_null(lengths, _NULL).to_numpy(zero_copy_only=False).astype(">i4"))


def _bytes(values: Bytes) -> pa.Array:
    width = values.dtype.itemsize
    array = pa.Array.from_buffers(pa.binary(width), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
    return array.cast(pa.binary())


def _content(values: pa.Array) -> pa.Buffer:
    """The bytes of all values one after the other."""
    if not len(values):
        return pa.py_buffer(b"")
    _, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    return data.slice(int(ends[0]), int(ends[-1] - ends[0]))


def _numbers(values: pa.Array, type: pa.DataType, written: str) -> Bytes:
    numbers: Bytes = values.cast(type).to_numpy(zero_copy_only=False).astype(written)
    return numbers


def _bigint(values: pa.Array) -> Bytes:
    return _numbers(values, pa.int64(), ">i8")


def _finite(type: pa.DataType, written: str) -> Callable[[pa.Array], Bytes]:
    def encode(values: pa.Array) -> Bytes:
        numbers = values.cast(type)
        if not pc.all(pc.is_finite(numbers), min_count=0).as_py():
            raise _LeftToPostgres
        return _numbers(numbers, type, written)

    return encode


def _boolean(values: pa.Array) -> Bytes:
    true: Bytes = pc.equal(values, "true").to_numpy(zero_copy_only=False)
    if not pc.all(pc.or_(pc.equal(values, "true"), pc.equal(values, "false")), min_count=0).as_py():
        raise _LeftToPostgres
    return true.astype("u1")


def _date(values: pa.Array) -> Bytes:
    return (values.cast(pa.date32()).cast(pa.int32()).to_numpy(zero_copy_only=False) - _EPOCH_DAYS).astype(">i4")


def _moment(zone: str | None) -> Callable[[pa.Array], Bytes]:
    def encode(values: pa.Array) -> Bytes:
        moments = values.cast(pa.timestamp("us", zone)).cast(pa.int64()).to_numpy(zero_copy_only=False)
        return (moments - _EPOCH_MICROSECONDS).astype(">i8")

    return encode


def _time(values: pa.Array) -> Bytes:
    moments = pc.binary_join_element_wise("1970-01-01T", values, "").cast(pa.timestamp("us"))
    return _numbers(moments, pa.int64(), ">i8")


def _uuid(values: pa.Array) -> Bytes:
    digits = np.frombuffer(_content(values), np.uint8)
    if len(digits) != 36 * len(values):
        raise _LeftToPostgres
    letters = digits.reshape(-1, 36)
    groups = [letters[:, start:end] for start, end in _UUID_GROUPS]
    nibbles = _HEX[np.concatenate(groups, axis=1).reshape(-1)]
    return ((nibbles[0::2] << 4) | nibbles[1::2]).view("V16")


def _numeric(values: pa.Array) -> Bytes:
    """Sign, digits after the point as they are written, and digits in groups of four (`numeric_recv`)."""
    length = pc.binary_length(values).to_numpy(zero_copy_only=False)
    if len(length) and int(length.max()) > _MOST_DIGITS:
        raise _LeftToPostgres
    point = pc.find_substring(values, ".").to_numpy(zero_copy_only=False)
    scale = np.where(point < 0, 0, length - point - 1)
    if int(scale.max(initial=0)) > _MOST_PLACES:
        raise _LeftToPostgres
    number = pc.replace_substring(values, ".", "").cast(pa.int64()).to_numpy(zero_copy_only=False)
    whole, fraction = np.divmod(np.abs(number), _TENS[scale])
    before = -(-len(str(int(whole.max(initial=0)))) // 4)
    after = -(-int(scale.max(initial=0)) // 4)
    layout = [
        ("groups", ">i2"),
        ("weight", ">i2"),
        ("sign", ">u2"),
        ("scale", ">u2"),
        ("digits", ">i2", before + after),
    ]
    result = np.empty(len(values), np.dtype(layout))
    result["groups"], result["weight"], result["scale"] = before + after, before - 1, scale
    result["sign"] = np.where(number < 0, _NEGATIVE, 0)
    fraction = fraction * _TENS[4 * after - scale]
    for at in range(before - 1, -1, -1):
        whole, result["digits"][:, at] = np.divmod(whole, _GROUP)
    for at in range(before + after - 1, before - 1, -1):
        fraction, result["digits"][:, at] = np.divmod(fraction, _GROUP)
    return result


_ENCODERS: dict[str, Callable[[pa.Array], Bytes]] = {
    "bigint": _bigint,
    "numeric": _numeric,
    "double precision": _finite(pa.float64(), ">f8"),
    "real": _finite(pa.float32(), ">f4"),
    "boolean": _boolean,
    "date": _date,
    "timestamp": _moment(None),
    "timestamptz": _moment("UTC"),
    "time": _time,
    "uuid": _uuid,
}
