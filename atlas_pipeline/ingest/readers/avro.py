"""Avro files to batches: records read block by block, each field as a column.

Belongs here: the file, its schema as types of columns, nested values as JSON. Does not belong here: scalars as text
(`parquet_text.py`), the rules of column names (`columns.py`). The format: Apache Avro 1.12 specification, "Object
Container Files".
"""

import datetime as dt
import json
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any, BinaryIO, NamedTuple, cast

import pyarrow as pa

from atlas_pipeline.ingest.batch import Batch, FileRefused
from atlas_pipeline.ingest.limits import Meter
from atlas_pipeline.ingest.readers.arrow_rows import BATCH_ROWS, text_batches
from atlas_pipeline.ingest.readers.avro_blocks import bound_blocks
from atlas_pipeline.ingest.readers.columns import check_names
from atlas_pipeline.ingest.readers.compression import Compression, decompressed
from atlas_pipeline.ingest.readers.json_text import quoted
from atlas_pipeline.ingest.readers.parquet_text import bytes_text, source_type

_MAGIC = b"Obj\x01"
_PLAIN: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "int": pa.int64(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.string(),
    "fixed": pa.string(),
    "string": pa.string(),
    "enum": pa.string(),
    "null": pa.null(),
}
_LOGICAL: dict[str, pa.DataType] = {
    "date": pa.date32(),
    "time-millis": pa.time64("us"),
    "time-micros": pa.time64("us"),
    "timestamp-millis": pa.timestamp("us", "UTC"),
    "timestamp-micros": pa.timestamp("us", "UTC"),
    "local-timestamp-millis": pa.timestamp("us"),
    "local-timestamp-micros": pa.timestamp("us"),
}


class _Field(NamedTuple):
    """How a field becomes a column: its Arrow type, what is done to each value first, and its type in a declaration."""

    arrow: pa.DataType
    convert: Callable[[Any], Any] | None
    declared: str


def read_avro(stream: BinaryIO, compression: Compression, meter: Meter) -> Iterator[Batch]:
    """Yield the records of an Avro file, every field as text, in batches of 20,000; nested fields are JSON.

    Memory is bounded by one block at a time, which is at most 64 MiB. Raises FileRefused as `readers.read` says.

    Args:
        stream: at the file's beginning.
        compression: of the whole file.
        meter: counts what it turns into.
    """
    import fastavro

    bound_blocks()
    source = decompressed(stream, compression, meter)
    head = source.peek(4)
    if not head:
        raise FileRefused("empty", "The file is empty. An Avro file was expected.")
    if head != _MAGIC:
        raise FileRefused(
            "wrong_format", "The file is named as Avro but does not begin with Avro's mark. Name it for what it holds."
        )
    try:
        reader = fastavro.reader(cast(Any, source), handle_unicode_errors="surrogateescape")
        schema = cast(Any, reader.writer_schema)
        named: dict[str, Any] = {}
        _name(schema, named)
        if _is_record(schema) and not _least_bytes(schema, named, {}):
            raise _unbounded()
        fields = {one["name"]: _field(one["type"], named) for one in schema["fields"]} if _is_record(schema) else None
    except (FileRefused, OSError):
        raise
    except Exception:  # noqa: BLE001 — a damaged schema fails in as many ways as it can be damaged
        raise _corrupt() from None
    if fields is None:
        raise FileRefused("wrong_format", "The Avro file does not hold records. Write one record for each row.")
    check_names(fields)
    types = {name: field.declared for name, field in fields.items() if field.arrow != pa.null()}
    found = False
    for batch in text_batches(_pieces(iter(reader), fields), types, lambda error: _corrupt()):
        found = True
        yield batch
    if not found:
        raise FileRefused("header_only", "The file has columns and no rows. Send it with its rows, or not at all.")


def _pieces(records: Iterator[Any], fields: dict[str, _Field]) -> Iterator[pa.RecordBatch]:
    schema = pa.schema([(name, field.arrow) for name, field in fields.items()])
    more = True
    while more:
        columns: list[list[Any]] = [[] for _ in fields]
        try:
            for _ in range(BATCH_ROWS):
                record = next(records, None)
                if record is None:
                    more = False
                    break
                for values, (name, field) in zip(columns, fields.items(), strict=True):
                    value = record[name]
                    values.append(value if value is None or field.convert is None else field.convert(value))
            arrays = [_array(values, field.arrow) for values, field in zip(columns, fields.values(), strict=True)]
        except (FileRefused, OSError):
            raise
        except Exception:  # noqa: BLE001 — see above; a codec that is not installed is one of them
            raise _corrupt() from None
        if columns[0]:
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """The values as an array; texts are bytes that are not checked to be UTF-8 here."""
    return pa.array(values, pa.binary()).view(kind) if kind == pa.string() else pa.array(values, kind)


def _least_bytes(schema: Any, named: dict[str, Any], known: dict[str, int | None]) -> int:
    """The bytes that a value has at least; what has none may be there any number of times in a few bytes.

    Args:
        schema: of the value.
        named: types that a schema may refer to.
        known: what was found for these; null for those that are being looked at.

    Raises:
        FileRefused: a type refers to itself, so that a value may be nested without end, or items of an array have none.
    """
    if isinstance(schema, list):
        return 1 + min((_least_bytes(one, named, known) for one in schema), default=0)
    name = schema if isinstance(schema, str) else schema.get("name")
    if name in known:
        least = known[name]
        if least is None:
            raise _unbounded()
        return least
    if isinstance(schema, str):
        return _least_bytes(named[schema], named, known) if schema in named else int(schema != "null")
    kind = schema["type"]
    if name:
        known[name] = None
    if isinstance(kind, dict | list):
        least = _least_bytes(kind, named, known)
    elif kind in ("record", "error"):
        least = sum(_least_bytes(one["type"], named, known) for one in schema["fields"])
    elif kind in ("array", "map"):
        if not _least_bytes(schema["items" if kind == "array" else "values"], named, known) and kind == "array":
            raise _unbounded()
        least = 1
    else:
        least = schema["size"] if kind == "fixed" else int(kind != "null")
    if name:
        known[name] = least
    return least


def _unbounded() -> FileRefused:
    return FileRefused(
        "wrong_format",
        "The schema of the Avro file refers to itself, or has rows or items that take no bytes, so that a few bytes "
        "may stand for any number of them. Write it with a schema whose values end.",
    )


def _is_record(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "record" and bool(schema["fields"])


def _name(schema: Any, named: dict[str, Any]) -> None:
    """Collect the types that have a name, which later parts of a schema refer to."""
    if isinstance(schema, list):
        for one in schema:
            _name(one, named)
    elif isinstance(schema, dict):
        if "name" in schema:
            named[schema["name"]] = schema
        for one in schema.get("fields", ()):
            _name(one["type"], named)
        for part in ("type", "items", "values"):
            if isinstance(schema.get(part), dict | list):
                _name(schema[part], named)


def _field(schema: Any, named: dict[str, Any]) -> _Field:
    if isinstance(schema, list):
        kinds = [one for one in schema if one != "null"]
        if len(kinds) == 1:
            return _field(kinds[0], named)
        return _Field(pa.string(), _text, "text") if kinds else _Field(pa.null(), None, "text")
    if isinstance(schema, str):
        return _field(named[schema], named) if schema in named else _scalar(schema, {})
    if isinstance(schema["type"], dict | list):
        return _field(schema["type"], named)
    return _scalar(schema["type"], schema)


def _scalar(kind: str, schema: dict[str, Any]) -> _Field:
    logical = schema.get("logicalType")
    if logical == "decimal" and kind in ("bytes", "fixed") and schema.get("precision", 0) <= 76:
        arrow = pa.decimal256(schema["precision"], schema.get("scale", 0))
        return _Field(arrow, None, source_type(arrow))
    if logical == "uuid":
        return _Field(pa.string(), _text, "uuid")
    if logical in _LOGICAL:
        return _Field(_LOGICAL[logical], None, source_type(_LOGICAL[logical]))
    if kind not in _PLAIN:
        return _Field(pa.string(), lambda value: _json(value).encode("utf-8", "surrogateescape"), "json")
    convert = _text if kind in ("string", "enum", "bytes", "fixed") else None
    return _Field(_PLAIN[kind], convert, "text" if convert else source_type(_PLAIN[kind]))


def _text(value: Any) -> bytes:
    """A value as text, in bytes: what is not UTF-8 in it stays so, for its row to be rejected."""
    if isinstance(value, dict | list | tuple):
        return _json(value).encode("utf-8", "surrogateescape")
    text = _json(value)
    if text.startswith('"'):
        text = value if isinstance(value, str) else cast(str, json.loads(text))
    return text.encode("utf-8", "surrogateescape")


def _json(value: Any) -> str:
    """A value as JSON without spaces."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{quoted(key)}:{_json(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_json, value)) + "]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true" if value else "false"
    if isinstance(value, float):
        with suppress(OverflowError):
            return repr(value) if math.isfinite(value) else quoted(str(pa.scalar(value)).replace("inf", "Infinity"))
    if isinstance(value, int | Decimal):
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    if isinstance(value, bytes):
        return quoted(bytes_text(value))
    return quoted(value.isoformat(sep=" ") if isinstance(value, dt.datetime) else str(value))


def _corrupt() -> FileRefused:
    return FileRefused(
        "corrupt",
        "The Avro file is damaged or was cut, or is compressed in a way that is not known: expected null, deflate, "
        "snappy, zstandard, bzip2 or xz. Send it again.",
    )
