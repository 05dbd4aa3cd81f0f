"""The decoder: from the JSON that Dagster stores of events and ticks to `Event` and `Tick`.

Belongs here: which fields of that JSON are read: names, kinds, counts, and descriptions that Atlas's own code wrote.
Does not belong here: reading the tables (`reader.py`), and what follows from an event (`alerting/`, `telemetry/`).

Decoding takes a tenth of the time of Dagster's own, and needs no Dagster. A test holds it against events of real runs,
so that a change of Dagster's format is noticed.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from atlas_pipeline import labels
from atlas_pipeline.event_log.event import Event, EventKind, Fact, Freshness, Tick

TYPES: Mapping[EventKind, str] = {
    "planned": "ASSET_MATERIALIZATION_PLANNED",
    "run_started": "PIPELINE_START",
    "run_succeeded": "PIPELINE_SUCCESS",
    "run_failed": "PIPELINE_FAILURE",
    "run_canceled": "PIPELINE_CANCELED",
    "step_started": "STEP_START",
    "step_succeeded": "STEP_SUCCESS",
    "step_failed": "STEP_FAILURE",
    "step_skipped": "STEP_SKIPPED",
    "step_retried": "STEP_RESTARTED",
    "materialized": "ASSET_MATERIALIZATION",
    "observed": "ASSET_OBSERVATION",
    "check": "ASSET_CHECK_EVALUATION",
    "freshness": "FRESHNESS_STATE_CHANGE",
}
"""What Dagster's tables call each kind of event."""
TICK_TYPES = ("SCHEDULE", "SENSOR")
"""The ticks that are read, as Dagster's tables name them."""
_KINDS = {name: kind for kind, name in TYPES.items()}
_TICKS: Mapping[str, Literal["schedule", "sensor"]] = {
    "InstigatorType.SCHEDULE": "schedule",
    "InstigatorType.SENSOR": "sensor",
}
_ROWS = (labels.ROWS_IN, labels.ROWS_PUBLISHED, "dagster/partition_row_count", "dagster/row_count")
"""Metadata that say how many rows a materialization brought; the first one that is there counts."""
_FACTS = (
    labels.MEASURED,
    labels.THRESHOLD,
    labels.ROWS_TESTED,
    labels.ROWS_FAILED,
    labels.DIMENSION,
    labels.HOURS_ALLOWED,
)
"""Metadata of a check that may be shown. The rest may hold values of rows."""
_FRESHNESS: Mapping[str, Freshness] = {"PASS": "pass", "WARN": "warn", "FAIL": "fail", "UNKNOWN": "unknown"}
_PROBLEM_CHARACTERS = 500
_CLASS = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_EPOCH = datetime.fromtimestamp(0, UTC)
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, OSError)


def decode_event(number: int, text: str) -> Event:
    """An event of the log; of kind `unknown` when its JSON is not as expected.

    Args:
        number: its id in the log.
        text: the JSON that Dagster stored.
    """
    try:
        entry = json.loads(text)
        stored = entry["dagster_event"]
        kind = _KINDS[stored["event_type_value"]]
        details = _DETAILS.get(kind)
        run, step = _text(entry["run_id"]), stored["step_key"]
        return Event(
            id=number,
            kind=kind,
            at=datetime.fromtimestamp(_number(entry["timestamp"]), UTC),
            run=run,
            root_run=run,
            job=_job(entry["pipeline_name"]),
            step=None if step is None else _text(step),
            **(details(stored["event_specific_data"]) if details else {}),
        )
    except _UNREADABLE:
        return Event(number, "unknown", _EPOCH)


def decode_tick(text: str) -> Tick | None:
    """A tick that ended; null when its JSON is not as expected."""
    try:
        tick = json.loads(text)
        kind = _TICKS[tick["job_type"]["__enum__"]]
        status = tick["status"]["__enum__"].removeprefix("TickStatus.").lower()
        return Tick(kind, _text(tick["job_name"]), status, _number(tick["timestamp"]))
    except _UNREADABLE:
        return None


def _planned(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"assets": (_path(data["asset_key"]),)}


def _step_succeeded(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"seconds": _number(data["duration_ms"]) / 1000}


def _step_failed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The message of an error may quote a row: only what the step said by `dagster.Failure` is taken."""
    error = data["error"]
    while error and error["cause"]:
        error = error["cause"]
    name = (error or {}).get("cls_name") or ""
    name = name if _CLASS.fullmatch(name) else ""
    description = (data.get("user_failure_data") or {}).get("description")
    problem = _text(description)[:_PROBLEM_CHARACTERS] if description else f"{name}: see the run" if name else ""
    return {"error": name, "problem": problem or "see the run"}


def _materialized(data: Mapping[str, Any]) -> dict[str, Any]:
    made = data["materialization"]
    metadata = {entry["label"]: entry["entry_data"] for entry in made["metadata_entries"]}
    counts = (metadata[name].get("value") for name in _ROWS if name in metadata)
    score = metadata.get(labels.QUALITY_SCORE, {}).get("value")
    return {
        "assets": (_path(made["asset_key"]),),
        "rows": next((float(rows) for rows in counts if isinstance(rows, int | float) and 0 <= rows < math.inf), None),
        "entities": Counter(_entities(metadata.get(labels.PERSONAL_DATA_PLAN, {}))),
        "score": float(score) if isinstance(score, int | float) else None,
    }


def _entities(plan: Mapping[str, Any]) -> Iterator[str]:
    """The kind of data in each column that has one."""
    for record in plan.get("records", ()):
        entity = record["data"].get(labels.PLAN_ENTITY)
        if entity:
            yield _text(entity)


def _observed(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"assets": (_path(data["asset_observation"]["asset_key"]),)}


def _check(data: Mapping[str, Any]) -> dict[str, Any]:
    passed, metadata = bool(data["success"]), data["metadata"]
    return {
        "assets": (_path(data["asset_key"]),),
        "check": _text(data["check_name"]),
        "passed": passed,
        "level": "error" if data["severity"]["__enum__"] == "AssetCheckSeverity.ERROR" else "warn",
        "dimension": _text(metadata.get(labels.DIMENSION, {}).get("text") or ""),
        "problem": "" if passed else _text(data.get("description") or "")[:_PROBLEM_CHARACTERS],
        "facts": {name: fact for name in _FACTS if (fact := _fact(metadata.get(name, {}))) is not None},
    }


def _fact(value: Mapping[str, Any]) -> Fact | None:
    """A number or a text; null for metadata of any other type."""
    found = value.get("value", value.get("text"))
    return found if isinstance(found, str | int | float) else None


def _freshness(data: Mapping[str, Any]) -> dict[str, Any]:
    state = _FRESHNESS.get(data["new_state"]["__enum__"].removeprefix("FreshnessState."))
    return {"assets": (_path(data["key"]),), "freshness": state}


_DETAILS: Mapping[EventKind, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "planned": _planned,
    "step_succeeded": _step_succeeded,
    "step_failed": _step_failed,
    "materialized": _materialized,
    "observed": _observed,
    "check": _check,
    "freshness": _freshness,
}


def _job(name: str | None) -> str | None:
    return None if name is None or name.startswith("__") else _text(name)


def _path(key: Mapping[str, Any]) -> str:
    return "/".join(key["path"])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("expected a text")
    return value


def _number(value: float) -> float:
    """Raises ValueError for what would spoil a total for ever."""
    if not 0 <= value < math.inf:
        raise ValueError("expected a finite number that is not negative")
    return float(value)
