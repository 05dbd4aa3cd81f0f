"""`atlas.column_plans`: the plan of each column of each published table, and its evidence.

Belongs here: every statement on that table. Does not belong here: deciding (`plan.py`). It holds counts and names of
rules, never a value.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import psycopg

from atlas_pipeline.pii.plan import RECOGNISERS, ColumnPlan, ColumnProfile
from atlas_pipeline.pii.rules import Rules

_RULES_VERSION = 1
"""Part of `rules_fingerprint`: a new number makes every undeclared column be profiled again."""


@dataclass(frozen=True)
class RecordedPlan:
    """A published plan, and the fingerprint of the rules that it was detected with."""

    plan: ColumnPlan
    rules: str

    def decided_by(self, rules: str) -> bool:
        """Whether the plan was detected from values with these rules, rather than declared or made without values."""
        return not self.plan.declared and self.plan.confidence > 0 and self.rules == rules

    @property
    def profile(self) -> ColumnProfile:
        """The profile behind the plan, for planning the column again under another policy."""
        plan = self.plan
        return ColumnProfile(plan.name, plan.column_class, plan.entity, plan.confidence, plan.evidence)


def rules_fingerprint(rules: Rules) -> str:
    """Hash what the user decides of what is detected: words, the content of the recognisers' file, the spaCy model.

    The version of Atlas's own recognisers is not in it, but in each plan: an update changes no plan.
    """
    parts = [_RULES_VERSION, sorted(rules.allow), sorted(rules.deny), rules.content.hex(), rules.model]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def recorded_plans(connection: psycopg.Connection, layer: str, name: str) -> dict[str, RecordedPlan]:
    """Read the plans of a table as it was last published.

    Args:
        connection: A connection that may read Atlas's tables.
        layer: `silver` or `gold`.
        name: The table's name.

    Returns:
        Plans by column; empty for a table that was never published.
    """
    rows = connection.execute(
        "SELECT column_name, class, entity, confidence, evidence, action, key_domain, declared, form, recognisers,"
        " rules FROM atlas.column_plans WHERE layer = %s AND name = %s ORDER BY position",
        [layer, name],
    )
    return {row[0]: RecordedPlan(replace(ColumnPlan(*row[:9]), recognisers=row[9]), row[10]) for row in rows}


def recorded_by_table(connection: psycopg.Connection, layer: str) -> dict[str, dict[str, ColumnPlan]]:
    """The plans of all published tables of a layer, by table and column."""
    rows = connection.execute(
        "SELECT name, column_name, class, entity, confidence, evidence, action, key_domain, declared, form"
        " FROM atlas.column_plans WHERE layer = %s ORDER BY name, position",
        [layer],
    )
    found: dict[str, dict[str, ColumnPlan]] = {}
    for name, column, *rest in rows:
        found.setdefault(name, {})[column] = ColumnPlan(column, *rest)
    return found


def record_plans(
    connection: psycopg.Connection, layer: str, name: str, plans: Iterable[ColumnPlan], rules: str
) -> None:
    """Replace the recorded plans of a table, in the transaction that publishes it.

    Args:
        connection: The owner's connection, in that transaction; it is not committed here.
        layer: `silver` or `gold`.
        name: The table's name.
        plans: The plans in the order of the columns.
        rules: The fingerprint of the rules that they were detected with.
    """
    connection.execute("DELETE FROM atlas.column_plans WHERE layer = %s AND name = %s", [layer, name])
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO atlas.column_plans (layer, name, position, column_name, class, entity, confidence, evidence,"
            " action, key_domain, declared, form, recognisers, rules)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    *(layer, name, position, plan.name, plan.column_class, plan.entity, plan.confidence),
                    *(json.dumps(dict(plan.evidence)), plan.action, plan.domain, plan.declared),
                    *(plan.form, plan.recognisers, rules),
                )
                for position, plan in enumerate(plans)
            ],
        )


def drop_plans(connection: psycopg.Connection, layer: str, name: str) -> int:
    """Delete the recorded plans of a table, so that its columns are profiled anew. Returns how many there were."""
    query = "DELETE FROM atlas.column_plans WHERE layer = %s AND name = %s"
    return connection.execute(query, [layer, name]).rowcount


def inherited(column: str, sources: Mapping[str, ColumnPlan]) -> ColumnPlan:
    """Plan a column that is computed from others: it inherits the plan of the least protected personal source.

    Sources without personal data add nothing. Where every source is declared to hold none, so is the column.

    Args:
        column: The computed column.
        sources: Plans of the columns it is computed from, by qualified name.
    """
    trusted = bool(sources) and all(plan.declared and plan.entity is None for plan in sources.values())
    personal = [plan for _, plan in sorted(sources.items()) if plan.personal]
    evidence = {"sources": len(sources), "personal_sources": len(personal)}
    if not personal:
        earliest = min((plan.recognisers for plan in sources.values()), default=RECOGNISERS)
        return ColumnPlan(column, "clean", None, 1.0, evidence, "keep", declared=trusted, recognisers=earliest)
    worst = next((plan for plan in personal if plan.action == "keep"), personal[0])
    return ColumnPlan(
        column,
        worst.column_class,
        worst.entity,
        worst.confidence,
        evidence,
        worst.action,
        worst.domain,
        worst.declared,
        worst.form,
        recognisers=worst.recognisers,
    )
