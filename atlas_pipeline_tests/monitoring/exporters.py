"""The exporters of docker/compose.monitoring.yaml, as it starts them, before a real Postgres and a real Redis.

Belongs here: starting Debian's programs with the file's options, environment and secrets, on loopback. What is changed
is where things are. Does not belong here: who scrapes them (`stack.py`). cAdvisor, Grafana, Loki and Alloy are not
packaged and are not started.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import psycopg
import pytest

from atlas_pipeline.warehouse.embedded import EmbeddedPostgres
from atlas_pipeline_tests.monitoring.compose import environment, options, replaced, services
from atlas_pipeline_tests.monitoring.expressions import MONITORING
from atlas_pipeline_tests.monitoring.stack import eventually
from atlas_pipeline_tests.servers import free_ports, password_postgres

PASSWORDS = {"atlas_monitor_password": "not-for-anyones-eyes", "redis_password": "not-for-the-others-eyes"}


def program(name: str) -> str:
    """Where a program is; skips the test where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[dict[str, str]]:
    """Both servers and all exporters that Debian has, answering: their addresses, by those of the compose files."""
    names = (
        "redis:6379",
        "redis-exporter:9121",
        "postgres-exporter:9187",
        "node-exporter:9100",
        "blackbox-exporter:9115",
    )
    places = {name: f"127.0.0.1:{port}" for name, port in zip(names, free_ports(len(names)), strict=True)}
    for name, password in PASSWORDS.items():
        (folder / name).write_text(password)
    with (
        contextlib.ExitStack() as running,
        password_postgres(EmbeddedPostgres.bin(), PASSWORDS["atlas_monitor_password"]) as postgres,
    ):
        _prepare(postgres)
        places["postgres:5432"] = postgres
        for name in names:
            service = name.partition(":")[0]
            command, env = _redis(places[name]) if service == "redis" else _exporter(service, places, folder)
            running.enter_context(_process(folder / f"{service}.log", command, env))
        for name in names[1:]:
            eventually(lambda name=name: httpx.get(f"http://{places[name]}/").is_success, f"{name} answers")
        yield places


def _redis(address: str) -> tuple[list[str], dict[str, str]]:
    host, _, port = address.partition(":")
    given = ["--save", "", "--maxmemory", "64mb", "--requirepass", PASSWORDS["redis_password"]]
    return [program("redis-server"), "--bind", host, "--port", port, *given], {}


def _exporter(service: str, servers: Mapping[str, str], folder: Path) -> tuple[list[str], dict[str, str]]:
    """How the compose file starts it, with Debian's program, loopback, and this machine's own root."""
    found = program(f"prometheus-{service}")
    places = {
        **servers,
        "/run/secrets": str(folder),
        "/redis_exporter": found,
        "/etc/blackbox_exporter": str(MONITORING),
        "=/host/": "=/",
        "=/host": "=/",
    }
    given = services()[service]
    begins = [replaced(one, places) for one in given.get("entrypoint") or [found]]
    listen = next(
        f"--web.listen-address={address}" for name, address in servers.items() if name.startswith(f"{service}:")
    )
    return [*begins, *options(service, places), listen], environment(service, places)


def _prepare(postgres: str) -> None:
    password = PASSWORDS["atlas_monitor_password"]
    with psycopg.connect(f"postgresql://admin:{password}@{postgres}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE ROLE atlas_monitor LOGIN PASSWORD '{password}'")
        connection.execute("GRANT pg_monitor TO atlas_monitor")
        connection.execute("CREATE DATABASE atlas")


@contextlib.contextmanager
def _process(log: Path, command: Sequence[str], env: dict[str, str]) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env={"PATH": os.environ["PATH"], **env}
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)
