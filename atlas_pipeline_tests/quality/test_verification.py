"""Verifying a contract on real tables: each type of check, what it counts, and which tables and names it takes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline_tests.quality.verifications import MOODS, PERCENT, THINGS, WAITS, WHEN, Checks, run, write

# Where it stands, its type, its body; then what is measured, of how many rows, and how many of them are faulty.
Case = tuple[str | None, str, dict[str, Any], float, int | None, int | None]


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
    "metric of one row": (None, "metric", {"expression": "min(amount) - 1"}, -3, None, None),
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
    # A minimum or maximum is the value of a row, and what a query selects may be one: nothing quotes them.
    one_row = body.get("function") in ("min", "max") or (kind == "metric" and body != CASES["metric expression"][2])
    said = "what was measured is another than expected:" if one_row else f"measured {measured:g}, expected"
    assert found["passes"].problem is None
    assert found["passes"].threshold == f"= {measured}"
    assert found["warns"].problem == f"{said} != {measured} (warn)"
    assert found["fails"].problem == f"{said} != {measured}"
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
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
