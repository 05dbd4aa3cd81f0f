"""docker/compose.monitoring.yaml as the engine would read it, and the commands that it gives its services.

Belongs here: reading that file, filling in its variables, and a service's command with other places in it. Does not
belong here: starting anything (`stack.py`, `exporters.py`).
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from atlas_pipeline.settings import PROJECT_ROOT

DOCKER = PROJECT_ROOT / "docker"


def _filled(node: Any) -> Any:
    """With the defaults of variables, and `$$` as the one `$` that it stands for."""
    if isinstance(node, dict):
        return {key: _filled(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(one) for one in node]
    if isinstance(node, str):
        return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", node).replace("$$", "$")
    return node


@cache
def compose(name: str = "compose.monitoring.yaml") -> dict[str, Any]:
    """A compose file of docker/, with variables at their defaults."""
    return _filled(yaml.safe_load((DOCKER / name).read_text(encoding="utf-8")))


def services() -> dict[str, dict[str, Any]]:
    """What is defined of each service that watches."""
    return compose()["services"]


def replaced(text: str, places: Mapping[str, str]) -> str:
    """With each of `places` in the stead of what it is called in the file; the longest first."""
    for old in sorted(places, key=len, reverse=True):
        text = text.replace(old, places[old])
    return text


def options(service: str, places: Mapping[str, str]) -> list[str]:
    """The service's command, with other places in it."""
    return [replaced(one, places) for one in services()[service].get("command", [])]


def environment(service: str, places: Mapping[str, str]) -> dict[str, str]:
    """The service's own environment, with other places in it."""
    return {name: replaced(value, places) for name, value in services()[service].get("environment", {}).items()}
