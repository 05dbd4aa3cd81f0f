"""`atlas ops`: the server of metrics and health.

Belongs here: serving, and when what is asked. Does not belong here: what metrics there are and where they come from
(`telemetry/`, `resources/telemetry_*.py`).
"""
