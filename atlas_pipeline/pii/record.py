"""`atlas.column_plans`: what was decided for each column of each published table, and on what evidence.

Belongs here: every statement on that table. Does not belong here: deciding (`plan.py`). Counts and names of rules are
kept, never a value.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psycopg

from atlas_pipeline.pii.plan import ColumnPlan, ColumnProfile
from atlas_pipeline.pii.rules import Rules

_RECOGNISERS_VERSION = 1
"""Another number has every column that nobody declared profiled anew."""


@dataclass(frozen=True)
class RecordedPlan:
    """A plan as it was published, and by which rules it was found."""

    plan: ColumnPlan
    rules: str

    def decided_by(self, rules: str) -> bool:
        """Whether these rules found it, in values and not in their absence, and no person said it."""
        return not self.plan.declared and self.plan.confidence > 0 and self.rules == rules

    @property
    def profile(self) -> ColumnProfile:
        """What was found then, for planning the column again under another policy."""
        plan = self.plan
        return ColumnProfile(plan.name, plan.column_class, plan.entity, plan.confidence, plan.evidence)


def rules_fingerprint(rules: Rules) -> str:
    """Tells one set of recognisers from another, files of recognisers by their content."""
    parts = [_RECOGNISERS_VERSION, sorted(rules.allow), sorted(rules.deny), rules.content.hex(), rules.model]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def recorded_plans(connection: psycopg.Connection, layer: str, name: str) -> dict[str, RecordedPlan]:
    """The plans of a table as it was last published, by column; empty for one that never was."""
    rows = connection.execute(
        "SELECT column_name, class, entity, confidence, evidence, action, key_domain, declared, rules"
        " FROM atlas.column_plans WHERE layer = %s AND name = %s ORDER BY position",
        [layer, name],
    )
    return {row[0]: RecordedPlan(ColumnPlan(*row[:8]), row[8]) for row in rows}


def record_plans(
    connection: psycopg.Connection, layer: str, name: str, plans: Iterable[ColumnPlan], rules: str
) -> None:
    """Write the plans down, in the transaction that publishes the table."""
    connection.execute("DELETE FROM atlas.column_plans WHERE layer = %s AND name = %s", [layer, name])
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO atlas.column_plans (layer, name, position, column_name, class, entity, confidence, evidence,"
            " action, key_domain, declared, rules) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    *(layer, name, position, one.name, one.column_class, one.entity, one.confidence),
                    *(json.dumps(dict(one.evidence)), one.action, one.domain, one.declared, rules),
                )
                for position, one in enumerate(plans)
            ],
        )


def inherited(column: str, sources: Mapping[str, ColumnPlan]) -> ColumnPlan:
    """The plan of a column that is computed from others, by the names of these: the least protected one counts.

    A source that holds no personal data, or of which nothing is known, adds nothing. Where a person declared of each
    source that it holds none, that goes for the column too.
    """
    trusted = bool(sources) and all(plan.declared and plan.entity is None for plan in sources.values())
    personal = [plan for _, plan in sorted(sources.items()) if plan.personal]
    evidence = {"sources": len(sources), "personal_sources": len(personal)}
    if not personal:
        return ColumnPlan(column, "clean", None, 1.0, evidence, "keep", declared=trusted)
    worst = next((plan for plan in personal if plan.action == "keep"), personal[0])
    return ColumnPlan(
        column, worst.column_class, worst.entity, worst.confidence, evidence, worst.action, worst.domain, worst.declared
    )
