"""The project's declarations as commands read them: what is wrong is said, and does not keep the rest from being read.

Belongs here: loading the project for a command. Does not belong here: what a command does with it, and which
declaration an error is about (`components/isolation.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import atlas_pipeline
from atlas_pipeline.cli.output import ERR

if TYPE_CHECKING:
    import dagster as dg

    from atlas_pipeline.orchestration.tables.invalid import Invalid


ROOT = Path(atlas_pipeline.__file__).parent
"""Of the project: `defs/` is in it."""


def load_project() -> tuple[dg.ComponentTree, dg.Definitions, list[Invalid]]:
    """All components of the project but those of wrong declarations, their definitions, and what was left out.

    Raises:
        Exception: what is wrong is not about one declaration.
    """
    import dagster as dg

    from atlas_pipeline.components.isolation import load_leniently

    return load_leniently(lambda: dg.ComponentTree.for_project(ROOT))


def load_components() -> dg.ComponentTree:
    """The components that `load_project` finds; what was left out is told on standard error."""
    tree, _, invalid = load_project()
    for one in invalid:
        ERR.print(f"{one.layer}.{one.table} is not loaded: {one.reason}", markup=False, highlight=False)
    return tree
