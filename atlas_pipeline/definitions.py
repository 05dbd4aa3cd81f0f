"""Dagster entry point: builds `Definitions` from `defs/` and the shared resources. Nothing else belongs here."""

import warnings
from pathlib import Path

import dagster as dg

from atlas_pipeline.orchestration.alerts.policies import load_policies
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.settings import load_settings

# Dagster passes this parameter itself for checks that are declared beside an asset, and warns of it at each load.
warnings.filterwarnings("ignore", "Parameter `execution_type` of function `AssetsDefinition", dg.BetaWarning)


@dg.definitions
def defs() -> dg.Definitions:
    """All assets, checks, jobs and sensors of this project.

    Raises:
        PolicyFileError: alerts.yaml is wrong.
    """
    loaded = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    definitions = dg.Definitions.merge(
        loaded,
        dg.Definitions(resources={"warehouse": WarehouseResource()}, executor=dg.in_process_executor),
    )
    load_policies(definitions, load_settings())
    return definitions
