"""The jobs that take a file back and load one again, run by Dagster."""

from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.orchestration.tables.files import file_jobs
from atlas_pipeline.orchestration.warehouse import WarehouseResource

DATASET = "type: atlas_pipeline.components.Dataset\nattributes:\n"
DEFS = DATASET + "  source: people/*.csv\n  key: id\n  columns:\n    - {name: id}\n"
PEOPLE = Dataset("people", FileSource("people/*.csv"), (Column("id"),), key=("id",))


@pytest.mark.slow
def test_a_file_is_taken_back_and_loaded_again(
    load_files: Callable[[Mapping[str, str]], dg.Definitions],
    land: Callable[[str, str], Path],
    warehouse: psycopg.Connection,
) -> None:
    jobs = {job.name: job for job in file_jobs({"people": PEOPLE})}
    tables = load_files({"people/defs.yaml": DEFS}).resolve_implicit_global_asset_job_def()

    def ask(name: str, **config: object) -> dg.ExecuteInProcessResult:
        op = {"files_forget": "forget_file", "files_reload": "reload_files", "files_accept": "accept_snapshot"}[name]
        run_config = {"ops": {op: {"config": {"dataset": "people", **config}}}}
        resources = {"warehouse": WarehouseResource()}
        return jobs[name].execute_in_process(run_config, resources=resources, raise_on_error=False)

    def silver() -> list[str]:
        assert tables.execute_in_process().success
        found = [value for (value,) in warehouse.execute("SELECT id FROM silver.people ORDER BY id")]
        warehouse.commit()
        return found

    land("people/1.csv", "id\n1\n")
    land("people/2.csv", "id\n2\n")
    assert silver() == ["1", "2"]
    assert ask("files_forget", file="2.csv").success
    assert silver() == ["1", "2"], "it is a dry run unless it is said otherwise"
    assert ask("files_forget", file="2.csv", dry_run=False, reason="a test").success
    assert silver() == ["1"]
    assert ask("files_reload", file="2.csv").success
    assert silver() == ["1", "2"]
    assert not ask("files_forget", file="3.csv").success
    assert not ask("files_accept", file="2.csv").success, "it was not refused"


def test_a_snapshot_that_shrank_is_accepted(
    load_files: Callable[[Mapping[str, str]], dg.Definitions],
    land: Callable[[str, str], Path],
    warehouse: psycopg.Connection,
) -> None:
    [job] = [job for job in file_jobs({"people": PEOPLE}) if job.name == "files_accept"]
    tables = load_files({"people/defs.yaml": DEFS + "  mode: snapshot\n"}).resolve_implicit_global_asset_job_def()
    land("people/1.csv", "id\n1\n2\n3\n")
    assert tables.execute_in_process().success
    land("people/1.csv", "id\n4\n")
    checks = {one.check_name: one.passed for one in tables.execute_in_process().get_asset_check_evaluations()}
    assert not checks["files_readable"]
    run_config = {"ops": {"accept_snapshot": {"config": {"dataset": "people", "file": "1.csv"}}}}
    assert job.execute_in_process(run_config, resources={"warehouse": WarehouseResource()}).success
    done = tables.execute_in_process()
    checks = {one.check_name: one.passed for one in done.get_asset_check_evaluations()}
    assert (checks["files_readable"], checks["one_file_one_snapshot"]) == (True, True)
    assert warehouse.execute("SELECT id FROM silver.people").fetchall() == [("4",)]
    warehouse.commit()
    land("people/a.csv", "id\n4\n")
    land("people/b.csv", "id\n5\n")
    checks = {one.check_name: one.passed for one in tables.execute_in_process().get_asset_check_evaluations()}
    assert not checks["one_file_one_snapshot"], "two parts of one snapshot take each other's place, and it is said"
