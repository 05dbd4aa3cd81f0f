"""`atlas docs serve`: the catalogue over HTTP on this machine, for a browser that opens no files.

Belongs here: serving a folder. Does not belong here: building it (`build.py`).
"""

import signal
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

from atlas_pipeline.cli.docs.build import build
from atlas_pipeline.cli.output import OUT, failures_as_messages, print_json

_HOST = "127.0.0.1"


class _Pages(SimpleHTTPRequestHandler):
    """The files of the folder, with nothing in the log, and never an old page from a cache."""

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def run(port: int, output: Path | None, declared_only: bool, json: bool) -> int:
    """Build the site and serve it until a signal.

    Args:
        port: to bind; 0 for a free one.
        output: folder of the site; null for the one in ATLAS_HOME.
        declared_only: do without the database.
        json: print the address as one JSON document.

    Returns:
        The exit code.
    """
    with failures_as_messages():
        built, _ = build(output, declared_only)
        try:
            server = ThreadingHTTPServer((_HOST, port), partial(_Pages, directory=str(built.folder)))
        except OSError:
            raise ValueError(f"port {port} of {_HOST} is in use: stop what is there, or use `--port`") from None
    # Set even for SIGINT: a shell starts background jobs with it ignored, and then Python keeps it so.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    url = f"http://{_HOST}:{server.server_address[1]}"
    try:
        with server:
            if json:
                print_json({"url": url, "folder": str(built.folder)})
            else:
                OUT.print(f"Catalogue: {url}   (Ctrl-C stops it)", highlight=False)
            OUT.file.flush()
            server.serve_forever()
    except KeyboardInterrupt:
        return 0
    return 0


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
