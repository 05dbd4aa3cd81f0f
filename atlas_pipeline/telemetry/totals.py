"""Totals of counters, and the cursor of the event log up to which they were counted, in the warehouse.

Belongs here: every statement on these two tables. Does not belong here: what is counted (`counting.py`).

Cursor and totals are saved in one transaction by the one who holds the cursor's row, so that a kill loses nothing and
counts nothing twice, and several exporters count once.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from atlas_pipeline.telemetry.counting import Counted, Memory, Run
from atlas_pipeline.telemetry.families import Family, families
from atlas_pipeline.telemetry.sample import Piece, Sample
from atlas_pipeline.telemetry.series import Key

CountedSource = Literal["events", "ticks"]
_IDLE = "60s"
"""How long a holder of the cursor may be silent before the server lets go of it."""
_PIECES: tuple[Piece, ...] = ("bucket", "sum", "count")


@dataclass(frozen=True)
class Cursor:
    """All ids up to `position` were counted, and of those after it the ones in `recent`."""

    position: int
    recent: frozenset[int]
    memory: Memory


def begun(connection: psycopg.Connection, source: CountedSource) -> bool:
    """Whether there is a cursor."""
    query = "SELECT FROM atlas.telemetry_cursor WHERE source = %s"
    return connection.execute(query, [source]).fetchone() is not None


def begin(connection: psycopg.Connection, source: CountedSource, position: int) -> None:
    """Create the cursor, unless there is one.

    Args:
        connection: the warehouse.
        source: what is counted.
        position: the id after which counting begins.
    """
    connection.execute(
        "INSERT INTO atlas.telemetry_cursor (source, position, recent, memory, moved_at) "
        "VALUES (%s, %s, '{}', '{}', clock_timestamp()) ON CONFLICT (source) DO NOTHING",
        [source, position],
    )


def claim(connection: psycopg.Connection, source: CountedSource) -> Cursor | None:
    """Lock the cursor until the transaction ends; null when another process holds it."""
    connection.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, true)", [_IDLE])
    row = connection.execute(
        "SELECT position, recent, memory FROM atlas.telemetry_cursor WHERE source = %s FOR UPDATE SKIP LOCKED",
        [source],
    ).fetchone()
    return (
        None if row is None else Cursor(row[0], frozenset(row[1]), Memory(_runs(row[2]), _series(connection, source)))
    )


def save(
    connection: psycopg.Connection, source: CountedSource, position: int, recent: frozenset[int], counted: Counted
) -> None:
    """Add counts and move the cursor. Call it in the transaction that holds the cursor.

    Args:
        connection: the warehouse.
        source: whose cursor it is.
        position: all ids up to it were counted.
        recent: ids after it that were counted too.
        counted: what was counted since `claim`.
    """
    _write(connection, _ADD, counted.added)
    _write(connection, _RAISE, counted.newest)
    _write(connection, _REPLACE, counted.latest)
    runs = [[name, run.started, run.planned, run.materialized] for name, run in counted.memory.runs.items()]
    connection.execute(
        "UPDATE atlas.telemetry_cursor SET position = %s, recent = %s, memory = %s, moved_at = clock_timestamp() "
        "WHERE source = %s",
        [position, sorted(recent), Jsonb({"runs": runs}), source],
    )


def touch(connection: psycopg.Connection, source: CountedSource) -> None:
    """Record that all events until now are counted, when there are none."""
    connection.execute("UPDATE atlas.telemetry_cursor SET moved_at = clock_timestamp() WHERE source = %s", [source])


def totals(connection: psycopg.Connection) -> Iterator[Sample]:
    """All totals as samples. Families that are no longer in the list are left out."""
    named = _names()
    for name, labels, value in connection.execute("SELECT family, labels::text, value FROM atlas.telemetry_totals"):
        if name in named:
            family, piece = named[name]
            yield Sample(family.name, _labels(labels), value, piece)


@lru_cache(maxsize=50_000)
def _labels(text: str) -> Mapping[str, str]:
    return json.loads(text)


def _names() -> dict[str, tuple[Family, Piece]]:
    """Names of stored totals, as Prometheus has them: a histogram has three."""
    by_name: dict[str, tuple[Family, Piece]] = {}
    for family in families().values():
        if family.source in ("events", "ticks"):
            pieces = _PIECES if family.kind == "histogram" else ("",)
            by_name |= {_name(family.name, piece): (family, piece) for piece in pieces}
    return by_name


def _name(family: str, piece: Piece) -> str:
    return f"{family}_{piece}" if piece else family


def _series(connection: psycopg.Connection, source: CountedSource) -> dict[str, frozenset[tuple[str, ...]]]:
    """The series of each family; those of a histogram's count stand for all."""
    named = {
        name: family for name, (family, piece) in _names().items() if family.source == source and piece in ("", "count")
    }
    series: dict[str, set[tuple[str, ...]]] = {}
    query = "SELECT family, labels::text FROM atlas.telemetry_totals WHERE family = ANY(%s)"
    for name, text in connection.execute(query, [list(named)]):
        family, labels = named[name], _labels(text)
        series.setdefault(family.name, set()).add(tuple(labels[label] for label in family.labels))
    return {name: frozenset(values) for name, values in series.items()}


def _runs(memory: Mapping[str, Any]) -> dict[str, Run]:
    return {
        name: Run(
            started,
            tuple((step, asset) for step, asset in planned),
            tuple((step, asset) for step, asset in materialized),
        )
        for name, started, planned, materialized in memory.get("runs", ())
    }


def _write(connection: psycopg.Connection, statement: LiteralString, values: Mapping[Key, float]) -> None:
    if values:
        rows = []
        for (family, piece, labels), value in values.items():
            names = families()[family].labels + (("le",) if piece == "bucket" else ())
            label_values = dict(zip(names, labels, strict=True))
            rows.append({"family": _name(family, piece), "labels": label_values, "value": value})
        connection.execute(statement, [Jsonb(rows)])


_ADD: LiteralString = (
    "INSERT INTO atlas.telemetry_totals AS t (family, labels, value) "
    "SELECT family, labels, value FROM jsonb_to_recordset(%s) AS r (family text, labels jsonb, value float8) "
    "ON CONFLICT (family, labels) DO UPDATE SET value = t.value + excluded.value"
)
_RAISE: LiteralString = _ADD.replace("t.value + excluded.value", "greatest(t.value, excluded.value)")
_REPLACE: LiteralString = _ADD.replace("t.value + excluded.value", "excluded.value")
