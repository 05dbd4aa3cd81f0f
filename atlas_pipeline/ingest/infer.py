"""A guess at what the columns of a source are, from a sample of its rows, for a person to check.

Belongs here: the guess at types, formats, key and the column that says which row is the latest. Does not belong here:
what a type accepts (`types.py`), how far values reach (`infer_ranges.py`), and writing the guess down.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.ingest.batch import Batch
from atlas_pipeline.ingest.identifiers import (
    is_named,
    look_named,
    names_entity,
    names_id,
    names_number,
    names_quantity,
    snake,
)
from atlas_pipeline.ingest.infer_ranges import as_moments, extremes, is_code, one_length, rhythm, without_misfits
from atlas_pipeline.ingest.source_types import NUMBER, STRING, common_type
from atlas_pipeline.ingest.types import MOMENTS, NUMBERS, PLAIN, ColumnType, Digits, Notation, cast, split_type
from atlas_pipeline.ingest.usual import in_order, is_attribute

NULL_WORDS = ("NA", "N/A", "n/a", "null", "NULL", "None", "nan", "NaN", "\\N")
ENOUGH = 0.99  # the share of the values that must fit a type
DISTINCT_CAP = 10_000
MOST_VALUES, LONGEST_VALUE = 12, 40  # when a column's distinct texts are worth listing
FEWEST_ORDERED = 10  # rows in which two moments are in order before it is worth noting
FEWEST_ROWS = 50  # with fewer values, nothing that they have in common is worth noting
PROBE, PROMISING = 1000, 0.9  # a type is tried on so many rows first, and dropped unless so large a share fits


class UnknownKey(ValueError):
    """The columns have none of that name."""


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
        rhythm: days between one day with a row and the next, usually and at most, of dates and timestamps that come
            regularly.
        newest: greatest date or timestamp of the rows that have no misfit in any column.
        rarest: how often the rarest text of a column occurs.
        code: all texts are codes, of which no later one need be longer.
        values: a text column's distinct values, sorted, when they are few and short.
        length: number of characters, when all of a text column's values have the same.
        null_values: words that mean "no value".
        digits: of a decimal, when the source has a type with them.
        either_order: dates whose day and month cannot be told apart, which therefore are text.
        either_mark: numbers whose point may part decimals or thousands, which therefore are text.
        zoneless: a timestamp of which some values have no offset.
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
    rhythm: tuple[int, int] | None = None
    rarest: int = 0
    code: bool = False
    values: tuple[str, ...] | None = None
    length: int | None = None
    null_values: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    digits: Digits | None = None
    either_order: bool = False
    either_mark: bool = False
    zoneless: bool = False


@dataclass(frozen=True)
class Inference:
    """The guess for a whole source. `rows` is the number of rows sampled; `key` and `latest_by` name a column.

    `ordered` has pairs of moments of which by name and in all rows the first does not come after the second.
    """

    columns: tuple[ColumnInference, ...]
    key: str | None
    latest_by: str | None
    rows: int
    ordered: tuple[tuple[str, str], ...] = ()


def infer(
    batches: Iterable[Batch],
    *,
    key: str | Collection[str] | None = None,
    max_rows: int = 200_000,
    notation: Notation = PLAIN,
    marks_in_doubt: bool = False,
) -> Inference:
    """Guess what the columns of a source are.

    Args:
        batches: of its rows; no more are read than `max_rows` takes.
        key: the column or columns that tell rows apart, when they are known.
        max_rows: rows of the sample.
        notation: how numbers and booleans are written.
        marks_in_doubt: whether a point before three digits may be a decimal mark or not: such numbers stay text.

    Raises:
        UnknownKey: `key` names what is not a column.
    """
    sample, types = _sample(batches, max_rows)
    names = sample.column_names if sample is not None else []
    unknown = [one for one in ([key] if isinstance(key, str) else key or ()) if one not in names]
    if unknown:
        raise UnknownKey(f"{unknown[0]!r}, which is not a column. The columns are: {', '.join(names) or '(none)'}")
    if sample is None:
        return Inference((), None, None, 0)
    counted = [_Counted.of(column, sample.num_rows, notation, marks_in_doubt) for column in sample.columns]
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
    given = (key,) if isinstance(key, str) else tuple(key or ())
    guessed = None if given else _guess_key(columns, counted, rows)
    columns = tuple(
        _text_column(column.name, texts, rows, used)
        if column.name in (*given, guessed) and column.type in NUMBERS and _is_key_text(column.name, types, texts)
        else column
        for column, texts in zip(columns, counted, strict=True)
    )
    key = guessed or (given[0] if len(given) == 1 else None)
    columns = _with_newest(columns, counted, sample)
    latest_by = guess_latest_by(columns) if key or given else None
    return Inference(columns, key, latest_by, rows, tuple(_ordered(columns, sample, notation)))


def _is_key_text(name: str, types: Mapping[str, str], texts: "_Counted") -> bool:
    """Whether the numbers of a key are text: the source has no type for them, and the name is not one of a quantity, or
    zeros at their end would be lost."""
    return name not in types and (not names_quantity(name) or texts.any(r"[.,]\d*0\s*$"))


def _ordered(columns: tuple[ColumnInference, ...], sample: pa.Table, notation: Notation) -> Iterator[tuple[str, str]]:
    """Pairs of moments that by name are in order, and are in all rows of the sample."""
    moments = [column for column in columns if column.type in MOMENTS]
    for first, second in ((a, b) for a in moments for b in moments if a.type == b.type and in_order(a.name, b.name)):
        texts = (
            cast(sample[one.name], one.type, one.format, "UTC", one.null_values, notation).values
            for one in (first, second)
        )
        held = pc.less_equal(*(as_moments(first.type, text) for text in texts))
        if len(held) - held.null_count >= FEWEST_ORDERED and held.false_count == 0:
            yield first.name, second.name


def _with_newest(
    columns: tuple[ColumnInference, ...], counted: list["_Counted"], sample: pa.Table
) -> tuple[ColumnInference, ...]:
    """The columns with their newest moments. Only where there are misfits is the sample looked at once more."""
    bad_texts = {
        column.name: texts.texts.filter(
            cast(texts.texts, column.type, column.format, "UTC", column.null_values, texts.notation, column.digits).bad
        )
        for column, texts in zip(columns, counted, strict=True)
        if column.misfits
    }
    good = without_misfits(sample, bad_texts)

    def newest(column: ColumnInference) -> str | None:
        if column.type not in MOMENTS or not bad_texts:
            return column.maximum if column.type in MOMENTS else None
        texts = good[column.name].cast(pa.string()).unique()
        known = cast(texts, column.type, column.format, "UTC", column.null_values).values.drop_null()
        return extremes(column.type, known)[1] if len(known) else None

    return tuple(replace(column, newest=newest(column)) for column in columns)


def _sample(batches: Iterable[Batch], max_rows: int) -> tuple[pa.Table | None, dict[str, str]]:
    """The rows, and the types of the columns that the source itself has types for."""
    tables: list[pa.Table] = []
    found: dict[str, set[str]] = {}
    typed = True
    left = max_rows
    for batch in batches:
        typed = typed and batch.types is not None
        for name in batch.columns:
            seen, type = found.setdefault(name, set()), (batch.types or {}).get(name)
            seen.update([type] if type else [])
        tables.append(batch.rows.slice(0, left))
        left -= tables[-1].num_rows
        if left <= 0:
            break
    types = {name: common_type(seen) if seen else "text" for name, seen in found.items()} if typed else {}
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
    marks_in_doubt: bool

    @staticmethod
    def of(column: pa.ChunkedArray, rows: int, notation: Notation, marks_in_doubt: bool) -> "_Counted":
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
            marks_in_doubt,
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
    digits: Digits | None = None
    zoneless: bool = False


def _column(name: str, texts: _Counted, rows: int) -> ColumnInference:
    trimmed = set(pc.utf8_trim_whitespace(texts.texts.filter(pc.less(pc.utf8_length(texts.texts), 20))).to_pylist())
    number = ("nan", "NaN") if texts.any(_INFINITE) else ()  # beside infinity it is a value of a double
    words = tuple(word for word in NULL_WORDS if word in trimmed and word not in number)
    real = texts.without(words) if words else texts
    fit = _guess_type(name, real) if len(real.texts) else None
    if fit is None:
        text = _text_column(name, texts, rows, ())
        return replace(text, either_order=_either_order(real), either_mark=_in_doubt(real))
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
        rhythm=rhythm(fit.type, known) if fit.type in MOMENTS else None,
        null_values=words,
        digits=fit.digits,
        zoneless=fit.zoneless,
    )


def _typed_column(name: str, texts: _Counted, rows: int, type: str) -> ColumnInference:
    """A column that the source itself has a type for: what it types as a string stays text, whatever it looks like.

    Only of JSON, which has no dates, strings may be dates where their shape leaves no doubt.
    """
    if not len(texts.texts):
        plain, digits = ("text", None) if type in (STRING, NUMBER) else split_type(type)
        return ColumnInference(name, plain, nullable=texts.nulls > 0, blank=texts.blanks > 0, digits=digits)
    if type == STRING:
        fit = _fit(texts, "uuid", only=_HYPHENED) or _guess_iso(texts)
    elif type == NUMBER:
        fit = _plain_number(texts)
    else:
        plain, digits = split_type(type)
        fit = None if plain == "text" else _fit(texts, plain, digits=digits)
        if fit is None and plain == "json":
            fit = _json(texts)
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
        rarest=pc.min(real.counts).as_py() or 0,
        code=is_code(real.texts),
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


_HYPHENED = r"^\s*\{?[0-9a-fA-F]{8}-"  # 32 digits without hyphens are more often a hash


def _guess_type(name: str, texts: _Counted) -> _Fit | None:
    return (
        _guess_number(name, texts)
        or (None if is_named(name) else _guess_boolean(texts))
        or _fit(texts, "uuid", only=_HYPHENED)
        or _guess_iso(texts)
        or _guess_formatted(texts)
        or _fit(texts, "time")
        or _fit(texts, "json", only=r"^\s*[\[{]")
    )


def _fit(
    texts: _Counted, type: ColumnType, format: str | None = None, only: str = "", digits: Digits | None = None
) -> _Fit | None:
    """How the type fits, None if not well enough.

    Args:
        texts: of the column.
        type: that is tried.
        format: of moments.
        only: a pattern; texts that do not match it count as misfits.
        digits: of a decimal.
    """
    probed = cast(texts.probe, type, format, notation=texts.notation, digits=digits)
    if pc.sum(probed.bad, min_count=0).as_py() > (1 - PROMISING) * len(texts.probe):
        return None
    canonical = cast(texts.texts, type, format, notation=texts.notation, digits=digits).values
    if only:
        canonical = pc.if_else(pc.match_substring_regex(texts.texts, only), canonical, pa.scalar(None, pa.string()))
    rows = texts.weigh(pc.is_valid(canonical))
    return _Fit(type, format, rows, canonical, digits) if rows and rows >= ENOUGH * texts.total else None


# Digits that are not a quantity, because a number would lose a part of them.
_LEADING_ZERO, _PLUS, _MINUS = r"^\s*[+-]?0\d", r"^\s*\+", r"^\s*-"
_LONE_POINT = r"^\s*[+-]?[1-9]\d{0,2}\.\d{3}\s*$"
_EXPONENT = r"\d\.?[eE][+-]?\d"
_CODE_EXPONENT = r"^\s*\d+[eE]\d+\s*$"  # 48E13 is the number of a part
_INFINITE = r"(?i)^\s*[+-]?inf(?:inity)?\s*$"
_DATE_NAME = re.compile(r"(?:^|_)(?:date|day|datum|tag|jour|fecha|data|dt|ymd|on|at)(?:_|$)|(?:date|datum)$")


def _guess_number(name: str, texts: _Counted) -> _Fit | None:
    if is_named(name):
        return None
    if texts.any(_INFINITE):
        return _fit(texts, "float")  # in which NaN is a value, too
    decimal = _fit(texts, "decimal")
    if decimal is None:
        return None
    numbers = texts.only(pc.is_valid(decimal.canonical))
    if _in_doubt(numbers):
        return None
    if numbers.any(_LEADING_ZERO):
        return None
    if numbers.any(_CODE_EXPONENT) and not numbers.any(re.escape(texts.notation.decimal)):
        return None
    if numbers.weigh(pc.match_substring_regex(numbers.texts, _EXPONENT)) >= (1 - ENOUGH) * numbers.total:
        return _fit(texts, "float") or decimal
    if numbers.any(re.escape(texts.notation.decimal)) or numbers.any(_EXPONENT):
        # 12.05 below a header that says day is one of May.
        return None if _DATE_NAME.search(snake(name)) else decimal
    if numbers.any(_PLUS) and not numbers.any(_MINUS):
        return None
    if len(numbers.texts) > 1 and not numbers.any(r"^\s*(?:[^12]|1[^9]|2[^0])"):
        day = _fit(texts, "date", "%Y%m%d")
        if day and day.rows == decimal.rows:
            return day if _DATE_NAME.search(snake(name)) else None  # else they may be numbers of invoices
    if texts.notation == PLAIN and look_named(name, pc.utf8_trim_whitespace(numbers.texts)):
        return None
    integer = _fit(texts, "integer")
    return integer if integer and integer.rows == decimal.rows else None


def _in_doubt(numbers: _Counted) -> bool:
    """Whether a column's numbers may be 1.234 or 1234."""
    return numbers.marks_in_doubt and numbers.any(_LONE_POINT)


def _json(texts: _Counted) -> _Fit | None:
    """What the source nests is JSON, though jsonb refuses some of it: a map that has a key twice."""
    canonical = cast(texts.texts, "json").values
    rows = texts.weigh(pc.is_valid(canonical))
    return _Fit("json", None, rows, canonical) if rows else None


def _plain_number(texts: _Counted) -> _Fit | None:
    """Numbers that the source says are numbers."""
    if texts.any(_INFINITE) or texts.any(r"(?i)^\s*nan\s*$"):
        return _fit(texts, "float")
    if texts.weigh(pc.match_substring_regex(texts.texts, _EXPONENT)) >= (1 - ENOUGH) * texts.total:
        return _fit(texts, "float") or _fit(texts, "decimal")
    if texts.any(r"[.eE]"):
        return _fit(texts, "decimal") or _fit(texts, "float")
    integer = _fit(texts, "integer")
    return integer if integer and integer.rows == texts.total else _fit(texts, "decimal")


def _guess_boolean(texts: _Counted) -> _Fit | None:
    """A column of nothing but N, or of nothing but F, may be about something else."""
    fit = _fit(texts, "boolean")
    both = fit is not None and len(fit.canonical.drop_null().unique()) == 2
    return fit if both or texts.any(r"(?i)^\s*(?:true|false)\s*$") else None


def _guess_iso(texts: _Counted) -> _Fit | None:
    day = _fit(texts, "date", only=r"^\s*\d{4}-\d\d-\d\d\s*$")
    local, moment = _fit(texts, "local_timestamp"), _fit(texts, "timestamp")
    if local and (moment is None or local.rows >= moment.rows):
        moment = local
    elif moment:
        moment = moment._replace(zoneless=texts.any(r"\d\d:\d\d(?::\d\d(?:\.\d+)?)?\s*$|-\d\d\s*$"))
    return moment if moment and (day is None or moment.rows > day.rows) else day


_DATED = r"^\s*(?:\d{1,4}[./ -](?:\d{1,2}|[A-Za-z]{3,9})[./ -]\d{1,4}|[A-Za-z]{3,9} \d{1,2}, \d{4})"
_CLOCKS = ("", " %H:%M:%S", " %H:%M", " %H:%M:%S.%f", " %I:%M:%S %p", " %I:%M %p")
_EITHER_ORDER = (("%d/%m/%Y", "%m/%d/%Y"), ("%d-%m-%Y", "%m-%d-%Y"))
_ONE_ORDER = ("%d.%m.%Y", "%Y/%m/%d", "%d-%b-%Y", "%d %b %Y", "%d/%b/%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y")


def _is_dated(texts: _Counted) -> bool:
    """Whether most texts begin as dates do that are not ISO 8601."""
    dated = pc.sum(pc.match_substring_regex(texts.probe, _DATED), min_count=0).as_py()
    return bool(len(texts.probe) and dated >= PROMISING * len(texts.probe))


def _guess_formatted(texts: _Counted) -> _Fit | None:
    if not _is_dated(texts):
        return None
    for clock in _CLOCKS:
        type: ColumnType = "local_timestamp" if clock else "date"
        for orders in (*_EITHER_ORDER, *((one,) for one in _ONE_ORDER)):
            fits = [fit for order in orders if (fit := _fit(texts, type, order + clock))]
            if len(fits) > 1:  # the day must tell itself from the month
                fits = [fit for fit in fits if fit.rows == texts.total]
            if fits:
                return fits[0] if len(fits) == 1 else None
    return None


def _either_order(texts: _Counted) -> bool:
    """Whether the dates could be read with the day or with the month first."""
    return _is_dated(texts) and any(
        all(_fit(texts, "local_timestamp" if clock else "date", order + clock) for order in orders)
        for orders in _EITHER_ORDER
        for clock in _CLOCKS
    )


# The key, and the column that says which row of a key is the latest.

_ENOUGH_ROWS, _MANY_ROWS = 10, 500
_KEY_TYPES = ("integer", "uuid", "text")
_LATEST = re.compile(
    r"(?:last_|date_)?(?:updated?|modified|modification|changed?)(?:_at|_on|_time|_date|_timestamp|_ts)?"
)


def _guess_key(columns: tuple[ColumnInference, ...], texts: list[_Counted], rows: int) -> str | None:
    """A unique column named like a key; else the first column if enough rows show that it is one; None in doubt.

    A wrong key loses rows: later ones take the place of earlier ones. So where time tells rows apart, as in readings
    and bookings, a number that happens to be unique has to be so in many rows.
    """
    events = any(column.type in MOMENTS and not is_attribute(column.name) for column in columns)
    repeat = events and rows < _MANY_ROWS
    unique = [
        column
        for column in columns
        if column.unique and column.type in _KEY_TYPES and not (repeat and names_entity(column.name))
    ]
    exact = [column.name for column in unique if snake(column.name) in ("id", "uuid", "guid", "key")]
    named = exact or [column.name for column in unique if names_id(column.name)]
    if len(named) == 1:
        return named[0]
    first = columns[0].name if columns else None
    if named:
        return first if first in named else None
    if not unique or unique[0] is not columns[0] or rows < _ENOUGH_ROWS:
        return None
    if names_number(unique[0].name):
        return first
    return None if repeat or names_quantity(unique[0].name) or texts[0].any(r"\s|.{65}") else first


def guess_latest_by(columns: tuple[ColumnInference, ...]) -> str | None:
    """The first time column that is named like the time of a change; None without one."""
    times = [column.name for column in columns if column.type in ("timestamp", "date")]
    return next((name for name in times if _LATEST.fullmatch(snake(name))), None)
