"""Tables with weeks, trends, noise and days that are far off, and how well what is wrong with them is found.

Belongs here: generated history, faults put into it, and the count. Does not belong here: real data
(`benchmarks/bench_anomalies.py`).
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from atlas_pipeline.quality.anomalies import (
    DISTINCT,
    LEAST_POINTS,
    LEVEL,
    MOST_POINTS,
    NULLS,
    ROWS,
    Point,
    find_anomalies,
    of_column,
)

Finder = Callable[[Sequence[Point], Point], list[str]]
FAULTS_FROM = 28
"""Days before the first fault: weeks are seen from the fourth on."""


def ours(history: Sequence[Point], now: Point) -> list[str]:
    """Atlas's own comparison."""
    return [anomaly.number for anomaly in find_anomalies(history, now)]


def generated(find: Finder, tables: int = 20, days: int = 120) -> tuple[Counter[str], dict[str, tuple[int, int]]]:
    """The same for generated tables: with weeks, trends, steps, heavy tails, and a column of each kind."""
    counts: Counter[str] = Counter()
    detected: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for table in range(tables):
        points = list(_series(random.Random(table), table, days))
        for index in range(LEAST_POINTS, days):
            history, now = points[max(0, index - MOST_POINTS) : index], points[index]
            found = find(history, now)
            counts += Counter(checks=1, alarms=bool(found), numbers=len(now.numbers), unusual=len(found))
            if index % 3 or index < FAULTS_FROM:
                continue
            for kind, number, value in (
                ("a tenth of the rows missing", ROWS, now.numbers[ROWS] * 0.9),
                ("a column half null", of_column(NULLS, "a"), 0.5 + now.numbers[of_column(NULLS, "a")] / 2),
                ("a unit changed", of_column(LEVEL, "a"), now.numbers[of_column(LEVEL, "a")] + math.log(1.609344)),
            ):
                one, all_of = detected[kind]
                faulty = Point(now.at, {**now.numbers, number: value})
                detected[kind] = (one + (number in find(history, faulty)), all_of + 1)
    return counts, dict(detected)


def _series(chance: random.Random, table: int, days: int) -> Iterator[Point]:
    """One table a number; every second one has weeks, every third a trend, every fifth days that are far off."""
    size, noise = 10 ** chance.uniform(2, 6), chance.uniform(0.002, 0.02)
    week = [0.0] * 7 if table % 2 else [chance.gauss(0, 0.15) for _ in range(5)] + [-0.7, -0.9]
    trend = 0.002 if table % 3 == 0 else 0.0
    columns = {name: (chance.uniform(0, 0.2), chance.uniform(0.001, 0.5), chance.uniform(-2, 9)) for name in "abcdef"}
    for day in range(days):
        at = datetime(2025, 1, 6, tzinfo=UTC) + timedelta(days=day)
        heavy = chance.choice((-1, 1)) * chance.expovariate(5) if table % 5 == 0 and chance.random() < 0.03 else 0.0
        rows = max(1.0, round(size * math.exp(week[at.weekday()] + trend * day + chance.gauss(0, noise) + heavy)))
        numbers: dict[str, float] = {ROWS: rows}
        for name, (nulls, distinct, level) in columns.items():
            spread = math.sqrt(nulls * (1 - nulls) / rows) + 0.01 * nulls
            numbers[of_column(NULLS, name)] = min(max(chance.gauss(nulls, spread), 0.0), 1.0)
            numbers[of_column(DISTINCT, name)] = min(distinct * math.exp(chance.gauss(0, 0.03)), 1.0)
            numbers[of_column(LEVEL, name)] = level + chance.gauss(0, 0.03)
        yield Point(at, numbers)
