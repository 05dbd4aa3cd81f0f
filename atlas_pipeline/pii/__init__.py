"""Personal data: what may be done to a column that holds it. Plain Python, no Dagster."""
