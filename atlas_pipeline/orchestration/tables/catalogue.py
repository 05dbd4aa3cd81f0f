"""What the catalogue shows of the project's assets: names, columns, checks and lineage, as their definitions say.

Belongs here: reading Dagster's definitions and the components behind them. Does not belong here: what was measured, and
the pages (`catalog/site/`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph, AssetNode

from atlas_pipeline import labels
from atlas_pipeline.catalog.site.declared import Check, Column, Table
from atlas_pipeline.orchestration.tables.checks import title_of
from atlas_pipeline.orchestration.tables.invalid import Invalid

_ORDER = ("gold", "silver", "bronze")
"""Those first whom readers look for."""
_OWN_GROUPS = (labels.BACKUPS, labels.ALERTS)
"""Groups of assets that are about Atlas itself."""
_KIND_TAG = "dagster/kind/"
_CREDENTIALS = re.compile(r"//[^/@\s]+@")


def declared_tables(
    graph: AssetGraph,
    components: Mapping[tuple[str, str], Any],
    invalid: Sequence[Invalid],
    root: Path,
) -> dict[str, Table]:
    """All tables of the project by their keys: gold, silver, bronze, then other assets, each by name.

    Args:
        graph: of the project's assets, without what is wrong.
        components: what declares silver and gold tables, by layer and name.
        invalid: declarations that are wrong.
        root: of the project; files are named from there.
    """
    tables = {
        ".".join(key.path): _table(graph, graph.get(key), components, root)
        for key in graph.get_all_asset_keys()
        if graph.get(key).group_name not in _OWN_GROUPS
    }
    for one in invalid:
        tables |= {table.key: table for table in _not_loaded(one, root) if table.key not in tables}
    order = {layer: place for place, layer in enumerate(_ORDER)}
    keys = sorted(tables, key=lambda key: (order.get(tables[key].layer, len(order)), key))
    return {key: tables[key] for key in keys}


def _table(graph: AssetGraph, node: AssetNode, components: Mapping[tuple[str, str], Any], root: Path) -> Table:
    path = node.key.path
    layer, name = (path[0], ".".join(path[1:])) if len(path) > 1 else ("other", path[0])
    component = components.get(("silver" if layer == "bronze" else layer, name))
    specs = [graph.get_check_spec(key) for key in sorted(node.check_keys, key=lambda key: key.name)]
    return Table(
        key=".".join(path),
        layer=layer,
        name=name,
        description=node.description,
        owners=list(node.owners),
        tags={key: value for key, value in sorted(node.tags.items()) if not key.startswith(_KIND_TAG)},
        reads=sorted(".".join(parent.path) for parent in node.parent_keys),
        columns=list(_columns(node.metadata)),
        checks=[_check(spec) for spec in specs],
        facts=dict(_facts(component, layer, root)) if component else {},
        recipients=list(component.recipients) if component and layer != "bronze" else [],
        sql=component.parsed.sql if layer == "gold" and component else None,
    )


def _columns(metadata: Mapping[str, Any]) -> Iterator[Column]:
    """The columns of the schema, else those that lineage names."""
    schema, lineage = (_plain(metadata.get(f"dagster/column_{name}")) for name in ("schema", "lineage"))
    sources = {
        name: [(".".join(one.asset_key.path), one.column_name) for one in found]
        for name, found in (lineage.deps_by_column if lineage else {}).items()
    }
    if schema:
        for column in schema.columns:
            yield Column(column.name, column.type, column.description, column.tags, sources.get(column.name, ()))
    else:
        yield from (Column(name, sources=found) for name, found in sources.items())


def _plain(value: Any) -> Any:
    """What metadata hold."""
    return value.value if isinstance(value, dg.MetadataValue) else value


def _check(spec: dg.AssetCheckSpec) -> Check:
    metadata = spec.metadata or {}
    dimension = str(_plain(metadata.get(labels.DIMENSION)) or "")
    return Check(spec.name, title_of(spec), _plain(metadata.get(labels.CHECK_PATH)), dimension, spec.blocking)


def _facts(component: Any, layer: str, root: Path) -> Iterator[tuple[str, str]]:
    """What else the declaration says, by heading."""
    if layer in ("bronze", "silver") and hasattr(component, "source"):
        yield "Source", source_shown(component.source)
        if component.every:
            yield "Loaded every", component.every
        if component.partitions:
            yield "Partitions", f"{component.partitions} from {component.partitions_start}"
    if layer != "bronze":
        yield from _of_published(component)
    yield "Declared in", _relative(component.folder, root)


def _of_published(component: Any) -> Iterator[tuple[str, str]]:
    key = [component.key] if isinstance(component.key, str) else list(component.key)
    if key:
        yield "Key", ", ".join(key)
    if incremental := getattr(component, "incremental", None):
        columns = incremental.unique_key
        yield "Incremental by", columns if isinstance(columns, str) else ", ".join(columns)
    if subject := getattr(component, "subject", None):
        yield "Whose data a row is", subject
    freshness = component.freshness
    if freshness and freshness.fail_after:
        yield "Stale after", freshness.fail_after
    if freshness and freshness.deadline:
        yield "Fresh by", f"{freshness.deadline} {freshness.timezone}"
    if component.purpose:
        yield "Purpose", component.purpose
    if component.basis:
        yield "Legal basis", component.basis
    cells = getattr(component, "cells", None)
    if cells and cells.exempt:
        yield "Small groups are shown, since", cells.exempt


def source_shown(source: Any) -> str:
    """Where the data of a dataset comes from, without a password."""
    if isinstance(source, str):
        return _CREDENTIALS.sub("//", source)
    table = getattr(source, "table", None)
    return f"{table} of {source.database}" if table else type(source).__name__


def _not_loaded(invalid: Invalid, root: Path) -> Iterable[Table]:
    """What is known of a declaration that is wrong."""
    reason = invalid.reason.replace(f"{root}/", "")
    columns = [Column(name) for name in invalid.columns]
    reads = [".".join(source) for source in invalid.sources]
    facts = {"Declared in": _relative(invalid.folder, root)}
    yield Table(".".join(invalid.key), *invalid.key, reads=reads, columns=columns, facts=facts, invalid=reason)
    if invalid.layer == "silver":
        yield Table(f"bronze.{invalid.table}", "bronze", invalid.table, facts=facts, invalid=reason)


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name
