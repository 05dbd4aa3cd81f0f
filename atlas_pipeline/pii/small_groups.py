"""Groups of few persons in a table of aggregates: found, withheld, and compared with what was published before.

Belongs here: what is done with the number of persons behind each row of a staged table. Does not belong here: counting
them (`sql/subjects.py`) and whose data a table is (`subjects.py`).

A row is withheld by deleting it: a reader cannot tell a group of few from one that nobody is in. Where a total would
give the withheld rows away, by subtraction, the smallest other row of that total goes too. What is left of a total is
then of `at_least` persons, since one withheld row alone is: that holds too where the same persons are in several rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import psycopg
from psycopg import sql

OnSmall = Literal["fail", "suppress"]
MOST_COMPARED = 100_000
"""Groups of a table that are compared with the publication before; a larger table is not."""
_WITHHELD = "__atlas_withheld"


@dataclass(frozen=True)
class Cells:
    """The rule for groups of few.

    Attributes:
        at_least: persons that a group must have.
        on_small: what is done with smaller ones.
        exempt: why the rule does not hold for a table; null where it does.
    """

    at_least: int = 5
    on_small: OnSmall | Literal["warn"] = "fail"
    exempt: str | None = None


@dataclass(frozen=True)
class Counts:
    """Names of what a staged table has beside its own columns.

    Attributes:
        persons: the column with the number of persons of a row.
        level: the column that says which keys a row is a total over, one bit each.
        keys: columns that tell groups apart; empty where that is not known.
    """

    persons: str
    level: str
    keys: Sequence[str] = ()


@dataclass(frozen=True)
class SmallGroups:
    """What was found: numbers of groups, never which they are.

    Attributes:
        rule: that was kept.
        groups: rows of the table before any was withheld.
        small: groups of some persons, and fewer than the rule says.
        withheld: rows that were taken out for being small.
        complementary: rows that were taken out since a total would have given a small one away.
        merged: groups that became one.
        differing: groups that changed by some persons, and fewer than the rule says, since the last publication.
        problem: why it could not be told; null otherwise.
    """

    rule: Cells
    groups: int = 0
    small: int = 0
    withheld: int = 0
    complementary: int = 0
    merged: int = 0
    differing: int = 0
    problem: str | None = None

    @property
    def fit(self) -> bool:
        """Whether no group of few is left, or the table is exempt."""
        if self.rule.exempt is not None:
            return True
        return self.problem is None and (self.small == 0 or self.rule.on_small in ("suppress", "merge"))

    @property
    def blocks(self) -> bool:
        """Whether the table must not be published."""
        return not self.fit and self.rule.on_small != "warn"


def measure(connection: psycopg.Connection, table: sql.Identifier, counts: Counts, rule: Cells) -> SmallGroups:
    """Count the groups of a staged table, and those of few.

    Args:
        connection: that staged it.
        table: the staged table.
        counts: what it has beside its own columns.
        rule: that it must keep.
    """
    few = sql.SQL("{n} > 0 AND {n} < {least}").format(
        n=sql.Identifier(counts.persons), least=sql.Literal(rule.at_least)
    )
    row = connection.execute(
        sql.SQL("SELECT count(*), count(*) FILTER (WHERE {}) FROM {}").format(few, table)
    ).fetchone()
    groups, small = row or (0, 0)
    return SmallGroups(rule, int(groups), int(small))


def suppress(connection: psycopg.Connection, table: sql.Identifier, counts: Counts, found: SmallGroups) -> SmallGroups:
    """Take the groups of few out of a staged table, and those that totals would give them away by.

    Args:
        connection: that staged it.
        table: the staged table.
        counts: what it has beside its own columns.
        found: what `measure` found.
    """
    if not found.small:
        return found
    persons, withheld = sql.Identifier(counts.persons), sql.Identifier(_WITHHELD)
    connection.execute(sql.SQL("ALTER TABLE {} ADD COLUMN {} boolean NOT NULL DEFAULT false").format(table, withheld))
    mark = "UPDATE {} SET {} = true WHERE {n} > 0 AND {n} < {least}"
    least = sql.Literal(found.rule.at_least)
    connection.execute(sql.SQL(mark).format(table, withheld, n=persons, least=least))
    levels = [row[0] for row in connection.execute(_select_levels(table, counts))]
    everything = (1 << len(counts.keys)) - 1
    totals = sorted({*levels, everything})
    pairs = [(level, total) for level in levels for total in totals if level | total == total]
    pairs = [(level, total) for level, total in pairs if level != total or total == everything == 0]
    complementary, more = 0, True
    while more:
        more = False
        for level, total in pairs:
            marked = connection.execute(_mark_complements(table, counts, level, total, found.rule.at_least)).rowcount
            complementary += marked
            more = more or marked > 0
    connection.execute(sql.SQL("DELETE FROM {} WHERE {}").format(table, withheld))
    connection.execute(sql.SQL("ALTER TABLE {} DROP COLUMN {}").format(table, withheld))
    return replace(found, withheld=found.small, complementary=complementary)


def _select_levels(table: sql.Identifier, counts: Counts) -> sql.Composed:
    return sql.SQL("SELECT DISTINCT {} FROM {} ORDER BY 1").format(sql.Identifier(counts.level), table)


def _mark_complements(table: sql.Identifier, counts: Counts, level: int, total: int, at_least: int) -> sql.Composed:
    """Withhold one more row of each total from which the withheld ones could be told.

    Args:
        table: the staged table.
        counts: what it has beside its own columns.
        level: of the rows that a total is over.
        total: the level of the totals.
        at_least: persons that must be left.
    """
    width = len(counts.keys)
    line = [sql.Identifier(key) for bit, key in enumerate(counts.keys) if not total >> (width - 1 - bit) & 1]
    by = sql.SQL("ROW({})::text").format(sql.SQL(", ").join(line)) if line else sql.SQL("''")
    return sql.SQL(
        "WITH lines AS (SELECT ctid AS place, {by} AS line, {n} AS n, {withheld} AS withheld FROM {table}"
        " WHERE {level} = {at}),"
        " totals AS (SELECT {by} AS line, bool_or({withheld}) AS withheld FROM {table}"
        " WHERE {level} = {total} AND {level} <> {at} GROUP BY 1),"
        " open AS (SELECT l.line FROM lines l LEFT JOIN totals t USING (line) GROUP BY l.line"
        " HAVING CASE WHEN bool_or(t.withheld) THEN NOT bool_or(l.withheld)"
        " ELSE max(l.n) FILTER (WHERE l.withheld) < {least} END),"
        " chosen AS (SELECT DISTINCT ON (line) place FROM lines JOIN open USING (line)"
        " WHERE NOT withheld AND n >= {least} ORDER BY line, n, place)"
        " UPDATE {table} SET {withheld} = true WHERE ctid IN (SELECT place FROM chosen)"
    ).format(
        by=by,
        n=sql.Identifier(counts.persons),
        withheld=sql.Identifier(_WITHHELD),
        table=table,
        level=sql.Identifier(counts.level),
        at=sql.Literal(level),
        total=sql.Literal(total),
        least=sql.Literal(at_least),
    )


def compare(
    connection: psycopg.Connection, table: sql.Identifier, name: str, counts: Counts, found: SmallGroups
) -> SmallGroups:
    """Count the groups that differ by few persons from what was published before, and note what there is now.

    Who has both publications can subtract them.

    Args:
        connection: that staged it.
        table: the staged table.
        name: of the gold table.
        counts: what it has beside its own columns.
        found: so far.
    """
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS group_counts_now (key bigint, persons bigint)")
    connection.execute("TRUNCATE pg_temp.group_counts_now")
    if not counts.keys or found.groups > MOST_COMPARED:
        return found
    keys = sql.SQL(", ").join([sql.Identifier(counts.level), *map(sql.Identifier, counts.keys)])
    now = "INSERT INTO pg_temp.group_counts_now SELECT hashtextextended(ROW({})::text, 0), max({}) FROM {} GROUP BY 1"
    connection.execute(sql.SQL(now).format(keys, sql.Identifier(counts.persons), table))
    row = connection.execute(
        "SELECT count(*) FROM pg_temp.group_counts_now AS now JOIN atlas.group_counts AS before USING (key)"
        " WHERE before.name = %s AND now.persons <> before.persons AND abs(now.persons - before.persons) < %s",
        [name, found.rule.at_least],
    ).fetchone()
    return replace(found, differing=int(row[0]) if row else 0)


def keep_counts(connection: psycopg.Connection, name: str) -> None:
    """Keep what `compare` noted, for the next publication. To be called inside the publishing transaction.

    Args:
        connection: that compared.
        name: of the gold table.
    """
    connection.execute("DELETE FROM atlas.group_counts WHERE name = %s", [name])
    keep = "INSERT INTO atlas.group_counts SELECT %s, key, persons FROM pg_temp.group_counts_now"
    connection.execute(keep, [name])


def list_small(
    connection: psycopg.Connection, table: sql.Identifier, listed: sql.Identifier, counts: Counts, at_least: int
) -> None:
    """Put the groups of few into a table beside the staged one, for whoever mends the model.

    Args:
        connection: that staged it.
        table: the staged table.
        listed: the table that they are put into.
        counts: what it has beside its own columns.
        at_least: persons that a group must have.
    """
    columns = sql.SQL(", ").join(
        [*map(sql.Identifier, counts.keys), sql.SQL("{} AS persons").format(sql.Identifier(counts.persons))]
    )
    make = sql.SQL("CREATE TABLE {} AS SELECT {} FROM {} WHERE {n} > 0 AND {n} < {}")
    connection.execute(make.format(listed, columns, table, sql.Literal(at_least), n=sql.Identifier(counts.persons)))


def forget_counts(connection: psycopg.Connection, table: sql.Identifier, counts: Counts) -> None:
    """Take the counts off a staged table, so that readers do not see them.

    Args:
        connection: that staged it.
        table: the staged table.
        counts: what it has beside its own columns.
    """
    drop = sql.SQL("ALTER TABLE {} DROP COLUMN {}, DROP COLUMN {}")
    connection.execute(drop.format(table, sql.Identifier(counts.persons), sql.Identifier(counts.level)))
