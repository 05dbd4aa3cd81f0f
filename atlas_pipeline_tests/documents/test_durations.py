"""Durations: what is accepted, that it comes back as it was written, and that nothing else gets through."""

from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from atlas_pipeline.documents.durations import DurationError, expected, parse, written

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
WORDS = {
    "s": ("s", "sec", "secs", "second", "seconds"),
    "m": ("m", "min", "mins", "minute", "minutes"),
    "h": ("h", "hour", "hours"),
    "d": ("d", "day", "days"),
    "w": ("w", "week", "weeks"),
}
BLANKS = st.sampled_from(["", " ", "  ", "\t"])
PARTS = st.tuples(
    BLANKS, st.integers(0, 9999), BLANKS, st.sampled_from(sorted(UNITS)), st.integers(0, 4), st.booleans()
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("30s", 30),
        ("30 s", 30),
        ("1 h", 3600),
        ("1h", 3600),
        ("2 days", 172_800),
        ("1 day 6 hours", 108_000),
        ("1h30m", 5400),
        ("1h 30m ", 5400),
        ("5 minutes", 300),
        ("90 MIN", 5400),
        ("1w", 604_800),
        ("007d", 604_800),
    ],
)
def test_what_people_write(text: str, seconds: int) -> None:
    assert parse(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "10", "h", "-1h", "1.5h", "1 month", "1 y", "1hm", "1 hr 2", "2 days ago", "1h,", "١h", "9" * 5000 + "s"],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(DurationError, match=r"^found .*, expected a duration such as 30s, 90m, 2h or 1 day$"):
        parse(text)


def test_bounds_are_named() -> None:
    least, most = timedelta(minutes=1), timedelta(days=365)
    assert (parse("1m", least, most), parse("365d", least, most)) == (least, most)
    for text in ("59s", "366 days", "99999999999999999 weeks"):
        with pytest.raises(DurationError, match=r"at least 1 minute, up to 365 days$"):
            parse(text, least, most)
    assert expected(most=most) == "a duration such as 30s, 90m, 2h or 1 day, up to 365 days"


@given(st.lists(PARTS, min_size=1, max_size=5))
def test_parts_are_added_however_they_are_spelt(parts: list[tuple[str, int, str, str, int, bool]]) -> None:
    text, total = "", 0
    for before, number, between, unit, spelling, upper in parts:
        word = WORDS[unit][spelling % len(WORDS[unit])]
        text += f"{before}{number}{between}{word.upper() if upper else word}"
        total += number * UNITS[unit]
    assert parse(text) == timedelta(seconds=total)


@given(st.timedeltas(timedelta(0), timedelta.max))
def test_what_is_written_is_read_back(duration: timedelta) -> None:
    whole = timedelta(days=duration.days, seconds=duration.seconds)
    assert parse(written(duration)) == whole


@given(st.timedeltas(timedelta(0), timedelta.max), st.integers(1, 4))
def test_fewer_units_leave_out_less_than_the_smallest_that_is_left(duration: timedelta, units: int) -> None:
    shortened = parse(written(duration, units))
    assert shortened <= duration
    assert len(written(duration, units).split()) <= 2 * units


def test_words() -> None:
    assert written(timedelta(minutes=95)) == "1 hour 35 minutes"
    assert written(timedelta(days=1, hours=2, seconds=3), units=2) == "1 day 2 hours"
    assert written(timedelta(milliseconds=999)) == written(timedelta(seconds=-5)) == "0 seconds"


@given(st.text() | st.text("0123456789 smhdwinuteoraykc\tSM.-", max_size=30))
@example("İ" * 3)
@example("1" + "s1" * 10_000)
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        duration = parse(text)
    except DurationError as error:
        assert "expected a duration" in str(error)  # noqa: PT017 — either outcome is right
    else:
        assert timedelta(0) <= duration <= timedelta.max
