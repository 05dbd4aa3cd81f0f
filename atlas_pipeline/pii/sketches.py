"""Sketches of columns: a few keyed hashes of values, by which two columns are seen to hold the same ones.

Belongs here: making, merging and comparing sketches; none holds a value. Does not belong here: where they are kept, and
what is said of columns that hold the same (`joins.py`).

A sketch keeps the smallest hashes of a column's values (K minimum values: Bar-Yossef et al., Counting Distinct Elements
in a Data Stream, 2002). Below the smaller of two columns' largest kept hashes both sketches are complete, so that the
share of values that are in the other column, too, is measured on these without bias.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.pii.actions.forms import unmangled
from atlas_pipeline.pii.keys import Keys

SIZE = 512
"""Most hashes in a sketch. Of a column that has 150 times as many values as another one about three are compared."""
_ROWS = 200_000
_SHORTEST, _LONGEST = 2, 200
_HASH_BYTES = 8
_MAILBOX = r"^[^<>]*<([^<>\s]+@[^<>\s]+)>\s*$"
_WRAPPERS = r"^(?:mailto|tel|sms|urn:uuid):"
_MARKS = r"[^\pL\pN@]+"
_SHORT_NUMBER = r"^[0-9]{1,7}$"


@dataclass(frozen=True)
class Sketch:
    """The smallest hashes of a column's values, in order.

    `counters` tells that most values are numbers of up to seven digits: such are the same in many columns that have
    nothing to do with each other.
    """

    hashes: tuple[int, ...]
    counters: bool = False

    def merged(self, other: "Sketch") -> "Sketch":
        """The sketch of the values of both."""
        hashes = sorted({*self.hashes, *other.hashes})[:SIZE]
        return Sketch(tuple(hashes), self.counters and other.counters)

    def common(self, other: "Sketch") -> tuple[int, float]:
        """How many hashes both have, and which share of the comparable ones of the smaller column that is."""
        limit = min((sketch.hashes[-1] for sketch in (self, other) if len(sketch.hashes) == SIZE), default=None)
        mine, theirs = (
            {value for value in sketch.hashes if limit is None or value <= limit} for sketch in (self, other)
        )
        both = len(mine & theirs)
        return both, both / max(1, min(len(mine), len(theirs)))


class Sketching:
    """Makes the sketches of some columns from blocks of rows, of the first 200,000 rows: call `add`, then `sketches`.

    Args:
        columns: Their names.
        keys: Of the installation. Without a key for hashes nothing is hashed.
    """

    def __init__(self, columns: Iterable[str], keys: Keys):
        self._key = keys.hash_master.derive("sketch")
        self._hashes = {name: np.array([], np.uint64) for name in columns}
        self._counters = dict.fromkeys(self._hashes, 0)
        self._values = dict.fromkeys(self._hashes, 0)
        self._rows = 0

    def add(self, block: pa.Table) -> None:
        """Look at rows as they came: the columns as strings."""
        if self._rows >= _ROWS:
            return
        self._rows += block.num_rows
        for name in self._hashes:
            values = plain_forms(pc.unique(block[name]))
            if not len(values):
                continue
            self._values[name] += len(values)
            self._counters[name] += pc.sum(pc.match_substring_regex(values, _SHORT_NUMBER)).as_py()
            known = np.union1d(self._hashes[name], _hashed(values, self._key))
            self._hashes[name] = known[:SIZE]

    def sketches(self) -> Mapping[str, Sketch]:
        """The sketch of each column that has values."""
        return {
            name: Sketch(tuple(hashes.tolist()), 2 * self._counters[name] > self._values[name])
            for name, hashes in self._hashes.items()
            if len(hashes)
        }


def plain_forms(values: pa.Array) -> pa.Array:
    """Distinct values without what spellings of one differ in: case, separators, wrappers, leading zeros.

    Coarser than the canonical forms, so that columns whose forms differ are compared as well. Values of one character
    and prose are left out.
    """
    values = values.drop_null()
    values = unmangled(pc.utf8_trim_whitespace(pc.utf8_lower(pc.utf8_normalize(values, "NFKC"))))
    values = pc.replace_substring_regex(values, _MAILBOX, r"\1")
    values = pc.replace_substring_regex(pc.replace_substring_regex(values, _WRAPPERS, ""), _MARKS, "")
    values = pc.ascii_ltrim(values, "0")
    lengths = pc.utf8_length(values)
    fits = pc.and_(pc.greater_equal(lengths, _SHORTEST), pc.less_equal(lengths, _LONGEST))
    return pc.unique(values.filter(fits))


def _hashed(values: pa.Array, key: bytes) -> np.ndarray:
    """BLAKE2b of each value under the key, of 63 bits, so that Postgres's bigint holds it."""
    keyed = hashlib.blake2b(key=key, digest_size=_HASH_BYTES)
    digests = []
    for value in values.to_pylist():
        one = keyed.copy()
        one.update(value.encode())
        digests.append(one.digest())
    return np.frombuffer(b"".join(digests), np.uint64) >> np.uint64(1)
