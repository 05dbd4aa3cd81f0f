"""The asset silver/<name> of a dataset, its checks, and what they show in the UI.

Belongs here: Dagster's side of a build: steps, metadata, check results. Does not belong here: the YAML (`dataset.py`),
typing (`ingest/`) and measuring (`quality/`). No value of an unmasked column is ever put into metadata or a log.
"""

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import dagster as dg
import psycopg

from atlas_pipeline import labels
from atlas_pipeline.ingest.copying import FILE_ID, LINE
from atlas_pipeline.ingest.damage import BronzeDamaged
from atlas_pipeline.ingest.dataset import MISSING_SINCE, Dataset
from atlas_pipeline.ingest.merging import count_deleted
from atlas_pipeline.ingest.planning import PersonalDataDrift, decided
from atlas_pipeline.ingest.quarantine import FailedRow, misfits_by_file, quarantine_failed
from atlas_pipeline.ingest.reconcile import Reconciliation, reconcile
from atlas_pipeline.ingest.silver import Published, SchemaDrift, SilverBuild, SilverResult, Staged, build_silver
from atlas_pipeline.orchestration.tables.anomalies import AnomalyAudit, anomaly_specs, day_of, table_numbers
from atlas_pipeline.orchestration.tables.catalogue_link import catalogue_link
from atlas_pipeline.orchestration.tables.checks import TableAudit, TableChecks, blocking, limits_of
from atlas_pipeline.orchestration.tables.history import HistoryAsset, Result
from atlas_pipeline.orchestration.tables.personal_data import (
    as_published,
    leak_result,
    leak_spec,
    pii_tags,
    plan_table,
    shown_key,
)
from atlas_pipeline.orchestration.tables.preview import preview
from atlas_pipeline.orchestration.tables.reidentification import RiskAudit, reidentification_spec, without_risk
from atlas_pipeline.orchestration.tables.steps import RETRY, partitions_of, progress_log, published_table
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.pii.joins import mismatches
from atlas_pipeline.pii.keys import KeyMissing, load_keys
from atlas_pipeline.pii.leaks import sweep_table
from atlas_pipeline.pii.reidentification import RiskRule
from atlas_pipeline.pii.rules import ModelMissing
from atlas_pipeline.quality.generated import (
    FILES_READABLE,
    ROWS_FIT,
    ROWS_RECONCILED,
    VALUES_JOIN,
    rows_fit,
    rows_reconciled,
    values_join,
)
from atlas_pipeline.quality.history import newest_outcomes
from atlas_pipeline.quality.measures import Scope
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.warehouse.ledger import loaded_files
from atlas_pipeline.warehouse.publish import PublishError, TableBusy, published

_FILES_SHOWN = 50


def silver_asset(
    dataset: Dataset,
    shared: Mapping[str, Any],
    spec: Mapping[str, Any],
    column_tags: Mapping[str, Mapping[str, str]],
    checks: TableChecks,
    risk: RiskRule,
    *,
    anomalies: bool = True,
) -> dg.AssetsDefinition:
    """silver/<name>: published only when its contract holds; its checks can also be run alone, on what is published.

    Args:
        dataset: as declared.
        shared: arguments of the step that all steps of the dataset have.
        spec: arguments of the asset's spec.
        column_tags: declared tags of each column.
        checks: of the table.
        risk: what is declared of how rows of persons may be told apart.
        anomalies: whether it is compared with its own history.
    """
    declared = dataset.planned(decided(dataset, {}))
    history = HistoryAsset(dataset, spec, column_tags) if dataset.history else None
    table = {"dagster/table_name": f"silver.{dataset.name}"}
    metadata = {**table, **_columns(declared, column_tags), **catalogue_link(checks.asset)}

    @dg.multi_asset(
        name=f"silver__{dataset.name}",
        specs=[
            dg.AssetSpec(
                key=checks.asset,
                deps=[dg.AssetKey(["bronze", dataset.name])],
                group_name="silver",
                kinds={"postgres"},
                metadata=metadata,
                **spec,
            ),
            *([history.spec(declared)] if history else []),
        ],
        check_specs=[
            *(leak_spec(checks.asset), reidentification_spec(checks.asset)),
            *anomaly_specs(checks.asset, enabled=anomalies),
            *checks.specs,
            *(history.check_specs if history else []),
        ],
        can_subset=True,
        retry_policy=RETRY,
        pool=f"silver_{dataset.name}",
        **shared,
    )
    def build_table(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> Iterator[Result]:
        unusual = AnomalyAudit(anomalies, "silver", dataset.name, dataset.timezone)
        if context.selected_asset_keys:
            results: Iterator[Result] = _materialize(context, warehouse, dataset, column_tags, checks, risk, unusual)
        else:
            results = _check_published(context, warehouse, dataset, checks, risk, unusual)
        yield from (result for result in results if _asked_for(context, result))

    return build_table


def _asked_for(context: dg.AssetExecutionContext, result: Result) -> bool:
    """Whether a run asked for what came of a table: silver and its history are built together, whichever it was."""
    if isinstance(result, dg.MaterializeResult):
        return result.asset_key in context.selected_asset_keys
    assert result.asset_key is not None
    assert result.check_name is not None
    return dg.AssetCheckKey(result.asset_key, result.check_name) in context.selected_asset_check_keys


def _materialize(
    context: dg.AssetExecutionContext,
    warehouse: WarehouseResource,
    dataset: Dataset,
    column_tags: Mapping[str, Mapping[str, str]],
    checks: TableChecks,
    risk: RiskRule,
    unusual: AnomalyAudit,
) -> Iterator[Result]:
    """Build the table; dg.Failure, after the results of its checks, when it was not published."""
    started = time.monotonic()
    changing, limits = [MISSING_SINCE] if dataset.intake.flag_missing else [], limits_of(warehouse.settings)
    lineage = (FILE_ID, LINE)
    audit = TableAudit(checks, warehouse.url, context.run.run_id, lineage=lineage, changing=changing, limits=limits)
    history = HistoryAsset(dataset, {}, column_tags) if dataset.history else None
    risks = RiskAudit(risk)
    verify = partial(_verify, warehouse, audit, risks, unusual)
    try:
        with warehouse.connect() as connection:
            _refuse_nothing(connection, dataset.name)
            result = build_silver(_build(context, warehouse, connection, dataset, audit), verify)
            failed = blocking(result.audited.outcomes)
            outcomes = [*without_risk(result.audited.outcomes), *_own(connection, dataset.name, result.audited.rows)]
            risks.record(connection, "silver", dataset.name, context.run.run_id, published=result.shown_to_readers)
            scores = audit.record(connection, outcomes, published=result.shown_to_readers)
            if not result.shown_to_readers:
                quarantine_failed(connection, dataset.name, list(_failed_rows(outcomes)))
            shown = preview(connection, result.dataset) if result.published else ""
            if history and result.shown_to_readers:
                history.measure(connection, context.run.run_id)
            _note(connection, context, unusual, result, scores, time.monotonic() - started)
            compared = unusual.results(connection)
    except PersonalDataDrift as error:
        yield leak_result(checks.asset, None, str(error))
        raise dg.Failure(str(error), allow_retries=False) from None
    except (BronzeDamaged, SchemaDrift, PublishError, TableBusy, KeyMissing, ModelMissing) as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    if result.published:
        metadata = _counts(result, result.published) | _columns(result.dataset, column_tags) | scores
        metadata |= {labels.SECONDS: round(time.monotonic() - started, 3), "preview": dg.MetadataValue.md(shown)}
        yield dg.MaterializeResult(asset_key=checks.asset, metadata=metadata)
    yield leak_result(checks.asset, result.audited.leaks)
    yield risks.result(checks.asset)
    yield from compared
    yield from audit.results(outcomes, shown_key(result.dataset))
    if history:
        yield from history.results(result)
    if not result.published:
        reasons = f" Failed: {failed}" if failed else ""
        raise dg.Failure(f"{result.audited.refusal}.{reasons}", allow_retries=False)


def _refuse_nothing(connection: psycopg.Connection, name: str) -> None:
    """Raises dg.Failure: no file of a dataset that was never published could be loaded."""
    if published(connection, "silver", name) or loaded_files(connection, name, pending=False):
        return
    outcomes = newest_outcomes(connection, "bronze", name)
    unread = next((int(one.measured or 0) for one in outcomes if one.check.path == FILES_READABLE.path), 0)
    if unread:
        raise dg.Failure(
            f"silver.{name} was not published: {unread:,} {'file' if unread == 1 else 'files'} landed and none could "
            f"be loaded, so that its first table would be empty. The check {FILES_READABLE.path} of bronze/{name} says "
            "why. Correct what it names, and run again",
            allow_retries=False,
        )


def _verify(
    warehouse: WarehouseResource,
    audit: TableAudit,
    risks: RiskAudit,
    unusual: AnomalyAudit,
    planned: Dataset,
    staged: Staged,
) -> list[Outcome]:
    """What blocks publication of a staged table, and the outcomes of its contract."""
    table = (staged.schema, staged.table)
    with warehouse.connect() as reading:
        told_apart = risks.measure(reading, *table, planned.plans, _names(planned))
        if staged.new_rows:
            unusual.measure(reading, staged.schema, staged.new, _names(planned))
    return [*audit.verify(*table, shown_key(planned), staged.change), *told_apart]


def _build(
    context: dg.AssetExecutionContext,
    warehouse: WarehouseResource,
    connection: psycopg.Connection,
    dataset: Dataset,
    audit: TableAudit,
) -> SilverBuild:
    """What the build of a run works with. Raises KeyMissing."""
    return SilverBuild(
        connection,
        warehouse.url,
        dataset,
        run_id=context.run.run_id,
        keys=load_keys(warehouse.settings),
        partitions=partitions_of(context),
        lock_seconds=warehouse.settings.lock_timeout_seconds,
        progress=progress_log(context),
        recording=audit.keep_counts,
    )


def _note(
    connection: psycopg.Connection,
    context: dg.AssetExecutionContext,
    unusual: AnomalyAudit,
    result: SilverResult[Outcome],
    scores: Mapping[str, Any],
    seconds: float,
) -> None:
    """Write down how this publication was, where one was made."""
    if not result.published or not result.published.changed:
        return
    merged = result.planned.base is not None
    rows = result.staged.typed.read if merged else result.published.rows
    files = len(result.planned.files) if merged else None
    numbers = table_numbers(rows, seconds, scores.get(labels.QUALITY_SCORE), files)
    scope: Scope = "new rows" if merged else "whole table"
    unusual.record(connection, context.run.run_id, scope, numbers, day_of(partitions_of(context)))


def _counts(result: SilverResult[Outcome], published: Published) -> dict[str, Any]:
    """What a build did, as metadata."""
    rejected = result.staged.typed.rejected
    counts: dict[str, Any] = {
        "dagster/row_count": published.rows,
        labels.ROWS_IN: result.staged.typed.read,
        labels.ROWS_PUBLISHED: published.rows,
        labels.ROWS_QUARANTINED: published.quarantined,
        "rows that gave way to a later one": result.staged.duplicates,
        "rows rejected now": rejected.total(),
        **({"rows that say they are deleted": result.staged.deleted} if result.dataset.deleted_by else {}),
        labels.PERSONAL_DATA_COLUMNS: sum(1 for plan in result.plans if plan.personal),
        labels.PERSONAL_DATA_PLAN: plan_table(result.plans),
        "source files": result.files[:_FILES_SHOWN],
        "rebuilt": result.rebuilt,
    }
    counts |= {f"rejected: {rule}": count for rule, count in sorted(rejected.items())}
    if result.undeclared:
        counts["columns not declared"] = result.undeclared
    return counts


def _check_published(
    context: dg.AssetExecutionContext,
    warehouse: WarehouseResource,
    dataset: Dataset,
    checks: TableChecks,
    risk: RiskRule,
    unusual: AnomalyAudit,
) -> Iterator[dg.AssetCheckResult]:
    """The checks that were asked for, on the table as it is."""
    names = {key.name for key in context.selected_asset_check_keys if key.asset_key == checks.asset}
    history = HistoryAsset(dataset, {}, {}) if dataset.history else None
    audit = TableAudit(checks, warehouse.url, context.run.run_id, lineage=(FILE_ID, LINE), names=names)
    name = dataset.name
    with published_table(warehouse, "silver", name) as (connection, publication):
        planned = as_published(connection, dataset)
        key = shown_key(planned)
        outcomes = audit.verify("silver", name, key)
        if {ROWS_RECONCILED.path, ROWS_FIT.path} & names:
            duplicates, deleted = publication.duplicates or 0, count_deleted(connection, dataset)
            rows = reconcile(connection, name, "silver", name, duplicates=duplicates, deleted=deleted)
            if ROWS_RECONCILED.path in names:
                outcomes.append(_accounted(rows))
            if ROWS_FIT.path in names:
                outcomes.append(rows_fit(rows.bronze, misfits_by_file(connection, name)))
        if VALUES_JOIN.path in names:
            outcomes.append(_joins(connection, name))
        audit.record(connection, outcomes, published=True)
        if labels.LEAK_CHECK in names:
            report = sweep_table(connection, "silver", name, planned.plans, planned.policy.rules)
            yield leak_result(checks.asset, report)
        if labels.REIDENTIFICATION in names:
            risks = RiskAudit(risk)
            risks.measure(connection, "silver", name, planned.plans, _names(planned))
            risks.record(connection, "silver", name, context.run.run_id, published=True)
            connection.commit()
            yield risks.result(checks.asset)
        if labels.ANOMALIES in names:
            yield from unusual.results(connection)
        if history and any(check.asset_key == history.key for check in context.selected_asset_check_keys):
            yield from history.check(connection, planned, context.run.run_id)
    yield from audit.results(outcomes, key)


def _accounted(rows: Reconciliation) -> Outcome:
    return rows_reconciled(rows.bronze, rows.silver, rows.quarantined, rows.duplicates, rows.unaccounted, rows.deleted)


def _own(connection: psycopg.Connection, name: str, rows: Reconciliation) -> list[Outcome]:
    """The checks that need no contract."""
    return [_accounted(rows), rows_fit(rows.bronze, misfits_by_file(connection, name)), _joins(connection, name)]


def _joins(connection: psycopg.Connection, name: str) -> Outcome:
    """Whether the published table can be joined with those that hold the same values."""
    return values_join([str(each) for each in mismatches(connection, name)])


def _failed_rows(outcomes: list[Outcome]) -> Iterator[FailedRow]:
    """The rows for which a table was not published, as far as their checks name them."""
    for outcome in outcomes:
        if outcome.blocks:
            columns = (outcome.check.column,) if outcome.check.column else ()
            for row in outcome.sample:
                if FILE_ID in row and LINE in row:
                    yield FailedRow(int(row[FILE_ID]), int(row[LINE]), outcome.check.path, columns, outcome.check.title)


def _names(dataset: Dataset) -> list[str]:
    return [column.name for column in dataset.published_columns]


def _columns(dataset: Dataset, column_tags: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The columns as they are planned, and where they come from, as metadata."""
    bronze = dg.AssetKey(["bronze", dataset.name])
    columns = [
        dg.TableColumn(
            column.name,
            column.postgres_type,
            column.comment(dataset.timezone),
            tags=dict(column_tags.get(column.name, {})) | dict(pii_tags(column.plan)),
        )
        for column in dataset.published_columns
    ]
    if dataset.intake.flag_missing:
        columns.append(dg.TableColumn(MISSING_SINCE, "timestamptz", "Since when snapshots lack the row; empty if not."))
    lineage = {column.name: [dg.TableColumnDep(bronze, column.name)] for column in dataset.published_columns}
    return {
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/column_lineage": dg.TableColumnLineage(lineage),
    }
