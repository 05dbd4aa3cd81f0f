"""`atlas serve`: one process of the platform in the foreground, ended by SIGTERM.

Belongs here: how each is started and ended. Does not belong here: what they do, which is Dagster's. They run in this
process, not in one beneath it: a signal arrives where it belongs, also without an init, and logs begin before Dagster.
"""

import os
import signal
from types import FrameType
from urllib.parse import urlsplit

from atlas_pipeline.cli.output import failures_as_messages
from atlas_pipeline.cli.up import taken
from atlas_pipeline.instance.home import dagster_home, workspace_file
from atlas_pipeline.settings import Settings, load_settings

CODE_PORT = 4000


def run(process: str, host: str | None, port: int | None, read_only: bool) -> int:
    """Serve one process of the platform until a signal.

    Args:
        process: `code`, `daemon` or `webserver`.
        host: address to bind; null takes the default of the process.
        port: port to bind; null takes the default of the process.
        read_only: whether the web server refuses mutations.

    Returns:
        The exit code.
    """
    with failures_as_messages():
        settings = load_settings()
        # Also for SIGINT: a shell starts background jobs with it ignored, and Python keeps it so.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            # For Dagster in this process and for the runs that it starts.
            os.environ["DAGSTER_HOME"] = str(dagster_home(settings))
            _check_schemas(settings)
            if process == "code":
                return _code(settings, host, port)
            if process == "daemon":
                return _daemon(settings)
            return _webserver(settings, host, port, read_only)
        except KeyboardInterrupt:
            return 0


def _check_schemas(settings: Settings) -> None:
    """Raise WarehouseError when a database has a later schema than this version, or Dagster's has an earlier one."""
    from atlas_pipeline.instance import schema
    from atlas_pipeline.warehouse.bootstrap import refuse_later
    from atlas_pipeline.warehouse.connect import connect
    from atlas_pipeline.warehouse.location import dagster_url, warehouse_url

    with connect(warehouse_url(settings)) as connection:
        refuse_later(connection)
    schema.check(dagster_url(settings))


def _code(settings: Settings, host: str | None, port: int | None) -> int:
    from atlas_pipeline.instance.code_server import CodeServer

    named = urlsplit(f"//{settings.code_server}").port if settings.code_server else None
    host, port = host or "127.0.0.1", port or named or CODE_PORT
    # gRPC would share the port with another code server, and each would be asked for the other's runs.
    if taken(host, port):
        raise ValueError(
            f"cannot listen on port {port} of {host}: stop what is there, or use `atlas serve code --port`"
        )
    server = CodeServer(host, port)

    def end(signum: int, frame: FrameType | None) -> None:
        server.end(settings.stop_seconds)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    server.serve()
    return 0


def _daemon(settings: Settings) -> int:
    from atlas_pipeline.instance import daemon

    daemon.serve(workspace_file(settings))
    return 0


def _webserver(settings: Settings, host: str | None, port: int | None, read_only: bool) -> int:
    from dagster_webserver.cli import dagster_webserver

    arguments = ["--workspace", workspace_file(settings), "--host", host or settings.host]
    arguments += ["--port", str(port or settings.port), "--code-server-log-level", "warning"]
    dagster_webserver.main([*arguments, *(["--read-only"] if read_only else [])], standalone_mode=False)
    return 0
