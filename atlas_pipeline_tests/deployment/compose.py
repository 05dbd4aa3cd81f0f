"""What docker/compose.yaml says of each service, as compose itself reads it: with variables, defaults and `.env`.

Belongs here: the shape in which tests take it. Does not belong here: starting anything (`platform.py`), and whether the
file is a good one (`docker/test_compose.py`).
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMPOSE = Path(sys.executable).with_name("docker-compose")


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
    """The services of a compose file by name. Raises CalledProcessError when compose refuses it."""
    command = [COMPOSE, "--file", file, "config", "--format", "json"]
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    said = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
    # What it prints may be read by it again, so that a dollar sign stands there twice.
    document = json.loads(said.replace(b"$$", b"$"))
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
