"""Dagster's events and ticks, as they lie in its tables, to what is counted.

Belongs here: which fields of Dagster's JSON are read: names, kinds and counts, never a value of a row. Does not belong
here: reading the tables (`rows.py`), and what an event adds (`telemetry/counting.py`).

Reading the JSON takes a tenth of what Dagster's own decoding does. A test holds it against events of real runs, so that
another format of Dagster's is noticed.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from atlas_pipeline.pii.kinds import kind_of
from atlas_pipeline.telemetry.counting import NO_DIMENSION, Check, Event, EventKind, Tick
from atlas_pipeline.telemetry.series import OTHER, clean

_NAMES: Mapping[str, EventKind] = {
    "ASSET_MATERIALIZATION_PLANNED": "planned",
    "PIPELINE_START": "run_started",
    "PIPELINE_SUCCESS": "run_succeeded",
    "PIPELINE_FAILURE": "run_failed",
    "PIPELINE_CANCELED": "run_canceled",
    "STEP_SUCCESS": "step_succeeded",
    "STEP_FAILURE": "step_failed",
    "STEP_SKIPPED": "step_skipped",
    "STEP_RESTARTED": "step_retried",
    "ASSET_MATERIALIZATION": "materialized",
    "ASSET_OBSERVATION": "observed",
    "ASSET_CHECK_EVALUATION": "checked",
}
TYPES = tuple(_NAMES)
"""The events that are counted, as Dagster's tables name them."""
TICK_TYPES = ("SCHEDULE", "SENSOR")
"""The ticks that are counted."""
ASSETS = "assets"
"""The job of a run that no job chose."""
_TICKS: Mapping[str, Literal["schedule", "sensor"]] = {
    "InstigatorType.SCHEDULE": "schedule",
    "InstigatorType.SENSOR": "sensor",
}
_ROWS = ("rows in", "rows published", "dagster/partition_row_count", "dagster/row_count")
"""Metadata that say how many rows a materialization brought; the first one that is there counts."""
_PLAN = "personal-data plan"
_CLASS = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


def event_of(text: str) -> Event:
    """An event of the log. One that is not as expected is of kind `unknown`."""
    try:
        entry = json.loads(text)
        event = entry["dagster_event"]
        kind = _NAMES[event["event_type_value"]]
        special = _SPECIAL.get(kind)
        return Event(
            kind=kind,
            at=_number(entry["timestamp"]),
            run=clean(entry["run_id"]),
            job=_job(entry["pipeline_name"]),
            step=_op(event["step_key"] or ""),
            **(special(event["event_specific_data"]) if special else {}),
        )
    except _UNREADABLE:
        return Event("unknown")


def tick_of(text: str) -> Tick | None:
    """A tick that ended; null when it is not as expected."""
    try:
        tick = json.loads(text)
        kind = _TICKS[tick["job_type"]["__enum__"]]
        status = tick["status"]["__enum__"].removeprefix("TickStatus.").lower()
        return Tick(kind, clean(tick["job_name"]), clean(status), _number(tick["timestamp"]))
    except _UNREADABLE:
        return None


def _planned(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"asset": _path(data["asset_key"])}


def _succeeded(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"seconds": _number(data["duration_ms"]) / 1000}


def _failed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The class of the innermost cause: its words may quote a row."""
    error = data["error"]
    while error and error["cause"]:
        error = error["cause"]
    name = (error or {}).get("cls_name") or OTHER
    return {"error": name if _CLASS.fullmatch(name) else OTHER}


def _materialized(data: Mapping[str, Any]) -> dict[str, Any]:
    made = data["materialization"]
    metadata = {entry["label"]: entry["entry_data"] for entry in made["metadata_entries"]}
    counts = (metadata[name].get("value") for name in _ROWS if name in metadata)
    rows = next((float(one) for one in counts if isinstance(one, int | float) and 0 <= one < math.inf), None)
    personal = Counter(_personal(metadata.get(_PLAN, {})))
    return {"asset": _path(made["asset_key"]), "rows": rows, "personal": personal}


def _personal(table: Mapping[str, Any]) -> Iterator[str]:
    """The kind of each column with personal data."""
    for record in table.get("records", ()):
        entity = record["data"].get("entity")
        if entity and kind_of(entity).personal:
            yield clean(entity)


def _observed(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"asset": _path(data["asset_observation"]["asset_key"])}


def _checked(data: Mapping[str, Any]) -> dict[str, Any]:
    severity = data["severity"]["__enum__"]
    check = Check(
        name=data["check_name"],
        passed=bool(data["success"]),
        severity="error" if severity == "AssetCheckSeverity.ERROR" else "warn",
        dimension=clean(data["metadata"].get("dimension", {}).get("text") or NO_DIMENSION),
    )
    return {"asset": _path(data["asset_key"]), "check": check}


_SPECIAL: Mapping[EventKind, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "planned": _planned,
    "step_succeeded": _succeeded,
    "step_failed": _failed,
    "materialized": _materialized,
    "observed": _observed,
    "checked": _checked,
}


def _job(name: str) -> str:
    return ASSETS if name.startswith("__") else clean(name)


def _op(step: str) -> str:
    """The op of a step: without the index of a mapped one."""
    return clean(step.partition("[")[0])


def _path(key: Mapping[str, Any]) -> str:
    return clean("/".join(key["path"]))


def _number(value: float) -> float:
    """Raises ValueError for what would spoil a total for ever."""
    if not 0 <= value < math.inf:
        raise ValueError("expected a finite number that is not negative")
    return float(value)
