"""The ground truth of one dataset: the counts and winning records of a correct load, kept while the files are written.

The rules: every parsable record is loaded; a record without a key, or with a value that does not fit its type, is
rejected as a whole; of the others the one with the greatest order value wins for each key, and on a tie the one loaded
last. Does not belong here: writing files, and generating records.
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
    """The counts of one file."""

    path: str
    rows: int = 0
    broken_lines: int = 0


@dataclass
class Truth:
    """The ground truth of one dataset, in four bytes per key."""

    dataset: str
    key: str
    order_by: str
    value: str
    """The column whose winning value is recorded for the watched keys."""
    capacity: int
    """The number of keys; they are numbered from 1."""
    watched: frozenset[int]
    """The keys whose winning record is recorded."""
    files: list[FileCount] = field(default_factory=list)
    dirt: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    published: int = 0

    def __post_init__(self) -> None:
        self.times = array("I", bytes(4 * (self.capacity + 1)))
        self._winners: dict[int, tuple[int, str | None]] = {}

    def begin(self, path: str) -> None:
        """Start a file: records that follow belong to it."""
        self.files.append(FileCount(path))

    def accept(self, number: int, time: int, value: str | None) -> None:
        """Record that a valid record was written.

        Args:
            number: The number of its key.
            time: Its order value on the sample's clock.
            value: Its value in the column `self.value`.
        """
        self.accepted += 1
        before = self.times[number]
        if not before:
            self.published += 1
        if time >= before:
            self.times[number] = time
            if number in self.watched:
                self._winners[number] = (time, value)

    def reject(self, rule: str) -> None:
        """Record that a parsable record which violates this rule was written."""
        self.rejected[rule] += 1

    def broken(self) -> None:
        """Record that a line which cannot be parsed was written."""
        self.files[-1].broken_lines += 1

    def end(self) -> None:
        """Finish the file: it holds the records accepted and rejected since the previous one."""
        self.files[-1].rows = self.rows - sum(file.rows for file in self.files[:-1])

    @property
    def rows(self) -> int:
        """The parsable records written so far."""
        return self.accepted + self.rejected.total()

    def report(self, keys: Iterable[tuple[int, object]]) -> dict[str, Any]:
        """The ground truth as plain values; `keys` gives each watched number with its key in the files."""
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
