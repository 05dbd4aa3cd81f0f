"""The alert sensor, and the asset on which alerts are seen when no channel is configured.

Belongs here: when to look, and what the UI shows of it. Does not belong here: what a look does
(`components/alert_tick.py`).
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache

import dagster as dg

from atlas_pipeline.alerting.channels import Channel, make_channel, parse_channels
from atlas_pipeline.alerting.delivery import deliver
from atlas_pipeline.alerting.state import Alert
from atlas_pipeline.components.alert_policies import load_policies, selector
from atlas_pipeline.components.alert_tick import Project, Tick, look, project_of
from atlas_pipeline.resources.warehouse import WarehouseResource
from atlas_pipeline.settings import load_settings

SENSOR = "alerts"
SHOWN = 20
"""Observations of one look; what is more is counted."""
DELIVERY_SECONDS = 3.0
"""How long a look waits for receivers; those that take longer go on by themselves."""


@dg.definitions
def alerts() -> dg.Definitions:
    """The asset and the sensor."""
    asset = dg.AssetSpec(
        SENSOR,
        group_name="alerts",
        description="What is wrong, and what is over: an observation for each alert that begins or ends.",
        kinds={"alert"},
        owners=["team:infrastructure"],
    )

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=load_settings().alert_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reads the event log, and tells what is wrong to the channels of ATLAS_ALERT_CHANNELS.",
    )
    def alert_sensor(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SensorResult:
        now = datetime.now(UTC)
        with warehouse.connect() as connection:
            tick = look(context.instance, connection, _project(context), now)
        for alert in tick.began:
            context.log.warning(f"{alert.severity}: {alert.subject}: {alert.problem}")
        for alert in tick.ended:
            context.log.info(f"over: {alert.subject} {alert.reason}".rstrip())
        deliver(warehouse.url, _channels(), DELIVERY_SECONDS)
        said = f"read {tick.events:,} events{', more to come' if tick.more else ''}; {tick.firing} alerts fire; "
        said += f"{tick.messages} messages made" + (f"; {tick.note}" if tick.note else "")
        return dg.SensorResult(skip_reason=said, asset_events=list(_observations(tick)))

    return dg.Definitions(assets=[asset], sensors=[alert_sensor])


@cache
def _channels() -> dict[str, Channel]:
    settings = load_settings()
    text = settings.alert_channels.get_secret_value() if settings.alert_channels else ""
    return {name: make_channel(name, url, settings.ui_address) for name, url in parse_channels(text).items()}


def _project(context: dg.SensorEvaluationContext) -> Project:
    repository = context.repository_def
    assert repository is not None
    return _known(repository)


@cache
def _known(repository: dg.RepositoryDefinition) -> Project:
    graph = repository.asset_graph
    return project_of(repository, load_policies(graph, load_settings()), selector(graph))


def _observations(tick: Tick) -> Iterator[dg.AssetObservation]:
    changed: Sequence[tuple[str, Alert]] = [*(("began", one) for one in tick.began), *(("over", one) for one in tick.ended)]
    for event, alert in changed[:SHOWN]:
        metadata = {
            "event": event,
            "severity": alert.severity,
            "subject": alert.subject,
            "condition": alert.condition,
            "problem": alert.problem,
            "team": alert.team,
            "since": dg.MetadataValue.timestamp(alert.since),
            "count": alert.count,
        }
        yield dg.AssetObservation(SENSOR, metadata=metadata)
    if len(changed) > SHOWN:
        yield dg.AssetObservation(SENSOR, metadata={"event": "more", "count": len(changed) - SHOWN})
