"""YAML to Dagster definitions: the component types that `dg` offers."""

from atlas_pipeline.components.dataset import Dataset
from atlas_pipeline.components.gold_model import GoldModel

__all__ = ["Dataset", "GoldModel"]
