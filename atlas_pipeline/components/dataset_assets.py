"""The assets bronze/<name> and silver/<name> of a dataset, and what they show in the UI.

Belongs here: Dagster's side of a load and of a build: steps, metadata, check results. Does not belong here: the YAML
(`dataset.py`), loading and typing (`ingest/`). No value of an unmasked column is ever put into metadata or a log.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from atlas_pipeline.components.contract_checks import ContractChecks, failed
from atlas_pipeline.components.personal_data import leak_result, leak_spec, pii_tags, plan_table
from atlas_pipeline.components.preview import preview
from atlas_pipeline.ingest import bronze, silver
from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.ingest.outside import ServiceUnavailable
from atlas_pipeline.ingest.planning import PersonalDataDrift, decided
from atlas_pipeline.ingest.source import SourceError, SourceFile
from atlas_pipeline.pii.keys import KeyMissing, load_keys
from atlas_pipeline.pii.rules import ModelMissing
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.resources.warehouse import WarehouseResource
from atlas_pipeline.settings import Settings, SettingsError
from atlas_pipeline.warehouse.publish import PublishError, TableBusy

RETRY = dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)
FILES_READABLE = "files_readable"
_FILES_SHOWN = 50
_PROGRESS_SECONDS = 2.0


def bronze_asset(
    dataset: Dataset, shared: Mapping[str, Any], description: str | None, tags: Mapping[str, str]
) -> dg.AssetsDefinition:
    """bronze/<name>: what landed, as text, each file once."""
    key = dg.AssetKey(["bronze", dataset.name])

    @dg.asset(
        key=key,
        group_name="bronze",
        description=description or f"Landed rows of {dataset.name}, unchanged, as text.",
        kinds={"postgres"},
        tags=dict(tags),
        check_specs=[
            dg.AssetCheckSpec(
                FILES_READABLE,
                asset=key,
                description="Every file of the source could be loaded; the ones that could not are named.",
            )
        ],
        retry_policy=RETRY,
        pool=f"bronze_{dataset.name}",
        **shared,
    )
    def load_files(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
        settings = warehouse.settings
        started = time.monotonic()
        try:
            files = _files(context, dataset, settings)
            with warehouse.connect() as connection:
                result = bronze.load(
                    connection,
                    dataset.name,
                    files,
                    batch=context.run.run_id,
                    delimiter=dataset.delimiter,
                    settle_seconds=settings.settle_seconds,
                    lock_seconds=settings.lock_timeout_seconds,
                    progress=progress_log(context),
                )
        except (SourceError, ServiceUnavailable, SettingsError, TableBusy) as error:
            raise dg.Failure(str(error), allow_retries=isinstance(error, ServiceUnavailable)) from None
        loaded = result.loaded
        metadata: dict[str, Any] = {
            "dagster/row_count": result.total_rows,
            "dagster/table_name": f"bronze.{dataset.name}",
            "rows in": sum(file.rows for file in loaded),
            "lines rejected": sum(file.rejected for file in loaded),
            "bytes": sum(file.bytes for file in loaded),
            "files loaded": len(loaded),
            "files known before": result.known,
            "files still being written": result.unsettled,
            "seconds": round(time.monotonic() - started, 3),
        }
        if loaded:
            metadata["source files"] = _file_table(loaded)
        if result.refused:
            metadata["files refused"] = _refused_table(result.refused)
        if result.new_columns:
            metadata["new columns"] = result.new_columns
        check = dg.AssetCheckResult(
            check_name=FILES_READABLE,
            passed=not result.refused,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{len(result.refused)} files were refused" if result.refused else None,
            metadata={"files refused": _refused_table(result.refused)} if result.refused else {},
        )
        return dg.MaterializeResult(metadata=metadata, check_results=[check])

    return load_files


def silver_asset(
    dataset: Dataset,
    shared: Mapping[str, Any],
    description: str | None,
    tags: Mapping[str, str],
    column_tags: Mapping[str, Mapping[str, str]],
    checks: ContractChecks,
) -> dg.AssetsDefinition:
    """silver/<name>: typed, one row per key, personal data treated, published only when its contract holds."""
    declared = dataset.planned(decided(dataset, {}))
    upstream = dg.AssetKey(["bronze", dataset.name])

    @dg.asset(
        key=checks.asset,
        deps=[upstream],
        group_name="silver",
        description=description or f"{dataset.name}, typed and de-duplicated, with personal data treated.",
        kinds={"postgres"},
        tags=dict(tags),
        metadata={
            "dagster/table_name": f"silver.{dataset.name}",
            "dagster/column_schema": _schema(declared, column_tags),
            "dagster/column_lineage": _lineage(declared, upstream),
        },
        check_specs=[leak_spec(checks.asset), *checks.specs],
        retry_policy=RETRY,
        pool=f"silver_{dataset.name}",
        **shared,
    )
    def build_table(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        settings = warehouse.settings
        started = time.monotonic()
        outcomes: list[Outcome] = []
        try:
            with warehouse.connect() as connection:
                result = silver.build(
                    connection,
                    warehouse.url,
                    dataset,
                    batch=context.run.run_id,
                    keys=load_keys(settings),
                    verify=checks.verifier(warehouse.url, outcomes),
                    partitions=_partitions(context),
                    lock_seconds=settings.lock_timeout_seconds,
                    progress=progress_log(context),
                )
                planned = dataset.planned({plan.name: plan for plan in result.plans})
                sample = preview(connection, planned)
        except silver.AuditFailed as error:
            yield leak_result(checks.asset, error.result.leaks)
            yield from checks.results(outcomes)
            reasons = f" Failed: {failed(outcomes)}" if failed(outcomes) else ""
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
            "rows in": result.read,
            "rows published": result.published,
            "rows quarantined": result.quarantined,
            "rows rejected now": sum(result.rejected.values()),
            "personal-data columns": sum(1 for plan in result.plans if plan.personal),
            "personal-data plan": plan_table(result.plans),
            "source files": result.files[:_FILES_SHOWN],
            "rebuilt": result.rebuilt,
            "seconds": round(time.monotonic() - started, 3),
            "preview": dg.MetadataValue.md(sample),
        }
        metadata |= {f"rejected: {rule}": count for rule, count in sorted(result.rejected.items())}
        if result.undeclared:
            metadata["columns not declared"] = result.undeclared
        results = [leak_result(checks.asset, result.leaks), *checks.results(outcomes)]
        yield dg.MaterializeResult(metadata=metadata, check_results=results)

    return build_table


def _partitions(context: dg.AssetExecutionContext) -> Sequence[str] | None:
    """The partitions that this run is about, null for a dataset that has none."""
    return context.partition_keys if context.has_partition_key or context.has_partition_key_range else None


def _files(context: dg.AssetExecutionContext, dataset: Dataset, settings: Settings) -> list[SourceFile]:
    """The files of the run's partitions, after giving a file that was just written the time to settle."""
    keys: Sequence[str | None] = _partitions(context) or [None]

    def listing() -> list[SourceFile]:
        return [file for key in keys for file in dataset.source.list(settings, key)]

    files = listing()
    fresh = [file.modified for file in files if not file.settled(settings.settle_seconds)]
    if fresh:
        wait = max(fresh) + settings.settle_seconds - time.time()
        context.log.info(f"waiting {wait:.1f} s for {len(fresh)} files that were just written")
        time.sleep(max(wait, 0))
        files = listing()
    return files


def progress_log(context: dg.AssetExecutionContext) -> Callable[[str], None]:
    last = 0.0

    def report(message: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _PROGRESS_SECONDS:
            context.log.info(message)
            last = time.monotonic()

    return report


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


def _file_table(files: list[bronze.FileResult]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {"file": f.uri, "rows": f.rows, "rejected": f.rejected, "bytes": f.bytes, "sha256": f.sha256 or ""}
            )
            for f in files[:_FILES_SHOWN]
        ]
    )


def _refused_table(files: list[bronze.FileResult]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [dg.TableRecord({"file": f.uri, "rule": f.rule or "", "reason": f.reason or ""}) for f in files[:_FILES_SHOWN]]
    )
