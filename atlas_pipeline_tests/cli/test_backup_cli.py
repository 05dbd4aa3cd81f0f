"""`atlas backup` from outside: what is printed where, exit codes, and that nothing happens without being asked for."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from psycopg import conninfo
from typer.testing import CliRunner

from atlas_pipeline.backup import configured
from atlas_pipeline.cli import app
from atlas_pipeline.instance.home import dagster_home
from atlas_pipeline.orchestration.backups.jobs import backup_restore
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres

COMMANDS = ["run", "list", "show", "verify", "restore", "drill", "prune", "copies"]
DOCUMENT = {
    "id",
    "database",
    "class",
    "installation",
    "started_at",
    "finished_at",
    "expires_at",
    "bytes",
    "raw_bytes",
    "rows",
}
DOCUMENT |= {"verified", "proofs", "unrestorable"}
CANARY = "canary-password"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text as a script sees it."""
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def installed(atlas_env: Path, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installation with a table in each database, reached as one who may do all."""
    before = set(databases(postgres))
    for name in ("ATLAS_DATABASE_URL", "ATLAS_DAGSTER_DATABASE_URL"):
        monkeypatch.setenv(name, postgres.url(dbname(os.environ[name]), SUPERUSER))
        execute(os.environ[name], "CREATE TABLE public.says AS SELECT 'first' word")
    load_settings.cache_clear()
    yield atlas_env
    for name in set(databases(postgres)) - before:
        execute(postgres.url(SUPERUSER, SUPERUSER), f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def name(installed: Path) -> str:
    """The name of the warehouse."""
    return dbname(os.environ["ATLAS_DATABASE_URL"])


def dbname(url: str) -> str:
    return str(conninfo.conninfo_to_dict(url)["dbname"])


def execute(url: str, *statements: str) -> None:
    with closing(connect(url, autocommit=True)) as connection:
        for statement in statements:
            connection.execute(statement)


def word() -> str:
    """What the warehouse says."""
    with closing(connect(os.environ["ATLAS_DATABASE_URL"])) as connection:
        row = connection.execute("SELECT word FROM public.says").fetchone()
    return str(row[0]) if row else ""


def databases(server: EmbeddedPostgres) -> list[str]:
    with closing(connect(server.url(SUPERUSER, SUPERUSER))) as connection:
        return sorted(found for (found,) in connection.execute("SELECT datname FROM pg_database"))


def stored(home: Path) -> list[Path]:
    return sorted(path for path in (home / "backups").rglob("*") if path.is_file())


def backup(*arguments: object, stdin: str | None = None, expect: int = 0) -> Any:
    """Run the command in this process."""
    done = CliRunner().invoke(app, ["backup", *map(str, arguments)], input=stdin)
    assert done.exit_code == expect, (done.stdout, done.stderr, done.exception)
    assert "Traceback" not in done.stderr
    return done


def given_away(home: Path, name: str) -> dict[str, Any]:
    """Turn the only backup into one of another installation. Returns its document."""
    (made,) = document("list", "--database", name)["backups"]
    old = home / "backups" / f"{name}@{made['installation']}" / made["id"]
    new = home / "backups" / f"{name}@deadbeefdeadbeef" / made["id"]
    new.parent.mkdir()
    old.rename(new)
    manifest = json.loads((new / "manifest.json").read_text())
    (new / "manifest.json").write_text(json.dumps(manifest | {"installation": "deadbeefdeadbeef"}))
    return made | {"installation": "deadbeefdeadbeef"}


def document(*arguments: object, expect: int = 0) -> dict[str, Any]:
    """The one JSON document that it prints."""
    found: dict[str, Any] = json.loads(backup(*arguments, "--json", expect=expect).stdout)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    said = backup(command, "--help").stdout
    assert f"atlas backup {command}" in said
    assert "--json" in said


def test_help_loads_nothing_heavy() -> None:
    code = "import sys\nfrom atlas_pipeline.cli import app\ntry:\n    app(['backup', '--help'])\nfinally:\n    "
    code += "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(command in done.stdout for command in COMMANDS)
    loaded = set(done.stderr.split())
    assert loaded & {"dagster", "boto3", "botocore", "psycopg", "pyrage", "zstandard", "pandas"} == set()


def test_an_empty_store(installed: Path) -> None:
    assert document("list") == {"backups": []}
    assert document("prune") == {"deleted": [], "kept": [], "refused": None}
    for command in ("show", "verify", "drill"):
        done = backup(command, "--json", expect=1)
        assert done.stdout == ""
        assert "holds no backup of" in done.stderr
    done = backup("restore", "--database", dbname(os.environ["ATLAS_DATABASE_URL"]), expect=1)
    assert "holds no backup of" in done.stderr


def test_what_is_not_there_is_said(installed: Path, name: str) -> None:
    done = backup("run", "--database", "nowhere", "--json", expect=1)
    assert done.stdout == ""
    assert f"there is no database nowhere here: expected one of {name}, " in done.stderr
    assert "expected one of daily, weekly" in backup("run", "--class", "hourly", expect=2).stderr
    assert "say which database by --database: expected one of" in backup("restore", expect=2).stderr
    backup("restore", "--database", "nowhere", "--yes", expect=2)
    assert document("list", "--database", "nowhere") == {"backups": []}
    assert stored(installed) == []


@pytest.mark.slow
def test_there_and_back_again(installed: Path, name: str, postgres: EmbeddedPostgres) -> None:
    made = document("run", "--class", "daily")["backups"]
    assert {one["database"] for one in made} == {name, dbname(os.environ["ATLAS_DAGSTER_DATABASE_URL"])}
    for one in made:
        assert set(one) == DOCUMENT
        assert (one["class"], one["verified"]) == ("daily", True)
        assert [proof["kind"] for proof in one["proofs"]] == ["verified"]
    listed = document("list")["backups"]
    assert sorted(one["id"] for one in listed) == sorted(one["id"] for one in made)
    (mine,) = document("list", "--database", name)["backups"]
    assert mine["id"] in backup("list").stdout
    (shown,) = document("show", mine["id"], "--database", name)["backups"]
    assert set(shown) == DOCUMENT | {"tables"}
    assert shown["tables"]["public.says"]["rows"] == 1
    text = backup("show", mine["id"][:12], "--database", name).stdout
    assert "public.says" in text
    assert "not encrypted" in text
    verified = document("verify", "--database", name)
    assert verified["ok"] is True
    assert [(one["id"], one["kind"], one["problem"]) for one in verified["proofs"]] == [(mine["id"], "verified", None)]

    execute(os.environ["ATLAS_DATABASE_URL"], "UPDATE public.says SET word = 'second'")
    before, kept = databases(postgres), stored(installed)
    said = backup("restore", "--database", name, "--dry-run").stdout
    assert mine["id"] in said
    assert "The way back: atlas backup restore --undo" in said
    for typed in ("another\n", "yes\n", f"{name}x\n", "\n\nno\n"):
        done = backup("restore", "--database", name, "--json", stdin=typed, expect=2)
        assert "{" not in done.stdout
        assert "that is another name: nothing was done" in done.stderr
    backup("restore", "--database", name, stdin="", expect=1)  # nobody is there to type
    assert (word(), databases(postgres), stored(installed)) == ("second", before, kept)

    for way in ("--dry-run", "--yes"):
        done = backup("restore", "--undo", "--database", name, way, expect=1)
        assert done.stdout == ""
        assert f"nothing to undo: no copy of {name} from before a restore is there" in done.stderr
    restored = document("restore", mine["id"], "--database", name, "--yes")
    assert set(restored) == {"database", "kept_as", "seconds"}
    assert word() == "first"
    assert restored["kept_as"] in databases(postgres)
    assert document("list", "--database", name)["backups"][0]["proofs"][-1]["kind"] == "restored"
    assert restored["kept_as"] in backup("restore", "--undo", "--database", name, "--dry-run").stdout
    assert word() == "first"
    done = backup("restore", "--undo", "--database", name, stdin=f"{name}\n")
    assert "is in place; what was there is kept as" in done.stdout
    assert word() == "second"
    done = backup("restore", "--undo", "--database", name, "--yes", expect=1)
    assert "nothing to undo" in done.stderr


@pytest.mark.slow
def test_what_restores_put_aside_is_listed_and_dropped(installed: Path, name: str, postgres: EmbeddedPostgres) -> None:
    assert document("copies") == {"copies": []}
    backup("run", "--database", name)
    first = document("restore", "--database", name, "--yes")["kept_as"]
    second = document("restore", "--undo", "--database", name, "--yes")["kept_as"]
    assert first not in databases(postgres), "it was taken back"
    third = document("restore", "--database", name, "--yes")["kept_as"]
    listed = document("copies", "--database", name)["copies"]
    assert {(one["database"], one["name"], one["kind"]) for one in listed} == {
        (name, second, "undone"),
        (name, third, "before"),
    }
    for one in listed:
        assert one["bytes"] > 1_000_000
        assert one["at"].endswith("+00:00")
    shown = backup("copies").stdout
    assert second in shown
    assert third in shown
    before = databases(postgres)
    for wrong in (name, "postgres", "absent"):
        said = backup("copies", "--drop", wrong, "--yes", expect=1).stderr
        assert f"{wrong} is not a database that a restore put aside" in said
    for typed in (f"{name}\n", f"{third}x\n", "yes\n"):
        assert "nothing was done" in backup("copies", "--drop", third, stdin=typed, expect=2).stderr
    backup("copies", "--drop", third, stdin="", expect=1)
    assert databases(postgres) == before
    assert f"{third} is dropped" in backup("copies", "--drop", third, stdin=f"{third}\n").stdout
    assert document("copies", "--drop", second, "--yes") == {"dropped": second}
    assert databases(postgres) == sorted(set(before) - {second, third})
    assert word() == "first"


@pytest.mark.slow
def test_drill(installed: Path, name: str, postgres: EmbeddedPostgres) -> None:
    backup("run", "--database", name)
    before = databases(postgres)
    drilled = document("drill", "--database", name)
    assert drilled["ok"] is True
    (proof,) = drilled["proofs"]
    assert set(proof) == {"database", "id", "kind", "seconds", "problem", "undrilled"}
    assert (proof["kind"], proof["problem"]) == ("restored", None)
    assert proof["seconds"] > 0
    assert databases(postgres) == before
    assert list((installed / "drills").iterdir()) == []
    assert "restored in" in backup("drill", "--database", name).stdout


@pytest.mark.slow
def test_a_database_that_was_never_backed_up_fails_only_when_it_is_asked_for(installed: Path, name: str) -> None:
    other = dbname(os.environ["ATLAS_DAGSTER_DATABASE_URL"])
    (made,) = document("run", "--database", name)["backups"]
    for command in (["verify"], ["verify", "latest"], ["verify", made["id"]], ["show"], ["drill"]):
        done = backup(*command, "--json")
        result = json.loads(done.stdout)
        assert result["missing"] == [other]
        assert [one["id"] for one in result.get("proofs") or result["backups"]] == [made["id"]]
        assert (f"{other} was never backed up" in done.stderr) == (made["id"] not in command)
    for command in ("verify", "show", "drill"):
        assert f"holds no backup of {other}" in backup(command, "--database", other, expect=1).stderr
    assert "no backup of" in backup("verify", "2001", expect=1).stderr
    folder = installed / "backups" / other / made["id"]
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    assert "is not a manifest" in backup("verify", "latest", expect=1).stderr


@pytest.mark.slow
def test_the_backup_of_another_installation_is_listed_and_not_touched(installed: Path, name: str) -> None:
    backup("run", "--database", name)
    other = given_away(installed, name)
    listed = document("list")
    assert listed["backups"] == []
    assert [one["id"] for one in listed["others"]] == [other["id"]]
    assert "deadbeef" in backup("list").stdout
    execute(os.environ["ATLAS_DATABASE_URL"], "UPDATE public.says SET word = 'later'")
    for command in (["verify"], ["drill"], ["restore", "--yes"]):
        refused = backup(*command, "--database", name, expect=1).stderr
        assert "1 of others: --from deadbeefdeadbeef takes" in refused.replace("\n", " ")
    assert word() == "later"
    assert document("prune", "--confirm") == {"deleted": [], "kept": [], "refused": None}
    assert document("prune", "--from", "dead", "--dry-run")["kept"] == [[name, other["id"]]]
    assert document("verify", "--from", "dead", "--database", name)["ok"]
    backup("restore", "--yes", "--database", name, "--from", "dead")
    assert word() == "first"


@pytest.mark.slow
def test_damage_fails(installed: Path, name: str) -> None:
    backup("run", "--database", name)
    data = max(path for path in stored(installed) if path.name.startswith("data-"))
    os.truncate(data, data.stat().st_size * 9 // 10)
    verified = document("verify", "--database", name, expect=1)
    assert verified["ok"] is False
    assert "and the manifest says" in verified["proofs"][0]["problem"]
    assert "FAILED" in backup("list").stdout
    assert "does not restore" in backup("restore", "--database", name, "--yes", expect=1).stderr
    assert document("drill", "--database", name, expect=1)["ok"] is False
    (data.parent / "manifest.json").write_text("{}")
    done = backup("list", "--json", expect=1)
    assert json.loads(done.stdout) == {"backups": []}
    assert "is not a manifest" in done.stderr


@pytest.mark.slow
def test_an_empty_home_has_nothing_to_back_up(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ATLAS_", "DAGSTER_"))}
    command = [sys.executable, "-m", "atlas_pipeline.cli", "backup", "run"]
    done = subprocess.run(command, env=env | {"ATLAS_HOME": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "atlas is not set up yet, so there is nothing to back up" in done.stderr


@pytest.mark.slow
def test_prune(installed: Path, name: str) -> None:
    for _ in range(3):
        backup("run", "--database", name, "--class", "staging")
    ids = [one["id"] for one in document("list", "--database", name)["backups"]]
    for path in installed.glob("backups/*/*/manifest.json"):
        manifest = json.loads(path.read_text())
        if manifest["id"] != ids[0]:
            path.write_text(json.dumps(manifest | {"expires_at": "2020-01-01T00:00:00+00:00"}))
    before = stored(installed)
    assert "more than half at once" in document("prune", "--dry-run", expect=1)["refused"]
    document("prune", expect=1)
    assert document("prune", "--dry-run", "--confirm")["deleted"] == [[name, one] for one in ids[1:]]
    assert "nothing is deleted" in backup("prune", "--dry-run", "--confirm").stdout
    assert stored(installed) == before
    assert document("prune", "--confirm") == {
        "deleted": [[name, one] for one in ids[1:]],
        "kept": [[name, ids[0]]],
        "refused": None,
    }
    assert [one["id"] for one in document("list")["backups"]] == ids[:1]


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_one_database_that_fails_does_not_stop_the_other(
    installed: Path, name: str, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dbname(os.environ["ATLAS_DAGSTER_DATABASE_URL"])
    monkeypatch.setenv("ATLAS_DATABASE_URL", postgres.url("absent", SUPERUSER))
    load_settings.cache_clear()
    done = backup("run", "--json", expect=1)
    assert "absent: cannot reach Postgres" in done.stderr
    assert [one["database"] for one in json.loads(done.stdout)["backups"]] == [other]


@pytest.mark.slow
def test_dagsters_own_database(installed: Path, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    other = dbname(os.environ["ATLAS_DAGSTER_DATABASE_URL"])
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home(load_settings())))
    status = dg.DagsterRunStatus
    before = [status.STARTED, status.STARTING, status.CANCELING, status.NOT_STARTED, status.SUCCESS]
    after = [status.FAILURE, status.FAILURE, status.CANCELED, status.NOT_STARTED, status.SUCCESS]
    runs = [dg.DagsterRun("work", status=one) for one in before]
    runs.append(dg.DagsterRun("backup_restore", status=status.STARTED, tags=backup_restore.tags))
    with dg.DagsterInstance.get() as instance:
        for run in runs:
            instance.add_run(run)
    (made,) = document("run", "--database", other)["backups"]
    admin = postgres.url(SUPERUSER, SUPERUSER)
    execute(admin, f"DROP DATABASE {other} WITH (FORCE)")
    assert [one["id"] for one in document("list")["backups"]] == [made["id"]]
    assert document("show", "--database", other)["backups"][0]["id"] == made["id"]
    assert document("verify", "--database", other)["ok"] is True
    done = backup("restore", "--database", other, "--yes")
    assert f"{other} is in place" in done.stdout
    assert "going on when the backup was made, now marked as failed: 4 runs" in done.stderr
    with dg.DagsterInstance.get() as instance:
        found = [instance.get_run_by_id(run.run_id) for run in runs]
        assert [one.status for one in found if one] == [*after, status.FAILURE]
        again = [one.tags.get("dagster/will_retry") for one in found if one]
        assert (again[0], again[-1]) == ("true", "false"), "a restore is not begun anew by itself"
        (event,) = instance.all_logs(runs[0].run_id)
        assert "was going on when the backup was made; its process is gone" in event.message
        instance.add_run(dg.DagsterRun("work", status=status.STARTED))
    kept = document("restore", "--database", other, "--yes")["kept_as"]
    assert kept in databases(postgres)
    done = backup("restore", "--undo", "--database", other, "--yes")
    assert "going on when this database was put aside, now marked as failed: 1 runs" in done.stderr
    with dg.DagsterInstance.get() as instance:
        assert instance.get_runs(dg.RunsFilter(statuses=[status.STARTED])) == []


@pytest.mark.slow
def test_a_restore_is_good_though_dagster_cannot_get_at_its_database(
    installed: Path, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = dbname(os.environ["ATLAS_DAGSTER_DATABASE_URL"])
    backup("run", "--database", own)
    admin = postgres.url(SUPERUSER, SUPERUSER)
    role = f"nobody_{own}"
    execute(admin, f"CREATE ROLE {role} NOLOGIN")
    monkeypatch.setenv("ATLAS_DAGSTER_DATABASE_URL", postgres.url(own, role))
    monkeypatch.setenv("ATLAS_RESTORE_ROLE", SUPERUSER)
    load_settings.cache_clear()
    done = backup("restore", "--database", own, "--json", "--yes")
    assert json.loads(done.stdout)["database"] == own
    assert "could not be marked as failed" in done.stderr
    execute(admin, f"DROP ROLE {role}")


@pytest.fixture
def roles(postgres: EmbeddedPostgres, installed: Path, name: str) -> Iterator[tuple[str, str]]:
    """Two roles that may do nothing yet."""
    made = (f"reads_{name}", f"restores_{name}")
    admin = postgres.url(SUPERUSER, SUPERUSER)
    execute(admin, *(f"CREATE ROLE {role} LOGIN" for role in made))
    yield made
    execute(admin, f"DROP ROLE {', '.join(made)}")


@pytest.mark.slow
def test_the_settings_say_as_whom(
    installed: Path,
    name: str,
    roles: tuple[str, str],
    postgres: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads, restores = roles
    monkeypatch.setenv("ATLAS_BACKUP_ROLE", reads)
    monkeypatch.setenv("ATLAS_RESTORE_ROLE", restores)
    load_settings.cache_clear()
    said = backup("run", "--database", name, expect=1).stderr
    assert f"the role {reads} may not read" in said
    assert stored(installed) == []
    execute(postgres.url(SUPERUSER, SUPERUSER), f"GRANT pg_read_all_data TO {reads}")
    backup("run", "--database", name)
    before = databases(postgres)
    for arguments in (["--dry-run"], ["--yes"], ["--undo", "--dry-run"], ["--undo", "--yes"]):
        done = backup("restore", "--database", name, *arguments, expect=1)
        assert f"the role {restores} may not restore {name}, and nothing was changed" in done.stderr
        assert f'CREATEDB: ALTER ROLE "{restores}" CREATEDB' in done.stderr
    assert databases(postgres) == before


def test_the_password_of_a_role_takes_the_place_of_the_other(
    installed: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATLAS_DATABASE_URL", f"postgresql://u:{CANARY}-u@h/{name}?sslmode=require")
    monkeypatch.setenv("ATLAS_BACKUP_ROLE", "reads")
    monkeypatch.setenv("ATLAS_RESTORE_ROLE", "restores")
    monkeypatch.setenv("ATLAS_RESTORE_PASSWORD", f"{CANARY} @:/%'")
    load_settings.cache_clear()
    found = configured.databases(load_settings())[name]
    same = {"host": "h", "sslmode": "require"}
    assert conninfo.conninfo_to_dict(found.url) == same | {"user": "reads", "dbname": name}
    restores = {"user": "restores", "password": f"{CANARY} @:/%'", "dbname": "postgres"}
    assert conninfo.conninfo_to_dict(found.admin_url) == same | restores
    assert CANARY not in repr(load_settings())
    monkeypatch.delenv("ATLAS_RESTORE_ROLE")
    load_settings.cache_clear()
    said = backup("run", expect=1).stderr
    assert "ATLAS_RESTORE_PASSWORD is set, and ATLAS_RESTORE_ROLE is not" in said
    assert CANARY not in said


PROGRAMS = ("pg_dump", "pg_restore", "psql")


def telling(folder: Path, told: Path) -> Path:
    """A folder of the programs as of a release that is newer than any; each tells with what it was called."""
    folder.mkdir()
    for program in PROGRAMS:
        script = folder / program
        script.write_text(
            f"#!/bin/sh\n[ \"$1\" = --version ] && echo '{program} (PostgreSQL) 18.99' && exit\n"
            f'echo "{program} $*" >> {told}\nexec {EmbeddedPostgres.bin()}/{program} "$@"\n'
        )
        script.chmod(0o755)
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_nobody_sees_a_password(
    installed: Path, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    admin = os.environ["ATLAS_DATABASE_URL"]
    role = f"seen_{name}"
    execute(
        admin,
        f"CREATE ROLE {role} SUPERUSER LOGIN PASSWORD '{CANARY}'",
        "CREATE TABLE public.big AS SELECT i, md5(i::text) a FROM generate_series(1, 300000) i",
    )
    seen: set[str] = set()
    stopped = threading.Event()

    def look() -> None:
        while not stopped.wait(0.01):
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    if CANARY.encode() in (process / "cmdline").read_bytes():
                        seen.add(CANARY)

    url = admin.replace(f"//{SUPERUSER}@", f"//{role}:{CANARY}@")
    told = tmp_path_factory.mktemp("told") / "calls"
    path = f"{telling(told.parent / 'bin', told)}:{os.environ['PATH']}"
    environment = os.environ | {"ATLAS_DATABASE_URL": url, "PATH": path}
    said = ""
    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for arguments in (["run"], ["verify"], ["drill"], ["restore", "--yes"], ["restore", "--undo", "--yes"]):
            command = [sys.executable, "-m", "atlas_pipeline.cli", "backup", *arguments, "--database", name]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            said += done.stdout + done.stderr
        monkeypatch.setenv("ATLAS_DATABASE_URL", url.replace(f"/{name}?", "/absent?"))
        load_settings.cache_clear()
        done = backup("run", "--database", "absent", expect=1)
        said += done.stdout + done.stderr
    finally:
        stopped.set()
        watcher.join()
        execute(admin, f"REASSIGN OWNED BY {role} TO {SUPERUSER}", f"DROP OWNED BY {role}", f"DROP ROLE {role}")
    calls = told.read_text()
    assert {line.split()[0] for line in calls.splitlines()} == set(PROGRAMS)
    assert CANARY not in calls
    assert seen == set()
    assert CANARY not in said
    assert len(stored(installed)) >= 4
    for path in stored(installed):
        content = path.read_bytes()
        if path.name.startswith("data-"):
            zstd = shutil.which("zstd")
            content = subprocess.run([zstd, "-dc", path], capture_output=True, check=True).stdout if zstd else content
        assert CANARY.encode() not in content, path
    assert list(installed.rglob("pass")) == [], "what held it is gone"
