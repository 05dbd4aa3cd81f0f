"""Overhead of Dagster around the work: `atlas demo` from nothing, and two empty assets against the stock settings.

- demo: the program `atlas demo --json` with a new ATLAS_HOME (10,000 customers, 50,000 orders, 5,000 tickets), initdb
  and sample data included. Then the run's own events say what each step cost over its work: the time from step start
  to step end, less the `seconds` that the asset measured; and for the whole run, its time less the sum of all work.
- stock: `dagster asset materialize` of a file with two empty assets and one check, with Dagster's default settings: a
  new DAGSTER_HOME on SQLite, the multiprocess executor, processes spawned.
- atlas: the same assets the way `atlas demo` runs its own: in one process, in Atlas's instance, with a new ATLAS_HOME
  and so initdb as well. Both are then run again in the same home.

`--rows` is the number of customers. Run: .venv/bin/python benchmarks/bench_demo.py [--rounds N] [--json]
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import harness

GOAL_SECONDS, GOAL_STEP_SECONDS = 60, 1.0
_TINY = """\
import dagster as dg


@dg.asset
def first() -> None: ...


@dg.asset(deps=[first])
def second() -> None: ...


@dg.asset_check(asset=second)
def holds() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


defs = dg.Definitions(assets=[first, second], asset_checks=[holds])
"""


def _instance() -> Any:
    """The Dagster instance of this process's ATLAS_HOME."""
    import dagster as dg

    from atlas_pipeline.instance.home import dagster_home
    from atlas_pipeline.settings import load_settings

    return dg.DagsterInstance.from_config(str(dagster_home(load_settings())))


def child_events() -> None:
    """In a child process: print the times of the newest run and its steps, from its events."""
    import dagster as dg

    with _instance() as instance:
        run = instance.get_run_records(limit=1)[0]
        steps: dict[str, dict[str, float]] = {}
        for entry in instance.all_logs(run.dagster_run.run_id):
            event = entry.dagster_event
            if event is None or event.step_key is None:
                continue
            step = steps.setdefault(event.step_key, {})
            if event.is_step_start:
                step["start"] = entry.timestamp
            elif event.event_type in (dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE):
                step["end"] = entry.timestamp
            elif event.is_step_materialization and "seconds" in event.materialization.metadata:
                step["work"] = float(event.materialization.metadata["seconds"].value)
        print(json.dumps({"run": run.end_time - run.start_time, "steps": steps}))


def child_tiny(path: str) -> None:
    """In a child process: run the tiny definitions as `atlas demo` runs its own."""
    import logging
    import runpy

    import dagster as dg

    loaded = runpy.run_path(path)["defs"]
    definitions = dg.Definitions.merge(loaded, dg.Definitions(executor=dg.in_process_executor))
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    with _instance() as instance:
        done = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        )
    if not done.success:
        raise RuntimeError("the tiny run failed")


def _fresh() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="atlas-bench-", ignore_cleanup_errors=True)
    Path(folder.name).chmod(0o711)
    return folder


def _environment(home: str, rows: int) -> dict[str, str]:
    return {"ATLAS_HOME": home, "ATLAS_SAMPLE_ROWS": str(rows), "DAGSTER_DISABLE_TELEMETRY": "1"}


def main() -> int:
    """Measure and print. Returns the exit code: 1 when a goal was missed."""
    if sys.argv[1:2] == ["--child"]:
        child_events() if sys.argv[2] == "events" else child_tiny(sys.argv[3])
        return 0
    options = harness.arguments(__doc__, 10_000, "customers of the demo's sample", 3).parse_args()
    for name in [name for name in os.environ if name.startswith(("ATLAS_", "DAGSTER_"))]:
        del os.environ[name]
    seconds: dict[str, list[float]] = {
        "atlas demo": [],
        "stock, 2 empty assets": [],
        "stock, again": [],
        "atlas, 2 empty assets": [],
        "atlas, again": [],
    }
    peaks = dict.fromkeys(seconds, 0.0)
    steps: dict[str, dict[str, list[float]]] = {}
    over: list[float] = []
    for number in range(options.rounds):
        programs, events = _run_programs(f"round {number + 1} of {options.rounds}", options.rows)
        over.append(_overheads(events, steps))
        for name, program in programs.items():
            seconds[name].append(program.seconds)
            peaks[name] = max(peaks[name], program.peak_mib)
    middle = harness.medians(seconds)
    stock = {name: middle[f"stock, {name.split(', ')[1]}"] for name in seconds if ", " in name}
    report = harness.Report("bench_demo")
    report.table(
        f"Whole programs, {options.rounds} rounds",
        ["program", "median s", "min s", "max s", "times as fast as stock", "peak MiB"],
        [
            [n, middle[n], min(s), max(s), stock[n] / middle[n] if n in stock else "", peaks[n]]
            for n, s in seconds.items()
        ],
    )
    medians = {step: harness.medians(part) for step, part in steps.items()}
    report.table(
        f"Steps of the demo with {options.rows:,} customers, medians",
        ["step", "start to end s", "work s", "over s"],
        [[step, part["whole"], part["work"], part["over"]] for step, part in medians.items()],
    )
    report.goals += [
        harness.Goal("atlas demo from nothing", middle["atlas demo"], GOAL_SECONDS, unit=" s"),
        harness.Goal(
            "worst step over its work", max(p["over"] for p in medians.values()), GOAL_STEP_SECONDS, unit=" s"
        ),
        harness.Goal("run less all work, per step", harness.medians({"": over})[""], GOAL_STEP_SECONDS, unit=" s"),
    ]
    report.notes.append("peak memory is the largest single process that the program waited for; Postgres is not in it")
    return report.print(options.json)


def _run_programs(title: str, rows: int) -> tuple[dict[str, harness.Child], dict[str, Any]]:
    """One round: every program by its name, and the times of the demo's run and steps."""
    atlas, dagster = (Path(sys.executable).with_name(name) for name in ("atlas", "dagster"))
    harness.say(f"{title}: atlas demo")
    with _fresh() as home:
        environment = _environment(home, rows)
        programs = {"atlas demo": harness.child([atlas, "demo", "--json"], env=environment)}
        events = harness.child([sys.executable, __file__, "--child", "events"], env=environment).said
    for kind in ("stock", "atlas"):
        harness.say(f"{title}: two empty assets, {kind}")
        with _fresh() as home:
            tiny = Path(home, "tiny.py")
            tiny.write_text(_TINY)
            command: list[str | Path] = [sys.executable, __file__, "--child", "tiny", tiny]
            environment = _environment(home, rows)
            if kind == "stock":
                command = [dagster, "asset", "materialize", "--select", "*", "-f", tiny]
                environment["DAGSTER_HOME"] = home
            for name in (f"{kind}, 2 empty assets", f"{kind}, again"):
                programs[name] = harness.child(command, env=environment, cwd=Path(home))
    return programs, events


def _overheads(events: dict[str, Any], steps: dict[str, dict[str, list[float]]]) -> float:
    """Add the times of a run's steps to `steps`, and return the run's seconds less all work, per step.

    Raises RuntimeError when a step has no work time, so did not succeed.
    """
    for name, step in events["steps"].items():
        if not {"start", "end", "work"} <= set(step):
            raise RuntimeError(f"step {name} did not end well: {step}")
        part = steps.setdefault(name, {"whole": [], "work": [], "over": []})
        whole = step["end"] - step["start"]
        for kind, value in (("whole", whole), ("work", step["work"]), ("over", whole - step["work"])):
            part[kind].append(value)
    work = sum(step["work"] for step in events["steps"].values())
    return float(events["run"] - work) / len(events["steps"])


if __name__ == "__main__":
    sys.exit(main())
