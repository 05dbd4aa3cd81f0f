"""What alerting is told of: things that happened, and how things stand when somebody looks.

Belongs here: these types. Does not belong here: where they come from
(`orchestration/alerts/`), and what follows (`fold.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

EventKind = Literal["run_failed", "run_succeeded", "run_canceled", "step_failed", "check", "materialized", "freshness"]
Condition = Literal[
    "run_failed",
    "check_failed",
    "stale",
    "missing",
    "low_score",
    "pii_leak",
    "backup_failed",
    "backup_missing",
    "backup_unverified",
    "tick_failed",
    "queue_long",
    "system_down",
]
Level = Literal["warn", "error"]
Freshness = Literal["pass", "warn", "fail", "unknown"]
Fact = str | int | float


@dataclass(frozen=True)
class Event:
    """One thing that happened, from the event log. Holds names and counts, no values of rows.

    `id` is the log's. `assets` are paths such as silver/orders: those of the step that failed, the one that was
    checked, materialized or became stale; for a run, all that it was to make. `root_run` is the first of a chain of
    retries; `will_retry` says of a failed run that another try follows; `may_retry` of any event that its run, should
    it fail, may be tried again.
    """

    id: int
    kind: EventKind
    at: datetime
    run: str = ""
    root_run: str = ""
    will_retry: bool = False
    may_retry: bool = False
    job: str | None = None
    """Null for a run of assets that no job chose."""
    step: str | None = None
    assets: tuple[str, ...] = ()
    check: str | None = None
    passed: bool = True
    level: Level = "error"
    freshness: Freshness | None = None
    score: float | None = None
    """Overall quality score that a materialization brought, 0 to 1."""
    problem: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """What is shown of it, such as the measured value and the threshold of a check."""


@dataclass(frozen=True)
class Look:
    """How all subjects of one condition stand at a moment: whatever is not among `found` is over."""

    condition: Condition
    at: datetime
    found: Mapping[str, "Finding"]


@dataclass(frozen=True)
class Finding:
    """What a look found wrong with one subject. `amount` is compared with a policy's `above`."""

    problem: str
    since: datetime | None = None
    amount: float | None = None
    link: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """What exists now: paths of assets; names of jobs, schedules and sensors; and the owner of each asset that has one.

    An alert of an asset or a job that is not here is over.
    """

    assets: frozenset[str]
    jobs: frozenset[str]
    owners: Mapping[str, str] = field(default_factory=dict)
