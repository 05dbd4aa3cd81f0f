"""Dagster's own instance: storage, run launcher, code server, schema, logging."""
