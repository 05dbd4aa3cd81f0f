"""Verifying a contract on real tables: each type of check, each way that it can end, and what may happen meanwhile."""

import gc
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from atlas_pipeline.quality.contract import read_contract
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.quality.verification import verify
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import OWNER, WarehouseError, connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres

CANARY = "canary-4711"
THINGS = f"""
CREATE TABLE silver.moods AS SELECT * FROM (VALUES ('good'), ('bad')) v (mood);
CREATE TABLE silver.things (id int, mood text, amount numeric, code text, at timestamptz, day date, twice int);
INSERT INTO silver.things VALUES
    (1, 'good', 10, 'AB1', '2030-01-01 00:00+00', '2030-01-01'),
    (2, 'good', 20, 'AB2', '2030-01-01 06:00+00', '2030-01-01'),
    (3, 'bad', 20, 'x', '2030-01-01 12:00+00', '2030-01-01'),
    (4, NULL, NULL, NULL, NULL, NULL),
    (5, '{CANARY}', -2, 'AB1', '2030-01-01 18:00+00', '2030-01-01');
"""
SURROUNDINGS = f"""
CREATE TABLE staging.silver__things AS SELECT * FROM silver.things WHERE id < 3;
CREATE TABLE silver.canaries AS SELECT 1 AS id, '{CANARY}' AS mood;
CREATE TABLE silver.things_old AS SELECT 1;
CREATE TABLE bronze.things AS SELECT 1;
CREATE SEQUENCE silver.numbers;
CREATE FUNCTION silver.adds() RETURNS int LANGUAGE sql AS
    'INSERT INTO silver.things (id) VALUES (9) RETURNING id';
CREATE FUNCTION silver.raises(said text) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no %', said USING ERRCODE = '42703'; END $$;
"""
MOODS = {"dataset": "atlas/atlas/silver/moods", "column": "mood"}
WHEN = {"when": {"default": "2030-01-02T00:00:00+00:00"}}
Checks = list[dict[str, Any]]


def write(path: Path, checks: Checks | None = None, table: str = "things", **rest: Any) -> Path:
    """A contract of `silver.<table>`; `columns` are checks by column."""
    columns: dict[str, Any] = rest.pop("columns", {})
    holders = [
        {"name": name, **(body if isinstance(body, dict) else {"checks": body})} for name, body in columns.items()
    ]
    parts = {**rest, **({"checks": checks} if checks else {}), "columns": holders}
    path = path / "contract.yml"
    path.write_text(f"dataset: atlas/atlas/silver/{table}\n{yaml.safe_dump(parts, sort_keys=False)}")
    return path


def run(path: Path, url: str, schema: str = "silver", table: str = "things", **how: Any) -> dict[str, Outcome]:
    return {one.check.path: one for one in verify(read_contract(path), url, schema, table, **how)}


@pytest.fixture
def things(warehouse: psycopg.Connection) -> psycopg.Connection:
    warehouse.execute(THINGS)
    warehouse.commit()
    return warehouse


@pytest.fixture(scope="module")
def url(postgres: EmbeddedPostgres) -> str:
    """A warehouse with the things, for tests that only read."""
    with connect(postgres.url(SUPERUSER, SUPERUSER), autocommit=True) as administrator:
        administrator.execute(f"CREATE DATABASE read_only OWNER {OWNER}")
    found = postgres.url("read_only", OWNER)
    with connect(found) as connection:
        prepare_warehouse(connection)
        connection.execute(THINGS + SURROUNDINGS)
    return found


# Where it stands, its type, its body; then what is measured, of how many rows, and how many of them are faulty.
Case = tuple[str | None, str, dict[str, Any], float, int | None, int | None]
PERCENT = {"threshold": {"metric": "percent"}}
CASES: dict[str, Case] = {
    "row count": (None, "row_count", {}, 5, None, None),
    "row count of some": (None, "row_count", {"filter": "amount > 0"}, 3, None, None),
    "missing": ("mood", "missing", {}, 1, 5, 1),
    "missing values": ("mood", "missing", {"missing_values": ["bad", "it's"]}, 2, 5, 2),
    "missing format": ("code", "missing", {"missing_format": {"regex": "^x$", "name": "x"}}, 2, 5, 2),
    "missing percent": ("mood", "missing", PERCENT, 20, 5, 1),
    "missing of some": ("mood", "missing", {"filter": "id > 2"}, 1, 3, 1),
    "missing of none": ("mood", "missing", {"filter": "id > 99"}, 0, 0, 0),
    "valid values": ("mood", "invalid", {"valid_values": ["good", "bad"]}, 1, 5, 1),
    "invalid values": ("mood", "invalid", {"invalid_values": ["good"]}, 2, 5, 2),
    "valid min": ("amount", "invalid", {"valid_min": 0}, 1, 5, 1),
    "valid max": ("amount", "invalid", {"valid_max": 10}, 2, 5, 2),
    "valid range": ("amount", "invalid", {"valid_min": 0, "valid_max": 10}, 3, 5, 3),
    "valid length": ("code", "invalid", {"valid_length": 3}, 1, 5, 1),
    "valid min length": ("code", "invalid", {"valid_min_length": 2}, 1, 5, 1),
    "valid max length": ("code", "invalid", {"valid_max_length": 2}, 3, 5, 3),
    "valid format": ("code", "invalid", {"valid_format": {"regex": "^[A-Z]{2}[0-9]$", "name": "c"}}, 1, 5, 1),
    "invalid format": ("code", "invalid", {"invalid_format": {"regex": "%|^AB", "name": "c"}}, 3, 5, 3),
    "reference data": ("mood", "invalid", {"valid_reference_data": MOODS}, 1, 5, 1),
    "invalid percent": ("mood", "invalid", {"valid_values": ["good", "bad"], **PERCENT}, 20, 5, 1),
    "invalid of some": ("mood", "invalid", {"valid_values": ["good"], "filter": "id < 4"}, 1, 3, 1),
    "duplicate": ("code", "duplicate", {}, 1, 5, 1),
    "duplicate percent": ("code", "duplicate", PERCENT, 25, 5, 1),
    "duplicate of some": ("code", "duplicate", {"filter": "id < 4"}, 0, 3, 0),
    "duplicate of columns": (None, "duplicate", {"columns": ["amount", "day"]}, 1, 5, 1),
    "duplicate of columns, percent": (None, "duplicate", {"columns": ["amount", "day"], **PERCENT}, 20, 5, 1),
    "duplicate of columns of some": (None, "duplicate", {"columns": ["mood"], "filter": "id <> 2"}, 0, 4, 0),
    "average": ("amount", "aggregate", {"function": "avg"}, 12, None, None),
    "sum": ("amount", "aggregate", {"function": "sum"}, 48, None, None),
    "min": ("amount", "aggregate", {"function": "min"}, -2, None, None),
    "max of some": ("amount", "aggregate", {"function": "max", "filter": "id < 2"}, 10, None, None),
    "average length": ("code", "aggregate", {"function": "avg_length"}, 2.5, None, None),
    "metric expression": (None, "metric", {"expression": "sum(amount) / count(*)"}, 9.6, None, None),
    "metric query": (None, "metric", {"query": "SELECT max(id) FROM silver.things"}, 5, None, None),
    "rows by expression": (None, "failed_rows", {"expression": "amount < 0 OR mood IS NULL"}, 2, 5, 2),
    "rows percent": (None, "failed_rows", {"expression": "amount < 0", **PERCENT}, 20, 5, 1),
    "rows of some": (None, "failed_rows", {"expression": "amount > 0", "filter": "id > 2"}, 1, 3, 1),
    "rows by query": (None, "failed_rows", {"query": "SELECT * FROM silver.things WHERE id > 3"}, 2, 5, 2),
    "rows by keys": (None, "failed_rows", {"keys_query": "SELECT id FROM silver.things WHERE id > 3;"}, 2, 5, 2),
    "rows of tested": (
        None,
        "failed_rows",
        {"query": "SELECT id FROM silver.things WHERE id > 3", "rows_tested_query": "SELECT 4", **PERCENT},
        50,
        4,
        2,
    ),
    "freshness": (None, "freshness", {"column": "at", "now_variable": "when"}, 6, None, None),
    "freshness in minutes": (
        None,
        "freshness",
        {"column": "at", "now_variable": "when", "threshold": {"unit": "minute"}},
        360,
        None,
        None,
    ),
    "freshness of a date": (
        None,
        "freshness",
        {"column": "day", "now_variable": "when", "threshold": {"unit": "day"}},
        1,
        None,
        None,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_check_passes_warns_and_fails(case: Case, url: str, tmp_path: Path) -> None:
    column, kind, body, measured, tested, failed = case
    ways = {
        "passes": {"must_be": measured},
        "warns": {"must_not_be": measured, "level": "warn"},
        "fails": {"must_not_be": measured},
        "two": {"must_be": measured, "additional": {"must_not_be": measured, "level": "warn"}},
        "turned": {"must_not_be": measured, "level": "warn", "additional": {"must_be": measured, "level": "fail"}},
        "both": {"must_not_be": measured, "additional": {"must_be": measured + 1, "level": "warn"}},
    }
    checks = [
        {kind: {**body, "qualifier": way, "threshold": {**body.get("threshold", {}), **threshold}}}
        for way, threshold in ways.items()
    ]
    columns = {column: checks} if column else {"id": []}
    columns = {name: own or {} for name, own in columns.items()}
    path = write(tmp_path, [] if column else checks, columns=columns, variables=WHEN)
    found = {path.rsplit(".", 1)[-1]: one for path, one in run(path, url).items()}

    assert {way: (one.status, one.severity, one.blocks) for way, one in found.items()} == {
        "passes": ("passed", "error", False),
        "warns": ("warned", "warn", False),
        "fails": ("failed", "error", True),
        "two": ("warned", "warn", False),
        "turned": ("warned", "warn", False),
        "both": ("failed", "error", True),
    }
    assert {(one.measured, one.rows_tested, one.rows_failed) for one in found.values()} == {(measured, tested, failed)}
    number = f"{measured:g}"
    assert found["passes"].problem is None
    assert found["passes"].threshold == f"= {measured}"
    assert found["warns"].problem == f"measured {number}, expected != {measured} (warn)"
    assert found["fails"].problem == f"measured {number}, expected != {measured}"
    assert found["two"].threshold == f"= {measured} and != {measured} (warn)"
    assert found["turned"].threshold == found["two"].threshold
    assert found["both"].threshold == f"!= {measured} and = {measured + 1} (warn)"


@pytest.mark.parametrize(
    ("threshold", "text", "passes"),
    [
        ({"must_be_greater_than": 5}, "> 5", False),
        ({"must_be_greater_than_or_equal": 5}, ">= 5", True),
        ({"must_be_less_than": 5}, "< 5", False),
        ({"must_be_less_than_or_equal": 5}, "<= 5", True),
        ({"must_be_between": {"greater_than": 4, "less_than_or_equal": 5}}, "4 < value <= 5", True),
        ({"must_be_not_between": {"less_than": 4, "greater_than": 6}}, "value < 4 or 6 < value", False),
    ],
)
def test_a_threshold_is_worded(threshold: dict[str, Any], text: str, passes: bool, url: str, tmp_path: Path) -> None:
    (found,) = run(write(tmp_path, [{"row_count": {"threshold": threshold}}]), url).values()
    assert (found.passed, found.threshold) == (passes, text)
    assert found.problem == (None if passes else f"measured 5, expected {text}")


def test_a_large_number_is_shown_to_the_last_digit(url: str, tmp_path: Path) -> None:
    checks = [
        {"metric": {"qualifier": "a", "expression": "1234567890 + 0 * count(*)", "threshold": {"must_be": 1234567891}}},
        {"metric": {"qualifier": "b", "expression": "avg(99.9999999)", "threshold": {"must_be": 100}}},
    ]
    large, near = run(write(tmp_path, checks), url).values()
    assert large.problem == "measured 1234567890, expected = 1234567891"
    assert near.problem == "measured 99.9999999, expected = 100"


@pytest.mark.parametrize(
    ("body", "columns", "problem"),
    [
        ({}, ["id", "mood", "amount", "code", "at", "day", "twice"], None),
        ({}, ["id", "mood", "amount", "code", "at", "twice"], "column day was not expected"),
        ({"allow_extra_columns": True}, ["id", "mood"], None),
        ({"allow_extra_columns": True}, ["id", "nope"], "column nope is missing"),
        ({"allow_extra_columns": True}, ["mood", "id"], "the columns are in another order"),
        ({"allow_extra_columns": True, "allow_other_column_order": True}, ["mood", "id"], None),
    ],
)
def test_the_schema(body: dict[str, Any], columns: list[str], problem: str | None, url: str, tmp_path: Path) -> None:
    path = write(tmp_path, [{"schema": body}], columns={name: {} for name in columns})
    (found,) = run(path, url).values()
    assert (found.passed, found.problem, found.blocks) == (problem is None, problem, problem is not None)
    assert (found.rows_tested, found.rows_failed) == (None, None)


def test_the_schema_has_types(url: str, tmp_path: Path) -> None:
    columns = {"id": {"data_type": "integer"}, "mood": {"data_type": "integer"}, "amount": {"data_type": "numeric"}}
    path = write(tmp_path, [{"schema": {"allow_extra_columns": True}}], columns=columns)
    (found,) = run(path, url).values()
    assert found.problem == "column mood is text, expected integer"
    assert found.measured == 1


NO_COLUMN = 'Postgres: column "nope" does not exist'
ERRORS: dict[str, tuple[str | None, str, dict[str, Any], str]] = {
    "row count": (None, "row_count", {"filter": "nope > 1"}, NO_COLUMN),
    "missing": ("mood", "missing", {"filter": "nope > 1"}, NO_COLUMN),
    "missing, no such column": ("nope", "missing", {}, NO_COLUMN),
    "missing, type": ("id", "missing", {"missing_values": ["-"]}, "Postgres: invalid|Postgres refused it"),
    "invalid": ("mood", "invalid", {"valid_min": 3}, "Postgres: operator does not exist: text < integer"),
    "invalid, regex": (
        "code",
        "invalid",
        {"valid_format": {"regex": "a{2,1}", "name": "x"}},
        "InvalidRegularExpression",
    ),
    "reference data, no table": (
        "mood",
        "invalid",
        {"valid_reference_data": {"dataset": "atlas/atlas/silver/gone", "column": "mood"}},
        'Postgres: relation "silver.gone" does not exist',
    ),
    "reference data, no column": (
        "mood",
        "invalid",
        {"valid_reference_data": {**MOODS, "column": "nope"}},
        "Postgres: column R.nope does not exist",
    ),
    "reference data, type": (
        "id",
        "invalid",
        {"valid_reference_data": MOODS},
        "Postgres: operator does not exist: integer = text",
    ),
    "duplicate": ("mood", "duplicate", {"filter": "nope > 1"}, NO_COLUMN),
    "duplicate, columns": (None, "duplicate", {"columns": ["id", "nope"]}, NO_COLUMN),
    "aggregate": ("mood", "aggregate", {"function": "sum"}, r"Postgres: function sum\(text\) does not exist"),
    "metric expression": (None, "metric", {"expression": "sum(nope)"}, NO_COLUMN),
    "metric, by zero": (None, "metric", {"expression": "sum(1 / (id - 1))"}, r"refused it \(DivisionByZero\)"),
    "metric, no aggregate": (None, "metric", {"expression": "amount"}, "must appear in the GROUP BY clause"),
    "metric query": (None, "metric", {"query": "SELECT 1 FORM x y"}, 'Postgres: syntax error at or near "x"'),
    "metric, no query": (None, "metric", {"query": "SHOW work_mem"}, "it is no query: expected SELECT"),
    "metric, no rows": (None, "metric", {"query": "SELECT 1 WHERE false"}, "nothing to measure"),
    "metric, no number": (None, "metric", {"query": "SELECT max(mood) FROM silver.things"}, "no finite number"),
    "rows by expression": (None, "failed_rows", {"expression": "mood::int > 1"}, "InvalidTextRepresentation"),
    "rows by expression, by zero": (None, "failed_rows", {"expression": "1 / (id - 1) > 1"}, "DivisionByZero"),
    "rows by query": (None, "failed_rows", {"query": "SELECT nope FROM silver.things"}, NO_COLUMN),
    "rows by keys": (None, "failed_rows", {"keys_query": "SELECT id FROM silver.gone"}, '"silver.gone" does not exist'),
    "freshness": (None, "freshness", {"column": "at", "filter": "nope > 1"}, NO_COLUMN),
}


@pytest.mark.parametrize("case", ERRORS.values(), ids=ERRORS.keys())
def test_what_postgres_refuses_takes_no_other_check_along(
    case: tuple[str | None, str, dict[str, Any], str], url: str, tmp_path: Path
) -> None:
    column, kind, body, problem = case
    if kind in ("aggregate", "metric", "freshness"):
        body = {**body, "threshold": {"must_be": 0}}
    bad: Checks = [{kind: {"qualifier": "bad", **body}}]
    columns: dict[str, Any] = {
        name: [
            {"missing": {"threshold": {"must_be_less_than": 3}}},
            {"invalid": {"invalid_values": ["none of these"]}},
            {"duplicate": {"threshold": {"must_be_less_than": 3}}},
            {"aggregate": {"function": "max_length", "threshold": {"must_be_greater_than": 1}}},
        ]
        for name in ("mood", "code")
    }
    if column:
        columns[column] = [*columns.get(column, []), *bad]
    checks: Checks = [
        {"row_count": {}},
        {"metric": {"query": "SELECT 1", "threshold": {"must_be": 1}}},
        {"failed_rows": {"expression": "id > 5"}},
        {"failed_rows": {"qualifier": "query", "query": "SELECT 1 WHERE false"}},
        {"freshness": {"column": "at", "now_variable": "when", "threshold": {"must_be_less_than": 9}}},
        *([] if column else bad),
    ]
    found = run(write(tmp_path, checks, columns=columns, variables=WHEN), url)
    assert len(found) == 14
    (refused,) = [one for one in found.values() if not one.passed]
    assert refused.check.path.endswith(".bad")
    assert (refused.status, refused.severity, refused.blocks) == ("not evaluated", "error", True)
    assert (refused.measured, refused.rows_tested, refused.rows_failed) == (None, None, None)
    assert refused.problem is not None
    assert any(part in refused.problem.replace("\\", "") for part in problem.replace("\\", "").split("|"))
    assert CANARY not in refused.problem


def test_all_checks_are_refused_when_the_filter_of_the_contract_is(url: str, tmp_path: Path) -> None:
    path = write(
        tmp_path, [{"row_count": {}}], filter="nope > 1", columns={"mood": [{"missing": {}}, {"duplicate": {}}]}
    )
    assert {(one.status, one.problem) for one in run(path, url).values()} == {("not evaluated", NO_COLUMN)}


SAYS_VALUES = [
    "mood::int > 1",
    "mood::regclass IS NULL",
    "mood::regtype IS NULL",
    "to_tsquery('simple', mood || ' ' || mood) IS NULL",
    "(mood || ' ]')::jsonpath IS NULL",
    "current_setting(mood) IS NULL",
    "has_table_privilege(mood, 'SELECT')",
    "query_to_xml('SELECT ' || quote_ident(mood), true, true, '') IS NULL",
    "silver.raises(mood)",
    "mood::json IS NULL",
    "mood::timestamptz IS NULL",
    "date_trunc(mood, now()) IS NULL",
    "nextval(mood) > 1",
    "'a' ~ (mood || '(')",
]


@pytest.mark.parametrize("expression", SAYS_VALUES)
@pytest.mark.parametrize("form", ["expression", "query"])
def test_no_value_of_a_row_is_said(
    expression: str,
    form: str,
    url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="soda")
    said = expression if form == "expression" else f"SELECT id FROM silver.canaries WHERE {expression}"
    checks: Checks = [
        {"failed_rows": {form: said}},
        {"metric": {"query": "SELECT mood FROM silver.canaries", "threshold": {"must_be": 1}}},
        {"row_count": {}},
    ]
    columns = {"mood": [{"invalid": {"valid_values": ["good"]}}, {"missing": {}}]}
    found = run(write(tmp_path, checks, columns=columns), url, table="canaries", key=["id"])
    assert found["checks.failed_rows"].status == "not evaluated"
    assert found["checks.row_count"].passed
    assert found["columns.mood.checks.invalid"].rows_failed == 1
    assert CANARY not in repr(found)
    assert not [record for record in caplog.records if CANARY in record.getMessage() or CANARY in str(record.exc_text)]
    assert not [record for record in caplog.records if record.name.startswith("soda")]
    assert CANARY not in "".join(capfd.readouterr())


def test_an_empty_table(warehouse: Any, warehouse_url: str, tmp_path: Path) -> None:
    warehouse.execute(THINGS + "DELETE FROM silver.things")
    warehouse.commit()
    checks: Checks = [
        {"schema": {"allow_extra_columns": True}},
        {"row_count": {}},
        {"duplicate": {"columns": ["id", "mood"]}},
        {"failed_rows": {"expression": "amount < 0"}},
        {"failed_rows": {"qualifier": "q", "query": "SELECT * FROM silver.things"}},
        {"metric": {"expression": "sum(amount)", "threshold": {"must_be": 0}}},
        {"freshness": {"column": "at", "threshold": {"must_be_less_than": 9}}},
        {"freshness": {"qualifier": "w", "column": "at", "threshold": {"must_be_less_than": 9, "level": "warn"}}},
    ]
    of_mood: Checks = [
        {"missing": {"threshold": {"metric": "percent"}}},
        {"invalid": {"valid_values": ["good"]}},
        {"invalid": {"qualifier": "reference", "valid_reference_data": MOODS}},
        {"duplicate": {}},
    ]
    amount: Checks = [{"aggregate": {"function": "avg", "threshold": {"must_be": 0}}}]
    found = run(write(tmp_path, checks, columns={"mood": of_mood, "amount": amount}), warehouse_url, key=["id"])
    assert {path: one.status for path, one in found.items() if not one.passed} == {
        "checks.row_count": "failed",
        "checks.metric": "not evaluated",
        "checks.freshness": "failed",
        "checks.freshness.w": "failed",
        "columns.amount.checks.aggregate": "not evaluated",
    }
    assert found["checks.row_count"].measured == 0
    assert found["columns.mood.checks.missing"].rows_tested == 0
    assert found["checks.freshness"].problem == "there is no time to measure from: no rows, or none with a time"
    assert found["checks.freshness"].blocks
    assert not found["checks.freshness.w"].blocks


@pytest.mark.slow
def test_a_table_of_1000_columns_with_2500_checks(warehouse: Any, warehouse_url: str, tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(1000)]
    warehouse.execute(f"CREATE TABLE silver.wide ({', '.join(f'{name} int' for name in names)})")
    warehouse.execute("INSERT INTO silver.wide (c0, c1, c999) VALUES (1, 1, 1), (1, 2, NULL)")
    warehouse.commit()
    columns: dict[str, Checks] = {name: [{"missing": {}}, {"invalid": {"valid_max": 1}}] for name in names}
    for name in names[:500]:
        columns[name].append({"duplicate": {}})
    columns["c7"][1] = {"invalid": {"valid_max": 1, "filter": "1 / 0 = 1"}}
    found = run(write(tmp_path, table="wide", columns=columns), warehouse_url, table="wide")
    assert len(found) == 2500
    assert {path for path, one in found.items() if one.status == "not evaluated"} == {"columns.c7.checks.invalid"}
    faulty = {path: one.rows_failed for path, one in found.items() if one.status == "failed"}
    assert faulty.pop("columns.c999.checks.missing") == 1
    assert faulty.pop("columns.c1.checks.invalid") == 1
    assert faulty.pop("columns.c0.checks.duplicate") == 1
    assert faulty == {f"columns.{name}.checks.missing": 2 for name in names if name not in ("c0", "c1", "c999")}


NAMES = [
    "it's",
    "a b",
    "Mixed",
    "größe",
    "a.b",
    "100%",
    "%s",
    "{}",
    "{name}",
    "select",
    "a;b",
    "a--b",
    "a\\b",
    "$1",
    "a:b",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["column", "table"])
def test_any_name(name: str, where: str, url: str, tmp_path: Path) -> None:
    table, column = (name, "id") if where == "table" else ("things", name)
    place, quoted = sql.Identifier("staging", table), sql.Identifier(column)
    with connect(url) as connection:
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(place))
        connection.execute(sql.SQL("CREATE TABLE {} ({} text, k int)").format(place, quoted))
        connection.execute(sql.SQL("INSERT INTO {} VALUES ('a', 1), ('a', 2), (NULL, 3)").format(place))
    checks: Checks = [
        {"schema": {"allow_extra_columns": True}},
        {"row_count": {"threshold": {"must_be": 3}}},
        {"duplicate": {"columns": [column]}},
    ]
    of_column: Checks = [{"missing": {}}, {"invalid": {"valid_values": ["b"]}}, {"duplicate": {}}]
    path = write(tmp_path, checks, columns={column: of_column})
    found = run(path, url, "staging", table, published=("silver", "things"), key=["k"])
    assert [(one.status, one.measured) for one in found.values()] == [
        ("passed", 0),
        ("passed", 3),
        ("failed", 1),
        ("failed", 1),
        ("failed", 2),
        ("failed", 1),
    ]
    assert [[row["k"] for row in one.sample] for one in found.values()] == [
        [],
        [],
        ["1", "2"],
        ["3"],
        ["1", "2"],
        ["1", "2"],
    ]


@pytest.mark.parametrize("name", ['double"quote', '"', 'x"; SELECT 1; --', "a # b", "key: value", "'quoted'", "- a"])
def test_a_name_of_a_table_that_needs_care(name: str, url: str, tmp_path: Path) -> None:
    with connect(url) as connection:
        connection.execute(sql.SQL("CREATE TABLE staging.{} AS SELECT 1 AS id").format(sql.Identifier(name)))
    path = write(tmp_path, [{"schema": {}}, {"row_count": {}}], columns={"id": [{"missing": {}}]})
    assert all(one.passed for one in run(path, url, "staging", name).values())


@pytest.mark.parametrize(("schema", "table"), [("silver", "gone"), ("gone", "things"), ("silver", "x'y\"z")])
def test_a_table_that_is_not_there(schema: str, table: str, url: str, tmp_path: Path) -> None:
    path = write(tmp_path, [{"row_count": {}}], columns={"id": [{"missing": {}}]})
    found = run(path, url, schema, table)
    assert {(one.status, one.problem) for one in found.values()} == {
        ("not evaluated", f"{schema}.{table} is not there: materialize it first")
    }


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_a_view(kind: str, things: Any, warehouse_url: str, tmp_path: Path) -> None:
    things.execute(f"CREATE {kind} staging.seen AS SELECT * FROM silver.things WHERE id < 4")
    things.commit()
    path = write(
        tmp_path, [{"schema": {"allow_extra_columns": True}}, {"row_count": {}}], columns={"mood": [{"missing": {}}]}
    )
    found = run(path, warehouse_url, "staging", "seen")
    assert all(one.passed for one in found.values())
    assert found["checks.row_count"].measured == 3


def test_two_tables_by_one_contract(things: Any, warehouse_url: str, tmp_path: Path) -> None:
    things.execute("CREATE TABLE staging.things AS SELECT * FROM silver.things WHERE mood IS NOT NULL")
    things.commit()
    path = write(tmp_path, [{"row_count": {}}], columns={"mood": [{"missing": {}}]})
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda schema: run(path, warehouse_url, schema), ["silver", "staging"] * 8))
    assert {tuple(one.measured for one in outcomes.values()) for outcomes in found[::2]} == {(5, 1)}
    assert {tuple(one.measured for one in outcomes.values()) for outcomes in found[1::2]} == {(4, 0)}


def test_faults_of_one_contract_are_not_heard_beside_it(url: str, tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "bad").mkdir()
    good = write(tmp_path / "good", [{"row_count": {}}], columns={"mood": [{"missing": {"threshold": {"must_be": 1}}}]})
    bad = write(tmp_path / "bad", [{"metric": {"query": "SELECT 1 / 0", "threshold": {"must_be": 1}}}])
    before = logging.getLogger("soda").propagate, logging.getLogger("soda").level
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda path: run(path, url), [good, bad] * 12))
    assert all(one.passed for outcomes in found[::2] for one in outcomes.values())
    assert {one.status for outcomes in found[1::2] for one in outcomes.values()} == {"not evaluated"}
    assert (logging.getLogger("soda").propagate, logging.getLogger("soda").level) == before


def await_sessions(url: str, condition: str, *, count: int = 1) -> list[int]:
    """The processes of Postgres that meet a condition, once there are that many."""
    query = f"SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND {condition}"
    deadline = time.monotonic() + 30
    with connect(url, autocommit=True) as watcher:
        while time.monotonic() < deadline:
            if len(found := watcher.execute(query).fetchall()) >= count:  # type: ignore[arg-type]
                return [pid for (pid,) in found]
            time.sleep(0.005)
    raise AssertionError(f"no session with {condition}")


WAITS = {
    "metric": {"qualifier": "waits", "query": "SELECT 1 FROM pg_advisory_xact_lock(4711)", "threshold": {"must_be": 1}}
}
"""A check that waits until the test lets it go on."""
WAITING = "wait_event = 'advisory'"


class Paused:
    """A verification that was halted by WAITS, with its session's process; `go` lets it end."""

    def __init__(self, url: str, verification: Callable[[], dict[str, Outcome]]):
        self._holder = connect(url, autocommit=True)
        self._holder.execute("SELECT pg_advisory_lock(4711)")
        self._pool = ThreadPoolExecutor(1)
        self.found: Future[dict[str, Outcome]] = self._pool.submit(verification)
        (self.pid,) = await_sessions(url, WAITING)

    def go(self) -> dict[str, Outcome]:
        self.close()
        return self.found.result(timeout=60)

    def close(self) -> None:
        self._holder.close()


@pytest.fixture
def paused(warehouse_url: str) -> Iterator[Callable[..., Paused]]:
    made: list[Paused] = []

    def pause(path: Path, **how: Any) -> Paused:
        made.append(Paused(warehouse_url, lambda: run(path, warehouse_url, **how)))
        return made[-1]

    yield pause
    for one in made:
        one.close()


def test_a_table_that_is_replaced_before_it_is_read(things: Any, warehouse_url: str, tmp_path: Path) -> None:
    """The swap is not yet committed when the verification begins: it sees all of what is put in place."""
    checks: Checks = [
        {"row_count": {}},
        {"metric": {"query": "SELECT count(*) FROM silver.things", "threshold": {"must_be": 3}}},
    ]
    path = write(tmp_path, checks, columns={"mood": [{"missing": {}}]})
    things.execute("CREATE TABLE staging.next AS SELECT n AS id, 'good' AS mood FROM generate_series(1, 3) n")
    things.execute("DROP TABLE silver.things")
    things.execute("ALTER TABLE staging.next SET SCHEMA silver")
    things.execute("ALTER TABLE silver.next RENAME TO things")
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(run, path, warehouse_url)
        await_sessions(warehouse_url, "wait_event_type = 'Lock'")
        things.commit()
        outcomes = found.result(timeout=60)
    assert {path: (one.status, one.measured) for path, one in outcomes.items()} == {
        "checks.row_count": ("passed", 3),
        "checks.metric": ("passed", 3),
        "columns.mood.checks.missing": ("passed", 0),
    }


def test_a_table_cannot_be_replaced_while_it_is_read(
    things: Any, paused: Callable[..., Paused], warehouse_url: str, tmp_path: Path
) -> None:
    path = write(tmp_path, [WAITS, {"row_count": {}}, {"failed_rows": {"query": "SELECT * FROM silver.things"}}])
    halted = paused(path)
    things.execute("SET lock_timeout = '50ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        things.execute("DROP TABLE silver.things")
    things.rollback()
    things.execute("INSERT INTO silver.things (id) VALUES (6), (7)")
    things.commit()
    found = halted.go()
    assert (found["checks.row_count"].measured, found["checks.failed_rows"].measured) == (5, 5)
    things.execute("DROP TABLE silver.things")


@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
def test_what_is_under_a_view_cannot_be_replaced_either(
    kind: str, things: Any, paused: Callable[..., Paused], warehouse_url: str, tmp_path: Path
) -> None:
    things.execute(f"CREATE {kind} staging.seen AS SELECT * FROM silver.things")
    things.commit()
    halted = paused(
        write(tmp_path, [WAITS, {"row_count": {"threshold": {"must_be": 5}}}]), schema="staging", table="seen"
    )
    things.execute("SET lock_timeout = '50ms'")
    if kind == "VIEW":
        with pytest.raises(psycopg.errors.LockNotAvailable):
            things.execute("TRUNCATE silver.things")
    else:
        things.execute("TRUNCATE silver.things")
    things.rollback()
    assert halted.go()["checks.row_count"].passed


REPLACED = "DROP TABLE silver.moods; CREATE TABLE silver.moods AS SELECT unnest('{good,bad}'::text[]) AS mood"
SWAPPED = "DROP TABLE silver.moods; ALTER TABLE staging.moods SET SCHEMA silver"
INDEXED = "CREATE INDEX ON silver.moods (mood); REINDEX TABLE silver.moods; ANALYZE silver.moods"


@pytest.mark.parametrize(
    ("meanwhile", "problem"),
    [
        (REPLACED, "silver.moods was replaced while the checks were made: run again"),
        ("TRUNCATE silver.moods", "silver.moods was replaced while the checks were made: run again"),
        ("DELETE FROM silver.moods", None),
        (SWAPPED, None),
        (INDEXED, None),
    ],
)
def test_another_table_that_is_replaced_while_checks_are_made(
    meanwhile: str, problem: str | None, things: Any, paused: Callable[..., Paused], warehouse_url: str, tmp_path: Path
) -> None:
    things.execute("CREATE TABLE staging.moods AS SELECT * FROM silver.moods")
    things.commit()
    mood: Checks = [{"invalid": {"valid_reference_data": MOODS, "threshold": {"must_be": 1}}}]
    halted = paused(write(tmp_path, [WAITS, {"row_count": {}}], columns={"mood": mood}))
    things.execute(meanwhile)
    things.commit()
    found = halted.go()
    wanted = ("passed", None) if problem is None else ("not evaluated", problem)
    assert {(one.status, one.problem) for one in found.values()} == {wanted}


def test_a_table_that_is_locked_is_waited_for(things: Any, warehouse_url: str, tmp_path: Path) -> None:
    path = write(tmp_path, [{"row_count": {}}], columns={"id": [{"missing": {}}]})
    things.execute("LOCK TABLE silver.things IN ACCESS EXCLUSIVE MODE")
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(run, path, warehouse_url)
        await_sessions(warehouse_url, "wait_event_type = 'Lock'")
        things.execute("INSERT INTO silver.things (id) VALUES (6)")
        things.commit()
        outcomes = found.result(timeout=60)
    assert outcomes["checks.row_count"].measured == 6


def test_a_database_that_does_not_wait_for_locks(things: Any, warehouse_url: str, tmp_path: Path) -> None:
    path = write(tmp_path, [{"row_count": {}}])
    things.execute(sql.SQL("ALTER DATABASE {} SET lock_timeout = '20ms'").format(sql.Identifier(things.info.dbname)))
    things.commit()
    things.execute("LOCK TABLE silver.things IN ACCESS EXCLUSIVE MODE")
    (found,) = run(path, warehouse_url).values()
    assert (found.status, found.problem) == ("not evaluated", "silver.things is locked by another session")


def test_a_connection_that_is_lost(
    things: Any, paused: Callable[..., Paused], warehouse_url: str, tmp_path: Path
) -> None:
    halted = paused(write(tmp_path, [WAITS, {"row_count": {}}], columns={"id": [{"missing": {}}]}))
    things.execute("SELECT pg_terminate_backend(%s)", [halted.pid])
    with pytest.raises(WarehouseError, match="lost Postgres"):
        halted.found.result(timeout=60)


def test_a_connection_that_is_lost_while_rows_are_sampled(url: str, tmp_path: Path) -> None:
    """The second time that it is asked, the query ends its own session."""
    query = (
        "SELECT id FROM silver.things WHERE id = 1"
        " OR (id = 2 AND NOT pg_try_advisory_xact_lock(1) IS NULL AND (SELECT count(*) FROM pg_locks"
        " WHERE locktype = 'advisory' AND objid = 2 AND pid = pg_backend_pid()) > 0"
        " AND pg_terminate_backend(pg_backend_pid())) OR (id = 3 AND pg_try_advisory_xact_lock(2))"
    )
    path = write(tmp_path, [{"failed_rows": {"query": query}}])
    with pytest.raises(WarehouseError, match="lost Postgres"):
        run(path, url, key=["id"])


def test_a_query_that_is_cancelled(
    things: Any, paused: Callable[..., Paused], warehouse_url: str, tmp_path: Path
) -> None:
    halted = paused(write(tmp_path, [WAITS, {"row_count": {}}], columns={"id": [{"missing": {}}]}))
    things.execute("SELECT pg_cancel_backend(%s)", [halted.pid])
    found = halted.found.result(timeout=60)
    assert {path: one.problem for path, one in found.items() if not one.passed} == {
        "checks.metric.waits": "Postgres refused it (QueryCanceled)"
    }


WRITES = {
    "a function": ("SELECT silver.adds()", "Postgres: cannot execute INSERT in a read-only transaction"),
    "an insert": ("INSERT INTO silver.things (id) VALUES (9) RETURNING id", "it is no query"),
    "within": ("WITH n AS (DELETE FROM silver.things RETURNING id) SELECT * FROM n", "WITH clause|cannot execute"),
    "several": ("SELECT 1; INSERT INTO silver.things (id) VALUES (9)", "refused it (SyntaxError)"),
    "several, committed": (
        "SELECT 1; COMMIT; INSERT INTO silver.things (id) VALUES (9)",
        "refused it (SyntaxError)",
    ),
    "made writable": ("SELECT set_config('transaction_read_only', 'off', false), silver.adds()", "refused|cannot"),
    "a sequence": ("SELECT nextval('silver.numbers')", "cannot execute nextval"),
    "a change": ("SET transaction_read_only = off", "it is no query"),
    "a table": ("CREATE TABLE silver.more ()", "it is no query"),
    "a file": ("COPY silver.things TO STDOUT", "it is no query"),
    "a file, commented": ("-- SELECT\n/* SELECT */ COPY silver.things TO STDOUT", "it is no query"),
    "an end": ("COMMIT", "it is no query"),
    "a savepoint": ("ROLLBACK TO SAVEPOINT _pg3_1", "it is no query"),
}


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("kind", ["failed_rows", "metric"])
def test_a_check_cannot_write(how: str, kind: str, url: str, tmp_path: Path) -> None:
    query, problem = WRITES[how]
    threshold = {"threshold": {"must_be": 0}}
    path = write(
        tmp_path, [{kind: {"query": query, **threshold}}, {"row_count": {}}], columns={"id": [{"missing": {}}]}
    )
    found = run(path, url, key=["id"])
    (refused,) = [one for one in found.values() if not one.passed]
    assert refused.status == "not evaluated"
    assert refused.problem
    assert any(part in refused.problem for part in problem.split("|"))
    with connect(url) as connection:
        state = "SELECT count(*), (SELECT is_called FROM silver.numbers) FROM silver.things"
        assert connection.execute(state).fetchone() == (5, False)


REDIRECTED = [
    "SELECT count(*) FROM silver.things",
    'SELECT count(*) FROM "silver"."things"',
    "SELECT count(*) FROM SILVER.Things",
    "SELECT count(*) FROM silver . things",
    "SELECT count(*) FROM silver.things t WHERE t.id > 0",
    "SELECT count(t.id) FROM silver.things AS t",
    "SELECT count(things.id) FROM silver.things WHERE things.id > 0",
    "SELECT count(silver.things.id) FROM silver.things",
    'SELECT count("silver"."things".*) FROM silver.things',
    "SELECT count(*) FROM silver.moods, silver.things WHERE moods.mood = 'good' AND things.id > 0",
    "SELECT count(things.id) FROM silver.things JOIN silver.moods ON things.mood = moods.mood",
    "SELECT count(*) FROM (TABLE silver.things) t",
    "SELECT count(*) FROM ONLY silver.things",
    "SELECT count(*) FROM (SELECT * FROM silver.things) t",
    "SELECT count(*) FROM silver.things -- of silver.things",
    "SELECT count(*) /* silver.things /* nested */ */ FROM silver.things",
    "SELECT count(*) FROM silver.things WHERE 'silver.things' = 'silver' || '.things'",
    "SELECT count(*) FROM silver.things WHERE $$silver.things$$ = 'silver' || '.things'",
    "SELECT count(*) FROM silver.things WHERE E'it\\'s silver.things' = 'it''s silver' || '.things'",
    'SELECT count("silver.things") FROM (SELECT 1 AS "silver.things" FROM silver.things) t',
    "SELECT count(*) FROM silver.things a LEFT JOIN silver.things b USING (id)",
    "SELECT count(*) FROM silver.things TABLESAMPLE bernoulli (100)",
    "SELECT count(*) FROM (SELECT id FROM silver.things UNION SELECT id FROM silver.things) t",
    "SELECT count(*) FROM (SELECT id FROM silver.things ORDER BY things.id LIMIT 9) t",
    "WITH t AS (SELECT * FROM silver.things) SELECT count(*) FROM t",
    "SELECT (SELECT count(*) FROM silver.things) FROM silver.moods LIMIT 1",
]


@pytest.mark.parametrize("query", REDIRECTED)
def test_sql_that_names_the_published_table_means_the_one_that_is_checked(query: str, url: str, tmp_path: Path) -> None:
    path = write(tmp_path, [{"metric": {"query": query, "threshold": {"must_be": 2}}}])
    (found,) = run(path, url, "staging", "silver__things", published=("silver", "things")).values()
    assert (found.measured, found.problem) == (2, None)
    (found,) = run(path, url, "silver", "things", published=("silver", "things")).values()
    assert found.measured in (5, 3)


@pytest.mark.parametrize("query", ["SELECT count(*) FROM silver.things_old", "SELECT count(*) FROM bronze.things"])
def test_sql_that_names_another_table_means_that(query: str, url: str, tmp_path: Path) -> None:
    path = write(tmp_path, [{"metric": {"query": query, "threshold": {"must_be": 1}}}])
    (found,) = run(path, url, "staging", "silver__things", published=("silver", "things")).values()
    assert found.passed


def test_a_table_that_refers_to_itself(things: Any, warehouse_url: str, tmp_path: Path) -> None:
    things.execute("ALTER TABLE silver.things ADD parent int")
    things.execute("CREATE TABLE staging.silver__things AS SELECT * FROM silver.things")
    things.execute(
        "UPDATE staging.silver__things SET id = id + 10, parent = CASE WHEN id < 3 THEN 11 WHEN id = 3 THEN 1 END"
    )
    things.commit()
    own = {"dataset": "atlas/atlas/silver/things", "column": "id"}
    path = write(tmp_path, columns={"parent": [{"invalid": {"valid_reference_data": own}}]})
    how: dict[str, Any] = {"published": ("silver", "things"), "key": ["id"]}
    (found,) = run(path, warehouse_url, "staging", "silver__things", **how).values()
    assert (found.rows_failed, [row["id"] for row in found.sample]) == (1, ["13"])


def test_only_some_are_measured(url: str, tmp_path: Path) -> None:
    """What is left out is not even asked: it would never end."""
    path = write(tmp_path, [WAITS, {"row_count": {}}], columns={"mood": [{"missing": {}}, {"duplicate": {}}]})
    with connect(url, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(4711)")
        found = run(path, url, only={"columns.mood.checks.missing", "checks.row_count"})
    assert {path: one.measured for path, one in found.items()} == {
        "checks.row_count": 5,
        "columns.mood.checks.missing": 1,
    }
    assert run(path, url, only=set()) == {}


SAMPLED: dict[str, tuple[str | None, str, dict[str, Any], list[str]]] = {
    "missing": ("mood", "missing", {}, ["4"]),
    "missing values": ("mood", "missing", {"missing_values": ["bad"]}, ["3", "4"]),
    "missing, percent": ("mood", "missing", PERCENT, ["4"]),
    "missing of some": ("mood", "missing", {"missing_values": ["bad"], "filter": "id < 4"}, ["3"]),
    "invalid": ("mood", "invalid", {"valid_values": ["good"]}, ["3", "5"]),
    "invalid of some": ("mood", "invalid", {"valid_values": ["good"], "filter": "id < 5"}, ["3"]),
    "reference": ("mood", "invalid", {"valid_reference_data": MOODS}, ["5"]),
    "reference of some": ("mood", "invalid", {"valid_reference_data": MOODS, "filter": "id > 4"}, ["5"]),
    "duplicate": ("code", "duplicate", {}, ["1", "5"]),
    "duplicate of some": ("mood", "duplicate", {"filter": "id <> 3"}, ["1", "2"]),
    "duplicate, some missing": ("mood", "duplicate", {"missing_values": ["bad"]}, ["1", "2"]),
    "duplicate of columns": (None, "duplicate", {"columns": ["amount", "day"]}, ["2", "3"]),
    "duplicate of columns of some": (None, "duplicate", {"columns": ["day"], "filter": "id > 2"}, ["3", "5"]),
    "duplicate with null": (None, "duplicate", {"columns": ["twice"]}, ["1", "2", "3", "4", "5"]),
    "expression": (None, "failed_rows", {"expression": "amount > 15"}, ["2", "3"]),
    "expression of some": (None, "failed_rows", {"expression": "amount > 15", "filter": "id = 3"}, ["3"]),
    "query": (None, "failed_rows", {"query": "SELECT * FROM silver.things WHERE id > 3"}, ["4", "5"]),
    "keys": (None, "failed_rows", {"keys_query": "SELECT mood, id FROM silver.things WHERE id > 3"}, ["4", "5"]),
    "query without keys": (None, "failed_rows", {"query": "SELECT mood FROM silver.things WHERE id > 3"}, []),
}


@pytest.mark.parametrize("case", SAMPLED.values(), ids=SAMPLED.keys())
def test_keys_of_failed_rows(case: tuple[str | None, str, dict[str, Any], list[str]], url: str, tmp_path: Path) -> None:
    column, kind, body, keys = case
    anything = {**body, "qualifier": "passes", "threshold": {**body.get("threshold", {}), "must_be_greater_than": 0}}
    checks: Checks = [{kind: body}, {kind: anything}]
    path = write(tmp_path, [] if column else checks, columns={column: checks} if column else {})
    fails, passes = run(path, url, key=["id"]).values()
    assert fails.status == "failed"
    assert sorted(row["id"] for row in fails.sample) == keys
    assert all(row.keys() == {"id"} for row in fails.sample)
    assert passes.passed
    assert passes.sample == ()
    assert run(path, url)[fails.check.path].sample == ()


def test_keys_are_few_and_may_be_null(things: Any, warehouse_url: str, tmp_path: Path) -> None:
    things.execute("INSERT INTO silver.things (id, code) SELECT n, 'z' FROM generate_series(6, 99) n")
    things.execute("INSERT INTO silver.things (id, mood) VALUES (NULL, 'ugly')")
    things.commit()
    checks: Checks = [
        {"failed_rows": {"expression": "id > 5"}},
        {"failed_rows": {"qualifier": "q", "query": "TABLE silver.things"}},
    ]
    mood: Checks = [{"missing": {}}, {"invalid": {"valid_values": ["good", "bad"]}}]
    columns = {"mood": mood, "code": [{"duplicate": {}}]}
    found = run(write(tmp_path, checks, columns=columns), warehouse_url, key=["id", "mood"])
    assert {path: len(one.sample) for path, one in found.items()} == {
        "checks.failed_rows": 20,
        "checks.failed_rows.q": 4,  # a query's rows are looked up in the table, where null is not found
        "columns.mood.checks.missing": 20,
        "columns.mood.checks.invalid": 2,
        "columns.code.checks.duplicate": 20,
    }
    assert {"id": "null", "mood": "ugly"} in found["columns.mood.checks.invalid"].sample
    assert found["columns.mood.checks.missing"].sample[0] == {"id": "4", "mood": "null"}


def test_a_query_cannot_pass_another_column_off_as_the_key(things: Any, warehouse_url: str, tmp_path: Path) -> None:
    things.execute("UPDATE silver.things SET code = 'canary' WHERE id = 1")
    things.commit()
    alias: Checks = [{"failed_rows": {"query": "SELECT code AS mood, id FROM silver.things"}}]
    found = run(write(tmp_path, alias), warehouse_url, key=["mood"])
    assert found["checks.failed_rows"].rows_failed
    assert found["checks.failed_rows"].sample == ()


def test_checks_that_share_their_sql_each_have_an_outcome(url: str, tmp_path: Path) -> None:
    """The count of what is missing is one for all; that another check is refused takes it from none of them."""
    mood: Checks = [
        {"missing": {}},
        {"missing": {"qualifier": "percent", **PERCENT}},
        {"invalid": {"valid_values": ["good", "bad"]}},
        {"duplicate": {}},
        {"duplicate": {"qualifier": "percent", **PERCENT}},
        {"invalid": {"qualifier": "refused", "valid_min": 1}},
    ]
    checks: Checks = [
        {"metric": {"qualifier": name, "expression": "sum(amount)", "threshold": {"must_be": 48}}} for name in "ab"
    ] + [{"metric": {"qualifier": f"q{name}", "query": "SELECT 1", "threshold": {"must_be": 1}}} for name in "ab"]
    found = run(write(tmp_path, checks, columns={"mood": mood}), url)
    assert {path.removeprefix("columns.mood."): (one.status, one.measured) for path, one in found.items()} == {
        "checks.metric.a": ("passed", 48),
        "checks.metric.b": ("passed", 48),
        "checks.metric.qa": ("passed", 1),
        "checks.metric.qb": ("passed", 1),
        "checks.missing": ("failed", 1),
        "checks.missing.percent": ("failed", 20),
        "checks.invalid": ("failed", 1),
        "checks.duplicate": ("failed", 1),
        "checks.duplicate.percent": ("failed", 25),
        "checks.invalid.refused": ("not evaluated", None),
    }


def test_a_filter_of_the_contract(url: str, tmp_path: Path) -> None:
    checks: Checks = [
        {"row_count": {}},
        {"failed_rows": {"expression": "amount > 15"}},
        {"duplicate": {"columns": ["day"]}},
    ]
    mood: Checks = [
        {"missing": {}},
        {"invalid": {"valid_values": ["good"], "filter": "id > 3"}},
        {"invalid": {"qualifier": "reference", "valid_reference_data": MOODS}},
        {"duplicate": {}},
    ]
    found = run(write(tmp_path, checks, filter="id > 2", columns={"mood": mood}), url, key=["id"])
    assert [(one.measured, one.rows_tested, [row["id"] for row in one.sample]) for one in found.values()] == [
        (3, None, []),
        (1, 3, ["3"]),
        (1, 3, ["3", "5"]),
        (1, 3, ["4"]),
        (1, 2, ["5"]),
        (1, 3, ["5"]),
        (0, 3, []),
    ]


def test_attributes_and_variables(url: str, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        [{"row_count": {}}],
        variables={"least": {"default": 3}, "mood": {"default": "it's bad"}, "table": {"default": "silver.things"}},
        check_attributes={"dimension": "accuracy", "owner": "someone"},
        filter="id >= ${var.least}",
        columns={
            "mood": [
                {"missing": {"attributes": {"dimension": "validity"}, "name": "Mood, from ${var.least}"}},
                {"invalid": {"valid_values": ["${var.mood}", "bad"]}},
            ],
            "id": [{"aggregate": {"function": "min", "threshold": {"must_be": 3}}}],
        },
    )
    found = run(path, url)
    assert [(one.check.dimension, one.measured) for one in found.values()] == [
        ("accuracy", 3),
        ("validity", 1),
        ("accuracy", 1),
        ("accuracy", 3),
    ]
    assert found["columns.mood.checks.missing"].check.title == "Mood, from 3"


ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.sampled_from(["", "a", "b", "A", "it's", "ä", " a", "N/A", "x%y", "\\d"])),
        st.one_of(st.none(), st.integers(-3, 3)),
    ),
    max_size=12,
)


@given(
    rows=ROWS, missing=st.lists(st.sampled_from(["N/A", "", "it's"]), unique=True, max_size=3), least=st.integers(-3, 3)
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_counts_are_those_of_python(
    warehouse: Any,
    warehouse_url: str,
    tmp_path: Path,
    rows: Sequence[tuple[str | None, int | None]],
    missing: list[str],
    least: int,
) -> None:
    warehouse.execute(
        "DROP TABLE IF EXISTS silver.things; CREATE TABLE silver.things (word text, number int, key serial)"
    )
    with warehouse.cursor() as cursor:
        cursor.executemany("INSERT INTO silver.things (word, number) VALUES (%s, %s)", rows)
    warehouse.commit()
    valid = ["a", "it's", "\\d", "x%y"]
    how: dict[str, Any] = {"missing_values": missing} if missing else {}
    columns = {
        "word": [{"missing": how}, {"invalid": {**how, "valid_values": valid}}, {"duplicate": how}],
        "number": [{"missing": {}}, {"invalid": {"valid_min": least}}, {"duplicate": {}}],
    }
    checks: Checks = [
        {"duplicate": {"columns": ["word", "number"]}},
        {"failed_rows": {"expression": f"number < {least}"}},
    ]
    found = run(write(tmp_path, checks, columns=columns), warehouse_url, key=["key"])
    words = [word for word, _ in rows if word is not None and word not in missing]
    numbers = [number for _, number in rows if number is not None]
    counted = {
        "checks.duplicate": len(rows) - len(set(rows)),
        "checks.failed_rows": sum(number < least for number in numbers),
        "columns.word.checks.missing": len(rows) - len(words),
        "columns.word.checks.invalid": sum(word not in valid for word in words),
        "columns.word.checks.duplicate": len(words) - len(set(words)),
        "columns.number.checks.missing": len(rows) - len(numbers),
        "columns.number.checks.invalid": sum(number < least for number in numbers),
        "columns.number.checks.duplicate": len(numbers) - len(set(numbers)),
    }
    assert {path: one.rows_failed for path, one in found.items()} == counted
    assert {one.rows_tested for one in found.values()} == {len(rows)}
    for path, one in found.items():
        if not path.endswith("duplicate"):
            assert len(one.sample) == counted[path]
    times: Mapping[Any, int] = Counter(words)
    assert len(found["columns.word.checks.duplicate"].sample) == sum(n for n in times.values() if n > 1)
    both: Mapping[Any, int] = Counter(rows)
    assert len(found["checks.duplicate"].sample) == sum(n for n in both.values() if n > 1)


def test_logging_is_as_it_was_and_records_of_the_host_are_not_kept(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another test used Soda as it comes, and left its handler behind."""
    own = [one for one in logging.root.handlers if not type(one).__module__.startswith("soda_core.")]
    monkeypatch.setattr(logging.root, "handlers", own)
    path = write(tmp_path, [{"row_count": {}}], columns={"mood": [{"missing": {}}, {"invalid": {"valid_min": 1}}]})
    soda, host = logging.getLogger("soda"), logging.getLogger("host")
    soda.setLevel(logging.WARNING)
    before = (
        list(logging.root.handlers),
        logging.root.level,
        list(soda.handlers),
        soda.level,
        soda.propagate,
        soda.disabled,
    )
    try:
        for _ in range(3):
            run(path, url)
        after = (
            list(logging.root.handlers),
            logging.root.level,
            list(soda.handlers),
            soda.level,
            soda.propagate,
            soda.disabled,
        )
        assert after == before
        caplog.clear()
        with caplog.at_level(logging.INFO):
            host.info("said once")
            soda.warning("so is this")
        assert [record.getMessage() for record in caplog.records] == ["said once", "so is this"]
        assert {record.thread for record in caplog.records} == {threading.get_ident()}
    finally:
        soda.setLevel(logging.NOTSET)


def test_nothing_is_left_behind_by_fifty_verifications(things: Any, warehouse_url: str, tmp_path: Path) -> None:
    mood: Checks = [
        {"missing": {}},
        {"invalid": {"valid_values": ["good"]}},
        {"invalid": {"qualifier": "x", "valid_min": 1}},
    ]
    path = write(tmp_path, [{"row_count": {}}], columns={"mood": mood})

    def count() -> tuple[int, int]:
        gc.collect()
        alive = gc.get_objects()
        records = sum(isinstance(one, logging.LogRecord) for one in alive)
        return records, sum(str(type(one).__module__).startswith(("soda_", "psycopg")) for one in alive)

    run(path, warehouse_url, key=["id"])
    records, objects = count()
    for _ in range(50):
        run(path, warehouse_url, key=["id"])
        logging.getLogger("host").warning("one of fifty")
    after_records, after_objects = count()
    assert after_records - records <= 50  # which pytest keeps, each once
    assert after_objects - objects < 50
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert things.execute(sessions).fetchone()[0] == 0
