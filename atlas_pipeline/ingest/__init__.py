"""From files and source tables to typed rows: readers, bronze, silver and quarantine. Plain Python, no Dagster."""
