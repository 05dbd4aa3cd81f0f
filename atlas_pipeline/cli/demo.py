"""`atlas demo`: the main job without a server. Also what `atlas up` runs before it serves.

Belongs here: one in-process run over all assets, recorded in Dagster's instance like any other, and its summary.
"""

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import dagster as dg

from atlas_pipeline import labels
from atlas_pipeline.cli.output import ERR, failures_as_messages, print_json, print_table, progress
from atlas_pipeline.instance.home import dagster_home
from atlas_pipeline.settings import Settings, load_settings


@dataclass
class Line:
    """What came of one asset."""

    layer: str
    name: str
    read: int = 0
    published: int = 0
    quarantined: int = 0
    personal_columns: int = 0
    checks_passed: int = 0
    checks_warned: int = 0
    checks_failed: int = 0
    seconds: float = 0.0
    state: str = "skipped"
    problem: str = ""


def run(json: bool) -> int:
    """Write the sample, materialize everything, print the table. Returns the exit code."""
    with failures_as_messages(), progress("starting") as show:
        started = time.monotonic()
        settings = load_settings()
        write_sample(settings, show)
        lines = materialize(show)
        seconds = round(time.monotonic() - started, 1)
    failed = [line for line in lines if line.state == "failed"]
    if json:
        print_json({"ok": not failed, "seconds": seconds, "tables": [asdict(line) for line in lines]})
    else:
        print_lines(lines, seconds)
    for line in failed:
        ERR.print(f"atlas: {line.layer}.{line.name} failed: {line.problem}", markup=False, highlight=False)
    return 1 if failed or not lines else 0


def write_sample(settings: Settings, show: Callable[[str], None]) -> None:
    """Put the sample into the landing folder, unless it is there; never in production."""
    from atlas_pipeline.sample import generate

    if settings.environment == "production":
        return
    report = lambda name, done, total: show(f"sample data, {name}: {done:,} of {total:,} rows")  # noqa: E731
    generate(settings.landing_path, settings.sample_rows, progress=report)


def materialize(show: Callable[[str], None], only: Sequence[dg.AssetKey] | None = None) -> list[Line]:
    """One run over every asset that has no partitions; a failed table does not stop the ones beside it.

    Args:
        show: Told what is being done.
        only: These assets; None for all.

    Returns:
        What came of each asset, in the order of the graph.
    """
    show("loading definitions")
    from atlas_pipeline.definitions import defs

    definitions = defs()
    graph = definitions.resolve_asset_graph()
    tables = [key for key in graph.materializable_asset_keys if graph.get(key).group_name != labels.BACKUPS]
    keys = [key for key in tables if graph.get(key).partitions_def is None and (only is None or key in only)]
    lines = {key: Line(key.path[0], key.path[-1]) for key in graph.toposorted_asset_keys if key in set(keys)}
    if not lines:
        return []
    run_id = str(uuid.uuid4())
    steps = {"__".join(key.path) for key in lines}
    done = 0

    def on_event(entry: dg.EventLogEntry) -> None:
        nonlocal done
        event = entry.dagster_event
        if event is None:
            return
        if (event.step_key or "") not in steps:
            return
        if event.is_step_start:
            show(f"{done} of {len(lines)} tables done, now {(event.step_key or '').replace('__', '.')}")
        elif event.is_step_success or event.is_step_failure:
            done += 1

    for name in ("dagster", "soda"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with dg.DagsterInstance.from_config(str(dagster_home(load_settings()))) as instance:
        instance.add_event_listener(run_id, on_event)
        job = definitions.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            run_id=run_id,
            instance=instance,
            asset_selection=list(lines),
            raise_on_error=False,
            tags={"atlas/demo": "true"},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    _collect(result.all_events, lines)
    return list(lines.values())


def _collect(events: Iterable[dg.DagsterEvent], lines: dict[dg.AssetKey, Line]) -> None:
    by_step = {"__".join(key.path): line for key, line in lines.items()}
    for event in events:
        line = by_step.get(event.step_key or "")
        if event.is_step_failure and line:
            line.state, line.problem = "failed", _problem(event)
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            found = lines[check.asset_key]
            if check.passed:
                found.checks_passed += 1
            elif check.severity == dg.AssetCheckSeverity.WARN:
                found.checks_warned += 1
            else:
                found.checks_failed += 1
        elif event.is_step_materialization and event.asset_key in lines:
            values: dict[str, Any] = {k: v.value for k, v in event.materialization.metadata.items()}
            found = lines[event.asset_key]
            found.state = "published"
            found.published = values.get("dagster/row_count", 0)
            found.read = values.get(labels.ROWS_IN, found.published)
            found.quarantined = values.get(labels.ROWS_QUARANTINED, values.get(labels.LINES_REJECTED, 0))
            found.personal_columns = values.get(labels.PERSONAL_DATA_COLUMNS, 0)
            found.seconds = values.get(labels.SECONDS, 0.0)


def _problem(event: dg.DagsterEvent) -> str:
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return str(failure.user_failure_data.description)
    error = failure.error
    while error and error.cause:
        error = error.cause
    return error.message.strip().splitlines()[0] if error else "no reason was recorded"


def print_lines(lines: list[Line], seconds: float) -> None:
    """The table for people."""
    columns = {
        "table": "left",
        "rows\nread": "right",
        "rows\npublished": "right",
        "quaran-\ntined": "right",
        "personal\ncolumns": "right",
        "checks ok/\nwarn/fail": "right",
        "seconds": "right",
    }
    rows = [
        [
            f"{line.layer}.{line.name}" if line.state == "published" else f"{line.layer}.{line.name} ({line.state})",
            line.read,
            line.published,
            line.quarantined,
            line.personal_columns,
            f"{line.checks_passed}/{line.checks_warned}/{line.checks_failed}",
            f"{line.seconds:.2f}",
        ]
        for line in lines
    ]
    print_table(f"Atlas: {len(lines)} tables in {seconds} s", columns, rows, optional=["seconds", "rows\nread"])
