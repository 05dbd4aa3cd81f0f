"""What Atlas knows of an event in Dagster's log, and of a tick.

Belongs here: these types: names, counts and classes of errors, never a value of a row. Does not belong here: how
Dagster stores events (`decoding.py`), and what follows from one (`alerting/`, `telemetry/`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

EventKind = Literal[
    "planned",
    "run_started",
    "run_succeeded",
    "run_failed",
    "run_canceled",
    "step_started",
    "step_succeeded",
    "step_failed",
    "step_skipped",
    "step_retried",
    "materialized",
    "observed",
    "check",
    "freshness",
    "unknown",
]
Level = Literal["warn", "error"]
Freshness = Literal["pass", "warn", "fail", "unknown"]
Fact = str | int | float


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the log. An `unknown` one could not be understood, and has only its id.

    Names are as Dagster stored them: whoever passes them on bounds and cleans them.
    """

    id: int
    """The log's own: later events have greater ids, but may become visible before earlier ones."""
    kind: EventKind
    at: datetime
    run: str = ""
    root_run: str = ""
    """First run of a chain of retries. The log does not say it: the run itself, unless a reader filled it in."""
    will_retry: bool = False
    """Of a failed run: Dagster starts it again. Not in the log, as `root_run`."""
    may_retry: bool = False
    """Should its run fail, Dagster may start it again. Not in the log, as `root_run`."""
    job: str | None = None
    """Null for a run of assets that no job chose."""
    step: str | None = None
    """Key of the step, such as `silver__orders`; of a mapped one with its index: `work[part1]`."""
    assets: tuple[str, ...] = ()
    """Paths such as `silver/orders`: what was planned, materialized, observed or checked, or is stale. What a failed
    step or run was to make is not in the log, as `root_run`."""
    seconds: float | None = None
    """How long a step took that succeeded."""
    error: str = ""
    """Class of the innermost cause why a step failed; empty if there is none."""
    problem: str = ""
    """What may be shown of a failure: the description of a check or of a `dagster.Failure`, else the error's class."""
    check: str | None = None
    passed: bool = True
    level: Level = "error"
    dimension: str = ""
    """Quality dimension of a check; empty if it has none."""
    freshness: Freshness | None = None
    score: float | None = None
    """Overall quality score that a materialization brought, 0 to 1."""
    rows: float | None = None
    """How many rows a materialization brought."""
    entities: Mapping[str, int] = field(default_factory=dict)
    """How many columns of a materialization hold each kind of data, as its plan says; personal or not."""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """What may be shown of a check, such as the measured value and the threshold."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick that ended; `status` is success, skipped or failure, `at` in seconds since 1970."""

    kind: Literal["schedule", "sensor"]
    name: str
    status: str
    at: float
