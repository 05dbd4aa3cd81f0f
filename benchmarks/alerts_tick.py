"""The part `tick` of `alerts.py`: the alert sensor catches up with a Dagster event log in Postgres.

Belongs here: the log, filled with copies of the events of real runs of 500 assets, and ticks until it is read. Does
not belong here: the fold alone (`alerts.py`).

Two logs, each with `rows` events of the kinds that alerting reads, and all others of the same runs between them:

- mixed: of 100 runs 90 go well, 4 fail a check that only warns, 3 one that stops them, and 3 by an exception;
- storm: every run fails, half of them by a check and half by an exception.

Each is read in a process of its own, which has the definitions of 500 assets loaded before the clock starts; its memory
is not Postgres's.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import dagster as dg
import harness
import psycopg

from atlas_pipeline.alerting.policy import Policies, default_policies
from atlas_pipeline.event_log.decoding import TYPES
from atlas_pipeline.orchestration.alerts.policies import selector
from atlas_pipeline.orchestration.alerts.retries import KINDS as EVENT_KINDS
from atlas_pipeline.orchestration.alerts.tick import Tick, look, project_of
from atlas_pipeline.settings import PROJECT_ROOT
from atlas_pipeline.warehouse.connect import connect

ASSETS, GOAL_SECONDS = 500, 2.0
HOW = "benchmark/how"
KINDS = {"mixed": ("good",) * 90 + ("warned",) * 4 + ("check", "error") * 3, "storm": ("check", "error") * 50}


def one(number: int) -> dg.AssetsDefinition:
    """An asset with three checks, whose outcome is set by a tag of its run."""
    key = dg.AssetKey(["silver", f"table_{number}"])
    names = ("rows_accounted", "contract", "leak_check")

    @dg.asset(key=key, check_specs=[dg.AssetCheckSpec(name, asset=key) for name in names], owners=["team:sales"])
    def made(context: dg.AssetExecutionContext) -> Iterator[Any]:
        how = context.run.tags[HOW]
        context.log.info("1,000 rows of 3 files are new")
        for name in names:
            failed = name == "contract" and how in ("check", "warned")
            yield dg.AssetCheckResult(
                check_name=name,
                passed=not failed,
                severity=dg.AssetCheckSeverity.WARN if how == "warned" else dg.AssetCheckSeverity.ERROR,
                description="3 rows of 1,000 are below 0, at most 0 may be" if failed else None,
                metadata={"measured": 3.0, "threshold": "at most 0", "rows tested": 1000, "dimension": "validity"},
            )
        if how == "check":
            raise dg.Failure(f"silver.{key.path[-1]} fails its contract, the table stays as it was")
        if how == "error":
            raise ValueError("no such column")
        rows = {"dagster/row_count": 1000, "rows added": 10, "rows in quarantine": 0, "quality score": 0.99}
        yield dg.MaterializeResult(asset_key=key, metadata=rows)

    return made


def repository() -> dg.RepositoryDefinition:
    """The code location."""
    return dg.Definitions(
        assets=[one(number) for number in range(ASSETS)],
        jobs=[dg.define_asset_job("daily", "*")],
        executor=dg.in_process_executor,
    ).get_repository_def()


@contextmanager
def instance(url: str, folder: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance as Atlas configures it, with storage in the database and files in the folder."""
    os.environ |= {"ATLAS_DAGSTER_DATABASE_URL": url, "ATLAS_HOME": str(folder), "DAGSTER_HOME": str(folder)}
    shutil.copy(PROJECT_ROOT / "dagster.yaml", folder)
    with dg.DagsterInstance.get() as found:
        yield found


def run_templates(url: str, dagster_url: str, folder: Path) -> None:
    """In a child process: make one real run of each kind, and print their ids. Alerting starts after them."""
    location, made = repository(), {}
    with instance(dagster_url, folder) as dagster, connect(url) as connection:
        for how in ("good", "warned", "check", "error"):
            result = location.get_job("daily").execute_in_process(
                instance=dagster,
                raise_on_error=False,
                tags={HOW: how},
                asset_selection=[dg.AssetKey(["silver", "table_0"])],
            )
            made[how] = result.run_id
        ticked(dagster, connection, location)
    print(json.dumps(made))


def fill(
    connection: psycopg.Connection, templates: dict[str, str], kinds: tuple[str, ...], rows: int
) -> tuple[int, int]:
    """Copy runs until there are `rows` events that alerting reads. Returns the numbers of all events and of runs."""
    counted = dict(
        connection.execute(
            "SELECT run_id, count(*) FROM event_logs WHERE dagster_event_type = ANY(%s) GROUP BY 1",
            [[TYPES[kind] for kind in EVENT_KINDS]],
        ).fetchall()
    )
    chosen, left = [], rows
    while left > 0:
        how = kinds[(len(chosen) * 37) % len(kinds)]
        chosen.append(templates[how])
        left -= counted[templates[how]]
    plan = (
        "WITH plan AS (SELECT template, number::text, md5(number::text)::uuid::text AS id, "
        "'table_' || (number %% %(assets)s) AS made "
        "FROM unnest(%(chosen)s::text[]) WITH ORDINALITY AS p (template, number)) "
    )
    put = "replace(replace({0}, run_id, plan.id), 'table_0', plan.made)"
    values = {"assets": ASSETS, "chosen": chosen}
    columns = "dagster_event_type, timestamp, partition"
    connection.execute(
        plan + f"INSERT INTO event_logs (run_id, event, step_key, asset_key, {columns}) SELECT plan.id, "
        f"{put.format('event')}, {put.format('step_key')}, {put.format('asset_key')}, {columns} "
        "FROM plan JOIN event_logs ON run_id = template ORDER BY number::int, event_logs.id",
        values,
    )
    columns = "snapshot_id, pipeline_name, status, create_timestamp, update_timestamp, start_time, end_time"
    connection.execute(
        plan + f"INSERT INTO runs (run_id, run_body, {columns}) SELECT plan.id, {put.format('run_body')}, {columns} "
        "FROM plan JOIN runs ON run_id = template",
        values,
    )
    connection.execute(
        plan + "INSERT INTO run_tags (run_id, key, value) SELECT plan.id, key, replace(value, 'table_0', plan.made) "
        "FROM plan JOIN run_tags ON run_id = template",
        values,
    )
    return rows - left, len(chosen)


def ticked(
    dagster: dg.DagsterInstance, connection: psycopg.Connection, location: dg.RepositoryDefinition
) -> list[tuple[float, Tick]]:
    """Tick until the log is read; returns the seconds and the result of each tick."""
    policies = Policies(default_policies(), ("mail", "chat"))
    project, ticks, more = project_of(location, policies, selector(location.asset_graph)), [], True
    while more:
        started = time.perf_counter()
        tick = look(dagster, connection, project, datetime.now(UTC))
        ticks.append((time.perf_counter() - started, tick))
        more = tick.more
    return ticks


def read(url: str, dagster_url: str, folder: Path) -> None:
    """In a child process: tick until the log is read, and print the measurements."""
    location = repository()
    with instance(dagster_url, folder) as dagster, connect(url) as connection:
        dagster.get_runs_count()
        before = harness.own_peak_mib()
        ticks = ticked(dagster, connection, location)
    said = {
        "seconds": [seconds for seconds, _ in ticks],
        "events": sum(tick.events for _, tick in ticks),
        "messages": sum(tick.messages for _, tick in ticks),
        "firing": ticks[-1][1].firing,
        "before": before,
        "peak": harness.own_peak_mib(),
    }
    print(json.dumps(said))


def measure(report: harness.Report, rows: int) -> None:
    """Fill and read both logs, and add them to the report."""
    table = []
    for name, kinds in KINDS.items():
        harness.say(f"tick: {name}")
        with (
            harness.scratch() as home,
            harness.postgres(home) as server,
            harness.database(server) as url,
            harness.database(server) as dagster_url,
        ):
            arguments = [url, dagster_url, home]
            templates = harness.child([sys.executable, __file__, "templates", *arguments]).said
            with connect(dagster_url) as connection:
                events, runs = fill(connection, templates, kinds, rows)
            with connect(dagster_url, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")
            harness.checkpoint(server)
            said = harness.child([sys.executable, __file__, "read", *arguments]).said
        if said["events"] != events:
            raise RuntimeError(f"{events} events were to be read, {said['events']} were")
        seconds = said["seconds"]
        rate = events / sum(seconds)
        table.append(
            [name, events, runs, len(seconds), max(seconds), rate, said["firing"], said["messages"], said["peak"]]
        )
        report.goals.append(harness.Goal(f"longest look, {name}", max(seconds), GOAL_SECONDS, unit=" s"))
        report.notes.append(
            f"{name}: a look took {median(seconds):.2f} s in the median; load of the machine {os.getloadavg()[0]:.1f}; "
            f"memory before the first look {said['before']:.0f} MiB"
        )
    columns = ["", "events", "runs", "looks", "longest s", "events/s", "alerts", "messages", "peak MiB"]
    report.table("looks at a real event log until nothing is left", columns, table)


if __name__ == "__main__":
    {"templates": run_templates, "read": read}[sys.argv[1]](sys.argv[2], sys.argv[3], Path(sys.argv[4]))
