"""Alert policies: which conditions alert, how severe they are, which team owns them and which channels are notified.

Belongs here: the types and the defaults. Does not belong here: the file (`policy_file.py`), what follows (`fold.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from atlas_pipeline.alerting.conditions import Condition
from atlas_pipeline.event_log.event import Level

Severity = Literal["critical", "warning"]
WAIT: Mapping[Severity, timedelta] = {"critical": timedelta(0), "warning": timedelta(seconds=30)}
"""How long a condition is pending before the alert fires."""
REPEAT: Mapping[Severity, timedelta] = {"critical": timedelta(hours=1), "warning": timedelta(hours=6)}
"""Repeat interval of the notification while the alert fires."""
TEAMS = ("default", "database", "security", "data-engineering", "infrastructure")
LOW_SCORE = 0.8
"""Below this a quality score is low, unless a policy sets `below`."""
LONG_QUEUE = 100
"""Above this many waiting runs a queue is long, unless a policy sets `above`."""


@dataclass(frozen=True)
class Policy:
    """The first policy that matches decides.

    `selection` is Dagster's asset selection syntax and `assets` what it selects, as paths; null for any. `jobs` are
    patterns such as backup_*, of the names of jobs, schedules and sensors; null for any. With only one of the two
    given, only that kind of subject matches. `level` null matches warn and error. `below` is for low_score, which no
    policy without it matches, `above` for queue_long. `lasting` is how long the condition must hold. `channels` null
    means those of the team.
    """

    name: str
    conditions: frozenset[Condition]
    severity: Severity
    team: str = "default"
    selection: str | None = None
    assets: frozenset[str] | None = None
    jobs: tuple[str, ...] | None = None
    level: Level | None = None
    below: float | None = None
    above: float | None = None
    lasting: timedelta = timedelta(0)
    channels: tuple[str, ...] | None = None
    runbook: str | None = None


@dataclass(frozen=True)
class Policies:
    """All policies in order, the channels of each team, and the limit of messages per hour.

    A team without channels has those of `default`; without these, all that are configured (`channels`).
    """

    policies: tuple[Policy, ...]
    channels: tuple[str, ...] = ()
    teams: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    messages_per_hour: int = 30
    """For each channel and severity; further messages are replaced by one summary."""
    ungrouped: frozenset[str] = frozenset()
    """Channels that get every change of every alert as a message of its own, such as Alertmanager."""

    def channels_of(self, policy: Policy) -> tuple[str, ...]:
        """Names of the channels that a policy's messages go to."""
        if policy.channels is not None:
            return policy.channels
        return self.teams.get(policy.team) or self.teams.get("default") or self.channels


def default_policies() -> tuple[Policy, ...]:
    """Policies for every condition, with the usual severity."""
    day = timedelta(hours=24)
    of = frozenset[Condition]
    return (
        Policy("system-down", of({"system_down"}), "critical", "infrastructure"),
        Policy("pii-leak", of({"pii_leak"}), "critical", "security"),
        Policy("backup", of({"backup_failed", "backup_missing"}), "critical", "database"),
        Policy("backup-unverified", of({"backup_unverified"}), "critical", "database", level="error"),
        Policy("backup-untested", of({"backup_unverified"}), "warning", "database", level="warn"),
        Policy("run-failed", of({"run_failed"}), "critical", "data-engineering"),
        Policy("check-failed", of({"check_failed"}), "critical", "data-engineering", level="error"),
        Policy("check-warned", of({"check_failed"}), "warning", "data-engineering", level="warn"),
        Policy("low-score", of({"low_score"}), "warning", "data-engineering", below=LOW_SCORE),
        Policy("stale", of({"stale"}), "warning", "data-engineering"),
        Policy("stale-model", of({"stale_model"}), "warning", "data-engineering", lasting=timedelta(minutes=30)),
        Policy("missing", of({"missing"}), "warning", "data-engineering", lasting=day),
        Policy("tick-failed", of({"tick_failed"}), "warning", "infrastructure"),
        Policy("queue-long", of({"queue_long"}), "warning", "infrastructure", above=LONG_QUEUE),
    )
