"""Metrics, health, logs and error reports. Plain Python, no Dagster."""
