"""The images that `make docker-test` has built and mounted: what they say of themselves, and where their files are."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NAMES = ("atlas", "atlas-gateway")


@dataclass(frozen=True)
class Image:
    """One image: its root file system, and its user, environment, labels and the like."""

    root: Path
    config: dict[str, Any]


def read(folder: Path) -> dict[str, Image]:
    """The images by name, from what buildah says of a container of each (`<folder>/<name>.json`)."""
    found = {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in _NAMES}
    return {name: Image(Path(one["MountPoint"]), one["Docker"]["config"]) for name, one in found.items()}
