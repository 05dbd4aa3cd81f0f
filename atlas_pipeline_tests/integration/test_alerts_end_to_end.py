"""Alerts from end to end: a file lands, Dagster's daemon runs what is installed, and receivers hear of it.

Files land, and nothing else is done by hand: the landing sensor starts the runs, the alert sensor reads the log, and
one of the two channels is Debian's Alertmanager, which routes by severity to receivers of its own.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from atlas_pipeline.instance.home import dagster_home
from atlas_pipeline.settings import PROJECT_ROOT, load_settings
from atlas_pipeline_tests.alerting.receivers import OK, Answer, Request, alertmanager, receiver

pytestmark = pytest.mark.slow
PATIENCE = 180
HEADER = (
    "customer_id,full_name,email,phone,date_of_birth,street_address,city,postcode,country,segment,marketing_opt_in,"
    "created_at,updated_at\n"
)
ROW = "7,A B,a@example.com,1,1990-01-01,S 1,C,01234,{country},vip,true,2024-01-01T00:00:00Z,{updated}\n"
ROUTES = """
route:
  receiver: chat
  group_by: [alertname, subject]
  group_wait: 100ms
  group_interval: 1s
  routes: [{{matchers: ['severity="critical"'], receiver: pager}}]
receivers:
  - {{name: pager, webhook_configs: [{{url: "http://{address}/pager", send_resolved: true}}]}}
  - {{name: chat, webhook_configs: [{{url: "http://{address}/chat", send_resolved: true}}]}}
"""
Told = tuple[str, str, str]
"""Where, firing or resolved, and the severity."""


@dataclass
class Heard:
    """What receivers are told of the checks of a table, each with the moment it came."""

    table: str
    arrived: queue.Queue[tuple[float, Request]] = field(default_factory=queue.Queue)
    at: list[tuple[Told, float]] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        self.arrived.put((time.time(), request))
        return OK

    def until(self, *wanted: Told) -> None:
        """Wait until all this has come."""
        deadline = time.monotonic() + PATIENCE
        while not {told for told, _ in self.at} >= set(wanted):
            moment, request = self.arrived.get(timeout=max(deadline - time.monotonic(), 0.01))
            self.at += [(told, moment) for told in self._said(request)]

    def first(self, told: Told) -> float:
        return next(moment for one, moment in self.at if one == told)

    def _said(self, request: Request) -> Iterator[Told]:
        said = request.json
        for alert in said["alerts"]:
            labels = alert.get("labels", alert)
            if labels["subject"].startswith(self.table):
                yield request.path, said.get("kind") or alert["status"], labels["severity"]


@contextmanager
def daemon(log: Path) -> Iterator[None]:
    """Dagster's daemon with the code location of this project, as `dagster dev` starts it."""
    environment = os.environ | {"DAGSTER_HOME": str(dagster_home(load_settings()))}
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(PROJECT_ROOT / "workspace.yaml")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        os.killpg(process.pid, signal.SIGTERM)
        _, alive = psutil.wait_procs(family, timeout=60)
        for one in alive:
            one.kill()


def await_row(connection: psycopg.Connection, query: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not connection.execute(query).fetchall():
        connection.commit()
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.2)


def happened(check: str, passed: bool) -> float:
    """When Dagster wrote that a check of customers came to this, the last time; seconds since 1970."""
    url = load_settings().dagster_database_url
    assert url is not None
    with psycopg.connect(url.get_secret_value()) as connection:
        rows = connection.execute(
            "SELECT event FROM event_logs WHERE dagster_event_type = 'ASSET_CHECK_EVALUATION' ORDER BY id DESC"
        )
        for entry in (json.loads(event) for (event,) in rows):
            said = entry["dagster_event"]["event_specific_data"]
            if said["check_name"] == check and said["success"] is passed:
                return float(entry["timestamp"])
    raise AssertionError(f"{check} never came to {passed}")


def test_a_broken_file_is_told_by_severity_and_so_is_its_end(
    atlas_env: Path,
    warehouse: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, Any], None],
) -> None:
    customers, log = atlas_env / "landing" / "customers", tmp_path / "daemon.log"
    customers.mkdir()
    heard = Heard("silver/customers")

    def measured(text: str, check: str, passed: bool, *wanted: Told) -> None:
        heard.until(*wanted)
        for told in wanted:
            seconds = round(heard.first(told) - happened(check, passed), 1)
            record_property(f"{text}, {told[0]}", seconds)
            print(f"{text}: {seconds} s from the event to {told[0]}")

    with (
        receiver(heard.answer) as to,
        alertmanager(tmp_path, ROUTES.format(address=to.address)) as (address, _),
    ):
        channels = f"hook=webhook+http://{to.address}/hook routed=alertmanager+http://{address}"
        monkeypatch.setenv("ATLAS_ALERT_CHANNELS", channels)
        monkeypatch.setenv("ATLAS_SENSOR_INTERVAL_SECONDS", "5")
        load_settings.cache_clear()
        with daemon(log):
            await_row(warehouse, "SELECT FROM atlas.alert_cursor", log)
            (customers / "1.csv").write_text(HEADER + ROW.format(updated="", country="DE"))  # a contract wants a time
            began = [("/hook", "firing", "critical"), ("/pager", "firing", "critical")]
            measured("critical began", "updated_at_missing", False, *began)
            # It warns of countries.
            (customers / "2.csv").write_text(HEADER + ROW.format(updated="2024-01-01T00:00:00Z", country="Germany"))
            over = [("/hook", "resolved", "critical"), ("/pager", "resolved", "critical")]
            measured("critical over", "updated_at_missing", True, *over)
            warned = [("/hook", "firing", "warning"), ("/chat", "firing", "warning")]
            measured("warning began", "country_invalid", False, *warned)
            (customers / "3.csv").write_text(HEADER + ROW.format(updated="2024-01-02T00:00:00Z", country="DE"))
            mended = [("/hook", "resolved", "warning"), ("/chat", "resolved", "warning")]
            measured("warning over", "country_invalid", True, *mended)
    assert sorted(told for told, _ in heard.at) == sorted([*began, *over, *warned, *mended])
