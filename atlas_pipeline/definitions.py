"""What Dagster loads: everything under `defs/`, and the resources that it is handed. Nothing else belongs here."""

import warnings
from pathlib import Path

import dagster as dg

from atlas_pipeline.orchestration.alerts.policies import load_policies
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.settings import load_settings

# Dagster warns at each load of what it does itself with checks that stand beside an asset.
warnings.filterwarnings("ignore", "Parameter `execution_type` of function `AssetsDefinition", dg.BetaWarning)


@dg.definitions
def defs() -> dg.Definitions:
    """All assets, checks, jobs and sensors of this project. Raises PolicyFileError when alerts.yaml is wrong."""
    loaded = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    found = dg.Definitions.merge(
        loaded,
        dg.Definitions(resources={"warehouse": WarehouseResource()}, executor=dg.in_process_executor),
    )
    load_policies(found, load_settings())
    return found
