"""What docker/compose.yaml says of each service, in the shape in which `platform.py` starts it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atlas_pipeline_tests.compose import resolved


@dataclass(frozen=True)
class Service:
    """One service; `health` is the command of its check, and `after` the condition on each service before it."""

    name: str
    image: str
    command: list[str]
    environment: dict[str, str]
    user: str | None
    read_only: bool
    init: bool
    after: dict[str, str]
    health: list[str] | None
    secrets: dict[str, Path]
    """Files by where they are in the container."""
    volumes: list[tuple[str, str, bool]]
    """Name of a volume or path of a folder here, path in the container, and whether it is read-only there."""
    tmpfs: list[str]
    restarts: bool
    memory: int
    """Bytes."""


def read(file: Path) -> dict[str, Service]:
    """The services of a compose file by name, with the `.env` beside it."""
    document = resolved(file, dotenv=True)
    secrets = {name: Path(body["file"]) for name, body in document["secrets"].items()}
    return {name: _service(name, body, secrets) for name, body in document["services"].items()}


def _service(name: str, body: dict[str, Any], secrets: dict[str, Path]) -> Service:
    return Service(
        name=name,
        image=body["image"],
        command=body["command"] or [],
        environment=body.get("environment", {}),
        user=body.get("user"),
        read_only=body.get("read_only", False),
        init=body.get("init", False),
        after={other: how["condition"] for other, how in body.get("depends_on", {}).items()},
        health=_health(body.get("healthcheck", {})),
        secrets={one["target"]: secrets[one["source"]] for one in body.get("secrets", [])},
        volumes=[(one["source"], one["target"], one.get("read_only", False)) for one in body.get("volumes", [])],
        tmpfs=body.get("tmpfs", []),
        restarts=body.get("restart") == "unless-stopped",
        memory=int(body["deploy"]["resources"]["limits"]["memory"]),
    )


def _health(check: dict[str, Any]) -> list[str] | None:
    if "test" not in check:
        return None
    kind, *words = check["test"]
    return ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words
