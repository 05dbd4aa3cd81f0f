"""What the next run would do to each table, from the declarations and Atlas's record; nothing is run or changed.

Belongs here: collecting the steps. Does not belong here: how they are shown (`catalog/plan.py`, `cli/plan.py`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import dagster as dg
import psycopg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

from atlas_pipeline.catalog.plan import Action, ColumnChanges, Step, changed_columns
from atlas_pipeline.ingest.copying import FILE_ID, LINE
from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.ingest.planning import decided
from atlas_pipeline.orchestration.tables.invalid import Invalid
from atlas_pipeline.orchestration.tables.refresh import models_of
from atlas_pipeline.pii.keys import KeyMissing, load_keys
from atlas_pipeline.pii.record import recorded_plans
from atlas_pipeline.settings import Settings
from atlas_pipeline.warehouse.due import due
from atlas_pipeline.warehouse.publish import Publication, published

_COLUMNS = """
SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = to_regclass(format('%%I.%%I', %s::text, %s::text)) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_PENDING = """
SELECT count(*), coalesce(sum(rows), 0)::bigint FROM atlas.files
WHERE dataset = %s AND status = 'loaded' AND superseded_by IS NULL AND silver_at IS NULL
"""


def plan_steps(
    connection: psycopg.Connection,
    settings: Settings,
    definitions: dg.Definitions,
    datasets: Iterable[Dataset],
    invalid: Sequence[Invalid],
) -> list[Step]:
    """The steps of the next run, silver before gold.

    Args:
        connection: to the warehouse.
        settings: for the keys that decide what hashes are.
        definitions: of the project, without what is wrong.
        datasets: of the project.
        invalid: declarations that are wrong.
    """
    listed = list(datasets)
    steps = [_silver(connection, settings, dataset) for dataset in listed]
    changed = {step.table for step in steps if step.action not in ("nothing", "breaks")}
    steps += _gold(connection, definitions, changed)
    steps += [Step(f"{one.layer}.{one.table}", "breaks", (one.reason,)) for one in invalid]
    known = {step.table for step in steps} | {f"silver.{name.history_name}" for name in listed if name.history}
    rows = connection.execute("SELECT layer || '.' || name, rows FROM atlas.publications ORDER BY 1").fetchall()
    steps += [
        Step(table, "left over", ("no declaration makes it; it stays until it is dropped",), rows=number)
        for table, number in rows
        if table not in known
    ]
    return steps


def _silver(connection: psycopg.Connection, settings: Settings, dataset: Dataset) -> Step:
    name = f"silver.{dataset.name}"
    before = published(connection, "silver", dataset.name)
    files, rows = connection.execute(_PENDING, [dataset.name]).fetchone() or (0, 0)
    recorded = recorded_plans(connection, "silver", dataset.name)
    planned = dataset.planned(decided(dataset, {column: one.profile for column, one in recorded.items()}))
    if before is None:
        return Step(name, "new", ("it was never published",), rows=rows or None)
    kinds = {column.name: column.postgres_type for column in planned.published_columns}
    columns = _changes(connection, "silver", dataset.name, kinds)
    masked = [
        f"{column.name} becomes {column.treatment}"
        for column in planned.columns
        if column.name in recorded and recorded[column.name].plan.action != column.treatment
    ]
    try:
        same = planned.definition(load_keys(settings)) == before.definition
    except KeyMissing as error:
        return Step(name, "breaks", (str(error),))
    if not same:
        return Step(name, "rebuild", ("its definition changed", *masked), columns, before.rows)
    if files:
        return Step(name, "merge", (f"{files} new files",), columns, rows)
    return Step(name, "nothing", (), columns, before.rows)


def _gold(connection: psycopg.Connection, definitions: dg.Definitions, changed: set[str]) -> Iterator[Step]:
    graph = definitions.resolve_asset_graph()
    models = models_of(graph)
    waiting = due(connection, models)
    later = set(changed)
    order = {key.path[-1]: place for place, key in enumerate(graph.toposorted_asset_keys) if key.path[0] == "gold"}
    for model in sorted(models, key=lambda model: order.get(model.name, 0)):
        name = f"gold.{model.name}"
        before = published(connection, "gold", model.name)
        reasons = list(waiting[model.name].reasons) if model.name in waiting else []
        following = sorted(table for table in map(".".join, model.sources) if table in later)
        reasons += [f"{table} will be newer" for table in following if f"{table} is newer" not in reasons]
        yield _model_step(connection, graph, name, before, reasons)
        if reasons:
            later.add(name)


def _model_step(
    connection: psycopg.Connection,
    graph: BaseAssetGraph,
    name: str,
    before: Publication | None,
    reasons: Sequence[str],
) -> Step:
    if before is None:
        return Step(name, "new", tuple(reasons) or ("it was never published",))
    lineage = graph.get(dg.AssetKey(name.split("."))).metadata.get("dagster/column_lineage")
    names = lineage.deps_by_column if lineage else {}
    columns = _changes(connection, "gold", name.partition(".")[2], dict.fromkeys(names))
    action: Action = "build" if reasons else "nothing"
    return Step(name, action, tuple(reasons), columns, before.rows)


def _changes(connection: psycopg.Connection, layer: str, name: str, after: Mapping[str, str | None]) -> ColumnChanges:
    found = connection.execute(_COLUMNS, [layer, name]).fetchall()
    before: dict[str, str | None] = {column: kind for column, kind in found if column not in (FILE_ID, LINE)}
    kinds = [kind.partition("(")[0] for kind in after.values() if kind is not None]
    rows = connection.execute("SELECT k, format_type(to_regtype(k), NULL) FROM unnest(%s::text[]) k", [kinds])
    shown: dict[str, str] = dict(rows.fetchall())
    return changed_columns(before, {column: kind and shown[kind.partition("(")[0]] for column, kind in after.items()})
