"""What each column type accepts, and that Postgres takes every value the cast lets through."""

import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg import sql

from atlas_pipeline.ingest.types import COLUMN_TYPES, POSTGRES_TYPE, Cast, ColumnType, cast

QUICK = settings(max_examples=60)


def done(texts: list[str | None], type: ColumnType, **options: object) -> Cast:
    answer = cast(pa.array(texts, pa.string()), type, **options)  # type: ignore[arg-type]
    for array in (answer.values, answer.bad, answer.rule, answer.wrong_type, answer.out_of_range):
        assert len(array) == len(texts)
    assert answer.values.type == answer.rule.type == pa.string()
    assert answer.wrong_type.null_count == answer.out_of_range.null_count == 0
    assert [value is not None for value in answer.rule.to_pylist()] == answer.bad.to_pylist()
    assert answer.values.filter(answer.bad).drop_null().to_pylist() == []
    return answer


def one(text: str, type: ColumnType, **options: object) -> str | None:
    """The value, or the rule it breaks between angle brackets."""
    answer = done([text], type, **options)
    rule = answer.rule[0].as_py()
    return f"<{rule}>" if rule else answer.values[0].as_py()


W, R = "<wrong_type>", "<out_of_range>"


@pytest.mark.parametrize(
    ("type", "text", "expected"),
    [
        ("text", "  as it is ", "  as it is "),
        ("text", "", ""),
        ("text", "a\0b", W),
        ("integer", " 12 ", "12"),
        ("integer", "+12", "12"),
        ("integer", "-0012", "-12"),
        ("integer", "000", "0"),
        ("integer", "-0", "0"),
        ("integer", "123.0", "123"),
        ("integer", "123.5", W),
        ("integer", "123.", W),
        ("integer", "0x1F", W),
        ("integer", "1_000", W),
        ("integer", "1e3", W),
        ("integer", "١٢", W),
        ("integer", "9223372036854775807", "9223372036854775807"),
        ("integer", "-9223372036854775808", "-9223372036854775808"),
        ("integer", "9223372036854775808", R),
        ("integer", "9" * 5000, R),
        ("integer", "", None),
        ("decimal", "1.50", "1.50"),
        ("decimal", ".5", "0.5"),
        ("decimal", "5.", "5"),
        ("decimal", "+007.25", "7.25"),
        ("decimal", "123e4", "1230000"),
        ("decimal", "123e-5", "0.00123"),
        ("decimal", "0e999999999999", "0"),
        ("decimal", "1e-0" + "0" * 5000 + "1", "0.1"),
        ("decimal", "1e1000", R),
        ("decimal", "1e999", "1" + "0" * 999),
        ("decimal", "1e-1001", R),
        ("decimal", "1e99999999999", R),
        ("decimal", "9" * 1001, R),
        ("decimal", "0." + "9" * 1001, R),
        ("decimal", "NaN", W),
        ("decimal", "1,5", W),
        ("float", "1e400", R),
        ("float", "1e-400", R),
        ("float", "0e-400", "0.0"),
        ("float", "5e-324", "5e-324"),
        ("float", "1.7976931348623157e308", "1.7976931348623157e+308"),
        ("float", "Infinity", "Infinity"),
        ("float", "-Infinity", "-Infinity"),
        ("float", "NaN", "NaN"),
        ("float", "nan", "NaN"),
        ("float", "-inf", "-Infinity"),
        ("float", "+INF", "Infinity"),
        ("float", "infinit", W),
        ("real", "3.4028234e38", "3.4028234e+38"),
        ("real", "1e39", R),
        ("real", "1e-46", R),
        ("real", "NaN", "NaN"),
        ("local_timestamp", "2024-01-05T10:00", "2024-01-05T10:00"),
        ("local_timestamp", "2024-03-31 02:30:00", "2024-03-31 02:30:00"),
        ("local_timestamp", "2024-01-05", "2024-01-05T00:00:00"),
        ("local_timestamp", "2024-01-05 10:00:01.123456789", "2024-01-05 10:00:01.123456"),
        ("local_timestamp", "2024-01-05 10:00Z", W),
        ("local_timestamp", "2024-01-05 10:00+01:00", W),
        ("local_timestamp", "2024-02-30 10:00", R),
        ("interval", "90 seconds", "90 seconds"),
        ("interval", "P1DT2H", "P1DT2H"),
        ("interval", "-01:30:00", "-01:30:00"),
        ("interval", "1 day 02:03:04", "1 day 02:03:04"),
        ("interval", "9" * 20 + " seconds", R),
        ("interval", "P", W),
        ("interval", "-P1D", W),
        ("interval", "soon", W),
        ("boolean", "YES", "true"),
        ("boolean", "f", "false"),
        ("boolean", "0", "false"),
        ("boolean", "2", W),
        ("date", "2024-02-29", "2024-02-29"),
        ("date", "2023-02-29", R),
        ("date", "2024-02-30", R),
        ("date", "2400-02-29", "2400-02-29"),
        ("date", "0000-01-01", R),
        ("date", "0001-01-01", "0001-01-01"),
        ("date", "9999-12-31", "9999-12-31"),
        ("date", "10000-01-01", R),
        ("date", "2024-01-05 00:00:00", "2024-01-05"),
        ("date", "2024-01-05T00:00:00.000Z", "2024-01-05"),
        ("date", "2024-01-05T00:01", W),
        ("date", "05/01/2024", W),
        ("date", "2024-1-5", W),
        ("timestamp", "2024-01-05T10:00Z", "2024-01-05T10:00Z"),
        ("timestamp", "2024-01-05 10:00:01.5+0200", "2024-01-05 10:00:01.5+0200"),
        ("timestamp", "2024-01-05 10:00:01+02", "2024-01-05 10:00:01+02"),
        ("timestamp", "2024-01-05 10:00:01 +02:00", "2024-01-05 10:00:01+02:00"),
        ("timestamp", "2024-01-05 10:00:01", "2024-01-05 10:00:01Z"),
        ("timestamp", "2024-01-05 10:00:01 UTC", "2024-01-05T10:00:01+00:00"),
        ("timestamp", "2024-01-05 10:00:01.123456789", "2024-01-05 10:00:01.123456Z"),
        ("timestamp", "2024-01-05 10:00:01.1234567890", W),
        ("timestamp", "2024-01-05", "2024-01-05T00:00:00+00:00"),
        ("timestamp", "2024-01-05 25:00:00", R),
        ("timestamp", "2024-01-05 24:00:00", R),
        ("timestamp", "2024-01-05 10:00:60", R),
        ("timestamp", "2024-02-30 10:00:00Z", R),
        ("timestamp", "2024-01-05T10:00+15:59", "2024-01-05T10:00+15:59"),
        ("timestamp", "2024-01-05T10:00+16:00", R),
        ("timestamp", "2024-01-05T10:00+01:60", R),
        ("timestamp", "2024-01-05T10", W),
        ("timestamp", "1704448800", W),
        ("time", "10:00", "10:00"),
        ("time", "10:00:00.123456789", "10:00:00.123456"),
        ("time", "25:00", R),
        ("time", "10:60", R),
        ("time", "10", W),
        ("uuid", "{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("uuid", "A0EEBC999C0B4EF8BB6D6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("uuid", "urn:uuid:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("uuid", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", W),
        ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", W),
        ("json", ' {"a": [1, null]} ', '{"a": [1, null]}'),
        ("json", "{'a': 1}", W),
        ("json", "NaN", W),
        ("json", '"\\u0000"', R),
        ("json", '"\\\\u0000"', '"\\\\u0000"'),
        ("json", '{"\\u0000": 1}', R),
        ("json", '{"a": "\\ud800", "a": 1}', W),
        ("json", '{"a": {"b": 1, "b": 1}}', W),
        ("json", '"\\ud83d\\ude00"', '"\\ud83d\\ude00"'),
        ("json", "[1e200000]", R),
        ("json", "1" * 1001, R),
        ("json", "[" * 256 + "]" * 256, "[" * 256 + "]" * 256),
        ("json", "[" * 257 + "]" * 257, R),
        ("json", "[" * 100_000 + "]" * 100_000, R),
        ("json", '"' + "[" * 300 + '"', '"' + "[" * 300 + '"'),
    ],
)
def test_one_value(type: ColumnType, text: str, expected: str | None) -> None:
    assert one(text, type) == expected


@pytest.mark.parametrize(
    ("type", "format", "text", "expected"),
    [
        ("date", "%d/%m/%Y", "31/12/2024", "2024-12-31"),
        ("date", "%d/%m/%Y", "1/2/2024", "2024-02-01"),
        ("date", "%d/%m/%Y", "12/31/2024", R),
        ("date", "%d/%m/%Y", "1/31/2024", R),
        ("date", "%d/%m/%Y", "2024-12-31", W),
        ("date", "%Y%m%d", "20240131", "2024-01-31"),
        ("date", "%Y%m%d", "2024131", W),
        ("date", "%d-%b-%Y", "05-Mar-2024", "2024-03-05"),
        ("date", "%d-%b-%Y", "05-Foo-2024", W),
        ("date", "%d.%m.%Y %H:%M", "05.03.2024 00:00", "2024-03-05"),
        ("date", "%d.%m.%Y %H:%M", "05.03.2024 00:01", W),
        ("timestamp", "%d/%m/%Y %H:%M", "05/03/2024 14:30", "2024-03-05T14:30:00Z"),
        ("timestamp", "%Y%m%d%H%M%S.%f", "20240305143001.5", "2024-03-05T14:30:01.5Z"),
        ("timestamp", "%d/%m/%Y %I:%M %p", "05/03/2024 02:30 PM", "2024-03-05T14:30:00+00:00"),
        ("timestamp", "%d/%m/%Y %H:%M %z", "05/03/2024 14:30 +0100", "2024-03-05T13:30:00+00:00"),
        ("timestamp", "%d/%m/%Y %H:%M %z", "01/01/0001 00:30 +0100", R),
        ("time", "%H.%M", "14.30", "14:30:00"),
        ("time", "%I:%M %p", "02:30 PM", "14:30:00"),
    ],
)
def test_formats(type: ColumnType, format: str, text: str, expected: str) -> None:
    assert one(text, type, format=format) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-05 10:00:00", "2024-01-05 10:00:00+01:00"),
        ("2024-07-05 10:00:00", "2024-07-05 10:00:00+02:00"),
        ("2024-03-31 01:59:59", "2024-03-31T01:59:59+01:00"),
        ("2024-03-31 02:30:00", R),  # the clocks skip it
        ("2024-10-27 02:30:00", "2024-10-27T02:30:00+02:00"),  # twice that night: the first
        ("2024-10-27 02:30:00Z", "2024-10-27 02:30:00Z"),
        ("1850-01-01 00:00:00", "1850-01-01 00:00:00+00:50:20"),
    ],
)
def test_local_times(text: str, expected: str) -> None:
    assert one(text, "timestamp", timezone="Europe/Copenhagen") == expected


def test_null_words_are_missing() -> None:
    answer = done(["NA", " NA ", "-999", "7", None, "x"], "integer", null_values=["NA", "-999"])
    assert answer.values.to_pylist() == [None, None, None, "7", None, None]
    assert answer.rule.to_pylist() == [None] * 5 + ["wrong_type"]
    assert done(["NA", " NA"], "text", null_values={"NA"}).values.to_pylist() == [None, " NA"]


@pytest.mark.parametrize("type", COLUMN_TYPES)
def test_shapes_of_input(type: ColumnType) -> None:
    assert len(cast(pa.array([], pa.string()), type).values) == 0
    assert cast(pa.nulls(3), type).bad.to_pylist() == [False] * 3
    parts = pa.chunked_array([["1", None], ["x\0"]], pa.large_string())
    assert len(cast(parts, type).values) == 3
    sliced = pa.array(["9", "x\0", "1", None, "x\0", "8"]).slice(1, 4)
    assert cast(sliced, type).bad[0].as_py()
    assert cast(sliced.dictionary_encode(), type).bad.to_pylist() == cast(sliced, type).bad.to_pylist()
    with pytest.raises(TypeError):
        cast(pa.array([1, 2]), type)


@pytest.mark.parametrize(
    ("type", "options"),
    [
        ("number", {}),
        ("integer", {"format": "%Y"}),
        ("timestamp", {"timezone": "Mars/Olympus"}),
        ("timestamp", {"timezone": "../etc/passwd"}),
        ("date", {"format": "%d/%m"}),
        ("date", {"format": "%d/%m/%Q"}),
        ("date", {"format": "%d/%d/%m/%Y"}),
        ("timestamp", {"format": "%Y-%m-%d %I:%M"}),
        ("timestamp", {"format": "%Y-%m-%d %H:%M %Z"}),
        ("time", {"format": "%H"}),
    ],
)
def test_mistakes_of_the_caller(type: str, options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"column|format|zone"):
        cast(pa.array(["1"]), type, **options)  # type: ignore[arg-type]


@QUICK
@given(st.lists(st.integers(-(2**64), 2**64) | st.integers(-1000, 1000)))
def test_integers_round_trip(numbers: list[int]) -> None:
    answer = done([str(number) for number in numbers], "integer")
    fits = [-(2**63) <= number < 2**63 for number in numbers]
    assert answer.out_of_range.to_pylist() == [not fit for fit in fits]
    assert answer.values.to_pylist() == [str(n) if fit else None for n, fit in zip(numbers, fits, strict=True)]


@QUICK
@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False)), st.sampled_from(["{}", "{:e}", " {:+} "]))
def test_decimals_round_trip(numbers: list[Decimal], spelling: str) -> None:
    answer = done([spelling.format(number) for number in numbers], "decimal")
    for number, text, bad in zip(numbers, answer.values.to_pylist(), answer.out_of_range.to_pylist(), strict=True):
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)
        assert bad == (bool(number) and (number.adjusted() >= 1000 or exponent < -1000)) or "e" in spelling
        assert bad or Decimal(text) == number


@QUICK
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)), st.sampled_from(["{!r}", "{:.20e}", " {:+}"]))
def test_floats_round_trip(numbers: list[float], spelling: str) -> None:
    texts = [spelling.format(number) for number in numbers]
    values = done(texts, "float").values.to_pylist()
    assert [float(value) for value in values] == [float(text) for text in texts]


@QUICK
@given(st.lists(st.dates()), st.sampled_from(["%Y-%m-%d", "%d/%m/%Y", "%d.%m.%Y", "%Y%m%d"]))
def test_dates_round_trip(days: list[date], format: str) -> None:
    texts = [day.strftime(format.replace("%Y", f"{day.year:04}")) for day in days]
    answer = done(texts, "date", format=None if format == "%Y-%m-%d" else format)
    assert answer.values.to_pylist() == [day.isoformat() for day in days]


offsets = st.integers(-15 * 60 - 59, 15 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@QUICK
@given(st.lists(st.datetimes(timezones=st.none() | st.just(UTC) | offsets)), st.sampled_from("T "))
def test_timestamps_round_trip(moments: list[datetime], between: str) -> None:
    values = done([moment.isoformat(between) for moment in moments], "timestamp").values.to_pylist()
    expected = [moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in moments]
    assert [datetime.fromisoformat(value) for value in values] == expected


@QUICK
@given(
    st.lists(st.datetimes(datetime(1800, 1, 1), datetime(2100, 1, 1))),
    st.sampled_from(["Europe/Copenhagen", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"]),
)
def test_local_times_are_those_of_the_zone(moments: list[datetime], zone: str) -> None:
    answer = done([moment.isoformat() for moment in moments], "timestamp", timezone=zone)
    for moment, value in zip(moments, answer.values.to_pylist(), strict=True):
        local = moment.replace(tzinfo=ZoneInfo(zone))
        exists = local.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == moment
        assert (value is not None) == exists
        assert value is None or datetime.fromisoformat(value) == local.astimezone(UTC)


@QUICK
@given(st.lists(st.times()))
def test_times_round_trip(times: list[time]) -> None:
    values = done([moment.isoformat() for moment in times], "time").values.to_pylist()
    assert [time.fromisoformat(value) for value in values] == times


@QUICK
@given(st.lists(st.uuids()), st.sampled_from(["{}", "{{{}}}", "urn:uuid:{}", "{0.hex}"]), st.booleans())
def test_uuids_round_trip(ids: list[object], spelling: str, upper: bool) -> None:
    texts = [spelling.format(id) for id in ids]
    values = done([text.upper() for text in texts] if upper else texts, "uuid").values.to_pylist()
    assert values == [str(id) for id in ids]


# What the cast lets through, Postgres takes.

digits = st.text("0123456789", max_size=25)
numbers = st.from_regex(r"[+-]?[0-9]{0,22}(\.[0-9]{0,22})?([eE][+-]?[0-9]{1,6})?", fullmatch=True)
moments = st.from_regex(
    r"([0-9]{4,5}|19[0-9]{2}|0000)-(0[0-9]|1[0-3])-([0-2][0-9]|3[0-2])"
    r"([T ]([01][0-9]|2[0-5]):[0-6][0-9](:[0-6][0-9](\.[0-9]{1,10})?)?"
    r"( ?(Z|UTC|[+-](0[0-9]|1[0-6])(:?[0-6][0-9])?))?)?",
    fullmatch=True,
)
clocks = st.from_regex(r"([01][0-9]|2[0-5]):[0-6][0-9](:[0-6][0-9](\.[0-9]{0,10})?)?", fullmatch=True)
jsons = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters() | st.sampled_from("\0\ud800\udc00")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
).map(json.dumps)
escapes = st.from_regex(r'[\[{ ]{0,3}"(\\u(0000|d8[0-9]{2}|dc00|00e5)|\\\\|\\"|a|\\n)*"[\]} ]{0,3}', fullmatch=True)
noise = st.text(st.characters(codec="utf-8"), max_size=8)
words = st.sampled_from(
    ["nan", "Infinity", "-inf", "now", "today", "epoch", "infinity", "t", "on", "0x1F", "1_000", "", "\\N", "\\."]
)
ids = st.from_regex(r"(\{|urn:uuid:)?[0-9a-fA-F]{8}(-?[0-9a-f]{4}){3}-?[0-9a-fA-F]{12,13}\}?", fullmatch=True)
texts = st.one_of(digits, numbers, moments, clocks, jsons, escapes, noise, words, ids)


@pytest.fixture(scope="module")
def connection(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        columns = ", ".join(f"{type}_ {POSTGRES_TYPE[type]}" for type in COLUMN_TYPES)
        connection.execute(f"create temp table taken (row int, {columns})")
        connection.execute("set time zone 'UTC'")
        yield connection


def copied(connection: psycopg.Connection, type: ColumnType, values: list[str | None]) -> list[str | None]:
    """What Postgres makes of values copied into a column of the type, as text."""
    lines = io.StringIO()
    for row, value in enumerate(values):
        quoted = "" if value is None else '"' + value.replace('"', '""') + '"'
        lines.write(f"{row},{quoted}\n")
    connection.execute("truncate taken")
    column = sql.Identifier(f"{type}_")
    with connection.cursor().copy(sql.SQL("copy taken (row, {}) from stdin (format csv)").format(column)) as copy:
        copy.write(lines.getvalue())
    return [text for (text,) in connection.execute(sql.SQL("select {}::text from taken order by row").format(column))]


@pytest.mark.parametrize("type", COLUMN_TYPES)
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(texts, max_size=40), zone=st.sampled_from(["UTC", "Europe/Copenhagen", "Asia/Kolkata"]))
@example(texts=["1e308", "2e-308", "5e-324", "4.9e-324", "1.7976931348623158e308", "1e-99", "0e-99"], zone="UTC")
@example(texts=["[" * 256 + "]" * 256, "1e999", "1e-1000", "9" * 1000, "[" + "1e999," * 9 + "0]"], zone="UTC")
@example(texts=["0001-01-01", "0001-01-01 00:00", "9999-12-31 23:59:59.999999", "2024-02-29"], zone="Asia/Kolkata")
@example(texts=["0001-01-01 00:00+15:59", "9999-12-31T23:59-15:59", "2024-03-31 02:30", "23:59:59.999999"], zone="UTC")
@example(
    texts=[
        "999999999999 seconds",
        "-999999999999999999 microseconds",
        "999999999999999.999 microseconds",
        "P99999999Y99999999M99999999W99999999DT99999999H99999999M99999999.999999999S",
        "-P99999999Y-99999999M",
        "-99999999 years 99999999 mons 99999999 days -99999999:59:59.999999999",
        "99999999:59",
        "1 day",
    ],
    zone="UTC",
)
def test_postgres_takes_every_value(
    connection: psycopg.Connection, type: ColumnType, texts: list[str], zone: str
) -> None:
    values = done([*texts], type, timezone=zone).values.to_pylist()
    stored = copied(connection, type, values)
    for value, held in zip(values, stored, strict=True):
        assert (value is None) == (held is None)
        if value is None or held is None:
            continue
        if type in ("text", "date", "boolean", "uuid"):
            assert held == value
        elif type in ("integer", "decimal"):
            assert Decimal(held) == Decimal(value)
        elif type == "float":
            assert float(held) == float(value)
        elif type == "time":
            assert time.fromisoformat(held) == time.fromisoformat(value)


@pytest.mark.parametrize("format", ["%d/%m/%Y", "%d-%b-%Y", "%Y%m%d", "%d/%m/%y %H:%M", "%Y-%m-%d %H:%M:%S.%f %z"])
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(moments=st.lists(st.datetimes(timezones=st.just(UTC) | offsets), max_size=20), noise=st.lists(noise, max_size=5))
def test_postgres_takes_every_formatted_timestamp(
    connection: psycopg.Connection, format: str, moments: list[datetime], noise: list[str]
) -> None:
    texts = [moment.strftime(format) for moment in moments] + noise
    values = done([*texts], "timestamp", format=format, timezone="America/New_York").values.to_pylist()
    assert [text is None for text in copied(connection, "timestamp", values)] == [value is None for value in values]
