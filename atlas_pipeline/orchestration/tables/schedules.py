"""The schedule of a dataset that says how often its source is loaded.

Belongs here: when a run is requested, and when not. Does not belong here: the words in YAML (`components/every.py`),
and runs for files that landed (`defs/landing/`).
"""

import dagster as dg

from atlas_pipeline import labels
from atlas_pipeline.ingest.connectors.source import ExtractedSource
from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.warehouse.connectors import open_circuit

_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def load_schedule(
    dataset: Dataset, cron: str, timezone: str, partitions: dg.PartitionsDefinition | None
) -> dg.ScheduleDefinition:
    """Loads a dataset as often as it says, unless a run of it is under way or its server is left alone.

    Args:
        dataset: as declared.
        cron: when.
        timezone: IANA zone of it.
        partitions: of the dataset; the newest one is loaded.
    """
    name = dataset.name
    keys = [dg.AssetKey([layer, name]) for layer in ("bronze", "silver")]

    @dg.schedule(
        name=f"load_{name}",
        cron_schedule=cron,
        execution_timezone=timezone,
        target=dg.AssetSelection.assets(*keys),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Loads {name} as often as its declaration says.",
    )
    def load(context: dg.ScheduleEvaluationContext, warehouse: WarehouseResource) -> dg.RunRequest | dg.SkipReason:
        under_way = dg.RunsFilter(tags={labels.DATASET_TAG: name}, statuses=_UNDER_WAY)
        if context.instance.get_runs_count(under_way):
            return dg.SkipReason(f"a run of {name} is under way")
        if isinstance(dataset.source, ExtractedSource):
            with warehouse.connect() as connection:
                circuit = open_circuit(connection, name)
            if circuit:
                until, problem = circuit
                service = dataset.source.connector.service
                return dg.SkipReason(f"{service} is left alone until {until:%H:%M:%S}: {problem}")
        partition = partitions.get_last_partition_key() if partitions else None
        if partitions and partition is None:
            return dg.SkipReason("there is no partition yet")
        return dg.RunRequest(partition_key=partition, tags={labels.DATASET_TAG: name})

    return load
