"""Parquet at the outside: what `read` gives for a file's bytes."""

import gzip
import io
import json
import struct
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atlas_pipeline.ingest.batch import Batch, FileRefused
from atlas_pipeline.ingest.readers import compression, parquet_size, read


def written(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def batches(data: bytes, name: str = "f.parquet") -> list[Batch]:
    return list(read(io.BytesIO(data), name))


def texts(values: list[Any], kind: pa.DataType) -> list[str | None]:
    column = pa.array(values, kind)
    (batch,) = batches(written(pa.table({"a": column})))
    assert batch.rows.schema.field("a").type == pa.string()
    assert batch.rejects == []
    return cast(list[str | None], batch.rows.column("a").to_pylist())


def refused(data: bytes, name: str = "f.parquet") -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        batches(data, name)
    assert caught.value.reason
    return caught.value


PLUS_TWO = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (pa.int64(), [-(2**63), None, 2**63 - 1], ["-9223372036854775808", None, "9223372036854775807"]),
        (pa.uint64(), [2**64 - 1], ["18446744073709551615"]),
        (pa.int8(), [-1], ["-1"]),
        (pa.decimal128(38, 2), [Decimal("1.10"), Decimal("0.00")], ["1.10", "0.00"]),
        (pa.decimal128(38, 10), [Decimal("1e-10"), Decimal(0), None], ["0.0000000001", "0.0000000000", None]),
        (pa.decimal256(60, 1), [Decimal("9" * 59 + ".1")], ["9" * 59 + ".1"]),
        (pa.float64(), [0.1, 1e300, -0.5, None], ["0.1", "1e+300", "-0.5", None]),
        (pa.float64(), [float("nan"), float("inf"), float("-inf")], ["NaN", "Infinity", "-Infinity"]),
        (pa.float32(), [0.1], ["0.1"]),
        (pa.float16(), [0.5], ["0.5"]),
        (pa.bool_(), [True, False, None], ["true", "false", None]),
        (pa.string(), [" x ", "", None, "é😀"], [" x ", "", None, "é😀"]),
        (pa.large_string(), ["x"], ["x"]),
        (pa.dictionary(pa.int8(), pa.string()), ["x", "y", None, "x"], ["x", "y", None, "x"]),
        (pa.binary(), [b"\x00\xff", b"", None], ["\\x00ff", "\\x", None]),
        (pa.binary(2), [b"ab"], ["ab"]),
        (pa.date32(), [date(2024, 1, 2)], ["2024-01-02"]),
        (pa.time64("us"), [time(3, 4, 5, 6)], ["03:04:05.000006"]),
        (pa.timestamp("us"), [datetime(2024, 1, 2, 3, 4, 5, 123456)], ["2024-01-02 03:04:05.123456"]),
        (
            pa.timestamp("us", "UTC"),
            [datetime(2024, 1, 2, 3, 4, 5, 123456, PLUS_TWO), None],
            ["2024-01-02 01:04:05.123456+00:00", None],
        ),
        (
            pa.timestamp("ms", "Europe/Berlin"),
            [datetime(2024, 7, 2, 3, 4, 5, tzinfo=PLUS_TWO)],
            ["2024-07-02 01:04:05.000+00:00"],
        ),
        (pa.timestamp("ns"), [1_000_000_001], ["1970-01-01 00:00:01.000000001"]),
        (pa.duration("ms"), [1500, None], ["1500 milliseconds", None]),
        (pa.duration("ns"), [1500, -1], ["1.500 microseconds", "-0.001 microseconds"]),
        (pa.null(), [None], [None]),
        (pa.list_(pa.int64()), [[1, None], [], None, [2]], ["[1,null]", "[]", None, "[2]"]),
        (pa.list_(pa.float64(), 2), [[1.5, float("nan")], [2.0, 3.0]], ['[1.5,"NaN"]', None]),
        (pa.map_(pa.string(), pa.int64()), [[('k"', 1)], [], None], ['{"k\\"":1}', "{}", None]),
        (pa.map_(pa.int64(), pa.bool_()), [[(1, True)]], ['{"1":true}']),
        (
            pa.struct([("d", pa.decimal128(5, 2)), ("t", pa.date32()), ("l", pa.list_(pa.string()))]),
            [
                {"d": Decimal("1.10"), "t": date(2024, 1, 2), "l": ["é\n", None]},
                None,
                {"d": None, "t": None, "l": None},
            ],
            ['{"d":1.10,"t":"2024-01-02","l":["é\\n",null]}', None, '{"d":null,"t":null,"l":null}'],
        ),
    ],
    ids=str,
)
def test_every_type_as_text(kind: pa.DataType, values: list[Any], expected: list[str | None]) -> None:
    found = texts(values, kind)
    if pa.types.is_fixed_size_list(kind):
        assert [json.loads(value or "") for value in found] == [[1.5, "NaN"], [2.0, 3.0]]
    else:
        assert found == expected


def test_uuids() -> None:
    value = uuid.UUID(int=7)
    storage = pa.array([value.bytes, None], pa.binary(16))
    table = pa.table({"a": pa.ExtensionArray.from_storage(pa.uuid(), storage)})
    (batch,) = batches(written(table))
    assert batch.rows.column("a").to_pylist() == [str(value), None]


def test_floats_read_back_the_same() -> None:
    values = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, 123456789.123456789, 1e15, 1e16, 1.0]
    assert [float(value or "") for value in texts(values, pa.float64())] == values


def test_rows_are_numbered_over_row_groups_and_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_size, "_MOST_ROWS", 7)
    found = batches(written(pa.table({"a": range(50), "l": [[i] for i in range(50)]}), row_group_size=20))
    assert len(found) > 5
    assert [line for batch in found for line in batch.lines.to_pylist()] == list(range(1, 51))
    assert [value for batch in found for value in batch.rows.column("a").to_pylist()] == [str(i) for i in range(50)]
    assert [value for batch in found for value in batch.rows.column("l").to_pylist()] == [f"[{i}]" for i in range(50)]


def test_text_no_row_can_hold_costs_the_row_alone() -> None:
    raw = pa.array([b"fine", b"n\0l", b"caf\xe9", b"good"], pa.binary())
    strings = pa.Array.from_buffers(pa.string(), 4, raw.buffers())
    (batch,) = batches(written(pa.table({"a": [1, 2, 3, 4], "s": strings})))
    assert batch.rows.to_pylist() == [{"a": "1", "s": "fine"}, {"a": "4", "s": "good"}]
    assert batch.lines.to_pylist() == [1, 4]
    assert [(reject.line, reject.rule) for reject in batch.rejects] == [(2, "nul_byte"), (3, "encoding")]
    assert [json.loads(reject.raw) for reject in batch.rejects] == [
        {"a": "2", "s": "n\0l"},
        {"a": "3", "s": "caf\\xe9"},
    ]
    assert not [reject for reject in batch.rejects if "caf" in reject.reason]


def test_large_rows_come_in_small_batches() -> None:
    table = pa.table({"a": [f"{i}" * 4_000_000 for i in range(10)]})
    found = batches(written(table, compression="none", use_dictionary=False))
    assert [len(value) for batch in found for value in batch.rows.column("a").to_pylist()] == [4_000_000] * 10
    assert max(batch.rows.num_rows for batch in found) <= 8


def test_nul_inside_nested_values() -> None:
    (batch,) = batches(written(pa.table({"l": [["a\0b"], ["c"]]})))
    assert batch.rows.column("l").to_pylist() == ['["c"]']
    assert [(reject.line, reject.rule) for reject in batch.rejects] == [(1, "nul_byte")]


def test_streams_that_cannot_seek_and_compressed_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_IN_MEMORY_BYTES", 100)
    data = written(pa.table({"a": range(1000)}))

    class Socket(io.RawIOBase):
        inner = io.BytesIO(data)

        def read(self, size: int = -1) -> bytes:
            return self.inner.read(min(size, 999))

    assert sum(batch.rows.num_rows for batch in read(cast(BinaryIO, Socket()), "f.parquet")) == 1000
    assert sum(batch.rows.num_rows for batch in batches(gzip.compress(data), "f.parquet.gz")) == 1000


def test_cut_and_damaged_files() -> None:
    data = written(pa.table({"a": range(1000)}), compression="none", use_dictionary=False, write_page_checksum=True)
    for size in (6, 100, len(data) // 2, len(data) - 1):
        assert refused(data[:size]).rule == "corrupt"
    assert refused(data[:-20] + b"\xff" * 8 + data[-12:]).rule == "corrupt"
    assert refused(data[:500] + b"\xff\xff" + data[502:]).rule == "corrupt"


def test_files_that_are_no_parquet() -> None:
    assert refused(b"a,b\n1,2\n3,4\n5,6\n").rule == "wrong_format"
    assert refused(b"PARE" + b"\0" * 20).rule == "wrong_format"
    assert refused(b"").rule == "empty"


def test_columns_are_checked() -> None:
    assert refused(written(pa.table({"a": pa.array([], pa.int64())}))).rule == "header_only"
    one = pa.array([1])
    assert refused(written(pa.Table.from_arrays([one, one], names=["a", "a"]))).rule == "duplicate_columns"
    assert refused(written(pa.table({"": one}))).rule == "empty_column_name"
    assert refused(written(pa.table({"x" * 64: one}))).rule == "column_name_too_long"
    assert refused(written(pa.table({"_atlas_run": one}))).rule == "reserved_column_name"
    assert refused(written(pa.table({f"c{i}": one for i in range(1501)}))).rule == "too_many_columns"


def with_old_intervals(spans: list[tuple[int, int, int] | None]) -> bytes:
    """A file as old Spark and Hive write it: pyarrow writes no INTERVAL, so that its mark is put into the footer."""
    raw = [span and struct.pack("<III", *span) for span in spans]
    data = written(pa.table({"span": pa.array(raw, pa.binary(12))}), store_schema=False)
    size = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - size : -8]
    element = b"\x18\x04span"  # the name, which the fields of the schema's element end with
    assert footer.count(element + b"\0") == 1
    footer = footer.replace(element + b"\0", element + b"\x25\x2a\0")  # ConvertedType 21
    return data[: -8 - size] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def test_old_intervals_are_intervals() -> None:
    (batch,) = batches(with_old_intervals([(14, 2, 3500), None, (0, 0, 0), (2**32 - 1, 1, 1)]))
    assert batch.rows["span"].to_pylist() == ["P14M2DT3.500S", None, "P0M0DT0.000S", "P4294967295M1DT0.001S"]
    assert batch.types == {"span": "interval"}
