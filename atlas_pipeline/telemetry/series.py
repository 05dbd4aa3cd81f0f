"""Which series there may be: labels that are clean, and not more of them than a metrics store can bear.

Belongs here: the bounds. Does not belong here: what is counted (`counting.py`).
"""

from collections.abc import Mapping, Sequence

from atlas_pipeline.telemetry.families import families
from atlas_pipeline.telemetry.sample import Piece

Key = tuple[str, Piece, tuple[str, ...]]
"""A number that is kept: the family, its piece, and the labels in the family's order; a bucket's bound comes last."""

OTHER = "other"
"""What stands for all that is over a bound."""
MOST_SERIES = 2000
MOST_ERRORS = 50
MOST_CHARACTERS = 200
_CLOSED = frozenset({"status", "severity", "layer"})
"""Labels whose values Atlas chooses itself."""


class Series:
    """The series that are known, by family. A new one is taken in while there is room, else it counts as `other`.

    What was taken in stays, so that the order of events alone decides, not how they were split.
    """

    def __init__(self, known: Mapping[str, frozenset[tuple[str, ...]]]):
        self.known = dict(known)

    def of(self, family: str, values: Sequence[str]) -> tuple[str, ...]:
        """The labels under which to count."""
        before = self.known.get(family, frozenset())
        found = tuple(map(clean, values))
        if found not in before:
            found = self._bounded(family, found, before)
            self.known[family] = before | {found}
        return found

    def _bounded(self, family: str, values: tuple[str, ...], before: frozenset[tuple[str, ...]]) -> tuple[str, ...]:
        names = families()[family].labels
        if "error" in names:
            place = names.index("error")
            kinds = {one[place] for one in before} - {OTHER}
            if values[place] not in kinds and len(kinds) >= MOST_ERRORS:
                values = (*values[:place], OTHER, *values[place + 1 :])
        if values not in before and len(before) >= MOST_SERIES:
            values = tuple(value if name in _CLOSED else OTHER for name, value in zip(names, values, strict=True))
        return values


def clean(value: str) -> str:
    """A name that any store of metrics can hold: what is empty, too long or not printable is `other`."""
    return value if value and len(value) <= MOST_CHARACTERS and value.isprintable() else OTHER
