"""Asking for runs of gold tables that are due, and saying of each whether it is.

Belongs here: Dagster's side of it: models from the asset graph, runs that are under way, the request, the check. Does
not belong here: what is due (`warehouse/due.py`), and the sensor's definition (`defs/refresh/`).
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

from atlas_pipeline import labels
from atlas_pipeline.warehouse.due import Due, GoldDefinition, ask, due
from atlas_pipeline.warehouse.publish import Table

PATIENCE = timedelta(minutes=10)
"""How long a table that is due waits for runs of what it reads to end."""
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
_LAYERS = ("silver", "gold")


def models_of(graph: BaseAssetGraph) -> list[GoldDefinition]:
    """The gold models of a code location: assets gold/<name> whose definition has a version."""
    models = []
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        if len(key.path) == 2 and key.path[0] == "gold" and node.is_materializable and node.code_version:
            sources = frozenset((p.path[0], p.path[1]) for p in node.parent_keys if p.path[0] in _LAYERS)
            models.append(GoldDefinition(key.path[1], node.code_version, sources))
    return models


def request_due(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, connection: psycopg.Connection
) -> dg.SensorResult | dg.SkipReason:
    """One look: a run of all that is due, in order of dependency, or why there is none.

    Args:
        instance: whose runs are looked at.
        repository: the code location.
        connection: the warehouse.
    """
    models = {model.name: model for model in models_of(repository.asset_graph)}
    waiting = due(connection, models.values())
    connection.commit()
    now = datetime.now(UTC)
    running = _under_way(instance, repository) if waiting else set()
    busy = {name for name, one in waiting.items() if _is_held(models[name], one, running, now)}
    chosen = ask(connection, waiting, busy, now)
    note = _note(waiting, chosen, busy)
    if not chosen:
        return dg.SkipReason(note)
    request = dg.RunRequest(asset_selection=[dg.AssetKey(["gold", name]) for name in chosen])
    return dg.SensorResult(run_requests=[request])


def _under_way(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition) -> set[Table]:
    """Tables that runs which have not ended are to write."""
    keys: set[dg.AssetKey] = set()
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=UNDER_WAY)):
        if run.asset_selection is not None or run.asset_check_selection is not None:
            keys |= run.asset_selection or set()
        elif repository.has_job(run.job_name):
            keys |= repository.get_job(run.job_name).asset_layer.selected_asset_keys
    return {(key.path[0], key.path[1]) for key in keys if len(key.path) == 2}


def _is_held(model: GoldDefinition, one: Due, running: Collection[Table], now: datetime) -> bool:
    """Whether a table waits: for a run of its own, or, not for ever, for one of a table that it reads."""
    if ("gold", model.name) in running:
        return True
    patient = one.since is None or now - one.since < PATIENCE
    return patient and any(table in running for table in model.sources if table[0] == "silver")


def _note(waiting: Mapping[str, Due], chosen: Collection[str], busy: Collection[str]) -> str:
    if not waiting:
        return "no gold table is due"
    later = [name for name in waiting if name not in chosen]
    held = f"; {', '.join(sorted(busy))} waits for runs that are under way" if busy else ""
    return f"{len(waiting)} gold tables are due, {len(later)} of them were asked for and wait{held}"


def up_to_date_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check of a gold table that warns while it is older than what it reads."""
    return dg.AssetCheckSpec(
        labels.UP_TO_DATE,
        asset=asset,
        description="The table was built from the newest publications of all tables that it reads.",
    )


def up_to_date_result(connection: psycopg.Connection, asset: dg.AssetKey, model: GoldDefinition) -> dg.AssetCheckResult:
    """How the table stands now.

    Args:
        connection: the warehouse.
        asset: gold/<name>.
        model: the table as declared.
    """
    one = due(connection, [model]).get(model.name)
    connection.commit()
    metadata: dict[str, dg.MetadataValue] = {}
    if one is not None:
        metadata["due"] = dg.MetadataValue.text("; ".join(one.reasons))
        if one.since is not None:
            metadata["since"] = dg.MetadataValue.timestamp(one.since)
    return dg.AssetCheckResult(
        passed=one is None,
        asset_key=asset,
        check_name=labels.UP_TO_DATE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )
