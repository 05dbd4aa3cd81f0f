"""SQL of a contract: errors of Postgres, values that must not be quoted, writes, and the table that it names."""

import logging
from pathlib import Path
from typing import Any

import pytest

from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline_tests.quality.verifications import (
    CANARY,
    MOODS,
    WHEN,
    Checks,
    run,
    write,
)

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


@pytest.mark.parametrize(("schema", "table"), [("silver", "gone"), ("gone", "things"), ("silver", "x'y\"z")])
def test_a_table_that_is_not_there(schema: str, table: str, url: str, tmp_path: Path) -> None:
    path = write(tmp_path, [{"row_count": {}}], columns={"id": [{"missing": {}}]})
    found = run(path, url, schema, table)
    assert {(one.status, one.problem) for one in found.values()} == {
        ("not evaluated", f"{schema}.{table} is not there: materialize it first")
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
