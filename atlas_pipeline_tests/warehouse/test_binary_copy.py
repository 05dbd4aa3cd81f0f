"""Rows that are sent in the binary format of COPY are those that Postgres makes of their text."""

from collections.abc import Iterator, Sequence
from datetime import UTC, timedelta, timezone

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from pyarrow import csv as arrow_csv

from atlas_pipeline.ingest.types import POSTGRES_TYPE, ColumnType, cast
from atlas_pipeline.warehouse.binary_copy import SIGNATURE, TRAILER, binary_rows

pytestmark = pytest.mark.slow

offsets = st.integers(-15 * 60, 15 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=st.none() | st.just(UTC) | offsets)
small = st.decimals(min_value=-(10**9), max_value=10**9, places=3).map(str)
TEXTS: dict[ColumnType, st.SearchStrategy[str]] = {
    "text": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    "integer": st.integers(-(2**63), 2**63 - 1).map(str) | st.integers(-9, 9).map("{:+04}".format),
    "decimal": small
    | st.decimals(allow_nan=False, allow_infinity=False).map(str)
    | st.from_regex(r"-?[0-9]{1,16}\.[0-9]{0,16}", fullmatch=True)
    | st.integers(-99_999_999, 99_999_999).map(str),
    "float": st.floats().map(str) | st.from_regex(r"-?[0-9]{1,5}\.[0-9]{1,5}", fullmatch=True),
    "real": st.floats(width=32).map(str) | st.from_regex(r"-?[0-9]{1,5}\.[0-9]{1,5}", fullmatch=True),
    "boolean": st.sampled_from(["true", "no", "1", "F"]),
    "date": st.dates().map(str),
    "timestamp": st.tuples(moments, st.sampled_from("T ")).map(lambda pair: pair[0].isoformat(pair[1])),
    "local_timestamp": st.datetimes().map(str) | st.datetimes().map(lambda moment: moment.isoformat()[:16]),
    "time": st.times().map(str),
    "interval": st.sampled_from(["1 day", "P1Y2M", "-03:04:05", "12 seconds"]),
    "uuid": st.uuids().map(str) | st.uuids().map(lambda id: f"{{{id}}}".upper()),
    "json": st.sampled_from(["{}", '{"a": [1, "x\\u00e9", null]}', "null", '"text"', "1.50"]),
}
ALWAYS: tuple[ColumnType, ...] = ("text", "integer", "boolean", "date", "local_timestamp", "time", "uuid", "json")
"""Of these nothing is left to Postgres."""


@pytest.fixture(scope="module")
def connection(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_dsn) as connection:
        yield connection


def stored(
    connection: psycopg.Connection,
    types: dict[str, str],
    columns: Sequence[str],
    format: str,
    parts: Sequence[bytes | pa.Buffer],
) -> list[tuple[object, ...]]:
    """What is in the table: the text of each column, and whether it is null, in the order of the rows."""
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    declared = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in types.items())
    connection.execute(sql.SQL("CREATE TEMP TABLE rows ({})").format(declared))
    with connection.cursor().copy(
        sql.SQL("COPY rows ({}) FROM STDIN (FORMAT {})").format(names, sql.SQL(format))
    ) as copy:
        for part in parts:
            copy.write(part)
    texts = sql.SQL(", ").join(sql.SQL("{0}::text, {0} IS NULL").format(sql.Identifier(name)) for name in types)
    rows = connection.execute(sql.SQL("SELECT {} FROM rows").format(texts)).fetchall()
    connection.rollback()
    return rows


def check(connection: psycopg.Connection, table: pa.Table, types: dict[str, str]) -> bool:
    """Compare both ways. Returns whether the rows could be encoded."""
    text = pa.BufferOutputStream()
    arrow_csv.write_csv(table, text, arrow_csv.WriteOptions(include_header=False))
    by_text = stored(connection, types, table.column_names, "csv", (text.getvalue(),))
    encoded = binary_rows(table, types)
    if encoded is None:
        return False
    assert set(encoded.columns) == set(types)
    parts = (SIGNATURE, encoded.body, TRAILER)
    assert stored(connection, types, encoded.columns, "binary", parts) == by_text
    again = binary_rows(table.slice(0, 0), types, encoded.loose)
    assert again is None or again.columns == encoded.columns
    return True


@pytest.mark.parametrize("type", TEXTS)
@settings(max_examples=60, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data(), zone=st.sampled_from(["UTC", "Europe/Copenhagen", "Asia/Kolkata"]))
def test_a_column_of_any_type(connection: psycopg.Connection, type: ColumnType, data: st.DataObject, zone: str) -> None:
    """With nulls and without; what does not fit the type is not sent."""
    values = TEXTS[type] if data.draw(st.booleans()) else TEXTS[type] | st.none()
    texts = data.draw(st.lists(values, max_size=30))
    done = cast(pa.array(texts, pa.string()), type, timezone=zone)
    table = pa.table({"n": pa.array(range(len(texts)), pa.int64()), "v": done.values})
    encoded = check(connection, table, {"n": "bigint", "v": POSTGRES_TYPE[type]})
    assert encoded or type not in ALWAYS


@settings(max_examples=40, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_columns_beside_each_other(connection: psycopg.Connection, data: st.DataObject) -> None:
    """Those with nulls come after those without, and a part of a table is not the whole."""
    kinds = data.draw(st.lists(st.sampled_from(ALWAYS), max_size=8))
    size = data.draw(st.integers(0, 20))
    arrays = {}
    for at, kind in enumerate(kinds):
        values = TEXTS[kind] if data.draw(st.booleans()) else TEXTS[kind] | st.none()
        texts = data.draw(st.lists(values, min_size=size, max_size=size))
        arrays[f"c{at}"] = cast(pa.array(texts, pa.string()), kind).values
    types = {f"c{at}": POSTGRES_TYPE[kind] for at, kind in enumerate(kinds)} | {"n": "bigint"}
    table = pa.table(arrays | {"n": pa.array(range(size), pa.int64())}).slice(data.draw(st.integers(0, size)))
    assert check(connection, table, types)


@pytest.mark.parametrize(
    "text", ["0", "0.000", "-0.00", "-0.5", "12.50", "10000", "99999999.99999999", "123456.7890123"]
)
def test_usual_numbers_are_encoded_with_the_places_that_they_have(connection: psycopg.Connection, text: str) -> None:
    for type in ("numeric", "numeric(24,13)"):
        assert check(connection, pa.table({"v": pa.array([text, "1", None])}), {"v": type})


def test_what_has_rules_of_its_own_is_left_to_postgres() -> None:
    texts = {
        "numeric": ["1e5", "NaN", "1" * 40, "0." + "1" * 20, "Infinity"],
        "double precision": ["NaN", "-Infinity"],
        "interval": ["1 day"],
        "timestamptz": ["1890-01-01T00:00:00+00:53:28"],
    }
    for type, values in texts.items():
        for text in values:
            assert (
                binary_rows(pa.table({"v": pa.array(["1", text] if type == "numeric" else [text])}), {"v": type})
                is None
            )
