"""A backup of each version of server comes back on that server, whichever client programs are installed."""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg import conninfo

from atlas_pipeline.backup.drill import drill
from atlas_pipeline.backup.manifest import Backup
from atlas_pipeline.backup.objects import open_object
from atlas_pipeline.backup.pg_dump import PgDump, difference
from atlas_pipeline.backup.pg_dump.tools import Tools
from atlas_pipeline.backup.service import Backups, Options
from atlas_pipeline.backup.store.folder import FolderStore
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline_tests.backup.pg_dump_harness import execute
from atlas_pipeline_tests.servers import password_postgres, programs_of

pytestmark = pytest.mark.slow
PASSWORD = "no secret"
CONTENT = """
CREATE SCHEMA sales;
CREATE ROLE seller LOGIN CONNECTION LIMIT 3;
CREATE TABLE sales.orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz, note text) ;
INSERT INTO sales.orders (at, note) SELECT timestamptz '2026-01-01Z' + i * interval '1 min', repeat(md5(i::text), 9)
FROM generate_series(1, 60000) i;
CREATE TABLE sales."left $ ""o*ut" AS SELECT 'x' AS y;
CREATE INDEX ON sales.orders (at);
CREATE FUNCTION sales.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER noted BEFORE UPDATE ON sales.orders FOR EACH ROW EXECUTE FUNCTION sales.noted();
CREATE MATERIALIZED VIEW sales.days AS SELECT at::date AS day, count(*) FROM sales.orders GROUP BY 1;
GRANT USAGE ON SCHEMA sales TO seller; GRANT SELECT ON sales.orders TO seller;
SELECT lo_from_bytea(77, 'large');
"""
REWORDED = "materialized view sales.days has another definition"
EXCLUDED = Options(exclude=('sales."left $ ""o*ut"',))


@pytest.fixture(scope="module", params=[15, 16, 18])
def major(request: pytest.FixtureRequest) -> int:
    """Versions: Debian's, the wheel's older one, and the embedded one."""
    return int(request.param)


@pytest.fixture(scope="module")
def server(major: int) -> Iterator[str]:
    """URL of the database `shop` on a server of that version."""
    with password_postgres(programs_of(major), PASSWORD) as address:
        admin = f"postgresql://admin:{PASSWORD.replace(' ', '%20')}@{address}"
        execute(f"{admin}/postgres", "CREATE DATABASE shop")
        execute(f"{admin}/shop", CONTENT)
        yield f"{admin}/shop"


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    return Backups(FolderStore(tmp_path / "store"), PgDump(tmp_path / "spool"), EXCLUDED)


def notes(url: str) -> int:
    with connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM sales.orders WHERE note <> 'lost'").fetchone()
    assert row
    return int(row[0])


def restore_over_a_loss(backups: Backups, made: Backup, url: str) -> None:
    execute(url, "UPDATE sales.orders SET note = 'lost'")
    admin = conninfo.make_conninfo(url, dbname="postgres")
    proof, kept = backups.restore(made, admin, datetime.now(UTC))
    assert proof.problem is None
    assert notes(url) == 60000
    execute(admin, f'DROP DATABASE "{kept}"')


@pytest.mark.parametrize("only_newest", [False, True], ids=["all programs", "the newest programs alone"])
def test_a_restore_on_the_server(
    backups: Backups, server: str, major: int, only_newest: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = Tools.installed()[-1]
    if only_newest:
        monkeypatch.setattr(Tools, "installed", lambda: [newest])
    made = backups.run("shop", server, "daily")
    assert made.verified
    assert int(made.manifest.tool_version.split(".")[0]) == (newest.major if only_newest else major)
    restore_over_a_loss(backups, made, server)


def test_a_backup_by_newer_programs_than_the_servers(
    backups: Backups, server: str, major: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    newest = Tools.installed()[-1]
    with monkeypatch.context() as patch:
        patch.setattr(Tools, "installed", lambda: [newest])
        made = backups.run("shop", server, "daily")
    restore_over_a_loss(backups, made, server)
    proof = drill(backups, made, tmp_path / "drills")
    assert proof.problem is None
    assert proof.detail == ({"definitions": [REWORDED]} if major == 15 else {})


def test_the_documented_way_without_atlas(
    backups: Backups, server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    newest = Tools.installed()[-1]
    monkeypatch.setattr(Tools, "installed", lambda: [newest])
    made = backups.run("shop", server, "daily")
    dump = tmp_path / "dump"
    dump.mkdir()
    for stored in made.manifest.objects:
        [first, *_] = stored.files
        content = b"".join(open_object(backups.store, backups.catalogue.folder(made.manifest), stored, (), ()))
        (dump / first).write_bytes(content)
        if first.endswith(".tar"):
            subprocess.run(["tar", "-xf", dump / first, "-C", dump], check=True)
    text = (Path(__file__).parents[2] / "docs" / "backups.md").read_text(encoding="utf-8")
    recipe = text[text.index("createdb -h") :].split("```")[0]
    parts = conninfo.conninfo_to_dict(server)
    recipe = recipe.replace("-h db.example.com -U postgres", f"-h {parts['host']} -p {parts['port']} -U admin")
    recipe = recipe.replace("-d atlas", "-d by_hand").replace(" atlas\n", " by_hand\n")
    env = {"PATH": f"{newest.folder}:{os.defpath}", "PGPASSWORD": PASSWORD, "LC_ALL": "C"}
    command = ["bash", "-euo", "pipefail", "-c", recipe]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert difference(made.manifest.state, backups.engine.state(conninfo.make_conninfo(server, dbname="by_hand"))) == []
