"""The daemon of `atlas serve daemon`: Dagster's own, whose retries wait for the code.

Belongs here: which of Dagster's daemons run, and when lost runs are started again. Does not belong here: arguments and
signals (`cli/serve.py`), and which runs are lost (`run_launcher.py`).

Dagster tries once to start a failed run again: where the code cannot be reached at that moment, the run is lost. A code
server that is replaced is away for some seconds, and longer on a busy machine.
"""

from collections.abc import Generator
from typing import Any

from dagster import DagsterInstance
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._core.workspace.workspace import CodeLocationEntry
from dagster._daemon import EventLogConsumerDaemon
from dagster._daemon.controller import create_daemons_from_instance, daemon_controller_from_instance
from dagster._daemon.daemon import DagsterDaemon
from dagster._utils.interrupts import capture_interrupts


class PatientRetries(EventLogConsumerDaemon):
    """Starts failed runs again once all code can be reached; until then it leaves them in the event log."""

    def run_iteration(self, workspace_process_context: IWorkspaceProcessContext) -> Generator[Any]:
        """Start again what failed since the last look, or leave it for the next."""
        entries = workspace_process_context.create_request_context().get_code_location_entries()
        if all(_answers(entry) for entry in entries.values()):
            yield from super().run_iteration(workspace_process_context)


def serve(workspace: str) -> None:
    """Run the daemons that the instance needs until a signal; the instance is that of DAGSTER_HOME.

    Args:
        workspace: path of the file that says where the code is.
    """
    with (
        capture_interrupts(),
        DagsterInstance.get() as instance,
        daemon_controller_from_instance(
            instance,
            workspace_load_target=WorkspaceFileTarget(paths=[workspace]),
            gen_daemons=_daemons,
            code_server_log_level="warning",
            log_level="warning",
        ) as controller,
    ):
        controller.check_daemon_loop()


def _daemons(instance: DagsterInstance) -> list[DagsterDaemon[Any]]:
    return [
        PatientRetries() if isinstance(one, EventLogConsumerDaemon) else one
        for one in create_daemons_from_instance(instance)
    ]


def _answers(entry: CodeLocationEntry) -> bool:
    location = entry.code_location
    if not isinstance(location, GrpcServerCodeLocation):
        return location is not None
    try:
        location.client.ping("")
    except DagsterUserCodeUnreachableError:
        return False
    return True
