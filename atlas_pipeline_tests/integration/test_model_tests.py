"""Unit tests of gold models, from the command line and as a check: over rows that are given, on no table there is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from atlas_pipeline.quality.model_tests.file import UnitTest, read_tests
from atlas_pipeline.quality.model_tests.running import Sources, UnitTestResult, run_test
from atlas_pipeline.sql.lineage import read_model
from atlas_pipeline_tests.integration.test_gold_refresh import FILES, SILVER, TOTAL
from atlas_pipeline_tests.ops.runs import dagster_at
from atlas_pipeline_tests.projects import Load, complaint

SILVER_TYPES = {
    "orders": {"id": "bigint", "at": "timestamptz", "amount": "numeric(10,2)", "note": "text", "extra": "jsonb"}
}
MODELS = {
    "daily": "SELECT at::date AS day, sum(amount) AS amount FROM silver.orders GROUP BY 1",
    "top": "SELECT d.day, silver.orders.id FROM gold.daily d JOIN silver.orders ON silver.orders.at::date = d.day",
    "notes": "SELECT extra, note AS silver FROM silver.orders -- not silver.orders",
}


def result(
    warehouse: psycopg.Connection, model: str, given: Mapping[str, list[dict[str, Any]]], expected: list[dict[str, Any]]
) -> UnitTestResult:
    """Run one test of one of the models."""
    models = {name: read_model(text, Path(f"{name}/model.sql")) for name, text in MODELS.items()}
    rows = {
        (layer, name): rows for (layer, _, name), rows in ((key.partition("."), rows) for key, rows in given.items())
    }
    test = UnitTest("it", Path("tests/it.yaml"), 1, rows, expected)
    return run_test(warehouse, Sources(SILVER_TYPES, models), model, test)


ORDERS = [
    {"id": 1, "at": "2026-01-01 10:00+00", "amount": 1.5},
    {"id": 2, "at": "2026-01-01 11:00+00", "amount": 2},
    {"id": 3, "at": "2026-01-02 11:00+00", "amount": None},
]


def test_numbers_times_and_nulls_are_compared_as_values_in_any_order(warehouse: psycopg.Connection) -> None:
    expected = [{"day": "2026-01-02", "amount": None}, {"day": "2026-01-01", "amount": "3.500"}]
    assert result(warehouse, "daily", {"silver.orders": ORDERS}, expected).passed


def test_what_differs_is_told_by_row(warehouse: psycopg.Connection) -> None:
    expected = [{"day": "2026-01-01", "amount": 3}, {"day": "2026-01-02"}, {"day": "2026-01-02"}]
    found = result(warehouse, "daily", {"silver.orders": ORDERS}, expected)
    assert found.columns == ["day", "amount"]
    assert [(one.missing, list(one.values), one.times) for one in found.differences] == [
        (True, ["2026-01-01", "3"], 1),
        (True, ["2026-01-02", None], 1),
        (False, ["2026-01-01", "3.50"], 1),
    ]


def test_gold_of_gold_has_the_types_of_its_sql_and_the_rows_it_is_given(warehouse: psycopg.Connection) -> None:
    given = {"gold.daily": [{"day": "2026-01-01", "amount": 9}], "silver.orders": ORDERS}
    assert result(warehouse, "top", given, [{"id": 1}, {"id": 2}]).passed


def test_only_tables_are_replaced(warehouse: psycopg.Connection) -> None:
    given = {"silver.orders": [{"note": "silver.orders", "extra": {"a": [1]}}]}
    assert result(warehouse, "notes", given, [{"silver": "silver.orders", "extra": {"a": [1]}}]).passed


def test_no_rows_expected(warehouse: psycopg.Connection) -> None:
    assert result(warehouse, "daily", {}, []).passed
    (difference,) = result(warehouse, "daily", {"silver.orders": ORDERS}, []).differences
    assert (difference.missing, difference.times) == (False, 2)


def test_a_row_that_postgres_refuses_is_a_failure_of_the_test(warehouse: psycopg.Connection) -> None:
    found = result(warehouse, "daily", {"silver.orders": [{"id": "one"}]}, [])
    assert not found.passed
    assert "bigint" in (found.problem or "")


def test_nothing_stays_and_nothing_of_the_project_is_read(warehouse: psycopg.Connection) -> None:
    warehouse.execute("CREATE TABLE silver.orders AS SELECT 7 AS id, now() AS at, 100 AS amount, '' AS note")
    warehouse.commit()
    assert result(warehouse, "daily", {"silver.orders": ORDERS[:1]}, [{"amount": 1.5}]).passed
    left = warehouse.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'atlas\\_test%'").fetchone()
    assert left == (0,)


@pytest.mark.parametrize(
    ("text", "says"),
    {
        "unknown table": ("name: x\n    given: [{input: silver.order, rows: []}]", "'silver.orders'"),
        "unknown column": ("name: x\n    given: [{input: silver.orders, rows: [{ide: 1}]}]", "'id'"),
        "no expectation": ("name: x", "'expect' is missing"),
        "unknown key": ("name: x\n    givven: []", "'given'"),
    }.values(),
    ids=str,
)
def test_a_file_that_cannot_be_used_names_line_and_expectation(tmp_path: Path, text: str, says: str) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    expect = "" if "missing" in says else "\n    expect: {rows: []}"
    (folder / "a.yaml").write_text(f"unit_tests:\n  - {text}{expect}\n")
    with pytest.raises(Exception, match=says) as caught:
        read_tests(tmp_path, {("silver", "orders"): ["id", "at"]}, ["day"])
    assert f"{folder / 'a.yaml'}:" in str(caught.value)


def test_the_example_passes_from_the_command_line(atlas_env: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from atlas_pipeline.cli.model_tests import run

    assert run([], json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"]
    assert {test["model"] for test in document["tests"]} == {"revenue_by_country_month"}
    assert run(["gold.nothing"], json=False) == 2


TESTS = """\
unit_tests:
  - name: it adds up
    given: [{{input: silver.readings, rows: [{{amount: 1}}, {{amount: 2}}]}}]
    expect: {{rows: [{{amount: {expected}}}]}}
"""


@pytest.mark.slow
def test_a_model_whose_tests_fail_is_not_published(
    atlas_env: Path, warehouse: psycopg.Connection, load_files: Load, land: Any
) -> None:
    land("readings/1.csv", "id,amount\n1,5\n")
    with dagster_at(atlas_env) as instance:

        def run(expected: int) -> dg.ExecuteInProcessResult:
            files = FILES | {"total/tests/sums.yaml": TESTS.format(expected=expected)}
            job = load_files(files).resolve_implicit_global_asset_job_def()
            return job.execute_in_process(instance=instance, asset_selection=[*SILVER, TOTAL], raise_on_error=False)

        failed = run(4)
        assert not failed.success
        (check,) = [one for one in failed.get_asset_check_evaluations() if one.check_name == "model_tests"]
        assert (check.passed, check.metadata["failed"].value) == (False, "it adds up (sums.yaml:2): 2 rows differ")
        assert warehouse.execute("SELECT to_regclass('gold.total')").fetchone() == (None,)
        warehouse.commit()
        assert run(3).success
        assert warehouse.execute("SELECT amount FROM gold.total").fetchone() == (5,)


def test_a_wrong_file_is_told_when_the_definitions_load(load_files: Load) -> None:
    files = FILES | {"total/tests/sums.yaml": "unit_tests: [{name: x, expect: {rows: [{amounts: 1}]}}]\n"}
    assert "unknown column 'amounts'" in complaint(load_files, files)
