"""The sensors that send OpenLineage events: one for each place that is set, none where nothing is.

Belongs here: when to look. Does not belong here: what a look does (`orchestration/openlineage.py`).
"""

from functools import cache

import dagster as dg

from atlas_pipeline.openlineage.project import Project
from atlas_pipeline.openlineage.sending import FileTransport, Transport, UrlTransport
from atlas_pipeline.orchestration.openlineage import look, project_of
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.settings import Settings, load_settings

_INTERVAL_SECONDS = 10


@dg.definitions
def openlineage() -> dg.Definitions:
    """A sensor for each place: one that cannot be reached holds up no other."""
    return dg.Definitions(sensors=[_sensor(name, to) for name, to in transports(load_settings()).items()])


def transports(settings: Settings) -> dict[str, Transport]:
    """The places that are set."""
    found: dict[str, Transport] = {}
    if settings.openlineage_file:
        found["file"] = FileTransport(settings.home_path / settings.openlineage_file)
    if settings.openlineage_url:
        key = settings.openlineage_key.get_secret_value() if settings.openlineage_key else None
        found["url"] = UrlTransport(settings.openlineage_url, key)
    return found


def _sensor(name: str, transport: Transport) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"openlineage_{name}",
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Sends OpenLineage events of builds that begin or end to ATLAS_OPENLINEAGE_{name.upper()}.",
    )
    def send(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SensorResult:
        assert context.repository_def is not None
        done = look(context.instance, _known(context.repository_def, warehouse.url), transport, context.cursor)
        if done.refused:
            context.log.warning(f"{done.refused} events were refused and are not sent again")
        problem = f"; not sent yet, tried again: {done.problem}" if done.problem else ""
        return dg.SensorResult(skip_reason=f"sent {done.sent} events{problem}", cursor=done.cursor)

    return send


@cache
def _known(repository: dg.RepositoryDefinition, url: str) -> Project:
    return project_of(repository.asset_graph, url)
