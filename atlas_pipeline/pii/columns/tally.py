"""`tally(values)`: count the distinct values of a column as text, and its missing and masked ones.

Belongs here: reading Arrow, pandas and plain sequences alike, and choosing a sample. Does not belong here: what a
value is (`cells.py`).
"""

import heapq
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.pii.gazetteer import listed
from atlas_pipeline.pii.normalise import clean

SAMPLE = 1_000
"""Most distinct values of a column that are classified."""

_MISSING = listed(
    "null none nil nan na n/a n.a. n.a #n/a nat <na> - -- --- ? . unknown undefined missing (null) (none) \\n"
)
_MASKED = re.compile(
    r"<[A-Z][A-Z_]{2,}>|\[(?:[A-Z][A-Z_]{2,}|redacted|removed|masked)\]|\*{2,}.{0,6}|[Xx]{4,}[-\s\dXx]*|enc:.+|redacted|"
    r"[0-9a-f]{64}|[*•\d][*•\s-]{3,}\d{0,4}",
    re.IGNORECASE,
)
_DIGEST = 64
_MASK_STARTS = frozenset("<[*•xXrReE0123456789abcdfABCDF")


@dataclass(frozen=True)
class Tally:
    """The counts of one column, in rows. `counts` has each distinct value that is neither missing nor masked.

    `digests` counts the masked values that look like a SHA-256 digest in hex, keyed or not, by Atlas or by others.
    """

    rows: int
    missing: int
    masked: int
    counts: dict[str, int]
    digests: int = 0

    def sample(self, size: int = SAMPLE) -> list[str]:
        """At most `size` distinct values, always the same ones: those with the smallest CRC-32."""
        if len(self.counts) <= size:
            return list(self.counts)
        return heapq.nsmallest(size, self.counts, key=lambda value: (zlib.crc32(value[:200].encode()), value))


def tidy(text: str) -> str:
    """The text in its normal form, without blanks around it."""
    return clean(text).strip()


def tally(values: Any, allow: frozenset[str] = frozenset()) -> Tally:
    """Count the values of a column.

    Args:
        values: Arrow array, pandas series or any sequence.
        allow: Values that are not personal, case-folded; they count as rows and do not vote.
    """
    counts: Counter[str] = Counter()
    rows = missing = masked = digests = 0
    for value, count in _distinct(values):
        rows += count
        text = tidy(value)
        if not text or (len(text) < 12 and text.casefold() in _MISSING):
            missing += count
        elif text[0] in _MASK_STARTS and len(text) < 400 and _MASKED.fullmatch(text):
            masked += count
            digests += count if len(text) == _DIGEST and text.isalnum() else 0
        elif not allow or text.casefold() not in allow:
            counts[text] += count
    return Tally(rows, missing, masked, dict(counts), digests)


def _distinct(values: Any) -> Iterable[tuple[str, int]]:
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        return _counted(values)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        counted = pc.value_counts(values)
        pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
        return [(text or "", count) for text, count in pairs]
    if pa.types.is_nested(kind):
        return _counted(values.to_pylist())
    counted = pc.value_counts(values)
    return _texts(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))


def _counted(values: Iterable[Any]) -> Iterable[tuple[str, int]]:
    plain = values.tolist() if hasattr(values, "tolist") else values
    try:
        # 1, 1.0 and True are one key to a Counter; their texts differ in nothing that matters here.
        return _texts(Counter(plain).items())
    except TypeError:
        return Counter(_text(value) for value in plain).items()


def _texts(pairs: Iterable[tuple[Any, int]]) -> Iterable[tuple[str, int]]:
    return ((_text(value), count) for value, count in pairs)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, datetime):
        return "" if value != value else value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)
