"""How easily a person is told from a table without a name: groups of rows that look the same from outside.

Belongs here: which columns someone may know of a person, and k-anonymity and l-diversity over them. Does not belong
here: tables of aggregates (`small_groups.py`).

k is the size of the smallest group of rows with equal quasi-identifiers (Samarati and Sweeney, 1998); l is the number
of different values of a sensitive column in the group where there are fewest (Machanavajjhala et al., 2007, distinct
l-diversity).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from atlas_pipeline.pii.plan import ColumnPlan

_KNOWN_OF_A_PERSON = frozenset(
    (
        *("DATE_OF_BIRTH", "AGE", "GENDER", "NRP", "MARITAL_STATUS", "ZIPCODE", "CITY", "LOCATION", "GEO_COORDINATES"),
        "STREET_ADDRESS",
    )
)
"""Kinds that others may know of a person, and that do not name one alone."""
_READABLE = ("keep", "generalise")


@dataclass(frozen=True)
class RiskRule:
    """What a declaration says of it.

    Attributes:
        quasi: columns that others may know of a person, beside those that plans tell.
        sensitive: columns that nobody should learn of a person.
        warn_below: the check warns where k is less.
        fail_below: the table is not published where k is less.
    """

    quasi: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    warn_below: int | None = None
    fail_below: int | None = None


@dataclass(frozen=True)
class Risk:
    """What was measured: numbers and names of columns, no values.

    Attributes:
        quasi: the columns that rows were grouped by.
        rows: of the table, or persons where a person may have several rows.
        groups: of rows that look the same.
        k: rows of the smallest group; null of an empty table.
        unique: rows that are alone in their group.
        diversity: l by sensitive column.
    """

    quasi: tuple[str, ...]
    rows: int = 0
    groups: int = 0
    k: int | None = None
    unique: int = 0
    diversity: Mapping[str, int] = field(default_factory=dict)

    @property
    def share_unique(self) -> float:
        """Of the rows, those that are alone in their group."""
        return self.unique / self.rows if self.rows else 0.0


def quasi_identifiers(plans: Mapping[str, ColumnPlan], rule: RiskRule, columns: Collection[str]) -> tuple[str, ...]:
    """The columns of a table that others may know of a person: declared ones, and readable ones of such kinds.

    Args:
        plans: of the table's columns.
        rule: what is declared.
        columns: that the table has.
    """
    planned = [c for c, plan in plans.items() if plan.entity in _KNOWN_OF_A_PERSON and plan.action in _READABLE]
    return tuple(column for column in dict.fromkeys([*rule.quasi, *planned]) if column in columns)


def measure_risk(
    connection: psycopg.Connection,
    table: sql.Identifier,
    quasi: Sequence[str],
    sensitive: Sequence[str] = (),
    subject: str | None = None,
) -> Risk:
    """Group the rows of a table by its quasi-identifiers, once.

    Args:
        connection: that may read it.
        table: the table.
        quasi: columns to group by; none for a table that nothing is known of.
        sensitive: columns whose values are counted in each group.
        subject: column that says whose data a row is, where a person may have several rows.
    """
    if not quasi:
        return Risk(())
    connection.execute("SET LOCAL work_mem = '128MB'")  # as models have: groups are hashed, not sorted
    by = sql.SQL(", ").join(map(sql.Identifier, quasi))
    sizes = (
        _groups(table, by, subject)
        if subject and subject not in quasi
        else sql.SQL("SELECT count(*) AS n FROM {} GROUP BY {}").format(table, by)
    )
    row = connection.execute(
        sql.SQL(
            "SELECT coalesce(sum(n), 0)::bigint, count(*), min(n), coalesce(sum(n) FILTER (WHERE n = 1), 0)::bigint"
            " FROM ({}) AS groups"
        ).format(sizes)
    ).fetchone()
    assert row is not None
    rows, groups, k, unique = row
    diversity = {}
    for column in sensitive:
        least = connection.execute(sql.SQL("SELECT min(n) FROM ({}) AS groups").format(_groups(table, by, column)))
        found = least.fetchone()
        if found and found[0] is not None:
            diversity[column] = int(found[0])
    return Risk(tuple(quasi), rows, groups, k, unique, diversity)


def _groups(table: sql.Identifier, by: sql.Composed, column: str) -> sql.Composed:
    """The number of different values of a column in each group. In two steps, which are hashed: DISTINCT sorts."""
    return sql.SQL(
        "SELECT count({column}) AS n FROM (SELECT {by}, {column} FROM {table} GROUP BY {by}, {column}) AS found"
        " GROUP BY {by}"
    ).format(column=sql.Identifier(column), by=by, table=table)


def risk_problem(risk: Risk, rule: RiskRule) -> tuple[str | None, bool]:
    """What is wrong, null when nothing is, and whether the table must not be published."""
    limit = next(
        (limit for limit in (rule.fail_below, rule.warn_below) if limit and risk.k is not None and risk.k < limit), None
    )
    if limit is None:
        return None, False
    text = (
        f"k is {risk.k}: of {risk.rows:,} rows {risk.unique:,} are alone with their {', '.join(risk.quasi)}, and each "
        f"should be with {limit - 1} others. Generalise these columns, or drop one of them"
    )
    return text, limit == rule.fail_below
