"""What Postgres and Redis of the platform are started with: who may enter, with which password, seen by nobody."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.embedded import EmbeddedPostgres
from atlas_pipeline_tests.servers import free_ports

pytestmark = pytest.mark.slow
DOCKER = Path(__file__).parents[2] / "docker"
SCRIPT = DOCKER / "postgres" / "initdb.d" / "10-atlas.sh"
SECRETS = {
    "atlas_database_password": "own'er \\ pass\"word",
    "atlas_backup_password": "backup-$HOME-`id`-word",
    "atlas_monitor_password": "mon:'owner'-word",
}


@dataclass
class Server:
    """A Postgres as its image starts one: local connections are trusted, others need a password; all is logged."""

    folder: Path
    port: int
    user: str | None

    def run_script(self, role: str = "postgres") -> subprocess.CompletedProcess[str]:
        """The script, with a psql on its way that writes down its command line."""
        shim = self.folder / "bin" / "psql"
        shim.parent.mkdir(exist_ok=True)
        shim.write_text(f'#!/bin/sh\necho "$@" >>{self.folder}/arguments\nexec {EmbeddedPostgres.bin()}/psql "$@"\n')
        shim.chmod(0o755)
        environment = {
            "PATH": f"{shim.parent}:/usr/bin:/bin",
            "PGHOST": str(self.folder),
            "PGPORT": str(self.port),
            "POSTGRES_USER": role,
            "ATLAS_SECRETS": str(self.folder / "secrets"),
        }
        return subprocess.run(
            [SCRIPT], env=environment, capture_output=True, text=True, check=False, user=self.user, cwd=self.folder
        )

    def connect(self, role: str, password: str, database: str) -> psycopg.Connection:
        return psycopg.connect(host="127.0.0.1", port=self.port, user=role, password=password, dbname=database)


@pytest.fixture
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="atlas-own-"))
    user = "nobody" if os.geteuid() == 0 else None
    (folder / "secrets").mkdir()
    for name, value in SECRETS.items():
        (folder / "secrets" / name).write_text(value + "\n")
    if user:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, user)
    (port,) = free_ports(1)
    programs = EmbeddedPostgres.bin()

    def run(program: str, *arguments: str) -> None:
        command = [programs / program, "-D", folder / "data", *arguments]
        subprocess.run(command, check=True, user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    run("initdb", "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
    options += " -c log_statement=all -c log_min_duration_statement=0"
    run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield Server(folder, port, user)
    finally:
        run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder)


def refused(server: Server, role: str, password: str, database: str) -> bool:
    try:
        server.connect(role, password, database).close()
    except psycopg.OperationalError:
        return True
    return False


def test_roles_get_in_where_they_belong_with_their_secrets(server: Server) -> None:
    done = server.run_script()
    assert done.returncode == 0, done.stderr
    owner, backup, monitor = SECRETS.values()
    with server.connect("atlas_owner", owner, "atlas") as connection:
        assert prepare_warehouse(connection) == []
        connection.execute("CREATE TABLE gold.numbers AS SELECT 1 AS number")
    server.connect("atlas_owner", owner, "dagster").close()
    with server.connect("atlas_backup", backup, "atlas") as connection:
        assert connection.execute("SELECT number FROM gold.numbers").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM gold.numbers")
    with server.connect("atlas_monitor", monitor, "dagster") as connection:
        row = connection.execute(
            "SELECT pg_has_role('pg_monitor', 'member'), rolsuper FROM pg_roles WHERE rolname = user"
        )
        assert row.fetchone() == (True, False)
    assert refused(server, "atlas_owner", "", "atlas")
    assert refused(server, "atlas_owner", backup, "atlas")
    assert refused(server, "atlas_analyst", "", "atlas"), "an analyst has a password only when somebody gives one"
    with psycopg.connect(host=str(server.folder), port=server.port, user="postgres", dbname="postgres") as connection:
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
        stored = connection.execute(
            "SELECT rolpassword FROM pg_authid WHERE rolname = ANY(%s)", [["atlas_owner", "atlas_backup"]]
        )
        assert all(value.startswith("SCRAM-SHA-256$") for (value,) in stored)
    assert refused(server, "stranger", "stranger", "atlas")
    assert refused(server, "stranger", "stranger", "dagster")


def test_it_may_run_again_with_another_secret(server: Server) -> None:
    assert server.run_script().returncode == 0
    (server.folder / "secrets" / "atlas_backup_password").write_text("another-password")
    done = server.run_script()
    assert done.returncode == 0, done.stderr
    server.connect("atlas_backup", "another-password", "atlas").close()
    assert refused(server, "atlas_backup", SECRETS["atlas_backup_password"], "atlas")


def test_passwords_are_in_no_log_and_on_no_command_line(server: Server) -> None:
    assert server.run_script().returncode == 0
    with psycopg.connect(host=str(server.folder), port=server.port, user="postgres", dbname="postgres") as connection:
        connection.execute("CREATE ROLE helper LOGIN CREATEDB")
    failed = server.run_script("helper")
    assert failed.returncode != 0
    seen = (
        (server.folder / "log").read_text() + (server.folder / "arguments").read_text() + failed.stdout + failed.stderr
    )
    assert "SET log_statement = none" in seen, "nothing was logged, so this shows nothing"
    for value in SECRETS.values():
        assert value not in seen
        assert value.replace("'", "''") not in seen
    assert "PASSWORD" not in (server.folder / "log").read_text()


def test_a_secret_that_is_missing_is_named_and_nothing_is_made(server: Server) -> None:
    (server.folder / "secrets" / "atlas_monitor_password").write_text("")
    done = server.run_script()
    assert done.returncode == 1
    assert "atlas_monitor_password is missing or empty" in done.stderr
    assert not (server.folder / "arguments").exists()


def ask(port: int, *commands: tuple[str, ...]) -> list[str]:
    """The first line of each of Redis's answers, on one connection. Raises ConnectionError."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        answers = connection.makefile("rb")
        lines = []
        for command in commands:
            parts = [f"${len(part.encode())}\r\n{part}\r\n" for part in command]
            connection.sendall(f"*{len(command)}\r\n{''.join(parts)}".encode())
            line = answers.readline().decode().strip()
            lines.append(answers.readline().decode().strip() if line.startswith("$") and line != "$-1" else line)
        return lines


def start_redis(folder: Path, port: int) -> subprocess.Popen[bytes]:
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    environment = {
        "PATH": os.environ["PATH"],
        "REDIS_PASSWORD_FILE": str(folder / "password"),
        "REDIS_DATA": str(folder),
        "REDIS_PORT": str(port),
        "REDIS_BIND": "127.0.0.1",
    }
    process = subprocess.Popen(["sh", DOCKER / "redis" / "start.sh"], env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while True:
        try:
            ask(port, ("PING",))
            return process
        except ConnectionError:
            assert process.poll() is None, "Redis ended"
            assert time.monotonic() < deadline, "Redis does not answer"
            time.sleep(0.05)


def test_redis_wants_the_password_and_keeps_what_was_written(tmp_path: Path) -> None:
    password = 'pass "word" \\ #1'
    (tmp_path / "password").write_text(password + "\n")
    (port,) = free_ports(1)
    process = start_redis(tmp_path, port)
    try:
        assert ask(port, ("GET", "job"))[0].startswith("-NOAUTH")
        assert ask(port, ("AUTH", "wrong"))[0].startswith("-WRONGPASS")
        assert ask(port, ("AUTH", password), ("SET", "job", "42")) == ["+OK", "+OK"]
        proc = Path("/proc") / str(process.pid)
        assert b"word" not in (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
        assert b"redis-server" in (proc / "cmdline").read_bytes(), "a shell stands between the engine and Redis"
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        process = start_redis(tmp_path, port)
        assert ask(port, ("AUTH", password), ("GET", "job")) == ["+OK", "42"]
        process.terminate()
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()


def test_redis_does_not_start_without_a_password(tmp_path: Path) -> None:
    (tmp_path / "password").touch()
    done = subprocess.run(
        ["sh", DOCKER / "redis" / "start.sh"],
        env={"PATH": os.environ["PATH"], "REDIS_PASSWORD_FILE": str(tmp_path / "password")},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert "missing or empty" in done.stderr
