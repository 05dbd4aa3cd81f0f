"""`atlas ops`: serve metrics and health.

Belongs here: arguments, and what is printed at the start. Does not belong here: the server (`ops/`).
"""

import logging
import os
import sys

from atlas_pipeline.cli.output import OUT, failures_as_messages, print_json
from atlas_pipeline.ops.server import OpsServer
from atlas_pipeline.settings import load_settings


def run(json: bool, host: str | None, port: int | None, webserver: bool) -> int:
    """Serve until SIGINT or SIGTERM.

    Args:
        json: Print one JSON document instead of text.
        host: Address to bind; None for that of the settings.
        port: Port to bind; None for that of the settings.
        webserver: Check through Dagster's web server that the code location loads.

    Returns:
        The exit code.
    """
    with failures_as_messages():
        server = OpsServer(load_settings(), host, port, webserver=webserver)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    if json:
        print_json({"url": server.url, "pid": os.getpid()})
    else:
        OUT.print(f"Metrics: {server.url}/metrics   Health: {server.url}/health   (Ctrl-C ends it)", highlight=False)
    sys.stdout.flush()
    server.serve()
    return 0
