"""Count events: what each one adds to which series. Pure: nothing is read or written here.

Belongs here: the meaning of an event for metrics. Does not belong here: how Dagster writes events
(`event_log/decoding.py`), and keeping totals (`totals.py`).

Events come in the order of their ids, and any split of them into pages gives the same totals: all that must be known of
earlier events is in `Memory`.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, get_args

from atlas_pipeline import labels
from atlas_pipeline.event_log.event import Event, EventKind, Tick
from atlas_pipeline.pii.kinds import kind_of
from atlas_pipeline.telemetry.families import families
from atlas_pipeline.telemetry.sample import Piece
from atlas_pipeline.telemetry.series import OTHER, Key, Series, clean

OPEN_RUNS = 2000
OPEN_ASSETS = 20_000
"""How many runs that have not ended, and assets of their steps, are remembered; the oldest runs are forgotten first."""
NO_DIMENSION = "none"
ASSETS = "assets"
"""The job of a run that no job chose."""
KINDS: Collection[EventKind] = frozenset(get_args(EventKind)) - {"freshness", "step_started", "unknown"}
"""The events that are counted."""
_RUN_ENDS: Mapping[EventKind, str] = {"run_succeeded": "success", "run_failed": "failure", "run_canceled": "canceled"}
_STEP_ENDS: Mapping[EventKind, str] = {
    "step_succeeded": "success",
    "step_failed": "failure",
    "step_skipped": "skipped",
}


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has not ended: its start, if known, and the assets of its steps, planned and materialized."""

    started: float | None = None
    planned: tuple[tuple[str, str], ...] = ()
    materialized: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Memory:
    """State from earlier events: runs that have not ended, oldest first, and all series by family."""

    runs: Mapping[str, Run] = field(default_factory=dict)
    series: Mapping[str, frozenset[tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Counted:
    """The result of a page: `added` is added to totals, of `newest` timestamps the greatest is kept, and `latest`
    replaces."""

    memory: Memory
    added: Mapping[Key, float] = field(default_factory=dict)
    newest: Mapping[Key, float] = field(default_factory=dict)
    latest: Mapping[Key, float] = field(default_factory=dict)

    def then(self, after: "Counted") -> "Counted":
        """Combine two pages, this one first."""
        added = dict(self.added)
        for key, value in after.added.items():
            added[key] = added.get(key, 0.0) + value
        newest = dict(self.newest)
        for key, at in after.newest.items():
            newest[key] = max(at, newest.get(key, at))
        return Counted(after.memory, added, newest, {**self.latest, **after.latest})


def count(events: Iterable[Event], memory: Memory) -> Counted:
    """Count events.

    Args:
        events: in the order of their ids.
        memory: what the count before returned.

    Returns:
        What they add to totals, and the memory for the next count.
    """
    counter = _Counter(memory)
    for event in events:
        counter.add("atlas_event_log_events_total", ())
        counter.event(event)
    return counter.counted()


def count_ticks(ticks: Iterable[Tick], memory: Memory) -> Counted:
    """Count ticks.

    Args:
        ticks: in any order.
        memory: what the count before returned.

    Returns:
        What they add to totals, and the memory for the next count.
    """
    counter = _Counter(memory)
    for tick in ticks:
        counter.add(f"atlas_{tick.kind}_ticks_total", (tick.name, tick.status))
        counter.newest(f"atlas_{tick.kind}_last_tick_timestamp_seconds", (tick.name,), tick.at)
    return counter.counted()


class _Named(NamedTuple):
    """Names of an event that are stored or become labels, sanitised for metrics and `jsonb`."""

    run: str
    job: str
    step: str
    """The op: a mapped step without its index."""
    asset: str

    @staticmethod
    def of(event: Event) -> "_Named":
        return _Named(
            clean(event.run),
            ASSETS if event.job is None else clean(event.job),
            clean((event.step or "").partition("[")[0]),
            clean(event.assets[0]) if event.assets else OTHER,
        )


class _Counter:
    def __init__(self, memory: Memory):
        self._runs = dict(memory.runs)
        self._assets = sum(len(run.planned) + len(run.materialized) for run in self._runs.values())
        self._series = Series(memory.series)
        self._added: dict[Key, float] = {}
        self._newest: dict[Key, float] = {}
        self._latest: dict[Key, float] = {}

    def counted(self) -> Counted:
        return Counted(Memory(self._runs, self._series.known), self._added, self._newest, self._latest)

    def add(self, family: str, values: tuple[str, ...], amount: float = 1) -> None:
        self._add(family, "", self._series.of(family, values), amount)

    def observe(self, family: str, values: tuple[str, ...], value: float) -> None:
        """Observe a value of a histogram. Buckets are cumulative, and all exist from the first value on."""
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
        named = _Named.of(event)
        match event.kind:
            case "planned":
                run = self._runs.get(named.run, Run())
                self._remember(named.run, replace(run, planned=(*run.planned, (named.step, named.asset))))
            case "run_started":
                self.add("atlas_pipeline_runs_started_total", (named.job,))
                started = event.at.timestamp()
                self._remember(named.run, replace(self._runs.get(named.run, Run()), started=started))
            case "run_succeeded" | "run_failed" | "run_canceled":
                self._run_ended(event, named)
            case "step_succeeded" | "step_failed" | "step_skipped":
                self._step_ended(event, named)
            case "step_retried":
                self.add("atlas_pipeline_step_retries_total", (named.step,))
            case "materialized":
                self._materialized(event, named)
            case "observed":
                self.add("atlas_asset_observations_total", (named.asset,))
            case "check":
                self._checked(event, named.asset)
            case _:
                pass

    def _run_ended(self, event: Event, named: "_Named") -> None:
        self.add("atlas_pipeline_runs_total", (named.job, _RUN_ENDS[event.kind]))
        run = self._forget(named.run)
        if run.started is not None:
            lasted = max(event.at.timestamp() - run.started, 0.0)
            self.observe("atlas_pipeline_duration_seconds", (named.job,), lasted)

    def _step_ended(self, event: Event, named: "_Named") -> None:
        status = _STEP_ENDS[event.kind]
        self.add("atlas_pipeline_steps_total", (named.step, status))
        layer, _, name = named.step.partition("__")
        if event.kind == "step_skipped":
            return
        if layer in ("silver", "gold"):
            self.add("atlas_transformations_total", (layer, status))
        elif layer == "bronze":
            self.add("atlas_connector_syncs_total", (name, status))
        run = self._runs.get(named.run, Run())
        if event.kind == "step_failed":
            self.add("atlas_pipeline_errors_total", (named.step, event.error))
            if layer == "bronze":
                self.add("atlas_connector_errors_total", (name, event.error))
            for asset in (asset for step, asset in run.planned if step == named.step):
                self._failed(asset, was_materialized=(named.step, asset) in run.materialized)
        elif event.seconds is not None:
            self.observe("atlas_pipeline_step_duration_seconds", (named.step,), event.seconds)
            if layer in ("silver", "gold"):
                self.observe("atlas_transformation_duration_seconds", (layer,), event.seconds)
            elif layer == "bronze":
                self.observe("atlas_connector_sync_duration_seconds", (name,), event.seconds)
            for asset in (asset for step, asset in run.materialized if step == named.step):
                self.latest("atlas_asset_last_duration_seconds", (asset,), event.seconds)

    def _failed(self, asset: str, was_materialized: bool) -> None:
        self.add("atlas_asset_failures_total", (asset,))
        group, _, database = asset.partition("/")
        if group == labels.BACKUPS and not was_materialized:
            self.add("atlas_backup_runs_total", (database, "failure"))

    def _materialized(self, event: Event, named: "_Named") -> None:
        self.add("atlas_asset_materializations_total", (named.asset,))
        self.newest("atlas_asset_last_materialization_timestamp_seconds", (named.asset,), event.at.timestamp())
        if event.rows is not None:
            self.add("atlas_pipeline_rows_processed_total", (named.asset,), event.rows)
        for kind, columns in event.entities.items():
            if kind_of(kind).personal:
                self.add("atlas_pii_detections_total", (named.asset, kind), columns)
        group, _, database = named.asset.partition("/")
        if group == labels.BACKUPS:
            self.add("atlas_backup_runs_total", (database, "success"))
        run = self._runs.get(named.run)
        if run is not None and (named.step, named.asset) not in run.materialized:
            self._remember(named.run, replace(run, materialized=(*run.materialized, (named.step, named.asset))))

    def _checked(self, event: Event, asset: str) -> None:
        status = "passed" if event.passed else "failed"
        self.add("atlas_quality_checks_total", (asset, event.dimension or NO_DIMENSION, event.level, status))
        if event.check == labels.LEAK_CHECK:
            self.add("atlas_pii_leaks_total", (asset,), float(not event.passed))

    def _remember(self, name: str, run: Run) -> None:
        before = self._runs.get(name, Run())
        self._assets += len(run.planned) + len(run.materialized) - len(before.planned) - len(before.materialized)
        self._runs[name] = run
        while len(self._runs) > OPEN_RUNS or self._assets > OPEN_ASSETS:
            self._forget(next(iter(self._runs)))

    def _forget(self, name: str) -> Run:
        run = self._runs.pop(name, Run())
        self._assets -= len(run.planned) + len(run.materialized)
        return run
