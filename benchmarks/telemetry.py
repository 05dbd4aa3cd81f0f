"""Telemetry under load: counting the events in Dagster's event log, and serving the metrics.

Belongs here: the part `fold`, and the log for both. Does not belong here: the part `scrape`, which scrapes the metrics
server once all is counted (`telemetry_scrape.py`).

The log has real events of runs over 500 assets, in the Postgres that Atlas embeds. A child process follows the log from
its start to its end: it reads, counts, and saves totals with the cursor. Its peak memory includes Dagster. Throughput
is in events that change a metric; most of the log's do not.

Run: .venv/bin/python benchmarks/telemetry.py [--rows N] [--rounds N] [--only PART …] [--json]
"""

import json
import os
import shutil
import sys
import time
from statistics import median

import harness
import telemetry_scrape

from atlas_pipeline.settings import PROJECT_ROOT
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import DAGSTER, OWNER, WAREHOUSE, connect

EVENTS_A_SECOND = 8000
MOST_MEMORY_MIB = 150
MOST_IDLE_MS = 50
"""Most CPU time of a poll without new events: at one poll in five seconds, 1 % of a core."""
_IDLE_LOOKS = 20
PARTS = ("fold", "scrape")


def run_child(kind: str, *arguments: str) -> None:
    """In a child process, in the installation that the environment names: measure and print."""
    said = {"fill": _fill, "fold": _fold}[kind](*arguments)
    print(json.dumps(said))


def _fill(rows: str) -> dict[str, float]:
    from telemetry_log import fill

    return {"rows": fill(int(rows))}


def _fold() -> dict[str, float]:
    from atlas_pipeline.ops.counting import follow

    events, looks, more = 0, 0, True
    log_url = os.environ["ATLAS_DAGSTER_DATABASE_URL"]
    with connect(log_url, autocommit=True) as log, connect(os.environ["ATLAS_DATABASE_URL"]) as connection:
        imported = harness.own_peak_mib()
        started, worked = time.perf_counter(), time.process_time()
        while more:
            found = follow(log, connection, "start")
            events, looks, more = events + found.events, looks + 1, found.more
        seconds, processor = time.perf_counter() - started, time.process_time() - worked
        worked = time.process_time()
        for _ in range(_IDLE_LOOKS):
            follow(log, connection, "start")
        idle = (time.process_time() - worked) / _IDLE_LOOKS
        series = connection.execute("SELECT count(*) FROM atlas.telemetry_totals").fetchone()
    assert series
    return {
        "events": events,
        "looks": looks,
        "seconds": seconds,
        "a second": events / seconds,
        "processor": processor,
        "idle_ms": idle * 1000,
        "totals": series[0],
        "imported_mib": imported,
        "peak_mib": harness.own_peak_mib(),
    }


def report_folds(report: harness.Report, rows: int, folds: list[dict[str, float]]) -> None:
    """Add the measurements of each round, and the goals."""
    rate = median(one["a second"] for one in folds)
    peak = max(one["peak_mib"] for one in folds)
    columns = [
        "counted",
        "of",
        "seconds",
        "processor",
        "a second",
        "looks",
        "idle look, ms",
        "totals",
        "imports, MiB",
        "peak, MiB",
    ]
    said = ("seconds", "processor", "a second", "looks", "idle_ms", "totals", "imported_mib", "peak_mib")
    cells = [[one["events"], rows, *(one[name] for name in said)] for one in folds]
    report.table("Counting the log from its start", columns, cells)
    report.goals.append(harness.Goal("events counted a second", rate, EVENTS_A_SECOND, at_least=True))
    idle = median(one["idle_ms"] for one in folds)
    report.goals.append(harness.Goal("processor time of a look that finds nothing", idle, MOST_IDLE_MS, unit=" ms"))
    report.goals.append(harness.Goal("peak memory of the exporter", peak, MOST_MEMORY_MIB, unit=" MiB"))


def main() -> int:
    """Measure and print. Returns the exit code: 1 when a goal was missed."""
    if sys.argv[1:2] == ["--child"]:
        run_child(*sys.argv[2:])
        return 0
    parser = harness.arguments(__doc__, 1_000_000, "events in the log", 3)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="the parts to run (default: all)")
    options = parser.parse_args()
    report = harness.Report("telemetry")
    with harness.scratch() as folder, harness.postgres(folder / "home") as server:
        shutil.copy(PROJECT_ROOT / "dagster.yaml", folder / "home")
        environment = {
            "ATLAS_HOME": str(folder / "home"),
            "DAGSTER_HOME": str(folder / "home"),
            "ATLAS_DATABASE_URL": server.url(WAREHOUSE, OWNER),
            "ATLAS_DAGSTER_DATABASE_URL": server.url(DAGSTER, OWNER),
        }
        with connect(environment["ATLAS_DATABASE_URL"]) as warehouse:
            prepare_warehouse(warehouse)
        command = [sys.executable, __file__, "--child"]
        harness.say(f"filling a log of {options.rows:,} events")
        rows = harness.child([*command, "fill", str(options.rows)], env=environment).said["rows"]
        folds = []
        for number in range(options.rounds if "fold" in options.only else 1):
            harness.say(f"counting it, round {number + 1}")
            with connect(environment["ATLAS_DATABASE_URL"]) as warehouse:
                warehouse.execute("TRUNCATE atlas.telemetry_cursor, atlas.telemetry_totals")
            harness.checkpoint(server)
            folds.append(harness.child([*command, "fold"], env=environment).said)
        if "fold" in options.only:
            report_folds(report, rows, folds)
        if "scrape" in options.only:
            telemetry_scrape.measure(report, environment)
    return report.print(options.json)


if __name__ == "__main__":
    sys.exit(main())
