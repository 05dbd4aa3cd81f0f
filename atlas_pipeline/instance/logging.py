"""Logging and error reports of Dagster's processes: adds run and step to lines that Dagster does not write itself.

Belongs here: the step that the calling thread executes. Does not belong here: the format of lines
(`telemetry/logs.py`). `dagster.yaml` names Atlas's storage, so each of Dagster's processes calls `begin` when it loads
its instance: web server, daemon, code server and every run.
"""

from dagster._core.execution.context.compute import current_execution_context

from atlas_pipeline.settings import load_settings
from atlas_pipeline.telemetry import setup
from atlas_pipeline.telemetry.logs import LogContext, asset_of

_ROOT_RUN = "dagster/root_run_id"


def begin() -> None:
    """Set up logging and error reports in this process of Dagster."""
    setup.configure(load_settings(), _current_context)


def _current_context() -> LogContext:
    """The step that the calling thread executes; empty outside of steps."""
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
