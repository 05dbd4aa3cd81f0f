"""Backups in Dagster: materializing makes one, all that happens is observed, and three checks tell how things stand."""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from typer.testing import CliRunner

from atlas_pipeline.backup.configured import backups, names
from atlas_pipeline.backup.manifest import Proof
from atlas_pipeline.backup.objects import open_object
from atlas_pipeline.cli import app
from atlas_pipeline.definitions import defs
from atlas_pipeline.orchestration.backups.assets import backup_asset, step_of
from atlas_pipeline.orchestration.backups.s3 import BackupS3Resource
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres

pytestmark = pytest.mark.slow


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as one:
        yield one


@pytest.fixture
def warehouse_name(atlas_env: Path, warehouse: psycopg.Connection) -> str:
    """The warehouse with a table in it; its name."""
    warehouse.execute("CREATE TABLE silver.things AS SELECT n AS id FROM generate_series(1, 50) n")
    warehouse.commit()
    return names(load_settings())[0]


def run(
    database: str, instance: dg.DagsterInstance, checks_only: bool = False, **config: Any
) -> dg.ExecuteInProcessResult:
    asset = backup_asset(database, None)
    selection = dg.AssetSelection.checks_for_assets(asset.key) if checks_only else dg.AssetSelection.all()
    job = dg.define_asset_job("backup", selection, config={"ops": {step_of(database): {"config": config}}})
    resources = {"s3": BackupS3Resource.of(load_settings())}
    definitions = dg.Definitions(assets=[asset], jobs=[job], resources=resources)
    return definitions.resolve_job_def("backup").execute_in_process(instance=instance, raise_on_error=False)


def observations(result: dg.ExecuteInProcessResult) -> list[dg.AssetObservation]:
    return [
        event.asset_observation_data.asset_observation
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.ASSET_OBSERVATION
    ]


def observed(result: dg.ExecuteInProcessResult) -> list[tuple[Any, Any]]:
    """What happened, and whether it held."""
    found = [one.metadata for one in observations(result)]
    return [(one["event"].value, one["held"].value if "held" in one else None) for one in found]


def checks(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str, str | None]]:
    return {
        one.check_name: (one.passed, one.severity.value, one.description)
        for one in result.get_asset_check_evaluations()
    }


def test_materializing_makes_a_backup_that_is_observed_and_checked(
    warehouse_name: str, instance: dg.DagsterInstance
) -> None:
    result = run(warehouse_name, instance, backup_class="daily")
    assert result.success
    (made,) = result.asset_materializations_for_node(step_of(warehouse_name))
    assert made.metadata["class"].value == "daily"
    assert made.metadata["rows"].value >= 50
    assert {"location", "bytes", "seconds", "compression", "sha256", "server version", "tool", "expires"} <= set(
        made.metadata
    )
    assert observed(result) == [("backup", None), ("verified", True)]
    assert checks(result) == {
        "complete": (True, "ERROR", None),
        "fresh": (True, "ERROR", None),
        "restorable": (False, "WARN", "no restore was tested yet"),
    }


def test_a_drill_proves_that_it_restores(warehouse_name: str, instance: dg.DagsterInstance) -> None:
    run(warehouse_name, instance)
    result = run(warehouse_name, instance, checks_only=True, drill=True)
    assert result.success
    assert observed(result) == [("restored", True), ("verified", True)], "the check reads the backup again"
    assert checks(result)["restorable"][0]
    assert not result.asset_materializations_for_node(step_of(warehouse_name))


def test_a_damaged_backup_is_seen_by_the_check_alone(warehouse_name: str, instance: dg.DagsterInstance) -> None:
    run(warehouse_name, instance)
    made = backups(load_settings())
    (backup,) = made.catalogue.backups(warehouse_name)
    folder = load_settings().home_path / "backups" / made.catalogue.folder(backup.manifest)
    data = max(folder.glob("data-*"))
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.chmod(0o600)
    data.write_bytes(content)
    result = run(warehouse_name, instance, checks_only=True)
    passed, severity, problem = checks(result)["complete"]
    assert (passed, severity) == (False, "ERROR")
    assert problem is not None
    assert data.name in problem
    assert checks(result)["fresh"] == (False, "ERROR", "there is no verified backup")


def test_observations_are_made_anew_from_the_manifests(warehouse_name: str, instance: dg.DagsterInstance) -> None:
    run(warehouse_name, instance)
    with dg.DagsterInstance.ephemeral() as restored:
        assert observed(run(warehouse_name, restored)) == [("backup", None), ("verified", True)] * 2
        assert observed(run(warehouse_name, restored)) == [("backup", None), ("verified", True)]


def test_what_the_command_line_does_is_observed_by_the_next_run(
    warehouse_name: str, instance: dg.DagsterInstance
) -> None:
    run(warehouse_name, instance)
    made = backups(load_settings())
    (first,) = made.catalogue.backups(warehouse_name)
    for command in (["run"], ["verify"], ["drill"]):
        assert CliRunner().invoke(app, ["backup", *command, "--database", warehouse_name]).exit_code == 0
    (second, _) = made.catalogue.backups(warehouse_name)
    result = run(warehouse_name, instance, checks_only=True)
    assert checks(result)["restorable"][0]
    assert observed(result) == [
        ("backup", None),
        ("verified", True),  # by `run`
        ("verified", True),
        ("restored", True),
        ("verified", True),  # by this run's check
    ]
    assert {one.metadata["backup"].value for one in observations(result)} == {second.manifest.id}
    manifest = load_settings().home_path / "backups" / made.catalogue.folder(first.manifest) / "manifest.json"
    kept = manifest.read_bytes()
    manifest.write_text("{}")
    assert observed(run(warehouse_name, instance, checks_only=True)) == [("verified", True)], "unreadable is not gone"
    manifest.write_bytes(json.dumps(json.loads(kept) | {"expires_at": "2020-01-01T00:00:00+00:00"}).encode())
    assert CliRunner().invoke(app, ["backup", "prune"]).exit_code == 0
    result = run(warehouse_name, instance, checks_only=True)
    assert observed(result) == [("verified", True), ("gone", None)]
    assert observations(result)[-1].metadata["backup"].value == first.manifest.id
    assert observed(run(warehouse_name, instance, checks_only=True)) == [("verified", True)], "it is told once"


def test_backups_elsewhere_are_not_gone_and_those_that_come_back_are_told(
    warehouse_name: str, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(warehouse_name, instance)
    place = load_settings().home_path / "backups"
    monkeypatch.setenv("ATLAS_BACKUP_PLACE", "elsewhere")
    load_settings.cache_clear()
    assert observed(run(warehouse_name, instance, checks_only=True)) == []
    monkeypatch.delenv("ATLAS_BACKUP_PLACE")
    load_settings.cache_clear()
    place.rename(place.with_name("unmounted"))
    assert observed(run(warehouse_name, instance, checks_only=True)) == [("gone", None)]
    place.with_name("unmounted").rename(place)
    assert observed(run(warehouse_name, instance, checks_only=True)) == [("backup", None), ("verified", True)]


def test_each_deletion_is_observed_on_the_asset_of_its_database(
    warehouse_name: str, instance: dg.DagsterInstance
) -> None:
    run(warehouse_name, instance)
    made = backups(load_settings())
    (backup,) = made.catalogue.backups(warehouse_name)
    now = backup.manifest.started_at
    for days in (60, 1, 0):
        moment = now - timedelta(days=days)
        manifest = replace(
            backup.manifest,
            id=made.catalogue.new_id("other", "daily", moment),
            database="other",
            started_at=moment,
            finished_at=moment,
            expires_at=moment + timedelta(days=30),
        )
        made.catalogue.write_manifest(manifest)
        made.catalogue.add_proof(manifest, Proof("verified", moment, 0.1))
    result = run(warehouse_name, instance)
    deleted = [one for one in observations(result) if one.metadata["event"].value == "deleted"]
    assert [one.asset_key for one in deleted] == [dg.AssetKey(["backups", "other"])]
    assert len(made.catalogue.backups("other")) == 2


def test_a_database_that_is_not_there_fails_the_run(
    atlas_env: Path, warehouse_name: str, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = load_settings().database_url
    assert url
    monkeypatch.setenv("ATLAS_DATABASE_URL", url.get_secret_value().replace(f"/{warehouse_name}", "/gone", 1))
    load_settings.cache_clear()
    result = run("gone", instance)
    assert not result.success
    assert not backups(load_settings()).catalogue.backups("gone")


def test_schedules_are_on_as_the_settings_say(
    atlas_env: Path, warehouse: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATLAS_BACKUP_SCHEDULES", "staging")
    monkeypatch.setenv("ATLAS_BACKUP_TIMEZONE", "Europe/Paris")
    load_settings.cache_clear()
    found = {one.name: one for one in defs().schedules or [] if isinstance(one, dg.ScheduleDefinition)}
    assert {name: one.cron_schedule for name, one in found.items()} == {
        "backup_daily_schedule": "0 2 * * *",
        "backup_weekly_schedule": "0 3 * * 0",
        "backup_monthly_schedule": "0 4 1 * *",
        "backup_staging_schedule": "0 3 * * *",
        "backup_drill_schedule": "0 5 * * 0",
    }
    running = {name for name, one in found.items() if one.default_status == dg.DefaultScheduleStatus.RUNNING}
    assert running == {"backup_staging_schedule", "backup_drill_schedule"}
    assert {one.execution_timezone for one in found.values()} == {"Europe/Paris"}


def run_job(name: str, op: str, instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    job = defs().resolve_job_def(name)
    return job.execute_in_process(instance=instance, raise_on_error=False, run_config={"ops": {op: {"config": config}}})


def test_a_restore_from_the_launchpad_wants_the_name_of_the_database(
    warehouse_name: str,
    warehouse: psycopg.Connection,
    postgres: EmbeddedPostgres,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ATLAS_DATABASE_URL", postgres.url(warehouse_name, SUPERUSER))  # who may make databases
    load_settings.cache_clear()
    run(warehouse_name, instance)
    warehouse.execute("DELETE FROM silver.things")
    warehouse.commit()
    plan = run_job("backup_restore", "restore_backup", instance, database=warehouse_name)
    assert plan.success
    assert not observed(plan)
    assert warehouse.execute("SELECT count(*) FROM silver.things").fetchone() == (0,)
    warehouse.close()
    done = run_job("backup_restore", "restore_backup", instance, database=warehouse_name, confirm=warehouse_name)
    assert done.success
    assert observed(done) == [("restored in place", None)]
    url = load_settings().database_url
    assert url
    with psycopg.connect(url.get_secret_value()) as connection:
        assert connection.execute("SELECT count(*) FROM silver.things").fetchone() == (50,)
    undone = run_job(
        "backup_restore", "restore_backup", instance, database=warehouse_name, confirm=warehouse_name, undo=True
    )
    assert undone.success
    with psycopg.connect(url.get_secret_value()) as connection:
        assert connection.execute("SELECT count(*) FROM silver.things").fetchone() == (0,)


def test_dagsters_own_database_is_not_restored_by_a_run(warehouse_name: str, instance: dg.DagsterInstance) -> None:
    own = names(load_settings())[1]
    result = run_job("backup_restore", "restore_backup", instance, database=own, confirm=own)
    assert not result.success
    (event,) = result.get_step_failure_events()
    assert "is Dagster's own, which this run is written to" in str(event.step_failure_data.user_failure_data)


def test_pruning_from_the_launchpad_begins_with_a_dry_run(warehouse_name: str, instance: dg.DagsterInstance) -> None:
    run(warehouse_name, instance)
    assert run_job("backup_prune", "prune_backups", instance).success
    assert len(backups(load_settings()).catalogue.backups(warehouse_name)) == 1


def test_declarations_and_settings_are_in_a_backup_and_secrets_are_not(
    warehouse_name: str, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATLAS_PII_HASH_KEY", "canary-key-canary-key-canary-key")
    monkeypatch.setenv("ATLAS_PORT", "4711")
    load_settings.cache_clear()
    run(warehouse_name, instance)
    made = backups(load_settings())
    (backup,) = made.catalogue.backups(warehouse_name)
    (stored,) = [one for one in backup.manifest.objects if "configuration.tar" in one.files]
    content = b"".join(open_object(made.store, made.catalogue.folder(backup.manifest), stored))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        settings = tar.extractfile("settings.json")
        assert settings is not None
        assert json.load(settings)["port"] == 4711
        assert "atlas_pipeline/defs/datasets/orders/contract.yml" in tar.getnames()
    assert b"canary" not in content
