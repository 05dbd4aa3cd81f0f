"""Fold events and snapshots into alerts and messages: a pure function of its arguments.

Belongs here: when an alert is notified, inhibited, silenced, repeated and forgotten, and what a changed clock does.
Does not belong here: what events say (`interpret.py`), which policy has it (`board.py`), how many messages that makes
(`grouping.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from atlas_pipeline.alerting.board import Board, needs_resolved_notification
from atlas_pipeline.alerting.conditions import Known, Snapshot
from atlas_pipeline.alerting.grouping import Notification, Outbox
from atlas_pipeline.alerting.interpret import Reading
from atlas_pipeline.alerting.policy import REPEAT, WAIT, Policies
from atlas_pipeline.alerting.state import Alert, Message, MessageKind, Silence, State
from atlas_pipeline.event_log.event import Event

FORGET_ALERT = timedelta(days=1)
"""How long a resolved alert is kept."""


def fold(
    state: State,
    items: Sequence[Event | Snapshot],
    policies: Policies,
    silences: Sequence[Silence],
    now: datetime,
    known: Known,
) -> tuple[State, list[Message]]:
    """Fold the events since the last evaluation. Timestamps of events are not used, only their order and `now`.

    Args:
        state: the state that the last fold returned.
        items: events and snapshots in order, each once; the reader of the log deduplicates.
        policies: the policies as they are now; alerts that no longer match one are resolved.
        silences: silences, with the assets that they select now.
        now: the time of the evaluation, with its time zone.
        known: assets, checks and jobs of the definitions; alerts of others are resolved.

    Returns:
        The new state, and the messages to send, in order.
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
    inhibition = _Inhibition.of(board.alerts.values(), silences, now)
    outbox = Outbox(state.hours, policies, now)
    notifications = [
        *_resolved_notifications(board, inhibition),
        *_firing_notifications(board, inhibition, policies, now),
    ]
    board.alerts.update(outbox.send(notifications, board.alerts.values()))
    alerts = {key: alert for key, alert in board.alerts.items() if not _forgotten(alert, now)}
    return State(alerts, reading.runs(), outbox.hours, reading.scores, now), outbox.messages


def _rebase_to_clock(state: State, now: datetime) -> State:
    """Shift stored times after the clock was set back, so waits and repeats keep their length."""
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
    hours = {key: replace(hour, began=hour.began - ahead) for key, hour in state.hours.items()}
    return replace(state, alerts=alerts, runs=runs, hours=hours)


@dataclass
class _Inhibition:
    """What inhibits messages: critical alerts by asset, an alert of the system; and silences."""

    critical: Mapping[str, str]
    down: str | None
    silences: Sequence[Silence]

    @staticmethod
    def of(alerts: Iterable[Alert], silences: Sequence[Silence], now: datetime) -> "_Inhibition":
        firing = [alert for alert in alerts if alert.status == "firing"]
        return _Inhibition(
            {alert.asset: alert.subject for alert in firing if alert.asset and alert.severity == "critical"},
            next((alert.subject for alert in firing if alert.condition == "system_down"), None),
            [silence for silence in silences if silence.until > now],
        )

    def on(self, alert: Alert) -> Alert:
        """The alert with what inhibits or silences it now."""
        inhibitor = self.down if alert.condition != "system_down" else None
        if inhibitor is None and alert.severity == "warning":
            inhibitor = self.critical.get(alert.asset or "")
        silence = next((silence.id for silence in self.silences if _is_silenced(alert, silence)), None)
        if (inhibitor, silence) == (alert.inhibited_by, alert.silenced_by):
            return alert
        return replace(alert, inhibited_by=inhibitor, silenced_by=silence)


def _is_silenced(alert: Alert, silence: Silence) -> bool:
    if silence.assets is not None:
        return alert.asset in silence.assets
    return fnmatchcase(alert.subject, silence.selection)


def _is_muted(alert: Alert) -> bool:
    return alert.inhibited_by is not None or alert.silenced_by is not None


def _resolved_notifications(board: Board, inhibition: _Inhibition) -> list[Notification]:
    """Notifications of resolved alerts. A muted one is sent later, or never if the alert fires again before."""
    notifications = []
    for key, old in board.replaced.items():
        old = inhibition.on(old)
        if _is_muted(old):
            board.alerts[key] = _continued(old, board.alerts[key])
            if board.alerts[key].status == "resolved":
                board.ended.add(key)
        else:
            notifications.append(_end_of(old))
    for key, alert in board.alerts.items():
        if alert.status != "resolved":
            continue
        if not needs_resolved_notification(alert, key in board.ended):
            if _is_muted(alert):
                board.alerts[key] = replace(alert, inhibited_by=None, silenced_by=None)
            continue
        board.alerts[key] = alert = inhibition.on(alert)
        if not _is_muted(alert):
            notifications.append(_end_of(alert))
    return notifications


def _end_of(alert: Alert) -> Notification:
    return Notification(alert, "resolved", (*alert.notified, *alert.summarized))


def _continued(old: Alert, new: Alert) -> Alert:
    """The new alert with the thread of the one before, whose resolution was not sent."""
    return replace(
        new,
        thread_key=old.thread_key,
        group=old.group,
        notified_at=old.notified_at,
        notified=tuple(dict.fromkeys((*old.notified, *new.notified))),
        summarized=tuple(dict.fromkeys((*old.summarized, *new.summarized))),
        notified_severity=old.notified_severity,
    )


def _firing_notifications(
    board: Board, inhibition: _Inhibition, policies: Policies, now: datetime
) -> list[Notification]:
    """Notifications of firing alerts: new ones, those that became critical, and repeats."""
    channels = {policy.name: policies.channels_of(policy) for policy in policies.policies}
    notifications = []
    for key, alert in board.alerts.items():
        if alert.status == "resolved":
            continue
        board.alerts[key] = alert = inhibition.on(alert)
        kind = None if _is_muted(alert) or alert.status == "pending" else _due(alert, now)
        if kind is not None and channels[alert.policy]:
            notifications.append(Notification(alert, kind, channels[alert.policy]))
    return notifications


def _due(alert: Alert, now: datetime) -> MessageKind | None:
    if alert.notified_at is None:
        return "firing" if now - alert.found_at >= WAIT[alert.severity] else None
    if alert.severity == "critical" and alert.notified_severity == "warning":
        return "firing"
    return "repeated" if now - alert.notified_at >= REPEAT[alert.severity] else None


def _forgotten(alert: Alert, now: datetime) -> bool:
    return alert.resolved_at is not None and now - alert.resolved_at > FORGET_ALERT and not _is_muted(alert)
