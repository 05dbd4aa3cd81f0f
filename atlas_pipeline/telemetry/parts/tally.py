"""In-memory counters and histograms of this process; thread-safe.

Belongs here: adding up. Does not belong here: what must survive the process (`totals.py`).
"""

import threading
from bisect import bisect_left
from collections.abc import Iterator

from atlas_pipeline.telemetry.families import families
from atlas_pipeline.telemetry.sample import Sample

_Key = tuple[str, tuple[tuple[str, str], ...]]


class Tally:
    """Counters and histograms of families in families.yaml."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[_Key, float] = {}
        self._observed: dict[_Key, tuple[list[int], float]] = {}

    def add(self, family: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter; adding 0 creates the series."""
        key = (family, tuple(labels.items()))
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + amount

    def observe(self, family: str, value: float, **labels: str) -> None:
        """Add a value to a histogram."""
        bounds = families()[family].buckets
        key = (family, tuple(labels.items()))
        with self._lock:
            buckets, total = self._observed.get(key, ([0] * (len(bounds) + 1), 0.0))
            buckets[bisect_left(bounds, value)] += 1
            self._observed[key] = (buckets, total + value)

    def samples(self) -> Iterator[Sample]:
        """All samples."""
        with self._lock:
            counts = list(self._counts.items())
            observed = [(key, list(buckets), total) for key, (buckets, total) in self._observed.items()]
        for (family, labels), value in counts:
            yield Sample(family, dict(labels), value)
        for (family, labels), buckets, total in observed:
            cumulative = 0
            for bound, number in zip((*families()[family].buckets, "+Inf"), buckets, strict=True):
                cumulative += number
                yield Sample(family, {**dict(labels), "le": str(bound)}, cumulative, "bucket")
            yield Sample(family, dict(labels), total, "sum")
            yield Sample(family, dict(labels), cumulative, "count")
