"""The check `reidentification` of silver and gold: whether rows of persons look like those of others.

Belongs here: when it is measured, and the check's result. Does not belong here: measuring
(`pii/reidentification.py`).
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict

import dagster as dg
import psycopg
from psycopg import sql

from atlas_pipeline import labels
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.privacy_record import record_measure
from atlas_pipeline.pii.reidentification import Risk, RiskRule, measure_risk, quasi_identifiers, risk_problem
from atlas_pipeline.quality.outcome import Check, Outcome

_TITLE = "Rows of persons look like those of others"
_CHECK = Check(labels.REIDENTIFICATION, "privacy", None, _TITLE, "error", "validity")


class RiskAudit:
    """The check of one table in one run.

    Args:
        rule: what is declared.
        subject: column that says whose data a row is, where a person may have several rows.
        applies: whether rows are of single persons; groups are the matter of `small_groups`.
    """

    def __init__(self, rule: RiskRule, subject: str | None = None, *, applies: bool = True) -> None:
        self.rule, self._subject, self._applies = rule, subject, applies
        self.risk: Risk | None = None
        """What was measured; null before, and where rows are not of single persons."""

    def measure(
        self,
        connection: psycopg.Connection,
        schema: str,
        table: str,
        plans: Mapping[str, ColumnPlan],
        columns: Collection[str],
    ) -> list[Outcome]:
        """Measure a table. Returns a failure where it must not be published.

        Args:
            connection: that may read it.
            schema: that it is in.
            table: its name there.
            plans: of its columns.
            columns: that it has.
        """
        if not self._applies:
            return []
        quasi = quasi_identifiers(plans, self.rule, columns)
        sensitive = [column for column in self.rule.sensitive if column in columns and column not in quasi]
        self.risk = measure_risk(connection, sql.Identifier(schema, table), quasi, sensitive, self._subject)
        problem, blocks = risk_problem(self.risk, self.rule)
        return [Outcome(_CHECK, "failed", problem=problem)] if blocks else []

    def record(self, connection: psycopg.Connection, layer: str, name: str, run_id: str, *, published: bool) -> None:
        """Write down what was measured; it is not committed here.

        Args:
            connection: to the warehouse.
            layer: silver or gold.
            name: of the table.
            run_id: of the run that measured.
            published: whether readers see what was measured.
        """
        if self.risk is None or not self.risk.quasi:
            return
        record_measure(
            *(connection, layer, name, labels.REIDENTIFICATION, run_id, asdict(self.risk)),
            passed=risk_problem(self.risk, self.rule)[0] is None,
            published=published,
        )

    def result(self, asset: dg.AssetKey) -> dg.AssetCheckResult:
        """The result of the check; its numbers become a trend over runs."""
        risk = self.risk
        if risk is None or not risk.quasi:
            none = "there are no columns that others may know of a person" if risk else "rows are not of single persons"
            return dg.AssetCheckResult(
                check_name=labels.REIDENTIFICATION, asset_key=asset, passed=True, description=none
            )
        problem, blocks = risk_problem(risk, self.rule)
        numbers = {"k": risk.k or 0, "groups": risk.groups, "rows that are alone": risk.unique}
        numbers |= {f"l of {column}": number for column, number in risk.diversity.items()}
        metadata: dict[str, dg.MetadataValue] = {name: dg.MetadataValue.int(each) for name, each in numbers.items()}
        metadata["share of rows that are alone"] = dg.MetadataValue.float(round(risk.share_unique, 6))
        metadata["quasi-identifiers"] = dg.MetadataValue.json(list(risk.quasi))
        return dg.AssetCheckResult(
            check_name=labels.REIDENTIFICATION,
            asset_key=asset,
            passed=problem is None,
            severity=dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN,
            description=problem or f"k is {risk.k}; {risk.unique:,} of {risk.rows:,} rows are alone in their group",
            metadata=metadata,
        )


def reidentification_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check that every silver and gold table has; it blocks below a declared threshold."""
    return dg.AssetCheckSpec(
        labels.REIDENTIFICATION,
        asset=asset,
        description="Rows of persons look like those of others: k-anonymity over what others may know of a person.",
        blocking=True,
    )


def without_risk(outcomes: Collection[Outcome]) -> list[Outcome]:
    """The outcomes that are of quality."""
    return [outcome for outcome in outcomes if outcome.check is not _CHECK]
