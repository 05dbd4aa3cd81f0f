"""`python -m atlas_pipeline.cli` is `atlas`."""

from atlas_pipeline.cli import app

app()
