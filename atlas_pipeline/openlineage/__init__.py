"""OpenLineage: an event when the build of a table begins, completes or fails, for catalogues that collect such events.

Belongs here: the events, and sending them. Does not belong here: reading Dagster's log and definitions
(`orchestration/openlineage.py`). Names, kinds and counts are sent, never a value of a row.
"""
