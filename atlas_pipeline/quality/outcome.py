"""Types that all of quality shares: a check, its outcome, and the six dimensions.

Belongs here: plain data. Does not belong here: where checks come from (`contract.py`, `generated.py`), how they are
measured (`verification.py`) and what they are worth (`score.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["error", "warn"]
Status = Literal["passed", "warned", "failed", "not evaluated"]
Dimension = Literal["completeness", "uniqueness", "validity", "accuracy", "consistency", "timeliness"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
"""In the order in which they are shown."""


@dataclass(frozen=True)
class Check:
    """One check of a table, known without looking at the table.

    `path` is its place in the contract as Soda names it (`columns.amount.checks.missing`), unique within the table.
    `severity` is the highest that it can have; a check with two thresholds may also end as a warning.
    """

    path: str
    type: str
    column: str | None
    title: str
    severity: Severity
    dimension: Dimension


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check of one table.

    `measured` is the number that was compared with the threshold, null when nothing was measured. `rows_tested` and
    `rows_failed` are null for a check that is not about single rows. `problem` says what is wrong, null when passed; it
    never quotes a value of a row. `sample` holds the keys of some failed rows, by column, none of them personal.
    """

    check: Check
    status: Status
    measured: float | None = None
    threshold: str = ""
    rows_tested: int | None = None
    rows_failed: int | None = None
    problem: str | None = None
    sample: tuple[Mapping[str, str], ...] = ()

    @property
    def passed(self) -> bool:
        """False for warnings too, and for what could not be evaluated."""
        return self.status == "passed"

    @property
    def severity(self) -> Severity:
        """The severity of its failure: a warning is one even where the check can fail."""
        return "warn" if self.status == "warned" else self.check.severity

    @property
    def blocks(self) -> bool:
        """Whether publishing must not happen."""
        return not self.passed and self.severity == "error"
