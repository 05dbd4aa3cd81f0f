"""What docker/compose.yaml says of each service, as compose would read it.

Belongs here: variables, merge keys and defaults. Does not belong here: starting anything (`platform.py`), and whether
the file is a good one (`docker/test_compose.py`).
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values

_VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?::?-([^}]*))?\}")


@dataclass(frozen=True)
class Volume:
    """A named volume, or a folder or file of the host (absolute), and where it is in the container."""

    source: str
    target: str
    read_only: bool


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
    volumes: list[Volume]
    tmpfs: list[str]
    restarts: bool
    memory: str


def read(file: Path, environment: Mapping[str, str]) -> dict[str, Service]:
    """The services of a compose file by name. `environment` and `.env` beside the file fill in variables."""
    dotenv = {name: value or "" for name, value in dotenv_values(file.parent / ".env", interpolate=False).items()}
    known = {**dotenv, **environment}
    document = _filled(yaml.safe_load(file.read_text(encoding="utf-8")), known)
    return {name: _service(name, body, document, file.parent) for name, body in document["services"].items()}


def _filled(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(one, known) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, known) for one in value]
    if not isinstance(value, str):
        return value
    return _VARIABLE.sub(lambda found: "$" if found[0] == "$$" else known.get(found[1]) or found[2] or "", value)


def _service(name: str, body: dict[str, Any], document: dict[str, Any], folder: Path) -> Service:
    environment: dict[str, str] = {}
    for file in body.get("env_file", []):
        environment |= {key: value or "" for key, value in dotenv_values(folder / file).items()}
    environment |= {key: str(value) for key, value in body.get("environment", {}).items()}
    command = body.get("command", [])
    return Service(
        name=name,
        image=body["image"],
        command=shlex.split(command) if isinstance(command, str) else command,
        environment=environment,
        user=body.get("user"),
        read_only=body.get("read_only", False),
        init=body.get("init", False),
        after={other: how["condition"] for other, how in body.get("depends_on", {}).items()},
        health=_health(body),
        secrets={one: folder / document["secrets"][one]["file"] for one in body.get("secrets", [])},
        volumes=[_volume(one, folder) for one in body.get("volumes", [])],
        tmpfs=body.get("tmpfs", []),
        restarts=body.get("restart") == "unless-stopped",
        memory=body["deploy"]["resources"]["limits"]["memory"],
    )


def _health(body: dict[str, Any]) -> list[str] | None:
    if "healthcheck" not in body:
        return None
    kind, *words = body["healthcheck"]["test"]
    return ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words


def _volume(text: str, folder: Path) -> Volume:
    source, target, *how = text.split(":")
    is_path = source.startswith((".", "/"))
    return Volume(str((folder / source).resolve()) if is_path else source, target, "ro" in how)
