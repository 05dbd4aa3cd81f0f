"""What is kept of outcomes: in a real warehouse, over several runs, and in one that an earlier version made."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from atlas_pipeline.quality.history import latest_outcomes, latest_scores, record_outcomes, score_history
from atlas_pipeline.quality.outcome import Check, Dimension, Outcome, Severity, Status
from atlas_pipeline.quality.score import scores
from atlas_pipeline.warehouse.bootstrap import MONITOR, prepare_warehouse
from atlas_pipeline.warehouse.connect import OWNER, connect

OF_VERSION_2 = """
DROP TABLE atlas.publications, atlas.quality_scores, atlas.check_outcomes;
CREATE TABLE atlas.publications (
    layer text NOT NULL,
    name text NOT NULL,
    rows bigint NOT NULL,
    quarantined bigint NOT NULL,
    definition text NOT NULL,
    batch text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (layer, name)
);
UPDATE atlas.setup SET version = 2;
INSERT INTO atlas.publications (layer, name, rows, quarantined, definition, batch)
VALUES ('gold', 'old', 5, 1, 'd', 'b');
"""


def outcome(
    path: str,
    status: Status = "passed",
    tested: int | None = None,
    failed: int | None = None,
    *,
    dimension: Dimension = "validity",
    severity: Severity = "error",
    **values: Any,
) -> Outcome:
    check = Check(path, "invalid", None, f"title of {path}", severity, dimension)
    return Outcome(check, status, rows_tested=tested, rows_failed=failed, **values)


GOOD = [outcome("checks.schema"), outcome("columns.id.checks.missing", tested=10, failed=0, dimension="completeness")]
BAD = [
    replace(GOOD[0], status="failed", problem="a column is missing"),
    outcome(
        "columns.id.checks.missing",
        "warned",
        10,
        3,
        dimension="completeness",
        measured=3.0,
        threshold="must_be: 0",
        problem="3 of 10 rows",
        sample=({"id": "SECRET-4711"},),
    ),
]


def dumped(connection: psycopg.Connection) -> str:
    return "\n".join(
        text
        for table in ("quality_scores", "check_outcomes")
        for (text,) in connection.execute(f"SELECT t::text FROM atlas.{table} t")
    )


def test_what_is_recorded_is_read_back(warehouse: psycopg.Connection) -> None:
    before = datetime.now(UTC)
    found = record_outcomes(warehouse, "silver", "things", "run-1", BAD, published=False)
    assert found == scores(BAD)
    (table,) = latest_scores(warehouse)
    assert (table.layer, table.name, table.run, table.published) == ("silver", "things", "run-1", False)
    assert before <= table.measured_at <= datetime.now(UTC)
    assert table.scores == tuple(found)
    schema, missing = latest_outcomes(warehouse)
    assert (schema.path, schema.status, schema.severity, schema.blocks) == ("checks.schema", "failed", "error", True)
    assert (schema.measured, schema.rows_tested, schema.rows_failed) == (None, None, None)
    assert (missing.title, missing.dimension) == ("title of columns.id.checks.missing", "completeness")
    assert (missing.measured, missing.threshold, missing.rows_tested, missing.rows_failed) == (3.0, "must_be: 0", 10, 3)
    assert (missing.status, missing.severity, missing.blocks) == ("warned", "warn", False)
    assert missing.problem == "3 of 10 rows"
    assert missing.measured_at == table.measured_at


def test_it_is_committed_by_itself(warehouse: psycopg.Connection, warehouse_url: str) -> None:
    record_outcomes(warehouse, "silver", "things", "run-1", GOOD, published=True)
    with connect(warehouse_url) as other:
        assert len(latest_scores(other)) == 1
        assert len(latest_outcomes(other)) == 2


def test_both_tables_or_neither(warehouse: psycopg.Connection) -> None:
    twice = [*GOOD, GOOD[0]]
    with pytest.raises(psycopg.errors.UniqueViolation):
        record_outcomes(warehouse, "silver", "things", "run-1", twice, published=True)
    assert dumped(warehouse) == ""


def test_no_value_of_a_row_is_kept(warehouse: psycopg.Connection) -> None:
    record_outcomes(warehouse, "silver", "things", "run-1", BAD, published=False)
    assert "3 of 10 rows" in dumped(warehouse)
    assert "SECRET-4711" not in dumped(warehouse)


def test_without_checks_nothing_is_written(warehouse: psycopg.Connection) -> None:
    assert record_outcomes(warehouse, "silver", "things", "run-1", [], published=True) == []
    assert latest_scores(warehouse) == []
    assert latest_outcomes(warehouse) == []
    assert score_history(warehouse, "silver", "things", 5) == []


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_kept_as_null(warehouse: psycopg.Connection, number: float) -> None:
    record_outcomes(warehouse, "silver", "things", "1", [outcome("a", "failed", measured=number)], published=False)
    assert latest_outcomes(warehouse)[0].measured is None


def test_the_newest_of_each_table_by_layer_then_name(warehouse: psycopg.Connection) -> None:
    for layer, name in (("gold", "a"), ("silver", "z"), ("bronze", "m"), ("silver", "b")):
        record_outcomes(warehouse, layer, name, "run-1", BAD, published=False)
    record_outcomes(warehouse, "silver", "z", "run-2", GOOD, published=True)
    tables = latest_scores(warehouse)
    assert [(one.layer, one.name) for one in tables] == [
        ("bronze", "m"),
        ("silver", "b"),
        ("silver", "z"),
        ("gold", "a"),
    ]
    assert [(one.run, one.published) for one in tables] == [
        ("run-1", False),
        ("run-1", False),
        ("run-2", True),
        ("run-1", False),
    ]
    assert [(one.layer, one.name) for one in latest_outcomes(warehouse, failing_only=True)] == [
        *[("bronze", "m")] * 2,
        *[("silver", "b")] * 2,
        *[("gold", "a")] * 2,
    ]
    assert len(latest_outcomes(warehouse)) == 8


def test_a_retried_run_is_measured_twice(warehouse: psycopg.Connection) -> None:
    record_outcomes(warehouse, "silver", "things", "run-1", BAD, published=False)
    record_outcomes(warehouse, "silver", "things", "run-1", GOOD, published=True)
    newest, older = score_history(warehouse, "silver", "things", 5)
    assert newest.run == older.run == "run-1"
    assert newest.measured_at > older.measured_at
    assert (newest.published, older.published) == (True, False)
    assert latest_scores(warehouse) == [newest]
    assert latest_outcomes(warehouse, failing_only=True) == []


def test_the_history_is_of_one_table_and_no_longer_than_asked(warehouse: psycopg.Connection) -> None:
    for number in range(4):
        record_outcomes(warehouse, "silver", "things", f"run-{number}", GOOD, published=True)
        record_outcomes(warehouse, "gold", "things", f"other-{number}", BAD, published=False)
    found = score_history(warehouse, "silver", "things", 3)
    assert [one.run for one in found] == ["run-3", "run-2", "run-1"]
    assert all(one.scores == tuple(scores(GOOD)) for one in found)


def test_old_outcomes_go_and_scores_stay(warehouse: psycopg.Connection) -> None:
    for name in ("things", "others"):
        for run in ("old", "young"):
            record_outcomes(warehouse, "silver", name, run, BAD, published=False)
    for table in ("quality_scores", "check_outcomes"):
        for run, days in (("old", 41), ("young", 39)):
            age = f"UPDATE atlas.{table} SET measured_at = measured_at - make_interval(days => %s) WHERE run = %s"
            warehouse.execute(age, [days, run])
    record_outcomes(warehouse, "silver", "things", "new", GOOD, published=True, keep_days=40)
    runs = "SELECT DISTINCT run FROM atlas.{} WHERE name = %s ORDER BY run"
    kept = {
        (table, name): [run for (run,) in warehouse.execute(runs.format(table), [name])]
        for table in ("quality_scores", "check_outcomes")
        for name in ("things", "others")
    }
    assert kept == {
        ("quality_scores", "things"): ["new", "old", "young"],
        ("check_outcomes", "things"): ["new", "young"],
        ("quality_scores", "others"): ["old", "young"],
        ("check_outcomes", "others"): ["old", "young"],
    }


def test_a_table_that_was_dropped_is_left_out_until_it_fails_again(warehouse: psycopg.Connection) -> None:
    warehouse.execute('CREATE TABLE silver."odd Name" (id int)')
    warehouse.execute(
        "INSERT INTO atlas.publications (layer, name, rows, quarantined, definition, batch)"
        " VALUES ('silver', 'odd Name', 0, 0, '', '')"
    )
    record_outcomes(warehouse, "silver", "odd Name", "run-1", BAD, published=False)
    record_outcomes(warehouse, "silver", "odd Name", "run-2", GOOD, published=True)
    assert [one.run for one in latest_scores(warehouse)] == ["run-2"]
    warehouse.execute('DROP TABLE silver."odd Name"')
    assert latest_scores(warehouse) == []
    assert latest_outcomes(warehouse) == []
    record_outcomes(warehouse, "silver", "odd Name", "run-3", BAD, published=False)
    assert [one.run for one in latest_scores(warehouse)] == ["run-3"]


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_the_warehouse_refuses_what_is_no_score(warehouse: psycopg.Connection, score: float) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        warehouse.execute(
            "INSERT INTO atlas.quality_scores VALUES ('gold', 'a', 'r', now(), true, 'overall', %s, 1, 0)", [score]
        )


def test_the_monitor_reads_and_only_reads(warehouse: psycopg.Connection, warehouse_url: str) -> None:
    record_outcomes(warehouse, "silver", "things", "run-1", BAD, published=False)
    with psycopg.connect(warehouse_url.replace(f"//{OWNER}@", f"//{MONITOR}@"), autocommit=True) as monitor:
        assert len(latest_scores(monitor)) == 1
        assert len(latest_outcomes(monitor)) == 2
        for table in ("quality_scores", "check_outcomes"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                monitor.execute(f"DELETE FROM atlas.{table}")


def columns(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT attrelid::regclass::text, attnum, attname, atttypid::regtype::text, attnotnull FROM pg_attribute"
        " WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'atlas'::regnamespace AND relkind = 'r')"
        " AND attnum > 0 ORDER BY 1, 2"
    ).fetchall()


def test_a_warehouse_of_version_2_is_upgraded_in_place(warehouse: psycopg.Connection) -> None:
    fresh = columns(warehouse)
    newest = warehouse.execute("SELECT max(version) FROM atlas.setup").fetchone()
    warehouse.execute(OF_VERSION_2)
    warehouse.commit()
    assert columns(warehouse) != fresh
    warehouse.commit()
    assert prepare_warehouse(warehouse) == []
    assert columns(warehouse) == fresh
    kept = "SELECT layer, name, rows, quarantined, duplicates FROM atlas.publications"
    assert warehouse.execute(kept).fetchall() == [("gold", "old", 5, 1, None)]
    assert warehouse.execute("SELECT max(version) FROM atlas.setup").fetchone() == newest != (2,)
    record_outcomes(warehouse, "silver", "things", "run-1", GOOD, published=True)
    warehouse.commit()
    assert prepare_warehouse(warehouse) == []
    assert len(latest_scores(warehouse)) == 1
