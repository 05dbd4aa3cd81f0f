"""Components of health: what must work for this installation to be live, ready and started.

Belongs here: how each component is asked. Does not belong here: what an answer means, and time limits
(`telemetry/health.py`).
"""

import importlib.metadata
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import psutil
import yaml

from atlas_pipeline.ops import dagster as dagster_tables
from atlas_pipeline.ops.collector import Collector
from atlas_pipeline.ops.dagster import NoAnswer
from atlas_pipeline.ops.web import Answer
from atlas_pipeline.settings import PROJECT_ROOT
from atlas_pipeline.telemetry import health
from atlas_pipeline.telemetry.health import Component, Health, Verdict
from atlas_pipeline.telemetry.parts.asking import Away, Database
from atlas_pipeline.warehouse.bootstrap import ANALYST, BACKUP, MONITOR, VERSION
from atlas_pipeline.warehouse.connect import OWNER

_ROLES = (OWNER, ANALYST, BACKUP, MONITOR)


def ready(warehouse: Database, dagster: Database, ui: str | None) -> list[Component]:
    """What runs need: both databases, the daemons, a queue that moves, and code locations that are loaded.

    Args:
        warehouse: asked whether it answers.
        dagster: Dagster's database.
        ui: address of the web server, which is asked for code locations; null where there is none.
    """
    room = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())["concurrency"]["runs"]["max_concurrent_runs"]

    def daemons() -> str | None:
        return health.silent_daemons(dagster_tables.heartbeats(dagster), health.DAEMONS)

    def queue() -> str | None:
        found = dagster_tables.queue(dagster)
        return health.stuck_queue(
            found.length, found.oldest_seconds, found.going_on, room, found.last_start_seconds_ago
        )

    found = [
        Component("warehouse", _asking(partial(_answers, warehouse))),
        Component("dagster_database", _asking(partial(_answers, dagster))),
        Component("daemon", _asking(daemons)),
        Component("queue", _asking(queue)),
    ]
    if ui is not None:
        loaded = lambda: health.missing_locations(dagster_tables.locations(ui))  # noqa: E731
        found.append(Component("code_location", _asking(loaded)))
    return found


def startup(warehouse: Database) -> list[Component]:
    """What must have been set up once."""
    return [
        Component("schema", _asking(partial(_schema, warehouse))),
        Component("roles", _asking(partial(_roles, warehouse))),
    ]


def answers(collector: Collector, is_ready: Health, is_started: Health) -> Mapping[str, Answer]:
    """What each path answers.

    Args:
        collector: for the number of series and the uptime.
        is_ready: components of /health/ready.
        is_started: components of /health/startup.
    """

    def live() -> tuple[int, Mapping[str, Any]]:
        return 200, {"status": "ok"}

    def everything() -> tuple[int, Mapping[str, Any]]:
        verdicts = [*is_ready.examine(), *is_started.examine()]
        status, document = _verdict_document(verdicts)
        this = psutil.Process()
        with this.oneshot():
            times = this.cpu_times()
            resources = {
                "memory_bytes": this.memory_info().rss,
                "cpu_seconds": round(times.user + times.system, 2),
                "threads": this.num_threads(),
                "series": collector.series(),
                "processors": os.cpu_count(),
                "load": os.getloadavg()[0],
            }
        version = importlib.metadata.version("atlas-pipeline")
        about = {"version": version, "uptime_seconds": round(collector.uptime, 1), "resources": resources}
        return status, {**document, **about}

    return {
        "/health": everything,
        "/health/live": live,
        "/health/ready": lambda: _verdict_document(is_ready.examine()),
        "/health/startup": lambda: _verdict_document(is_started.examine()),
    }


def _verdict_document(verdicts: Sequence[Verdict]) -> tuple[int, Mapping[str, Any]]:
    well = all(verdict.problem is None for verdict in verdicts)
    components = {
        verdict.name: {"ok": verdict.problem is None, "seconds": round(verdict.seconds, 3)}
        | ({"problem": verdict.problem} if verdict.problem else {})
        for verdict in verdicts
    }
    return (200 if well else 503), {"status": "ok" if well else "failing", "components": components}


def _asking(ask: Callable[[], str | None]) -> Callable[[], str | None]:
    """The problem that `ask` finds, or that it could not ask."""

    def problem() -> str | None:
        try:
            return ask()
        except (Away, NoAnswer) as error:
            return str(error)

    return problem


def _answers(database: Database) -> None:
    database.rows("SELECT 1")


def _schema(warehouse: Database) -> str | None:
    [(table,)] = warehouse.rows("SELECT to_regclass('atlas.setup')::text")
    [(found,)] = warehouse.rows("SELECT max(version) FROM atlas.setup") if table else [(None,)]
    return None if found == VERSION else f"the warehouse is at version {found or 0}, expected {VERSION}"


def _roles(warehouse: Database) -> str | None:
    found = {name for (name,) in warehouse.rows("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(_ROLES)])}
    missing = [role for role in _ROLES if role not in found]
    return f"missing: {', '.join(missing)}" if missing else None
