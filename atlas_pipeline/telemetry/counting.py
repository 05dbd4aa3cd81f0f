"""From events to totals: what each event adds to which series. Pure: nothing is read or written here.

Belongs here: the meaning of an event for metrics. Does not belong here: how Dagster writes events
(`event_log/decoding.py`), and keeping totals (`totals.py`).

Events come in the order of their ids, and any split of them into pages gives the same totals: all that must be known of
earlier events is in `Memory`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from atlas_pipeline import labels
from atlas_pipeline.telemetry.families import families
from atlas_pipeline.telemetry.sample import Piece
from atlas_pipeline.telemetry.series import OTHER, Key, Series

EventKind = Literal[
    "planned",
    "run_started",
    "run_succeeded",
    "run_failed",
    "run_canceled",
    "step_succeeded",
    "step_failed",
    "step_skipped",
    "step_retried",
    "materialized",
    "observed",
    "checked",
    "unknown",
]

OPEN_RUNS = 2000
OPEN_ASSETS = 20_000
"""How many runs that have not ended, and assets of their steps, are remembered; the oldest runs are forgotten first."""
NO_DIMENSION = "none"
_ENDS: Mapping[EventKind, str] = {"run_succeeded": "success", "run_failed": "failure", "run_canceled": "canceled"}
_STEP_ENDS: Mapping[EventKind, str] = {
    "step_succeeded": "success",
    "step_failed": "failure",
    "step_skipped": "skipped",
}


@dataclass(frozen=True, slots=True)
class Check:
    """An evaluation of a check."""

    name: str
    passed: bool
    severity: Literal["error", "warn"]
    dimension: str = NO_DIMENSION


@dataclass(frozen=True, slots=True)
class Event:
    """What counts of an event. `at` is in seconds since 1970; `seconds` is how long a step took.

    `rows` are those that a materialization brought, `personal` its columns with personal data by kind. An `unknown`
    event could not be understood, and counts as read only.
    """

    kind: EventKind
    at: float = 0.0
    run: str = ""
    job: str = ""
    step: str = ""
    asset: str = ""
    seconds: float | None = None
    error: str = OTHER
    rows: float | None = None
    personal: Mapping[str, int] = field(default_factory=dict)
    check: Check | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick that ended; `status` is success, skipped or failure."""

    kind: Literal["schedule", "sensor"]
    name: str
    status: str
    at: float


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has not ended: when it began, if that was seen, and the assets of its steps, planned and made."""

    started: float | None = None
    planned: tuple[tuple[str, str], ...] = ()
    made: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Memory:
    """What must be known of earlier events: runs that have not ended, oldest first, and all series by family."""

    runs: Mapping[str, Run] = field(default_factory=dict)
    series: Mapping[str, frozenset[tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Counted:
    """What a page came to: `added` is to be added to totals, `newest` are moments of which the greatest stays, and
    `latest` takes the place of what was there."""

    memory: Memory
    added: Mapping[Key, float] = field(default_factory=dict)
    newest: Mapping[Key, float] = field(default_factory=dict)
    latest: Mapping[Key, float] = field(default_factory=dict)

    def then(self, after: "Counted") -> "Counted":
        """Both pages, this one before the other."""
        added = dict(self.added)
        for key, value in after.added.items():
            added[key] = added.get(key, 0.0) + value
        newest = dict(self.newest)
        for key, at in after.newest.items():
            newest[key] = max(at, newest.get(key, at))
        return Counted(after.memory, added, newest, {**self.latest, **after.latest})


def count(events: Iterable[Event], memory: Memory) -> Counted:
    """What these events add."""
    counter = _Counter(memory)
    for event in events:
        counter.add("atlas_event_log_events_total", ())
        counter.event(event)
    return counter.counted()


def count_ticks(ticks: Iterable[Tick], memory: Memory) -> Counted:
    """What these ticks add."""
    counter = _Counter(memory)
    for tick in ticks:
        counter.add(f"atlas_{tick.kind}_ticks_total", (tick.name, tick.status))
        counter.newest(f"atlas_{tick.kind}_last_tick_timestamp_seconds", (tick.name,), tick.at)
    return counter.counted()


class _Counter:
    def __init__(self, memory: Memory):
        self._runs = dict(memory.runs)
        self._assets = sum(len(run.planned) + len(run.made) for run in self._runs.values())
        self._series = Series(memory.series)
        self._added: dict[Key, float] = {}
        self._newest: dict[Key, float] = {}
        self._latest: dict[Key, float] = {}

    def counted(self) -> Counted:
        return Counted(Memory(self._runs, self._series.known), self._added, self._newest, self._latest)

    def add(self, family: str, values: tuple[str, ...], amount: float = 1) -> None:
        self._add(family, "", self._series.of(family, values), amount)

    def observe(self, family: str, values: tuple[str, ...], value: float) -> None:
        """Put a value into a histogram. Its buckets are cumulative, and all are there from the first value on."""
        values = self._series.of(family, values)
        for bound in families()[family].buckets:
            self._add(family, "bucket", (*values, str(float(bound))), float(value <= bound))
        self._add(family, "bucket", (*values, "+Inf"), 1)
        self._add(family, "sum", values, value)
        self._add(family, "count", values, 1)

    def latest(self, family: str, values: tuple[str, ...], value: float) -> None:
        self._latest[family, "", self._series.of(family, values)] = value

    def newest(self, family: str, values: tuple[str, ...], at: float) -> None:
        key: Key = (family, "", self._series.of(family, values))
        self._newest[key] = max(at, self._newest.get(key, at))

    def _add(self, family: str, piece: Piece, values: tuple[str, ...], amount: float) -> None:
        key: Key = (family, piece, values)
        self._added[key] = self._added.get(key, 0.0) + amount

    def event(self, event: Event) -> None:
        if event.kind == "planned":
            run = self._runs.get(event.run, Run())
            self._remember(event.run, replace(run, planned=(*run.planned, (event.step, event.asset))))
        elif event.kind == "run_started":
            self.add("atlas_pipeline_runs_started_total", (event.job,))
            self._remember(event.run, replace(self._runs.get(event.run, Run()), started=event.at))
        elif event.kind in _ENDS:
            self._run_ended(event)
        elif event.kind in _STEP_ENDS:
            self._step_ended(event)
        elif event.kind == "step_retried":
            self.add("atlas_pipeline_step_retries_total", (event.step,))
        elif event.kind == "materialized":
            self._materialized(event)
        elif event.kind == "observed":
            self.add("atlas_asset_observations_total", (event.asset,))
        elif event.kind == "checked" and event.check is not None:
            self._checked(event.asset, event.check)

    def _run_ended(self, event: Event) -> None:
        self.add("atlas_pipeline_runs_total", (event.job, _ENDS[event.kind]))
        run = self._forget(event.run)
        if run.started is not None:
            self.observe("atlas_pipeline_duration_seconds", (event.job,), max(event.at - run.started, 0.0))

    def _step_ended(self, event: Event) -> None:
        status = _STEP_ENDS[event.kind]
        self.add("atlas_pipeline_steps_total", (event.step, status))
        layer, _, name = event.step.partition("__")
        if event.kind == "step_skipped":
            return
        if layer in ("silver", "gold"):
            self.add("atlas_transformations_total", (layer, status))
        elif layer == "bronze":
            self.add("atlas_connector_syncs_total", (name, status))
        run = self._runs.get(event.run, Run())
        if event.kind == "step_failed":
            self.add("atlas_pipeline_errors_total", (event.step, event.error))
            if layer == "bronze":
                self.add("atlas_connector_errors_total", (name, event.error))
            for asset in (asset for step, asset in run.planned if step == event.step):
                self._failed(asset, made=(event.step, asset) in run.made)
        elif event.seconds is not None:
            self.observe("atlas_pipeline_step_duration_seconds", (event.step,), event.seconds)
            if layer in ("silver", "gold"):
                self.observe("atlas_transformation_duration_seconds", (layer,), event.seconds)
            elif layer == "bronze":
                self.observe("atlas_connector_sync_duration_seconds", (name,), event.seconds)
            for asset in (asset for step, asset in run.made if step == event.step):
                self.latest("atlas_asset_last_duration_seconds", (asset,), event.seconds)

    def _failed(self, asset: str, made: bool) -> None:
        self.add("atlas_asset_failures_total", (asset,))
        group, _, database = asset.partition("/")
        if group == labels.BACKUPS and not made:
            self.add("atlas_backup_runs_total", (database, "failure"))

    def _materialized(self, event: Event) -> None:
        self.add("atlas_asset_materializations_total", (event.asset,))
        self.newest("atlas_asset_last_materialization_timestamp_seconds", (event.asset,), event.at)
        if event.rows is not None:
            self.add("atlas_pipeline_rows_processed_total", (event.asset,), event.rows)
        for kind, columns in event.personal.items():
            self.add("atlas_pii_detections_total", (event.asset, kind), columns)
        group, _, database = event.asset.partition("/")
        if group == labels.BACKUPS:
            self.add("atlas_backup_runs_total", (database, "success"))
        run = self._runs.get(event.run)
        if run is not None and (event.step, event.asset) not in run.made:
            self._remember(event.run, replace(run, made=(*run.made, (event.step, event.asset))))

    def _checked(self, asset: str, check: Check) -> None:
        status = "passed" if check.passed else "failed"
        self.add("atlas_quality_checks_total", (asset, check.dimension, check.severity, status))
        if check.name == labels.LEAK_CHECK:
            self.add("atlas_pii_leaks_total", (asset,), float(not check.passed))

    def _remember(self, name: str, run: Run) -> None:
        before = self._runs.get(name, Run())
        self._assets += len(run.planned) + len(run.made) - len(before.planned) - len(before.made)
        self._runs[name] = run
        while len(self._runs) > OPEN_RUNS or self._assets > OPEN_ASSETS:
            self._forget(next(iter(self._runs)))

    def _forget(self, name: str) -> Run:
        run = self._runs.pop(name, Run())
        self._assets -= len(run.planned) + len(run.made)
        return run
