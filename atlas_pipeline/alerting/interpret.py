"""Turn events and snapshots into signals, firing or resolved: runs, checks, freshness, scores.

Belongs here: what an event means for which subject, and what is deferred to the end of its run. Does not belong here:
whether that is an alert, and for whom (`board.py`, `fold.py`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from atlas_pipeline import labels
from atlas_pipeline.alerting.conditions import Condition, Snapshot
from atlas_pipeline.alerting.state import RunSoFar, State
from atlas_pipeline.event_log.event import Event, Fact, Level

RETRY_WITHIN = timedelta(hours=1)
"""How long to wait for a retry before the failure fires."""
FORGET_RUN = timedelta(days=1)
BACKUPS = f"{labels.BACKUPS}/"
_OF_BACKUPS: Mapping[str, Condition] = {
    labels.BACKUP_FRESH: "backup_missing",
    labels.BACKUP_COMPLETE: "backup_unverified",
    labels.BACKUP_RESTORABLE: "backup_unverified",
}
_ASPECT: Mapping[Condition, str] = {
    "stale": "freshness",
    "missing": "freshness",
    "backup_missing": "freshness",
    "low_score": "score",
    "stale_model": "sources",
}
"""Suffix of the subject, so that it differs from that of the asset's failed run."""
_NAMED = ("job ", "sensor ", "schedule ")


class Firing(NamedTuple):
    """A condition holds for one subject. `origin` is the id of the event, 0 for a snapshot."""

    condition: Condition
    subject: str
    at: datetime
    level: Level = "error"
    asset: str | None = None
    job: str | None = None
    run: str = ""
    problem: str = ""
    link: str = ""
    facts: Mapping[str, Fact] = {}
    amount: float | None = None
    origin: int = 0


class Resolved(NamedTuple):
    """These conditions no longer hold for one subject."""

    conditions: tuple[Condition, ...]
    subject: str


class ResolvedExcept(NamedTuple):
    """One condition no longer holds for any but these subjects."""

    condition: Condition
    subjects: Collection[str]


Signal = Firing | Resolved | ResolvedExcept


class Reading:
    """Reads events in order; keeps what is deferred to the end of a run, and the last score of each asset."""

    def __init__(self, state: State, assets: frozenset[str], now: datetime) -> None:
        self.scores = {asset: score for asset, score in state.scores.items() if asset in assets}
        self._runs = dict(state.runs)
        self._open: dict[str, dict[object, Event]] = {}
        self._assets = assets
        self._now = now

    def read(self, item: Event | Snapshot) -> Iterable[Signal]:
        """The signals of one event or snapshot, in order."""
        if isinstance(item, Snapshot):
            return self._snapshot(item)
        match item.kind:
            case "check":
                return self._check(item)
            case "materialized":
                return self._materialized(item)
            case "freshness":
                return self._freshness(item)
            case "step_failed":
                self._collect(item)
                return ()
            case "run_failed":
                return self._failed(item)
            case "run_succeeded" | "run_canceled":
                return self._ended(item)
            case _:
                return ()

    def overdue(self) -> Iterator[Signal]:
        """Signals of runs that never end: no retry within an hour, or no event for a day."""
        for root, run in self.runs().items():
            if self._now - run.at < (RETRY_WITHIN if run.awaited else FORGET_RUN):
                continue
            self._close(root)
            ends = [number for number, failure in enumerate(run.failures) if failure.kind == "run_failed"]
            until = ends[-1] + 1 if ends else len(run.failures)
            yield from _conclude(run.failures[:until], run.failures[ends[-1]] if ends else None)
            if run.failures[until:]:
                self._runs[root] = RunSoFar(self._now, run.failures[until:])

    def runs(self) -> dict[str, RunSoFar]:
        """Runs that have not ended, by id of the root run."""
        return self._runs | dict(self._frozen())

    def _frozen(self) -> Iterator[tuple[str, RunSoFar]]:
        for root, failures in self._open.items():
            run = self._runs[root]
            yield root, RunSoFar(run.at, tuple(failures.values()), run.awaited)

    def _failures(self, root: str) -> dict[object, Event]:
        failures = self._open.get(root)
        if failures is None:
            failures = self._open[root] = {_name(event): event for event in self._runs[root].failures}
        return failures

    def _collect(self, event: Event) -> None:
        root = _root(event)
        run = self._runs.get(root)
        if run is None or not run.awaited:
            self._runs[root] = RunSoFar(self._now, run.failures if run else ())
        failures = self._failures(root)
        failures.pop(_name(event), None)
        failures[_name(event)] = event

    def _close(self, root: str) -> tuple[Event, ...]:
        run = self._runs.pop(root, None)
        failures = self._open.pop(root, None)
        return tuple(failures.values()) if failures is not None else run.failures if run else ()

    def _check(self, event: Event) -> Iterator[Signal]:
        firing = _of_check(event)
        if event.passed or event.level == "warn":
            if _root(event) in self._runs:
                self._failures(_root(event)).pop(_name(event), None)
            yield Resolved((firing.condition,), firing.subject) if event.passed else firing
            return
        if event.run:
            self._collect(event)
        if not (event.may_retry and event.run):
            yield firing

    def _materialized(self, event: Event) -> Iterator[Signal]:
        for asset in event.assets:
            yield Resolved(("run_failed", "backup_failed"), asset)
            yield Resolved(("missing",), _subject("missing", asset))
            if event.score is not None:
                self.scores[asset] = event.score
                yield low_score(asset, event.score, event.at, event)

    def _freshness(self, event: Event) -> Iterator[Signal]:
        if event.freshness is None:
            return
        for asset in event.assets:
            late: Condition = "backup_missing" if asset.startswith(BACKUPS) else "stale"
            subject = _subject(late, asset)
            if event.freshness == "pass":
                yield Resolved((late, "missing"), subject)
                continue
            unknown = event.freshness == "unknown"
            yield Resolved((late if unknown else "missing",), subject)
            yield Firing(
                "missing" if unknown else late,
                subject,
                event.at,
                "warn" if event.freshness == "warn" else "error",
                asset,
                problem=event.problem,
                link=_page(asset),
                facts=event.facts,
                origin=event.id,
            )

    def _failed(self, event: Event) -> Iterator[Signal]:
        root = _root(event)
        if not event.will_retry:
            yield from _conclude(self._close(root), event)
            return
        self._collect(event)
        failures = self._failures(root)
        for name in [name for name, past in failures.items() if past.kind != "check" and past.run != event.run]:
            del failures[name]
        self._runs[root] = RunSoFar(self._now, awaited=True)

    def _ended(self, event: Event) -> Iterator[Signal]:
        yield from _held_checks(self._close(_root(event)))
        if event.kind == "run_succeeded" and event.job is not None:
            yield Resolved(("run_failed",), f"job {event.job}")

    def _snapshot(self, snapshot: Snapshot) -> Iterator[Signal]:
        condition = snapshot.condition
        subjects = {_subject(condition, name) if name in self._assets else name: name for name in snapshot.findings}
        yield ResolvedExcept(condition, subjects.keys())
        for subject, name in subjects.items():
            finding = snapshot.findings[name]
            asset = name.split(": ")[0]
            yield Firing(
                condition,
                subject,
                finding.since or snapshot.at,
                asset=asset if asset in self._assets else None,
                job=name.split(" ", 1)[1] if name.startswith(_NAMED) else None,
                problem=finding.problem,
                link=finding.link,
                facts=finding.facts,
                amount=finding.amount,
            )


def low_score(asset: str, score: float, at: datetime, event: Event | None = None) -> Firing:
    """The signal of a quality score; whether it is low is up to the policies.

    Args:
        asset: path of the table.
        score: overall score, 0 to 1.
        at: when it was measured.
        event: the materialization that brought it; null for a score that is remembered.
    """
    return Firing(
        "low_score",
        _subject("low_score", asset),
        at,
        asset=asset,
        job=event.job if event else None,
        run=event.run if event else "",
        problem=event.problem if event else "",
        link=_page(asset),
        facts=event.facts if event else {"score": score},
        amount=score,
        origin=event.id if event else 0,
    )


def _subject(condition: Condition, asset: str) -> str:
    aspect = _ASPECT.get(condition)
    return f"{asset}: {aspect}" if aspect else asset


def _name(event: Event) -> object:
    if event.kind == "check":
        return event.assets, event.check
    return event.kind, event.run, event.step


def _root(event: Event) -> str:
    return event.root_run or event.run


def _page(asset: str) -> str:
    return f"/assets/{asset}"


def _of_check(event: Event) -> Firing:
    asset = event.assets[0] if event.assets else None
    name = event.check or ""
    condition: Condition = "pii_leak" if name == labels.LEAK_CHECK else "check_failed"
    if asset is not None and asset.startswith(BACKUPS):
        condition = _OF_BACKUPS.get(name, condition)
    return Firing(
        condition,
        f"{asset}: {name}" if asset is not None else name,
        event.at,
        event.level,
        asset,
        event.job,
        event.run,
        event.problem,
        f"{_page(asset)}?view=checks" if asset is not None else f"/runs/{event.run}",
        event.facts,
        origin=event.id,
    )


def _held_checks(failures: Collection[Event]) -> Iterator[Firing]:
    return (_of_check(event) for event in failures if event.kind == "check" and event.may_retry)


def _conclude(failures: Collection[Event], end: Event | None) -> Iterator[Firing]:
    """The signals of a failed run: failed steps of its last try, the last result of each check."""
    yield from _held_checks(failures)
    covered = {asset for event in failures if event.kind == "check" for asset in event.assets}
    steps = [event for event in failures if event.kind == "step_failed" and (end is None or event.run == end.run)]
    for step in steps:
        yield from (_of_run(step, asset) for asset in step.assets if asset not in covered)
        covered.update(step.assets)
    if end is None:
        return
    bare = next((step for step in steps if not step.assets), None)
    if bare is None and steps:
        return
    if end.job is not None:
        yield Firing(
            "run_failed",
            f"job {end.job}",
            end.at,
            job=end.job,
            run=end.run,
            problem=bare.problem if bare else end.problem,
            link=f"/runs/{end.run}",
            facts=bare.facts if bare else end.facts,
            origin=end.id,
        )
    else:
        yield from (_of_run(end, asset) for asset in end.assets if asset not in covered)


def _of_run(event: Event, asset: str) -> Firing:
    return Firing(
        "backup_failed" if asset.startswith(BACKUPS) else "run_failed",
        asset,
        event.at,
        asset=asset,
        job=event.job,
        run=event.run,
        problem=event.problem,
        link=_page(asset),
        facts=event.facts,
        origin=event.id,
    )
