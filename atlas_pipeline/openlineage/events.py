"""From events of Dagster's log to events of OpenLineage: START, COMPLETE, FAIL and ABORT of each table that is built.

Belongs here: which of them follows from which, as a fold over plain data. Does not belong here: facets of tables
(`project.py`) and sending (`sending.py`). Run ids follow from those of Dagster, so that an event that is sent twice is
one event to whoever collects them.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from atlas_pipeline import labels
from atlas_pipeline.event_log.event import Event, EventKind
from atlas_pipeline.openlineage.project import JOBS, PRODUCER, SPEC, Project, facet, known_to

KINDS: tuple[EventKind, ...] = (
    *("planned", "step_started", "step_succeeded", "step_failed", "materialized", "check"),
    *("run_succeeded", "run_failed", "run_canceled"),
)
State = dict[str, dict[str, Any]]
"""By run: the tables that it is to build, those that it builds, by step, and what came of checks, by step."""
_MOST_RUNS = 200
_ENDS: Mapping[str, str] = {"run_succeeded": "ABORT", "run_failed": "FAIL", "run_canceled": "ABORT"}
_WORDS = {
    "missing": "not_null",
    "duplicate": "unique",
    "invalid": "accepted_values",
    "row_count": "row_count",
    "freshness": "freshness",
    "schema": "schema",
}
"""What others call checks of a contract."""


def fold(state: State, event: Event, project: Project) -> list[dict[str, Any]]:
    """The events that follow from one event of the log; the state is changed.

    Args:
        state: what is remembered of runs under way.
        event: of the log.
        project: what there is.
    """
    run = state.setdefault(event.run, {"planned": [], "building": {}, "checks": {}})
    messages: list[dict[str, Any]] = []
    step = event.step or ""
    if event.kind == "planned":
        run["planned"] = sorted({*run["planned"], *known_to(project, event.assets)})
    elif event.kind == "step_started":
        for path in [path for path in project.steps.get(step, ()) if path in run["planned"]]:
            if path not in run["building"]:
                run["building"][path] = step
                messages.append(_build(project, event, path, "START", None))
    elif event.kind == "materialized":
        for path in known_to(project, event.assets):
            run["building"].pop(path, None)
            run["planned"] = [other for other in run["planned"] if other != path]
            messages.append(_build(project, event, path, "COMPLETE", event.rows))
    elif event.kind == "check":
        for path in known_to(project, event.assets):
            run["checks"].setdefault(step, {}).setdefault(path, []).append(_assertion(project, event, path))
    else:
        messages += _ended(run, event, project)
    if event.kind in _ENDS:
        del state[event.run]
    while len(state) > _MOST_RUNS:
        del state[next(iter(state))]
    return messages


def _ended(run: dict[str, Any], event: Event, project: Project) -> list[dict[str, Any]]:
    """What follows from the end of a step, or of a run, whose steps may have been killed."""
    of_run = event.kind in _ENDS
    messages: list[dict[str, Any]] = []
    reasons: dict[str, str] = {}
    for step in list(run["checks"]) if of_run else [event.step or ""]:
        for path, found in run["checks"].pop(step, {}).items():
            if path in project.tables:
                messages += _checks(project, event, path, step, found)
                reasons[path] = _reason(found)
    if event.kind != "step_succeeded":
        for path, step in list(run["building"].items()):
            if (of_run or step == event.step) and path in project.tables:
                del run["building"][path]
                message = _build(project, event, path, _ENDS.get(event.kind, "FAIL"), None)
                messages.append(_failed(message, event, reasons.get(path, "")))
    return messages


def _reason(found: list[dict[str, Any]]) -> str:
    """The checks for which a table was not published. What they measured, which may be a value, is not said."""
    assertions = [one["assertion"] for one in found]
    names = [one["name"] for one in assertions if not one["success"] and one["severity"] == "error"]
    return f"the table was not published: {', '.join(names)}" if names else ""


def _failed(message: dict[str, Any], event: Event, reason: str) -> dict[str, Any]:
    """The event with why the build failed: by checks, or by the class of an error, since its words may quote a row."""
    if message["eventType"] == "FAIL":
        words = reason or f"the build failed{f' ({event.error})' if event.error else ''}: see the run in Dagster"
        facets = message["run"]["facets"]
        facets["errorMessage"] = facet("ErrorMessageRunFacet", "1-0-1", message=words, programmingLanguage="PYTHON")
    return message


def _build(project: Project, event: Event, path: str, kind: str, rows: float | None) -> dict[str, Any]:
    """An event of the build of a table."""
    message = _event(event.at, kind, _run_id(event.run, path), event, project.job(path))
    written = None if rows is None else int(rows)
    return message | {"inputs": project.inputs(path), "outputs": [project.output(path, written)]}


def _checks(project: Project, event: Event, path: str, step: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events of checking a table: what is checked is an input, as the specification has it."""
    run = _run_id(event.run, f"{path}/checks/{step}")
    assertions = [one["assertion"] for one in found]
    nulls = {one["column"]: {"nullCount": one["nulls"]} for one in found if one.get("nulls") is not None}
    rows = max((one["rows"] for one in found if one.get("rows") is not None), default=None)
    measured = {"columnMetrics": nulls} | ({} if rows is None else {"rowCount": rows})
    checked = project.dataset(project.tables[path].key) | {
        "facets": {"dataQualityMetrics": facet("DataQualityMetricsDatasetFacet", "1-0-1", **measured)},
        "inputFacets": {
            "dataQualityAssertions": facet("DataQualityAssertionsDatasetFacet", "1-1-0", assertions=assertions)
        },
    }
    job = project.job(path, ".checks")
    start, complete = (_event(event.at, kind, run, event, job) for kind in ("START", "COMPLETE"))
    bare = project.dataset(project.tables[path].key)
    return [start | {"inputs": [bare], "outputs": []}, complete | {"inputs": [checked], "outputs": []}]


def _assertion(project: Project, event: Event, path: str) -> dict[str, Any]:
    """A check as an assertion, with the counts that it measured: of rows, and of nulls."""
    declared = next((check for check in project.tables[path].checks if check.name == event.check), None)
    place = (declared.path if declared else None) or ""
    column, _, below = place.removeprefix("columns.").partition(".checks.") if ".checks." in place else ("", "", "")
    kind = (below or place.removeprefix("checks.")).partition(".")[0]
    assertion: dict[str, Any] = {
        "assertion": _WORDS.get(kind, event.check or ""),
        "success": event.passed,
        "severity": event.level,
        "name": event.check,
    }
    expected = event.facts.get(labels.THRESHOLD)
    parts = {"column": column, "description": declared.title if declared else "", "expected": expected}
    assertion |= {name: str(value) for name, value in parts.items() if value}
    failed, tested = event.facts.get(labels.ROWS_FAILED), event.facts.get(labels.ROWS_TESTED)
    found: dict[str, Any] = {"assertion": assertion}
    if isinstance(tested, int):
        found["rows"] = tested
    if kind == "missing" and column and isinstance(failed, int):
        found |= {"column": column, "nulls": failed}
    return found


def _event(at: datetime, kind: str, run: str, event: Event, job: dict[str, Any]) -> dict[str, Any]:
    parent = facet(
        "ParentRunFacet",
        "1-2-0",
        run={"runId": event.run},
        job={"namespace": JOBS, "name": event.job or "assets"},
    )
    return {
        "eventTime": at.isoformat(timespec="milliseconds"),
        "eventType": kind,
        "producer": PRODUCER,
        "schemaURL": f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": run, "facets": {"parent": parent}},
        "job": job,
    }


def _run_id(run: str, about: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{run}/{about}"))
