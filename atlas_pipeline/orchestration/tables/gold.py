"""The asset gold/<name> of a model, its checks, and what they show in the UI.

Belongs here: Dagster's side of a model: its step, metadata, check results; dependencies and column lineage as the SQL
says. Does not belong here: the YAML (`gold_model.py`), running SQL (`warehouse/gold.py`) and measuring (`quality/`).
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import psycopg

from atlas_pipeline import labels
from atlas_pipeline.orchestration.tables.anomalies import AnomalyAudit, anomaly_specs, table_numbers
from atlas_pipeline.orchestration.tables.catalogue_link import catalogue_link
from atlas_pipeline.orchestration.tables.checks import TableAudit, TableChecks, blocking, limits_of
from atlas_pipeline.orchestration.tables.model_tests import ModelTests, unit_tests_result, unit_tests_spec
from atlas_pipeline.orchestration.tables.personal_data import leak_result, leak_spec, pii_tags, plan_table
from atlas_pipeline.orchestration.tables.refresh import up_to_date_result, up_to_date_spec
from atlas_pipeline.orchestration.tables.reidentification import RiskAudit, reidentification_spec
from atlas_pipeline.orchestration.tables.small_groups import (
    GroupAudit,
    GroupRule,
    recorded_small_groups,
    small_groups_result,
    small_groups_spec,
)
from atlas_pipeline.orchestration.tables.steps import RETRY, progress_log, published_table
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.pii.gold_audit import GoldAudit, Source
from atlas_pipeline.pii.reidentification import RiskRule
from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.sql.lineage import Disguise, Model
from atlas_pipeline.warehouse import gold
from atlas_pipeline.warehouse.due import GoldDefinition
from atlas_pipeline.warehouse.increments import Incremental
from atlas_pipeline.warehouse.publish import PublishError, TableBusy, table_lock


@dataclass(frozen=True)
class GoldTable:
    """A model, and what holds for its table.

    Attributes:
        model: its SELECT.
        lineage: the columns that each of its columns is made from.
        key: columns of the primary key, none when empty.
        allowed: columns that may hold personal data which silver keeps.
        rules: of the project, for what is personal data.
        checks: of the table.
        tests: of the model.
        groups: the rule for groups of few persons.
        risk: the rule for rows of single persons.
        disguises: calls in the model whose results hide what they were made of.
        incremental: how it follows new rows; null for a table that is computed as a whole each time.
        anomalies: whether it is compared with its own history.
    """

    model: Model
    lineage: Mapping[str, Sequence[Source]]
    key: Sequence[str]
    allowed: Collection[str]
    rules: Rules
    checks: TableChecks
    tests: ModelTests
    groups: GroupRule
    risk: RiskRule
    disguises: Sequence[Disguise] = ()
    incremental: Incremental | None = None
    anomalies: bool = True

    @property
    def name(self) -> str:
        """Of the table in the schema gold."""
        return self.checks.asset.path[-1]

    @property
    def definition(self) -> GoldDefinition:
        """What decides when the table is due."""
        sources = frozenset((source.schema, source.name) for source in self.model.tables)
        fingerprint = gold.fingerprint(self.model.statement, self.key, self.groups.parts)
        return GoldDefinition(self.name, fingerprint, sources)

    @property
    def column_lineage(self) -> dg.TableColumnLineage:
        """The lineage as Dagster shows it."""
        return dg.TableColumnLineage(
            {
                column: [dg.TableColumnDep(dg.AssetKey([s.schema, s.table]), s.column) for s in sources]
                for column, sources in self.lineage.items()
            }
        )

    def privacy(self, connection: psycopg.Connection) -> GoldAudit:
        """The leak check, under the plans that silver and gold are published with now."""
        return GoldAudit(connection, self.name, self.lineage, self.allowed, self.rules, self.disguises)

    def shown_key(self, privacy: GoldAudit) -> list[str]:
        """The key columns whose values tell nothing about a person."""
        return [column for column in self.key if not privacy.plans[column].personal]


def gold_asset(table: GoldTable, spec: Mapping[str, Any]) -> dg.AssetsDefinition:
    """gold/<name>: a SELECT as a table, published only when its contract holds and it holds no unknown personal data.

    Its checks can also be run alone, on what is published.

    Args:
        table: the model, and what holds for its table.
        spec: arguments of the asset's spec.
    """
    name, asset = table.name, table.checks.asset
    tests = [unit_tests_spec(asset)] if table.tests.tests else []

    @dg.multi_asset(
        name=f"gold__{name}",
        specs=[
            dg.AssetSpec(
                key=asset,
                deps=[dg.AssetKey([source.schema, source.name]) for source in table.model.tables],
                group_name="gold",
                kinds={"postgres", "sql"},
                metadata={
                    "dagster/table_name": f"gold.{name}",
                    "dagster/column_lineage": table.column_lineage,
                    **catalogue_link(asset),
                },
                code_version=table.definition.fingerprint,
                **spec,
            )
        ],
        check_specs=[
            *(leak_spec(asset), small_groups_spec(asset), reidentification_spec(asset), up_to_date_spec(asset)),
            *anomaly_specs(asset, enabled=table.anomalies),
            *tests,
            *table.checks.specs,
        ],
        can_subset=True,
        retry_policy=RETRY,
        pool=f"gold_{name}",
    )
    def run_model(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        selected = {key.name for key in context.selected_asset_check_keys}
        tested = unit_tests_result(warehouse, asset, table.tests) if labels.UNIT_TESTS in selected else None
        if tested is not None:
            yield tested
        if asset in context.selected_asset_keys:
            if tested is not None and not tested.passed:
                raise dg.Failure(
                    f"{table.model.path}: gold.{name} was not published: its unit tests fail, the published table is "
                    f"as it was. Look with `atlas test {name}`",
                    allow_retries=False,
                )
            yield from _materialize(context, warehouse, table)
        else:
            yield from _check_published(context, warehouse, table)

    return run_model


def _materialize(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, table: GoldTable
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Build the table; dg.Failure, after the results of its checks, when it was not published."""
    started, name = time.monotonic(), table.name
    audit = TableAudit(table.checks, warehouse.url, context.run.run_id, limits=limits_of(warehouse.settings))
    outcomes: list[Outcome] = []
    key: list[str] = []
    failure: str | None = None
    groups: GroupAudit | None = None
    unusual, compared = AnomalyAudit(table.anomalies, "gold", name), list[dg.AssetCheckResult]()
    try:
        with warehouse.connect() as connection:
            privacy = table.privacy(connection)
            groups = GroupAudit(connection, name, table.groups)
            risks = RiskAudit(table.risk, groups.subject, applies=groups.of_single_persons)
            key = table.shown_key(privacy)
            build = gold.GoldBuild(
                connection,
                name,
                table.model.statement,
                context.run.run_id,
                table.key,
                table.definition.sources,
                progress_log(context),
                groups.statement,
                table.groups.parts,
                table.incremental,
            )
            with table_lock(connection, "gold", name, warehouse.settings.lock_timeout_seconds):
                staged = groups.treat(gold.stage(build))
                outcomes = audit.verify(staged.schema, staged.table, key, staged.change)
                unusual.measure(connection, staged.schema, staged.new, list(table.lineage))
                told_apart = risks.measure(connection, staged.schema, staged.table, privacy.plans, table.lineage)
                failure = _publish(build, staged, privacy, groups, [*outcomes, *told_apart], audit)
                risks.record(connection, "gold", name, context.run.run_id, published=failure is None)
                connection.commit()
            scores = audit.record(connection, outcomes, published=failure is None)
            types = gold.column_types(connection, name) if failure is None else {}
            if failure is None:
                _note(connection, context, unusual, staged, scores | {labels.SECONDS: time.monotonic() - started})
            compared = unusual.results(connection)
            up_to_date = up_to_date_result(connection, table.checks.asset, table.definition)
    except (gold.ModelFailed, PublishError, TableBusy) as error:
        failure = str(error)
    if failure is None:
        metadata = _metadata(table, staged, privacy, types) | scores
        metadata |= {labels.SECONDS: round(time.monotonic() - started, 3)}
        yield dg.MaterializeResult(asset_key=table.checks.asset, metadata=metadata)
        yield up_to_date
    if privacy.report:
        yield leak_result(table.checks.asset, privacy.report, privacy.problem, privacy.unmasked)
        if groups:
            yield small_groups_result(table.checks.asset, groups.found)
        yield risks.result(table.checks.asset)
        yield from compared
    yield from audit.results(outcomes, key)
    if failure is not None:
        failed = blocking([*outcomes, *told_apart]) if privacy.report else ""
        raise _not_published(table, failure, privacy.problem, groups.problem if groups else None, failed)


def _not_published(table: GoldTable, failure: str, *problems: str | None) -> dg.Failure:
    """The end of a run that published nothing, with all that was wrong."""
    reasons = "; ".join(filter(None, problems))
    said = f" Failed: {reasons}" if reasons else ""
    return dg.Failure(f"{table.model.path}: {failure}{said}", allow_retries=False)


def _note(
    connection: psycopg.Connection,
    context: dg.AssetExecutionContext,
    unusual: AnomalyAudit,
    staged: gold.Staged,
    measured: Mapping[str, Any],
) -> None:
    """Write down how this publication was; `measured` is its metadata so far."""
    rows = staged.increment.rows if staged.increment else staged.rows
    numbers = table_numbers(rows, measured[labels.SECONDS], measured.get(labels.QUALITY_SCORE))
    unusual.record(connection, context.run.run_id, "new rows" if staged.increment else "whole table", numbers)


def _publish(
    build: gold.GoldBuild,
    staged: gold.Staged,
    privacy: GoldAudit,
    groups: GroupAudit,
    outcomes: Collection[Outcome],
    audit: TableAudit,
) -> str | None:
    """Publish a staged table that passes its checks; else say why not."""
    fit = privacy.passes(staged.schema, staged.new) and not blocking(outcomes) and not groups.problem
    with build.connection.transaction():
        if fit:
            gold.publish(build, staged)
            privacy.record()
            audit.keep_counts(build.connection)
        groups.record(build.run_id, published=fit)
    if fit:
        return None
    return (
        f"gold.{build.name} was not published: the new table fails its checks, the published one is as it was. Look at "
        f"{staged.schema}.{staged.table}."
    )


def _metadata(table: GoldTable, staged: gold.Staged, privacy: GoldAudit, types: Mapping[str, str]) -> dict[str, Any]:
    """What a published build shows; `types` are the columns' Postgres types."""
    columns = [dg.TableColumn(c, t, tags=dict(pii_tags(privacy.plans.get(c)))) for c, t in types.items()]
    return {
        "dagster/row_count": staged.rows,
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/column_lineage": table.column_lineage,
        labels.ROWS_PUBLISHED: staged.rows,
        "rows before": staged.before or 0,
        **_built(staged),
        labels.PERSONAL_DATA_COLUMNS: sum(1 for plan in privacy.plans.values() if plan.personal),
        labels.PERSONAL_DATA_PLAN: plan_table(privacy.plans.values()),
    }


def _built(staged: gold.Staged) -> dict[str, Any]:
    """How the table of an incremental model was built; nothing for one that is computed as a whole each time."""
    if staged.increment:
        return {
            "built": "by new rows",
            "keys computed": staged.increment.keys,
            "rows replaced": staged.increment.replaced,
        }
    return {"built": f"as a whole: {staged.whole}"} if staged.whole else {}


def _check_published(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, table: GoldTable
) -> Iterator[dg.AssetCheckResult]:
    """The checks that were asked for, on the table as it is."""
    names = {key.name for key in context.selected_asset_check_keys}
    audit = TableAudit(table.checks, warehouse.url, context.run.run_id, names=names)
    with published_table(warehouse, "gold", table.name) as (connection, _):
        privacy = table.privacy(connection)
        key = table.shown_key(privacy)
        outcomes = audit.verify("gold", table.name, key)
        audit.record(connection, outcomes, published=True)
        if labels.LEAK_CHECK in names:
            privacy.passes("gold", table.name)
            yield leak_result(table.checks.asset, privacy.report, privacy.problem, privacy.unmasked)
        if labels.SMALL_GROUPS in names:
            yield small_groups_result(table.checks.asset, recorded_small_groups(connection, table.name))
        if labels.REIDENTIFICATION in names:
            groups = GroupAudit(connection, table.name, table.groups)
            risks = RiskAudit(table.risk, groups.subject, applies=groups.of_single_persons)
            risks.measure(connection, "gold", table.name, privacy.plans, table.lineage)
            risks.record(connection, "gold", table.name, context.run.run_id, published=True)
            connection.commit()
            yield risks.result(table.checks.asset)
        if labels.ANOMALIES in names:
            yield from AnomalyAudit(table.anomalies, "gold", table.name).results(connection)
        if labels.UP_TO_DATE in names:
            yield up_to_date_result(connection, table.checks.asset, table.definition)
    yield from audit.results(outcomes, key)
