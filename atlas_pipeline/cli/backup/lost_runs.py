"""Runs that are in progress according to a restored database of Dagster's, though their processes are gone.

Belongs here: marking them as failed. Does not belong here: restoring (`commands.py`). Run monitoring looks
for the processes of runs that a server started, and of no others, which would hold their pools and slots for ever. What
only waits in the queue is left to the queue.
"""

import dagster as dg

from atlas_pipeline.instance.home import dagster_home
from atlas_pipeline.settings import Settings


def end_lost_runs(settings: Settings, moment: str) -> int:
    """Mark runs as failed that were starting or in progress when the backup was made.

    Dagster's daemon then frees their slots and retries them, as it does with any run whose process was lost.

    Args:
        settings: where Dagster's home is.
        moment: when that was, in words for the event log.

    Returns:
        How many runs.
    """
    statuses = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    with dg.DagsterInstance.from_config(str(dagster_home(settings))) as instance:
        found = instance.get_runs(dg.RunsFilter(statuses=statuses))
        for run in found:
            message = f"This run was going on when {moment}; its process is gone."
            if run.status == dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceled(run, message)
            else:
                instance.report_run_failed(run, message)
        return len(found)
