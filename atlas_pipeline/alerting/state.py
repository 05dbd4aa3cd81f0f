"""The state of alerting between two evaluations of the event log, and its messages.

Belongs here: these types. Does not belong here: how they change (`fold.py`), and the tables (`store.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from atlas_pipeline.alerting.conditions import Condition
from atlas_pipeline.alerting.policy import Severity
from atlas_pipeline.event_log.event import Event, Fact, Level

AlertStatus = Literal["pending", "firing", "resolved"]
MessageKind = Literal["firing", "repeated", "resolved", "summary", "test"]
Key = tuple[str, str]
"""Name of the policy, and the subject."""


@dataclass(frozen=True)
class Alert:
    """One condition of one subject, while it holds and for a day after. Times are of this machine's clock, in UTC.

    `subject` is its name for people: silver/orders, silver/orders: amount_valid, silver/orders: freshness,
    silver/orders: score, job backup_daily, sensor landing.
    """

    policy: str
    subject: str
    condition: Condition
    severity: Severity
    level: Level
    team: str
    status: AlertStatus
    """An alert is `pending` until it has lasted as long as its policy asks for."""
    since: datetime
    """When the condition started, as far as known."""
    found_at: datetime
    """When the first evaluation found it; waits count from here."""
    seen_at: datetime
    """When an event last reported it; `count` says how often."""
    count: int = 1
    asset: str | None = None
    job: str | None = None
    run: str = ""
    problem: str = ""
    link: str = ""
    """Path in the UI, such as /assets/silver/orders."""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    runbook: str | None = None
    owner: str | None = None
    amount: float | None = None
    """What a policy's `below` or `above` is compared with."""
    thread_key: str = ""
    """The same for all messages of this alert."""
    group: str = ""
    """Thread key of its first message, when that was of other alerts too."""
    notified_at: datetime | None = None
    """When its last message was made; null before the first."""
    notified: tuple[str, ...] = ()
    """Channels that got a message of it; they get its resolution too."""
    summarized: tuple[str, ...] = ()
    """Channels that got it only as a number in a summary."""
    notified_severity: Severity | None = None
    inhibited_by: str | None = None
    """Subject of the alert that inhibits its messages. A resolved alert keeps this, and `silenced_by`, until its
    resolution can be sent."""
    silenced_by: int | None = None
    """Id of the silence that mutes it."""
    resolved_at: datetime | None = None
    reason: str = ""
    """Why it was resolved if not by its condition: removed, check removed, policy removed, policy changed."""

    @property
    def key(self) -> Key:
        """Its unique key."""
        return self.policy, self.subject


@dataclass(frozen=True)
class RunSoFar:
    """The failures so far, in order, of a run that has not ended or will be retried."""

    at: datetime
    """Time of its last event."""
    failures: tuple[Event, ...] = ()
    awaited: bool = False
    """Whether it failed and a retry is awaited."""


@dataclass(frozen=True)
class Hour:
    """Messages to one channel at one severity within an hour, and alerts above the limit, which are only counted."""

    began: datetime
    messages: int = 0
    counted: Mapping[str, int] = field(default_factory=dict)
    """By policy; resolved alerts by policy and "(resolved)"."""
    closes: tuple[str, ...] = ()
    """Thread keys of resolved alerts among those counted."""


@dataclass(frozen=True)
class Silence:
    """Mutes matching alerts until a moment. `assets` are the paths that `selection` selects now, if it is one
    of assets; otherwise `selection` is a pattern of subjects such as `job backup_*`."""

    id: int
    selection: str
    until: datetime
    why: str
    by: str
    assets: frozenset[str] | None = None


@dataclass(frozen=True)
class State:
    """The whole state. `runs` by id of the root run; `hours` by channel and severity.

    `alerts` has active ones, and those that were resolved in the last day.
    """

    alerts: Mapping[Key, Alert] = field(default_factory=dict)
    runs: Mapping[str, RunSoFar] = field(default_factory=dict)
    hours: Mapping[tuple[str, Severity], Hour] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    clock: datetime | None = None
    """The last `now`, to detect a clock that was set back."""


@dataclass(frozen=True)
class Message:
    """A message to one channel. `dedup_key` is the same whenever the same message is made again.

    `alerts` are up to 20 of them as they stood; `more` counts the others, by policy. `thread_key` is the same for all
    messages of one alert, or of one group, so that a receiver can put the end beside the beginning; the end of some of
    a group has one of its own, the end of the last of them that of the group. `closes` are the thread keys that this
    message ends, for receivers that hold them open.
    """

    dedup_key: str
    thread_key: str
    channel: str
    kind: MessageKind
    severity: Severity
    team: str
    at: datetime
    alerts: tuple[Alert, ...]
    more: Mapping[str, int] = field(default_factory=dict)
    closes: tuple[str, ...] = ()


Document = dict[str, Any]
"""A message as JSON, as it lies in the outbox; made and read by `document.py`."""
