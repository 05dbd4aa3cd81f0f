"""A real Prometheus and Alertmanager with the files of docker/monitoring, on loopback, and an exporter to scrape.

Belongs here: starting and ending them, and running their tools. What is changed of the files is where things are and
how often they are looked at; thresholds, durations and routes are those of the files. Does not belong here: what is
asked of them (`expressions.py`).
"""

import contextlib
import itertools
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from atlas_pipeline.telemetry.families import Family, families
from atlas_pipeline_tests.monitoring.compose import options, replaced
from atlas_pipeline_tests.monitoring.expressions import MONITORING
from atlas_pipeline_tests.servers import free_ports

PROMETHEUS = ("prometheus",)
ALERTMANAGER = ("prometheus-alertmanager", "alertmanager")
SECONDS = 60.0
"""How long something may take to come true."""
VALUES: Mapping[str, Sequence[str]] = {
    "status": ("200", "500", "success", "failure", "passed", "failed", "loaded", "refused", "firing"),
    "state": ("pass", "warn", "fail", "total", "available"),
    "severity": ("error", "warn"),
    "dimension": ("overall", "validity"),
    "outcome": ("committed", "rolled_back", "delivered", "given_up"),
    "database": ("warehouse", "dagster"),
    "asset": ("silver/orders", "gold/customer_360"),
    "place": ("home", "backups"),
}
"""What labels say in the exporter of the tests; the others say `any`."""


def eventually(true: Callable[[], Any], what: str) -> Any:
    """What `true` returns, once that is something. Asks again until then; fails when it takes too long."""
    deadline = time.monotonic() + SECONDS
    while True:
        with contextlib.suppress(httpx.TransportError):
            found = true()
            if found:
                return found
        if time.monotonic() > deadline:
            pytest.fail(f"not in time: {what}")
        time.sleep(0.1)


def run(*arguments: str, folder: Path = MONITORING) -> str:
    """What a tool of Prometheus says; its failure fails the test."""
    program = shutil.which(arguments[0])
    if program is None:
        pytest.skip(f"{arguments[0]} is not installed")
    done = subprocess.run([program, *arguments[1:]], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


@dataclass
class Exporter:
    """Every family that begins with `only`, at 1; counters grow by 1 with each scrape. `values` are others, by name and
    labels; `more` is said besides."""

    only: str = ""
    more: str = ""
    port: int = 0
    scrapes: int = 0
    values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}/metrics"

    def set(self, name: str, value: float, **labels: str) -> None:
        """Let one series say `value` from now on."""
        self.values[name, tuple(sorted(labels.items()))] = value

    def text(self) -> str:
        """The answer, in the exposition format."""
        self.scrapes += 1
        said = (family for family in families().values() if family.name.startswith(self.only))
        return "".join(line + "\n" for family in said for line in self._lines(family)) + self.more

    def _lines(self, family: Family) -> Iterator[str]:
        yield f"# HELP {family.name} {family.help}"
        yield f"# TYPE {family.name} {family.kind}"
        for said in itertools.product(*(VALUES.get(label, ("any",)) for label in family.labels)):
            labels = dict(zip(family.labels, said, strict=True))
            if family.kind == "histogram":
                for bound in (*family.buckets, "+Inf"):
                    yield _line(f"{family.name}_bucket", {**labels, "le": str(bound)}, self.scrapes)
                yield _line(f"{family.name}_sum", labels, self.scrapes)
                yield _line(f"{family.name}_count", labels, self.scrapes)
            else:
                usual = self.scrapes if family.kind == "counter" else 1
                value = self.values.get((family.name, tuple(sorted(labels.items()))), usual)
                yield _line(family.name, labels, value)


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    said = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return f"{name}{{{said}}} {value}"


@contextlib.contextmanager
def exporter(only: str = "", more: str = "") -> Iterator[Exporter]:
    """An exporter on a free port, for as long as the block lasts."""
    state = Exporter(only, more)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = state.text().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: pytest's output is for results."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Stack:
    """URLs of both."""

    prometheus: str
    alertmanager: str

    def rules(self) -> list[dict[str, Any]]:
        """Every rule as Prometheus has it, with its health and last error."""
        groups = httpx.get(f"{self.prometheus}/api/v1/rules", timeout=10).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def targets(self) -> list[dict[str, Any]]:
        """Every target that is scraped."""
        return httpx.get(f"{self.prometheus}/api/v1/targets", timeout=10).json()["data"]["activeTargets"]

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that Alertmanager holds and that are not over."""
        return httpx.get(f"{self.alertmanager}/api/v2/alerts", timeout=10).json()


@contextlib.contextmanager
def monitored(
    metrics: str, folder: Path, receiver: str | None = None, exporters: Mapping[str, str] | None = None
) -> Iterator[Stack]:
    """Both servers, as the compose file starts them, scraping some /metrics each second until the block ends.

    With a `receiver`, the address of an HTTP server, messages go there, to the path of the team's name. `exporters` are
    others to scrape or probe: addresses by what targets.compose calls them. Skips the test where a program is not
    installed. Files are written into `folder`.
    """
    prometheus, alertmanager = free_ports(2)
    parts = urlsplit(metrics)
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(MONITORING / "rules" / "*.yml")]
    for job in config["scrape_configs"]:
        job.pop("scrape_timeout", None)
        if job["job_name"] == "atlas":
            job["metrics_path"] = parts.path
    places = {
        "ops:9464": parts.netloc,
        "prometheus:9090": f"127.0.0.1:{prometheus}",
        "alertmanager:9093": f"127.0.0.1:{alertmanager}",
        **(exporters or {}),
    }
    (folder / "targets").mkdir()
    for file in (MONITORING / "targets.compose").glob("*.yml"):
        (folder / "targets" / file.name).write_text(yaml.safe_dump(list(_targets(file, places))))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(_routes(receiver)))
    with (
        _process(
            folder / "alertmanager.log", ALERTMANAGER,
            *options("alertmanager", {"/etc/alertmanager": str(folder), "=/alertmanager": f"={folder}/alertmanager"}),
            f"--web.listen-address=127.0.0.1:{alertmanager}",
        ),
        _process(
            folder / "prometheus.log", PROMETHEUS,
            *options("prometheus", {"/etc/prometheus": str(folder), "=/prometheus": f"={folder}/prometheus"}),
            f"--web.listen-address=127.0.0.1:{prometheus}",
        ),
    ):  # fmt: skip
        stack = Stack(f"http://127.0.0.1:{prometheus}", f"http://127.0.0.1:{alertmanager}")
        eventually(lambda: httpx.get(f"{stack.alertmanager}/-/ready").is_success, "Alertmanager is ready")
        eventually(lambda: httpx.get(f"{stack.prometheus}/-/ready").is_success, "Prometheus is ready")
        yield stack


def _targets(file: Path, places: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The entries of a file of targets.compose of which all addresses are known, with what they are here."""
    for entry in yaml.safe_load(file.read_text(encoding="utf-8")):
        wanted = [*entry["targets"], *filter(None, [entry.get("labels", {}).get("__param_target")])]
        if all(any(name in one for name in places) for one in wanted):
            yield yaml.safe_load(replaced(yaml.safe_dump(entry), places))


def _routes(receiver: str | None) -> dict[str, Any]:
    """Alertmanager's file, with its receivers on loopback, or none; what ended is told at once, not after minutes."""
    config = yaml.safe_load((MONITORING / "alertmanager.yml").read_text(encoding="utf-8"))
    del config["global"]
    for route in (config["route"], *config["route"]["routes"]):
        route["group_interval"] = "1s"
    config["receivers"] = [
        {
            "name": one["name"],
            **({"webhook_configs": [{"url": f"http://{receiver}/{one['name']}"}]} if receiver else {}),
        }
        for one in config["receivers"]
    ]
    return config


@contextlib.contextmanager
def _process(log: Path, names: Sequence[str], *options: str) -> Iterator[None]:
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip(f"{names[0]} is not installed")
    with log.open("wb") as out:
        process = subprocess.Popen([program, *options], stdout=out, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)
