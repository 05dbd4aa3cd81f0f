"""The landing sensor: when it asks for runs, when it does not, and what it says."""

import os
import time
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from atlas_pipeline.definitions import defs
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.settings import load_settings

HEADER = (
    "customer_id,full_name,email,phone,date_of_birth,street_address,city,postcode,country,segment,marketing_opt_in,"
    "created_at,updated_at\n"
)
ROW = "{n},A B,a@example.com,1,1990-01-01,S 1,C,01234,DE,vip,true,2024-01-01T00:00:00Z,2024-01-01T00:00:00Z\n"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as one:
        yield one


def land(home: Path, name: str, rows: range, age: float = 3600.0) -> Path:
    path = home / "landing" / "customers" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEADER + "".join(ROW.format(n=n) for n in rows))
    os.utime(path, (time.time() - age,) * 2)
    return path


@cache
def definitions() -> dg.Definitions:
    """Those of the project, which no test here changes."""
    return defs()


def look(instance: dg.DagsterInstance) -> dg.SensorResult | dg.SkipReason:
    sensor = definitions().resolve_sensor_def("landing")
    with dg.build_sensor_context(instance=instance, resources={"warehouse": WarehouseResource()}) as context:
        return sensor(context)  # type: ignore[return-value]


def load_customers(instance: dg.DagsterInstance) -> None:
    job = definitions().resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey(["bronze", "customers"]), dg.AssetKey(["silver", "customers"])]
    assert job.execute_in_process(instance=instance, asset_selection=keys).success


def test_nothing_landed(atlas_env: Path, instance: dg.DagsterInstance) -> None:
    result = look(instance)
    assert isinstance(result, dg.SkipReason)
    assert result.skip_message == "no new files: looked at 0 files of 3 datasets, 0 still being written"


def test_a_new_file_starts_one_run_of_its_dataset(atlas_env: Path, instance: dg.DagsterInstance) -> None:
    land(atlas_env, "one.csv", range(3))
    land(atlas_env, "two.csv", range(3, 5))
    result = look(instance)
    assert isinstance(result, dg.SensorResult)
    (request,) = result.run_requests or []
    assert request.asset_selection == [dg.AssetKey(["bronze", "customers"]), dg.AssetKey(["silver", "customers"])]
    assert request.tags["atlas/dataset"] == "customers"


def test_the_same_files_give_the_same_run_key_and_a_changed_one_another(
    atlas_env: Path, instance: dg.DagsterInstance
) -> None:
    path = land(atlas_env, "one.csv", range(3))
    first, again = look(instance), look(instance)
    path.write_text(path.read_text() + ROW.format(n=99))
    os.utime(path, (time.time() - 3600,) * 2)
    changed = look(instance)
    keys = [result.run_requests[0].run_key for result in (first, again, changed)]  # type: ignore[union-attr, index]
    assert keys[0].rpartition(":")[0] == keys[1].rpartition(":")[0] != keys[2].rpartition(":")[0]


def test_a_loaded_file_starts_nothing_and_a_changed_one_does(atlas_env: Path, instance: dg.DagsterInstance) -> None:
    path = land(atlas_env, "one.csv", range(3))
    load_customers(instance)
    assert isinstance(look(instance), dg.SkipReason)
    path.write_text(path.read_text() + ROW.format(n=99))
    assert isinstance(look(instance), dg.SensorResult)


def test_a_refused_file_does_not_start_a_run_again_and_again(atlas_env: Path, instance: dg.DagsterInstance) -> None:
    land(atlas_env, "one.csv", range(3))
    (atlas_env / "landing" / "customers" / "empty.csv").touch()
    assert isinstance(look(instance), dg.SensorResult)
    load_customers(instance)
    assert isinstance(look(instance), dg.SkipReason)


def test_a_file_still_being_written_is_left_alone(
    atlas_env: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATLAS_SETTLE_SECONDS", "600")
    load_settings.cache_clear()
    land(atlas_env, "growing.csv", range(3), age=1)
    land(atlas_env, "upload.csv.part", range(3))
    result = look(instance)
    assert isinstance(result, dg.SkipReason)
    assert result.skip_message == "no new files: looked at 1 files of 3 datasets, 1 still being written"


@pytest.mark.slow
def test_never_more_than_a_thousand_queued_by_default(atlas_env: Path, instance: dg.DagsterInstance) -> None:
    land(atlas_env, "one.csv", range(3))
    for number in range(1000):
        instance.create_run_for_job(
            _job,
            run_id=str(uuid.UUID(int=number)),
            status=dg.DagsterRunStatus.QUEUED,
            remote_job_origin=RemoteJobOrigin(
                RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "repository"), "_job"
            ),
        )
    result = look(instance)
    assert isinstance(result, dg.SkipReason)
    assert result.skip_message == "1000 runs are queued, the most allowed is 1000: waiting"
    instance.delete_run(str(uuid.UUID(int=0)))
    assert isinstance(look(instance), dg.SensorResult)


def test_a_dataset_with_a_run_under_way_is_left_to_it(atlas_env: Path, instance: dg.DagsterInstance) -> None:
    land(atlas_env, "one.csv", range(3))
    tags = {"atlas/dataset": "customers"}
    instance.create_run_for_job(_job, status=dg.DagsterRunStatus.STARTED, tags=tags)
    result = look(instance)
    assert isinstance(result, dg.SkipReason)
    assert "customers: 1 new files, a run is under way" in str(result.skip_message)


@dg.op
def _nothing() -> None: ...


@dg.job
def _job() -> None:
    _nothing()
