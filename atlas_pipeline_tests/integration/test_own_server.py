"""A Postgres of the user's own instead of the embedded one: an older version, over TCP, with a password, few rights."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline_tests.servers import password_postgres, programs_of

pytestmark = pytest.mark.slow
PASSWORD = "p@ss/w%rd"
QUOTED = "p%40ss%2Fw%25rd"


@pytest.fixture
def own_server() -> Iterator[str]:
    """Host and port of a Postgres 16 that only takes passwords."""
    with password_postgres(programs_of(16), PASSWORD) as address:
        yield address


def atlas(home: Path, urls: dict[str, str], *command: str) -> tuple[dict[str, Any], str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ATLAS_", "DAGSTER_"))}
    env |= {"ATLAS_HOME": str(home), "ATLAS_SAMPLE_ROWS": "100", "ATLAS_SETTLE_SECONDS": "0", **urls}
    command = (sys.executable, "-m", "atlas_pipeline.cli", *command, "--json")
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stdout + done.stderr


def test_the_main_job_on_a_server_of_the_users_own(own_server: str, tmp_path: Path) -> None:
    admin = f"postgresql://admin:{QUOTED}@{own_server}/postgres"
    with connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE pipeline LOGIN PASSWORD '{PASSWORD}'")
        for database in ("shop_atlas", "shop_dagster"):
            connection.execute(f"CREATE DATABASE {database} OWNER pipeline")
    urls = {
        "ATLAS_DATABASE_URL": f"postgresql://pipeline:{QUOTED}@{own_server}/shop_atlas",
        "ATLAS_DAGSTER_DATABASE_URL": f"postgresql://pipeline:{QUOTED}@{own_server}/shop_dagster",
    }
    result, said = atlas(tmp_path, urls, "demo")
    assert result["ok"]
    expected = json.loads((tmp_path / "landing" / "labels" / "expected.json").read_text())["datasets"]
    published = {t["name"]: t["published"] for t in result["tables"] if t["layer"] == "silver"}
    assert published == {name: one["rows_published"] for name, one in expected.items()}
    assert all(t["checks_failed"] == 0 for t in result["tables"])
    status, also_said = atlas(tmp_path, urls, "status")
    assert status["services"]["warehouse"]["embedded"] is False
    assert status["services"]["warehouse"]["version"].startswith("16.")
    assert PASSWORD not in said + also_said
    assert QUOTED not in said + also_said
    assert not (tmp_path / "postgres").exists(), "the embedded server was started for nothing"
    with psycopg.connect(urls["ATLAS_DAGSTER_DATABASE_URL"]) as connection:
        assert connection.execute("SELECT count(*) FROM runs WHERE status = 'SUCCESS'").fetchone() == (1,)
        events = connection.execute("SELECT count(*) FROM event_logs WHERE event LIKE %s", [f"%{PASSWORD}%"])
        assert events.fetchone() == (0,)
