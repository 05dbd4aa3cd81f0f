"""`atlas docs build`: the catalogue from declarations, plans and scores.

Belongs here: collecting what the project declares, and printing. Does not belong here: the site (`catalog/site/`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas_pipeline.catalog.site.building import Built, OutputError, build_site
from atlas_pipeline.catalog.site.declared import Table
from atlas_pipeline.catalog.site.pages import Site
from atlas_pipeline.catalog.site.recorded import Recorded, read_recorded
from atlas_pipeline.cli.output import ERR, OUT, failures_as_messages, print_json, progress
from atlas_pipeline.cli.project import ROOT, load_project
from atlas_pipeline.settings import Settings, load_settings
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import WarehouseError, connect
from atlas_pipeline.warehouse.location import warehouse_url

if TYPE_CHECKING:
    import dagster as dg

    from atlas_pipeline.orchestration.tables.invalid import Invalid


def run(output: Path | None, declared_only: bool, json: bool) -> int:
    """Build the site, and say what was built.

    Args:
        output: folder of the site; null for the one in ATLAS_HOME.
        declared_only: do without the database.
        json: print one JSON document instead of text.

    Returns:
        The exit code: 2 where a declaration is wrong.
    """
    with failures_as_messages():
        started = time.monotonic()
        built, tables = build(output, declared_only)
    invalid = {key: table.invalid for key, table in tables.items() if table.invalid}
    summary = {
        "output": str(built.folder),
        "tables": len(tables),
        "pages": built.pages,
        "bytes": built.bytes,
        "seconds": round(time.monotonic() - started, 3),
        "declared_only": declared_only,
        "invalid": invalid,
    }
    if json:
        print_json(summary)
    else:
        _show(built, summary)
    return 2 if invalid else 0


def build(output: Path | None, declared_only: bool) -> tuple[Built, Mapping[str, Table]]:
    """Build the site; what was written, and the tables that it shows.

    Args:
        output: folder of the site; null for the one in ATLAS_HOME.
        declared_only: do without the database.

    Raises:
        ValueError: the folder cannot be written.
        WarehouseError: the database cannot be reached; the site is as it was.
    """
    with progress("loading definitions") as show:
        settings = load_settings()
        # Asked first, since that is soon said and loading takes seconds.
        recorded = None if declared_only else _recorded(settings)
        tables = tables_of(*load_project(), ROOT)
        show("writing pages")
        site = Site(tables, recorded, datetime.now(UTC), settings.ui_address, version("atlas-pipeline"))
        try:
            return build_site(site, output or settings.home_path / "catalogue"), tables
        except OutputError as error:
            raise ValueError(str(error)) from None


def _recorded(settings: Settings) -> dict[str, Recorded]:
    try:
        with connect(warehouse_url(settings)) as connection:
            prepare_warehouse(connection)
            return read_recorded(connection)
    except WarehouseError as error:
        raise WarehouseError(
            f"the catalogue was not built, since {error}. Start the database, or use `--declared-only`"
        ) from None


def tables_of(
    tree: dg.ComponentTree, loaded: dg.Definitions, invalid: Sequence[Invalid], root: Path
) -> dict[str, Table]:
    """All tables of a project.

    Args:
        tree: its components.
        loaded: its definitions.
        invalid: declarations that are wrong.
        root: of the project.
    """

    from atlas_pipeline.components import Dataset, GoldModel
    from atlas_pipeline.orchestration.tables.catalogue import declared_tables
    from atlas_pipeline.orchestration.warehouse import with_warehouse

    definitions = with_warehouse(loaded)
    components: dict[tuple[str, str], Any] = {
        ("silver", name): dataset for dataset in tree.get_all_components(Dataset) for name in dataset.silver_tables
    }
    components |= {("gold", model.table): model for model in tree.get_all_components(GoldModel)}
    return declared_tables(definitions.resolve_asset_graph(), components, invalid, root)


def _show(built: Built, summary: Mapping[str, Any]) -> None:
    for key, reason in summary["invalid"].items():
        ERR.print(f"{key} is not loaded: {reason}", markup=False, highlight=False)
    size = f"{built.bytes / 1e6:.1f} MB"
    text = f"{summary['tables']} tables on {built.pages} pages, {size}: open {built.folder / 'index.html'}"
    OUT.print(text, markup=False, highlight=False)
