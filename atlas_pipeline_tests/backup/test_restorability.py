"""What pg_dump cannot carry is named when the backup is made, and does not keep the rest from being restored."""

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from atlas_pipeline.backup.engine import RestoreFailed
from atlas_pipeline.backup.manifest import Backup
from atlas_pipeline.backup.pg_dump import PgDump
from atlas_pipeline.backup.service import Backups, Options
from atlas_pipeline.backup.store.folder import FolderStore
from atlas_pipeline.warehouse.bootstrap import BACKUP
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline_tests.backup.pg_dump_harness import execute

pytestmark = pytest.mark.slow
INVALID_INDEX = [
    "CREATE TABLE a (id int PRIMARY KEY, v int)",
    "INSERT INTO a VALUES (1, 1), (2, 1)",
    "CREATE UNIQUE INDEX CONCURRENTLY a_v ON a (v)",
    "COMMENT ON INDEX a_v IS 'left over'",
]
OF_EXTENSIONS = [
    "CREATE EXTENSION vector",
    "CREATE TABLE member (id int)",
    "ALTER EXTENSION vector ADD TABLE member",
    "COMMENT ON FUNCTION vector_dims(vector) IS 'ours'",
    "CREATE INDEX ON member (id)",
    "CREATE RULE nothing AS ON DELETE TO member DO INSTEAD NOTHING",
]
WRITING_LOGIN = [
    "CREATE TABLE logins (who text)",
    """CREATE FUNCTION on_login() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS
       $$ BEGIN INSERT INTO public.logins VALUES (session_user); END $$""",
    "CREATE EVENT TRIGGER at_login ON login EXECUTE FUNCTION on_login()",
    "ALTER EVENT TRIGGER at_login ENABLE ALWAYS",
]
FOREIGN = [
    "CREATE FOREIGN DATA WRAPPER wrapper",
    "CREATE SERVER far FOREIGN DATA WRAPPER wrapper",
    "CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (user 'u', password 'pw')",
    "CREATE SUBSCRIPTION sub CONNECTION 'host=nowhere' PUBLICATION pub WITH (connect = false)",
]


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    return Backups(FolderStore(tmp_path / "store"), PgDump(tmp_path / "spool"), Options())


def run(url: str, statements: list[str]) -> None:
    for statement in statements:
        with suppress(psycopg.errors.UniqueViolation):
            execute(url, statement)


@pytest.mark.parametrize(
    ("statements", "lacking"),
    [
        (INVALID_INDEX, ["index public.a_v is not valid: REINDEX INDEX or DROP INDEX"]),
        (
            OF_EXTENSIONS,
            [
                "comment on function public.vector_dims(public.vector): it is of an extension",
                "index member_id_idx on public.member: the table is of an extension",
                "rule nothing on public.member: the table is of an extension",
            ],
        ),
        (WRITING_LOGIN, []),
    ],
    ids=["invalid index", "of extensions", "a login trigger that writes"],
)
def test_what_a_dump_lacks_is_named_and_the_rest_comes_back(
    backups: Backups, database: Callable[[], str], statements: list[str], lacking: list[str]
) -> None:
    source, target = database(), database()
    run(source, statements)
    made = backups.run("app", source, "daily")
    assert list(made.manifest.unrestorable) == lacking
    assert backups.catalogue.get("latest", "app").manifest.unrestorable == made.manifest.unrestorable
    assert backups.restore_into(made, target).problem is None


def test_a_backup_of_the_format_before_is_compared_by_what_it_holds(
    backups: Backups, database: Callable[[], str]
) -> None:
    source, target = database(), database()
    run(source, ["CREATE EXTENSION vector", *FOREIGN[:3]])
    made = backups.run("app", source, "daily").manifest
    objects = {name: text for name, text in made.state.objects.items() if not name.startswith("user mapping")}
    former = replace(made.state, objects=objects | {"comment on access method hnsw": "0123"})
    assert backups.restore_into(Backup(replace(made, format=1, state=former)), target).problem is None


def test_a_role_that_may_not_read_a_secret_says_that_it_is_missing(
    backups: Backups, database: Callable[[], str]
) -> None:
    source, target = database(), database()
    run(source, FOREIGN)
    name = conninfo.conninfo_to_dict(source)["dbname"]
    execute(source, f"GRANT CONNECT ON DATABASE {name} TO {BACKUP}")
    whole = backups.run("app", source, "daily")
    assert whole.manifest.unrestorable == ()
    assert {"user mapping for public on server far", "subscription sub"} <= whole.manifest.state.objects.keys()
    partly = backups.run("app", source.replace(f"//{SUPERUSER}@", f"//{BACKUP}@"), "daily")
    assert partly.manifest.unrestorable == (
        "subscription sub: only a superuser can back it up",
        "user mapping for public on server far: only a superuser can back its options up",
    )
    assert backups.restore_into(partly, target).problem is None
    execute(source, "ALTER SUBSCRIPTION sub SET (slot_name = NONE)", "DROP SUBSCRIPTION sub")


def test_a_lost_secret_is_a_difference(backups: Backups, database: Callable[[], str]) -> None:
    source, target = database(), database()
    run(source, FOREIGN[:3])
    made = backups.run("app", source, "daily")
    execute(source, "ALTER USER MAPPING FOR PUBLIC SERVER far OPTIONS (SET password 'other')")
    other = backups.run("app", source, "daily")
    confused = Backup(replace(made.manifest, id=other.manifest.id, objects=other.manifest.objects))
    problem = backups.restore_into(confused, target).problem
    assert problem == "user mapping for public on server far has another definition"


def test_a_named_difference_can_be_accepted(
    backups: Backups, database: Callable[[], str], postgres: EmbeddedPostgres
) -> None:
    url, admin = database(), postgres.url(SUPERUSER, SUPERUSER)
    name = str(conninfo.conninfo_to_dict(url)["dbname"])
    execute(url, "CREATE TABLE says AS SELECT 'first' word")
    made = backups.run(name, url, "daily")
    lost = replace(made.manifest.state, objects=made.manifest.state.objects | {"view public.gone": "0123"})
    claims_more = Backup(replace(made.manifest, state=lost))
    execute(url, "UPDATE says SET word = 'later'")
    difference = "view public.gone is missing"
    with pytest.raises(RestoreFailed, match=f"{difference}.*is as it was"):
        backups.restore(claims_more, admin, datetime.now(UTC), accept=["view public.other is missing"])
    proof, kept = backups.restore(claims_more, admin, datetime.now(UTC), accept=[difference])
    assert (proof.problem, proof.detail) == (None, {"accepted": [difference]})
    with closing(connect(url)) as connection:
        assert connection.execute("SELECT word FROM says").fetchone() == ("first",)
    execute(admin, f'DROP DATABASE "{kept}" WITH (FORCE)')
