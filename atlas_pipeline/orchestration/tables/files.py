"""What can be asked of a dataset's files from the launchpad: taking one back, loading one again, accepting a snapshot.

Belongs here: these jobs, their configuration and what they say. Does not belong here: the work
(`ingest/withdrawal.py`), and the command line (`cli/files/`). The tables follow with their next run.
"""

from collections.abc import Mapping

import dagster as dg
from pydantic import Field

from atlas_pipeline.ingest import withdrawal
from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.warehouse.publish import TableBusy

_ONCE = {"dagster/max_retries": "0"}
"""What somebody asked for once is not done again by Dagster when its run is lost."""
_FAILURES = (withdrawal.NoSuchFile, SourceError, ServiceUnavailable, TableBusy)


class ForgetConfig(dg.Config):
    """Which file is taken back."""

    dataset: str = Field(description="The dataset.")
    file: str = Field(description="URI of the file, or its end, as `atlas files list` shows it.")
    reason: str = Field("", description="Kept in the ledger.")
    dry_run: bool = Field(True, description="Only say what would be taken out.")


class ReloadConfig(dg.Config):
    """Which files are read again."""

    dataset: str = Field(description="The dataset.")
    file: str = Field("", description="URI of one file, or its end; empty for all files.")


class AcceptConfig(dg.Config):
    """Which snapshot is accepted."""

    dataset: str = Field(description="The dataset.")
    file: str = Field(description="URI of the snapshot that was refused for having shrunk, or its end.")


def file_jobs(datasets: Mapping[str, Dataset]) -> list[dg.JobDefinition]:
    """The three jobs, over these datasets by name."""

    def declared(name: str) -> Dataset:
        if name not in datasets:
            raise dg.Failure(f"there is no dataset {name}: expected one of {', '.join(datasets)}", allow_retries=False)
        return datasets[name]

    @dg.op(name="forget_file", description="Takes the rows of one file out of bronze and quarantine.")
    def forget_file(context: dg.OpExecutionContext, config: ForgetConfig, warehouse: WarehouseResource) -> None:
        dataset = declared(config.dataset)
        try:
            with warehouse.connect() as connection:
                found = withdrawal.forget(
                    connection,
                    dataset.name,
                    config.file,
                    reason=config.reason,
                    lock_seconds=warehouse.settings.lock_timeout_seconds,
                    dry_run=config.dry_run,
                )
        except _FAILURES as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        what = f"{found.rows:,} rows and {found.rejected:,} rejected lines of {found.uri}"
        if config.dry_run:
            context.log.warning(f"nothing was done: {what} would go. To do it, set dry_run: false")
        else:
            context.log.info(f"{what} are gone; the next run of silver/{dataset.name} takes them out of silver")

    @dg.op(name="reload_files", description="Has files read again by the next run, whatever was known of them.")
    def reload_files(context: dg.OpExecutionContext, config: ReloadConfig, warehouse: WarehouseResource) -> None:
        dataset = declared(config.dataset)
        try:
            with warehouse.connect() as connection:
                uris = withdrawal.reload(connection, dataset, warehouse.settings, config.file or None)
        except _FAILURES as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        context.log.info(f"the next run of bronze/{dataset.name} reads {len(uris):,} files again")

    @dg.op(name="accept_snapshot", description="Lets the next run load a snapshot that was refused for having shrunk.")
    def accept_snapshot(context: dg.OpExecutionContext, config: AcceptConfig, warehouse: WarehouseResource) -> None:
        dataset = declared(config.dataset)
        try:
            with warehouse.connect() as connection:
                uri = withdrawal.accept(connection, dataset.name, config.file)
        except _FAILURES as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        context.log.info(f"the next run of bronze/{dataset.name} loads {uri}, whatever its size")

    return [
        dg.GraphDefinition(name="files_accept", node_defs=[accept_snapshot]).to_job(tags=_ONCE),
        dg.GraphDefinition(name="files_forget", node_defs=[forget_file]).to_job(tags=_ONCE),
        dg.GraphDefinition(name="files_reload", node_defs=[reload_files]).to_job(tags=_ONCE),
    ]
