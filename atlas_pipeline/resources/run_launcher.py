"""Old name of `instance/run_launcher.py`, for a `dagster.yaml` written for 0.1. Nothing else belongs here."""

from atlas_pipeline.instance.run_launcher import AtlasRunLauncher

__all__ = ["AtlasRunLauncher"]
