"""Projects in a sandbox: written as files, loaded as Dagster loads them, with the resources of Atlas.

Belongs here: from files to definitions, and what loading says. Does not belong here: what the files declare.
"""

from collections.abc import Callable, Mapping

import dagster as dg
import pytest
from dagster._core.storage.defs_state.base import _current_storage
from dagster.components.testing import DefsFolderSandbox

from atlas_pipeline.orchestration.warehouse import with_warehouse

Load = Callable[..., dg.Definitions]


def write(sandbox: DefsFolderSandbox, files: Mapping[str, str]) -> None:
    """Write files, given by their paths under `defs/`."""
    for name, text in files.items():
        path = sandbox.defs_folder_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def load(sandbox: DefsFolderSandbox) -> dg.Definitions:
    """All that lies under `defs/`."""
    _current_storage.set(None)  # a run in this process leaves that of an instance that is gone
    with sandbox.build_component_tree() as tree:
        return with_warehouse(tree.build_defs())


def complaint(load: Load, *arguments: Mapping[str, str]) -> str:
    """What loading says in the end: the innermost cause."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 — Dagster's own wraps ours; the text is what is tested
        load(*arguments)
    error: BaseException = caught.value
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)
