"""One number of one metric family, and what a part of the exporter is.

Belongs here: the shape of samples. Does not belong here: where numbers come from (`parts/`, `totals.py`), and how they
are written out (`exposition.py`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """A value of a family. `part` is empty, or `bucket` (with the label `le`), `sum` or `count` of a histogram."""

    family: str
    labels: Mapping[str, str]
    value: float
    part: str = ""


Part = Callable[[], Iterable[Sample]]
"""Where samples come from: called anew each time. It raises when it cannot tell, and is then missing."""
