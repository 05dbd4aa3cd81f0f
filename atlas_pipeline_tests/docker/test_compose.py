"""The compose files, as docker compose itself reads them: what each service is given, and what it may not do."""

import re
from pathlib import Path
from typing import Any

import pytest

from atlas_pipeline_tests.compose import MONITORING, PLATFORM, resolved

DOCKER = PLATFORM.parent
ALL = [PLATFORM, MONITORING]
SETS = [pytest.param([PLATFORM], id="platform"), pytest.param(ALL, id="with monitoring")]

ONE_SHOT = {"migrate"}
PUBLISHED = {"gateway", "grafana"}


@pytest.fixture(params=SETS, scope="module")
def document(request: pytest.FixtureRequest) -> dict[str, Any]:
    return resolved(*request.param)


def services(document: dict[str, Any], but: set[str] | None = None) -> dict[str, dict[str, Any]]:
    return {name: one for name, one in document["services"].items() if name not in (but or set())}


def test_a_wrong_key_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "compose.yaml"
    broken.write_text("services: {one: {image: debian, helthcheck: {}}}")
    with pytest.raises(AssertionError, match="helthcheck"):
        resolved(broken)


def test_every_service_says_whether_it_is_well(document: dict[str, Any]) -> None:
    for name, service in services(document, ONE_SHOT).items():
        health = service.get("healthcheck", {})
        assert health.get("test"), f"{name} has no health check"
        assert {"interval", "timeout", "retries"} <= health.keys(), name
    for name in ONE_SHOT:
        assert document["services"][name]["healthcheck"]["disable"] is True
        assert document["services"][name]["restart"] == "no"


def test_every_service_is_held_to_limits(document: dict[str, Any]) -> None:
    for name, service in services(document).items():
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        assert limits.get("cpus"), f"{name} may take all processors"
        assert int(limits.get("memory", 0)) > 0, f"{name} may take all memory"
        assert service.get("logging", {}).get("options", {}).get("max-size"), f"the log of {name} grows without end"


def test_no_service_may_more_than_it_needs(document: dict[str, Any]) -> None:
    for name, service in services(document).items():
        assert "no-new-privileges:true" in service.get("security_opt", []), f"{name} may gain privileges"
        assert not service.get("privileged"), name
        assert service.get("network_mode") != "host", name
        assert service.get("read_only"), f"{name} may write to its image"
        assert service.get("cap_drop") == ["ALL"], f"{name} keeps capabilities"
        assert service.get("user"), f"{name} is run as whoever its image says"
        for volume in service.get("volumes", []):
            assert not volume["source"].endswith("docker.sock"), f"{name} rules the engine"


def test_only_the_doors_are_published_and_on_loopback(document: dict[str, Any]) -> None:
    for name, service in services(document).items():
        for port in service.get("ports", []):
            assert name in PUBLISHED, f"{name} is published"
            assert port["host_ip"] == "127.0.0.1", f"{name} is published beyond this machine"
    assert {port["target"] for port in document["services"]["gateway"]["ports"]} == {8080, 8443}
    assert document["networks"]["platform"]["internal"] is True
    for name in ("postgres", "redis", "webserver", "viewer", "migrate"):
        assert list(document["services"][name]["networks"]) == ["platform"], f"{name} reaches beyond the platform"


def test_what_a_service_is_given_exists(document: dict[str, Any]) -> None:
    """docker compose has refused names of secrets, volumes and networks that are not declared."""
    for name, service in services(document).items():
        for volume in service.get("volumes", []):
            source = Path(volume["source"])
            if volume["type"] == "bind" and source.is_relative_to(DOCKER):
                assert source.exists(), f"{name} mounts {source}, which is not there: the engine would make a folder"
                assert volume["read_only"], f"{name} may change {source}"
    used = {secret["source"] for service in services(document).values() for secret in service.get("secrets", [])}
    assert used <= document["secrets"].keys()


def test_no_password_is_in_the_environment(document: dict[str, Any]) -> None:
    for name, service in services(document).items():
        for variable, value in (service.get("environment") or {}).items():
            if re.search("PASSWORD|SECRET|_KEY|TOKEN", variable):
                assert variable.endswith("_FILE"), f"{name}: {variable} is not a file"
                given = {secret["target"] for secret in service.get("secrets", [])}
                assert value.removeprefix("/run/secrets/") in {Path(target).name for target in given}, (name, variable)


def test_services_start_in_order_of_health(document: dict[str, Any]) -> None:
    for name, service in services(document).items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
            assert how["condition"] == wanted, f"{name} does not wait until {other} is well"
    order = {name: set(service.get("depends_on", {})) for name, service in services(document).items()}
    assert order["migrate"] == {"postgres"}
    assert order["code"] == {"migrate"}
    assert order["gateway"] >= {"webserver", "viewer", "daemon", "ops"}


def test_images_have_a_tag(document: dict[str, Any]) -> None:
    for name, service in services(document).items():
        tag = re.search(r":([^/:]+)$", service["image"])
        assert tag, f"{name}: {service['image']} has no tag"
        assert tag[1] != "latest", f"{name}: {service['image']} is another one each day"


@pytest.mark.parametrize("file", ALL, ids=lambda path: path.name)
def test_variables_have_a_default_or_are_in_the_examples(file: Path) -> None:
    examples = [path.read_text() for path in DOCKER.glob("env/*.example")]
    for variable in re.findall(r"(?<!\$)\$\{(\w+)\}|(?<!\$)\$(\w+)", file.read_text()):
        name = "".join(variable)
        assert examples, f"{file.name}: ${{{name}}} has no default"
        assert all(re.search(rf"(?m)^#? ?{name}=", text) for text in examples), f"{name} is in no example"
    # All of .env is handed to Atlas, which refuses settings that it does not know.
    for name in re.findall(r"\$\{(ATLAS_\w+)", file.read_text()):
        raise AssertionError(f"{file.name}: {name} is read from .env, where names of Atlas are its settings")
