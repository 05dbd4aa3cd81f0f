"""The landing sensor: request a run of a dataset when new files have landed.

Belongs here: when a run is requested, and when not. Does not belong here: listing (`ingest/sources/`) and loading. The
ledger decides which files are new. A file that changed within `ATLAS_SETTLE_SECONDS` is still being written and
skipped; a dataset with a queued or running run is skipped; nothing is requested while `ATLAS_MAX_QUEUED_RUNS` runs are
queued. A source that does not answer is named in the skip reason and does not hold up the others.
"""

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import dagster as dg
import psycopg

from atlas_pipeline import labels
from atlas_pipeline.components import Dataset
from atlas_pipeline.ingest import dataset as domain
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.limits import limits_of
from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError, SourceFile
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.settings import Settings, load_settings
from atlas_pipeline.warehouse import ledger

_RETRY_SECONDS = 3600


@dg.definitions
def landing(context: dg.ComponentLoadContext) -> dg.Definitions:
    """One sensor over all datasets that read files."""
    components = context.component_tree.get_all_components(Dataset)
    datasets = [component for component in components if isinstance(component.source, str)]
    watched = [(component.declared, component.partitions_definition()) for component in datasets]
    if not watched:
        return dg.Definitions()

    @dg.sensor(
        name="landing",
        target=dg.AssetSelection.groups("bronze", "silver"),
        minimum_interval_seconds=load_settings().sensor_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a run when new files have landed.",
    )
    def new_files(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SensorResult | dg.SkipReason:
        settings = warehouse.settings
        queued = context.instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
        room = settings.max_queued_runs - queued
        if room <= 0:
            return dg.SkipReason(f"{queued} runs are queued, the most allowed is {settings.max_queued_runs}: waiting")
        tick = _Tick(context.instance, settings)
        with warehouse.connect() as connection:
            for dataset, partitions in watched:
                tick.check(connection, dataset, partitions)
        requests, notes = tick.requests, tick.notes
        if len(requests) > room:
            notes.append(f"{len(requests) - room} runs wait for the next tick: {queued} are queued already")
        summary = f"looked at {tick.files} files of {len(watched)} datasets, {tick.settling} still being written"
        if not requests:
            return dg.SkipReason("; ".join([f"no new files: {summary}", *notes]))
        context.log.info("; ".join([f"{len(requests)} runs for new files: {summary}", *notes]))
        return dg.SensorResult(run_requests=requests[:room])

    return dg.Definitions(sensors=[new_files])


@dataclass
class _Tick:
    """One evaluation of the sensor: the runs to request, and what its skip reason counts and notes."""

    instance: dg.DagsterInstance
    settings: Settings
    files: int = 0
    settling: int = 0
    requests: list[dg.RunRequest] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def check(
        self,
        connection: psycopg.Connection,
        dataset: domain.Dataset,
        partitions: dg.PartitionsDefinition | None,
    ) -> None:
        """List the files of a dataset, and request its runs if new ones have settled.

        Args:
            connection: A connection to the warehouse, for the ledger.
            dataset: The dataset.
            partitions: Its partitions, if it has any; files outside them are noted and skipped.
        """
        name = dataset.name
        try:
            files = dataset.source.list(self.settings)
        except (SourceError, ServiceUnavailable, OSError, RecursionError) as error:
            self.notes.append(f"{name}: {error}")
            return
        odd = [file.problem for file in files if file.problem]
        if odd:
            self.notes.append(f"{name}: {len(odd)} files or folders cannot be loaded ({odd[0].reason})")
        files = [file for file in files if not file.problem]
        self.files += len(files)
        if partitions is not None:
            inside = [file for file in files if partitions.has_partition_key(file.partition or "")]
            if len(inside) < len(files):
                self.notes.append(f"{name}: {len(files) - len(inside)} files belong to no partition")
            files = inside
        known = ledger.known_files(connection, name)
        intake = dataset.intake.within(limits_of(self.settings))
        new = [file for file in files if not _is_known(file, known.get(file.uri), intake)]
        ready = [file for file in new if file.settled(self.settings.settle_seconds)]
        self.settling += len(new) - len(ready)
        if ready and _under_way(self.instance, name):
            self.notes.append(f"{name}: {len(ready)} new files, a run is under way")
        elif ready:
            self.requests += _requests(dataset, ready, partitions is not None)
        elif partitions is None:
            gone = ledger.withdrawn_files(connection, name)
            if gone and not _under_way(self.instance, name):
                self.requests.append(_rebuild(dataset, gone))


def _requests(dataset: domain.Dataset, files: Iterable[SourceFile], partitioned: bool) -> list[dg.RunRequest]:
    """Request one run for the dataset, or one for each partition that has new files.

    The run key holds the files' versions and the hour, so that a failed run is requested again once an hour.
    """
    groups: dict[str | None, list[SourceFile]] = {}
    for file in files:
        groups.setdefault(file.partition if partitioned else None, []).append(file)
    name, hour = dataset.name, int(time.time() // _RETRY_SECONDS)
    requests = []
    for partition, members in sorted(groups.items(), key=lambda item: item[0] or ""):
        text = "\n".join(f"{file.uri}\t{file.version}" for file in members)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        requests.append(
            dg.RunRequest(
                run_key=f"{name}:{partition or ''}:{digest}:{hour}",
                asset_selection=[dg.AssetKey(["bronze", name]), *_silver(dataset)],
                partition_key=partition,
                tags={labels.DATASET_TAG: name},
            )
        )
    return requests


def _is_known(file: SourceFile, entry: ledger.Known | None, intake: Intake) -> bool:
    return entry is not None and entry.same(file.version, intake.fingerprint(file.name, entry.rule))


def _silver(dataset: domain.Dataset) -> list[dg.AssetKey]:
    """The tables of silver that one step makes."""
    names = [dataset.name, *([dataset.history_name] if dataset.history else [])]
    return [dg.AssetKey(["silver", name]) for name in names]


def _rebuild(dataset: domain.Dataset, gone: Sequence[int]) -> dg.RunRequest:
    """A run that takes files out of silver which were forgotten."""
    name, hour = dataset.name, int(time.time() // _RETRY_SECONDS)
    return dg.RunRequest(
        run_key=f"{name}:without:{max(gone)}:{len(gone)}:{hour}",
        asset_selection=_silver(dataset),
        tags={labels.DATASET_TAG: name},
    )


def _under_way(instance: dg.DagsterInstance, name: str) -> bool:
    """Whether a run of the dataset is queued, starting or running."""
    statuses = [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ]
    return instance.get_runs_count(dg.RunsFilter(tags={labels.DATASET_TAG: name}, statuses=statuses)) > 0
