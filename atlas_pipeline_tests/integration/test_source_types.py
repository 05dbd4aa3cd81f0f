"""Types as the source has them, from file to silver: what was read wrong once, and its neighbours."""

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.infer import Inference, infer
from atlas_pipeline.ingest.readers import read
from atlas_pipeline.ingest.silver import SchemaDrift
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline_tests.integration.conftest import Feed


@pytest.fixture
def feed(warehouse: psycopg.Connection, warehouse_url: str, tmp_path: Path) -> Callable[..., Feed]:
    """A dataset of the test's own, with these columns."""

    def make(*columns: Column, **options: Any) -> Feed:
        return Feed(warehouse, warehouse_url, tmp_path, Dataset("things", FileSource("things/*"), columns, **options))

    return make


def silver(feed: Feed) -> list[tuple]:
    return feed.rows(columns=[column.name for column in feed.dataset.columns])


def guess(path: Path) -> Inference:
    with path.open("rb") as stream:
        return infer(read(stream, path.name))


def guessed(path: Path) -> dict[str, str]:
    return {column.name: column.type for column in guess(path).columns}


def parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, **options)
    return path


@pytest.mark.parametrize("year", [1, 1600, 1816, 1969, 2024, 2262, 2263, 9999])
def test_int96_has_the_date_that_was_written(feed: Callable[..., Feed], year: int) -> None:
    one = feed(Column("id", "integer"), Column("at", "timestamp"))
    moment = dt.datetime(year, 12, 31, 23, 59, 59, 123456)
    columns = {"id": [1], "at": pa.array([moment], pa.timestamp("us"))}
    parquet(one.settings.landing_path / "things" / "a.parquet", columns, use_deprecated_int96_timestamps=True)
    one.run()
    assert one.rows("bronze", ["at"]) == [(f"{moment:%Y}".zfill(4) + f"{moment:-%m-%d %H:%M:%S.%f}",)]
    assert silver(one) == [(1, moment.replace(tzinfo=dt.UTC))]


def test_double_precision_holds_what_is_not_finite(feed: Callable[..., Feed]) -> None:
    one = feed(Column("id", "integer"), Column("f", "float"))
    values = [math.nan, math.inf, -math.inf, 3.5]
    path = parquet(one.settings.landing_path / "things" / "a.parquet", {"id": [1, 2, 3, 4], "f": values})
    assert guessed(path) == {"id": "integer", "f": "float"}
    one.run()
    found = [value for _, value in sorted(silver(one))]
    assert math.isnan(found[0])
    assert found[1:] == values[1:]


def test_what_the_source_types_as_a_string_stays_text(tmp_path: Path) -> None:
    columns = {"plant": ["100", "0e0", "1e1"], "day": ["2024-01-01"] * 3, "flag": ["true"] * 3, "n": [1, 2, 3]}
    assert guessed(parquet(tmp_path / "a.parquet", columns)) == {
        "plant": "text",
        "day": "text",
        "flag": "text",
        "n": "integer",
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([*(str(n) for n in range(48000, 48100)), "48E13", "12E5"], "text"),
        (["12e5", "13e5"], "text"),
        (["1.5e3", "2.5e-3"], "float"),
        (["007", "008"], "text"),
        (["20240101", "20240102", "20240103"], "text"),
        (["17", "18"], "integer"),
    ],
)
def test_identifiers_are_text(tmp_path: Path, values: list[str], expected: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("part,n\n" + "".join(f"{value},1\n" for value in values))
    assert guessed(path)["part"] == expected


def test_a_day_without_separators_is_a_date_where_the_header_agrees(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("order_date,invoice_no\n20240101,20240101\n20240102,20240102\n")
    assert guessed(path) == {"order_date": "date", "invoice_no": "text"}


@pytest.mark.parametrize("written", ["007", "+7", "7.0"])
def test_a_key_that_would_be_another_row_s_stops_silver(feed: Callable[..., Feed], written: str) -> None:
    one = feed(Column("emp_no", "integer"), Column("dept"), key=("emp_no",))
    one.land("things/1.csv", "emp_no,dept\n7,10\n8,20\n")
    one.run()
    one.land("things/2.csv", f"emp_no,dept\n{written},30\n9,5\n")
    one.load()
    with pytest.raises(SchemaDrift, match=r"1 keys \(emp_no\) are written with leading zeros"):
        one.build()
    assert silver(one) == [(7, "10"), (8, "20")]
    one.dataset = replace(one.dataset, columns=(Column("emp_no"), Column("dept")))
    one.build()
    assert sorted(silver(one)) == sorted([("7", "10"), ("8", "20"), (written, "30"), ("9", "5")])


def test_bytes_that_are_text_are_looked_at_as_text(feed: Callable[..., Feed]) -> None:
    one = feed(Column("id", "integer"), Column("blob", action=None))
    blobs = [b"ada.example@mail.example", b"\x00\xff", "Köln".encode()]
    parquet(one.settings.landing_path / "things" / "a.parquet", {"id": [1, 2, 3], "blob": blobs})
    one.run()
    assert one.rows("bronze", ["blob"]) == [("ada.example@mail.example",), ("\\x00ff",), ("Köln",)]
    assert "ada.example@mail.example" not in str(silver(one))


def test_a_key_that_is_there_twice_is_rejected_by_rule(feed: Callable[..., Feed]) -> None:
    one = feed(Column("id", "integer"), Column("v"))
    one.land("things/a.jsonl", '{"id":1,"v":"first","v":"second"}\n{"id":2,"v":"x"}\n{"id":3,"v":{"a":1,"a":2}}\n')
    one.run()
    assert silver(one) == [(2, "x")]
    rules = one.connection.execute("SELECT line, rule FROM quarantine.things ORDER BY line").fetchall()
    assert rules == [(1, "duplicate_key"), (3, "duplicate_key")]


def test_each_text_column_that_gets_null_words_has_them_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("country,pop\nNA,2.6\nDE,NA\n")
    words = {column.name: column.null_values for column in guess(path).columns}
    assert words == {"country": ("NA",), "pop": ("NA",)}
