"""Dagster's home folder under `ATLAS_HOME`: what it writes to disk goes there, its configuration stays one file.

Belongs here: the folder and the links in it. Does not belong here: the configuration itself (`dagster.yaml` in the
project root). Processes share the folder and may create it at the same time: each file is put in place by a rename.
"""

import re
import secrets
from collections.abc import Callable
from pathlib import Path

from atlas_pipeline.settings import PROJECT_ROOT, Settings

LOCATION = "atlas_pipeline"


def dagster_home(settings: Settings) -> Path:
    """The folder, made if need be, with a link to the project's `dagster.yaml`."""
    home = settings.home_path / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    link = home / "dagster.yaml"
    target = PROJECT_ROOT / "dagster.yaml"
    if not link.is_symlink() or link.readlink() != target:
        _put(link, lambda draft: draft.symlink_to(target))
    return home


def workspace_file(settings: Settings) -> str:
    """Path of the workspace file for web server and daemon: for the configured code server, or the project's own."""
    address = settings.code_server
    if address is None:
        return str(PROJECT_ROOT / "workspace.yaml")
    import yaml

    host, _, port = address.rpartition(":")
    server = {"host": host.strip("[]"), "port": int(port), "location_name": LOCATION}
    text = yaml.safe_dump({"load_from": [{"grpc_server": server}]})
    path = dagster_home(settings) / f"workspace.{re.sub(r'[^0-9A-Za-z.-]', '_', address)}.yaml"
    if not path.exists() or path.read_text() != text:
        _put(path, lambda draft: draft.write_text(text))
    return str(path)


def _put(path: Path, make: Callable[[Path], object]) -> None:
    """Create a file under a temporary name and rename it: other processes see the old file or the new one."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    make(draft)
    draft.replace(path)
