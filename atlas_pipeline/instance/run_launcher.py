"""The run launcher of `dagster.yaml`: Dagster's own, with a health check of the run's process.

Belongs here: that health check, for Dagster's run monitoring. Does not belong here: what follows from it (monitoring
fails the run, `run_retries` starts it again), and runs that a database remembers from before a restore
(`cli/backup/lost_runs.py`).

Monitoring believes the first "no" and ends the run, and `run_retries` then tries once to start it again: at once under
`dagster dev`, and under `atlas serve daemon` when the code can be reached (`daemon.py`). So a "no" is said only when
the worker was missed at three looks in a row. Where to look depends on the code server that the launcher noted on the
run:

- on a Unix socket, as those that `dagster dev` and the daemon start, the run's process is on this machine. It is looked
  for itself, by the pid that it wrote into the event log. The server's word would be worth less: once the code was
  reloaded, the address answers for the new server only, and a run outlives a server that was killed. It is waited for
  while `dagster dev` has lost the server behind the address: until the next reload nothing could be started again.
- on a host and port, the server is asked which runs it executes. One that does not answer, or cannot tell (`dagster
  code-server start`), is believed to execute the run.

A run without a server, as of `atlas demo` or `dagster job execute`, may be going on anywhere: it is left alone.
"""

import json
from collections import Counter

import psutil
from dagster import DagsterEventType, DagsterRun, DefaultRunLauncher
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import GetCurrentRunsResult
from dagster._serdes import ConfigurableClassData, deserialize_value

_LOOKS = 3
_CLOCK_SECONDS = 60
"""How far the machine's clock may be set while a run goes on, without its process being taken for another."""


class AtlasRunLauncher(DefaultRunLauncher):
    """Launches runs in code servers and checks whether their processes are alive."""

    def __init__(self, inst_data: ConfigurableClassData | None = None):
        super().__init__(inst_data)
        self._missed = Counter[str]()

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Always true: a run that cannot be checked is reported as running."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """FAILED when the worker of this started run was missed at three calls in a row, else RUNNING."""
        if not self._misses(run):
            del self._missed[run.run_id]
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        self._missed[run.run_id] += 1
        if self._missed[run.run_id] < _LOOKS:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        del self._missed[run.run_id]
        return CheckRunHealthResult(WorkerStatus.FAILED, "the process of this run is gone")

    def _misses(self, run: DagsterRun) -> bool:
        """Whether the worker of the run is not there, and the run can be started again."""
        if GRPC_INFO_TAG not in run.tags:
            return False
        address = json.loads(run.tags[GRPC_INFO_TAG])
        server = DagsterGrpcClient(**address)
        if "socket" not in address:
            return not _executes(server, run)
        return not self._lives(run) and not _is_broken(server)

    def _lives(self, run: DagsterRun) -> bool:
        """Whether the process that started the run is on this machine, and not another that was given its pid."""
        started = self._instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_START)
        pid = started[-1].get_dagster_event().pid if started else None
        if pid is None:
            return True
        try:
            process = psutil.Process(pid)
            old_enough = process.create_time() <= started[-1].timestamp + _CLOCK_SECONDS
            return old_enough and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def _executes(server: DagsterGrpcClient, run: DagsterRun) -> bool:
    try:
        answer = deserialize_value(server.get_current_runs(), GetCurrentRunsResult)
    except DagsterUserCodeUnreachableError:
        return True
    return run.run_id in answer.current_runs


def _is_broken(server: DagsterGrpcClient) -> bool:
    """Whether the proxy of `dagster dev` answers at the address, with no code server behind it."""
    try:
        server.ping("")
    except DagsterUserCodeUnreachableError as error:
        return not str(error).endswith("UNAVAILABLE")
    return False
