"""The parts of /metrics that need no Dagster: this process, Atlas's tables, the databases, the machine."""
