"""What `atlas ops` costs over a log that was counted to its end: scrapes, memory, and processor time.

Belongs here: the process from outside, as Prometheus sees it. Does not belong here: the log, and counting it
(`telemetry.py`).

A scrape is as Prometheus's: OpenMetrics, compressed, until the last byte is read, each over a new connection. Scrapes
within a second share a cached response, hence two kinds: one after the other, and so far apart that each response is
rendered anew.
"""

import gzip
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median, quantiles

import harness
import psutil

from atlas_pipeline.settings import PROJECT_ROOT

MOST_SCRAPE_MS = 50
MOST_RESIDENT_MIB = 150
MOST_IDLE_PERCENT = 1
_SCRAPES = 500
_ANEW, _APART_SECONDS = 30, 1.1
_MINUTE_SECONDS, _INTERVAL_SECONDS = 60, 15
_START_SECONDS = 120
_PARTS = 6
"""Parts of a response when no web server is checked."""
_ASKS = {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "gzip"}


def measure(report: harness.Report, environment: dict[str, str]) -> None:
    """Serve the installation that the environment names, and report. Raises RuntimeError when it does not serve."""
    with _served(environment) as (process, url):
        series = _settled(process, url)
        size = len(_answer(url))
        harness.say(f"scraping {series:,} series")
        kinds = {
            f"{_SCRAPES} one after the other": [_scrape(url) for _ in range(_SCRAPES)],
            f"{_ANEW} each made anew": [_scrape(url, after=_APART_SECONDS) for _ in range(_ANEW)],
        }
        costs = [["scraped as above", "", _resident_mib(process)]]
        harness.say("a minute without scrapes, and a minute with")
        idle = _busy_percent(process, lambda: time.sleep(_MINUTE_SECONDS))
        costs.append(["a minute, not scraped", idle, _resident_mib(process)])
        times = _MINUTE_SECONDS // _INTERVAL_SECONDS
        busy = _busy_percent(process, lambda: [_scrape(url, after=_INTERVAL_SECONDS) for _ in range(times)])
        costs.append([f"a minute, each {_INTERVAL_SECONDS} s", busy, _resident_mib(process)])
    rows = [[name, median(took), quantiles(took, n=20)[-1], max(took)] for name, took in kinds.items()]
    title = f"Scrapes of {series:,} series, {size / 1024:,.0f} KiB compressed"
    report.table(title, ["", "p50, ms", "p95, ms", "slowest, ms"], rows)
    report.table("The process", ["", "% of a core", "resident then, MiB"], costs)
    for name, _, p95, _ in rows:
        report.goals.append(harness.Goal(f"p95 of scrapes, {name}", p95, MOST_SCRAPE_MS, unit=" ms"))
    resident = max(row[-1] for row in costs)
    report.goals.append(harness.Goal("resident memory of the process", resident, MOST_RESIDENT_MIB, unit=" MiB"))
    report.goals.append(harness.Goal("idle processor time of the process", idle, MOST_IDLE_PERCENT, unit=" %"))


@contextmanager
def _served(environment: dict[str, str]) -> Iterator[tuple[psutil.Process, str]]:
    """The process and where its metrics are; stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "atlas_pipeline.cli", "ops", "--no-webserver", "--host", "127.0.0.1"]
    there = os.environ | environment | {"PYTHONPATH": str(PROJECT_ROOT)}
    started = subprocess.Popen([*command, "--port", str(port)], env=there, stdout=subprocess.DEVNULL)
    try:
        yield psutil.Process(started.pid), f"http://127.0.0.1:{port}/metrics"
    finally:
        started.terminate()
        started.wait()


def _settled(process: psutil.Process, url: str) -> int:
    """Wait until every part is in the response and every event is counted; returns the number of series."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(1)
        try:
            text = gzip.decompress(_answer(url)).decode()
        except OSError:
            continue
        up = len(re.findall(r"^atlas_scrape_part_up\{.*\} 1(?:\.0)?$", text, re.MULTILINE))
        if up == _PARTS and _value(text, "atlas_event_log_lag_events") == 0:
            return int(_value(text, "atlas_metrics_series"))
    raise RuntimeError("atlas ops does not serve all its parts")


def _value(text: str, family: str) -> float:
    found = re.search(rf"^{family}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else float("nan")


def _answer(url: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=_ASKS), timeout=30) as answer:
        return answer.read()


def _scrape(url: str, after: float = 0) -> float:
    """Milliseconds of a scrape, after a pause of some seconds."""
    time.sleep(after)
    return harness.timed(lambda: _answer(url)) * 1000


def _resident_mib(process: psutil.Process) -> float:
    return process.memory_info().rss / harness.MIB


def _busy_percent(process: psutil.Process, meanwhile: Callable[[], object]) -> float:
    """CPU time of the process during the block, as percent of one core."""
    before = process.cpu_times()
    seconds = harness.timed(meanwhile)
    after = process.cpu_times()
    return 100 * (after.user + after.system - before.user - before.system) / seconds
