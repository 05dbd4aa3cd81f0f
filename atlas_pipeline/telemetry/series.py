"""Cardinality limits: sanitise label values, cap series per family.

Belongs here: the limits. Does not belong here: what is counted (`counting.py`).
"""

from collections.abc import Mapping, Sequence

from atlas_pipeline.telemetry.families import families
from atlas_pipeline.telemetry.sample import Piece

Key = tuple[str, Piece, tuple[str, ...]]
"""A number that is kept: the family, its piece, and the labels in the family's order; a bucket's bound comes last."""

OTHER = "other"
"""The label value for all that is over a limit."""
MOST_SERIES = 2000
MOST_ERRORS = 50
MOST_CHARACTERS = 200
_CLOSED = frozenset({"status", "severity", "layer"})
"""Labels whose values Atlas chooses itself."""


class Series:
    """The series of each family. New ones are added up to the cap, and count as `other` above it.

    A series that was added stays, so that the order of events alone decides, not how they were split into pages.
    """

    def __init__(self, known: Mapping[str, frozenset[tuple[str, ...]]]):
        self.known = dict(known)

    def of(self, family: str, values: Sequence[str]) -> tuple[str, ...]:
        """The label values to use, after sanitising and capping.

        Args:
            family: a family of `families.yaml`.
            values: label values in the family's order, as they came.

        Returns:
            The values sanitised, or `other` where a limit is reached.
        """
        known = self.known.get(family, frozenset())
        sanitised = tuple(map(clean, values))
        if sanitised not in known:
            sanitised = self._capped(family, sanitised, known)
            self.known[family] = known | {sanitised}
        return sanitised

    def _capped(self, family: str, values: tuple[str, ...], existing: frozenset[tuple[str, ...]]) -> tuple[str, ...]:
        names = families()[family].labels
        if "error" in names:
            index = names.index("error")
            classes = {series[index] for series in existing} - {OTHER}
            if values[index] not in classes and len(classes) >= MOST_ERRORS:
                values = (*values[:index], OTHER, *values[index + 1 :])
        if values not in existing and len(existing) >= MOST_SERIES:
            values = tuple(value if name in _CLOSED else OTHER for name, value in zip(names, values, strict=True))
        return values


def clean(value: str) -> str:
    """Sanitise a label value: `other` if it is empty, too long or not printable."""
    return value if value and len(value) <= MOST_CHARACTERS and value.isprintable() else OTHER
