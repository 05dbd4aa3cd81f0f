"""Conditions of alerts, snapshots of those that no event reports, and what the definitions have.

Belongs here: these types. Does not belong here: events (`event_log/event.py`), where snapshots come from
(`orchestration/alerts/snapshots.py`), and what follows (`fold.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from atlas_pipeline.event_log.event import Fact

Condition = Literal[
    "run_failed",
    "check_failed",
    "stale",
    "stale_model",
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


@dataclass(frozen=True)
class Snapshot:
    """The state of one condition at a moment: it is resolved for every subject that is not among `findings`."""

    condition: Condition
    at: datetime
    findings: Mapping[str, "Finding"]


@dataclass(frozen=True)
class Finding:
    """What is wrong with one subject. `amount` is compared with a policy's `above`."""

    problem: str
    since: datetime | None = None
    amount: float | None = None
    link: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """What the definitions have: paths of assets, names of jobs, schedules and sensors, checks and owners by asset.

    An alert of an asset, a job or a check that is not here is resolved.
    """

    assets: frozenset[str]
    jobs: frozenset[str]
    checks: Mapping[str, frozenset[str]]
    """Names of the checks of each asset that has some."""
    owners: Mapping[str, str] = field(default_factory=dict)
