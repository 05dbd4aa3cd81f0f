"""The types a column can have, and the cast from text to them: whole columns at a time, never raising over a value.

Belongs here: what each type accepts, and the text handed to Postgres, which must never refuse it. Does not belong
here: guessing a column's type (`infer.py`), what happens to a row that does not fit, and the SQL.
"""

import json
import re
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.ingest.moments import moment_step
from atlas_pipeline.ingest.steps import (
    NO_ROOM,
    NO_TYPE,
    RANGE,
    WRONG,
    Parsed,
    Step,
    each,
    keep,
    match,
    rewrite,
    then,
    verdict,
)

ColumnType = Literal[
    "text",
    "integer",
    "decimal",
    "float",
    "real",
    "boolean",
    "date",
    "timestamp",
    "local_timestamp",
    "time",
    "interval",
    "uuid",
    "json",
]
COLUMN_TYPES: tuple[ColumnType, ...] = get_args(ColumnType)

POSTGRES_TYPE: dict[ColumnType, str] = {
    "text": "text",
    "integer": "bigint",
    "decimal": "numeric",
    "float": "double precision",
    "real": "real",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamptz",
    "local_timestamp": "timestamp",
    "time": "time",
    "interval": "interval",
    "uuid": "uuid",
    "json": "jsonb",
}

Rule = Literal["wrong_type", "out_of_range"]

Digits = tuple[int, int]
"""Of a decimal: how many there may be in all, and how many of them after the point."""

NUMBERS: tuple[ColumnType, ...] = ("integer", "decimal", "float", "real")
MOMENTS: tuple[ColumnType, ...] = ("date", "timestamp", "local_timestamp")

MAX_DIGITS = 1000  # of a decimal, before the point and after it; also of every number inside a JSON value
MAX_JSON_DEPTH = 256
MAX_JSON_BYTES = 16 * 1024 * 1024  # jsonb ends at 256 MiB, and earlier when there are many small elements


@dataclass(frozen=True)
class Notation:
    """How a source writes numbers and booleans.

    Attributes:
        decimal: the decimal mark.
        thousands: the mark between groups of three digits, empty where numbers have none.
        booleans: words for true and false, besides those that the type boolean takes anyway.
    """

    decimal: str = "."
    thousands: str = ""
    booleans: tuple[str, str] | None = None

    def plain(self, column: pa.Array, type: ColumnType) -> pa.Array:
        """The texts as the types take them; those that are no numbers in this notation become a text that is none."""
        if type in NUMBERS and (self.decimal, self.thousands) != (".", ""):
            mark, group = re.escape(self.decimal), re.escape(self.thousands)
            whole = rf"(?:\d{{1,3}}(?:{group}\d{{3}})+|\d+)" if self.thousands else r"\d+"
            fits = pc.match_substring_regex(column, rf"^[+-]?(?:{whole}(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?$")
            if self.thousands:
                column = pc.replace_substring(column, self.thousands, "")
            column = pc.replace_substring(column, self.decimal, ".")
            return pc.if_else(fits, column, pa.scalar("not a number"))
        if type == "boolean" and self.booleans:
            lowered = pc.utf8_lower(column)
            for word, plain in zip(self.booleans, ("true", "false"), strict=True):
                column = pc.if_else(pc.equal(lowered, word.lower()), pa.scalar(plain), column)
        return column


PLAIN = Notation()


@dataclass(frozen=True)
class Cast:
    """One column after the cast; all arrays have the length of the input.

    `values` is a string array: the text for Postgres, null where the source has no value or a bad one.
    `wrong_type` (bool) marks text that does not read as the type at all, `out_of_range` (bool) text of the right
    shape whose value cannot be held (30 February, 10^30 in a bigint). No row is in both.
    """

    values: pa.Array
    wrong_type: pa.Array
    out_of_range: pa.Array

    @property
    def bad(self) -> pa.Array:
        """Bool array: true where text was present but does not fit."""
        return pc.or_(self.wrong_type, self.out_of_range)

    @property
    def rule(self) -> pa.Array:
        """String array: the `Rule` a row breaks, null where the row is good."""
        return pc.case_when(
            pc.make_struct(self.wrong_type, self.out_of_range), pa.scalar("wrong_type"), pa.scalar("out_of_range")
        )


def split_type(text: str) -> tuple[ColumnType, Digits | None]:
    """A type as it is declared, `decimal(10,2)` or `text`, as the type and the digits of a decimal.

    Raises ValueError for anything else.
    """
    found = _WITH_DIGITS.fullmatch(text)
    if found:
        digits = int(found[1]), int(found[2])
        if not 0 < digits[0] <= MAX_DIGITS or digits[1] > digits[0]:
            raise ValueError(f"decimal(p,s) has at most {MAX_DIGITS:,} digits p, and of them s after the point")
        return "decimal", digits
    known = next((type for type in COLUMN_TYPES if type == text), None)
    if known is None:
        raise ValueError(f"no such column type: {text}")
    return known, None


def joined_type(type: ColumnType, digits: Digits | None) -> str:
    """The type as it is declared; the inverse of `split_type`."""
    return f"{type}({digits[0]},{digits[1]})" if digits else type


def check_type(type: ColumnType, format: str | None = None) -> None:
    """Raise ValueError if the type or format is unknown or they do not go together, as `cast` would."""
    _step(type, format, "UTC")


def cast(
    values: pa.ChunkedArray | pa.Array,
    type: ColumnType,
    format: str | None = None,
    timezone: str = "UTC",
    null_values: Collection[str] = (),
    notation: Notation = PLAIN,
    digits: Digits | None = None,
) -> Cast:
    """Cast a column of text. White space around a value is ignored except in text.

    Args:
        values: strings.
        type: of the column in silver.
        format: strptime format of a date, timestamp or time; null for ISO 8601.
        timezone: IANA zone of timestamps that carry no offset: of a time that happens twice the first is meant, one
            that the clocks skip is out of range.
        null_values: words that mean "no value", as does the empty string except in text.
        notation: how numbers and booleans are written.
        digits: of a decimal; what has more of them is out of range, since Postgres would round it.

    Raises:
        ValueError: type, format or timezone is unknown, or they do not go together.
        TypeError: `values` does not hold strings.
    """
    column = _strings(values)
    step = _EXACT if digits else _step(type, format, timezone)
    if type != "text":
        column = pc.utf8_trim_whitespace(column)
    missing = [*null_values] if type == "text" else [*null_values, ""]
    if missing:
        gone = pc.is_in(column, value_set=pa.array(missing, pa.string()))
        if gone.true_count:
            column = pc.if_else(gone, pa.scalar(None, pa.string()), column)
    if notation != PLAIN:
        column = notation.plain(column, type)
    texts, codes = step(column)
    if digits:
        fits = pc.fill_null(pc.match_substring_regex(texts, _pattern_of(digits)), True)
        texts, codes = pc.if_else(fits, texts, pa.scalar(None, pa.string())), pc.if_else(fits, codes, verdict(RANGE))
    return Cast(texts, pc.equal(codes, verdict(WRONG)), pc.equal(codes, verdict(RANGE)))


def _strings(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    if not _holds_strings(values.type):
        raise TypeError(f"a cast starts from strings, not from {values.type}")
    column = values.cast(pa.string())
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _holds_strings(type: pa.DataType) -> bool:
    if pa.types.is_dictionary(type):
        return _holds_strings(type.value_type)
    return type in (pa.string(), pa.large_string(), pa.string_view(), pa.null())


@lru_cache(maxsize=512)
def _step(type: ColumnType, format: str | None, timezone: str) -> Step:
    if type in ("date", "timestamp", "local_timestamp", "time"):
        return moment_step(type, format, timezone)
    if format is not None:
        raise ValueError(f"a column of type {type} takes no format")
    try:
        return _STEPS[type]
    except KeyError:
        raise ValueError(f"no such column type: {type}") from None


_WITH_DIGITS = re.compile(r"decimal\((\d{1,4}), ?(\d{1,4})\)")


def _pattern_of(digits: Digits) -> str:
    """What a number of no more digits looks like once its exponent is written out. Postgres drops zeros at its end."""
    whole, fraction = digits[0] - digits[1], digits[1]
    before = rf"[0-9]{{0,{whole}}}" if whole else ""
    # RE2 counts to 1,000 at most, in all.
    return rf"^-?0*{before}(?:\.[0-9]{{0,{fraction}}}0*)?$"


# Numbers. A short number in the usual spelling is passed on as it is.

_INTEGER = r"^(?:0|-?[1-9]\d{0,17})$"
_INTEGER_LOOSE = r"^(?:\+|(-))?0*([1-9]\d{0,17})(?:\.0+)?$"
_DECIMAL = r"^-?(?:0|[1-9]\d{0,29})(?:\.\d{1,30})?$"
_BARE_POINT = r"^(?:\+|(-))?(\.\d{1,30})$"
_EXPONENT = r"^-?\d(?:\.\d{1,20})?[eE][+-]?\d{1,2}$"

_INTEGER_TEXT = re.compile(r"([+-]?)([0-9]+)(?:\.0+)?")
_NUMBER_TEXT = re.compile(r"([+-]?)(?:([0-9]+)\.?([0-9]*)|\.([0-9]+))(?:[eE]([+-]?[0-9]+))?")


def _parse_integer(text: str) -> Parsed:
    found = _INTEGER_TEXT.fullmatch(text)
    if not found:
        return NO_TYPE
    digits = found[2].lstrip("0") or "0"
    if len(digits) > 19:
        return NO_ROOM
    number = -int(digits) if found[1] == "-" else int(digits)
    return (str(number), 0) if -(2**63) <= number < 2**63 else NO_ROOM


def _parse_decimal(text: str) -> Parsed:
    """Write the exponent out: 1.5e3 is 1500."""
    found = _NUMBER_TEXT.fullmatch(text)
    if not found:
        return NO_TYPE
    sign, whole, fraction = found[1], found[2] or "", found[3] or found[4] or ""
    digits = whole + fraction
    if not digits.strip("0"):
        sign, digits = "", "0"
        places = min(len(fraction), MAX_DIGITS)
        return (f"0.{'0' * places}" if places else "0"), 0
    exponent = (found[5] or "").lstrip("+-0") or "0"
    if len(exponent) > 6:
        return NO_ROOM
    point = len(whole) + (-int(exponent) if "-" in (found[5] or "") else int(exponent))
    if point < -MAX_DIGITS or point > len(digits) + MAX_DIGITS:
        return NO_ROOM
    digits = digits.ljust(point, "0")
    before, after = (digits[:point], digits[point:]) if point > 0 else ("", "0" * -point + digits)
    before = before.lstrip("0") or "0"
    if len(before) > MAX_DIGITS or len(after) > MAX_DIGITS:
        return NO_ROOM
    sign = "-" if sign == "-" else ""
    return (f"{sign}{before}.{after}" if after else f"{sign}{before}"), 0


_NOT_FINITE = {"inf": "Infinity", "infinity": "Infinity", "nan": "NaN"}


def _not_finite(text: str) -> str | None:
    """What is no finite number, as Postgres writes it: in any case, as the libraries of many languages do."""
    sign = text[:1] if text[:1] in "+-" else ""
    found = _NOT_FINITE.get(text[len(sign) :].lower())
    return None if found is None else f"-{found}" if sign == "-" and found != "NaN" else found


def _parse_float(text: str) -> Parsed:
    if special := _not_finite(text):
        return special, 0
    found = _NUMBER_TEXT.fullmatch(text)
    if not found:
        return NO_TYPE
    number = float(text)
    # Postgres refuses what overflows and also what is too small to be told from zero.
    vanished = number == 0 and (found[2] or "").strip("0") + (found[3] or found[4] or "").strip("0")
    return NO_ROOM if vanished or number in (float("inf"), float("-inf")) else (repr(number), 0)


def _parse_real(text: str) -> Parsed:
    """As a double, unless single precision has no room for it or takes it for zero: Postgres refuses both."""
    parsed, code = _parse_float(text)
    if code or parsed is None or _not_finite(parsed):
        return parsed, code
    try:
        single = struct.unpack("<f", struct.pack("<f", float(parsed)))[0]
    except OverflowError:
        return NO_ROOM
    return NO_ROOM if single == 0 and float(parsed) != 0 else (parsed, 0)


# Lengths of time: counts with a unit, as the Parquet reader writes them, ISO 8601, clocks, and as Postgres prints them.

_COUNT = r"-?\d{1,12} seconds|-?\d{1,15} milliseconds|-?\d{1,18} microseconds|-?\d{1,15}\.\d{1,3} microseconds"
_N = r"-?\d{1,8}"
_ISO_DURATION = rf"P(?:{_N}Y)?(?:{_N}M)?(?:{_N}W)?(?:{_N}D)?(?:T(?:{_N}H)?(?:{_N}M)?(?:{_N}(?:\.\d{{1,9}})?S)?)?"
_CLOCK = r"-?\d{1,8}:[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?"
_PRINTED = rf"(?:{_N} years?(?: |$))?(?:{_N} mons?(?: |$))?(?:{_N} days?(?: |$))?(?:{_CLOCK})?"
_INTERVAL = rf"^(?:{_COUNT}|{_ISO_DURATION}|{_CLOCK}|{_PRINTED})$"
_INTERVAL_LOOSE = re.compile(re.sub(r"\\d\{1,\d+\}", r"\\d+", _INTERVAL))


def _parse_interval(text: str) -> Parsed:
    return NO_ROOM if _INTERVAL_LOOSE.fullmatch(text) else NO_TYPE


_BOOLEAN: dict[str, Parsed] = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), ("true", 0)),
    **dict.fromkeys(("false", "f", "no", "n", "0"), ("false", 0)),
}


def _parse_boolean(text: str) -> Parsed:
    return _BOOLEAN.get(text.lower(), NO_TYPE)


# The rest.

_HEX = "[0-9a-f]"
_UUID = f"^{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}$"
_UUID_LOOSE = rf"^(?:urn:uuid:)?({_HEX}{{8}})-?({_HEX}{{4}})-?({_HEX}{{4}})-?({_HEX}{{4}})-?({_HEX}{{12}})$"


def _lower(values: pa.Array) -> tuple[pa.Array, pa.Array]:
    return keep(pc.ascii_lower(values))


class _NumberTooLong(Exception):
    pass


def _check_number(text: str) -> int:
    if _parse_decimal(text)[1]:
        raise _NumberTooLong
    return 0


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _parts(pairs: list[tuple[str, object]]) -> list[object]:
    """An object as the list of its keys and values. One with a key twice is none: jsonb would drop a value."""
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key is there twice")
    return [part for pair in pairs for part in pair]


_DECODER = json.JSONDecoder(
    parse_int=_check_number,
    parse_float=_check_number,
    parse_constant=_refuse_constant,
    object_pairs_hook=_parts,
)


def _parse_json(text: str) -> Parsed:
    if len(text.encode()) > MAX_JSON_BYTES:
        return NO_ROOM
    try:
        value = _DECODER.decode(text)
    except (_NumberTooLong, RecursionError):
        return NO_ROOM
    except ValueError:
        return NO_TYPE
    plain = "\\u" not in text and text.count("[") + text.count("{") <= MAX_JSON_DEPTH
    return (text, 0) if plain or _fits_jsonb(value) else NO_ROOM


def _fits_jsonb(value: object) -> bool:
    """Whether jsonb can hold it: no NUL character, no half of a surrogate pair, no nesting beyond the bound."""
    level = [value]
    for _ in range(MAX_JSON_DEPTH + 1):
        texts = "".join(item for item in level if isinstance(item, str))
        if re.search("[\0\ud800-\udfff]", texts):
            return False
        lists = [item for item in level if isinstance(item, list)]
        if not lists:
            return True
        level = [part for item in lists for part in item]
    return False


_nothing = each(lambda text: NO_TYPE)


def _number(parse: Callable[[str], Parsed]) -> Step:
    bare = match(_BARE_POINT, rewrite(_BARE_POINT, r"\10\2"), each(parse))
    return match(_DECIMAL, keep, match(_EXPONENT, keep, bare))


_text_with_nul = match(r"\x00", _nothing, keep)


def _text(values: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Any text but one with NUL. Nearly always one look at the bytes of all values shows that there is none."""
    content = values.buffers()[2]
    none = content is None or bool(np.frombuffer(content, np.uint8).all())
    return keep(values) if none else _text_with_nul(values)


_EXACT = match(_DECIMAL, keep, each(_parse_decimal))

_STEPS: dict[ColumnType, Step] = {
    "text": _text,
    "integer": match(_INTEGER, keep, match(_INTEGER_LOOSE, rewrite(_INTEGER_LOOSE, r"\1\2"), each(_parse_integer))),
    "decimal": _number(_parse_decimal),
    "float": _number(_parse_float),
    "real": match(_DECIMAL, keep, each(_parse_real)),
    "boolean": each(_parse_boolean),
    "interval": match(r"^-?P?T?$", _nothing, match(_INTERVAL, keep, each(_parse_interval))),
    "uuid": match(
        _UUID,
        keep,
        then(
            then(_lower, rewrite(r"^\{(.*)\}$", r"\1")),
            match(_UUID_LOOSE, rewrite(_UUID_LOOSE, r"\1-\2-\3-\4-\5"), _nothing),
        ),
    ),
    "json": each(_parse_json),
}
