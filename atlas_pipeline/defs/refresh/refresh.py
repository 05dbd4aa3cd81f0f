"""The sensor that keeps gold as new as what it reads.

Belongs here: when to look. Does not belong here: what is due (`warehouse/due.py`), and what is asked for
(`orchestration/tables/refresh.py`).
"""

import dagster as dg

from atlas_pipeline.orchestration.tables.refresh import request_due
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.settings import load_settings


@dg.definitions
def refresh() -> dg.Definitions:
    """One sensor over all gold models. It needs no cursor: what was built from what is recorded in the warehouse."""

    @dg.sensor(
        name="gold_automation",
        target=dg.AssetSelection.groups("gold"),
        minimum_interval_seconds=load_settings().sensor_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Builds a gold model again when it is older than a table that it reads, or its SQL changed.",
    )
    def gold_automation(
        context: dg.SensorEvaluationContext, warehouse: WarehouseResource
    ) -> dg.SensorResult | dg.SkipReason:
        assert context.repository_def is not None
        with warehouse.connect() as connection:
            return request_due(context.instance, context.repository_def, connection)

    return dg.Definitions(sensors=[gold_automation])
