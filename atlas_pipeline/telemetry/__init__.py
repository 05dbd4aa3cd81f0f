"""Metrics and health: what happened, counted once, and how everything stands. Nothing here knows Dagster."""
