"""Dagster's side of each subject: tables, alerts, backups."""
