"""Alerts: what is wrong, told to someone once, and told again when it is over. Nothing here knows Dagster."""
