"""What Dagster loads: everything under `defs/`, and the resources that it is handed. Nothing else belongs here."""

import warnings
from pathlib import Path

import dagster as dg

from atlas_pipeline.resources.warehouse import WarehouseResource

# Dagster warns at each load of what it does itself with checks that stand beside an asset.
warnings.filterwarnings("ignore", "Parameter `execution_type` of function `AssetsDefinition", dg.BetaWarning)


@dg.definitions
def defs() -> dg.Definitions:
    """All assets, checks, jobs and sensors of this project."""
    loaded = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    return dg.Definitions.merge(
        loaded,
        dg.Definitions(resources={"warehouse": WarehouseResource()}, executor=dg.in_process_executor),
    )
