"""The leak check of a gold table: plans inherited by column lineage, and a sweep of the table's own values.

Belongs here: plans that follow columns into gold, and personal columns that the model does not allow. Does not belong
here: reading the model's SQL (`sql/lineage.py`).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import psycopg

from atlas_pipeline.pii.columns.headers import read
from atlas_pipeline.pii.kinds import kind_of
from atlas_pipeline.pii.leaks import LeakReport, sweep_table
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.record import RecordedPlan, inherited, record_plans, recorded_plans, rules_fingerprint
from atlas_pipeline.pii.rules import Rules


class Source(Protocol):
    """A column of a table that a gold column is computed from."""

    @property
    def schema(self) -> str: ...
    @property
    def table(self) -> str: ...
    @property
    def column(self) -> str: ...


class Disguise(Protocol):
    """A call in a model whose result hides what it was made of, such as md5."""

    @property
    def function(self) -> str: ...
    @property
    def sources(self) -> Sequence[Source]: ...
    @property
    def joint(self) -> bool: ...


class GoldAudit:
    """One leak check of gold.<name>: call `passes` before the table is published, and `record` while it is.

    `report` holds the result of the sweep after `passes`, `plans` the inherited plan of each column.

    Args:
        connection: The owner's connection; nothing else may be under way on it, since it commits.
        name: The model's name.
        lineage: For each gold column the columns that it is computed from.
        allowed: Gold columns that may hold personal data which silver keeps (`allow_personal_data`).
        rules: Recognisers that the sweep adds to its own.
        disguises: Calls in the model that hide what a value was.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        name: str,
        lineage: Mapping[str, Sequence[Source]],
        allowed: Collection[str],
        rules: Rules,
        disguises: Sequence[Disguise] = (),
    ):
        self._connection = connection
        self._name = name
        self._allowed = {*allowed}
        self._rules = rules
        self.report: LeakReport | None = None
        tables = {(source.schema, source.table) for sources in lineage.values() for source in sources}
        recorded = {table: recorded_plans(connection, *table) for table in sorted(tables)}
        self.plans: dict[str, ColumnPlan] = {}
        for column, sources in lineage.items():
            plans = {
                f"{source.schema}.{source.table}.{source.column}": recorded[source.schema, source.table][
                    source.column
                ].plan
                for source in sources
                if source.column in recorded[source.schema, source.table]
            }
            self.plans[column] = inherited(column, plans)
        connection.commit()
        personal_kept = {column: plan for column, plan in self.plans.items() if plan.personal and plan.action == "keep"}
        self.unmasked = sorted(personal_kept.keys() - self._allowed)
        """Columns computed from personal data that silver keeps, and that the model does not allow."""
        self.disguised = self._disguised(lineage, disguises, recorded)
        """Columns that a function makes of a person's parts so that no sweep could tell, by the function's name."""

    @property
    def problem(self) -> str | None:
        """What is wrong, in names and counts; None when the check passed, or has not run."""
        if self.report is None:
            return None
        parts = []
        if self.unmasked:
            kinds = ", ".join(f"{column!r} ({self.plans[column].entity})" for column in self.unmasked)
            parts.append(
                f"made from personal data that silver keeps: {kinds}. Mask it in silver, leave it out, or list the "
                "columns in the model's `allow_personal_data`"
            )
        if self.disguised:
            calls = ", ".join(f"{column!r} by {function}()" for column, function in sorted(self.disguised.items()))
            parts.append(
                f"made of a person's parts by a function without a key, which trying values can undo: {calls}. Declare "
                "`action: hash` or `encrypt`, which have a key, for the parts in silver, or list the columns in "
                "the model's `allow_personal_data`"
            )
        if not self.report.clean:
            parts.append(str(self.report))
        return "; ".join(parts) or None

    def passes(self, schema: str, table: str) -> bool:
        """Sweep the finished table, and return whether it may be published.

        Args:
            schema: The schema it is staged in.
            table: Its name there.
        """
        self.report = sweep_table(self._connection, schema, table, self.plans, self._rules, allowed=self._allowed)
        self._connection.commit()
        return self.problem is None

    def _disguised(
        self,
        lineage: Mapping[str, Sequence[Source]],
        disguises: Sequence[Disguise],
        recorded: Mapping[tuple[str, str], Mapping[str, RecordedPlan]],
    ) -> dict[str, str]:
        found: dict[str, str] = {}
        for call in disguises:
            if not _of_a_person(call, recorded):
                continue
            for column, sources in lineage.items():
                if column not in self._allowed and set(call.sources) <= set(sources):
                    found[column] = call.function
        return found

    def record(self) -> None:
        """Write the columns' plans, in the transaction that publishes the table."""
        record_plans(self._connection, "gold", self._name, self.plans.values(), rules_fingerprint(self._rules))


def _of_a_person(call: Disguise, recorded: Mapping[tuple[str, str], Mapping[str, RecordedPlan]]) -> bool:
    """Whether the arguments are personal data in clear, or parts that make some: columns that silver keeps as they are,
    two or more, with an `@` between them or a header that is a person's."""
    plans = [
        recorded[source.schema, source.table][source.column].plan
        for source in call.sources
        if source.column in recorded.get((source.schema, source.table), {})
    ]
    if any(plan.personal and plan.action in ("keep", "mask", "generalise") for plan in plans):
        return True
    clear = [plan for plan in plans if plan.action == "keep" and not plan.declared]
    if len(clear) < 2:
        return False
    hints = [read(plan.name).kind for plan in clear]
    return call.joint or any(hint is not None and kind_of(hint).personal for hint in hints)
