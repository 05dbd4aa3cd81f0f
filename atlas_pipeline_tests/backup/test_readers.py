"""Readers of the warehouse cannot stop a backup or hold the pipeline up."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from atlas_pipeline.backup.lock import backup_lock
from atlas_pipeline.backup.pg_dump import PgDump
from atlas_pipeline.backup.service import Backups, Options
from atlas_pipeline.backup.store.folder import FolderStore
from atlas_pipeline.warehouse.bootstrap import ANALYST, BACKUP, MONITOR, prepare_embedded, prepare_warehouse
from atlas_pipeline.warehouse.connect import DAGSTER, OWNER, WAREHOUSE, connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline_tests.backup.pg_dump_harness import execute

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
STOPPING = ["SELECT lo_create(0)", "SELECT lo_from_bytea(0, 'x')", "CREATE TEMP TABLE t (a int)"]
STOPPING += ["SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_xact_lock_shared(1, 2)"]


def refused(url: str, statement: str) -> bool:
    try:
        execute(url, statement)
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


def test_readers_cannot_stop_a_backup(elsewhere: EmbeddedPostgres, tmp_path: Path) -> None:
    prepare_embedded(elsewhere)
    for database, role in ((WAREHOUSE, ANALYST), (WAREHOUSE, MONITOR), (DAGSTER, MONITOR)):
        url = elsewhere.url(database, role)
        assert [statement for statement in STOPPING if not refused(url, statement)] == []
    with closing(connect(elsewhere.url(WAREHOUSE, ANALYST))) as connection:
        for name in ("idle_in_transaction_session_timeout", "statement_timeout", "temp_file_limit"):
            assert connection.execute("SELECT current_setting(%s)", [name]).fetchone() not in [("0",), ("-1",)]
    admin = elsewhere.url(SUPERUSER, SUPERUSER)
    with closing(connect(admin)) as connection:
        limit = connection.execute("SELECT rolconnlimit > 0 FROM pg_roles WHERE rolname = %s", [ANALYST])
        assert limit.fetchone() == (True,)
    url = elsewhere.url(WAREHOUSE, BACKUP)
    backups = Backups(FolderStore(tmp_path / "store"), PgDump(tmp_path / "spool"), Options())
    made = backups.run(WAREHOUSE, url, "daily")
    assert made.manifest.unrestorable == ()
    with backup_lock(url, WAREHOUSE):
        execute(admin, f"GRANT TEMPORARY ON DATABASE {WAREHOUSE} TO PUBLIC")
    execute(elsewhere.url(WAREHOUSE, SUPERUSER), "GRANT EXECUTE ON FUNCTION lo_create(oid) TO PUBLIC")
    prepare_embedded(elsewhere)
    assert refused(elsewhere.url(WAREHOUSE, ANALYST), "SELECT lo_create(0)"), "an old backup brought the right back"


def test_a_role_of_few_rights_restores_it(elsewhere: EmbeddedPostgres, tmp_path: Path) -> None:
    prepare_embedded(elsewhere)
    with closing(connect(elsewhere.url(WAREHOUSE, OWNER))) as connection:
        prepare_warehouse(connection)
        connection.commit()
    execute(
        elsewhere.url(SUPERUSER, SUPERUSER),
        "CREATE ROLE restorer LOGIN CREATEDB",
        f"GRANT {OWNER}, {ANALYST}, {MONITOR}, {BACKUP}, pg_signal_backend TO restorer WITH INHERIT TRUE, SET TRUE",
    )
    backups = Backups(FolderStore(tmp_path / "store"), PgDump(tmp_path / "spool"), Options())
    made = backups.run(WAREHOUSE, elsewhere.url(WAREHOUSE, BACKUP), "daily")
    proof, kept = backups.restore(made, elsewhere.url(SUPERUSER, "restorer"), datetime.now(UTC))
    assert (proof.problem, bool(kept)) == (None, True)


def test_a_large_object_that_cannot_be_read_is_named(database: Callable[[], str], tmp_path: Path) -> None:
    source, target = database(), database()
    name = conninfo.conninfo_to_dict(source)["dbname"]
    execute(source, f"GRANT CONNECT ON DATABASE {name} TO {BACKUP}, {ANALYST}", "CREATE TABLE t AS SELECT 1 AS a")
    execute(source.replace(f"//{SUPERUSER}@", f"//{ANALYST}@"), "SELECT lo_create(7)")
    execute(source, "COMMENT ON LARGE OBJECT 7 IS 'note'")
    backups = Backups(FolderStore(tmp_path / "store"), PgDump(tmp_path / "spool"), Options())
    made = backups.run("app", source.replace(f"//{SUPERUSER}@", f"//{BACKUP}@"), "daily")
    named = f"all large objects: 1 of them cannot be read by {BACKUP}, so none was"
    assert made.manifest.unrestorable == (named,)
    assert backups.restore_into(made, target).problem is None
    assert backups.run("app", source, "daily").manifest.state.large_objects[0] == 1


@pytest.mark.parametrize("script", ["readers.sql", "reader_limits.sql"])
@pytest.mark.parametrize("place", ["docs/operations.md", "docker/postgres/initdb.d/10-atlas.sh"])
def test_servers_of_ones_own_are_set_up_by_the_same_statements(script: str, place: str) -> None:
    statements = (ROOT / "atlas_pipeline" / "warehouse" / script).read_text(encoding="utf-8").partition("\n")[2]
    assert statements in (ROOT / place).read_text(encoding="utf-8")
