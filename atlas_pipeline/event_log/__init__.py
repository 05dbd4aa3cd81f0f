"""Dagster's event log and ticks: one reader, one decoder, one `Event`, for alerts and metrics. Imports no Dagster."""
