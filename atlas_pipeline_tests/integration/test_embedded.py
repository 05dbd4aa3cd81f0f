"""The embedded Postgres: shared, stopped by the last who used it, started again after anything, whatever the path."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from atlas_pipeline.warehouse.bootstrap import prepare_embedded, prepare_warehouse
from atlas_pipeline.warehouse.connect import DAGSTER, OWNER, WAREHOUSE, connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres, ServerError

pytestmark = pytest.mark.slow

HOLDER = """
import sys
from pathlib import Path
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.location import warehouse_url
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
with connect(warehouse_url(load_settings())) as connection:
    prepare_warehouse(connection)
    connection.execute("CREATE TABLE IF NOT EXISTS public.seen (pid int)")
    connection.execute("INSERT INTO public.seen VALUES (pg_backend_pid())")
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A home folder with a server that was initialised and stopped: making one takes seconds, copying it does not."""
    path = Path(tempfile.mkdtemp(prefix="atlas-test-"))
    server = EmbeddedPostgres(path)
    server.start()
    prepare_embedded(server)
    server.release()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def empty_home() -> Iterator[Path]:
    """A home folder in which nothing is yet; no server is left in it."""
    path = Path(tempfile.mkdtemp(prefix="atlas-test-"))
    yield path
    kill_all(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def new_home(empty_home: Path, template: Path) -> Path:
    """A home folder of the test's own with a server that is not running."""
    copy_server(template, empty_home)
    return empty_home


def copy_server(template: Path, home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    subprocess.run(["/bin/cp", "-a", str(template / "postgres"), str(home)], check=True)


@pytest.fixture
def hold() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Start a process that uses the server and ends when its standard input does."""
    started = []

    def start(home: Path) -> subprocess.Popen[str]:
        environment = {**os.environ, "ATLAS_HOME": str(home)}
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def end(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=60)
    assert process.returncode == 0


def server_processes(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["name", "cwd"]):
        if process.info["name"] == "postgres" and process.info["cwd"] == str(home.resolve() / "postgres" / "data"):
            found.append(process)
    return found


def postmaster(home: Path) -> psutil.Process:
    """The process that the server notes as its own: backends come and go while a list of all is read."""
    return psutil.Process(int((home / "postgres/data/postmaster.pid").read_text().split()[0]))


def kill_all(home: Path) -> None:
    while processes := server_processes(home):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=1)


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def seen(server: EmbeddedPostgres) -> int:
    with connect(server.url(WAREHOUSE, OWNER)) as connection:
        row = connection.execute("SELECT count(*) FROM public.seen").fetchone()
    assert row is not None
    return int(row[0])


Hold = Callable[[Path], subprocess.Popen[str]]


def test_processes_share_one_server_and_the_last_one_stops_it(new_home: Path, hold: Hold) -> None:
    first, second = hold(new_home), hold(new_home)
    ready(first)
    ready(second)
    server = postmaster(new_home)
    end(first)
    assert server.is_running(), "the second still uses it"
    assert EmbeddedPostgres(new_home).is_up()
    end(second)
    assert server_processes(new_home) == []
    third = hold(new_home)
    ready(third)
    assert seen(EmbeddedPostgres(new_home)) == 3, "a restart keeps the data"
    end(third)


def test_a_killed_holder_does_not_keep_the_server_up(new_home: Path, hold: Hold) -> None:
    killed, other = hold(new_home), hold(new_home)
    ready(killed)
    ready(other)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert EmbeddedPostgres(new_home).is_up()
    end(other)
    assert server_processes(new_home) == []


def test_a_server_left_by_a_killed_process_is_used_and_stopped_by_the_next(new_home: Path, hold: Hold) -> None:
    killed = hold(new_home)
    ready(killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert server_processes(new_home)
    next_one = hold(new_home)
    ready(next_one)
    end(next_one)
    assert server_processes(new_home) == []


def test_five_first_starts_at_once(empty_home: Path, hold: Hold) -> None:
    processes = [hold(empty_home) for _ in range(5)]
    for process in processes:
        ready(process)
    assert seen(EmbeddedPostgres(empty_home)) == 5
    for process in processes:
        end(process)
    assert server_processes(empty_home) == []


@pytest.mark.parametrize("at", ["initdb", "start"])
def test_a_first_start_that_was_killed_is_finished_by_the_next(empty_home: Path, hold: Hold, at: str) -> None:
    killed = hold(empty_home)
    sign = "data.initialising*" if at == "initdb" else "data/postmaster.pid"
    until(lambda: list((empty_home / "postgres").glob(sign)))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    process = hold(empty_home)
    ready(process)
    end(process)
    assert server_processes(empty_home) == []


def test_kill_9_of_the_whole_server(new_home: Path) -> None:
    server = EmbeddedPostgres.running(new_home)
    try:
        prepare_embedded(server)
        url = server.url(WAREHOUSE, OWNER)
        with connect(url) as connection:
            prepare_warehouse(connection)
            connection.execute("CREATE TABLE public.kept AS SELECT generate_series(1, 1000) n")
        kill_all(new_home)
        assert (new_home / "postgres/data/postmaster.pid").exists(), "stale"
        assert EmbeddedPostgres.running(new_home) is server, "a process that had it starts it again"
        with connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM public.kept").fetchone() == (1000,)
    finally:
        server.release()
    assert server_processes(new_home) == []


def test_kill_9_of_the_postmaster_while_a_backend_works_on(new_home: Path) -> None:
    """What outlives the postmaster keeps Postgres from starting, and must not be left writing."""
    server = EmbeddedPostgres(new_home)
    server.start()
    head = postmaster(new_home)
    with psycopg.connect(server.url(SUPERUSER, SUPERUSER)) as busy:
        # A stopped process cannot notice that its postmaster is gone, as one in a long computation does not.
        backend = psutil.Process(busy.info.backend_pid)
        backend.suspend()
        head.kill()
        until(lambda: not head.is_running() or head.status() == psutil.STATUS_ZOMBIE)
        again = EmbeddedPostgres(new_home)
        again.start()
        assert backend.pid not in {process.pid for process in server_processes(new_home)}
    with connect(server.url(SUPERUSER, SUPERUSER)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    server.release()
    again.release()
    assert server_processes(new_home) == []


def test_the_noted_process_id_belongs_to_another_process_now(new_home: Path) -> None:
    server = EmbeddedPostgres(new_home)
    server.start()
    with connect(server.url(SUPERUSER, SUPERUSER)) as connection:
        connection.execute("CREATE TABLE public.kept AS SELECT generate_series(1, 1000) n")
    kill_all(new_home)
    # As after a restart of the machine: somebody else of the same user has that id.
    user = "nobody" if os.geteuid() == 0 else None
    with subprocess.Popen(["/bin/sleep", "600"], user=user) as other:
        try:
            path = new_home / "postgres/data/postmaster.pid"
            _, rest = path.read_text().split("\n", 1)
            path.write_text(f"{other.pid}\n{rest}")
            server.start()
            with connect(server.url(SUPERUSER, SUPERUSER)) as connection:
                assert connection.execute("SELECT count(*) FROM public.kept").fetchone() == (1000,)
            assert other.poll() is None, "the other process is left alone"
        finally:
            other.kill()
    server.release()
    assert server_processes(new_home) == []


def test_a_start_waits_for_a_server_that_is_recovering(new_home: Path) -> None:
    server = EmbeddedPostgres(new_home)
    server.start()
    with connect(server.url(SUPERUSER, SUPERUSER), autocommit=True) as connection:
        connection.execute("CREATE TABLE public.kept AS SELECT generate_series(1, 200000) n")
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    other = EmbeddedPostgres(new_home)
    other.start()
    with connect(other.url(SUPERUSER, SUPERUSER)) as connection:
        assert connection.execute("SELECT count(*) FROM public.kept").fetchone() == (200000,)
    other.release()
    server.release()
    assert server_processes(new_home) == []


FOLDERS = [
    "with space",
    "with 'single' and \"double\" quotes",
    "$(touch /tmp/atlas-was-here) `id` $HOME; echo %s {} \\ back",
    "comma,and=equals&more?#",
    "Ünïcode 😀",
    "long/" + "x" * 200,
]


@pytest.mark.parametrize("name", FOLDERS)
def test_any_path_of_the_home_folder(empty_home: Path, template: Path, name: str) -> None:
    home = empty_home / name
    if name != FOLDERS[1]:  # a server is made in one of them
        copy_server(template, home)
    server = EmbeddedPostgres(home)
    try:
        server.start()
        prepare_embedded(server)
        with connect(server.url(WAREHOUSE, OWNER)) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert server_processes(home)
    finally:
        server.release()
    assert server_processes(home) == []
    assert not Path("/tmp/atlas-was-here").exists()


@pytest.mark.parametrize("length", [86, 89, 90, 92, 94, 97, 100, 103])
def test_socket_paths_fit_whatever_the_length(length: int) -> None:
    import socket

    base = Path(tempfile.mkdtemp(prefix="atlas-test-"))
    try:
        home = base / ("h" * (length - len(str(base / "x" / "postgres" / "run")) + 1))
        home.mkdir()
        server = EmbeddedPostgres(home)
        assert len(str(home / "postgres" / "run")) == length
        server.socket_dir.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(server.socket_dir / ".s.PGSQL.5432"))
        assert EmbeddedPostgres(home).socket_dir == server.socket_dir
    finally:
        shutil.rmtree(server.socket_dir, ignore_errors=True)
        shutil.rmtree(base)


def test_all_processes_find_the_same_socket_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also with another TMPDIR, and when the home folder is reached by a link."""
    home = tmp_path / ("x" * 120)
    home.mkdir()
    here = EmbeddedPostgres(home).socket_dir
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert EmbeddedPostgres(home).socket_dir == here
    link = tmp_path / "link"
    link.symlink_to(home)
    assert EmbeddedPostgres(link).socket_dir == here


def test_a_socket_folder_of_somebody_else_is_not_used(new_home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving a folder away takes root")
    server = EmbeddedPostgres(new_home / ("x" * 120))
    server.socket_dir.mkdir(mode=0o777)
    shutil.chown(server.socket_dir, "daemon")
    try:
        with pytest.raises(ServerError, match="belongs to somebody else"):
            server.start()
    finally:
        server.release()
        shutil.rmtree(server.socket_dir)


def test_databases_whose_set_up_was_killed_half_way_are_closed_to_others(empty_home: Path) -> None:
    server = EmbeddedPostgres(empty_home)
    server.start()
    try:
        with connect(server.url(SUPERUSER, SUPERUSER), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {WAREHOUSE}")
        prepare_embedded(server)
        with connect(server.url(SUPERUSER, SUPERUSER)) as connection:
            statement = (
                "SELECT datname FROM pg_database WHERE has_database_privilege('atlas_analyst', datname, 'CONNECT')"
            )
            open_to = {name for (name,) in connection.execute(statement)}
        assert WAREHOUSE in open_to
        assert DAGSTER not in open_to
    finally:
        server.release()


def test_the_variable_user_does_not_decide_who_may_log_in(
    empty_home: Path, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody")
    process = hold(empty_home)
    ready(process)
    assert EmbeddedPostgres(empty_home).is_up(), "the holder logged in as the operating system's user"
    end(process)
