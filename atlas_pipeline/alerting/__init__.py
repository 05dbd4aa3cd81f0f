"""Alerts: conditions that hold, each notified once, and again when it is resolved. Plain Python, no Dagster."""
