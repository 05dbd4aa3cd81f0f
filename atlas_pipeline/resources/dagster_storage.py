"""Old name of `instance/storage.py`, for a `dagster.yaml` written for 0.1. Nothing else belongs here."""

from atlas_pipeline.instance.storage import AtlasComputeLogManager, AtlasDagsterStorage

__all__ = ["AtlasComputeLogManager", "AtlasDagsterStorage"]
