"""What tests are handed: a real Postgres of their own, a warehouse in it, a home folder, an S3 server, small disks.

Nothing here touches the checkout's own `.atlas`, and nothing is left running.
"""

import contextlib
import functools
import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import dagster as dg
import hypothesis
import psycopg
import pytest
from dagster._core.storage.defs_state.base import _current_storage
from dagster.components.core import snapshot
from dagster.components.testing import DefsFolderSandbox, create_defs_folder_sandbox
from tenacity import stop_after_delay

from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse import connect as connecting
from atlas_pipeline.warehouse.bootstrap import prepare_embedded
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import EmbeddedPostgres
from atlas_pipeline_tests import databases
from atlas_pipeline_tests.forks import StartFork, forks
from atlas_pipeline_tests.images import Image, read
from atlas_pipeline_tests.projects import load, write
from atlas_pipeline_tests.s3.proxy import Proxy
from atlas_pipeline_tests.selection import is_needed
from atlas_pipeline_tests.servers import S3, seaweed

# Libraries and tests that are loaded stay: looking through them for garbage, again and again, takes seconds.
gc.disable()

_NO_SKIP = os.environ.get("ATLAS_TEST_NO_SKIP") == "1"
_IMAGES = os.environ.get("ATLAS_TEST_IMAGES")

# Only `make docker-test` has images.
collect_ignore = [] if _IMAGES else ["docker/test_image.py"]

for name in [name for name in os.environ if name.startswith(("ATLAS_", "DAGSTER_"))]:
    del os.environ[name]
os.environ["ATLAS_SETTLE_SECONDS"] = "0"

# Where no bytecode is written, each of the hundreds of processes that tests start would compile Atlas anew. Libraries
# have theirs beside them since they were installed: kept in another folder, it would have to be made once more.
if sys.dont_write_bytecode:
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Each test has databases of its own: on a disk, copying one takes five times as long as in memory.
_MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and not _IMAGES:
    state = os.statvfs(_MEMORY)
    if state.f_bavail * state.f_frsize >= 4 << 30 and not state.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None

# Dagster describes all installed components anew for each project that is loaded, which is half of a small one's time.
snapshot.get_package_entry_snap = functools.cache(snapshot.get_package_entry_snap)

# The same examples at each run; `--hypothesis-profile=search` looks for others. No test asserts how long it takes.
hypothesis.settings.register_profile("seeded", derandomize=True, deadline=None)
hypothesis.settings.register_profile("search", derandomize=False, deadline=None)
hypothesis.settings.load_profile("seeded")

# A shell starts background jobs with SIGINT ignored, programs that tests start inherit that, and Dagster then ignores
# SIGTERM too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# nohup ignores SIGHUP, and a shell that inherits that cannot trap it.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A file none of whose tests is chosen is not imported."""
    chosen = config.option.markexpr
    if chosen and collection_path.suffix == ".py" and not is_needed(collection_path.read_text(), chosen):
        return True
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Rooms whose files take minutes come first, so that at the end no process waits for another."""
    items.sort(key=lambda item: not {"deployment", "integration"} & set(item.path.parts))


def pytest_collection_finish() -> None:
    """What is loaded is left out of the search for garbage from here on."""
    gc.freeze()
    gc.enable()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With `ATLAS_TEST_NO_SKIP=1`, as in CI, a skipped test is a failure: something was not installed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if _NO_SKIP and exitstatus == 0 and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def no_storage_of_definitions() -> Iterator[None]:
    """What Dagster keeps of an instance that is gone would keep the next project from loading."""
    _current_storage.set(None)
    yield
    _current_storage.set(None)


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A home folder with a short path, removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="atlas-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(home: Path) -> Iterator[EmbeddedPostgres]:
    """A Postgres server for this test session, with Atlas's roles."""
    server = EmbeddedPostgres(home)
    server.start()
    databases.hurry(server)
    prepare_embedded(server)
    yield server
    server.release()


@pytest.fixture(scope="session")
def images() -> dict[str, Image]:
    """The images `atlas` and `atlas-gateway`, where `make docker-test` has built and mounted them; else none."""
    return read(Path(_IMAGES)) if _IMAGES else {}


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3 server for this test session."""
    with seaweed() as server:
        yield server


@pytest.fixture
def proxy(s3: S3) -> Iterator[Proxy]:
    """A way to that server on which requests go wrong."""
    one = Proxy(s3.port)
    yield one
    one.stop()


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], Path]]:
    """Mount file systems of so many megabytes, with short paths, which are gone at the end. Takes root."""
    with contextlib.ExitStack() as disks:

        def make(megabytes: int) -> Path:
            path = Path(tempfile.mkdtemp(prefix="atlas-test-"))
            disks.callback(path.rmdir)
            mount = ["/bin/mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "atlas-test", str(path)]
            if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
                pytest.skip("mounting a small file system takes root, and a machine that lets it")
            disks.callback(subprocess.run, ["/bin/umount", "-l", str(path)], check=True)
            return path

        yield make


@pytest.fixture(scope="session")
def postgres_dsn(postgres: EmbeddedPostgres) -> str:
    """Connection URL of a scratch database."""
    return databases.create(postgres)


@pytest.fixture(scope="session")
def warehouse_template(postgres: EmbeddedPostgres) -> str:
    """Name of a warehouse that is set up and empty."""
    return databases.warehouse_template(postgres)


@pytest.fixture(scope="session")
def dagster_template(postgres: EmbeddedPostgres) -> str:
    """Name of a database that has Dagster's tables, empty."""
    return databases.dagster_template(postgres)


@pytest.fixture
def warehouse_url(postgres: EmbeddedPostgres, warehouse_template: str) -> Iterator[str]:
    """Connection URL of a warehouse of the test's own, set up and empty, as the pipeline's role."""
    with databases.lent(postgres, warehouse_template) as url:
        yield url


@pytest.fixture
def dagster_database_url(postgres: EmbeddedPostgres, dagster_template: str) -> Iterator[str]:
    """Connection URL of a database of the test's own for Dagster, which has its tables."""
    with databases.lent(postgres, dagster_template) as url:
        yield url


@pytest.fixture
def warehouse(warehouse_url: str) -> Iterator[psycopg.Connection]:
    """A connection to the test's own warehouse."""
    with connect(warehouse_url) as connection:
        yield connection


@pytest.fixture
def atlas_env(
    warehouse_url: str, dagster_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """An installation of the test's own: home folder, landing folder in it, both databases. Yields the home folder."""
    monkeypatch.setenv("ATLAS_HOME", str(tmp_path))
    monkeypatch.setenv("ATLAS_DATABASE_URL", warehouse_url)
    monkeypatch.setenv("ATLAS_DAGSTER_DATABASE_URL", dagster_database_url)
    (tmp_path / "landing").mkdir()
    load_settings.cache_clear()
    yield tmp_path
    load_settings.cache_clear()


@pytest.fixture
def fork() -> Iterator[StartFork]:
    """Call a function in a process of its own, which is killed."""
    with forks() as start:
        yield start


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, a database that does not answer is not asked again."""
    monkeypatch.setattr(connecting._attempt.retry, "stop", stop_after_delay(0))


@pytest.fixture
def sandbox() -> Iterator[DefsFolderSandbox]:
    """An empty project."""
    with create_defs_folder_sandbox() as one:
        yield one


@pytest.fixture
def load_files(sandbox: DefsFolderSandbox) -> Callable[[Mapping[str, str]], dg.Definitions]:
    """Load a project that consists of these files, given by their paths under `defs/`."""

    def run(files: Mapping[str, str]) -> dg.Definitions:
        write(sandbox, files)
        found = load(sandbox)
        found.resolve_asset_graph()
        return found

    return run


@pytest.fixture
def land(atlas_env: Path) -> Callable[[str, str], Path]:
    """Put a file into the landing folder."""

    def run(name: str, text: str) -> Path:
        path = atlas_env / "landing" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return run
