"""`atlas ops` from outside: what it answers, when it says that all is not well, and that it bears crowds and idlers."""

import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._daemon.types import DaemonHeartbeat
from prometheus_client.parser import text_string_to_metric_families as parse

from atlas_pipeline.instance.home import dagster_home
from atlas_pipeline.ops.dagster import DAEMONS
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.embedded import SUPERUSER
from atlas_pipeline_tests.servers import free_ports, own_postgres

pytestmark = pytest.mark.slow
PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
CANARY = "canary4711"
LOADED = {"name": "atlas", "loadStatus": "LOADED", "locationOrLoadError": {"__typename": "RepositoryLocation"}}


class Ops:
    """A running `atlas ops`."""

    def __init__(self, *arguments: str, **settings: str):
        [port] = free_ports(1)
        command = [sys.executable, "-m", "atlas_pipeline.cli", "ops", "--json", "--port", str(port), *arguments]
        environment = {**os.environ, **settings}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        document = ""
        while not document.rstrip().endswith("}"):
            line = self.process.stdout.readline()
            assert line, f"atlas ops ended with {self.process.wait()}: {self.process.communicate()[1]}"
            document += line
        self.url = json.loads(document)["url"]
        self.port = port
        wait_for(lambda: self.get("/health/live")[0] == 200)

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, Any]:
        """Status, body and headers; status 0 while nobody listens."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers
        except OSError:
            return 0, b"", {}

    def components(self, path: str = "/health/ready") -> dict[str, str | None]:
        """The problem of each component."""
        status, body, _ = self.get(path)
        found = {name: one.get("problem") for name, one in json.loads(body)["components"].items()}
        assert (status == 200) == (not any(found.values()))
        return found

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Values by name of the sample and values of labels, in the order of their names."""
        body = self.get("/metrics")[1].decode()
        return {
            (one.name, *(one.labels[name] for name in sorted(one.labels))): one.value
            for metric in parse(body)
            for one in metric.samples
        }

    def has(self, *key: str) -> Callable[[], bool]:
        return lambda: key in self.metrics()

    def stop(self) -> tuple[int, str]:
        """The exit code, and what was said on standard error."""
        self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=60)[1]
        return self.process.returncode, said


@contextmanager
def serving(*arguments: str, **settings: str) -> Iterator[Ops]:
    ops = Ops(*arguments, **settings)
    try:
        yield ops
    finally:
        if ops.process.poll() is None:
            ops.process.kill()
            ops.process.communicate()


def wait_for(condition: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.1)


@contextmanager
def webserver(entries: list[dict[str, Any]]) -> Iterator[str]:
    """The address of a web server that has these code locations."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert "locationEntries" in json.loads(self.rfile.read(int(self.headers["Content-Length"])))["query"]
            body = json.dumps({"data": {"workspaceOrError": {"locationEntries": entries}}}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def instance(atlas_env: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster's storage of this installation, whose daemons were alive just now."""
    with dg.DagsterInstance.from_config(str(dagster_home(load_settings()))) as one:
        beat(one)
        yield one


def beat(instance: dg.DagsterInstance, seconds_ago: float = 0, daemons: tuple[str, ...] = DAEMONS) -> None:
    """A sign of life of these daemons; `seconds_ago` below 0 keeps them alive for a slow test."""
    for daemon in daemons:
        instance.run_storage.add_daemon_heartbeat(DaemonHeartbeat(time.time() - seconds_ago, daemon, "id", []))


def test_paths_methods_and_formats(instance: dg.DagsterInstance) -> None:
    with webserver([LOADED]) as ui, serving(ATLAS_UI_URL=ui) as ops:
        wait_for(ops.has("atlas_scrape_part_up", "backups"))
        status, body, headers = ops.get("/metrics")
        assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert len(body) == int(headers["Content-Length"])
        status, body, headers = ops.get(
            "/metrics", Accept="application/openmetrics-text;version=1.0.0", Accept_Encoding="gzip"
        )
        assert headers["Content-Type"].startswith("application/openmetrics-text")
        assert gzip.decompress(body).endswith(b"# EOF\n")
        assert ops.get("/metrics", "HEAD")[:2] == (200, b"")
        assert ops.get("/health/live")[0] == ops.get("/health/ready")[0] == ops.get("/health/startup")[0] == 200
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert ops.get("/metrics", method)[0] == 405
        assert ops.get(f"/{CANARY}/../x")[0] == 404
        about = json.loads(ops.get("/health")[1])
        assert about["version"]
        assert about["uptime_seconds"] > 0
        assert about["resources"]["memory_bytes"] > 1 << 20
        wait_for(ops.has("atlas_http_requests_total", "GET", "other", "404"))
        metrics = ops.metrics()
        assert metrics["atlas_http_requests_total", "other", "/metrics", "405"] == 4
        assert not [key for key in metrics if CANARY in str(key)]
        assert metrics["atlas_metrics_series",] == len(metrics)
        assert len({key[0] for key in metrics}) >= 40


def test_ready_names_each_component_that_is_not(instance: dg.DagsterInstance) -> None:
    entries = [dict(LOADED)]
    with webserver(entries) as ui, serving(ATLAS_UI_URL=ui) as ops:
        assert set(ops.components().values()) == {None}
        entries[0] = {**LOADED, "locationOrLoadError": {"__typename": "PythonError"}}
        wait_for(lambda: ops.components()["code_location"] == "not loaded: atlas")
        entries[0] = LOADED
        beat(instance, 61, ("SENSOR",))
        wait_for(lambda: "sensor" in str(ops.components()["daemon"]))
        assert [name for name, problem in ops.components().items() if problem] == ["daemon"]
        beat(instance)
        wait_for(lambda: not any(ops.components().values()))
        run = instance.run_storage.add_run(dg.DagsterRun(job_name="j"))
        url = load_settings().dagster_database_url
        assert url
        with psycopg.connect(url.get_secret_value()) as connection:
            connection.execute(
                "UPDATE runs SET status = 'QUEUED', create_timestamp = localtimestamp - interval '11 min' "
                "WHERE run_id = %s",
                [run.run_id],
            )
        wait_for(lambda: "1 runs wait" in str(ops.components()["queue"]))
        wait_for(lambda: ops.metrics().get(("atlas_run_queue_oldest_seconds",), 0) > 600)


def test_startup_wants_the_schema_and_the_roles(instance: dg.DagsterInstance) -> None:
    url = load_settings().database_url
    assert url
    with serving("--no-webserver") as ops:
        assert ops.components("/health/startup") == {"schema": None, "roles": None}
        with psycopg.connect(url.get_secret_value()) as connection:
            connection.execute("UPDATE atlas.setup SET version = version - 1")
        wait_for(lambda: "expected" in str(ops.components("/health/startup")["schema"]))
        assert ops.get("/health/ready")[0] == 200
        assert ops.get("/health")[0] == 503
    with (
        own_postgres() as server,
        serving("--no-webserver", ATLAS_DATABASE_URL=server.url(SUPERUSER, SUPERUSER)) as ops,
    ):
        found = ops.components("/health/startup")
        assert str(found["schema"]).startswith("the warehouse is at version 0")
        assert str(found["roles"]).startswith("missing: atlas_owner")


def test_a_database_that_accepts_and_never_answers_holds_up_nothing_else(instance: dg.DagsterInstance) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(200)
        url = f"postgresql://u:{CANARY}@127.0.0.1:{mute.getsockname()[1]}/d"
        with serving("--no-webserver", ATLAS_DATABASE_URL=url) as ops:
            found = ops.components()
            assert found["warehouse"]
            assert [name for name, problem in found.items() if problem] == ["warehouse"]
            assert ops.get("/health/live")[0] == 200
            wait_for(lambda: ops.metrics().get(("atlas_db_up", "warehouse")) == 0)
            assert ops.metrics()["atlas_db_up", "dagster"] == 1
            wait_for(lambda: ops.metrics().get(("atlas_scrape_part_up", "tables")) == 0)
            wait_for(ops.has("atlas_run_queue_length"))


def test_dagsters_database_away_for_a_while(
    warehouse_url: str, atlas_env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_postgres() as server:
        monkeypatch.setenv("ATLAS_DAGSTER_DATABASE_URL", server.url(SUPERUSER, SUPERUSER))
        load_settings.cache_clear()
        with dg.DagsterInstance.from_config(str(dagster_home(load_settings()))) as one:
            beat(one, -3600)
        with serving("--no-webserver") as ops:
            wait_for(ops.has("atlas_runs", "queued"))
            assert set(ops.components().values()) == {None}
            before = {key: value for key, value in ops.metrics().items() if key[0] == "atlas_landing_files_total"}
            server.release()
            wait_for(lambda: bool(ops.components()["dagster_database"]))
            assert ops.components()["warehouse"] is None
            wait_for(lambda: not ops.has("atlas_runs", "queued")())
            assert ops.metrics()["atlas_scrape_part_up", "dagster"] == 0
            server.start()
            wait_for(lambda: not any(ops.components().values()))
            wait_for(ops.has("atlas_runs", "queued"))
            after = {key: value for key, value in ops.metrics().items() if key[0] == "atlas_landing_files_total"}
            assert after == before


def test_a_thousand_scrapes_at_once_are_answered(instance: dg.DagsterInstance) -> None:
    with serving("--no-webserver") as ops, ExitStack() as stack:
        wait_for(ops.has("atlas_runs", "queued"))
        wait_for(ops.has("atlas_db_up", "dagster"))
        request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", ops.port), 60)) for _ in range(1000)]
        questions = ops.metrics()["atlas_db_query_duration_seconds_count", "dagster"]
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda one: one.sendall(request), clients))
            answers = list(pool.map(_all_of, clients))
        assert Counter(answer.split(b" ", 2)[1] for answer in answers) == {b"200": 1000}
        assert all(b"atlas_uptime_seconds" in answer for answer in answers)
        answered = ("atlas_http_requests_total", "GET", "/metrics", "200")
        wait_for(lambda: ops.metrics().get(answered, 0) >= 1000)
        assert ops.metrics()["atlas_db_query_duration_seconds_count", "dagster"] - questions < 200


def _all_of(client: socket.socket) -> bytes:
    pieces = []
    while piece := client.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def test_slow_clients_keep_nobody_out_and_are_cut(instance: dg.DagsterInstance) -> None:
    with serving("--no-webserver") as ops, ExitStack() as stack:
        idlers = [stack.enter_context(socket.create_connection(("127.0.0.1", ops.port), 60)) for _ in range(300)]
        for number, one in enumerate(idlers):
            one.sendall((b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nX: ")[number % 3])
        too_much = stack.enter_context(socket.create_connection(("127.0.0.1", ops.port), 60))
        too_much.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"a" * (1 << 15))
        assert b" 400 " in too_much.recv(1000)
        assert ops.get("/metrics")[0] == ops.get("/health/ready")[0] == 200
        for one in idlers:
            try:
                assert one.recv(1) == b""
            except ConnectionResetError:
                continue


def test_a_kill_and_a_new_start_and_a_graceful_end(instance: dg.DagsterInstance) -> None:
    with serving("--no-webserver") as first:
        wait_for(first.has("atlas_runs", "queued"))
        first.process.kill()
        first.process.wait()
        again = ["--no-webserver", "--port", str(first.port)]
        with serving(*again) as second:
            wait_for(second.has("atlas_runs", "queued"))
            code, said = second.stop()
            assert (code, said) == (0, "")


def test_a_port_that_is_taken_is_said_in_one_line(atlas_env: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        command = [sys.executable, "-m", "atlas_pipeline.cli", "ops", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert (
        done.stderr
        == f"atlas: cannot listen on port {port} of 127.0.0.1 (Address already in use): use `atlas ops --port`\n"
    )


def test_no_setting_address_or_password_is_served(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    secrets = {
        "ATLAS_DATABASE_URL": f"postgresql://{CANARY}u:{CANARY}p@127.0.0.1:1/{CANARY}d",
        "ATLAS_DAGSTER_DATABASE_URL": f"postgresql://{CANARY}u:{CANARY}p@127.0.0.1:1/{CANARY}e",
        "ATLAS_PII_HASH_KEY": CANARY,
        "ATLAS_ALERT_CHANNELS": f"team=json://{CANARY}@127.0.0.1:1/{CANARY}",
        "ATLAS_UI_URL": f"http://127.0.0.1:1/{CANARY}",
        "ATLAS_HOME": str(tmp_path / CANARY),
        "ATLAS_BACKUP_PLACE": f"s3://{CANARY}/x",
        "ATLAS_S3_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": CANARY,
        "AWS_SECRET_ACCESS_KEY": CANARY,
    }
    with serving(**secrets) as ops:
        wait_for(lambda: ops.metrics().get(("atlas_db_up", "warehouse")) == 0)
        for path in (
            "/metrics",
            "/health",
            "/health/ready",
            "/health/startup",
            "/health/live",
            "/nothing",
            f"/?{CANARY}",
        ):
            status, body, headers = ops.get(path)
            assert status
            shown = body.decode() + str(headers)
            # The names of databases are labels of backups: they say which one is meant.
            shown = shown.replace(f'database="{CANARY}d"', "").replace(f'database="{CANARY}e"', "")
            assert CANARY not in shown, path
        assert CANARY not in ops.stop()[1]


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool on this machine: apt-get install prometheus")
def test_promtool_accepts_what_is_served_without_a_warning(instance: dg.DagsterInstance) -> None:
    assert PROMTOOL
    with serving("--no-webserver") as ops:
        wait_for(ops.has("atlas_runs", "queued"))
        served = ops.get("/metrics")[1]
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=served, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.skipif(PROMETHEUS is None, reason="no prometheus on this machine: apt-get install prometheus")
def test_a_real_prometheus_scrapes_it(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    assert PROMETHEUS
    [port] = free_ports(1)
    with serving("--no-webserver") as ops:
        wait_for(ops.has("atlas_runs", "queued"))
        targets = {"job_name": "atlas", "static_configs": [{"targets": [f"127.0.0.1:{ops.port}"]}]}
        config = tmp_path / "prometheus.yml"
        config.write_text(
            json.dumps({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [targets]})
        )
        command = [PROMETHEUS, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"]
        prometheus = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:

            def ask(query: str) -> list[Any]:
                try:
                    with urllib.request.urlopen(
                        f"http://127.0.0.1:{port}/api/v1/query?query={query}", timeout=5
                    ) as answer:
                        return json.load(answer)["data"]["result"]
                except OSError:
                    return []

            wait_for(lambda: [one["value"][1] for one in ask("up")] == ["1"])
            wait_for(lambda: bool(ask("atlas_runs")))
            assert [one["value"][1] for one in ask("atlas_scrape_part_up{part=%22dagster%22}")] == ["1"]
            wait_for(lambda: bool(ask("rate(atlas_http_requests_total{path=%22/metrics%22}[10s])")))
        finally:
            prometheus.kill()
            prometheus.wait()


def test_channels_that_cannot_be_read_are_said_in_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "ATLAS_HOME": str(tmp_path), "ATLAS_ALERT_CHANNELS": "pager=secret-word"}
    for command in (("ops", "--port", "0"), ("alerts", "test")):
        done = subprocess.run(
            [sys.executable, "-m", "atlas_pipeline.cli", *command], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 1
        assert done.stderr.strip().splitlines()[-1].startswith("atlas: channel pager: expected a URL")
        assert "Traceback" not in done.stderr
        assert "secret-word" not in done.stderr + done.stdout
