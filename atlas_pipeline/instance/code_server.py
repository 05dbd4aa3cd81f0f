"""The code server of `atlas serve code`: Dagster's own, with a graceful shutdown.

Belongs here: what becomes of runs when the server is told to stop. Does not belong here: arguments and signals
(`cli/serve.py`), and how a run that was cut off is started again (`run_retries`, `run_launcher.py`).

While it drains it starts no run: it answers UNAVAILABLE, and the daemon keeps the run in its queue. The runs in flight
may go on until the limit; then they are killed. Run monitoring misses them once there is a server again, and
`run_retries` starts them again. A killed run leaves nothing half-done visible: "When a process is killed" in
docs/operations.md.
"""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Iterator

import grpc
import psutil
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import FuturesAwareThreadPoolExecutor
from dagster._grpc.server import DagsterApiServer, DagsterGrpcServer
from dagster._utils.log import configure_loggers

from atlas_pipeline.environment import PROJECT_ROOT

LOCATION = "atlas_pipeline"
_DEFINITIONS = ("atlas_pipeline.definitions", "defs")
_LOOK_SECONDS = 0.2

log = logging.getLogger("dagster.code_server")


class CodeServer:
    """The code of this project on a host and port. Raises whatever loading the code raises."""

    def __init__(self, host: str, port: int):
        module, attribute = _DEFINITIONS
        self._ended = threading.Event()
        workers = FuturesAwareThreadPoolExecutor()
        configure_loggers(log_level="INFO")
        self._servicer = _Servicer(
            server_termination_event=self._ended,
            logger=log,
            server_threadpool_executor=workers,
            loadable_target_origin=LoadableTargetOrigin(
                executable_path=sys.executable,
                module_name=module,
                attribute=attribute,
                working_directory=str(PROJECT_ROOT),
            ),
            location_name=LOCATION,
        )
        self._server = DagsterGrpcServer(
            server_termination_event=self._ended,
            dagster_api_servicer=self._servicer,
            logger=log,
            threadpool_executor=workers,
            host=host,
            port=port,
        )

    def serve(self) -> None:
        """Answer until `end` has done its work."""
        log.info("serving the code")
        self._server.serve()  # type: ignore[no-untyped-call]

    def end(self, seconds: float) -> None:
        """Start no new run, let those in flight go on for `seconds`, then hand over the rest. Returns at once."""
        threading.Thread(target=self._end, args=(seconds,), name="ending", daemon=True).start()

    def _end(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self._servicer.closed.set()
        if runs := self._servicer.runs():
            log.info("told to end: %d runs may go on for %g s, and no new one begins", len(runs), seconds)
        while self._servicer.busy() and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        while self._servicer.busy():
            if runs := self._servicer.runs():
                log.warning("%d runs did not end in time and will be started again: %s", len(runs), ", ".join(runs))
            self._servicer.hand_over()
        self._ended.set()


class _Servicer(DagsterApiServer):
    """Dagster's own servicer, which also counts the runs that it is about to start."""

    def __init__(self, **arguments: object):
        self.closed = threading.Event()
        self._starting = 0
        self._counting = threading.Lock()
        super().__init__(**arguments)  # type: ignore[arg-type]

    def StartRun(self, request, context):  # type: ignore[no-untyped-def]
        """Dagster's own; while the server drains it answers UNAVAILABLE, and the daemon tries again later."""
        with self._begin() as is_open:
            if not is_open:
                context.abort(grpc.StatusCode.UNAVAILABLE, "this code server is ending: start the run in the next one")
            return super().StartRun(request, context)

    @contextlib.contextmanager
    def _begin(self) -> Iterator[bool]:
        """Whether a run may start; it counts as starting while the body runs."""
        with self._counting:
            is_open = not self.closed.is_set()
            self._starting += is_open
        try:
            yield is_open
        finally:
            with self._counting:
                self._starting -= is_open

    def runs(self) -> list[str]:
        """The ids of the runs that are executed here."""
        with self._execution_lock:
            return sorted(self._executions)

    def busy(self) -> bool:
        """Whether runs are executed, or about to be."""
        with self._counting:
            if self._starting:
                return True
        return bool(self.runs())

    def hand_over(self) -> None:
        """Kill the processes of all runs and their descendants, without reporting the runs as failed.

        Otherwise the daemon would retry them at once, find no server, and give up.
        """
        with self._execution_lock:
            for run_id, (process, _) in list(self._executions.items()):
                with contextlib.suppress(psutil.NoSuchProcess):
                    leader = psutil.Process(process.pid)
                    for member in [leader, *leader.children(recursive=True)]:
                        with contextlib.suppress(psutil.NoSuchProcess):
                            member.kill()
                process.join()
                self._clear_run(run_id)
