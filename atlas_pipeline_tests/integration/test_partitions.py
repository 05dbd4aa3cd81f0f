"""Partitioned datasets through Dagster's own execution: one partition, a range in one run, again, late files, gold."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from dagster.components.testing import create_defs_folder_sandbox

from atlas_pipeline_tests import projects

pytestmark = pytest.mark.slow
DEFS = """type: atlas_pipeline.components.Dataset
attributes:
  source: sales/{partition}/*.csv
  partitions: %s
  partitions_start: "%s"
  key: id
  latest_by: changed_at
  columns:
    - {name: id, type: integer}
    - {name: amount, type: decimal}
    - {name: changed_at, type: timestamp}
"""
CONTRACT = "dataset: atlas/atlas/silver/sales\ncolumns:\n  - name: amount\n    checks:\n      - missing:\n"
MODEL = "SELECT count(*) AS sales, sum(amount) AS amount FROM silver.sales"
GOLD = "type: atlas_pipeline.components.GoldModel\nattributes:\n  description: All sales.\n"
BRONZE, SILVER = dg.AssetKey(["bronze", "sales"]), dg.AssetKey(["silver", "sales"])
TOTAL = dg.AssetKey(["gold", "total"])


class Project:
    """A dataset of sales in partitions, and a model over it."""

    def __init__(self, home: Path, warehouse: psycopg.Connection, instance: dg.DagsterInstance, definitions: Any):
        self.landing = home / "landing" / "sales"
        self.warehouse = warehouse
        self.instance = instance
        self.definitions: dg.Definitions = definitions

    def land(self, partition: str, name: str, *rows: str) -> None:
        path = self.landing / partition / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["id,amount,changed_at", *rows, ""]))

    def run(self, *keys: dg.AssetKey, **options: Any) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance, asset_selection=list(keys), raise_on_error=False, **options
        )

    def run_range(self, first: str, last: str) -> dg.ExecuteInProcessResult:
        """What a backfill of a range is: one run that is tagged with the range."""
        return self.run(
            BRONZE, SILVER, tags={ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
        )

    def silver(self) -> list[tuple]:
        rows = self.warehouse.execute("SELECT id, amount::float FROM silver.sales ORDER BY id").fetchall()
        self.warehouse.commit()
        return rows

    def loads(self) -> list[tuple]:
        """Partition and number of rows of each file in bronze."""
        rows = self.warehouse.execute("SELECT partition, rows FROM atlas.files ORDER BY file_id").fetchall()
        self.warehouse.commit()
        return rows


@contextmanager
def project(kind: str, start: str, home: Path, warehouse: psycopg.Connection) -> Iterator[Project]:
    with create_defs_folder_sandbox() as sandbox, dg.DagsterInstance.ephemeral() as instance:
        files = {"sales/defs.yaml": DEFS % (kind, start), "sales/contract.yml": CONTRACT}
        files |= {"total/model.sql": MODEL, "total/defs.yaml": GOLD}
        projects.write(sandbox, files)
        yield Project(home, warehouse, instance, projects.load(sandbox))


@pytest.fixture
def daily(atlas_env: Path, warehouse: psycopg.Connection) -> Iterator[Project]:
    with project("daily", "2024-01-01", atlas_env, warehouse) as one:
        one.land("2024-01-01", "a.csv", "1,10,2024-01-01T08:00:00Z", "2,20,2024-01-01T09:00:00Z")
        one.land("2024-01-02", "a.csv", "3,30,2024-01-02T08:00:00Z")
        one.land("2024-01-03", "a.csv", "4,40,2024-01-03T08:00:00Z", "1,11,2024-01-03T08:00:00Z")
        one.land("notes", "a.csv", "9,90,2024-01-03T08:00:00Z")
        yield one


def materialized(instance: dg.DagsterInstance, key: dg.AssetKey) -> Sequence[str]:
    return sorted(instance.get_materialized_partitions(key))


def test_one_partition_loads_its_files_only(daily: Project) -> None:
    assert daily.run(BRONZE, SILVER, partition_key="2024-01-02").success
    assert daily.loads() == [("2024-01-02", 1)]
    assert daily.silver() == [(3, 30.0)]
    assert materialized(daily.instance, SILVER) == ["2024-01-02"]


def test_a_range_is_one_run(daily: Project) -> None:
    result = daily.run_range("2024-01-01", "2024-01-03")
    assert result.success
    assert sum(event.is_step_success for event in result.all_events) == 2
    assert daily.loads() == [("2024-01-01", 2), ("2024-01-02", 1), ("2024-01-03", 2)]
    assert daily.silver() == [(1, 11.0), (2, 20.0), (3, 30.0), (4, 40.0)]
    assert materialized(daily.instance, BRONZE) == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert materialized(daily.instance, SILVER) == ["2024-01-01", "2024-01-02", "2024-01-03"]
    passed = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert {"leak_check", "files_readable", "lines_readable", "rows_reconciled"} <= passed.keys()
    assert all(passed.values())


def test_a_partition_again_changes_nothing(daily: Project) -> None:
    assert daily.run_range("2024-01-01", "2024-01-03").success
    before, loads = daily.silver(), daily.loads()
    assert daily.run(BRONZE, SILVER, partition_key="2024-01-01").success
    assert (daily.silver(), daily.loads()) == (before, loads)


def test_partitions_one_by_one_and_out_of_order_give_what_the_range_gives(daily: Project) -> None:
    for key in ("2024-01-03", "2024-01-01", "2024-01-02"):
        assert daily.run(BRONZE, SILVER, partition_key=key).success
    assert daily.silver() == [(1, 11.0), (2, 20.0), (3, 30.0), (4, 40.0)]


def test_a_late_file_of_an_old_partition(daily: Project) -> None:
    assert daily.run_range("2024-01-01", "2024-01-03").success
    daily.land("2024-01-01", "late.csv", "5,50,2024-01-01T10:00:00Z", "4,4,2024-01-01T10:00:00Z")
    assert daily.run(BRONZE, SILVER, partition_key="2024-01-01").success
    assert daily.silver() == [(1, 11.0), (2, 20.0), (3, 30.0), (4, 40.0), (5, 50.0)]


def test_silver_of_one_partition_leaves_what_is_in_bronze_of_others(daily: Project) -> None:
    """The first build takes all of bronze, later ones the partitions of the run."""
    assert daily.run(BRONZE, SILVER, partition_key="2024-01-02").success
    assert daily.run(BRONZE, partition_key="2024-01-01").success
    assert daily.run(BRONZE, SILVER, partition_key="2024-01-03").success
    assert daily.silver() == [(1, 11.0), (3, 30.0), (4, 40.0)]
    assert daily.run(SILVER, partition_key="2024-01-01").success
    assert daily.silver() == [(1, 11.0), (2, 20.0), (3, 30.0), (4, 40.0)]


def test_gold_reads_all_partitions(daily: Project) -> None:
    assert daily.run_range("2024-01-01", "2024-01-02").success
    assert daily.run(TOTAL).success
    assert daily.warehouse.execute("SELECT sales, amount::float FROM gold.total").fetchall() == [(3, 60.0)]
    daily.warehouse.commit()
    assert daily.run_range("2024-01-03", "2024-01-03").success
    assert daily.run(TOTAL).success
    assert daily.warehouse.execute("SELECT sales, amount::float FROM gold.total").fetchall() == [(4, 101.0)]


def test_a_partition_without_files_is_materialized_empty(daily: Project) -> None:
    assert daily.run(BRONZE, SILVER, partition_key="2024-01-02").success
    assert daily.run(BRONZE, SILVER, partition_key="2024-02-01").success
    assert daily.silver() == [(3, 30.0)]


def test_months(atlas_env: Path, warehouse: psycopg.Connection) -> None:
    with project("monthly", "2023-12", atlas_env, warehouse) as one:
        one.land("2023-12", "a.csv", "1,10,2023-12-31T08:00:00Z")
        one.land("2024-01", "a.csv", "2,20,2024-01-01T08:00:00Z")
        one.land("2024-02", "a.csv", "3,30,2024-02-01T08:00:00Z")
        assert one.run_range("2023-12", "2024-01").success
        assert one.silver() == [(1, 10.0), (2, 20.0)]
        assert materialized(one.instance, BRONZE) == ["2023-12", "2024-01"]
