"""What tests of components are handed: a project in a sandbox, and files that land."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import dagster as dg
import pytest
from dagster.components.testing import DefsFolderSandbox, create_defs_folder_sandbox

from atlas_pipeline_tests.projects import load, write


@pytest.fixture
def sandbox() -> Iterator[DefsFolderSandbox]:
    """An empty project."""
    with create_defs_folder_sandbox() as one:
        yield one


@pytest.fixture
def load_files(sandbox: DefsFolderSandbox) -> Callable[[Mapping[str, str]], dg.Definitions]:
    """Load a project that consists of these files, given by their paths under `defs/`."""

    def run(files: Mapping[str, str]) -> dg.Definitions:
        write(sandbox, files)
        found = load(sandbox)
        found.resolve_asset_graph()
        return found

    return run


@pytest.fixture
def land(atlas_env: Path) -> Callable[[str, str], Path]:
    """Put a file into the landing folder."""

    def run(name: str, text: str) -> Path:
        path = atlas_env / "landing" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return run
