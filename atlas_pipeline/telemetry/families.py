"""The list of metric families, families.yaml: name, kind, labels and help text.

Belongs here: reading that list. Does not belong here: where numbers come from (the modules that `source` names). A
family that is not in the list cannot be sampled, and one that is never sampled fails a test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

FamilyKind = Literal["counter", "gauge", "histogram"]
Source = Literal["process", "events", "ticks", "tables", "dagster", "backups", "database", "system"]
"""Where the numbers of a family come from: this process, the event log and ticks (counted once, totals kept in the
warehouse), Atlas's own tables, Dagster's storage, manifests, Postgres's statistics, or the machine."""

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Upper bounds of the buckets of what a request or a query takes."""
LONG_SECONDS = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 14400, 43200)
"""Upper bounds of the buckets of what a run or a step takes."""


@dataclass(frozen=True)
class Family:
    """One metric family. Its unit is the last word of its name before `_total`: seconds, bytes, ratio, or a count."""

    name: str
    kind: FamilyKind
    labels: tuple[str, ...]
    help: str
    source: Source

    @property
    def buckets(self) -> tuple[float, ...]:
        """Upper bounds of a histogram's buckets, without infinity."""
        return SECONDS if self.source == "process" else LONG_SECONDS


@cache
def families() -> Mapping[str, Family]:
    """All of them by name, in the order of the list."""
    import yaml

    listed = yaml.safe_load(resources.files(__package__).joinpath("families.yaml").read_text(encoding="utf-8"))
    return {entry["name"]: Family(**{**entry, "labels": tuple(entry["labels"])}) for entry in listed}
