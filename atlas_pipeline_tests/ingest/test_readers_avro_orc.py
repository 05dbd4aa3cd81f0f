"""Avro and ORC at the outside: what `read` gives for a file's bytes."""

import datetime as dt
import gzip
import io
import json
import uuid
from decimal import Decimal
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from pyarrow import orc

from atlas_pipeline.ingest.batch import Batch, FileRefused
from atlas_pipeline.ingest.readers import read

UTC = dt.UTC


def batches(data: bytes, name: str) -> list[Batch]:
    return list(read(io.BytesIO(data), name))


def refused(data: bytes, name: str) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        batches(data, name)
    return caught.value


def avro(fields: dict[str, Any], records: list[dict[str, Any]], codec: str = "null") -> bytes:
    out = io.BytesIO()
    schema = {"type": "record", "name": "Row", "fields": [{"name": k, "type": v} for k, v in fields.items()]}
    fastavro.writer(out, fastavro.parse_schema(schema), records, codec=codec)
    return out.getvalue()


def orc_bytes(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    orc.write_table(table, out, **options)
    return out.getvalue()


def logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name, **more}


@pytest.mark.parametrize(
    ("schema", "value", "text", "type"),
    [
        ("long", -(2**63), "-9223372036854775808", "integer"),
        ("int", 7, "7", "integer"),
        (["null", "double"], 0.1, "0.1", "float"),
        ("double", float("nan"), "NaN", "float"),
        ("boolean", True, "true", "boolean"),
        ("string", "007", "007", "text"),
        ("string", "", "", "text"),
        ("bytes", b"ann@example.com", "ann@example.com", "text"),
        ("bytes", b"\x00\xff", "\\x00ff", "text"),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B", "text"),
        (logical("bytes", "decimal", precision=10, scale=2), Decimal("1.10"), "1.10", "decimal(10,2)"),
        (logical("int", "date"), dt.date(1600, 1, 2), "1600-01-02", "date"),
        (logical("int", "time-millis"), dt.time(3, 4, 5), "03:04:05.000000", "time"),
        (
            logical("long", "timestamp-micros"),
            dt.datetime(2024, 1, 2, 3, 4, 5, 6, UTC),
            "2024-01-02 03:04:05.000006+00:00",
            "timestamp",
        ),
        (
            logical("long", "local-timestamp-millis"),
            dt.datetime(2024, 1, 2, 3, 4, 5),
            "2024-01-02 03:04:05.000000",
            "local_timestamp",
        ),
        (logical("string", "uuid"), uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001", "uuid"),
        ({"type": "array", "items": "long"}, [1, 2], "[1,2]", "json"),
        ({"type": "map", "values": "string"}, {"a": 'x"'}, '{"a":"x\\""}', "json"),
        (["null", "long", "string"], "12", "12", "text"),
    ],
)
def test_avro_values_and_types(schema: Any, value: Any, text: str, type: str) -> None:
    (batch,) = batches(avro({"id": "long", "v": schema}, [{"id": 1, "v": value}]), "f.avro")
    assert batch.rows.to_pylist() == [{"id": "1", "v": text}]
    assert batch.types == {"id": "integer", "v": type}
    assert batch.lines.to_pylist() == [1]


def test_avro_nested_and_named_types_are_json() -> None:
    inner = {"type": "record", "name": "In", "fields": [{"name": "at", "type": logical("int", "date")}]}
    data = avro(
        {"a": inner, "b": ["null", "In"]}, [{"a": {"at": dt.date(2024, 1, 2)}, "b": None}, {"a": {"at": 0}, "b": None}]
    )
    (batch,) = batches(data, "f.avro")
    assert batch.rows["a"].to_pylist() == ['{"at":"2024-01-02"}', '{"at":"1970-01-01"}']
    assert batch.rows["b"].to_pylist() == [None, None]
    assert batch.types == {"a": "json", "b": "json"}


@pytest.mark.parametrize("codec", ["deflate", "snappy", "zstandard", "bzip2", "xz"])
def test_avro_codecs_and_batches(codec: str) -> None:
    data = avro({"n": "long", "t": "string"}, [{"n": i, "t": f"v{i}"} for i in range(45_000)], codec)
    found = batches(data, "f.avro")
    assert len(found) == 3
    assert [n for batch in found for n in batch.lines.to_pylist()] == list(range(1, 45_001))
    assert found[-1].rows["t"].to_pylist()[-1] == "v44999"
    assert len(batches(gzip.compress(data), "f.avro.gz")) == 3


def test_avro_rows_that_no_text_can_hold_are_rejected_alone() -> None:
    data = avro({"id": "long", "t": "string"}, [{"id": 1, "t": "a"}, {"id": 2, "t": "b\0"}, {"id": 3, "t": "QQ"}])
    (batch,) = batches(data.replace(b"QQ", b"\xff\xfe"), "f.avro")
    assert batch.rows["id"].to_pylist() == ["1"]
    assert [(one.line, one.rule) for one in batch.rejects] == [(2, "nul_byte"), (3, "encoding")]


@pytest.mark.parametrize("name", ["f.avro", "f.orc"])
def test_what_is_no_file_of_the_format_is_refused(name: str) -> None:
    good = {
        "f.avro": avro({"id": "long", "t": "string"}, [{"id": i, "t": "x" * 50} for i in range(100)]),
        "f.orc": orc_bytes(pa.table({"id": list(range(100)), "t": ["x" * 50] * 100})),
    }[name]
    assert refused(b"", name).rule == "empty"
    assert refused(b"id,n\n1,2\n" * 9, name).rule == "wrong_format"
    for cut in (4, 10, len(good) // 2, len(good) - 3):
        assert refused(good[:cut], name).rule == "corrupt"
    empty = {"f.avro": avro({"id": "long"}, []), "f.orc": orc_bytes(pa.table({"id": pa.array([], pa.int64())}))}
    assert refused(empty[name], name).rule == "header_only"
    one = {"f.avro": avro({"ctid": "long"}, [{"ctid": 1}]), "f.orc": orc_bytes(pa.table({"ctid": [1]}))}
    assert refused(one[name], name).rule == "reserved_column_name"


def test_avro_that_holds_no_records_is_refused() -> None:
    out = io.BytesIO()
    fastavro.writer(out, "long", [1, 2])
    assert refused(out.getvalue(), "f.avro").rule == "wrong_format"


def test_orc_values_and_types() -> None:
    table = pa.table(
        {
            "id": [1, 2],
            "code": ["007", None],
            "price": pa.array([Decimal("1.10"), None], pa.decimal128(10, 2)),
            "day": pa.array([dt.date(1600, 1, 2), None]),
            "at": pa.array([dt.datetime(2024, 1, 2, 3, 4, 5, 6), None], pa.timestamp("us")),
            "ok": [True, False],
            "tags": [[1, 2], None],
        }
    )
    (batch,) = batches(orc_bytes(table), "f.orc")
    assert batch.rows.to_pylist() == [
        {"id": "1", "code": "007", "price": "1.10", "day": "1600-01-02", "at": "2024-01-02 03:04:05.000006",
         "ok": "true", "tags": "[1,2]"},
        {"id": "2", "code": None, "price": None, "day": None, "at": None, "ok": "false", "tags": None},
    ]  # fmt: skip
    kinds = ("integer", "text", "decimal(10,2)", "date", "local_timestamp", "boolean", "json")
    assert tuple(batch.types[name] for name in batch.columns) == kinds


def test_orc_comes_in_batches_from_its_stripes() -> None:
    table = pa.table({"n": list(range(50_000)), "t": [json.dumps({"i": i}) for i in range(50_000)]})
    found = batches(gzip.compress(orc_bytes(table, stripe_size=100_000)), "f.orc.gz")
    assert [n for batch in found for n in batch.lines.to_pylist()] == list(range(1, 50_001))
    assert max(batch.rows.num_rows for batch in found) <= 20_000


def test_orc_timestamps_that_cannot_be_read_exactly_are_refused() -> None:
    data = orc_bytes(pa.table({"at": pa.array([dt.datetime(9999, 12, 31)], pa.timestamp("us"))}))
    assert refused(data, "f.orc").rule == "timestamp_range"


def number(value: int) -> bytes:
    """A long as Avro writes it: zigzag, seven bits to a byte."""
    left, out = value << 1 if value >= 0 else (-value << 1) - 1, bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])


def container(field: Any, rows: int, data: bytes) -> bytes:
    """An Avro file of one block that says it has so many rows."""
    schema = json.dumps({"type": "record", "name": "Row", "fields": [{"name": "a", "type": field}]}).encode()
    head = b"Obj\x01" + number(1) + number(11) + b"avro.schema" + number(len(schema)) + schema + number(0)
    return head + b"0123456789abcdef" + number(rows) + number(len(data)) + data + b"0123456789abcdef"


UNBOUNDED = {
    "rows of nothing": ("null", 2**40, b""),
    "rows of records without fields": ({"type": "record", "name": "E", "fields": []}, 2**40, b""),
    "an array of nothing": ({"type": "array", "items": "null"}, 1, number(2**31) + number(0)),
    "an array of fixed values of no length": (
        {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}},
        1,
        number(2**31) + number(0),
    ),
    "records in one another": (["null", "Row"], 1, number(1) * 1_000_000 + number(0)),
}


@pytest.mark.parametrize("name", UNBOUNDED)
def test_values_that_take_no_bytes_or_never_end_are_refused_by_the_schema(name: str) -> None:
    assert refused(container(*UNBOUNDED[name]), "a.avro").rule == "wrong_format"


def test_values_of_nothing_beside_others_are_read() -> None:
    data = container(
        {"type": "map", "values": ["null", "long"]}, 1, number(1) + number(1) + b"k" + number(0) + number(0)
    )
    (batch,) = batches(data, "a.avro")
    assert batch.rows.to_pylist() == [{"a": '{"k":null}'}]


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz", "zstandard", "snappy"])
def test_a_block_that_turns_into_much_is_refused_before_it_does(codec: str) -> None:
    packed = avro({"b": "bytes"}, [{"b": bytes(64 << 20)}], codec)
    assert refused(packed, "f.avro").rule == "expands_too_much"
    fits = avro({"b": "bytes"}, [{"b": bytes(1 << 20)}], codec)
    assert sum(batch.rows.num_rows for batch in batches(fits, "f.avro")) == 1


@pytest.mark.parametrize("length", [b"\xff" * 9 + b"\x01", b"\xff" * 12, b"\x80", b"\xfe\xff\xff\xff\xff\x07"])
def test_a_block_of_an_odd_length_is_refused(length: bytes) -> None:
    whole = avro({"i": "int"}, [{"i": 1}])
    at = whole.index(fastavro.reader(io.BytesIO(whole))._header["sync"]) + 16
    damaged = whole[:at] + b"\x02" + length + whole[at + 2 :]
    assert refused(damaged, "f.avro").rule in ("corrupt", "expands_too_much")
