"""A project in a sandbox: written as files, loaded as Dagster loads it."""

from collections.abc import Callable, Iterator, Mapping

import dagster as dg
import pytest
from dagster.components.testing import DefsFolderSandbox, create_defs_folder_sandbox

from atlas_pipeline.resources.warehouse import WarehouseResource


@pytest.fixture
def sandbox() -> Iterator[DefsFolderSandbox]:
    """An empty project."""
    with create_defs_folder_sandbox() as one:
        yield one


@pytest.fixture
def load_files(sandbox: DefsFolderSandbox) -> Callable[[Mapping[str, str]], dg.Definitions]:
    """Load a project that consists of these files, given by their paths under `defs/`."""

    def run(files: Mapping[str, str]) -> dg.Definitions:
        for name, text in files.items():
            path = sandbox.defs_folder_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        with sandbox.build_component_tree() as tree:
            found = dg.Definitions.merge(
                tree.build_defs(), dg.Definitions(resources={"warehouse": WarehouseResource()})
            )
            found.resolve_asset_graph()
            return found

    return run
