"""The sensor of gold asks for runs of what is older than its sources: once, and again when there is more to read."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from atlas_pipeline.orchestration.tables.refresh import request_due
from atlas_pipeline_tests.integration.test_labels import look_at
from atlas_pipeline_tests.ops.runs import dagster_at
from atlas_pipeline_tests.projects import Load

pytestmark = pytest.mark.slow

GOLD = "type: atlas_pipeline.components.GoldModel\nattributes:\n  description: Of readings.\n"
FILES = {
    "readings/defs.yaml": (
        "type: atlas_pipeline.components.Dataset\nattributes:\n  source: readings/*.csv\n  key: id\n  columns:\n"
        "    - {name: id, type: integer}\n    - {name: amount, type: integer}\n"
    ),
    "total/defs.yaml": GOLD,
    "total/model.sql": "SELECT sum(amount) AS amount FROM silver.readings",
    "double/defs.yaml": GOLD,
    "double/model.sql": "SELECT amount * 2 AS amount FROM gold.total",
}
SILVER = [dg.AssetKey(["bronze", "readings"]), dg.AssetKey(["silver", "readings"])]
TOTAL, DOUBLE = dg.AssetKey(["gold", "total"]), dg.AssetKey(["gold", "double"])


class Project:
    """Definitions, an instance and the warehouse; what the sensor asks for is run by the test."""

    def __init__(
        self, definitions: dg.Definitions, instance: dg.DagsterInstance, warehouse: psycopg.Connection, home: Path
    ) -> None:
        self.definitions = definitions
        self.instance = instance
        self.warehouse = warehouse
        self.home = home
        self._files = 0

    def look(self) -> list[dg.AssetKey]:
        """What the sensor asks for."""
        result = request_due(self.instance, self.definitions.get_repository_def(), self.warehouse)
        if isinstance(result, dg.SkipReason):
            return []
        (request,) = result.run_requests or []
        return list(request.asset_selection or [])

    def run(self, keys: Sequence[dg.AssetKey]) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(instance=self.instance, asset_selection=keys, raise_on_error=False)

    def publish(self, *amounts: int) -> None:
        """A file lands and becomes silver."""
        self._files += 1
        rows = "".join(f"{self._files}{number},{amount}\n" for number, amount in enumerate(amounts))
        path = self.home / "landing/readings" / f"{self._files}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("id,amount\n" + rows)
        assert self.run(SILVER).success

    def amount(self, table: str) -> Any:
        row = self.warehouse.execute(f"SELECT amount FROM gold.{table}").fetchone()  # type: ignore[arg-type]
        self.warehouse.commit()
        return row and row[0]


@pytest.fixture
def project(atlas_env: Path, warehouse: psycopg.Connection, load_files: Load) -> Iterator[Project]:
    with dagster_at(atlas_env) as instance:
        yield Project(load_files(FILES), instance, warehouse, atlas_env)


def test_models_are_built_in_order_and_then_left_alone(project: Project) -> None:
    assert project.look() == [], "nothing to read yet"
    project.publish(1, 2)
    asked = project.look()
    assert asked == [TOTAL, DOUBLE]
    assert project.look() == [], "asked for once"
    assert project.run(asked).success
    assert (project.amount("total"), project.amount("double")) == (3, 6)
    assert project.look() == []
    assert project.run(SILVER).success, "nothing new landed"
    assert project.look() == []


def test_silver_published_during_or_right_after_a_build_is_not_forgotten(project: Project) -> None:
    project.publish(1)
    project.run(project.look())
    project.publish(2)
    asked = project.look()
    project.publish(4)
    assert project.run(asked).success, "it reads both"
    assert project.look() == []
    project.publish(8)
    project.run([TOTAL])
    project.publish(16)
    assert project.look() == [TOTAL, DOUBLE]
    project.run([TOTAL, DOUBLE])
    assert project.amount("double") == 62


def test_what_a_run_under_way_is_to_build_is_not_asked_for_again(project: Project) -> None:
    project.publish(1)
    asked = project.look()
    job = project.definitions.resolve_implicit_global_asset_job_def()
    run = project.instance.create_run_for_job(job, asset_selection=frozenset(asked), status=dg.DagsterRunStatus.STARTED)
    project.publish(2)
    assert project.look() == []
    project.instance.report_run_failed(run)
    assert project.look() == [TOTAL, DOUBLE], "other rows than those that were asked for"


def test_the_check_warns_while_the_table_is_behind(project: Project) -> None:
    project.publish(1)
    first = project.run(project.look())
    assert {check.check_name: check.passed for check in first.get_asset_check_evaluations()}["up_to_date"]
    project.publish(2)
    job = project.definitions.resolve_implicit_global_asset_job_def()
    check = dg.AssetCheckKey(TOTAL, "up_to_date")
    alone = job.get_subset(asset_check_selection={check}).execute_in_process(instance=project.instance)
    (behind,) = alone.get_asset_check_evaluations()
    assert (behind.passed, behind.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert behind.metadata["due"].value == "silver.readings is newer"
    assert "since" in behind.metadata


def test_an_alert_is_pending_while_gold_is_behind_and_over_when_it_is_built(project: Project) -> None:
    project.publish(1)
    project.run(project.look())
    project.publish(2)
    look_at(project.definitions, project.instance, project.warehouse)
    statement = "SELECT subject, status FROM atlas.alerts WHERE policy = 'stale-model' ORDER BY subject"
    pending = [("gold/double: sources", "pending"), ("gold/total: sources", "pending")]
    assert project.warehouse.execute(statement).fetchall() == pending
    project.warehouse.commit()
    project.run(project.look())
    look_at(project.definitions, project.instance, project.warehouse)
    assert "pending" not in {status for _, status in project.warehouse.execute(statement).fetchall()}
