"""Steps that settle a column of text: built so that the usual spelling costs one regular expression.

Belongs here: how steps are put together. Does not belong here: what any type accepts (`types.py`, `moments.py`).

A step takes an array of strings and answers two arrays of the same length: the texts for Postgres (null where there is
none) and, for each, how it went: `GOOD`, `WRONG` (not of the type) or `RANGE` (of the type, but it cannot be held).
Only what no regular expression settles is left to Python.
"""

from collections.abc import Callable
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

Step = Callable[[pa.Array], tuple[pa.Array, pa.Array]]
Parsed = tuple[str | None, int]

GOOD, WRONG, RANGE = range(3)
NO_TYPE: Parsed = (None, 1)
NO_ROOM: Parsed = (None, 2)


@cache
def verdict(code: int) -> pa.Int8Scalar:
    """GOOD, WRONG or RANGE as Arrow compares it; made when first asked for, since that imports pandas."""
    return pa.scalar(code, pa.int8())


def keep(values: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The texts as they are."""
    return values, pa.repeat(verdict(GOOD), len(values))


def rewrite(pattern: str, replacement: str) -> Step:
    """Replace what a regular expression (RE2) matches, and find nothing bad."""
    return lambda values: keep(pc.replace_substring_regex(values, pattern, replacement))


def then(first: Step, second: Step) -> Step:
    """Two steps one after the other, of which `first` must find nothing bad."""
    return lambda values: second(first(values)[0])


def match(pattern: str, then: Step, otherwise: Step) -> Step:
    """Texts that a regular expression (RE2) matches, and nulls, take the step `then`, the others `otherwise`."""
    return lambda values: branch(values, pc.fill_null(pc.match_substring_regex(values, pattern), True), then, otherwise)


def branch(values: pa.Array, hit: pa.Array, then: Step, otherwise: Step) -> tuple[pa.Array, pa.Array]:
    """Send each text through one of two steps.

    Args:
        values: strings.
        hit: bool for each of them, never null.
        then: the step where it is true.
        otherwise: the step where it is false.
    """
    hits = hit.true_count
    if hits == len(values):
        return then(values)
    if hits == 0:
        return otherwise(values)
    miss = pc.invert(hit)
    parts = [then(values.filter(hit)), otherwise(values.filter(miss))]
    # Put both parts back in the order of the input.
    order = pc.sort_indices(pa.concat_arrays([pc.indices_nonzero(hit), pc.indices_nonzero(miss)]))
    texts, codes = (pa.concat_arrays(column) for column in zip(*parts, strict=True))
    return texts.take(order), codes.take(order)


def each(parse: Callable[[str], Parsed]) -> Step:
    """Ask `parse` once per distinct value."""

    def step(values: pa.Array) -> tuple[pa.Array, pa.Array]:
        coded = values.dictionary_encode()
        parsed = [parse(text) for text in coded.dictionary.to_pylist()]
        texts = pa.array([text for text, _ in parsed], pa.string()).take(coded.indices)
        codes = pa.array([code for _, code in parsed], pa.int8()).take(coded.indices)
        return texts, pc.fill_null(codes, verdict(GOOD))

    return step
