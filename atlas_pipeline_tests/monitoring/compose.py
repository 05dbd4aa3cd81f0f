"""The services that watch, and the commands that docker/compose.monitoring.yaml gives them.

Belongs here: a service's command with other places in it. Does not belong here: starting anything (`stack.py`,
`exporters.py`).
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from atlas_pipeline_tests.compose import MONITORING, PLATFORM, resolved


@cache
def everything() -> dict[str, Any]:
    """Both compose files as one."""
    return resolved(PLATFORM, MONITORING)


@cache
def watched() -> dict[str, dict[str, Any]]:
    """The services of the platform."""
    services: dict[str, dict[str, Any]] = resolved(PLATFORM)["services"]
    return services


def services() -> dict[str, dict[str, Any]]:
    """The services that watch."""
    return {name: one for name, one in everything()["services"].items() if name not in watched()}


def replaced(text: str, places: Mapping[str, str]) -> str:
    """With each of `places` in the stead of what it is called in the file; the longest first."""
    for old in sorted(places, key=len, reverse=True):
        text = text.replace(old, places[old])
    return text


def options(service: str, places: Mapping[str, str]) -> list[str]:
    """The service's command, with other places in it."""
    return [replaced(one, places) for one in services()[service].get("command") or []]


def environment(service: str, places: Mapping[str, str]) -> dict[str, str]:
    """The service's own environment, with other places in it."""
    return {name: replaced(value, places) for name, value in services()[service].get("environment", {}).items()}
