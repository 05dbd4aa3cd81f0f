"""`atlas.privacy_measures`: what was measured of how well persons are hidden in each table, each time.

Belongs here: every statement on that table. Does not belong here: measuring (`small_groups.py`,
`reidentification.py`). It holds numbers, never a value.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg


@dataclass(frozen=True)
class Measured:
    """One measurement: its numbers by name, and whether they were within the rule."""

    measured_at: datetime
    passed: bool
    numbers: Mapping[str, Any]


def record_measure(
    connection: psycopg.Connection,
    layer: str,
    name: str,
    measure: str,
    run: str,
    numbers: Mapping[str, Any],
    *,
    passed: bool,
    published: bool,
) -> None:
    """Write a measurement down; it is not committed here.

    Args:
        connection: to the warehouse.
        layer: silver or gold.
        name: of the table.
        measure: the check that measured.
        run: that it was measured in.
        numbers: by name.
        passed: whether they were within the rule.
        published: whether readers see what was measured.
    """
    connection.execute(
        "INSERT INTO atlas.privacy_measures (layer, name, measure, run, passed, published, numbers)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [layer, name, measure, run, passed, published, json.dumps(dict(numbers))],
    )


def newest_measures(connection: psycopg.Connection, measure: str) -> dict[tuple[str, str], Measured]:
    """The newest measurement of what readers see, by layer and name of the table."""
    rows = connection.execute(
        "SELECT DISTINCT ON (layer, name) layer, name, measured_at, passed, numbers FROM atlas.privacy_measures"
        " WHERE measure = %s AND published ORDER BY layer, name, measured_at DESC",
        [measure],
    ).fetchall()
    return {(layer, name): Measured(*rest) for layer, name, *rest in rows}


def recent_measures(connection: psycopg.Connection, measure: str, limit: int) -> dict[tuple[str, str], list[Measured]]:
    """The last measurements, published or not, by layer and name of the table; the oldest first.

    Args:
        connection: to the warehouse.
        measure: the check that measured.
        limit: how many of each table, at most.
    """
    rows = connection.execute(
        "SELECT layer, name, measured_at, passed, numbers FROM ("
        " SELECT *, row_number() OVER (PARTITION BY layer, name ORDER BY measured_at DESC) AS place"
        " FROM atlas.privacy_measures WHERE measure = %s"
        ") one WHERE place <= %s ORDER BY layer, name, measured_at",
        [measure, limit],
    ).fetchall()
    found: dict[tuple[str, str], list[Measured]] = {}
    for layer, name, *rest in rows:
        found.setdefault((layer, name), []).append(Measured(*rest))
    return found
