"""What typed sources and text say of their columns: the guess, and the values in silver, kind by kind."""

import datetime as dt
import json
import math
import uuid
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.infer import ColumnInference, infer
from atlas_pipeline.ingest.readers import read
from atlas_pipeline.ingest.silver import SchemaDrift
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.ingest.types import joined_type
from atlas_pipeline_tests.integration.conftest import Feed

UTC = dt.UTC


@pytest.fixture
def feed(warehouse: psycopg.Connection, warehouse_url: str, tmp_path: Path) -> Callable[..., Feed]:
    def make(*columns: Column, **options: Any) -> Feed:
        return Feed(warehouse, warehouse_url, tmp_path, Dataset("things", FileSource("things/*"), columns, **options))

    return make


def guesses(*paths: Path) -> dict[str, ColumnInference]:
    def batches() -> Any:
        for path in paths:
            with path.open("rb") as stream:
                yield from read(stream, path.name)

    return {column.name: column for column in infer(batches()).columns}


def guessed(*paths: Path) -> dict[str, str]:
    return {name: joined_type(found.type, found.digits) for name, found in guesses(*paths).items()}


def whole(feed: Feed, path: Path) -> list[tuple]:
    """Silver of a file under the types that are guessed for it."""
    columns = [
        Column(one.name, one.type, one.format, null_values=one.null_values, digits=one.digits)
        for one in guesses(path).values()
    ]
    feed.dataset = replace(feed.dataset, columns=tuple(columns))
    feed.run()
    assert feed.quarantine() == []
    return feed.rows(columns=[column.name for column in columns])


def put(feed: Feed, name: str, text: str) -> Path:
    return feed.land(f"things/{name}", text)


def parquet(feed: Feed, columns: dict[str, Any]) -> Path:
    path = feed.settings.landing_path / "things" / "a.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


KEPT = {
    "price decimal(10,2)": (pa.array([Decimal("1.50")], pa.decimal128(10, 2)), "numeric(10,2)", Decimal("1.50")),
    "rate decimal(38,18)": (
        pa.array([Decimal("0.123456789012345678")], pa.decimal128(38, 18)),
        "numeric(38,18)",
        Decimal("0.123456789012345678"),
    ),
    "f4 real": (pa.array([1.1], pa.float32()), "real", 1.1),
    "f4nan real": (pa.array([math.inf], pa.float32()), "real", math.inf),
    "f8 float": (pa.array([1.1], pa.float64()), "double precision", 1.1),
    "big decimal(20,0)": (pa.array([2**64 - 1], pa.uint64()), "numeric(20,0)", Decimal(2**64 - 1)),
    "small integer": (pa.array([255], pa.uint8()), "bigint", 255),
    "local local_timestamp": (
        pa.array([dt.datetime(2024, 3, 31, 2, 30)], pa.timestamp("us")),
        "timestamp without time zone",
        dt.datetime(2024, 3, 31, 2, 30),
    ),
    "instant timestamp": (
        pa.array([dt.datetime(2024, 3, 31, 2, 30)], pa.timestamp("us", "Europe/Berlin")),
        "timestamp with time zone",
        dt.datetime(2024, 3, 31, 2, 30, tzinfo=UTC),
    ),
    "clock time": (pa.array([dt.time(23, 59, 1)], pa.time64("us")), "time without time zone", dt.time(23, 59, 1)),
    "lasted interval": (pa.array([dt.timedelta(hours=26)], pa.duration("ms")), "interval", dt.timedelta(hours=26)),
    "nested json": (pa.array([{"a": [1, None]}]), "jsonb", {"a": [1, None]}),
    "map json": (pa.array([[("x", 1)]], pa.map_(pa.string(), pa.int64())), "jsonb", {"x": 1}),
    "digits text": (pa.array(["007"]), "text", "007"),
    "day date": (pa.array([dt.date(1, 1, 1)]), "date", dt.date(1, 1, 1)),
}


def test_types_of_parquet_are_kept(feed: Callable[..., Feed]) -> None:
    one = feed()
    wanted = {name.split()[0]: name.split()[1] for name in KEPT}
    path = parquet(one, {name.split()[0]: array for name, (array, _, _) in KEPT.items()})
    assert guessed(path) == wanted
    (row,) = whole(one, path)
    assert row == tuple(pytest.approx(value) if name == "f4 real" else value for name, (_, _, value) in KEPT.items())
    types = one.query(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'silver.things'::regclass"
        " AND attnum > 0 AND attname NOT LIKE '\\_atlas%' ORDER BY attnum"
    )
    assert [type for (type,) in types] == [type for _, type, _ in KEPT.values()]


def test_uuid_of_parquet_is_a_uuid(feed: Callable[..., Feed]) -> None:
    one, value = feed(), uuid.uuid5(uuid.NAMESPACE_DNS, "example.org")
    storage = pa.array([value.bytes], pa.binary(16))
    path = parquet(one, {"u": pa.ExtensionArray.from_storage(pa.uuid(), storage)})
    assert guessed(path) == {"u": "uuid"}
    assert whole(one, path) == [(value,)]


def test_more_digits_than_a_decimal_has_are_rejected_and_not_rounded(feed: Callable[..., Feed]) -> None:
    one = feed(Column("n", "integer"), Column("price", "decimal", digits=(5, 2)))
    put(one, "a.csv", "n,price\n1,123.45\n2,1.005\n3,1234\n4,1.500\n5,1e2\n6,1e9\n")
    one.run()
    assert one.rows(columns=["n", "price"]) == [(1, Decimal("123.45")), (4, Decimal("1.50")), (5, Decimal(100))]
    assert one.quarantine("line, rule") == [(3, "out_of_range"), (4, "out_of_range"), (7, "out_of_range")]


def test_files_of_one_source_may_have_types_of_their_own(tmp_path: Path) -> None:
    tables = [
        {"n": pa.array([1]), "d": pa.array([Decimal("1.5")], pa.decimal128(5, 1)), "t": pa.array([1]), "x": [None]},
        {"n": pa.array([1.5]), "d": pa.array([Decimal("1.25")], pa.decimal128(5, 2)), "t": pa.array(["a"]), "x": [1]},
    ]
    paths = [tmp_path / f"{n}.parquet" for n in range(2)]
    for path, table in zip(paths, tables, strict=True):
        pq.write_table(pa.table(table), path)
    assert guessed(*paths) == {"n": "float", "d": "decimal(6,2)", "t": "text", "x": "integer"}


JSON_KINDS = [
    (["007", "1"], "text"),
    (["1", "2"], "text"),
    (["true", "false"], "text"),
    (["1.5", "2.5"], "text"),
    (["1e1", "0e0"], "text"),
    (["20240101", "20240102"], "text"),
    (['{"a":1}', "[1]"], "text"),
    (["31/01/2024", "13/02/2024"], "text"),
    (["2024-01-31", "2024-02-01"], "date"),
    (["2024-01-31T10:00:00", "2024-02-01T10:00:00"], "local_timestamp"),
    (["2024-01-31T10:00:00Z", "2024-02-01T10:00:00+02:00"], "timestamp"),
    (["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], "uuid"),
    ([1, 2], "integer"),
    ([10023456, 10023457], "integer"),
    ([1, 2.5], "decimal"),
    ([1.0, 2.0], "decimal"),
    ([1e300, 2.5e-7], "float"),
    ([2**63, 1], "decimal"),
    ([math.nan, 1.5], "float"),
    ([math.inf, -math.inf], "float"),
    ([True, False], "boolean"),
    ([True, True], "boolean"),
    ([{"a": 1}, [1]], "json"),
    ([{"a": 1}, 3], "json"),
    ([{"a": 1}, "x"], "text"),
    ([1, "1"], "text"),
    ([1, True], "text"),
    ([None, 1], "integer"),
    ([None, None], "text"),
]


@pytest.mark.parametrize(("values", "expected"), JSON_KINDS, ids=[str(values) for values, _ in JSON_KINDS])
def test_json_says_itself_what_is_a_number(tmp_path: Path, values: list[Any], expected: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"v": value, "n": 1}) + "\n" for value in values))
    assert guessed(path)["v"] == expected
    path.write_text(path.read_text() + '{"v":\n')  # then each line is read by itself
    assert guessed(path)["v"] == expected


def test_a_double_of_json_may_be_no_number(feed: Callable[..., Feed]) -> None:
    one = feed()
    path = put(one, "a.jsonl", '{"n":1,"f":NaN}\n{"n":2,"f":-Infinity}\n{"n":3,"f":0.5,"o":{"f":NaN}}\n')
    rows = whole(one, path)
    assert math.isnan(rows[0][1])
    assert [row[1:] for row in rows[1:]] == [(-math.inf, None), (0.5, {"f": "NaN"})]


def test_a_double_of_csv_may_be_no_number(feed: Callable[..., Feed]) -> None:
    one = feed()
    rows = whole(one, put(one, "a.csv", "n,f\n1,NaN\n2,-inf\n3,Infinity\n4,0.5\n"))
    assert math.isnan(rows[0][1])
    assert [f for _, f in rows[1:]] == [-math.inf, math.inf, 0.5]


CSV_COLUMNS = [
    ("customer_id", ["1", "2", "3"], "text"),
    ("Kundennummer", ["17", "18", "19"], "text"),
    ("emp_no", ["7", "8", "9"], "text"),
    ("CountryCode", ["49", "44", "1"], "text"),
    ("code_postal", ["75001", "13002", "69003"], "text"),
    ("PLZ", ["10115", "80331", "50667"], "text"),
    ("phone", ["3055501000", "8955501001", "415555"], "text"),
    ("version", ["1.1", "1.10", "2.0"], "text"),
    ("gtin", ["4006381333931", "5901234123457", "96385074"], "text"),
    ("x", ["10023456", "10023457", "10023999"], "text"),
    ("x", ["4006381333931", "96385074", "5901234123457", "4012345678901", "73513537"], "text"),
    ("x", [str(n) for n in range(48000, 48100)], "text"),
    ("x", [str(n) for n in range(100, 190)], "integer"),
    ("x", ["007", "8", "9"], "text"),
    ("amount", ["10023456", "10023457", "10023999"], "integer"),
    ("salary_eur", [str(n) for n in range(48000, 48100)], "integer"),
    ("line_no", ["1", "2", "3"], "integer"),
    ("year", ["2022", "2023", "2024"], "integer"),
    ("unix_ts", ["1704067200", "1704067201", "1704067205"], "integer"),
    ("item_count", ["1", "2", "3"], "integer"),
    ("order_total", ["1", "2", "3"], "integer"),
    ("geburtsdatum", ["12.05", "13.06", "01.07"], "text"),
    ("price", ["12.05", "13.06", "01.07"], "text"),
    ("price", ["12.05", "13.06", "1.07"], "decimal"),
    ("day", ["01/02/03", "04/05/06", "07/08/09"], "text"),
    ("day", ["10-11-12", "11-12-13", "12-01-14"], "text"),
    ("day", ["01/02/2024", "03/04/2024", "05/06/2024"], "text"),
    ("day", ["2024", "2025", "2026"], "integer"),
    ("at", ["2024-03-31 02:30", "2024-03-31 03:30", "2024-03-31 04:30"], "local_timestamp"),
    ("at", ["2024-03-31T02:30Z", "2024-03-31T03:30Z", "2024-03-31T04:30Z"], "timestamp"),
    ("at", ["31.03.2024 02:30", "31.03.2024 03:30", "31.03.2024 04:30"], "local_timestamp"),
]


@pytest.mark.parametrize(("name", "values", "expected"), CSV_COLUMNS)
def test_text_is_typed_where_nothing_is_lost(tmp_path: Path, name: str, values: list[str], expected: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"other,{name}\n" + "".join(f"x,{value}\n" for value in values))
    assert guessed(path)[name] == expected


def test_dates_that_could_be_read_two_ways_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("day,at\n01/02/2024,2024-01-01 10:00\n03/04/2024,2024-01-01T11:00Z\n")
    found = guesses(path)
    assert (found["day"].type, found["day"].either_order) == ("text", True)
    assert (found["at"].type, found["at"].zoneless) == ("timestamp", True)


def test_a_foreign_key_keeps_its_zeros_too(feed: Callable[..., Feed]) -> None:
    one = feed(Column("customer_id", "integer"), Column("n", "integer"))
    put(one, "1.csv", "customer_id,n\n7,007\n8.0,1\n")
    one.run()
    assert one.rows(columns=["customer_id", "n"]) == [(7, 7), (8, 1)]
    put(one, "2.csv", "customer_id,n\n007,1\n")
    one.load()
    with pytest.raises(SchemaDrift, match=r"1 identifiers \(customer_id\) are written with leading zeros"):
        one.build()


@pytest.mark.parametrize("type", ["decimal", "float"])
def test_a_key_of_another_number_type_keeps_its_zeros(feed: Callable[..., Feed], type: Any) -> None:
    one = feed(Column("nr", type), Column("v"), key=("nr",))
    put(one, "1.csv", "nr,v\n7,a\n")
    one.run()
    put(one, "2.csv", "nr,v\n007,b\n")
    one.load()
    with pytest.raises(SchemaDrift, match=r"1 keys \(nr\)"):
        one.build()


def test_what_a_timestamp_means_is_said_on_the_column(feed: Callable[..., Feed]) -> None:
    one = feed(
        Column("n", "integer"),
        Column("at", "timestamp", description="When it was sent."),
        Column("local", "local_timestamp"),
        timezone="Europe/Berlin",
    )
    put(one, "a.csv", "n,at,local\n1,2024-03-31 03:30,2024-03-31 02:30\n2,2024-03-31 02:30,2024-03-31 02:30\n")
    one.run()
    assert one.rows(columns=["n", "at", "local"]) == [
        (1, dt.datetime(2024, 3, 31, 1, 30, tzinfo=UTC), dt.datetime(2024, 3, 31, 2, 30))
    ]
    assert one.quarantine("line, rule") == [(3, "out_of_range")]  # the clocks of Berlin skip it
    comments = one.query(
        "SELECT col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = 'silver.things'::regclass"
        " AND attname IN ('at', 'local') ORDER BY attnum"
    )
    assert comments == [
        ("When it was sent. With time zone; where the source has no offset, its times are those of Europe/Berlin.",),
        ("Without time zone: the clock as the source has it.",),
    ]


@pytest.mark.parametrize(
    "blobs",
    [
        pa.array([{"b": b"ada.example@mail.example"}] * 3, pa.struct([("b", pa.binary())])),
        pa.array([b"ada.example@mail.example"] * 3).dictionary_encode(),
        pa.array([b"ada.example@mail.example"] * 3, pa.binary(24)),
        pa.array([[b"ada.example@mail.example"]] * 3, pa.list_(pa.binary())),
        pa.array([b"Dear all,\r\nwrite to ada.example@mail.example\n"] * 3),
    ],
    ids=["in a struct", "in a dictionary", "of fixed size", "in a list", "of lines"],
)
def test_bytes_that_are_text_are_found_wherever_they_are(feed: Callable[..., Feed], blobs: pa.Array) -> None:
    one = feed(Column("id", "integer"), Column("blob", action=None))
    parquet(one, {"id": [1, 2, 3], "blob": blobs})
    one.run()
    assert "ada.example@mail.example" in str(one.rows("bronze", ["blob"]))
    assert "ada.example" not in str(one.rows(columns=["id", "blob"]))


def test_a_column_without_a_value_keeps_its_type(tmp_path: Path) -> None:
    columns = {
        "n": pa.array([1]),
        "at": pa.array([None], pa.timestamp("us")),
        "p": pa.array([None], pa.decimal128(5, 2)),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert guessed(tmp_path / "a.parquet") == {"n": "integer", "at": "local_timestamp", "p": "decimal(5,2)"}
