"""YAML to Dagster definitions: the component types that `dg` offers.

They are imported when they are asked for: `atlas ops` needs other modules of this package, and not a reader of files.
"""

from typing import Any

__all__ = ["Dataset", "GoldModel"]


def __getattr__(name: str) -> Any:
    if name == "Dataset":
        from atlas_pipeline.components.dataset import Dataset

        return Dataset
    if name == "GoldModel":
        from atlas_pipeline.components.gold_model import GoldModel

        return GoldModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
