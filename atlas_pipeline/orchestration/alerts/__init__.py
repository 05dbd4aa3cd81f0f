"""From Dagster's event log and state to alerts."""
