"""Columns of many kinds of value: how many are missed under a header that tells, and without one; alarms on nobody's.

Belongs here: counting. Does not belong here: the values (`atlas_pipeline_tests/pii/values/`), which are made by a seed.
Run: .venv/bin/python benchmarks/pii_kinds.py
"""

import sys
from collections.abc import Callable
from pathlib import Path

import harness

from atlas_pipeline.pii.kinds import kind_of
from atlas_pipeline.pii.profile import profile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from atlas_pipeline_tests.pii.values import nobody, people, registers
from atlas_pipeline_tests.pii.values.made import Value

ROWS = (20, 5)
SOURCES = {"people": people.VALUES, "registers": registers.VALUES}


def protected(header: str, value: Value, rows: int) -> bool:
    """Whether a column of the value is planned as personal, beside names of people where the header tells."""
    found = profile({header: value.column(rows)})[0]
    return found.column_class != "clean" and (found.entity is None or kind_of(found.entity).personal)


def counted(values: tuple[Value, ...], header: Callable[[Value], str], rows: int) -> tuple[int, int]:
    """How many kinds are protected, and how many there are."""
    return sum(protected(header(value), value, rows) for value in values), len(values)


def measure(report: harness.Report) -> None:
    """Add what is missed, and what is alarmed at."""
    lines = []
    everyone = tuple(value for values in SOURCES.values() for value in values)
    proven = tuple(value for value in everyone if value.proven)
    for rows in ROWS:
        for what, values, header in (
            ("of people, telling header", everyone, lambda value: value.header),
            ("of people, col1", everyone, lambda value: "col1"),
            ("of people, proven, col1", proven, lambda value: "col1"),
            ("of nobody, their headers", nobody.VALUES, lambda value: value.header),
            ("of nobody, col1", nobody.VALUES, lambda value: "col1"),
        ):
            found, total = counted(values, header, rows)
            lines.append([what, rows, total, found, total - found])
            if rows == ROWS[0] and "nobody" in what:
                report.goals.append(harness.Goal(f"alarms, {what}", found, 2, at_least=False))
            elif rows == ROWS[0] and what != "of people, col1":
                report.goals.append(harness.Goal(f"missed, {what}", total - found, 2, at_least=False))
    report.table("Kinds of value", ["columns", "rows", "kinds", "protected", "not"], lines)


def main() -> int:
    """Measure and print. Returns the exit code: 1 when a goal was missed."""
    report = harness.Report("kinds of personal data")
    measure(report)
    return report.print(False)


if __name__ == "__main__":
    sys.exit(main())
