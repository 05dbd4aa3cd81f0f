"""The exporters as the compose file starts them, and Prometheus with its targets: all that is asked for is there."""

import contextlib
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from atlas_pipeline.settings import PROJECT_ROOT
from atlas_pipeline.telemetry.families import families
from atlas_pipeline_tests.monitoring.collector import collected
from atlas_pipeline_tests.monitoring.exporters import PASSWORDS, program, watched
from atlas_pipeline_tests.monitoring.expressions import CONTAINERS, EXPORTERS, GATEWAY, ask, without_data
from atlas_pipeline_tests.monitoring.stack import Stack, eventually, exporter, monitored

pytestmark = pytest.mark.slow
IDS = ["0123456789ab" + "c" * 52, "fedcba987654" + "d" * 52]


def cgroups() -> str:
    """What cAdvisor says without the engine's socket: cgroups by path, those of containers among others."""
    paths = ["/", "/system.slice", "/system.slice/ssh.service", f"/system.slice/docker-{IDS[0]}.scope/init"]
    paths += [f"/system.slice/docker-{IDS[0]}.scope", f"/docker/{IDS[1]}"]
    return "\n".join(
        [*(f'{name}{{id="{path}"}} 1' for name in CONTAINERS for path in paths), "machine_cpu_cores 2", ""]
    )


def gateway() -> str:
    """What the gateway says besides the families that `atlas ops` has too."""
    said = {"result": "wrong_password", "reason": "websocket", "role": "viewer", "outcome": "accepted"}
    named = {name: ",".join(f'{one}="{said.get(one, "any")}"' for one in labels) for name, labels in GATEWAY.items()}
    return "".join(f"{name}{{{labels}}} 1\n" for name, labels in named.items())


@contextlib.contextmanager
def listening(context: ssl.SSLContext) -> Iterator[str]:
    """The address of a server that speaks TLS and answers nothing else."""
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """With a certificate that nobody else trusts, as the gateway makes it at its first start."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "30", "-subj", "/CN=localhost", "-keyout", folder / "key", "-out", folder / "crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "crt", folder / "key")
    return context


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what the programs write, one file each."""
    return tmp_path_factory.mktemp("exporters")


@pytest.fixture(scope="module")
def places(logs: Path, tls: ssl.SSLContext) -> Iterator[dict[str, str]]:
    """Where everything is that targets.compose names and that can run here."""
    with (
        watched(logs) as found,
        exporter("none", cgroups()) as cadvisor,
        exporter("atlas_http_", gateway()) as front,
        listening(tls) as published,
    ):
        yield {**found, "cadvisor:8080": cadvisor.address, "gateway:8081": front.address, "gateway:8443": published}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, places: dict[str, str]) -> Iterator[Stack]:
    """Prometheus and Alertmanager over all of these, and over every family of Atlas."""
    with exporter() as scraped, monitored(scraped.url, tmp_path_factory.mktemp("stack"), exporters=places) as stack:
        eventually(lambda: scraped.scrapes > 3, "Prometheus scrapes")
        yield stack


def test_every_job_is_up(stack: Stack) -> None:
    jobs = {one["labels"]["job"] for one in stack.targets()}
    assert jobs == {
        "atlas",
        "prometheus",
        "alertmanager",
        "postgres",
        "redis",
        "node",
        "containers",
        "blackbox",
        "gateway",
    }
    eventually(lambda: all(one["health"] == "up" for one in stack.targets()), "all targets are up")


def test_exporters_reach_their_servers_with_the_passwords_of_their_secrets(stack: Stack) -> None:
    for name in ("pg_up", "redis_up"):
        eventually(lambda name=name: [one["value"][1] for one in ask(stack.prometheus, name)] == ["1"], f"{name} is 1")


def test_no_password_is_in_what_exporters_say(places: dict[str, str]) -> None:
    for name in ("postgres-exporter:9187", "redis-exporter:9121"):
        said = httpx.get(f"http://{places[name]}/metrics", timeout=30).text
        assert not [password for password in PASSWORDS.values() if password in said]


def test_probes_reach_what_they_ask(stack: Stack) -> None:
    def reached() -> dict[str, str]:
        return {one["metric"]["module"]: one["value"][1] for one in ask(stack.prometheus, "probe_success")}

    eventually(lambda: reached().items() >= {"tcp_connect": "1", "tls_connect": "1"}.items(), "probes succeed")
    [expires] = ask(stack.prometheus, 'probe_ssl_earliest_cert_expiry{module="tls_connect"} - time()')
    assert 29 * 86400 < float(expires["value"][1]) <= 30 * 86400


def test_metrics_of_exporters_have_the_labels_that_rules_use(stack: Stack) -> None:
    for name, labels in EXPORTERS.items():
        series = eventually(lambda name=name: ask(stack.prometheus, name), f"{name} is there")
        assert any(labels <= one["metric"].keys() for one in series), name


def test_only_containers_are_kept_of_cgroups_and_by_short_id(stack: Stack) -> None:
    for name in CONTAINERS:
        series = eventually(lambda name=name: ask(stack.prometheus, name), f"{name} is there")
        assert {one["metric"]["container"] for one in series} == {one[:12] for one in IDS}, name
    assert ask(stack.prometheus, "machine_cpu_cores")


def test_every_expression_has_data(stack: Stack) -> None:
    eventually(lambda: not without_data(stack.prometheus), "every expression has data")


def test_every_rule_evaluates(stack: Stack) -> None:
    eventually(lambda: all(rule["health"] != "unknown" for rule in stack.rules()), "rules are evaluated")
    assert not [(one["name"], one["lastError"]) for one in stack.rules() if one["health"] != "ok"]


@pytest.mark.parametrize(
    "service", ["redis", "redis-exporter", "postgres-exporter", "node-exporter", "blackbox-exporter"]
)
def test_the_collector_finds_the_level_in_what_they_write(places: dict[str, str], logs: Path, service: str) -> None:
    lines = (logs / f"{service}.log").read_text().splitlines()
    levels = {collected(f"atlas-{service}-1", line).labels.get("level") for line in lines}
    assert levels <= ({"#", "*"} if service == "redis" else {"info", "warn", "error"})
    assert levels


@pytest.mark.skipif(not (PROJECT_ROOT / "docs" / "gateway.md").exists(), reason="the gateway is not documented yet")
def test_metrics_of_the_gateway_are_those_that_it_documents() -> None:
    text = (PROJECT_ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| (`atlas_[^|]+) \| \w+ \| ([^|]*)\|", text)
    told = {
        name: frozenset(re.findall(r"`(\w+)`", labels))
        for names, labels in rows
        for name in re.findall(r"`(\w+)`", names)
    }
    assert {name: told.get(name) for name in GATEWAY} == GATEWAY
    for name, family in families().items():
        if name.startswith("atlas_http_"):
            assert told[name] == frozenset(family.labels)
