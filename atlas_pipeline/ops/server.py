"""The metrics and health server: puts the parts together and serves until a signal.

Belongs here: which parts there are and how often each is asked. Does not belong here: arguments (`cli/ops.py`).

It starts no database and keeps none alive: where one is away, metrics and health say so.
"""

import importlib.metadata
import platform
import resource
import signal
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from uvicorn import Server

from atlas_pipeline.ops import backups, components, web
from atlas_pipeline.ops import dagster as dagster_tables
from atlas_pipeline.ops.collector import Collector, Source
from atlas_pipeline.ops.following import Follower
from atlas_pipeline.settings import Settings
from atlas_pipeline.telemetry.health import Component, Health
from atlas_pipeline.telemetry.parts import database, tables
from atlas_pipeline.telemetry.parts.asking import Database
from atlas_pipeline.telemetry.parts.system import Machine
from atlas_pipeline.telemetry.parts.tally import Tally
from atlas_pipeline.telemetry.sample import Sample
from atlas_pipeline.warehouse.connect import DAGSTER, OWNER, WAREHOUSE
from atlas_pipeline.warehouse.embedded import EmbeddedPostgres


class OpsServer:
    """Metrics and health over HTTP. Raises ValueError when it cannot listen, SettingsError when a setting is wrong."""

    def __init__(self, settings: Settings, host: str | None, port: int | None, *, webserver: bool):
        """A server that listens and does not answer yet.

        Args:
            settings: say where the databases and Dagster's web server are.
            host: address to bind; null for that of the settings.
            port: port to bind; null for that of the settings.
            webserver: check through Dagster's web server that the code location loads.
        """
        host, port = host or settings.ops_host, port or settings.ops_port
        self._listening = _listen(host, port)
        tally, urls, ui = Tally(), _urls(settings), settings.webserver_address if webserver else None
        self._follower = Follower(urls["dagster"], urls["warehouse"], settings.metrics_from)
        asked = {name: Database(name, url, tally) for name, url in urls.items()}
        events = Source("events", self._follower.part, every=2, good_for=10)
        self._collector = Collector([events, *_sources(settings, asked, ui)], tally, _build())
        probed = {name: Database(name, url, tally) for name, url in urls.items()}
        exporter = Component("exporter", self._follower.problem)
        is_ready = Health([*components.ready(probed["warehouse"], probed["dagster"], ui), exporter])
        is_started = Health(components.startup(probed["warehouse"]))
        app = web.application(self._collector, tally, components.answers(self._collector, is_ready, is_started))
        self._server = Server(web.configuration(app, host, port))
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._listening.getsockname()[1]}"

    def serve(self) -> None:
        """Answer until SIGINT or SIGTERM."""
        _raise_limit_of_files()
        # uvicorn raises the signal anew once it has answered what was asked.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda signum, frame: None)
        self._follower.start()
        self._collector.start()
        try:
            self._server.run(sockets=[self._listening])
        finally:
            self._follower.stop()
            self._collector.stop()


def _listen(host: str, port: int) -> socket.socket:
    """Raises ValueError when somebody else listens there, or the address is none of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ValueError(f"cannot listen on port {port} of {host} ({error.strerror}): use `atlas ops --port`") from None
    return listening


def _urls(settings: Settings) -> Mapping[str, str]:
    """libpq URLs of the two databases; no server is started."""
    embedded = EmbeddedPostgres(settings.home_path)
    given = {"warehouse": settings.database_url, "dagster": settings.dagster_database_url}
    names = {"warehouse": WAREHOUSE, "dagster": DAGSTER}
    return {name: url.get_secret_value() if url else embedded.url(names[name], OWNER) for name, url in given.items()}


def _sources(settings: Settings, asked: Mapping[str, Database], ui: str | None) -> list[Source]:
    from atlas_pipeline.alerting.channels import configured_channels

    channels = list(configured_channels(settings))
    machine = Machine(settings.home_path, _places(settings))
    found = [
        Source("tables", partial(tables.samples, asked["warehouse"], channels), every=15, good_for=45),
        Source("dagster", partial(dagster_tables.samples, asked["dagster"]), every=5, good_for=30),
        Source("database", partial(database.samples, asked.values()), every=15, good_for=45),
        Source("system", machine.samples, every=15, good_for=45),
        Source("backups", partial(backups.samples, settings), every=300, good_for=900),
    ]
    if ui is not None:
        found.append(Source("code_location", partial(dagster_tables.location_samples, ui), every=15, good_for=45))
    return found


def _places(settings: Settings) -> dict[str, Path]:
    places = {"home": settings.home_path}
    if not settings.backup_place.startswith("s3://"):
        places["backups"] = settings.home_path / settings.backup_place
    return places


def _build() -> list[Sample]:
    versions = {
        "version": importlib.metadata.version("atlas-pipeline"),
        "python": platform.python_version(),
        "dagster": importlib.metadata.version("dagster"),
    }
    return [Sample("atlas_build_info", versions, 1)]


def _raise_limit_of_files() -> None:
    """As many connections as are let in need as many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, 1 << 16)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
