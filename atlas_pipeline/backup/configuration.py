"""The configuration in each backup: the project's declarations, and its settings without secrets.

Belongs here: collecting them. Does not belong here: restoring them, which a person does by hand.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from atlas_pipeline.settings import PROJECT_ROOT, Settings

NAME = "configuration.tar"
_FILES = ("dagster.yaml", "workspace.yaml", "atlas_pipeline/defs")
_LEFT_OUT = {"__pycache__"}
_MOST_BYTES = 1 << 20


def configuration(settings: Settings, root: Path = PROJECT_ROOT) -> Iterator[bytes]:
    """A tar of the declarations and of `settings.json`.

    Args:
        settings: written but for secrets and defaults.
        root: the project; its files over 1 MiB are data and left out.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in _FILES:
            for path in sorted([root / name, *(root / name).rglob("*")]):
                if path.is_file() and not _LEFT_OUT & set(path.parts) and path.stat().st_size <= _MOST_BYTES:
                    tar.add(path, arcname=str(path.relative_to(root)))
        values = settings.model_dump(mode="json", exclude=_secrets(settings), exclude_defaults=True)
        content = json.dumps(values, indent=1, sort_keys=True).encode()
        entry = tarfile.TarInfo("settings.json")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    yield stream.getvalue()


def _secrets(settings: Settings) -> set[str]:
    return {name for name in type(settings).model_fields if isinstance(getattr(settings, name), SecretStr)}
