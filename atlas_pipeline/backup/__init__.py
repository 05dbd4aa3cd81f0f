"""Backups of databases: made, kept, verified and restored. Plain Python, no Dagster."""
