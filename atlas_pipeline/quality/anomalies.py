"""What is unusual about a table, told from the table's own history: no thresholds to declare.

Belongs here: the comparison of one publication with those before it, and its words. Does not belong here: measuring a
table and keeping what was measured (`measures.py`), and the check (`orchestration/tables/anomalies.py`).

Each number is predicted from those before it: by their median, by the last one and the usual step, or by the median
of the last four of the same weekday, whichever missed by the least so far. The miss is compared with the usual misses:
robust z, with the median absolute deviation (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993). A miss is
told that is also greater than nearly all before it, and great enough to matter.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from atlas_pipeline import labels

LEAST_POINTS = 14
MOST_POINTS = 70
_SAME_WEEKDAY = 4
_WEEKS_SEEN = 28
_WEEKLY_MISSES = 7
_CHANCE = 0.01
_MAD_TO_SIGMA = 1.4826
_MAD_EFFICIENCY = 0.37
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

ROWS, FILES, SECONDS, GAP, SCORE = "rows", "files", "seconds", "hours since the one before", labels.QUALITY_SCORE
NULLS, DISTINCT, LEVEL = "nulls", "distinct", "level"


def of_column(measure: str, column: str) -> str:
    """The name of a number of a column."""
    return f"{measure}:{column}"


@dataclass(frozen=True)
class Point:
    """What was measured of one publication; `at` is the day that its rows are of, as far as that is known."""

    at: datetime
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Anomaly:
    """A number that is unusual; `usual` is what was to be expected, on a `weekday` where the number has weeks."""

    number: str
    value: float
    usual: float
    z: float
    weekday: int | None

    def __str__(self) -> str:
        measure, _, column = self.number.partition(":")
        usually = f"usually about {{}} on a {_DAYS[self.weekday]}" if self.weekday is not None else "usually about {}"
        if measure == NULLS:
            return f"{column}: {self.value:.1%} are null, {usually.format(f'{self.usual:.1%}')}"
        if measure == DISTINCT:
            return f"{column}: {self.value:.2%} of its values are different, {usually.format(f'{self.usual:.2%}')}"
        if measure == LEVEL:
            times = math.exp(abs(self.value - self.usual))
            return (
                f"{column}: values are {times:,.3g} times as {'large' if self.value > self.usual else 'small'} as usual"
            )
        if measure == ROWS:
            return f"{self.value:,.0f} rows, {usually.format(f'{self.usual:,.0f}')}"
        return f"{measure}: {self.value:,.3g}, {usually.format(f'{self.usual:,.3g}')}"


@dataclass(frozen=True)
class _Measure:
    """How a kind of number is compared.

    Attributes:
        scale: to a scale on which misses are alike, from the number and the rows of its point.
        back: from that scale.
        floor: the least that counts as a usual miss, from the usual number and rows.
        down: how much less matters, on that scale; null where less never does.
        up: how much more matters.
    """

    scale: Callable[[float, float], float]
    back: Callable[[float], float]
    floor: Callable[[float, float], float]
    down: float | None
    up: float | None
    apart: bool = False
    """Whether it is compared by itself, instead of as one of the many numbers of columns."""


def _log(value: float, rows: float) -> float:
    return math.log(max(value, 0.5 / max(rows, 1.0), 1e-9))


def _same(value: float, rows: float = 0.0) -> float:
    return value


_MEASURES = {
    ROWS: _Measure(lambda v, _: math.log(max(v, 0.5)), math.exp, lambda v, n: 0.02, 0.07, 0.25, apart=True),
    SECONDS: _Measure(lambda v, _: math.log(max(v, 1.0)), math.exp, lambda v, n: 0.3, None, math.log(3), apart=True),
    GAP: _Measure(lambda v, _: math.log(max(v, 0.1)), math.exp, lambda v, n: 0.1, None, math.log(1.5), apart=True),
    SCORE: _Measure(_same, _same, lambda v, n: 0.005, 0.02, None, apart=True),
    NULLS: _Measure(
        lambda v, _: math.asin(math.sqrt(min(max(v, 0.0), 1.0))),
        lambda x: math.sin(max(x, 0.0)) ** 2,
        lambda v, n: 0.01 + 0.5 / math.sqrt(max(n, 1.0)),
        *(0.2, 0.2),
    ),
    DISTINCT: _Measure(_log, math.exp, lambda v, n: max(0.03, 0.5 / math.sqrt(max(v * n, 1.0))), *(0.5, 0.5)),
    LEVEL: _Measure(_same, _same, lambda v, n: 0.02, *(0.3, 0.3)),
}


def find_anomalies(history: Sequence[Point], now: Point) -> list[Anomaly]:
    """The numbers of a publication that are unusual, the most unusual first.

    A number with less than LEAST_POINTS publications before it is not judged.

    Args:
        history: of the same table, in the order of their days.
        now: the publication.
    """
    history = history[-MOST_POINTS:]
    files = statistics.median([point.numbers.get(FILES, 1.0) for point in history] or [1.0])
    points = [_per_usual_files(point, files) for point in history]
    last = _per_usual_files(now, files)
    judged = sum(1 for number in last.numbers if number.partition(":")[0] in _MEASURES)
    found = (_judge(points, last, number, judged) for number in last.numbers)
    return sorted((each for each in found if each), key=lambda each: -abs(each.z))


def _per_usual_files(point: Point, usual: float) -> Point:
    """A point of more files than usual as if it were of as many: deliveries that wait for a run come together."""
    files = point.numbers.get(FILES, usual)
    if files <= usual or ROWS not in point.numbers:
        return point
    return Point(point.at, {**point.numbers, ROWS: point.numbers[ROWS] * usual / files})


def _judge(points: Sequence[Point], now: Point, number: str, judged: int) -> Anomaly | None:
    measure = _MEASURES.get(number.partition(":")[0])
    known = [point for point in points if number in point.numbers]
    if measure is None or len(known) < LEAST_POINTS:
        return None
    values = [measure.scale(point.numbers[number], point.numbers.get(ROWS, 0.0)) for point in known]
    days = [point.at.weekday() for point in known]
    best = min(_predictions(values, days, now.at.weekday()), key=lambda each: each.spread)
    value = measure.scale(now.numbers[number], now.numbers.get(ROWS, 0.0))
    rows = statistics.median(point.numbers.get(ROWS, 0.0) for point in known)
    floor = measure.floor(statistics.median(point.numbers[number] for point in known), rows)
    miss = value - best.expected
    z = miss / max(best.spread, floor)
    usual = measure.back(best.expected)
    if abs(z) <= _limit(len(best.misses), 1 if measure.apart else judged) or abs(miss) <= best.tail(measure.apart):
        return None
    amount = abs(now.numbers[number] - usual) if measure is _MEASURES[NULLS] else abs(miss)
    matters = measure.down if miss < 0 else measure.up
    if matters is None or amount < matters:
        return None
    return Anomaly(number, now.numbers[number], usual, z, now.at.weekday() if best.weekly else None)


@dataclass(frozen=True)
class _Prediction:
    """What was to be expected, and by how much such predictions missed before."""

    expected: float
    misses: Sequence[float]
    weekly: bool = False
    handicap: float = 1.0

    @property
    def spread(self) -> float:
        """The usual miss."""
        return self.handicap * _MAD_TO_SIGMA * statistics.median(map(abs, self.misses))

    def tail(self, apart: bool) -> float:
        """A miss that nearly none before was greater than.

        Of few points all count: weeks that cannot be seen as such yet are among them.
        """
        misses = sorted(map(abs, self.misses))
        share, times = (
            (0.95, 2.0) if not apart else (0.9, 1.0) if self.weekly or len(misses) >= _WEEKS_SEEN else (1.0, 1.0)
        )
        return times * misses[max(math.ceil(share * len(misses)) - 1, 0)]


def _predictions(values: Sequence[float], days: Sequence[int], day: int) -> Iterator[_Prediction]:
    yield _Prediction(statistics.median(values), _misses_of_median(values))
    steps = [after - before for before, after in pairwise(values)]
    step = statistics.median(steps)
    # Only where a number clearly goes on from the last one: else a step back from an outlier is one too.
    yield _Prediction(values[-1] + step, [each - step for each in steps], handicap=2.0)
    same: dict[int, list[float]] = defaultdict(list)
    misses: list[float] = []
    for value, weekday in zip(values, days, strict=True):
        before = same[weekday]
        if len(before) >= 2:
            misses.append(value - statistics.median(before[-_SAME_WEEKDAY:]))
        before.append(value)
    if len(same[day]) >= 3 and len(misses) >= _WEEKLY_MISSES:
        # A table that grows is ahead of its last weeks each time.
        ahead = statistics.median(misses)
        expected = statistics.median(same[day][-_SAME_WEEKDAY:]) + ahead
        yield _Prediction(expected, [miss - ahead for miss in misses], weekly=True)


def _misses_of_median(values: Sequence[float]) -> list[float]:
    """By how much each differs from the median of the others."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        below, at, above = ordered[middle - 1], ordered[middle], ordered[middle + 1]
        # Without the one in the middle, or one of either side, the two that are left in the middle are these.
        low, high, same = (below + at) / 2, (at + above) / 2, (below + above) / 2
        return [v - (high if v < at else low if v > at else same) for v in values]
    below, above = ordered[middle - 1], ordered[middle]
    return [v - (above if v <= below else below) for v in values]


def _limit(points: int, judged: int) -> float:
    """The z that one of so many numbers exceeds by chance in one publication of a hundred.

    Args:
        points: misses that the spread was told from; of few it is told badly, as in Student's t.
        judged: numbers that are compared.
    """
    z = statistics.NormalDist().inv_cdf(1 - _CHANCE / judged / 2)
    return z * (1 + (z * z + 1) / (4 * _MAD_EFFICIENCY * points))
