"""`atlas.quality_scores` and `atlas.check_outcomes`: the outcomes of each table's checks, each time they were measured.

Belongs here: every statement on these two tables. Does not belong here: what a score is (`score.py`) and how it is
shown (`cli/quality.py`). Counts and words of the contract are kept, never a value of a row: `Outcome.sample` is not.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import astuple, dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import psycopg
from psycopg import sql

from atlas_pipeline.quality.outcome import DIMENSIONS, Check, Dimension, Outcome, Severity, Status
from atlas_pipeline.quality.score import OVERALL, DimensionScore, scores

# A table that was published and is gone since is left out; one that never could be published is not.
_NEWEST = sql.SQL("""
SELECT layer, name, run, measured_at FROM (
    SELECT DISTINCT ON (layer, name) layer, name, run, measured_at, published
    FROM atlas.quality_scores WHERE dimension = 'overall' ORDER BY layer, name, measured_at DESC, run
) one
WHERE NOT published OR to_regclass(format('%%I.%%I', layer, name)) IS NOT NULL
    OR NOT EXISTS (SELECT FROM atlas.publications p WHERE (p.layer, p.name) = (one.layer, one.name))
""")
_LAST = sql.SQL("""
SELECT layer, name, run, measured_at FROM atlas.quality_scores
WHERE dimension = 'overall' AND layer = %s AND name = %s ORDER BY measured_at DESC, run LIMIT %s
""")
_RECENT = sql.SQL("""
SELECT layer, name, run, measured_at FROM (
    SELECT layer, name, run, measured_at,
        row_number() OVER (PARTITION BY layer, name ORDER BY measured_at DESC, run) AS place
    FROM atlas.quality_scores WHERE dimension = 'overall'
) one WHERE place <= %s
""")
_SCORES = sql.SQL("""
SELECT layer, name, run, measured_at, published, dimension, score, checks, failed
FROM ({}) chosen JOIN atlas.quality_scores USING (layer, name, run, measured_at)
ORDER BY array_position(ARRAY['bronze', 'silver', 'gold'], layer), layer, name, measured_at DESC, run
""")
_OUTCOMES = sql.SQL("""
SELECT layer, name, run, measured_at, path, title, dimension, severity, status, measured, threshold, rows_tested,
    rows_failed, problem
FROM ({}) chosen JOIN atlas.check_outcomes USING (layer, name, run, measured_at)
WHERE status <> 'passed' OR NOT %s
ORDER BY array_position(ARRAY['bronze', 'silver', 'gold'], layer), layer, name, path
""")
_POSITION = {dimension: position for position, dimension in enumerate((*DIMENSIONS, OVERALL))}


@dataclass(frozen=True)
class TableScores:
    """One measurement of a table; `scores` are its dimensions in their order, then overall."""

    layer: str
    name: str
    run: str
    measured_at: datetime
    published: bool
    scores: tuple[DimensionScore, ...]


@dataclass(frozen=True)
class RecordedOutcome:
    """A stored outcome; like `Outcome`, with the check's own words and without rows."""

    layer: str
    name: str
    run: str
    measured_at: datetime
    path: str
    title: str
    dimension: Dimension
    severity: Severity
    status: Status
    measured: float | None
    threshold: str
    rows_tested: int | None
    rows_failed: int | None
    problem: str | None

    @property
    def blocks(self) -> bool:
        """Whether it kept the table from being published."""
        return self.status != "passed" and self.severity == "error"

    @property
    def outcome(self) -> Outcome:
        """The same as it was measured."""
        check = Check(self.path, "", None, self.title, self.severity, self.dimension)
        counts = (self.measured, self.threshold, self.rows_tested, self.rows_failed, self.problem)
        return Outcome(check, self.status, *counts)


def record_outcomes(
    connection: psycopg.Connection,
    layer: str,
    name: str,
    run: str,
    outcomes: Collection[Outcome],
    *,
    published: bool,
    known: Collection[str] = (),
    keep_days: int = 400,
) -> list[DimensionScore]:
    """Store the outcomes of a table's checks, all with the same timestamp, and return its scores.

    It is one transaction, or part of the caller's open one. Scores are never deleted.

    Args:
        connection: of the pipeline.
        layer: of the table.
        name: of the table.
        run: id of the run that measured.
        outcomes: what was measured; without any, nothing is written.
        published: whether the table was published after that.
        known: paths of all checks of the table; those not measured this time keep their newest outcome.
        keep_days: age at which outcomes of this table are deleted.

    Returns:
        The dimensions that have checks, then overall.
    """
    if not outcomes:
        return []
    with connection.transaction(), connection.cursor() as cursor:
        others = set(known) - {one.check.path for one in outcomes}
        kept = newest_outcomes(connection, layer, name) if others else []
        outcomes = [*outcomes, *(one for one in kept if one.check.path in others)]
        found = scores(outcomes)
        [(moment,)] = cursor.execute("SELECT clock_timestamp()").fetchall()
        cursor.executemany(
            "INSERT INTO atlas.quality_scores"
            " (layer, name, run, measured_at, published, dimension, score, checks, failed)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [(layer, name, run, moment, published, *astuple(one)) for one in found],
        )
        cursor.executemany(
            "INSERT INTO atlas.check_outcomes (layer, name, run, measured_at, path, title, dimension, severity, status,"
            " measured, threshold, rows_tested, rows_failed, problem)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [(layer, name, run, moment, *_values(one)) for one in outcomes],
        )
        cursor.execute(
            "DELETE FROM atlas.check_outcomes"
            " WHERE layer = %s AND name = %s AND measured_at < %s::timestamptz - make_interval(days => %s)",
            [layer, name, moment, keep_days],
        )
    return found


def latest_scores(connection: psycopg.Connection) -> list[TableScores]:
    """The newest measurement of each table, published or not: bronze, silver, gold, then by name.

    A table that was published and dropped since is left out.
    """
    return _tables(connection.execute(_SCORES.format(_NEWEST), []))


def latest_outcomes(connection: psycopg.Connection, failing_only: bool = False) -> list[RecordedOutcome]:
    """The outcomes of `latest_scores`, in the same order of tables, then by path.

    Args:
        connection: may be read only.
        failing_only: leave out what passed.
    """
    rows = connection.execute(_OUTCOMES.format(_NEWEST), [failing_only])
    return [RecordedOutcome(*row) for row in rows]


def newest_outcomes(connection: psycopg.Connection, layer: str, name: str) -> list[Outcome]:
    """What the newest measurement of a table found, without rows.

    Args:
        connection: may be read only.
        layer: of the table.
        name: of the table.
    """
    rows = connection.execute(_OUTCOMES.format(_LAST), [layer, name, 1, False])
    return [RecordedOutcome(*row).outcome for row in rows]


def score_history(connection: psycopg.Connection, layer: str, name: str, limit: int) -> list[TableScores]:
    """The last measurements of a table, newest first.

    Args:
        connection: may be read only.
        layer: of the table.
        name: of the table.
        limit: how many.
    """
    return _tables(connection.execute(_SCORES.format(_LAST), [layer, name, limit]))


def recent_scores(connection: psycopg.Connection, limit: int) -> list[TableScores]:
    """The last measurements of every table, the oldest of each first; at most `limit` of each."""
    return _tables(connection.execute(_SCORES.format(_RECENT), [limit]))[::-1]


def recent_outcomes(connection: psycopg.Connection, limit: int) -> list[RecordedOutcome]:
    """The outcomes of `recent_scores`, the oldest of each table first."""
    rows = connection.execute(_OUTCOMES.format(_RECENT), [limit, False])
    return sorted((RecordedOutcome(*row) for row in rows), key=lambda one: one.measured_at)


def _values(one: Outcome) -> tuple[Any, ...]:
    check = one.check
    measured = one.measured if one.measured is not None and math.isfinite(one.measured) else None
    return (
        *(check.path, check.title, check.dimension, one.severity, one.status),
        *(measured, one.threshold, one.rows_tested, one.rows_failed, one.problem),
    )


def _tables(rows: Iterable[tuple[Any, ...]]) -> list[TableScores]:
    """Rows of a dimension each, those of one measurement beside each other."""
    found = []
    for (layer, name, run, moment, published), group in groupby(rows, key=lambda row: row[:5]):
        inside = sorted((DimensionScore(*row[5:]) for row in group), key=lambda one: _POSITION[one.dimension])
        found.append(TableScores(layer, name, run, moment, published, tuple(inside)))
    return found
