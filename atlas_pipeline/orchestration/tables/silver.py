"""The asset silver/<name> of a dataset, its checks, and what they show in the UI.

Belongs here: Dagster's side of a build: steps, metadata, check results. Does not belong here: the YAML (`dataset.py`),
typing (`ingest/`) and measuring (`quality/`). No value of an unmasked column is ever put into metadata or a log.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from atlas_pipeline import labels
from atlas_pipeline.ingest import silver
from atlas_pipeline.ingest.bronze import FILE_ID, LINE
from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.ingest.planning import PersonalDataDrift, decided
from atlas_pipeline.ingest.quarantine import FailedRow, quarantine_failed
from atlas_pipeline.ingest.reconcile import Reconciliation, reconcile
from atlas_pipeline.orchestration.tables.checks import Audit, TableChecks
from atlas_pipeline.orchestration.tables.personal_data import (
    as_published,
    leak_result,
    leak_spec,
    pii_tags,
    plan_table,
    shown_key,
)
from atlas_pipeline.orchestration.tables.preview import preview
from atlas_pipeline.orchestration.tables.steps import RETRY, partitions_of, progress_log
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.pii.keys import KeyMissing, load_keys
from atlas_pipeline.pii.leaks import sweep_table
from atlas_pipeline.pii.rules import ModelMissing
from atlas_pipeline.quality.generated import ROWS_RECONCILED, rows_reconciled
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.warehouse.publish import PublishError, TableBusy, published, table_lock

_FILES_SHOWN = 50


def silver_asset(
    dataset: Dataset,
    shared: Mapping[str, Any],
    spec: Mapping[str, Any],
    column_tags: Mapping[str, Mapping[str, str]],
    checks: TableChecks,
) -> dg.AssetsDefinition:
    """silver/<name>: typed, one row per key, personal data treated, published only when its contract holds.

    `shared` is for the step, `spec` for the asset. Its checks can also be run alone, on what is published.
    """
    declared = dataset.planned(decided(dataset, {}))
    upstream = dg.AssetKey(["bronze", dataset.name])

    @dg.multi_asset(
        name=f"silver__{dataset.name}",
        specs=[
            dg.AssetSpec(
                key=checks.asset,
                deps=[upstream],
                group_name="silver",
                kinds={"postgres"},
                metadata={
                    "dagster/table_name": f"silver.{dataset.name}",
                    "dagster/column_schema": _schema(declared, column_tags),
                    "dagster/column_lineage": _lineage(declared, upstream),
                },
                **spec,
            )
        ],
        check_specs=[leak_spec(checks.asset), *checks.specs],
        can_subset=True,
        retry_policy=RETRY,
        pool=f"silver_{dataset.name}",
        **shared,
    )
    def build_table(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        if checks.asset not in context.selected_asset_keys:
            yield from _check_published(context, warehouse, dataset, checks)
            return
        settings = warehouse.settings
        started = time.monotonic()
        audit = Audit(checks, warehouse.url, context.run.run_id, lineage=(FILE_ID, LINE))
        try:
            with warehouse.connect() as connection:
                try:
                    result = silver.build(
                        connection,
                        warehouse.url,
                        dataset,
                        batch=context.run.run_id,
                        keys=load_keys(settings),
                        verify=audit.verify,
                        planned=lambda planned: audit.show(shown_key(planned)),
                        partitions=partitions_of(context),
                        lock_seconds=settings.lock_timeout_seconds,
                        progress=progress_log(context),
                    )
                except silver.AuditFailed as error:
                    audit.add(*_accounted(error.result.rows))
                    audit.record(connection, published=not error.result.staged)
                    if error.result.staged:
                        quarantine_failed(connection, dataset.name, list(_failed_rows(audit.outcomes)))
                    raise
                audit.add(*_accounted(result.rows))
                scores = audit.record(connection, published=True)
                planned = dataset.planned({plan.name: plan for plan in result.plans})
                sample = preview(connection, planned)
        except silver.AuditFailed as error:
            yield leak_result(checks.asset, error.result.leaks)
            yield from audit.results()
            reasons = f" Failed: {audit.problem}" if audit.problem else ""
            raise dg.Failure(f"{error}.{reasons}", allow_retries=False) from None
        except PersonalDataDrift as error:
            yield leak_result(checks.asset, None, str(error))
            raise dg.Failure(str(error), allow_retries=False) from None
        except (silver.SchemaDrift, PublishError, TableBusy, KeyMissing, ModelMissing) as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        metadata: dict[str, Any] = {
            "dagster/row_count": result.published,
            "dagster/column_schema": _schema(planned, column_tags),
            "dagster/column_lineage": _lineage(planned, upstream),
            labels.ROWS_IN: result.read,
            labels.ROWS_PUBLISHED: result.published,
            labels.ROWS_QUARANTINED: result.quarantined,
            "rows that gave way to a later one": result.duplicates,
            "rows rejected now": sum(result.rejected.values()),
            **scores,
            labels.PERSONAL_DATA_COLUMNS: sum(1 for plan in result.plans if plan.personal),
            labels.PERSONAL_DATA_PLAN: plan_table(result.plans),
            "source files": result.files[:_FILES_SHOWN],
            "rebuilt": result.rebuilt,
            labels.SECONDS: round(time.monotonic() - started, 3),
            "preview": dg.MetadataValue.md(sample),
        }
        metadata |= {f"rejected: {rule}": count for rule, count in sorted(result.rejected.items())}
        if result.undeclared:
            metadata["columns not declared"] = result.undeclared
        yield dg.MaterializeResult(asset_key=checks.asset, metadata=metadata)
        yield leak_result(checks.asset, result.leaks)
        yield from audit.results()

    return build_table


def _check_published(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, dataset: Dataset, checks: TableChecks
) -> Iterator[dg.AssetCheckResult]:
    """The checks that were asked for, on the table as it is."""
    names = {key.name for key in context.selected_asset_check_keys}
    audit = Audit(checks, warehouse.url, context.run.run_id, lineage=(FILE_ID, LINE), names=names)
    name, settings = dataset.name, warehouse.settings
    try:
        with (
            warehouse.connect() as connection,
            table_lock(connection, "silver", name, settings.lock_timeout_seconds),
        ):
            before = published(connection, "silver", name)
            if before is None:
                raise dg.Failure(f"silver.{name} is not there: materialize it first", allow_retries=False)
            planned = as_published(connection, dataset)
            audit.show(shown_key(planned))
            audit.verify("silver", name)
            if ROWS_RECONCILED.path in names:
                duplicates = before.duplicates or 0
                audit.add(*_accounted(reconcile(connection, name, "silver", name, duplicates=duplicates)))
            audit.record(connection, published=True)
            if labels.LEAK_CHECK in names:
                report = sweep_table(connection, "silver", name, planned.plans, planned.policy.rules)
                yield leak_result(checks.asset, report)
    except TableBusy as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    yield from audit.results()


def _accounted(rows: Reconciliation | None) -> list[Outcome]:
    if rows is None:
        return []
    return [rows_reconciled(rows.bronze, rows.silver, rows.quarantined, rows.duplicates, rows.unaccounted)]


def _failed_rows(outcomes: list[Outcome]) -> Iterator[FailedRow]:
    """The rows for which a table was not published, as far as their checks name them."""
    for outcome in outcomes:
        if outcome.blocks:
            columns = (outcome.check.column,) if outcome.check.column else ()
            for row in outcome.sample:
                if FILE_ID in row and LINE in row:
                    yield FailedRow(int(row[FILE_ID]), int(row[LINE]), outcome.check.path, columns, outcome.check.title)


def _schema(dataset: Dataset, column_tags: Mapping[str, Mapping[str, str]]) -> dg.TableSchema:
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                column.postgres_type,
                column.description,
                tags=dict(column_tags.get(column.name, {})) | dict(pii_tags(column.plan)),
            )
            for column in dataset.published_columns
        ]
    )


def _lineage(dataset: Dataset, upstream: dg.AssetKey) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {column.name: [dg.TableColumnDep(upstream, column.name)] for column in dataset.published_columns}
    )
