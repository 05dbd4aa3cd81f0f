"""Runs that a restored database of Dagster's believes to be going on, though their processes are long gone.

Belongs here: ending them in Dagster's books. Does not belong here: restoring (`commands.py`). Run monitoring looks
for the processes of runs that a server started, and of no others, which would hold their pools and slots for ever. What
only waits in the queue is left to the queue.
"""

import dagster as dg

from atlas_pipeline.instance.home import dagster_home
from atlas_pipeline.settings import Settings


def end_lost_runs(settings: Settings, moment: str) -> int:
    """Mark as failed what was starting or going on when `moment`, such as "the backup was made". Tells how many.

    Dagster's daemon then frees what they held and starts them again, as it does with any run whose process was lost.
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
