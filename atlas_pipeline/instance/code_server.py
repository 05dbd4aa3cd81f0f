"""The code server of `atlas serve code`: Dagster's own, which also ends well.

Belongs here: what becomes of runs when the server is told to end. Does not belong here: arguments and signals
(`cli/serve.py`), and how a run that was cut off is started again (`run_retries`, `run_launcher.py`).

While it ends it starts no run: it answers as one that is away, and the daemon keeps the run in its queue. The runs that
it executes may go on until the limit; then they are killed. Run monitoring misses them once there is a server again,
and `run_retries` starts them anew. Nothing half-done is visible of a killed run: "When a process is killed" in
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
        """Take no new run, let those in flight go on for so long, then hand over what is left; returns at once."""
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
    """Dagster's own, that knows which runs it is about to start."""

    def __init__(self, **arguments: object):
        self.closed = threading.Event()
        self._starting = 0
        self._counting = threading.Lock()
        super().__init__(**arguments)  # type: ignore[arg-type]

    def StartRun(self, request, context):  # type: ignore[no-untyped-def]
        """As Dagster's; while the server ends it says that it cannot be reached, and the daemon asks again later."""
        with self._begin() as is_open:
            if not is_open:
                context.abort(grpc.StatusCode.UNAVAILABLE, "this code server is ending: start the run in the next one")
            return super().StartRun(request, context)

    @contextlib.contextmanager
    def _begin(self) -> Iterator[bool]:
        """Whether a run may begin; for as long as the body runs it counts as one that does."""
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
        """Kill the processes of all runs, with all that they started, and say nothing of it.

        Were the runs reported as failed now, the daemon would try at once to start them again, find no server, and try
        no more.
        """
        with self._execution_lock:
            for run_id, (process, _) in list(self._executions.items()):
                with contextlib.suppress(psutil.NoSuchProcess):
                    leader = psutil.Process(process.pid)
                    for one in [leader, *leader.children(recursive=True)]:
                        with contextlib.suppress(psutil.NoSuchProcess):
                            one.kill()
                process.join()
                self._clear_run(run_id)
