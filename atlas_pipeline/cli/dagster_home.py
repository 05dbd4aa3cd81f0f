"""Dagster's home folder under `ATLAS_HOME`: what it writes to disk goes there, its configuration stays one file.

Belongs here: the folder. Does not belong here: the configuration itself (`dagster.yaml` in the project root).
"""

from pathlib import Path

from atlas_pipeline.settings import PROJECT_ROOT, Settings


def dagster_home(settings: Settings) -> Path:
    """The folder, made if need be, with a link to the project's `dagster.yaml`."""
    home = settings.home_path / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    link = home / "dagster.yaml"
    target = PROJECT_ROOT / "dagster.yaml"
    if not link.is_symlink() or link.readlink() != target:
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    return home
