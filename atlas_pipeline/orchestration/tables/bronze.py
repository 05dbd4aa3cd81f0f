"""The asset bronze/<name> of a dataset, and what it shows in the UI.

Belongs here: Dagster's side of a load: steps, metadata, check results. Does not belong here: the YAML (`dataset.py`),
loading (`ingest/`). No value of a row is ever put into metadata or a log.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
import psycopg

from atlas_pipeline import labels
from atlas_pipeline.ingest import bronze
from atlas_pipeline.ingest.connectors.extracting import Extract, extract
from atlas_pipeline.ingest.connectors.source import ExtractedSource, clear
from atlas_pipeline.ingest.copying import FileResult
from atlas_pipeline.ingest.damage import BronzeDamaged
from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.ingest.limits import limits_of
from atlas_pipeline.ingest.sources import LeftAlone, ServiceUnavailable, SourceError, SourceFile
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.orchestration.tables.catalogue_link import catalogue_link
from atlas_pipeline.orchestration.tables.checks import check_result, check_spec, score_metadata
from atlas_pipeline.orchestration.tables.steps import RETRY, partitions_of, progress_log
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.quality.generated import (
    FILES_READABLE,
    LINES_READABLE,
    ONE_FILE_ONE_SNAPSHOT,
    files_readable,
    lines_readable,
    one_file_one_snapshot,
)
from atlas_pipeline.quality.history import record_outcomes
from atlas_pipeline.quality.outcome import Check, Outcome
from atlas_pipeline.settings import Settings, SettingsError
from atlas_pipeline.warehouse.ledger import loaded_files
from atlas_pipeline.warehouse.publish import TableBusy, table_lock

_FILES_SHOWN = 50


def bronze_asset(
    dataset: Dataset, shared: Mapping[str, Any], description: str | None, tags: Mapping[str, str]
) -> dg.AssetsDefinition:
    """bronze/<name>: what landed, as text, each file once.

    Args:
        dataset: as declared.
        shared: arguments of the step that all steps of the dataset have.
        description: of the asset; null for one that says what bronze is.
        tags: of the asset.
    """
    key = dg.AssetKey(["bronze", dataset.name])

    @dg.asset(
        key=key,
        group_name="bronze",
        description=description or f"Landed rows of {dataset.name}, unchanged, as text.",
        kinds={"postgres"},
        tags=dict(tags),
        metadata=catalogue_link(key),
        check_specs=[check_spec(key, check, check.path) for check in _checks(dataset)],
        retry_policy=RETRY,
        pool=f"bronze_{dataset.name}",
        **shared,
    )
    def load_files(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
        started = time.monotonic()
        try:
            result, outcomes, scores = _load(context, warehouse, dataset)
        except (SourceError, ServiceUnavailable, SettingsError, TableBusy, BronzeDamaged) as error:
            later = isinstance(error, ServiceUnavailable) and not isinstance(error, LeftAlone)
            raise dg.Failure(str(error), allow_retries=later) from None
        results = [check_result(key, outcome, outcome.check.path) for outcome in outcomes]
        if result.refused:
            refused = {"files refused": _refused_table(result.refused)}
            results[0] = results[0]._replace(metadata={**results[0].metadata, **refused})
        metadata = _metadata(dataset.name, result) | scores | {labels.SECONDS: round(time.monotonic() - started, 3)}
        return dg.MaterializeResult(metadata=metadata, check_results=results)

    return load_files


def _checks(dataset: Dataset) -> list[Check]:
    """The checks of what was read; that of states is about snapshots which take each other's place."""
    replaced = dataset.intake.snapshot and not dataset.intake.keep_missing
    replaced &= isinstance(dataset.source, FileSource) and not dataset.source.grouped
    return [FILES_READABLE, LINES_READABLE, *([ONE_FILE_ONE_SNAPSHOT] if replaced else [])]


def _load(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, dataset: Dataset
) -> tuple[bronze.BronzeResult, list[Outcome], dict[str, Any]]:
    """Load what landed; what came of it, of the checks of all loaded files, and their scores as metadata."""
    settings, run_id = warehouse.settings, context.run.run_id
    with warehouse.connect() as connection, _extracted(context, connection, dataset, settings) as extract:
        files = _files(context, dataset, settings)
        result = bronze.load(
            connection,
            dataset.name,
            files,
            run_id=run_id,
            intake=dataset.intake.within(limits_of(settings)),
            settle_seconds=settings.settle_seconds,
            lock_seconds=settings.lock_timeout_seconds,
            progress=progress_log(context),
        )
        if extract is not None and isinstance(dataset.source, ExtractedSource):
            clear(connection, dataset.source, settings)
            result.refused += [FileResult(f.uri, "refused", rule=f.rule, reason=f.reason) for f in extract.refused]
        every = loaded_files(connection, dataset.name, pending=False)
        outcomes = [
            files_readable(len(result.refused)),
            lines_readable(sum(file.rows for file in every), sum(file.rejected for file in every)),
        ]
        if ONE_FILE_ONE_SNAPSHOT in _checks(dataset):
            outcomes.append(one_file_one_snapshot(result.successive))
        scores = record_outcomes(connection, "bronze", dataset.name, run_id, outcomes, published=True)
        connection.commit()
    return result, outcomes, score_metadata(scores) | _extract_metadata(extract)


@contextmanager
def _extracted(
    context: dg.AssetExecutionContext, connection: psycopg.Connection, dataset: Dataset, settings: Settings
) -> Iterator[Extract | None]:
    """Extract what a connector has, and hold the table's lock until it is loaded; null for other sources."""
    if not isinstance(dataset.source, ExtractedSource):
        yield None
        return
    with table_lock(connection, "bronze", dataset.name, settings.lock_timeout_seconds):
        yield extract(connection, dataset.source, settings, key=dataset.key, progress=progress_log(context))


def _extract_metadata(extract: Extract | None) -> dict[str, Any]:
    if extract is None:
        return {}
    metadata: dict[str, Any] = {
        "rows extracted": extract.rows,
        "requests to the source": extract.requests,
        "requests repeated": extract.retries,
        "seconds extracting": round(extract.seconds, 3),
    }
    if extract.discarded:
        metadata["columns left out"] = extract.discarded
    return metadata


def _metadata(dataset: str, result: bronze.BronzeResult) -> dict[str, Any]:
    loaded = result.loaded
    metadata: dict[str, Any] = {
        "dagster/row_count": result.total_rows,
        "dagster/table_name": f"bronze.{dataset}",
        labels.ROWS_IN: sum(file.rows for file in loaded),
        labels.LINES_REJECTED: sum(file.rejected for file in loaded),
        "bytes": sum(file.bytes for file in loaded),
        "files loaded": len(loaded),
        "files known before": len(result.known),
        "files with known content": len(result.equal),
        "files still being written": result.unsettled,
    }
    if loaded:
        metadata["source files"] = _file_table(loaded)
    for name, uris in (("known files", result.known), ("files equal to loaded ones", result.equal)):
        if uris:
            metadata[name] = uris[:_FILES_SHOWN]
    if corrected := [file.uri for file in loaded if file.reason == bronze.CORRECTED]:
        metadata["older snapshots corrected"] = corrected[:_FILES_SHOWN]
    if result.refused:
        metadata["files refused"] = _refused_table(result.refused)
    if result.new_columns:
        metadata["new columns"] = result.new_columns
    return metadata


def _files(context: dg.AssetExecutionContext, dataset: Dataset, settings: Settings) -> list[SourceFile]:
    """The files of the run's partitions, after giving a file that was just written the time to settle."""
    keys: Sequence[str | None] = partitions_of(context) or [None]

    def listing() -> list[SourceFile]:
        return [file for key in keys for file in dataset.source.list(settings, key)]

    files = listing()
    fresh = [file.modified for file in files if not file.settled(settings.settle_seconds)]
    if fresh:
        wait = max(fresh) + settings.settle_seconds - time.time()
        context.log.info(f"waiting {wait:.1f} s for {len(fresh)} files that were just written")
        time.sleep(min(max(wait, 0), settings.settle_seconds))  # a time of change may be far in the future
        files = listing()
    return files


def _file_table(files: list[FileResult]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {"file": f.uri, "rows": f.rows, "rejected": f.rejected, "bytes": f.bytes, "sha256": f.sha256 or ""}
            )
            for f in files[:_FILES_SHOWN]
        ]
    )


def _refused_table(files: list[FileResult]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [dg.TableRecord({"file": f.uri, "rule": f.rule or "", "reason": f.reason or ""}) for f in files[:_FILES_SHOWN]]
    )
