"""Convert pandas columns to text, and text to pandas columns.

Belongs here: one way to write a value of each type, so that equal values are equal in every table, and which values
are missing. Does not belong here: what is done to text (`apply.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_EXACT_INTEGERS = 2.0**53


def as_text(series: pd.Series) -> pa.Array:
    """The values of a column as strings, null where missing (None, NaN, NaT, NA).

    Whole floats are written as integers, timestamps at midnight as dates, others in ISO 8601 with a blank between date
    and time, the rest by `str`.
    """
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype):
        codes = pa.array(series.cat.codes.to_numpy(), mask=series.isna().to_numpy())
        return as_text(pd.Series(series.cat.categories)).take(codes)
    values = _arrow(series)
    if values is None:
        return _each_text(series)
    kind = values.type
    if pa.types.is_string(kind):
        return values
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_integer(kind):
        return values.cast(pa.string())
    if pa.types.is_float64(kind) or pa.types.is_float32(kind):
        return _float_text(values)
    if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        return _distinct_text(values)
    return _each_text(series)


def as_column(values: pa.Array, dtype: Any) -> pd.api.extensions.ExtensionArray | np.ndarray:
    """Text as the values of a pandas column.

    Args:
        values: Strings, with or without nulls.
        dtype: The type of the original column; a pandas string type is kept, any other becomes `object`.
    """
    import pandas as pd

    objects: np.ndarray = values.to_numpy(zero_copy_only=False)
    return pd.array(objects, dtype=dtype) if isinstance(dtype, pd.StringDtype) else objects


def _arrow(series: pd.Series) -> pa.Array | None:
    """The column as an Arrow array; None where it has no Arrow type, such as objects that are not all strings."""
    try:
        if series.dtype == object:
            values = pa.array(series, pa.string(), from_pandas=True)
        else:
            values = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, UnicodeError):
        return None
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _each_text(series: pd.Series) -> pa.Array:
    values = zip(series.to_list(), series.isna().to_list(), strict=True)
    return pa.array([None if missing else _text(value) for value, missing in values], pa.string())


def _float_text(values: pa.Array) -> pa.Array:
    integers = pc.and_(pc.equal(values, pc.trunc(values)), pc.less(pc.abs(values), _EXACT_INTEGERS))
    if pc.all(pc.fill_null(integers, True)).as_py():
        return values.cast(pa.int64()).cast(pa.string())
    return _distinct_text(values)


def _distinct_text(values: pa.Array) -> pa.Array:
    encoded = values.dictionary_encode()
    return pa.array([_text(value) for value in encoded.dictionary.to_pylist()], pa.string()).take(encoded.indices)


def _text(value: Any) -> str:
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            return write(value)
    return _storable(str(value))


def _number(value: Any) -> str:
    integers = value == value and abs(value) < _EXACT_INTEGERS and value == int(value)
    return str(int(value)) if integers else str(value)


def _moment(value: datetime) -> str:
    midnight = value.time() == time() and not getattr(value, "nanosecond", 0)
    return value.date().isoformat() if midnight else value.isoformat(sep=" ")


def _storable(text: str) -> str:
    """Text with lone surrogates replaced by `?`, since UTF-8 cannot encode them."""
    return text.encode("utf-8", errors="replace").decode()


_WRITERS: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (str, _storable),
    (bool, str),
    (float, _number),
    (Decimal, _number),
    (datetime, _moment),
    (date, date.isoformat),
    (bytes, lambda value: bytes(value).decode("utf-8", errors="replace")),
)
