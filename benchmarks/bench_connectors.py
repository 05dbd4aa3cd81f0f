"""What a REST source costs over dlt alone: the same API and rows on loopback, in turn, each in its own process.

Belongs here: the measurement. Does not belong here: the harness (`harness.py`).

dlt alone is `pipeline.run` of its rest_api source into Parquet files; Atlas is one extract into its Parquet file, which
needs no normalising. Prints seconds, the ratio (wanted: at most 1.2) and peak memory.
"""

import http.server
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading

ROWS, PAGE, ROUNDS, MOST = 100_000, 1_000, 3, 1.2


def serve() -> http.server.ThreadingHTTPServer:
    """An API with pages of rows that were made before."""
    pages = [
        json.dumps(
            [
                {
                    "id": i,
                    "name": f"name {i}",
                    "city": "Paris",
                    "amount": i * 1.25,
                    "at": "2024-01-01T00:00:00Z",
                    "ok": True,
                }
                for i in range(start, start + PAGE)
            ]
        ).encode()
        for start in range(0, ROWS, PAGE)
    ]

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            number = int(self.path.rpartition("page=")[2]) - 1
            body = pages[number] if number < len(pages) else b"[]"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


ATLAS = """
from atlas_pipeline.ingest.connectors import Paging, RestApi
from atlas_pipeline.ingest.connectors.extracting import _made
from atlas_pipeline.ingest.connectors.source import ExtractedSource
from atlas_pipeline.ingest.connectors.tally import Tally
from atlas_pipeline.settings import Settings
from atlas_pipeline.warehouse.connectors import Position
import dlt.sources.rest_api
started = time.perf_counter()
source = ExtractedSource("rows", RestApi(url, "rows", paging=Paging("page_number")), whole=True)
made = _made(source, Settings(home=Path(folder)), Position(), Tally(), lambda message: None)
assert made.rows == rows
"""
DLT = """
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
import dlt
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator
from dlt.sources.rest_api import rest_api_resources
started = time.perf_counter()
pager = PageNumberPaginator(base_page=1, page_param="page", total_path=None)
endpoint = {"path": "rows", "paginator": pager}
found = rest_api_resources({"client": {"base_url": url}, "resources": [{"name": "rows", "endpoint": endpoint}]})
pipeline = dlt.pipeline("bench", pipelines_dir=folder, destination=dlt.destinations.filesystem(folder + "/out"))
pipeline.run(found, loader_file_format="parquet")
"""
HEAD = """
import json, os, resource, sys, time
from pathlib import Path
url, folder, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
"""
TAIL = "print(json.dumps([time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))\n"


def measured(code: str, url: str) -> tuple[float, float]:
    """Seconds and peak megabytes of one process."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-c", HEAD + code + TAIL, url, folder, str(ROWS)]
        done = subprocess.run(line, capture_output=True, text=True, check=True, env={**os.environ, "HOME": folder})
        seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
        return seconds, megabytes


def main() -> int:
    """Measure in turn, and print. Returns the exit code: 1 when the ratio is over what is wanted."""
    server = serve()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    found: dict[str, list[tuple[float, float]]] = {"dlt": [], "Atlas": []}
    for _ in range(ROUNDS):
        found["dlt"].append(measured(DLT, url))
        found["Atlas"].append(measured(ATLAS, url))
    server.shutdown()
    seconds = {name: statistics.median(one[0] for one in runs) for name, runs in found.items()}
    peak = {name: max(one[1] for one in runs) for name, runs in found.items()}
    ratio = seconds["Atlas"] / seconds["dlt"]
    print(f"{ROWS:,} rows of a REST API in pages of {PAGE:,}, medians of {ROUNDS}, {os.cpu_count()} cores")
    for name in found:
        print(f"  {name:6} {seconds[name]:6.2f} s, peak {peak[name]:5.0f} MB")
    print(f"  Atlas / dlt alone: {ratio:.2f} (wanted: at most {MOST})")
    return int(ratio > MOST)


if __name__ == "__main__":
    sys.exit(main())
