"""How far the values of a column reach: least and greatest, the newest moment, the one length of texts.

Belongs here: measuring values once their type is known. Does not belong here: the type (`infer.py`), and what is made
of the measures.
"""

from collections.abc import Mapping
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.ingest.types import ColumnType


def extremes(type: ColumnType, canonical: pa.Array) -> tuple[str | None, str | None]:
    """The least and the greatest value as canonical text; null for types other than numbers, dates and timestamps.

    Args:
        type: of the column in silver.
        canonical: its texts after the cast; at least one, none missing.
    """
    if type == "integer":
        ends = pc.min_max(canonical.cast(pa.int64()))
    elif type in ("float", "real"):
        numbers = canonical.cast(pa.float64())
        finite = numbers.filter(pc.is_finite(numbers))
        if not len(finite):
            return None, None
        ends = pc.min_max(finite)
    elif type == "decimal":
        return _decimal_extremes(canonical)
    elif type == "date":
        ends = pc.min_max(canonical)
    elif type in ("timestamp", "local_timestamp"):
        ends = pc.min_max(canonical.cast(pa.timestamp("us", "UTC" if type == "timestamp" else None)))
        return tuple(ends[end].cast(pa.string()).as_py().replace(" ", "T") for end in ("min", "max"))
    else:
        return None, None
    return str(ends["min"].as_py()), str(ends["max"].as_py())


def _decimal_extremes(canonical: pa.Array) -> tuple[str, str]:
    """Doubles find the few that may be the least or the greatest; of those the exact values decide."""
    doubles = canonical.cast(pa.float64())
    ends = pc.min_max(doubles)
    low, high = (canonical.filter(pc.equal(doubles, ends[end])).to_pylist() for end in ("min", "max"))
    return min(low, key=Decimal), max(high, key=Decimal)


def one_length(texts: pa.Array) -> int | None:
    """The number of characters that every text has; null when they differ, or there is none."""
    ends = pc.min_max(pc.utf8_length(texts))
    shortest, longest = ends["min"].as_py(), ends["max"].as_py()
    return shortest if shortest == longest and shortest else None


def without_misfits(sample: pa.Table, bad_texts: Mapping[str, pa.Array]) -> pa.Table:
    """The rows of a sample in which all columns fit their type.

    Args:
        sample: one column of text for each column of the source.
        bad_texts: the texts that do not fit, by column.
    """
    for name, texts in bad_texts.items():
        bad = pc.is_in(sample[name].cast(pa.string()), value_set=texts)
        sample = sample.filter(pc.invert(bad))
    return sample
