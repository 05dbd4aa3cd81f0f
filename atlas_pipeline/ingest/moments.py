"""Dates, times of day and timestamps as text: which are taken, in which formats, and what Postgres gets of them.

Belongs here: the calendar, the formats, the time zones. Does not belong here: the other types (`types.py`).
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.ingest.steps import NO_ROOM, NO_TYPE, Parsed, Step, branch, each, keep, match, rewrite, then

Moment = Literal["date", "timestamp", "local_timestamp", "time"]


def moment_step(type: Moment, format: str | None, timezone: str) -> Step:
    """The step for a column of dates, timestamps, local timestamps or times.

    Args:
        type: of the column in silver.
        format: strptime format; null for ISO 8601.
        timezone: IANA zone of timestamps that carry no offset.

    Raises:
        ValueError: format or time zone is unknown, or they do not go with the type.
    """
    if type == "timestamp":
        try:
            zone = ZoneInfo(timezone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"no such time zone: {timezone}") from error
        parse = _timestamp_parser(zone)
        tidy = match(_AWARE, keep, match(_NAIVE, _localise(zone), each(parse)))
        loose = match(_LOOSE, then(rewrite(_LOOSE, r"\1\2\3"), tidy), each(parse))
        iso = match(_AWARE, keep, match(_NAIVE, _localise(zone), loose))
        return iso if format is None else _formatted(type, format, iso, parse)
    if type == "local_timestamp":
        tidy = match(_NAIVE, keep, each(_parse_local))
        loose = match(_LOCAL_LOOSE, then(rewrite(_LOCAL_LOOSE, r"\1\2"), tidy), each(_parse_local))
        iso = match(_NAIVE, keep, loose)
        return iso if format is None else _formatted(type, format, iso, _parse_local)
    plain, parse = (_DATE, _parse_date) if type == "date" else (_TIME, _parse_time)
    iso = match(f"^{plain}$", keep, each(parse))
    return iso if format is None else _formatted(type, format, iso, parse)


# Dates and times. The patterns know the calendar, except for years before 1000 and 29 February of most full centuries.

_DATE = (
    r"(?:[1-9]\d{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    r"|02-(?:0[1-9]|1\d|2[0-8]))|(?:[1-9]\d(?:0[48]|[2468][048]|[13579][26])|2000)-02-29)"
)
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?"
_AWARE = rf"^{_DATE}[T ]{_TIME}(?:Z|[+-](?:0\d|1[0-5])(?::?[0-5]\d)?)$"
_NAIVE = rf"^{_DATE}[T ]{_TIME}$"
_LOOSE = r"^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:(\.\d{1,6})\d{0,3})? ?(Z|[+-]\d\d(?::?\d\d)?)?$"
_LOCAL_LOOSE = r"^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:(\.\d{1,6})\d{0,3})?$"

_DATE_PART = r"([0-9]{4,6})-([0-9]{2})-([0-9]{2})"
_TIME_PART = r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
_OFFSET_PART = r" ?(Z|UTC|([+-])([0-9]{2}):?([0-9]{2})?)"
_DATE_TEXT = re.compile(rf"{_DATE_PART}(?:[T ]00:00(?::00(?:\.0{{1,9}})?)?(?:{_OFFSET_PART})?)?")
_TIME_TEXT = re.compile(_TIME_PART)
_TIMESTAMP_TEXT = re.compile(rf"{_DATE_PART}(?:[T ]{_TIME_PART}(?:{_OFFSET_PART})?)?")


def _parse_date(text: str) -> Parsed:
    found = _DATE_TEXT.fullmatch(text)
    if not found:
        return NO_TYPE
    try:
        return _day(found).isoformat(), 0
    except ValueError:
        return NO_ROOM


def _day(found: re.Match[str]) -> date:
    return date(int(found[1]), int(found[2]), int(found[3]))


def _clock(parts: tuple[str | None, ...]) -> time:
    """Digits finer than microseconds are cut off."""
    hour, minute, second, fraction = parts
    return time(int(hour or 0), int(minute or 0), int(second or 0), int((fraction or "").ljust(6, "0")[:6]))


def _parse_time(text: str) -> Parsed:
    found = _TIME_TEXT.fullmatch(text)
    if not found:
        return NO_TYPE
    try:
        return _clock(found.groups()).isoformat(), 0
    except ValueError:
        return NO_ROOM


def _parse_local(text: str) -> Parsed:
    """A moment without zone; with an offset it is another kind of value, and not one to be cut."""
    found = _TIMESTAMP_TEXT.fullmatch(text)
    if not found or found[8]:
        return NO_TYPE
    try:
        return datetime.combine(_day(found), _clock(found.group(4, 5, 6, 7))).isoformat(), 0
    except ValueError:
        return NO_ROOM


def _timestamp_parser(zone: ZoneInfo) -> Callable[[str], Parsed]:
    def parse(text: str) -> Parsed:
        found = _TIMESTAMP_TEXT.fullmatch(text)
        if not found:
            return NO_TYPE
        offset, sign, hours, minutes = found.group(8, 9, 10, 11)
        try:
            moment = datetime.combine(_day(found), _clock(found.group(4, 5, 6, 7)))
        except ValueError:
            return NO_ROOM
        if not offset:
            return _stamp(moment, zone)
        if not sign:
            return _stamp(moment, UTC)
        if int(hours) > 15 or int(minutes or 0) > 59:
            return NO_ROOM
        return f"{moment.isoformat()}{sign}{hours}:{minutes or '00'}", 0

    return parse


def _stamp(moment: datetime, zone: tzinfo) -> Parsed:
    offset = _offset(moment, zone)
    return (moment.isoformat() + offset, 0) if offset else NO_ROOM


def _offset(moment: datetime, zone: tzinfo) -> str | None:
    """The offset of a local time, such as +02:00; None for a time the clocks of the zone skip."""
    first = moment.replace(tzinfo=zone)
    offset, later = first.utcoffset() or timedelta(), first.replace(fold=1).utcoffset() or timedelta()
    if offset < later:
        return None
    return first.isoformat()[len(moment.isoformat()) :]


def _localise(zone: ZoneInfo) -> Step:
    """Give local times their offset: once per day, one by one only on a day when the offset changes."""
    if zone.key == "UTC":
        return lambda values: keep(pc.binary_join_element_wise(values, "Z", ""))

    def day_offset(day: str) -> Parsed:
        ends = [datetime.combine(date.fromisoformat(day), clock) for clock in (time.min, time.max)]
        found = {moment.replace(tzinfo=zone, fold=fold).utcoffset() for moment in ends for fold in (0, 1)}
        return (_offset(ends[0], zone) if len(found) == 1 else None), 0

    one_by_one = each(_timestamp_parser(zone))

    def step(values: pa.Array) -> tuple[pa.Array, pa.Array]:
        offsets, _ = each(day_offset)(pc.utf8_slice_codeunits(values, 0, 10))
        known = pc.or_(pc.is_null(values), pc.is_valid(offsets))
        joined = pc.binary_join_element_wise(values, offsets, "")
        return branch(pc.coalesce(joined, values), known, keep, one_by_one)

    return step


# Formats. One of digits only is turned into ISO 8601 by its shape, any other is left to strptime.

_FIELDS = "YmdHMSf"


def _formatted(type: Moment, format: str, iso: Step, parse: Callable[[str], Parsed]) -> Step:
    format = format.strip()
    _check_format(type, format)
    letters = re.findall("%(.)", format)
    if not set(letters) <= set(_FIELDS):
        return each(_strptime(type, format, parse))
    clock = "{H}:{M}:{S}.{f}" if "f" in letters else "{H}:{M}:{S}"
    template = clock if type == "time" else f"{{Y}}-{{m}}-{{d}}T{clock}"
    if type == "date" and not set(letters) & set("HMSf"):
        template = "{Y}-{m}-{d}"
    zeros = dict.fromkeys(_FIELDS, "00")
    full = _shape(format, "{2}")
    replacement = template.format(**zeros | {letter: rf"\{index}" for index, letter in enumerate(letters, 1)})
    # 3/4/2024 is clear without its zeros; digits that touch each other are not.
    short = re.compile(_shape(format, "{2}" if re.search("%.%", format) else "{1,2}"))

    def parse_short(text: str) -> Parsed:
        found = short.fullmatch(text)
        if not found:
            return NO_TYPE
        given = dict(zip(letters, found.groups(), strict=True))
        padded = {letter: digits if letter == "f" else digits.zfill(2) for letter, digits in given.items()}
        return parse(template.format(**zeros | padded))

    return match(full, then(rewrite(full, replacement), iso), each(parse_short))


def _shape(format: str, digits: str) -> str:
    lengths = {"Y": "{4}", "f": "{1,6}"}
    parts = (
        f"([0-9]{lengths.get(part[1], digits)})" if part[0] == "%" else re.escape(part)
        for part in re.findall("%.|[^%]+", format)
    )
    return f"^{''.join(parts)}$"


def _check_format(type: Moment, format: str) -> None:
    """Raise ValueError unless the format can tell every date (or, for a time, every minute of the day)."""
    probe = datetime(2024, 2, 3, 13, 14, tzinfo=UTC)
    try:
        back = datetime.strptime(probe.strftime(format), format)
    except (ValueError, re.error) as error:
        raise ValueError(f"not a format for a {type}: {format}") from error
    if type == "time":
        complete = (back.hour, back.minute) == (13, 14)
    else:
        complete = back.date() == probe.date() and back.hour in (0, 13)
    if type == "local_timestamp" and "%z" in format:
        raise ValueError(f"a local_timestamp has no offset, choose timestamp: {format}")
    if not complete or "%Z" in format:
        raise ValueError(f"not a format for a {type}, a part of it is missing or not exact: {format}")


def _strptime(type: Moment, format: str, parse: Callable[[str], Parsed]) -> Callable[[str], Parsed]:
    def parse_formatted(text: str) -> Parsed:
        try:
            moment = datetime.strptime(text, format)
        except ValueError:
            return NO_TYPE
        if type == "time":
            return parse(moment.time().isoformat())
        if type == "date" or moment.tzinfo is None:
            return parse(moment.replace(tzinfo=None).isoformat())
        try:
            return moment.astimezone(UTC).isoformat(), 0
        except OverflowError:
            return NO_ROOM

    return parse_formatted
