"""Who may read what: the roles log in for real and try."""

import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from atlas_pipeline.warehouse.bootstrap import ANALYST, BACKUP, MONITOR, prepare_warehouse
from atlas_pipeline.warehouse.connect import OWNER, WAREHOUSE, connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline.warehouse.gold import GoldBuild
from atlas_pipeline_tests.builds import build_gold, fails

TABLES = {
    "silver": "silver.things",
    "gold": "gold.totals",
    "bronze": "bronze.things",
    "quarantine": "quarantine.things",
    "staging": "staging.silver__things",
    "ledger": "atlas.files",
    "rejected lines": "atlas.rejected_lines",
    "publications": "atlas.publications",
    "setup": "atlas.setup",
    "column plans": "atlas.column_plans",
    "scores": "atlas.quality_scores",
    "check outcomes": "atlas.check_outcomes",
}
READABLE = {
    ANALYST: {"silver", "gold"},
    MONITOR: {"ledger", "publications", "setup", "column plans", "scores", "check outcomes"},
    BACKUP: set(TABLES),
    OWNER: set(TABLES),
}


@pytest.fixture
def filled(make_feed: Any) -> Any:
    """Something in every layer, and a finished staging table that was not published."""
    feed = make_feed({"id": "integer", "name": "text"}, key=("id",))
    feed.land("a.csv", "id,name\n1,Ann\nbad,Bob\n1,2,3\n")
    feed.run()
    publish_gold(feed)
    feed.land("b.csv", "id,name\n2,Bob\n")
    feed.load()
    assert feed.build(verify=fails).published is None
    return feed


def publish_gold(feed: Any) -> None:
    model = "SELECT count(*) AS things FROM silver.things"
    feed.model("totals", model)


def as_role(url: str, role: str) -> psycopg.Connection:
    return psycopg.connect(url.replace(f"//{OWNER}@", f"//{role}@"), autocommit=True)


@pytest.mark.parametrize("role", READABLE)
def test_what_a_role_may_read(filled: Any, role: str) -> None:
    readable = set()
    with as_role(filled.url, role) as connection:
        assert connection.execute("SELECT current_user, session_user").fetchone() == (role, role)
        for name, table in TABLES.items():
            try:
                connection.execute(f"SELECT * FROM {table}")
                readable.add(name)
            except psycopg.errors.InsufficientPrivilege:
                continue
    assert readable == READABLE[role]


@pytest.mark.parametrize("role", [ANALYST, MONITOR, BACKUP])
def test_what_no_role_but_the_owner_may_do(filled: Any, role: str) -> None:
    forbidden = [
        "INSERT INTO silver.things (id) VALUES (9)",
        "UPDATE silver.things SET id = 9",
        "DELETE FROM gold.totals",
        "TRUNCATE silver.things",
        "DROP TABLE silver.things",
        "ALTER TABLE gold.totals ADD COLUMN x int",
        "CREATE TABLE silver.mine (id int)",
        "CREATE TABLE public.mine (id int)",
        "DELETE FROM atlas.files",
        "CREATE SCHEMA mine",
        f"SET ROLE {OWNER}",
    ]
    with as_role(filled.url, role) as connection:
        for statement in forbidden:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_the_analyst_still_reads_after_each_publication(filled: Any) -> None:
    for publication in range(3):
        filled.land(f"c{publication}.csv", f"id,name\n{10 + publication},x\n")
        filled.run()
        publish_gold(filled)
        with as_role(filled.url, ANALYST) as connection:
            assert connection.execute("SELECT max(id) FROM silver.things").fetchone() == (10 + publication,)
            assert connection.execute("SELECT things FROM gold.totals").fetchone() == (3 + publication,)


def test_a_member_of_the_analysts_reads_after_each_publication(filled: Any, postgres: EmbeddedPostgres) -> None:
    with connect(postgres.url(SUPERUSER, SUPERUSER)) as connection:
        connection.execute(f"CREATE ROLE anna LOGIN IN ROLE {ANALYST}")
    try:
        filled.run()
        with as_role(filled.url, "anna") as connection:
            assert connection.execute("SELECT count(*) FROM silver.things").fetchone() == (2,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT * FROM bronze.things")
    finally:
        with connect(postgres.url(SUPERUSER, SUPERUSER)) as connection:
            connection.execute("DROP ROLE anna")


def test_the_monitor_sees_statistics_of_all(filled: Any) -> None:
    with as_role(filled.url, MONITOR) as connection, as_role(filled.url, OWNER) as watched:
        watched.execute("SELECT 'watched'")
        statement = "SELECT query FROM pg_stat_activity WHERE pid = %s"
        assert connection.execute(statement, [watched.info.backend_pid]).fetchone() == ("SELECT 'watched'",)
        assert connection.execute("SELECT pg_database_size(current_database()) > 0").fetchone() == (True,)


@pytest.mark.slow
def test_the_backup_role_is_enough_for_pg_dump(filled: Any, tmp_path: Path) -> None:
    url = filled.url.replace(f"//{OWNER}@", f"//{BACKUP}@")
    dump = tmp_path / "dump.sql"
    subprocess.run([EmbeddedPostgres.bin() / "pg_dump", "-d", url, "-f", dump], check=True)
    text = dump.read_text()
    for table in TABLES.values():
        assert f"COPY {table} " in text or f"CREATE VIEW {table} " in text


def test_the_warehouse_is_closed_to_roles_that_were_not_let_in(postgres: EmbeddedPostgres) -> None:
    with connect(postgres.url(SUPERUSER, SUPERUSER)) as connection:
        connection.execute("CREATE ROLE stranger LOGIN")
    try:
        for database in (WAREHOUSE, "dagster"):
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(postgres.url(database, "stranger"))
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(postgres.url("dagster", ANALYST))
        for role in (ANALYST, BACKUP, MONITOR):
            psycopg.connect(postgres.url(WAREHOUSE, role)).close()
    finally:
        with connect(postgres.url(SUPERUSER, SUPERUSER)) as connection:
            connection.execute("DROP ROLE stranger")


@pytest.mark.parametrize("user", ["nobody", "daemon"])
@pytest.mark.parametrize("role", [OWNER, ANALYST, SUPERUSER, "nobody"])
def test_another_user_of_the_machine_is_refused(postgres: EmbeddedPostgres, user: str, role: str) -> None:
    """`nobody` runs the server when Atlas is root, so it reaches the socket; others do not even do that."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user takes root")
    psql = [EmbeddedPostgres.bin() / "psql", "-X", "-w", "-c", "SELECT 1", postgres.url(WAREHOUSE, role)]
    group = pwd.getpwnam(user).pw_gid
    done = subprocess.run(
        psql, user=user, group=group, extra_groups=[], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 2
    expected = "Peer authentication failed" if user == "nobody" else "Permission denied"
    assert expected in done.stderr
    own = subprocess.run(
        [*psql[:-1], postgres.url(WAREHOUSE, OWNER)], capture_output=True, text=True, check=False, cwd="/"
    )
    assert own.returncode == 0, own.stderr


def test_the_server_listens_on_no_network(postgres: EmbeddedPostgres) -> None:
    with connect(postgres.url(SUPERUSER, SUPERUSER)) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    assert postgres.socket_dir.stat().st_mode & 0o077 == 0


def test_set_up_is_complete_or_not_there_at_all(postgres: EmbeddedPostgres, postgres_dsn: str) -> None:
    with connect(postgres_dsn) as connection:
        assert prepare_warehouse(connection) == []
        connection.rollback()
    with connect(postgres_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM atlas.setup").fetchone() == (1,)
        assert prepare_warehouse(connection) == []


def test_a_role_that_may_not_create_roles_gets_a_warning_and_working_tables(postgres: EmbeddedPostgres) -> None:
    """On a server of the user's own, the roles may be missing; publishing works without them."""
    with connect(postgres.url(SUPERUSER, SUPERUSER), autocommit=True) as connection:
        connection.execute("CREATE ROLE own_owner LOGIN")
        connection.execute("CREATE DATABASE own OWNER own_owner")
        connection.execute(f"ALTER ROLE {MONITOR} RENAME TO not_here")
    try:
        with connect(postgres.url("own", "own_owner")) as connection:
            (warning,) = prepare_warehouse(connection)
            assert "may not create roles" in warning
            build_gold(GoldBuild(connection, "one", "SELECT 1 AS n", "test"))
            assert connection.execute("SELECT n FROM gold.one").fetchone() == (1,)
    finally:
        with connect(postgres.url(SUPERUSER, SUPERUSER), autocommit=True) as connection:
            connection.execute(f"ALTER ROLE not_here RENAME TO {MONITOR}")
            connection.execute("DROP DATABASE own WITH (FORCE)")
            connection.execute("DROP ROLE own_owner")
