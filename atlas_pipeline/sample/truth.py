"""What a correct load of one dataset must give: the counts and winners, kept while the files are being written.

The rules: every parsable record arrives; a record without a key or with a value that does not fit its type is
rejected whole; of the others one per key stays, the one with the greatest order value, and on a tie the one loaded
last. Nothing here writes files or makes records up.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from atlas_pipeline.sample.chance import iso


@dataclass
class FileCount:
    """What stands in one file."""

    path: str
    rows: int = 0
    broken_lines: int = 0


@dataclass
class Truth:
    """The truth about one dataset, four bytes per key."""

    dataset: str
    key: str
    order_by: str
    value: str
    """The column whose winning value is noted for a few keys."""
    capacity: int
    """Keys are numbered 1 … capacity."""
    watched: frozenset[int]
    """The keys whose winner is noted."""
    files: list[FileCount] = field(default_factory=list)
    dirt: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    published: int = 0

    def __post_init__(self) -> None:
        self.times = array("I", bytes(4 * (self.capacity + 1)))
        self._winners: dict[int, tuple[int, str | None]] = {}

    def begin(self, path: str) -> None:
        """From now on records go to this file."""
        self.files.append(FileCount(path))

    def accept(self, number: int, time: int, value: str | None) -> None:
        """A sound record of key `number` was written."""
        self.accepted += 1
        before = self.times[number]
        if not before:
            self.published += 1
        if time >= before:
            self.times[number] = time
            if number in self.watched:
                self._winners[number] = (time, value)

    def reject(self, rule: str) -> None:
        """A parsable record that breaks this rule was written."""
        self.rejected[rule] += 1

    def broken(self) -> None:
        """A line that is no record was written."""
        self.files[-1].broken_lines += 1

    def end(self) -> None:
        """The current file is complete: what was accepted or rejected since the last one stands in it."""
        self.files[-1].rows = self.rows - sum(file.rows for file in self.files[:-1])

    @property
    def rows(self) -> int:
        """The parsable records written so far."""
        return self.accepted + self.rejected.total()

    def report(self, keys: Iterable[tuple[int, object]]) -> dict[str, Any]:
        """Everything as plain values; `keys` gives the watched numbers with the key as it stands in the files."""
        return {
            "key": self.key,
            "order_by": self.order_by,
            "files": [{"path": file.path, "rows": file.rows, "broken_lines": file.broken_lines} for file in self.files],
            "rows_in_files": self.rows,
            "broken_lines": sum(file.broken_lines for file in self.files),
            "rows_rejected": self.rejected.total(),
            "rows_rejected_by_rule": dict(sorted(self.rejected.items())),
            "duplicates_dropped": self.accepted - self.published,
            "rows_published": self.published,
            "dirt": dict(sorted(self.dirt.items())),
            "checksums": [
                {self.key: key, self.order_by: iso(self._winners[number][0]), self.value: self._winners[number][1]}
                for number, key in keys
                if number in self._winners
            ],
        }
