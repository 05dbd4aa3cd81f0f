"""Quality scores: a number between 0 and 1 for each dimension of a table, and one for the whole table.

Belongs here: the arithmetic, without a database. Does not belong here: what is stored (`history.py`).

The score of one check:
- 0 when it could not be evaluated;
- the share of rows that did not fail, `1 - rows_failed / rows_tested`, when it is about rows and there are some,
  whether or not that met the threshold;
- otherwise, for an empty table or a check that is not about rows, 1 when it passed and 0 when it did not.

The score of a dimension is the mean of its checks' scores, the overall score the mean of the dimensions' scores; what
has no check has no score. All is computed exactly and rounded once, so that a mean is 1 only when every score in it is.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from typing import Literal

from atlas_pipeline.quality.outcome import DIMENSIONS, Dimension, Outcome

OVERALL: Literal["overall"] = "overall"


@dataclass(frozen=True)
class DimensionScore:
    """How good a table is in one dimension, or overall; `failed` counts checks that did not pass, warnings too."""

    dimension: Dimension | Literal["overall"]
    score: float
    checks: int
    failed: int


def scores(outcomes: Collection[Outcome]) -> list[DimensionScore]:
    """The dimensions that have checks, in the order of DIMENSIONS, then overall. Empty when there are no checks."""
    if not outcomes:
        return []
    means: list[Fraction] = []
    by_dimension: list[DimensionScore] = []
    for dimension in DIMENSIONS:
        measured = [outcome for outcome in outcomes if outcome.check.dimension == dimension]
        if measured:
            means.append(_mean(map(_exact, measured)))
            by_dimension.append(DimensionScore(dimension, _rounded(means[-1]), len(measured), _failed(measured)))
    return [*by_dimension, DimensionScore(OVERALL, _rounded(_mean(means)), len(outcomes), _failed(outcomes))]


def shown(score: float) -> str:
    """A score for people: four digits after the point, rounded down, so that only what is perfect reads 1.0000."""
    return str(Decimal(repr(score)).quantize(Decimal("0.0001"), ROUND_DOWN))


def _exact(outcome: Outcome) -> Fraction:
    if outcome.status == "not evaluated":
        return Fraction(0)
    if outcome.rows_tested and outcome.rows_failed is not None:
        failed = min(max(outcome.rows_failed, 0), outcome.rows_tested)
        return 1 - Fraction(failed, outcome.rows_tested)
    return Fraction(outcome.passed)


def _mean(values: Iterable[Fraction]) -> Fraction:
    listed = list(values)
    return sum(listed, Fraction(0)) / len(listed)


def _rounded(value: Fraction) -> float:
    """The nearest float, but never 1 for less than 1."""
    return 1.0 if value == 1 else min(float(value), math.nextafter(1.0, 0.0))


def _failed(outcomes: Collection[Outcome]) -> int:
    return sum(not outcome.passed for outcome in outcomes)
