"""How far the values of a column reach: least and greatest, the newest moment, the one length of texts.

Belongs here: measuring values once their type is known. Does not belong here: the type (`infer.py`), and what is made
of the measures.
"""

from collections.abc import Mapping
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.ingest.types import ColumnType

_FEWEST_DAYS, _LONG_WEEKEND = 5, 5


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
        if not pc.all(pc.is_finite(numbers)).as_py():
            return None, None
        ends = pc.min_max(numbers)
    elif type == "decimal":
        return _decimal_extremes(canonical)
    elif type == "date":
        ends = pc.min_max(canonical)
    elif type in ("timestamp", "local_timestamp"):
        ends = pc.min_max(as_moments(type, canonical))
        return tuple(ends[end].cast(pa.string()).as_py().replace(" ", "T") for end in ("min", "max"))
    else:
        return None, None
    return str(ends["min"].as_py()), str(ends["max"].as_py())


def as_moments(type: ColumnType, canonical: pa.Array) -> pa.Array:
    """Texts after the cast as moments that can be compared: of dates, timestamps and local timestamps."""
    if type == "date":
        return canonical.cast(pa.date32())
    return canonical.cast(pa.timestamp("us", "UTC" if type == "timestamp" else None))


def rhythm(type: ColumnType, canonical: pa.Array) -> tuple[int, int] | None:
    """Days from one day with a value to the next, usually and at most; null when they do not come regularly.

    Args:
        type: date, timestamp or local_timestamp.
        canonical: the texts after the cast, none missing.
    """
    days = pc.unique(as_moments(type, canonical).cast(pa.date32())).cast(pa.int32()).sort().to_numpy()
    if len(days) < _FEWEST_DAYS:
        return None
    gaps = sorted(int(gap) for gap in days[1:] - days[:-1])
    usual, most = gaps[len(gaps) // 2], gaps[-1]
    steady = usual == 1 or usual == 7 or 28 <= usual <= 31
    return (usual, most) if steady and most <= max(3 * usual, _LONG_WEEKEND) else None


def _decimal_extremes(canonical: pa.Array) -> tuple[str, str]:
    """Doubles find the few that may be the least or the greatest; of those the exact values decide."""
    doubles = canonical.cast(pa.float64())
    ends = pc.min_max(doubles)
    low, high = (canonical.filter(pc.equal(doubles, ends[end])).to_pylist() for end in ("min", "max"))
    return min(low, key=Decimal), max(high, key=Decimal)


_CODE = r"^[A-Z0-9]+(?:[-_./:][A-Z0-9]+)*$|^[0-9a-f]{16,}$"


def is_code(texts: pa.Array) -> bool:
    """Whether all texts are codes: no spaces, no small letters but those of long hexadecimal numbers.

    Numbers that are counted up get longer some day, unless they are long or have zeros before them.
    """
    if not len(texts) or not pc.all(pc.match_substring_regex(texts, _CODE)).as_py():
        return False
    counted = pc.match_substring_regex(texts, "[0-9]$")
    padded = pc.match_substring_regex(texts, r"^0[0-9]|[A-Z_./:-]0[0-9]|^[0-9A-F-]{8,}$|^[0-9a-f]{16,}$")
    return not pc.any(counted).as_py() or bool(pc.any(padded).as_py())


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
