"""Dagster entry point: builds `Definitions` from `defs/` and the shared resources. Nothing else belongs here."""

import logging
from pathlib import Path

import dagster as dg

from atlas_pipeline.environment import validating
from atlas_pipeline.orchestration.alerts.policies import load_policies
from atlas_pipeline.orchestration.tables.invalid import invalid_definitions
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.settings import load_settings

log = logging.getLogger("dagster.code_server")


@dg.definitions
def defs() -> dg.Definitions:
    """All assets, checks, jobs and sensors of this project; in place of declarations that are wrong, what says so.

    Raises:
        SystemExit: while definitions are validated, and declarations are wrong. Dagster would put a stack trace around
            any exception.
        PolicyFileError: alerts.yaml is wrong.
    """
    # What declares tables imports numpy; importing this module, as every process of Dagster does, does not.
    from atlas_pipeline.components.isolation import load_leniently

    _, loaded, invalid = load_leniently(lambda: dg.ComponentTree.for_project(Path(__file__).parent))
    for one in invalid:
        log.error("%s.%s is not loaded: %s", one.layer, one.table, one.reason)
    if invalid and validating():
        count = len(invalid)
        raise SystemExit(f"{count} {'declaration is' if count == 1 else 'declarations are'} wrong, as said above.")
    resources = dg.Definitions(resources={"warehouse": WarehouseResource()}, executor=dg.in_process_executor)
    definitions = dg.Definitions.merge(loaded, resources)
    taken = definitions.resolve_asset_graph().materializable_asset_keys if invalid else ()
    definitions = dg.Definitions.merge(definitions, invalid_definitions(invalid, taken))
    load_policies(definitions, load_settings())
    return definitions
