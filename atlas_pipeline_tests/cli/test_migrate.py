"""`atlas migrate`: new databases, old ones, later ones, none; and several at once."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.storage.sql import run_alembic_downgrade
from dagster_postgres import utils
from dagster_postgres.run_storage import PostgresRunStorage
from typer.testing import CliRunner

from atlas_pipeline.cli import app
from atlas_pipeline.instance.home import dagster_home
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.bootstrap import VERSION
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import EmbeddedPostgres
from atlas_pipeline.warehouse.location import dagster_url
from atlas_pipeline_tests import databases

pytestmark = pytest.mark.slow

OLD_REVISION = "46b412388816"
"""A revision of Dagster's schema from before runs had a column for their backfill."""


@pytest.fixture(autouse=True)
def _home_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says to Dagster in its process where its home is."""
    monkeypatch.setenv("DAGSTER_HOME", "")


@pytest.fixture
def dagster_database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Connection URL of an empty database of the test's own for Dagster."""
    with databases.lent(postgres, "template1") as url:
        yield url


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "atlas_pipeline.cli", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def migrate() -> dict[str, Any]:
    done = CliRunner().invoke(app, ["migrate", "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def refusal() -> str:
    done = CliRunner().invoke(app, ["migrate"])
    assert done.exit_code == 1, done.output
    return " ".join(done.stderr.split())


def serving_is_refused(process: str) -> str:
    server = start("serve", process)
    _, said = server.communicate(timeout=300)
    assert server.returncode == 1, said
    assert "Traceback" not in said
    return said


def query(url: str, statement: str, parameters: Sequence[Any] = ()) -> list[tuple]:
    with connect(os.environ[url], autocommit=True) as connection:
        found = connection.execute(statement, parameters)
        return found.fetchall() if found.description else []


def test_several_at_once_make_it_once(atlas_env: Path) -> None:
    query("ATLAS_DATABASE_URL", "DROP SCHEMA atlas CASCADE")
    processes = [start("migrate", "--json") for _ in range(2)]
    answers = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    found = [json.loads(out) for out, _ in answers]
    (head,) = {one["dagster"]["to"] for one in found}
    assert sorted(str(one["dagster"]["from"]) for one in found) == sorted(["None", head])
    assert sorted(str(one["warehouse"]["from"]) for one in found) == sorted(["None", str(VERSION)])
    assert all("atlas: " not in err for _, err in answers)


def test_one_that_waits_says_so(atlas_env: Path) -> None:
    from atlas_pipeline.cli.migrate import LOCK

    with psycopg.connect(os.environ["ATLAS_DATABASE_URL"], autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        process = start("migrate", "--json")
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any("waiting for another process that migrates" in line for line in lines)
    process.communicate(timeout=300)
    assert process.returncode == 0


def test_old_schemas_are_brought_up_with_what_is_in_them(atlas_env: Path) -> None:
    home = dagster_home(load_settings())
    with dg.DagsterInstance.from_config(str(home)) as instance:
        run = instance.create_run_for_job(dg.job(name="before")(lambda: None), status=dg.DagsterRunStatus.SUCCESS)
    storage = PostgresRunStorage(dagster_url(load_settings()))
    with storage.connect() as connection:
        config = utils.pg_alembic_config(utils.__file__.replace("utils.py", "run_storage/__init__.py"))
        run_alembic_downgrade(config, connection, OLD_REVISION)
    assert query("ATLAS_DAGSTER_DATABASE_URL", "SELECT version_num FROM alembic_version") == [(OLD_REVISION,)]
    query("ATLAS_DATABASE_URL", "INSERT INTO atlas.telemetry_totals VALUES ('a', '{}', 5)")
    query("ATLAS_DATABASE_URL", "UPDATE atlas.setup SET version = version - 1")
    said = serving_is_refused("daemon")
    assert OLD_REVISION in said
    assert "run `atlas migrate`" in said

    done = migrate()
    assert done["dagster"]["from"] == OLD_REVISION
    assert done["warehouse"] == {"from": VERSION - 1, "to": VERSION}
    assert migrate()["dagster"] == dict.fromkeys(("from", "to"), done["dagster"]["to"])
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert [one.run_id for one in instance.get_runs()] == [run.run_id]
    assert query("ATLAS_DATABASE_URL", "SELECT count(*) FROM atlas.telemetry_totals") == [(1,)]


def test_databases_of_a_later_version_are_left_alone(atlas_env: Path) -> None:
    head = migrate()["dagster"]["to"]
    query("ATLAS_DATABASE_URL", "INSERT INTO atlas.setup (version) VALUES (%s)", [VERSION + 1])
    assert f"version {VERSION + 1} of Atlas's schema, and this is version {VERSION}" in refusal()
    query("ATLAS_DATABASE_URL", "DELETE FROM atlas.setup WHERE version > %s", [VERSION])
    query("ATLAS_DAGSTER_DATABASE_URL", "UPDATE alembic_version SET version_num = 'fromthefuture'")
    for said in (refusal(), serving_is_refused("webserver")):
        assert "fromthefuture" in said
        assert head in said
    assert query("ATLAS_DAGSTER_DATABASE_URL", "SELECT version_num FROM alembic_version") == [("fromthefuture",)]


@pytest.mark.usefixtures("impatient")
def test_a_database_that_is_away_is_named(atlas_env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_DATABASE_URL", "postgresql://nobody:secret-of-nobody@127.0.0.1:1/atlas")
    said = refusal()
    assert "cannot reach Postgres at 127.0.0.1:1/atlas" in said
    assert "secret-of-nobody" not in said
