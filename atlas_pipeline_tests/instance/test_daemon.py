"""A failed run that is to be started again stays in the event log until its code can be reached."""

from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon import EventLogConsumerDaemon

from atlas_pipeline.instance.daemon import PatientRetries
from atlas_pipeline_tests.servers import free_ports


@pytest.mark.parametrize(("daemon", "looked"), [(EventLogConsumerDaemon, True), (PatientRetries, False)])
def test_failed_runs_wait_for_a_code_server_that_is_away(
    daemon: type[EventLogConsumerDaemon], looked: bool, tmp_path: Path
) -> None:
    """Dagster's own moves on, so that it never sees the failure again."""
    (port,) = free_ports(1)
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": {"host": "127.0.0.1", "port": port}}]}))
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        WorkspaceProcessContext(instance, WorkspaceFileTarget(paths=[str(workspace)])) as context,
    ):
        list(daemon().run_iteration(context))
        cursors = instance.daemon_cursor_storage.get_cursor_values({"EVENT_LOG_CONSUMER_CURSOR-PIPELINE_FAILURE"})
    assert bool(cursors) is looked
