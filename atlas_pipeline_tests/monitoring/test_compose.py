"""docker/compose.monitoring.yaml beside compose.yaml: least rights, nothing open, and that what it names exists."""

import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from atlas_pipeline_tests import compose
from atlas_pipeline_tests.monitoring.compose import everything, services, watched
from atlas_pipeline_tests.monitoring.expressions import MONITORING
from atlas_pipeline_tests.servers import free_ports

NAMES = list(services())


@pytest.mark.parametrize("name", NAMES)
def test_a_service_has_least_rights(name: str) -> None:
    service = services()[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert service.get("cap_add", []) == (["SYSLOG"] if name == "cadvisor" else []), "to read what the kernel ended"
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert service["user"].startswith("0:") == (name in {"alloy", "cadvisor"}), "only these read what is root's"


@pytest.mark.parametrize("name", NAMES)
def test_a_service_is_pinned_restarted_checked_and_heard(name: str) -> None:
    service = services()[name]
    assert re.fullmatch(r"[a-z.]+/[\w./-]+:v?\d+\.\d+\.\d+[\w-]*", service["image"])
    assert service["restart"] == "unless-stopped"
    assert service["logging"] == watched()["ops"]["logging"], "the collector reads them all in one way"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["healthcheck"].keys() >= {"interval", "timeout", "retries", "start_period"}


def test_only_grafana_is_published_and_on_loopback() -> None:
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert published.keys() == {"grafana"}
    [port] = published["grafana"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "3001", 3000)
    outside = {name for name, service in services().items() if "outside" in service["networks"]}
    assert outside == {"grafana", "alertmanager"}, "the others reach nobody"
    assert {one for service in services().values() for one in service["networks"]} == {"platform", "outside"}


def test_both_files_fit_together() -> None:
    """Compose would merge what both name, and refuses what neither declares."""
    platform, monitoring = (yaml.safe_load(file.read_text()) for file in (compose.PLATFORM, compose.MONITORING))
    for kind in ("services", "volumes", "secrets"):
        assert not monitoring[kind].keys() & platform[kind].keys()
    assert "networks" not in monitoring
    for service in services().values():
        assert service.get("depends_on", {}).keys() <= watched().keys()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_mounted_exists_and_only_volumes_are_written(name: str) -> None:
    for one in services()[name].get("volumes", []):
        source, target = one["source"], one["target"]
        if one["type"] == "bind" and Path(source).is_relative_to(compose.PLATFORM.parent):
            assert Path(source).exists(), source
        else:
            assert one["type"] == "bind" or source in everything()["volumes"], source
        assert one.get("read_only") or one["type"] == "volume", target
        assert "docker.sock" not in source, "the engine's socket is given by DOCKER_SOCKET alone"


def test_no_password_is_in_the_file() -> None:
    for name, service in services().items():
        for key, value in (service.get("environment") or {}).items():
            if re.search("PASS|SECRET|TOKEN", key):
                assert value.startswith("/run/secrets/"), f"{name}: {key}"


def test_every_target_is_a_service() -> None:
    hosts = services().keys() | watched().keys()
    for file in (MONITORING / "targets.compose").glob("*.yml"):
        for entry in yaml.safe_load(file.read_text()):
            asked = [*entry["targets"], *filter(None, [entry.get("labels", {}).get("__param_target")])]
            for one in asked:
                host = re.fullmatch(r"(?:https?://)?([\w-]+):\d+(?:/\S*)?", one)
                assert host
                assert host[1] in hosts, one


def test_every_service_that_has_metrics_is_scraped() -> None:
    asked = {
        target.partition(":")[0]
        for file in (MONITORING / "targets.compose").glob("*.yml")
        for entry in yaml.safe_load(file.read_text())
        for target in entry["targets"]
    }
    assert asked >= services().keys() | {"ops", "gateway"}


def test_grafanas_sources_are_told_where_they_are() -> None:
    given = services()["grafana"]["environment"]
    for file in sorted((MONITORING / "grafana" / "provisioning" / "datasources").glob("*.yaml")):
        [source] = yaml.safe_load(file.read_text())["datasources"]
        host = re.fullmatch(r"http://([\w-]+):\d+", given[source["url"].strip("${}")])
        assert host
        assert host[1] in services()


@pytest.mark.parametrize(("status", "well"), [(200, True), (503, False), (None, False)])
def test_the_collectors_check_tells_ready_from_not(status: int | None, well: bool) -> None:
    """It is written in bash, for want of a client of HTTP in that image."""

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/-/ready"
            self.send_response(status or 500)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: pytest's output is for results."""

    [port] = free_ports(1)
    if status:
        server = HTTPServer(("127.0.0.1", port), Ready)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    _, *command = services()["alloy"]["healthcheck"]["test"]
    done = subprocess.run([one.replace("/12345", f"/{port}") for one in command], capture_output=True, check=False)
    if status:
        server.shutdown()
        server.server_close()
    assert (done.returncode == 0) is well


def test_ports_of_checks_are_those_that_are_scraped() -> None:
    scraped = {
        target.partition(":")[0]: target.partition(":")[2]
        for file in (MONITORING / "targets.compose").glob("*.yml")
        for entry in yaml.safe_load(file.read_text())
        for target in entry["targets"]
    }
    for name, service in services().items():
        asked = re.search(r"127\.0\.0\.1[:/](\d+)", " ".join(service["healthcheck"]["test"]))
        if name != "loki":
            assert asked
            assert asked[1] == scraped[name], name
