"""A guess at what the columns of a source are, from a sample of its rows, for a person to check.

Belongs here: the guess at types, formats, key and the column that says which row is the latest. Does not belong here:
what a type accepts (`types.py`), how far values reach (`infer_ranges.py`), and writing the guess down.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.ingest.batch import Batch
from atlas_pipeline.ingest.infer_ranges import extremes, one_length, without_misfits
from atlas_pipeline.ingest.types import PLAIN, ColumnType, Notation, cast

NULL_WORDS = ("NA", "N/A", "n/a", "null", "NULL", "None", "nan", "NaN", "\\N")
ENOUGH = 0.99  # the share of the values that must fit a type
DISTINCT_CAP = 10_000
MOST_VALUES, LONGEST_VALUE = 12, 40  # when a column's distinct texts are worth listing
FEWEST_ROWS = 50  # with fewer values, nothing that they have in common is worth noting
PROBE, PROMISING = 1000, 0.9  # a type is tried on so many rows first, and dropped unless so large a share fits


@dataclass(frozen=True)
class ColumnInference:
    """One column as guessed from the sample.

    Attributes:
        name: of the column.
        type: in silver.
        format: strptime format; None for ISO 8601.
        nullable: a value is missing.
        blank: a text is nothing but white space.
        distinct: distinct values, at most `DISTINCT_CAP`.
        unique: no value is missing, bad or there twice.
        misfits: rows that would go to quarantine.
        minimum: least value as canonical text, of numbers, dates and timestamps only.
        maximum: greatest value, likewise.
        newest: greatest date or timestamp of the rows that have no misfit in any column.
        values: a text column's distinct values, sorted, when they are few and short.
        length: number of characters, when all of a text column's values have the same.
        null_values: words that mean "no value".
        doubtful: such words in a text column of a source that does not use them in any other type of column: they may
            mean it, or be a code.
    """

    name: str
    type: ColumnType
    format: str | None = None
    nullable: bool = False
    blank: bool = False
    distinct: int = 0
    unique: bool = False
    misfits: int = 0
    minimum: str | None = None
    maximum: str | None = None
    newest: str | None = None
    values: tuple[str, ...] | None = None
    length: int | None = None
    null_values: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inference:
    """The guess for a whole source. `rows` is the number of rows sampled; `key` and `latest_by` name a column."""

    columns: tuple[ColumnInference, ...]
    key: str | None
    latest_by: str | None
    rows: int


def infer(
    batches: Iterable[Batch], *, key: str | None = None, max_rows: int = 200_000, notation: Notation = PLAIN
) -> Inference:
    """Guess what the columns of a source are.

    Args:
        batches: of its rows; no more are read than `max_rows` takes.
        key: the column that tells rows apart, when that is known.
        max_rows: rows of the sample.
        notation: how numbers and booleans are written.

    Raises:
        ValueError: `key` is not one of the columns.
    """
    sample, types = _sample(batches, max_rows)
    names = sample.column_names if sample is not None else []
    if key is not None and key not in names:
        raise ValueError(f"no column {key!r}; the columns are: {', '.join(names) or '(none)'}")
    if sample is None:
        return Inference((), None, None, 0)
    counted = [_Counted.of(column, sample.num_rows, notation) for column in sample.columns]
    rows = sample.num_rows
    columns = tuple(
        _typed_column(name, texts, rows, types[name]) if name in types else _column(name, texts, rows)
        for name, texts in zip(names, counted, strict=True)
    )
    used = {word for column in columns for word in column.null_values}
    columns = tuple(
        _text_column(column.name, texts, rows, used) if used.intersection(column.doubtful) else column
        for column, texts in zip(columns, counted, strict=True)
    )
    if key is None:
        key = _guess_key(columns, counted)
    columns = _with_newest(columns, counted, sample)
    return Inference(columns, key, guess_latest_by(columns) if key else None, rows)


def _with_newest(
    columns: tuple[ColumnInference, ...], counted: list["_Counted"], sample: pa.Table
) -> tuple[ColumnInference, ...]:
    """The columns with their newest moments. Only where there are misfits is the sample looked at once more."""
    bad_texts = {
        column.name: texts.texts.filter(
            cast(texts.texts, column.type, column.format, "UTC", column.null_values, texts.notation).bad
        )
        for column, texts in zip(columns, counted, strict=True)
        if column.misfits
    }
    good = without_misfits(sample, bad_texts)

    def newest(column: ColumnInference) -> str | None:
        if column.type not in ("date", "timestamp") or not bad_texts:
            return column.maximum if column.type in ("date", "timestamp") else None
        texts = good[column.name].cast(pa.string()).unique()
        known = cast(texts, column.type, column.format, "UTC", column.null_values).values.drop_null()
        return extremes(column.type, known)[1] if len(known) else None

    return tuple(replace(column, newest=newest(column)) for column in columns)


def _sample(batches: Iterable[Batch], max_rows: int) -> tuple[pa.Table | None, dict[str, ColumnType]]:
    """The rows, and the types of the columns that the source has the same type for in all of them."""
    tables: list[pa.Table] = []
    found: dict[str, set[ColumnType | None]] = {}
    left = max_rows
    for batch in batches:
        for name in batch.columns:
            found.setdefault(name, set()).add(batch.types.get(name))
        tables.append(batch.rows.slice(0, left))
        left -= tables[-1].num_rows
        if left <= 0:
            break
    types = {name: type for name, seen in found.items() if len(seen) == 1 and (type := next(iter(seen))) is not None}
    return pa.concat_tables(tables, promote_options="default") if tables else None, types


@dataclass(frozen=True)
class _Counted:
    """A column as its distinct texts that are not blank, how often each occurs, and a spread of them for quick tests.

    `nulls` counts the rows without text, `blanks` those whose text is empty or white space.
    """

    texts: pa.Array
    counts: pa.Array
    probe: pa.Array
    nulls: int
    blanks: int
    notation: Notation

    @staticmethod
    def of(column: pa.ChunkedArray, rows: int, notation: Notation) -> "_Counted":
        column = column.cast(pa.string())
        present = column.drop_null()
        filled = present.filter(pc.not_equal(pc.utf8_trim_whitespace(present), ""))
        step = max(1, len(filled) // PROBE)
        probe = filled.take(pa.array(range(0, len(filled), step), pa.int64())).combine_chunks()
        tally = filled.value_counts()
        tally = tally.combine_chunks() if isinstance(tally, pa.ChunkedArray) else tally
        return _Counted(
            tally.field("values"),
            tally.field("counts"),
            probe,
            rows - len(present),
            len(present) - len(filled),
            notation,
        )

    @property
    def total(self) -> int:
        return pc.sum(self.counts, min_count=0).as_py() or 0

    def without(self, words: tuple[str, ...]) -> "_Counted":
        gone = pa.array(words, pa.string())
        kept, probed = (
            pc.invert(pc.is_in(pc.utf8_trim_whitespace(array), value_set=gone)) for array in (self.texts, self.probe)
        )
        return replace(self.only(kept), probe=self.probe.filter(probed))

    def only(self, mask: pa.Array) -> "_Counted":
        """The distinct texts that a mask picks; the probe stays."""
        return replace(self, texts=self.texts.filter(mask), counts=self.counts.filter(mask))

    def weigh(self, mask: pa.Array) -> int:
        """The number of rows behind the distinct texts that a mask picks."""
        return pc.sum(self.counts.filter(mask), min_count=0).as_py() or 0

    def any(self, pattern: str) -> bool:
        return bool(pc.any(pc.match_substring_regex(self.texts, pattern)).as_py())


class _Fit(NamedTuple):
    type: ColumnType
    format: str | None
    rows: int  # how many rows fit
    canonical: pa.Array  # the distinct texts after the cast, null where they do not fit


def _column(name: str, texts: _Counted, rows: int) -> ColumnInference:
    trimmed = set(pc.utf8_trim_whitespace(texts.texts.filter(pc.less(pc.utf8_length(texts.texts), 20))).to_pylist())
    words = tuple(word for word in NULL_WORDS if word in trimmed)
    real = texts.without(words) if words else texts
    fit = _guess_type(name, real) if len(real.texts) else None
    if fit is None:
        return _text_column(name, texts, rows, ())
    return _fitted(name, texts, rows, fit, words, real.total)


def _fitted(name: str, texts: _Counted, rows: int, fit: "_Fit", words: tuple[str, ...], total: int) -> ColumnInference:
    """A column of the type that fits; `total` rows have a value that is none of the `words` for none."""
    known = fit.canonical.drop_null()
    minimum, maximum = extremes(fit.type, known)
    distinct = len(known.unique())
    return ColumnInference(
        name,
        fit.type,
        fit.format,
        nullable=texts.nulls + texts.blanks > 0 or bool(words),
        distinct=min(distinct, DISTINCT_CAP),
        unique=distinct == rows,
        misfits=total - fit.rows,
        minimum=minimum,
        maximum=maximum,
        null_values=words,
    )


def _typed_column(name: str, texts: _Counted, rows: int, type: ColumnType) -> ColumnInference:
    """A column that the source itself has a type for: what it types as a string stays text, whatever it looks like."""
    fit = None if type == "text" else _fit(texts, type)
    return _text_column(name, texts, rows, ()) if fit is None else _fitted(name, texts, rows, fit, (), texts.total)


def _text_column(name: str, texts: _Counted, rows: int, null_words: Collection[str]) -> ColumnInference:
    """A column of text; of the words in `null_words` it is known that they mean "no value" in this source.

    Silver compares a text as it is, with its white space; so does this.
    """
    found = [word for word in NULL_WORDS if pc.any(pc.equal(texts.texts, word)).as_py()]
    words = tuple(word for word in found if word in null_words)
    real = texts.only(pc.invert(pc.is_in(texts.texts, value_set=pa.array(words, pa.string())))) if words else texts
    return ColumnInference(
        name,
        "text",
        nullable=texts.nulls > 0 or bool(words),
        blank=texts.blanks > 0,
        distinct=min(len(real.texts), DISTINCT_CAP),
        unique=len(real.texts) == rows > 0,
        values=_few_values(real),
        length=one_length(real.texts) if real.total >= FEWEST_ROWS else None,
        null_values=words,
        doubtful=tuple(word for word in found if word not in words),
    )


def _few_values(texts: _Counted) -> tuple[str, ...] | None:
    if not 0 < len(texts.texts) <= MOST_VALUES or texts.total < FEWEST_ROWS or texts.blanks:
        return None
    if pc.max(pc.utf8_length(texts.texts)).as_py() > LONGEST_VALUE:
        return None
    return tuple(sorted(texts.texts.to_pylist()))


# Types. Where in doubt there is no guess, and the column stays text.


def _guess_type(name: str, texts: _Counted) -> _Fit | None:
    return (
        _guess_number(name, texts)
        or _guess_boolean(texts)
        or _fit(texts, "uuid", only=r"^\s*\{?[0-9a-fA-F]{8}-")  # 32 digits without hyphens are more often a hash
        or _guess_iso(texts)
        or _guess_formatted(texts)
        or _fit(texts, "time")
        or _fit(texts, "json", only=r"^\s*[\[{]")
    )


def _fit(texts: _Counted, type: ColumnType, format: str | None = None, only: str = "") -> _Fit | None:
    """How the type fits, None if not well enough. Texts that do not match the pattern `only` count as misfits."""
    probed = cast(texts.probe, type, format, notation=texts.notation)
    if pc.sum(probed.bad, min_count=0).as_py() > (1 - PROMISING) * len(texts.probe):
        return None
    canonical = cast(texts.texts, type, format, notation=texts.notation).values
    if only:
        canonical = pc.if_else(pc.match_substring_regex(texts.texts, only), canonical, pa.scalar(None, pa.string()))
    rows = texts.weigh(pc.is_valid(canonical))
    return _Fit(type, format, rows, canonical) if rows and rows >= ENOUGH * texts.total else None


# Digits that are not a quantity, because a number would lose a part of them.
_LEADING_ZERO, _PLUS, _MINUS = r"^\s*[+-]?0\d", r"^\s*\+", r"^\s*-"
_EXPONENT = r"\d\.?[eE][+-]?\d"
_CODE_EXPONENT = r"^\s*\d+[eE]\d+\s*$"  # 48E13 is the number of a part
_CODE_NAME = re.compile(r"(?:^|_)(?:zip|zipcode|postal|postcode|post_code|phone|mobile|fax|iban|ssn)(?:_|$)")
_DATE_NAME = re.compile(r"(?:^|_)(?:date|day|datum|tag|jour|fecha|data|dt|ymd|on|at)(?:_|$)|(?:date|datum)$")
_ID_NAME = re.compile(r"^(?:id|key|uuid|guid)$|_(?:id|key|uuid|guid)$")


def _guess_number(name: str, texts: _Counted) -> _Fit | None:
    decimal = _fit(texts, "decimal")
    if decimal is None or _CODE_NAME.search(_snake(name)):
        return None
    numbers = texts.only(pc.is_valid(decimal.canonical))
    if numbers.any(_LEADING_ZERO):
        return None
    if numbers.any(_CODE_EXPONENT) and not numbers.any(re.escape(texts.notation.decimal)):
        return None
    if numbers.weigh(pc.match_substring_regex(numbers.texts, _EXPONENT)) >= (1 - ENOUGH) * numbers.total:
        return _fit(texts, "float") or decimal
    if numbers.any(re.escape(texts.notation.decimal)) or numbers.any(_EXPONENT):
        return decimal
    if numbers.any(_PLUS) and not numbers.any(_MINUS):
        return None
    if len(numbers.texts) > 1 and not numbers.any(r"^\s*(?:[^12]|1[^9]|2[^0])"):
        day = _fit(texts, "date", "%Y%m%d")
        if day and day.rows == decimal.rows:
            return day if _DATE_NAME.search(_snake(name)) else None  # else they may be numbers of invoices
    integer = _fit(texts, "integer")
    return integer if integer and integer.rows == decimal.rows else None


def _guess_boolean(texts: _Counted) -> _Fit | None:
    """A column of nothing but N, or of nothing but F, may be about something else."""
    fit = _fit(texts, "boolean")
    both = fit is not None and len(fit.canonical.drop_null().unique()) == 2
    return fit if both or texts.any(r"(?i)^\s*(?:true|false)\s*$") else None


def _guess_iso(texts: _Counted) -> _Fit | None:
    day = _fit(texts, "date", only=r"^\s*\d{4}-\d\d-\d\d\s*$")
    moment = _fit(texts, "timestamp")
    return moment if moment and (day is None or moment.rows > day.rows) else day


_DATED = r"^\s*(?:\d{1,4}[./ -](?:\d{1,2}|[A-Za-z]{3,9})[./ -]\d{1,4}|[A-Za-z]{3,9} \d{1,2}, \d{4})"
_CLOCKS = ("", " %H:%M:%S", " %H:%M", " %H:%M:%S.%f", " %I:%M:%S %p", " %I:%M %p")
_EITHER_ORDER = (("%d/%m/%Y", "%m/%d/%Y"), ("%d-%m-%Y", "%m-%d-%Y"))
_ONE_ORDER = ("%d.%m.%Y", "%Y/%m/%d", "%d-%b-%Y", "%d %b %Y", "%d/%b/%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y")


def _guess_formatted(texts: _Counted) -> _Fit | None:
    dated = pc.sum(pc.match_substring_regex(texts.probe, _DATED), min_count=0).as_py()
    if dated < PROMISING * len(texts.probe):
        return None
    for clock in _CLOCKS:
        type: ColumnType = "timestamp" if clock else "date"
        for orders in (*_EITHER_ORDER, *((one,) for one in _ONE_ORDER)):
            fits = [fit for order in orders if (fit := _fit(texts, type, order + clock))]
            if len(fits) > 1:  # the day must tell itself from the month
                fits = [fit for fit in fits if fit.rows == texts.total]
            if fits:
                return fits[0] if len(fits) == 1 else None
    return None


# The key, and the column that says which row of a key is the latest.

_KEY_TYPES = ("integer", "uuid", "text")
_LATEST = re.compile(
    r"(?:last_|date_)?(?:updated?|modified|modification|changed?)(?:_at|_on|_time|_date|_timestamp|_ts)?"
)


def looks_like_id(name: str) -> bool:
    """Whether a column is named like one that identifies something: its numbers count and measure nothing."""
    return bool(_ID_NAME.search(_snake(name)))


def _snake(name: str) -> str:
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"\W+", "_", parted).lower()


def _guess_key(columns: tuple[ColumnInference, ...], texts: list[_Counted]) -> str | None:
    """A unique column named like a key; else the first column if it could be one; None where several would do."""
    unique = [column for column in columns if column.unique and column.type in _KEY_TYPES]
    exact = [column.name for column in unique if _snake(column.name) in ("id", "uuid", "guid", "key")]
    named = exact or [column.name for column in unique if _ID_NAME.search(_snake(column.name))]
    if len(named) == 1:
        return named[0]
    first = columns[0].name if columns else None
    if named:
        return first if first in named else None
    if unique and unique[0] is columns[0] and texts[0].total > 1 and not texts[0].any(r"\s|.{65}"):
        return first
    return None


def guess_latest_by(columns: tuple[ColumnInference, ...]) -> str | None:
    """The first time column that is named like the time of a change; None without one."""
    times = [column.name for column in columns if column.type in ("timestamp", "date")]
    return next((name for name in times if _LATEST.fullmatch(_snake(name))), None)
