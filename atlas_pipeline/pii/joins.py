"""Columns of different silver tables that hold the same values and are planned so that joining them finds nothing.

Belongs here: `atlas.join_sketches`, every statement on that table, and what makes tokens of equal values differ. Does
not belong here: sketches themselves (`sketches.py`), and the check that tells of it (`quality/generated.py`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg

from atlas_pipeline.pii.actions.forms import same_form
from atlas_pipeline.pii.keys import Keys
from atlas_pipeline.pii.kinds import KEYED_ACTIONS
from atlas_pipeline.pii.plan import FORM, ColumnPlan
from atlas_pipeline.pii.record import recorded_plans
from atlas_pipeline.pii.sketches import Sketch

_LEAST_COMMON, _LEAST_SHARE = 3, 0.5
_COMPARABLE = ("keep", "mask", *KEYED_ACTIONS)
"""Actions whose results look like values, so that a join is tried; of the others everybody sees that it cannot work."""
_WORDS = re.compile(r"[a-z0-9]+")
_MEANINGLESS = frozenset(("id", "no", "nr", "key", "code", "number", "ref"))


@dataclass(frozen=True)
class Mismatch:
    """A column of one table and one of another that hold the same values and cannot be joined."""

    plan: ColumnPlan
    table: str
    other: ColumnPlan

    def __str__(self) -> str:
        """Both columns, how each is planned, and what to do."""
        return (
            f"{self.plan.name!r} ({_treatment(self.plan)}) holds values of silver.{self.table} {self.other.name!r} "
            f"({_treatment(self.other)}), and joining them finds nothing: {_remedy(self.plan, self.table, self.other)}"
        )


def record_sketches(
    connection: psycopg.Connection, name: str, sketches: Mapping[str, Sketch], keys: Keys, *, anew: bool
) -> None:
    """Keep the sketches of a silver table, in the transaction that publishes it.

    Args:
        connection: The owner's connection, in that transaction; it is not committed here.
        name: The table's name.
        sketches: Of the rows that were read, by column.
        keys: Those that they were made with.
        anew: These are all rows; else they were added to the table.
    """
    key = keys.hash_master.id if sketches else ""
    if anew:
        connection.execute("DELETE FROM atlas.join_sketches WHERE name = %s", [name])
    else:
        known = _sketches(connection, name, key)
        sketches = {column: known[column].merged(new) if column in known else new for column, new in sketches.items()}
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO atlas.join_sketches (name, column_name, key, counters, sketch) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (name, column_name) DO UPDATE SET key = EXCLUDED.key, counters = EXCLUDED.counters,"
            " sketch = EXCLUDED.sketch",
            [(name, column, key, sketch.counters, list(sketch.hashes)) for column, sketch in sketches.items()],
        )


def mismatches(connection: psycopg.Connection, name: str) -> list[Mismatch]:
    """The columns of a published silver table that other tables hold too, and treat so that a join finds nothing.

    Args:
        connection: Reads Atlas's tables.
        name: The table's name.
    """
    plans = recorded_plans(connection, "silver", name)
    found: dict[tuple[str, str, str], Mismatch] = {}
    for column, mine in _sketches(connection, name, None).items():
        if column not in plans or plans[column].plan.action not in _COMPARABLE:
            continue
        plan = plans[column].plan
        for table, other, theirs in _sharing(connection, name, column, plan):
            common, share = mine.common(theirs)
            counters = mine.counters or theirs.counters
            if common < _LEAST_COMMON or share < _LEAST_SHARE or (counters and not _alike(name, plan, table, other)):
                continue
            found[column, table, other.name] = Mismatch(plan, table, other)
    return [found[key] for key in sorted(found)]


def _sketches(connection: psycopg.Connection, name: str, key: str | None) -> dict[str, Sketch]:
    rows = connection.execute(
        "SELECT column_name, sketch, counters FROM atlas.join_sketches WHERE name = %s AND key = coalesce(%s, key)",
        [name, key],
    )
    return {column: Sketch(tuple(hashes), counters) for column, hashes, counters in rows}


def _sharing(
    connection: psycopg.Connection, name: str, column: str, plan: ColumnPlan
) -> Iterator[tuple[str, ColumnPlan, Sketch]]:
    """Columns of other tables with a hash in common, of which one has tokens and joining them finds nothing."""
    rows = connection.execute(
        "SELECT p.name, p.column_name, p.class, p.entity, p.confidence, p.evidence, p.action, p.key_domain, p.declared,"
        " p.form, theirs.sketch, theirs.counters FROM atlas.join_sketches mine JOIN atlas.join_sketches theirs"
        " ON theirs.sketch && mine.sketch AND theirs.key = mine.key AND theirs.name <> mine.name"
        " JOIN atlas.column_plans p ON p.layer = 'silver' AND p.name = theirs.name"
        " AND p.column_name = theirs.column_name"
        " WHERE mine.name = %s AND mine.column_name = %s AND p.action = ANY(%s)",
        [name, column, list(_COMPARABLE if plan.action in KEYED_ACTIONS else KEYED_ACTIONS)],
    )
    for table, *parts, hashes, counters in rows.fetchall():
        other = ColumnPlan(*parts)
        if not _joinable(plan, other):
            yield table, other, Sketch(tuple(hashes), counters)


def _joinable(plan: ColumnPlan, other: ColumnPlan) -> bool:
    """Whether equal values are equal after both treatments."""
    if plan.action != other.action or plan.action not in KEYED_ACTIONS:
        return plan.action == other.action
    return (plan.domain, plan.form) == (other.domain, other.form) and same_form(plan.entity, other.entity)


def _alike(name: str, plan: ColumnPlan, table: str, other: ColumnPlan) -> bool:
    """Whether names say that two columns of small numbers mean the same: `customer_id`, or `id` of `customers`."""
    mine, theirs = _meaning(name, plan.name), _meaning(table, other.name)
    return bool(mine & theirs)


def _meaning(table: str, column: str) -> set[str]:
    words = {word.removesuffix("s") for word in _WORDS.findall(column.lower())} - _MEANINGLESS
    return words or {word.removesuffix("s") for word in _WORDS.findall(table.lower())}


def _treatment(plan: ColumnPlan) -> str:
    words = {"keep": "kept as it is", "mask": "masked", "hash": "hashed", "encrypt": "encrypted"}[plan.action]
    if plan.action not in KEYED_ACTIONS:
        return words
    domain = f", key domain {plan.domain}" if plan.domain and plan.domain != plan.entity else ""
    return f"{words} as {plan.entity or 'of no kind'}{domain}, form {plan.form}"


def _remedy(plan: ColumnPlan, table: str, other: ColumnPlan) -> str:
    if plan.action != other.action:
        mine = plan.action in KEYED_ACTIONS and (other.action not in KEYED_ACTIONS or plan.action == "hash")
        model, changed, where = (plan, other, f"in {table}") if mine else (other, plan, "here")
        kind = f"`pii: {model.entity}`, " if model.entity else ""
        domain = f", `key_domain: {model.domain}`" if model.domain and model.domain != model.entity else ""
        return f"declare {kind}`action: {model.action}`{domain} for {changed.name!r} {where}, or do not join them"
    if (plan.domain, plan.entity) != (other.domain, other.entity):
        return "declare the same `pii` and the same `key_domain` for both"
    return f"`atlas pii renew` the table whose tokens have a form before {FORM}"
