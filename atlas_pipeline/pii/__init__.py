"""Personal data: detection in columns and text, plans, actions and keys, the leak check. Plain Python, no Dagster."""
