"""Logs and error reports in Dagster's processes: adds run and step to lines that Dagster did not write itself.

Belongs here: the step that executes at the moment, as Dagster knows it. Does not belong here: what lines look like
(`telemetry/logs.py`). `dagster.yaml` names Atlas's storage, so each of Dagster's processes comes here when it loads its
instance: web server, daemon, code server and every run.
"""

from dagster._core.execution.context.compute import current_execution_context

from atlas_pipeline.settings import load_settings
from atlas_pipeline.telemetry import setup
from atlas_pipeline.telemetry.logs import Place, asset_of

_ROOT_RUN = "dagster/root_run_id"


def begin() -> None:
    """Install logs and error reports in this process, which is one of Dagster's."""
    setup.configure(load_settings(), _place)


def _place() -> Place:
    """The step that this thread executes; nothing outside of steps."""
    context = current_execution_context.get()
    if context is None:
        return {}
    step = str(context.op_execution_context.op_handle)
    run = context.run
    return {
        "run_id": run.run_id,
        "job": run.job_name,
        "step": step,
        "asset": asset_of(step),
        "correlation_id": run.tags.get(_ROOT_RUN, run.run_id),
    }
