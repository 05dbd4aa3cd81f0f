"""The alert sensor, and the asset on which alerts are seen whatever channels there are.

Belongs here: when to look, and what the UI shows of it. Does not belong here: what a look does
(`orchestration/alerts/tick.py`).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import dagster as dg

from atlas_pipeline.alerting.channels import configured_channels
from atlas_pipeline.alerting.delivery import deliver
from atlas_pipeline.alerting.state import Alert
from atlas_pipeline.alerting.store import Overtaken
from atlas_pipeline.labels import ALERTS
from atlas_pipeline.orchestration.alerts.outage import Outage
from atlas_pipeline.orchestration.alerts.policies import load_policies, selector
from atlas_pipeline.orchestration.alerts.tick import Project, Tick, look, project_of
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.connect import WarehouseError

SHOWN = 20
"""Observations of one look; what is more is counted."""
DELIVERY_SECONDS = 3.0
"""How long a look waits for receivers; those that take longer go on by themselves."""


@dg.definitions
def alerts() -> dg.Definitions:
    """The asset and the sensor."""
    asset = dg.AssetSpec(
        ALERTS,
        group_name=ALERTS,
        description="What is wrong, and what is over: an observation for each alert that begins or ends.",
        owners=["team:infrastructure"],
    )

    @dg.sensor(
        name=ALERTS,
        minimum_interval_seconds=load_settings().alert_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reads the event log, and tells what is wrong to the channels of ATLAS_ALERT_CHANNELS.",
    )
    def alert_sensor(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SensorResult:
        now = datetime.now(UTC)
        outage = Outage.of(context.cursor)
        channels = configured_channels(load_settings())
        try:
            with warehouse.connect() as connection:
                tick = look(context.instance, connection, _project(context), now)
        except WarehouseError as error:
            outage = outage.lasts(channels, str(error), now)
            return dg.SensorResult(skip_reason=f"the warehouse cannot be reached: {error}", cursor=outage.cursor)
        except Overtaken as error:
            return dg.SensorResult(skip_reason=str(error), cursor=outage.cursor)
        outage = outage.over(channels, now)
        for alert in tick.began:
            context.log.warning(f"{alert.severity}: {alert.subject}: {alert.problem}")
        for alert in tick.ended:
            context.log.info(f"over: {alert.subject} {alert.reason}".rstrip())
        deliver(warehouse.url, channels, DELIVERY_SECONDS)
        return dg.SensorResult(skip_reason=_said(tick), asset_events=list(_observations(tick)), cursor=outage.cursor)

    return dg.Definitions(assets=[asset], sensors=[alert_sensor])


def _project(context: dg.SensorEvaluationContext) -> Project:
    assert context.repository_def is not None
    return _known(context.repository_def)


@cache
def _known(repository: dg.RepositoryDefinition) -> Project:
    graph = repository.asset_graph
    return project_of(repository, load_policies(graph, load_settings()), selector(graph))


def _said(tick: Tick) -> str:
    more = ", more to come" if tick.more else ""
    note = f"; {tick.note}" if tick.note else ""
    return f"read {tick.events:,} events{more}; {tick.firing} alerts fire; {tick.messages} new messages{note}"


def _observations(tick: Tick) -> Iterator[dg.AssetObservation]:
    changed = [*(("began", alert) for alert in tick.began), *(("over", alert) for alert in tick.ended)]
    for event, alert in changed[:SHOWN]:
        yield dg.AssetObservation(ALERTS, metadata={"event": event, **_shown(alert)})
    if len(changed) > SHOWN:
        yield dg.AssetObservation(ALERTS, metadata={"event": "more", "count": len(changed) - SHOWN})


def _shown(alert: Alert) -> dict[str, Any]:
    return {
        "severity": alert.severity,
        "subject": alert.subject,
        "condition": alert.condition,
        "problem": alert.problem,
        "team": alert.team,
        "since": dg.MetadataValue.timestamp(alert.since),
        "count": alert.count,
    }
