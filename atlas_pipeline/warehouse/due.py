"""Which gold tables are due: one that is older than a table it reads, or was built by another definition.

Belongs here: that, from what Atlas recorded of publications, and which of them a run may be asked for now. Does not
belong here: the models (`sql/`), the runs and the sensor that asks for them (`orchestration/tables/refresh.py`).

Dagster's own record is not asked: it forgets an update that comes while the table is built. Numbers of publications
cannot be forgotten: a build records those that it read, and is due again as long as there are others.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from graphlib import TopologicalSorter

import psycopg

from atlas_pipeline.warehouse.publish import Table

FIRST_RETRY, LONGEST_RETRY = timedelta(minutes=1), timedelta(hours=1)
"""After how long a table is asked for again that is due still; the time doubles with each request."""


@dataclass(frozen=True)
class GoldDefinition:
    """A gold table as declared: its name, what `gold.fingerprint` says of it, and the tables it reads."""

    name: str
    fingerprint: str
    sources: frozenset[Table]


@dataclass(frozen=True)
class Due:
    """A gold table that is to be built.

    Attributes:
        name: of the table.
        reasons: why, in words; empty when it only follows others.
        follows: gold tables it reads that are due themselves.
        newer: tables it reads that were published since.
        since: when the first publication came that it has not read; null where none did.
        wanted: fingerprint of what a build would bring: the definition, and the publications to read.
    """

    name: str
    reasons: tuple[str, ...]
    follows: frozenset[str]
    newer: frozenset[Table]
    since: datetime | None
    wanted: str


@dataclass(frozen=True)
class _Publication:
    version: int
    definition: str
    reads: Mapping[str, int] | None


def due(connection: psycopg.Connection, models: Iterable[GoldDefinition]) -> dict[str, Due]:
    """The tables that are due, each after those it reads.

    A table that reads one which was never published is not due: it could not be built.

    Args:
        connection: the warehouse.
        models: all of the project.
    """
    rows = connection.execute("SELECT layer, name, version, definition, reads FROM atlas.publications").fetchall()
    known = {(layer, name): _Publication(*rest) for layer, name, *rest in rows}
    by_name = {model.name: model for model in models}
    graph = {
        name: sorted(table for layer, table in model.sources if layer == "gold" and table in by_name)
        for name, model in by_name.items()
    }
    found: dict[str, Due] = {}
    impossible: set[str] = set()
    for name in TopologicalSorter(graph).static_order():
        model = by_name[name]
        later = {table for table in graph[name] if table in found}
        missing = model.sources - known.keys() - {("gold", table) for table in later}
        if missing or impossible.intersection(graph[name]):
            impossible |= {name} if ("gold", name) not in known else set()
            continue
        one = _due(model, known, {table: found[table] for table in later})
        if one is not None:
            found[name] = one
    return _with_since(connection, found, known)


def _due(model: GoldDefinition, known: Mapping[Table, _Publication], later: Mapping[str, Due]) -> Due | None:
    """How a model stands whose sources were all published, or will be by those that are due."""
    built = known.get(("gold", model.name))
    reads = (built.reads if built else None) or {}
    newer = frozenset(t for t in model.sources if t in known and reads.get(".".join(t)) != known[t].version)
    if built is None:
        reasons = ["it was never built"]
    elif built.reads is None:
        reasons = ["what it was built from was not recorded"]
    else:
        reasons = [] if built.definition == model.fingerprint else ["its definition changed"]
        reasons += [f"{'.'.join(table)} is newer" for table in sorted(newer)]
    if not reasons and not later:
        return None
    parts = [f"{'.'.join(table)}:{known[table].version}" for table in sorted(model.sources) if table in known]
    parts += [one.wanted for _, one in sorted(later.items())]
    wanted = hashlib.sha256("\0".join([model.fingerprint, *parts]).encode()).hexdigest()[:32]
    return Due(model.name, tuple(reasons), frozenset(later), newer, None, wanted)


def _with_since(
    connection: psycopg.Connection, found: Mapping[str, Due], known: Mapping[Table, _Publication]
) -> dict[str, Due]:
    """The same with the time of the first publication that each has not read, its own or one before it in line."""
    unread = [
        (layer, table, reads[f"{layer}.{table}"], name)
        for name, one in found.items()
        for layer, table in one.newer
        if ("gold", name) in known and f"{layer}.{table}" in (reads := known["gold", name].reads or {})
    ]
    rows = connection.execute(
        "SELECT u.reader, min(h.published_at) FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::text[])"
        " AS u (layer, name, version, reader) JOIN atlas.publication_history h"
        " ON (h.layer, h.name) = (u.layer, u.name) AND h.version > u.version GROUP BY u.reader",
        [list(column) for column in zip(*unread, strict=True)] or [[], [], [], []],
    ).fetchall()
    since: dict[str, datetime] = dict(rows)
    dated: dict[str, Due] = {}
    for name, one in found.items():
        times = [dated[table].since for table in one.follows] + [since.get(name)]
        first = min((time for time in times if time is not None), default=None)
        dated[name] = Due(name, one.reasons, one.follows, one.newer, first, one.wanted)
    return dated


def ask(
    connection: psycopg.Connection, waiting: Mapping[str, Due], busy: Collection[str], now: datetime
) -> Sequence[str]:
    """Choose the tables to ask a run for, and record that it was asked for, so that it is not asked for twice.

    What was asked for and is due still is asked for again after a minute, and then ever more seldom, at least once an
    hour: its run failed, or never began.

    Args:
        connection: the warehouse; committed.
        waiting: what is due, as `due` returns it.
        busy: tables that are not to be asked for now.
        now: with its time zone.

    Returns:
        Names, each after those it reads.
    """
    with connection.transaction():
        connection.execute("LOCK TABLE atlas.gold_requests IN SHARE ROW EXCLUSIVE MODE")
        connection.execute("DELETE FROM atlas.gold_requests WHERE name <> ALL (%s)", [list(waiting)])
        rows = connection.execute("SELECT name, wanted, times, asked_at FROM atlas.gold_requests").fetchall()
        asked = {name: (wanted, times, at) for name, wanted, times, at in rows}
        chosen: list[str] = []
        for name, one in waiting.items():
            wanted, times, at = asked.get(name, ("", 0, now))
            again = wanted != one.wanted or now >= at + min(FIRST_RETRY * 2 ** min(times - 1, 10), LONGEST_RETRY)
            held = name in busy or not one.follows.isdisjoint(busy)
            if again and not held and (one.reasons or one.follows.intersection(chosen)):
                chosen.append(name)
        connection.cursor().executemany(
            "INSERT INTO atlas.gold_requests (name, wanted, times, asked_at) VALUES (%(name)s, %(wanted)s, 1, %(now)s)"
            " ON CONFLICT (name) DO UPDATE SET asked_at = excluded.asked_at, wanted = excluded.wanted, times ="
            " CASE WHEN gold_requests.wanted = excluded.wanted THEN gold_requests.times + 1 ELSE 1 END",
            [{"name": name, "wanted": waiting[name].wanted, "now": now} for name in chosen],
        )
    return chosen
