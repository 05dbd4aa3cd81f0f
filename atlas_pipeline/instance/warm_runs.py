"""Runs that start warm: a code server forks their processes from one that has imported Dagster before.

Belongs here: which context of `multiprocessing` Dagster's code servers start runs with, and what is imported ahead.
Does not belong here: how a run is launched (`run_launcher.py`) and ended (`code_server.py`).

Dagster spawns a new Python for each run, which imports everything anew; it has no setting for that. Here the code
server keeps a `multiprocessing` fork server, a process of its own that was executed, not forked, and so has no thread,
no connection and no lock of the code server. It imports modules and waits; each run is a fork of it. Declarations,
models and settings are read by each run anew, as in a spawned process: nothing is evaluated ahead.

What starts a thread when it is imported is left to the runs (numpy, pyarrow, Soda), since a fork of a process with
threads is not safe.
"""

import multiprocessing
import sys
from functools import cache
from multiprocessing import forkserver

IMPORTED_AHEAD = (
    "dagster._cli",
    "dagster._grpc.impl",
    "dagster._core.execution.api",
    "dagster._core.executor.in_process",
    "dagster_postgres",
    "dagster_aws.components",
    "atlas_pipeline.cli",
    "atlas_pipeline.definitions",
    "atlas_pipeline.event_log.entries",
    "atlas_pipeline.instance.run_launcher",
    "atlas_pipeline.instance.storage",
    "jinja2",
    "jsonschema",
    "ruamel.yaml",
    "sqlglot",
)
"""What every run of this project imports. One that is not to be had is passed over."""


@cache
def install() -> None:
    """Have the code server that is being started in this process fork its runs; on Linux, where that is safe.

    It starts the fork server when it begins to serve: by then it has its environment, and has loaded the code.
    """
    if sys.platform != "linux":
        return
    from dagster._grpc.server import DagsterApiServer, DagsterGrpcServer

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*IMPORTED_AHEAD])
    serve = DagsterGrpcServer.serve

    def serve_warm(self: DagsterGrpcServer) -> None:
        if isinstance(self._api_servicer, DagsterApiServer):  # the proxy of `dagster dev` executes no run
            forkserver.ensure_running()
        serve(self)  # type: ignore[no-untyped-call]

    # A property, since Dagster sets the attribute of each server to its own context, maybe before this is called.
    DagsterApiServer._mp_ctx = property(lambda self: context, lambda self, value: None)  # type: ignore[assignment]
    DagsterGrpcServer.serve = serve_warm  # type: ignore[method-assign]
