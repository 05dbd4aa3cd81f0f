"""A restore beside the living database and the exchange of the two, on a real server with real sessions."""

import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from atlas_pipeline.backup import swap as swapping
from atlas_pipeline.backup.engine import RestoreFailed
from atlas_pipeline.backup.lock import SWAP_LOCK, AlreadyRunning, held
from atlas_pipeline.backup.swap import (
    drop_copy,
    old_copies,
    prepare_target,
    refuse_content,
    restoring,
    swap,
    undo,
)
from atlas_pipeline.settings import PROJECT_ROOT
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 22, 2, tzinfo=UTC)
NAMES = ["plain", "quo\"te's %s {}", "with space/and ?&=", "Ünï – 数", "n" * 55, "数" * 21]


@pytest.fixture
def admin_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A session's way in; afterwards no database of the test is left."""
    url = postgres.url(SUPERUSER, SUPERUSER)
    before = set(databases(url))
    yield url
    with connect(url, autocommit=True) as admin:
        for name in set(databases(url)) - before:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def live(admin_url: str, request: pytest.FixtureRequest) -> str:
    """A database whose one row says `live`; its name ends in the test's parameter, if any."""
    name = f"{uuid.uuid4().hex[:6]}{getattr(request, 'param', '')}".encode()[:63].decode(errors="ignore")
    execute(admin_url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    fill(url_of(admin_url, name), "live")
    return name


def url_of(admin_url: str, name: str) -> str:
    return swapping._url_of(admin_url, name)


def execute(url: str, *statements: str | sql.Composed) -> None:
    with connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def fill(url: str, word: str) -> None:
    execute(url, "CREATE TABLE says (word text)", sql.SQL("INSERT INTO says VALUES ({})").format(sql.Literal(word)))


def says(admin_url: str, name: str) -> str:
    with connect(url_of(admin_url, name)) as connection:
        row = connection.execute("SELECT word FROM says").fetchone()
    return row[0] if row else ""


def databases(url: str) -> dict[str, str | None]:
    """Their comments by name."""
    with connect(url) as connection:
        found = connection.execute("SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database")
        return dict(found.fetchall())


def restored_beside(admin_url: str, live: str, word: str = "restored") -> str:
    """The name of a filled target."""
    url = prepare_target(admin_url, live)
    fill(url, word)
    return psycopg.conninfo.conninfo_to_dict(url)["dbname"]


@pytest.mark.parametrize("live", NAMES, indirect=True)
def test_there_and_back_again(admin_url: str, live: str) -> None:
    before = set(databases(admin_url))
    with restoring(admin_url, live) as target:
        refuse_content(target.url)
        fill(target.url, "restored")
        assert says(admin_url, live) == "live"
        old = swap(admin_url, live, target.name, NOW)
    assert old is not None
    assert says(admin_url, live) == "restored"
    assert says(admin_url, old) == "live"
    assert old.endswith("__before_20261122T020000Z")
    assert len(old.encode()) <= 63
    (copy,) = old_copies(admin_url, live)
    assert (copy.name, copy.kind, copy.at) == (old, "before", NOW)
    assert (copy.bytes or 0) > 1_000_000
    undone = undo(admin_url, live, NOW + timedelta(hours=1))
    assert undone is not None
    assert undone.endswith("__undone_20261122T030000Z")
    assert says(admin_url, live) == "live"
    assert says(admin_url, undone) == "restored"
    assert databases(admin_url)[live] is None
    with pytest.raises(RestoreFailed, match="nothing to undo"):
        undo(admin_url, live)
    drop_copy(admin_url, undone)
    assert set(databases(admin_url)) == before
    with pytest.raises(RestoreFailed, match="not a database that a restore put aside"):
        drop_copy(admin_url, live)


def test_long_names_that_begin_alike_keep_their_copies_apart(admin_url: str) -> None:
    names = [f"{'n' * 60}{letter}" for letter in "ab"]
    for name in names:
        execute(admin_url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        fill(url_of(admin_url, name), f"live {name}")
        swap(admin_url, name, restored_beside(admin_url, name), NOW)
    for name in names:
        assert len(old_copies(admin_url, name)) == 1
        undo(admin_url, name)
        assert says(admin_url, name) == f"live {name}"


@pytest.mark.parametrize("live", ["", "Ünï"], indirect=True)
def test_sessions_are_ended_also_those_that_hold_locks_and_work(admin_url: str, live: str) -> None:
    url = url_of(admin_url, live)
    target = restored_beside(admin_url, live)
    holder, worker, reader = (psycopg.connect(url) for _ in range(3))
    holder.execute("LOCK TABLE says IN ACCESS EXCLUSIVE MODE")
    working = threading.Thread(target=lambda: _ended(worker, "SELECT pg_sleep(60)"))
    waiting = threading.Thread(target=lambda: _ended(reader, "SELECT * FROM says"))
    monitor = psycopg.connect(url_of(admin_url, target))
    working.start()
    waiting.start()
    started = time.monotonic()
    swap(admin_url, live, target, NOW)
    assert time.monotonic() - started < 15
    working.join(10)
    waiting.join(10)
    for connection in (holder, monitor):
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    for connection in (holder, worker, reader, monitor):
        connection.close()
    assert says(admin_url, live) == "restored"


def _ended(connection: psycopg.Connection, query: str) -> None:
    with suppress(psycopg.Error):
        connection.execute(query)


def test_nobody_comes_back_in_between(admin_url: str, live: str) -> None:
    """Clients that reconnect as fast as they can neither stop the exchange nor write into what was put aside."""
    url, stop = url_of(admin_url, live), threading.Event()
    words: list[str] = []

    def client() -> None:
        while not stop.is_set():
            with suppress(psycopg.Error), psycopg.connect(url, autocommit=True) as connection:
                while not stop.is_set():
                    row = connection.execute("INSERT INTO says VALUES ('more') RETURNING current_database()").fetchone()
                    words.append(row[0] if row else "")
                    time.sleep(0.002)

    clients = [threading.Thread(target=client) for _ in range(8)]
    for one in clients:
        one.start()
    try:
        for number in range(3):
            time.sleep(0.2)
            old = swap(admin_url, live, restored_beside(admin_url, live, f"restored {number}"), NOW)
            assert says(admin_url, live) == f"restored {number}"
            assert old in databases(admin_url)
    finally:
        stop.set()
        for one in clients:
            one.join(20)
    assert set(words) == {live}
    assert len(old_copies(admin_url, live)) == 3


def test_the_restored_one_keeps_what_it_has(admin_url: str, live: str) -> None:
    execute(admin_url, sql.SQL("COMMENT ON DATABASE {} IS 'of the live one'").format(sql.Identifier(live)))
    target = restored_beside(admin_url, live)
    place = sql.Identifier(target)
    execute(
        admin_url,
        sql.SQL("ALTER DATABASE {} OWNER TO atlas_owner").format(place),
        sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(place),
        sql.SQL("GRANT CONNECT ON DATABASE {} TO atlas_analyst").format(place),
        sql.SQL("ALTER DATABASE {} SET work_mem = '7MB'").format(place),
        sql.SQL("ALTER ROLE atlas_analyst IN DATABASE {} SET statement_timeout = '9s'").format(place),
        sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 42").format(place),
        sql.SQL("COMMENT ON DATABASE {} IS 'as the backup says'").format(place),
    )
    state = (
        "SELECT pg_get_userbyid(datdba), datacl::text, datconnlimit, datallowconn,"
        " shobj_description(d.oid, 'pg_database'),"
        " ARRAY(SELECT setconfig::text FROM pg_db_role_setting WHERE setdatabase = d.oid ORDER BY 1)"
        " FROM pg_database d WHERE datname = %s"
    )
    with connect(admin_url, autocommit=True) as admin:
        expected = admin.execute(state, [target]).fetchone()
        old = swap(admin_url, live, target, NOW)
        assert admin.execute(state, [live]).fetchone() == expected
    assert expected is not None
    assert expected[0] == "atlas_owner"
    assert len(expected[5]) == 2
    assert "of the live one" in (databases(admin_url)[old or ""] or "")
    undone = undo(admin_url, live)
    assert databases(admin_url)[live] == "of the live one"
    assert "as the backup says" in (databases(admin_url)[undone or ""] or "")


def test_a_database_that_is_gone_is_put_back(admin_url: str, live: str) -> None:
    target = restored_beside(admin_url, live)
    execute(admin_url, sql.SQL("DROP DATABASE {}").format(sql.Identifier(live)))
    assert swap(admin_url, live, target, NOW) is None
    assert says(admin_url, live) == "restored"


def test_undo_takes_the_newest_and_then_the_one_before(admin_url: str, live: str) -> None:
    for number in range(2):
        swap(admin_url, live, restored_beside(admin_url, live, f"restored {number}"), NOW + timedelta(days=number))
    same = swap(admin_url, live, restored_beside(admin_url, live, "restored 2"), NOW + timedelta(days=1))
    assert (same or "").endswith("__before_20261123T020000Z_2")
    for word in ("restored 1", "restored 0", "live"):
        undo(admin_url, live, NOW + timedelta(days=2))
        assert says(admin_url, live) == word
    assert [copy.kind for copy in old_copies(admin_url, live)] == ["undone"] * 3


def test_what_atlas_did_not_make_is_neither_taken_nor_dropped(admin_url: str, live: str) -> None:
    strangers = [f"{live}__restoring_1a2b3c", f"{live}__restoring_1a2b3c4d5e6f", f"{live}__before_20261122T020000Z"]
    for name in strangers:
        execute(admin_url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with restoring(admin_url, live) as target, pytest.raises(RestoreFailed, match="nothing changed"):
        swap(admin_url, live, strangers[0], NOW)
    with pytest.raises(RestoreFailed, match="nothing to undo"):
        undo(admin_url, live)
    with pytest.raises(RestoreFailed, match="nothing changed"):
        swap(admin_url, live, target.name, NOW)
    assert old_copies(admin_url, live) == []
    assert set(strangers) < set(databases(admin_url))
    assert target.name not in databases(admin_url)
    old = swap(admin_url, live, restored_beside(admin_url, live), NOW)
    assert old == f"{live}__before_20261122T020000Z_2"


def test_a_target_of_another_database_is_not_taken(admin_url: str, live: str) -> None:
    with pytest.raises(RestoreFailed, match="nothing changed"):
        swap(admin_url, live, restored_beside(admin_url, f"{live}_test"), NOW)
    assert says(admin_url, live) == "live"


def test_two_restores_at_once(admin_url: str, live: str) -> None:
    with restoring(admin_url, live) as target, restoring(admin_url, f"{live}_test") as other:
        with pytest.raises(AlreadyRunning, match="another restore"), restoring(admin_url, live):
            pass
        assert {target.name, other.name} < set(databases(admin_url))
        fill(target.url, "restored")
        with held(admin_url, SWAP_LOCK, live, ""), pytest.raises(AlreadyRunning, match="put in place"):
            swap(admin_url, live, target.name, NOW)
        assert says(admin_url, live) == "live"
        swap(admin_url, live, target.name, NOW)


def test_a_failed_restore_leaves_nothing(admin_url: str, live: str) -> None:
    before = set(databases(admin_url))
    sessions = []

    def fails() -> None:
        with restoring(admin_url, live) as target:
            sessions.append(psycopg.connect(target.url))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    sessions[0].close()
    assert set(databases(admin_url)) == before


def test_a_rename_that_fails_leaves_all_as_it_was(admin_url: str, live: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = restored_beside(admin_url, live)
    rename = swapping._rename
    monkeypatch.setattr(swapping, "_rename", lambda admin, renames: rename(admin, [*renames, ("gone", "back", None)]))
    with pytest.raises(RestoreFailed, match=f'{live} could not be exchanged and is as it was: database "gone" does'):
        swap(admin_url, live, target, NOW)
    assert says(admin_url, live) == "live"
    assert says(admin_url, target) == "restored"
    assert old_copies(admin_url, live) == []


def test_an_owner_who_is_no_superuser_may_unless_a_superuser_is_connected(
    admin_url: str, postgres: EmbeddedPostgres, live: str
) -> None:
    role = f"r{uuid.uuid4().hex[:8]}"
    execute(
        admin_url,
        f"CREATE ROLE {role} LOGIN CREATEDB",
        sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(live), sql.Identifier(role)),
    )
    owner = postgres.url(SUPERUSER, role)
    try:
        target = prepare_target(owner, live)
        name = psycopg.conninfo.conninfo_to_dict(target)["dbname"]
        fill(target, "restored")
        strong = psycopg.connect(url_of(admin_url, live))
        with pytest.raises(RestoreFailed, match="is as it was: permission denied to terminate process"):
            swap(owner, live, name, NOW)
        assert strong.execute("SELECT word FROM says").fetchone() == ("live",)
        strong.close()
        with psycopg.connect(url_of(owner, live)):
            old = swap(owner, live, name, NOW)
        with connect(target.replace(name, live)) as connection:
            assert connection.execute("SELECT word FROM says").fetchone() == ("restored",)
        drop_copy(owner, old or "")
    finally:
        execute(
            admin_url,
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(live)),
            *(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
                for name in databases(admin_url)
                if name.startswith(f"{live}__")
            ),
            f"DROP ROLE {role}",
        )


def test_a_role_that_may_not_says_so(admin_url: str, postgres: EmbeddedPostgres, live: str) -> None:
    target = restored_beside(admin_url, live)
    session = psycopg.connect(url_of(admin_url, live))
    weak = postgres.url(SUPERUSER, "atlas_analyst")
    with pytest.raises(RestoreFailed, match=r"is as it was: (permission denied|must be owner)"):
        swap(weak, live, target, NOW)
    with pytest.raises(RestoreFailed, match="cannot make a database"), restoring(weak, live):
        pass
    assert session.execute("SELECT word FROM says").fetchone() == ("live",)
    session.close()


def test_not_from_within(postgres: EmbeddedPostgres, admin_url: str, live: str) -> None:
    with pytest.raises(RestoreFailed, match="connect to another database"):
        swap(url_of(admin_url, live), live, "any", NOW)


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from atlas_pipeline.backup import swap as swapping
admin_url, database, target, moment = sys.argv[1:]
mark, calls = swapping._mark, []
def killed(*arguments):
    calls.append(mark(*arguments))
    if len(calls) == int(moment):
        os.kill(os.getpid(), signal.SIGKILL)
swapping._mark = killed
swapping.swap(admin_url, database, target, datetime(2026, 11, 22, 2, tzinfo=UTC))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("moment", "says_then"), [(1, "live"), (2, "live"), (3, "restored")])
def test_killed_in_the_middle_it_is_before_or_after(admin_url: str, live: str, moment: int, says_then: str) -> None:
    target = restored_beside(admin_url, live)
    session = psycopg.connect(url_of(admin_url, live))
    command = [sys.executable, "-c", KILLED, admin_url, live, target, str(moment)]
    assert subprocess.run(command, check=False, cwd=PROJECT_ROOT).returncode == -signal.SIGKILL
    assert says(admin_url, live) == says_then
    session.close()
    if says_then == "live":
        assert old_copies(admin_url, live) == []
        _when_free(lambda: swap(admin_url, live, target, NOW))
    assert says(admin_url, live) == "restored"
    assert target not in databases(admin_url)
    undo(admin_url, live)
    assert says(admin_url, live) == "live"


def _when_free(action: object) -> None:
    for _ in range(100):
        try:
            action()  # type: ignore[operator]
            return
        except AlreadyRunning:
            time.sleep(0.1)
    pytest.fail("the lock of a killed process is still held")


RESTORER = """
import sys, time
from atlas_pipeline.backup.swap import restoring
with restoring(*sys.argv[1:]) as target:
    print(target.name, flush=True)
    time.sleep(120)
"""


def test_what_a_killed_restore_left_is_dropped_by_the_next(admin_url: str, live: str) -> None:
    command = [sys.executable, "-c", RESTORER, admin_url, live]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT) as process:
        assert process.stdout is not None
        left = process.stdout.readline().strip()
        process.kill()
    assert left in databases(admin_url)

    def again() -> None:
        with restoring(admin_url, live) as target:
            assert target.name in databases(admin_url)
            assert left not in databases(admin_url)

    _when_free(again)


def test_what_is_still_written_into_is_left_to_the_next_restore(admin_url: str, live: str) -> None:
    left = restored_beside(admin_url, live)
    with psycopg.connect(url_of(admin_url, left)), restoring(admin_url, live):
        assert left in databases(admin_url)
    with restoring(admin_url, live):
        assert left not in databases(admin_url)


@pytest.mark.parametrize(
    "settings",
    [
        None,
        {"encoding": "UTF8", "collate": "C", "ctype": "C", "provider": "c"},
        {"encoding": "LATIN1", "collate": "C", "ctype": "C", "owner": "somebody"},
        {"encoding": "UTF8", "collate": "C", "ctype": "C", "provider": "b", "locale": "PG_UNICODE_FAST"},
        {"encoding": "UTF8", "collate": "C", "ctype": "C", "provider": "b", "locale": "C.UTF-8"},
    ],
)
def test_a_target_has_the_encoding_and_locale_of_the_backup(
    admin_url: str, live: str, settings: dict[str, str] | None
) -> None:
    query = "SELECT pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider::text, datlocale"
    with connect(admin_url, autocommit=True) as admin, restoring(admin_url, live, settings) as target:
        found = admin.execute(f"{query} FROM pg_database WHERE datname = %s", [target.name]).fetchone()
        expected = admin.execute(f"{query} FROM pg_database WHERE datname = %s", [live]).fetchone()
    if settings:
        names = ("encoding", "collate", "ctype", "provider", "locale")
        expected = tuple(settings.get(name, "c" if name == "provider" else None) for name in names)
    assert found == expected


def test_a_locale_that_the_server_does_not_know_makes_no_target(admin_url: str, live: str) -> None:
    before = set(databases(admin_url))
    unknown = {"encoding": "UTF8", "collate": "xx_XX", "ctype": "xx_XX", "provider": "c"}
    with pytest.raises(RestoreFailed, match="xx_XX"), restoring(admin_url, live, unknown):
        pass
    assert set(databases(admin_url)) == before


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE TABLE t (x int)", "table public.t"),
        ('CREATE SCHEMA "s p"', 'schema "s p"'),
        ("SELECT lo_create(0)", "1 large objects"),
        ("CREATE VIEW v AS SELECT 1 AS one", "view public.v"),
        ("CREATE SEQUENCE q", "sequence public.q"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "function public.f"),
        ("CREATE TYPE e AS ENUM ('a')", "type public.e"),
        ("CREATE TYPE c AS (x int)", "type public.c"),
        ("CREATE DOMAIN d AS int", "type public.d"),
    ],
)
def test_a_database_with_content_is_refused(admin_url: str, live: str, statement: str, named: str) -> None:
    with restoring(admin_url, live) as target:
        refuse_content(target.url)
        execute(target.url, statement)
        with pytest.raises(RestoreFailed, match=f"is not empty \\({named}\\), and nothing in it was changed"):
            refuse_content(target.url)


def test_much_content_is_named_in_part(warehouse_url: str) -> None:
    with pytest.raises(RestoreFailed, match=r"\(schema atlas, schema bronze, .* and \d+ more\)"):
        refuse_content(warehouse_url)
