"""Folds what happened into what is wrong and who is to be told: a pure function of its arguments.

Belongs here: when an alert is told, held back, silenced, repeated and forgotten, and what a changed clock does. Does
not belong here: what events say (`interpret.py`), which policy has it (`board.py`), how many messages that makes
(`grouping.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from atlas_pipeline.alerting.board import Board, needs_resolved_notification
from atlas_pipeline.alerting.conditions import Known, Snapshot
from atlas_pipeline.alerting.grouping import Outbox, Telling
from atlas_pipeline.alerting.interpret import Reading
from atlas_pipeline.alerting.policy import REPEAT, WAIT, Policies
from atlas_pipeline.alerting.state import Alert, Message, MessageKind, Silence, State
from atlas_pipeline.event_log.event import Event

FORGET_ALERT = timedelta(days=1)
"""How long an alert that is over is remembered."""


def fold(
    state: State,
    items: Sequence[Event | Snapshot],
    policies: Policies,
    silences: Sequence[Silence],
    now: datetime,
    known: Known,
) -> tuple[State, list[Message]]:
    """The state after `items`, in their order, at the moment `now`, and what is to be sent, in order.

    Times of events decide nothing. An event must not be folded twice: who reads the log sees to that.
    """
    state = _rebase_to_clock(state, now)
    board = Board(state.alerts, policies, known, now)
    reading = Reading(state, known.assets, now)
    for item in items:
        for signal in reading.read(item):
            board.apply(signal)
    for signal in reading.overdue():
        board.apply(signal)
    board.review(reading.scores)
    holds = _Holds.of(board.alerts.values(), silences, now)
    outbox = Outbox(state.hours, policies, now)
    tellings = [*_resolved_notifications(board, holds), *_firing_notifications(board, holds, policies, now)]
    board.alerts.update(outbox.tell(tellings, board.alerts.values()))
    alerts = {key: alert for key, alert in board.alerts.items() if not _forgotten(alert, now)}
    return State(alerts, reading.runs(), outbox.hours, reading.scores, now), outbox.messages


def _rebase_to_clock(state: State, now: datetime) -> State:
    """The state as if the clock had always been as it is since it was set back, so that all intervals stay."""
    if state.clock is None or now >= state.clock:
        return state
    ahead = state.clock - now

    def moved(at: datetime | None) -> datetime | None:
        return at and at - ahead

    alerts = {
        key: replace(
            alert,
            since=min(alert.since, now),
            found_at=alert.found_at - ahead,
            seen_at=alert.seen_at - ahead,
            notified_at=moved(alert.notified_at),
            resolved_at=moved(alert.resolved_at),
        )
        for key, alert in state.alerts.items()
    }
    runs = {root: replace(run, at=run.at - ahead) for root, run in state.runs.items()}
    hours = {place: replace(hour, began=hour.began - ahead) for place, hour in state.hours.items()}
    return replace(state, alerts=alerts, runs=runs, hours=hours)


@dataclass
class _Holds:
    """What keeps messages back: alerts that say enough, by asset, or of the whole system; silences."""

    critical: Mapping[str, str]
    down: str | None
    silences: Sequence[Silence]

    @staticmethod
    def of(alerts: Iterable[Alert], silences: Sequence[Silence], now: datetime) -> "_Holds":
        firing = [alert for alert in alerts if alert.status == "firing"]
        return _Holds(
            {alert.asset: alert.subject for alert in firing if alert.asset and alert.severity == "critical"},
            next((alert.subject for alert in firing if alert.condition == "system_down"), None),
            [silence for silence in silences if silence.until > now],
        )

    def on(self, alert: Alert) -> Alert:
        """The alert with what keeps it back now."""
        held = self.down if alert.condition != "system_down" else None
        if held is None and alert.severity == "warning":
            held = self.critical.get(alert.asset or "")
        silenced = next((silence.id for silence in self.silences if _is_silenced(alert, silence)), None)
        if (held, silenced) == (alert.inhibited_by, alert.silenced_by):
            return alert
        return replace(alert, inhibited_by=held, silenced_by=silenced)


def _is_silenced(alert: Alert, silence: Silence) -> bool:
    if silence.assets is not None:
        return alert.asset in silence.assets
    return fnmatchcase(alert.subject, silence.selection)


def _is_held(alert: Alert) -> bool:
    return alert.inhibited_by is not None or alert.silenced_by is not None


def _resolved_notifications(board: Board, holds: _Holds) -> list[Telling]:
    """Ends that somebody is to hear of; who may not yet hears of them later, or never if it has begun anew by then."""
    tellings = []
    for key, old in board.replaced.items():
        old = holds.on(old)
        if _is_held(old):
            board.alerts[key] = _continued(old, board.alerts[key])
            if board.alerts[key].status == "resolved":
                board.ended.add(key)
        else:
            tellings.append(_end_of(old))
    for key, alert in board.alerts.items():
        if alert.status != "resolved":
            continue
        if not needs_resolved_notification(alert, key in board.ended):
            if _is_held(alert):
                board.alerts[key] = replace(alert, inhibited_by=None, silenced_by=None)
            continue
        board.alerts[key] = alert = holds.on(alert)
        if not _is_held(alert):
            tellings.append(_end_of(alert))
    return tellings


def _end_of(alert: Alert) -> Telling:
    return Telling(alert, "resolved", (*alert.notified, *alert.summarized))


def _continued(old: Alert, new: Alert) -> Alert:
    """An alert that began anew before anyone heard of its end is still the same to those who heard of it."""
    return replace(
        new,
        thread_key=old.thread_key,
        group=old.group,
        notified_at=old.notified_at,
        notified=tuple(dict.fromkeys((*old.notified, *new.notified))),
        summarized=tuple(dict.fromkeys((*old.summarized, *new.summarized))),
        notified_severity=old.notified_severity,
    )


def _firing_notifications(board: Board, holds: _Holds, policies: Policies, now: datetime) -> list[Telling]:
    """What is to be told of alerts that last: that they do, that they are worse, that they still do."""
    channels = {policy.name: policies.channels_of(policy) for policy in policies.policies}
    tellings = []
    for key, alert in board.alerts.items():
        if alert.status == "resolved":
            continue
        board.alerts[key] = alert = holds.on(alert)
        kind = None if _is_held(alert) or alert.status == "pending" else _due(alert, now)
        if kind is not None and channels[alert.policy]:
            tellings.append(Telling(alert, kind, channels[alert.policy]))
    return tellings


def _due(alert: Alert, now: datetime) -> MessageKind | None:
    if alert.notified_at is None:
        return "firing" if now - alert.found_at >= WAIT[alert.severity] else None
    if alert.severity == "critical" and alert.notified_severity == "warning":
        return "firing"
    return "repeated" if now - alert.notified_at >= REPEAT[alert.severity] else None


def _forgotten(alert: Alert, now: datetime) -> bool:
    return alert.resolved_at is not None and now - alert.resolved_at > FORGET_ALERT and not _is_held(alert)
