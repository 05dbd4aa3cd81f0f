"""The leak check of a gold table: by lineage, from what its sources hold, and by a sweep of what it holds itself.

Belongs here: tags that follow columns into gold, and columns that nobody allowed. Does not belong here: reading the
model's SQL (`sql/lineage.py`).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import psycopg

from atlas_pipeline.pii.leaks import LeakReport, sweep_table
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.record import inherited, record_plans, recorded_plans, rules_fingerprint
from atlas_pipeline.pii.rules import Rules


class Source(Protocol):
    """A column of a table that a gold column is computed from."""

    @property
    def schema(self) -> str: ...
    @property
    def table(self) -> str: ...
    @property
    def column(self) -> str: ...


class GoldAudit:
    """One check of gold.<name>: ask `passes` before it is published, `record` with it, and read what was found.

    `lineage` gives the sources of each column, `allowed` the columns that may hold personal data which silver keeps.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        name: str,
        lineage: Mapping[str, Sequence[Source]],
        allowed: Collection[str],
        rules: Rules,
    ):
        self._connection = connection
        self._name = name
        self._allowed = {*allowed}
        self._rules = rules
        self.report: LeakReport | None = None
        tables = {(one.schema, one.table) for sources in lineage.values() for one in sources}
        known = {table: recorded_plans(connection, *table) for table in sorted(tables)}
        self.plans: dict[str, ColumnPlan] = {}
        for column, sources in lineage.items():
            plans = {
                f"{one.schema}.{one.table}.{one.column}": known[one.schema, one.table][one.column].plan
                for one in sources
                if one.column in known[one.schema, one.table]
            }
            self.plans[column] = inherited(column, plans)
        connection.commit()
        kept = {column: plan for column, plan in self.plans.items() if plan.personal and plan.action == "keep"}
        self.unmasked = sorted(kept.keys() - self._allowed)
        """Columns made from personal data that is not masked, and not allowed."""

    @property
    def problem(self) -> str | None:
        """What is wrong, in names and counts; null when nothing is, or nothing was looked at."""
        if self.report is None:
            return None
        parts = []
        if self.unmasked:
            kinds = ", ".join(f"{column!r} ({self.plans[column].entity})" for column in self.unmasked)
            parts.append(
                f"made from personal data that silver keeps: {kinds}. Mask it in silver, leave it out, or list the "
                "columns in the model's `allow_personal_data`"
            )
        if not self.report.clean:
            parts.append(str(self.report))
        return "; ".join(parts) or None

    def passes(self, schema: str, table: str) -> bool:
        """Whether the finished table may be published."""
        self.report = sweep_table(self._connection, schema, table, self.plans, self._rules, allowed=self._allowed)
        self._connection.commit()
        return self.problem is None

    def record(self) -> None:
        """Write the columns' tags down, in the transaction that publishes the table."""
        record_plans(self._connection, "gold", self._name, self.plans.values(), rules_fingerprint(self._rules))
