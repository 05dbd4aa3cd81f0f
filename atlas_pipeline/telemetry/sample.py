"""A sample: one value of one series.

Belongs here: the type that all parts return. Does not belong here: which families there are (`families.py`), and how
samples are shown.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Piece = Literal["", "bucket", "sum", "count"]
"""Which number of a histogram it is; empty for the other kinds."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A value of a family; a bucket has the label `le` too, its upper bound."""

    family: str
    labels: Mapping[str, str]
    value: float
    part: Piece = ""


Part = Callable[[], Iterable[Sample]]
"""Where samples come from; raises when its source is away."""
