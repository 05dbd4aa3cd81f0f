"""The landing sensor: new files start a run of their dataset.

Belongs here: when a run is asked for, and when not. Does not belong here: listing
(`ingest/sources/`) and loading.
The ledger decides what is new; a file that changed within `ATLAS_SETTLE_SECONDS` is still being written and left
alone; a dataset whose run is waiting or going on is left to it; with `ATLAS_MAX_QUEUED_RUNS` runs waiting, nothing more
is asked for. A source that does not answer is named in the skip reason and does not hold the others up.
"""

import hashlib
import time
from collections.abc import Iterable

import dagster as dg

from atlas_pipeline.components import Dataset
from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError, SourceFile
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse import ledger

DATASET_TAG = "atlas/dataset"
_RETRY_SECONDS = 3600


@dg.definitions
def landing(context: dg.ComponentLoadContext) -> dg.Definitions:
    """One sensor over all datasets that read files."""
    components = context.component_tree.get_all_components(Dataset)
    reading_files = [one for one in components if isinstance(one.source, str)]
    watched = {one.table: (one.declared, one.partitions_definition()) for one in reading_files}
    gold = dg.AutomationConditionSensorDefinition(
        "gold_automation",
        target=dg.AssetSelection.groups("gold"),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Builds a gold model again when a table that it reads was published.",
    )
    if not watched:
        return dg.Definitions(sensors=[gold])

    @dg.sensor(
        name="landing",
        target=dg.AssetSelection.groups("bronze", "silver"),
        minimum_interval_seconds=load_settings().sensor_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a run when new files have landed.",
    )
    def new_files(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SensorResult | dg.SkipReason:
        settings = warehouse.settings
        waiting = context.instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
        room = settings.max_queued_runs - waiting
        if room <= 0:
            return dg.SkipReason(f"{waiting} runs are queued, the most allowed is {settings.max_queued_runs}: waiting")
        requests: list[dg.RunRequest] = []
        seen, settling, notes = 0, 0, list[str]()
        with warehouse.connect() as connection:
            for name, (dataset, partitions) in watched.items():
                source = dataset.source
                assert isinstance(source, FileSource)
                try:
                    files = source.list(settings)
                except (SourceError, ServiceUnavailable) as error:
                    notes.append(f"{name}: {error}")
                    continue
                seen += len(files)
                if partitions is not None:
                    inside = [file for file in files if partitions.has_partition_key(file.partition or "")]
                    if len(inside) < len(files):
                        notes.append(f"{name}: {len(files) - len(inside)} files are of no partition")
                    files = inside
                known = ledger.known_files(connection, name)
                new = [file for file in files if file.uri not in known or known[file.uri].version != file.version]
                ready = [file for file in new if file.settled(settings.settle_seconds)]
                settling += len(new) - len(ready)
                if ready and _under_way(context.instance, name):
                    notes.append(f"{name}: {len(ready)} new files, a run is under way")
                elif ready:
                    requests += _requests(name, ready, partitions is not None)
        if len(requests) > room:
            notes.append(f"{len(requests) - room} runs wait for the next look: {waiting} are queued already")
        summary = f"looked at {seen} files of {len(watched)} datasets, {settling} still being written"
        if not requests:
            return dg.SkipReason("; ".join([f"no new files: {summary}", *notes]))
        context.log.info("; ".join([f"{len(requests)} runs for new files: {summary}", *notes]))
        return dg.SensorResult(run_requests=requests[:room])

    return dg.Definitions(sensors=[new_files, gold])


def _requests(name: str, files: Iterable[SourceFile], partitioned: bool) -> list[dg.RunRequest]:
    """One run for the dataset, or one for each partition that has new files.

    The run key holds the files' versions and the hour: a run that failed is asked for again, but not every time.
    """
    groups: dict[str | None, list[SourceFile]] = {}
    for file in files:
        groups.setdefault(file.partition if partitioned else None, []).append(file)
    hour = int(time.time() // _RETRY_SECONDS)
    requests = []
    for partition, members in sorted(groups.items(), key=lambda item: item[0] or ""):
        text = "\n".join(f"{file.uri}\t{file.version}" for file in members)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        requests.append(
            dg.RunRequest(
                run_key=f"{name}:{partition or ''}:{digest}:{hour}",
                asset_selection=[dg.AssetKey(["bronze", name]), dg.AssetKey(["silver", name])],
                partition_key=partition,
                tags={DATASET_TAG: name},
            )
        )
    return requests


def _under_way(instance: dg.DagsterInstance, name: str) -> bool:
    statuses = [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ]
    return instance.get_runs_count(dg.RunsFilter(tags={DATASET_TAG: name}, statuses=statuses)) > 0
