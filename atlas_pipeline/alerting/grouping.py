"""Group notifications into messages, and limit messages per hour.

Belongs here: that, dedup keys and thread keys. Does not belong here: whether an alert is notified (`fold.py`).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from atlas_pipeline.alerting.board import digest
from atlas_pipeline.alerting.policy import Policies, Severity
from atlas_pipeline.alerting.state import Alert, Hour, Key, Message, MessageKind

SINGLY = 3
"""How many alerts of a policy get messages of their own in one fold; more come in one message."""
LISTED = 20
"""How many alerts a message shows; of others it gives the number."""
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Notification:
    """An alert, the kind of message, and the channels to send it to."""

    alert: Alert
    kind: MessageKind
    channels: tuple[str, ...]


_Bundle = tuple[str, MessageKind, str, Severity]
"""Channel, kind, policy and severity."""


class Outbox:
    """The messages of one fold, and the counts of each channel's hour."""

    def __init__(self, hours: Mapping[tuple[str, Severity], Hour], policies: Policies, now: datetime) -> None:
        self.messages: list[Message] = []
        self.hours: dict[tuple[str, Severity], Hour] = {}
        self._policies = policies
        self._now = now
        for (channel, severity), hour in hours.items():
            if now - hour.began < HOUR:
                self.hours[channel, severity] = hour
            elif hour.counted:
                self.messages.append(self._summary(channel, severity, hour))

    def send(self, notifications: Iterable[Notification], alerts: Collection[Alert]) -> dict[Key, Alert]:
        """Make messages.

        Args:
            notifications: what is to be sent.
            alerts: all alerts, by which it is known whether a group is over.

        Returns:
            The alerts that last and were notified, as they stand after that, by key.
        """
        lasting = {alert.group for alert in alerts if alert.status != "resolved"}
        reached: dict[Key, Alert] = {}
        bundles: dict[_Bundle, list[Alert]] = {}
        for notification in _with_groups(notifications):
            alert = notification.alert
            if notification.kind != "resolved":
                worst: Severity = "critical" if alert.notified_severity == "critical" else alert.severity
                reached[alert.key] = replace(alert, notified_at=self._now, notified_severity=worst)
            for channel in notification.channels:
                first = notification.kind == "repeated" and channel not in alert.notified
                kind: MessageKind = "firing" if first else notification.kind
                bundles.setdefault((channel, kind, alert.policy, alert.severity), []).append(alert)
        for (channel, kind, policy, severity), bundle in bundles.items():
            if kind == "resolved" and channel not in self._policies.ungrouped:
                notified = [alert for alert in bundle if channel in alert.notified]
                self._count(channel, severity, f"{policy} (resolved)", len(bundle) - len(notified))
                bundle = notified
            singly = len(bundle) <= SINGLY or channel in self._policies.ungrouped
            for some in [[alert] for alert in bundle] if singly else [bundle]:
                sent = self._put(channel, kind, severity, some, lasting)
                for alert in some if kind != "resolved" else ():
                    reached[alert.key] = _reached(reached[alert.key], channel, sent)
        return reached

    def _put(
        self, channel: str, kind: MessageKind, severity: Severity, bundle: list[Alert], lasting: Collection[str]
    ) -> bool:
        """Make one message, or count its alerts above the limit of the hour; returns whether it was made."""
        ungrouped = channel in self._policies.ungrouped
        threads = [alert.thread_key if ungrouped else alert.group or alert.thread_key for alert in bundle]
        thread_key = threads[0]
        closes: tuple[str, ...] = ()
        if kind == "resolved":
            closes = tuple(dict.fromkeys(thread for thread in threads if thread not in lasting))
            thread_key = next(iter(closes), bundle[0].thread_key)
        if not ungrouped:
            name = bundle[0].policy + (" (resolved)" if kind == "resolved" else "")
            hour = self._hour(channel, severity)
            if hour.messages >= self._policies.messages_per_hour:
                self._count(channel, severity, name, len(bundle), closes)
                return False
            self.hours[channel, severity] = replace(hour, messages=hour.messages + 1)
        when = self._now.isoformat() if kind == "repeated" else severity if kind == "firing" else ""
        self.messages.append(
            Message(
                dedup_key=digest(kind, when, *(alert.thread_key for alert in bundle)),
                thread_key=thread_key,
                channel=channel,
                kind=kind,
                severity=severity,
                team=bundle[0].team,
                at=self._now,
                alerts=tuple(bundle[:LISTED]),
                more=dict(Counter(alert.policy for alert in bundle[LISTED:])),
                closes=closes,
            )
        )
        return True

    def _hour(self, channel: str, severity: Severity) -> Hour:
        return self.hours.get((channel, severity)) or Hour(self._now.replace(minute=0, second=0, microsecond=0))

    def _count(self, channel: str, severity: Severity, name: str, number: int, closes: tuple[str, ...] = ()) -> None:
        if number:
            hour = self._hour(channel, severity)
            counted = {**hour.counted, name: hour.counted.get(name, 0) + number}
            self.hours[channel, severity] = replace(hour, counted=counted, closes=hour.closes + closes)

    def _summary(self, channel: str, severity: Severity, hour: Hour) -> Message:
        name = digest("summary", channel, severity, hour.began.isoformat())
        return Message(
            dedup_key=name,
            thread_key=name,
            channel=channel,
            kind="summary",
            severity=severity,
            team="default",
            at=self._now,
            alerts=(),
            more=hour.counted,
            closes=hour.closes,
        )


def _with_groups(notifications: Iterable[Notification]) -> Iterator[Notification]:
    """Set the thread key of the group on alerts whose first message is that of a group."""
    notifications = list(notifications)
    firing: dict[str, list[Alert]] = {}
    for notification in notifications:
        if notification.kind == "firing":
            firing.setdefault(notification.alert.policy, []).append(notification.alert)
    groups = {
        policy: digest("group", *(alert.thread_key for alert in alerts))
        for policy, alerts in firing.items()
        if len(alerts) > SINGLY
    }
    for notification in notifications:
        group = groups.get(notification.alert.policy) if notification.kind == "firing" else None
        if group and notification.alert.notified_at is None:
            notification = replace(notification, alert=replace(notification.alert, group=group))
        yield notification


def _reached(alert: Alert, channel: str, sent: bool) -> Alert:
    if not sent:
        if channel in (*alert.notified, *alert.summarized):
            return alert
        return replace(alert, summarized=(*alert.summarized, channel))
    return replace(
        alert,
        notified=tuple(dict.fromkeys((*alert.notified, channel))),
        summarized=tuple(other for other in alert.summarized if other != channel),
    )
