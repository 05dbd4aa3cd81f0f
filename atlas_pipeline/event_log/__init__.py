"""Dagster's event log: one reader and one decoder."""
