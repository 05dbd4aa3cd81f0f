"""Rows whose key may be there more than once, told from the rows on their way to staging.

Belongs here: a number for each key, equal where keys are, and which rows share one. Does not belong here: which row of
a key stays (`merging.py`, which compares the keys themselves, so that numbers may be equal by chance).

Sorting a million numbers takes a twentieth of the time in which Postgres groups as many rows. Where the text of a value
does not say what it is equal to, as 1.0 and 1.00 are, and where there are more rows than memory is for, it groups them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from atlas_pipeline.ingest.copying import FILE_ID, LINE
from atlas_pipeline.ingest.dataset import Dataset

_TYPES = ("bigint", "uuid", "text")
"""Those of which equal values have equal texts after the cast."""
_MOST_ROWS = 5_000_000
_MOST_REPEATED = 100_000
_Numbers = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True)
class Repeated:
    """Rows that share the number of their key with others: where they are, and how many more than keys there are.

    `rows` is the number of all that were looked at.
    """

    file_ids: list[int]
    lines: list[int]
    surplus: int
    rows: int


class KeyNumbers:
    """Takes the rows of a table, block by block."""

    def __init__(self, dataset: Dataset):
        """For the rows of a dataset with a plan in each column."""
        types = {column.name: column.postgres_type for column in dataset.columns}
        self._key = {name: types[name] for name in dataset.key}
        self._known = bool(self._key) and all(type in _TYPES for type in self._key.values())
        self._blocks: list[tuple[_Numbers, pa.Array, pa.Array]] = []
        self._rows = 0

    def add(self, block: pa.Table) -> None:
        """Take rows that are sent to staging."""
        self._rows += block.num_rows
        if self._known and self._rows > _MOST_ROWS:
            self._known, self._blocks = False, []
        if self._known and block.num_rows:
            places = (block[name].combine_chunks() for name in (FILE_ID, LINE))
            self._blocks.append((self._numbers(block), *places))

    def repeated(self) -> Repeated | None:
        """The rows whose key may be there more than once; null where that cannot be told, or is said of too many."""
        if not self._known:
            return None
        numbers = np.concatenate([numbers for numbers, _, _ in self._blocks] or [np.array([], np.uint64)])
        ordered = np.sort(numbers)
        again = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        rows = np.flatnonzero(np.isin(numbers, again)) if len(again) else np.array([], np.int64)
        if len(rows) > _MOST_REPEATED:
            return None
        where = pa.array(rows)
        file_ids, lines = (pa.chunked_array([block[at] for block in self._blocks], pa.int64()) for at in (1, 2))
        return Repeated(
            file_ids.take(where).to_pylist(), lines.take(where).to_pylist(), len(rows) - len(again), len(numbers)
        )

    def _numbers(self, block: pa.Table) -> _Numbers:
        numbers = np.zeros(block.num_rows, np.uint64)
        for name, type in self._key.items():
            values = block[name].combine_chunks()
            part = values.cast(pa.int64()).to_numpy().view(np.uint64) if type == "bigint" else text_numbers(values)
            numbers = (numbers ^ (numbers >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15) + part
        return numbers


def text_numbers(texts: pa.Array) -> _Numbers:
    """A number for each text, without nulls: the sum of its bytes, each times the weight of its place, and its length.

    The weights are fixed random numbers, so that texts that differ have equal numbers only by chance (Carter and
    Wegman, "Universal classes of hash functions", 1979).
    """
    texts = texts.cast(pa.large_binary())
    if not len(texts):
        return np.array([], np.uint64)
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    letters = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]].astype(np.uint64)
    starts, lengths = ends[:-1] - ends[0], np.diff(ends)
    weights = np.random.default_rng(7).integers(1, 2**63, max(int(lengths.max()), 1), np.uint64)
    places = np.arange(len(letters)) - np.repeat(starts, lengths)
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(letters * weights[places])))
    return sums[ends[1:] - ends[0]] - sums[starts] + lengths.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
