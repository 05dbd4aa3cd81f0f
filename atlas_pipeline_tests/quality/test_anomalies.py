"""What is told as unusual: faults in tables with weeks, trends and noise; nothing in tables as they always were."""

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from atlas_pipeline.quality.anomalies import (
    FILES,
    GAP,
    LEAST_POINTS,
    LEVEL,
    NULLS,
    ROWS,
    SCORE,
    SECONDS,
    Point,
    find_anomalies,
    of_column,
)
from atlas_pipeline_tests.quality.unusual import generated, ours

MONDAY = datetime(2025, 1, 6, tzinfo=UTC)


def series(days: int, seed: int = 1, weekend: float = 1.0, growth: float = 0.0) -> Iterator[Point]:
    chance = random.Random(seed)
    for day in range(days):
        at = MONDAY + timedelta(days=day)
        rows = 1000 * (weekend if at.weekday() > 4 else 1) * (1 + growth * day) * math.exp(chance.gauss(0, 0.01))
        numbers = {ROWS: round(rows), FILES: 1.0, SECONDS: 10 + chance.random(), GAP: 24 + chance.random(), SCORE: 0.99}
        numbers |= {of_column(NULLS, "city"): chance.uniform(0.01, 0.03)}
        numbers |= {of_column(LEVEL, "price"): chance.gauss(3, 0.02)}
        yield Point(at, numbers)


def told(points: list[Point], **numbers: float) -> list[str]:
    *before, now = points
    return [each.number for each in find_anomalies(before, Point(now.at, {**now.numbers, **numbers}))]


@pytest.mark.parametrize(
    ("numbers", "number"),
    [
        ({ROWS: 900.0}, ROWS),
        ({ROWS: 2000.0}, ROWS),
        ({SECONDS: 60.0}, SECONDS),
        ({GAP: 72.0}, GAP),
        ({SCORE: 0.9}, SCORE),
        ({of_column(NULLS, "city"): 0.5}, of_column(NULLS, "city")),
        ({of_column(LEVEL, "price"): 3 + math.log(100)}, of_column(LEVEL, "price")),
    ],
)
def test_what_is_unlike_all_before_is_told(numbers: dict[str, float], number: str) -> None:
    assert told(list(series(40)), **numbers) == [number]


@pytest.mark.parametrize("numbers", [{}, {SECONDS: 1.0}, {GAP: 0.5}, {SCORE: 1.0}, {of_column("unknown", "x"): 9.0}])
def test_what_is_usual_or_better_is_not_told(numbers: dict[str, float]) -> None:
    assert told(list(series(40)), **numbers) == []


def test_nothing_is_told_of_a_short_history() -> None:
    assert told(list(series(LEAST_POINTS)), rows=1.0) == []
    assert told(list(series(LEAST_POINTS + 1)), rows=1.0) == [ROWS]


def test_a_quiet_sunday_is_usual_and_a_quiet_monday_is_not() -> None:
    points = list(series(43, weekend=0.3))
    assert told(points[:42]) == [], "a Sunday"
    assert told(points, rows=300.0) == [ROWS], "as many on a Monday"
    (found,) = find_anomalies(points[:-1], Point(points[-1].at, {**points[-1].numbers, ROWS: 300.0}))
    assert str(found).startswith("300 rows, usually about 1,0")
    assert str(found).endswith("on a Monday")


def test_a_table_that_grows_goes_on_from_where_it_was() -> None:
    points = list(series(60, growth=0.05))
    assert told(points) == []
    assert told(points, rows=1000.0) == [ROWS]


def test_days_that_come_together_are_no_more_rows_than_usual() -> None:
    points = list(series(40))
    assert told(points, rows=3000.0, files=3.0) == []
    assert told(points, rows=1000.0, files=3.0) == [ROWS], "two of three are empty"


def test_one_day_that_was_far_off_hides_no_other() -> None:
    points = list(series(50))
    points[20] = Point(points[20].at, {**points[20].numbers, ROWS: 10.0})
    assert told(points[:22]) == [], "nor is the day after it unusual"
    assert told(points, rows=850.0) == [ROWS]


@pytest.mark.slow
def test_generated_tables_are_told_of_seldom_and_faults_nearly_always() -> None:
    counts, detected = generated(ours)
    assert counts["checks"] == 20 * (120 - LEAST_POINTS)
    assert counts["alarms"] <= counts["checks"] / 100
    assert {kind: found / injected >= 0.9 for kind, (found, injected) in detected.items()} == {
        "a tenth of the rows missing": True,
        "a column half null": True,
        "a unit changed": True,
    }
