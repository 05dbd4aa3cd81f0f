"""An installation that version 0.1.0 made is taken up: tables, event log, alerts, backups, schedules, telemetry.

`installations/0.1.0.tar.xz` was written by that version: dumps of both databases, its `dagster.yaml`, hash key, landing
files and a backup, after `atlas demo` with 40 customers, a broken file, two alerts, a silence, a schedule as declared
and a sensor that was switched off.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from atlas_pipeline.cli import app
from atlas_pipeline.definitions import defs
from atlas_pipeline.ops.counting import follow
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import EmbeddedPostgres

pytestmark = pytest.mark.slow

MADE = Path(__file__).with_name("installations") / "0.1.0.tar.xz"
MADE_IN = "/tmp/v01"
TABLES = {
    "silver.customers": 41,
    "silver.orders": 200,
    "silver.support_tickets": 20,
    "gold.customer_360": 41,
    "gold.revenue_by_country_month": 20,
    "gold.support_load": 20,
}


@pytest.fixture
def installation(atlas_env: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of that installation, its databases beside the test's own server."""
    with tarfile.open(MADE) as made:
        made.extractall(atlas_env, filter="data")
    for name, variable in (("atlas", "ATLAS_DATABASE_URL"), ("dagster", "ATLAS_DAGSTER_DATABASE_URL")):
        with psycopg.connect(os.environ[variable], autocommit=True) as connection:
            for (schema,) in connection.execute(
                "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
            ).fetchall():
                connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
            connection.execute("CREATE SCHEMA public")
        dump = (atlas_env / f"{name}.sql").read_text().replace(MADE_IN, str(atlas_env))
        load = [EmbeddedPostgres.bin() / "psql", "--quiet", "--set", "ON_ERROR_STOP=1", os.environ[variable]]
        subprocess.run(load, input=dump.replace("CREATE SCHEMA public;", ""), text=True, check=True)
    _restore_times(atlas_env)
    monkeypatch.setenv("ATLAS_PII_HASH_KEY_FILE", str(atlas_env / "keys" / "pii_hash_key"))
    (atlas_env / "dagster").mkdir(exist_ok=True)
    (atlas_env / "dagster.yaml").replace(atlas_env / "dagster" / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(atlas_env / "dagster"))
    load_settings.cache_clear()
    return atlas_env


def _restore_times(home: Path) -> None:
    """Give the landing files the times that the ledger has: an archive keeps no nanoseconds."""
    for uri, version in query("SELECT uri, version FROM atlas.files WHERE uri LIKE %s", f"{home}/landing/%"):
        changed = int(re.search(r"changed (\d+)", version)[1])  # type: ignore[index]
        os.utime(uri, ns=(changed, changed))


def query(statement: str, *parameters: Any) -> list[tuple]:
    with connect(os.environ["ATLAS_DATABASE_URL"], autocommit=True) as connection:
        return connection.execute(statement, parameters).fetchall()


def said(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    return json.loads(done.stdout)


@pytest.fixture
def instance(installation: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance, through the `dagster.yaml` of 0.1.0."""
    text = (installation / "dagster" / "dagster.yaml").read_text()
    assert "atlas_pipeline.resources.dagster_storage" in text
    subprocess.run([sys.executable, "-m", "atlas_pipeline.cli", "migrate"], check=True, capture_output=True)
    with dg.DagsterInstance.from_config(str(installation / "dagster")) as found:
        yield found


def contents() -> dict[str, list[tuple]]:
    return {name: sorted(map(repr, query(f"SELECT * FROM {name}"))) for name in TABLES}  # type: ignore[misc]


def test_an_installation_of_0_1_0_is_taken_up(instance: dg.DagsterInstance, installation: Path) -> None:
    definitions = defs()
    repository = definitions.get_repository_def()
    before = contents()
    assert {name: len(rows) for name, rows in before.items()} == TABLES

    # The event log, and what was switched on and off.
    assert len(instance.get_runs()) >= 2
    made = instance.get_latest_materialization_event(dg.AssetKey(["silver", "customers"]))
    assert made is not None
    states = {state.name: state.status.value for state in instance.all_instigator_state()}
    assert states["backup_daily_schedule"] == "DECLARED_IN_CODE"
    assert states["gold_automation"] == "STOPPED"

    # Telemetry goes on from where it was: only what came since is counted.
    with connect(os.environ["ATLAS_DATABASE_URL"], autocommit=True) as warehouse:
        log = os.environ["ATLAS_DAGSTER_DATABASE_URL"].replace("+psycopg2", "")
        with psycopg.connect(log, autocommit=True) as connection:
            assert follow(connection, warehouse, "start").events == 0

    # Alerts that fired fire on, nothing is told twice, and silences hold.
    query("UPDATE atlas.alert_silences SET until = now() + interval '1 hour' RETURNING id")
    sensor = repository.get_sensor_def("alerts")
    resources = {"warehouse": WarehouseResource()}
    for _ in range(2):
        with dg.build_sensor_context(instance=instance, repository_def=repository, resources=resources) as context:
            reason = sensor(context).skip_reason.skip_message
    assert "0 new messages" in reason
    listed = said("alerts", "list")
    held = {alert["policy"]: alert["since"] for alert in listed["alerts"] if alert["condition"] != "system_down"}
    assert {policy: since[:19] for policy, since in held.items()} == {
        "check-warned": "2026-11-30 14:01:39",
        "run-failed": "2026-11-30 14:01:43",
    }
    assert {one["selection"] for one in listed["silences"]} == {'key:"silver/orders"'}

    # Files that were loaded are known, and no table is built anew.
    job = definitions.resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey([layer, name]) for name in ("customers", "support_tickets") for layer in ("bronze", "silver")]
    result = job.execute_in_process(instance=instance, asset_selection=keys)
    metadata = {
        "/".join(event.asset_key.path): event.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization
    }
    assert metadata["bronze/customers"]["files loaded"].value == 0
    assert metadata["bronze/customers"]["files known before"].value == 2
    assert not any(metadata[f"silver/{name}"]["rebuilt"].value for name in ("customers", "support_tickets"))
    assert contents() == before

    # The backup is listed, verified and still restorable as it was.
    [backup] = said("backup", "list", "--database", "atlas")["backups"]
    assert CliRunner().invoke(app, ["backup", "verify", "latest", "--database", "atlas"]).exit_code == 0, backup
