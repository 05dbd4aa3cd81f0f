"""What is guessed about a source, and above all what is not."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_pipeline.ingest.batch import Batch
from atlas_pipeline.ingest.identifiers import names_id
from atlas_pipeline.ingest.infer import DISTINCT_CAP, ColumnInference, infer
from atlas_pipeline.ingest.types import cast


def batch(**columns: Sequence[str | None]) -> Batch:
    rows = pa.table({name: pa.array(texts, pa.string()) for name, texts in columns.items()})
    return Batch(rows, pa.array(range(2, rows.num_rows + 2), pa.int64()))


def column(texts: Sequence[str | None], name: str = "column") -> ColumnInference:
    return infer([batch(**{name: texts})]).columns[0]


def guessed(texts: Sequence[str | None], name: str = "column") -> str:
    found = column(texts, name)
    return f"{found.type} {found.format}" if found.format else found.type


days = [date(2024, 1, 1) + timedelta(days=7 * week) for week in range(60)]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1", "-2", "30"], "integer"),
        (["1", "0", "1"], "integer"),
        (["2019", "2020", "2021"], "integer"),
        (["+1", "-2"], "integer"),
        (["+4512345678", "+4587654321"], "text"),
        (["00123", "45678"], "text"),
        (["0", "007"], "text"),
        (["1", "2.5"], "decimal"),
        (["1.0", "2.0"], "decimal"),  # more rows may have a fraction
        (["0.5", "-.25"], "decimal"),
        (["1e5", "2.5e-7"], "float"),
        (["123456789012345678901", "1"], "text"),
        (["123456789012345678901.5", "1"], "decimal"),
        (["1,5", "2,5"], "text"),
        (["$1", "$2"], "text"),
        (["true", "false"], "boolean"),
        (["True", "True"], "boolean"),
        (["Y", "N", "Y"], "boolean"),
        (["N", "N"], "text"),
        (["F", "M"], "text"),
        (["2024-01-31", "2024-02-01"], "date"),
        (["2024-01-31", "2024-02-01 10:00"], "local_timestamp"),
        (["2024-01-31 00:00:00", "2024-02-01 00:00:00"], "local_timestamp"),
        (["2024-01-31T10:00:00Z", "2024-01-31 10:00:00"], "timestamp"),
        (["2024-01-31T10:00:00+01", "2024-07-31T10:00:00+02:00"], "timestamp"),
        (["2024-01-31T10:00:00Z", "2024-01-31T10:00:00.5+02:00"], "timestamp"),
        (["31/01/2024", "01/02/2024"], "date %d/%m/%Y"),
        (["01/31/2024", "02/01/2024"], "date %m/%d/%Y"),
        (["01/02/2024", "03/04/2024"], "text"),
        (["31-01-2024", "01-02-2024"], "date %d-%m-%Y"),
        (["01.02.2024", "03.04.2024"], "date %d.%m.%Y"),
        (["20240131", "20240201"], "text"),
        (["20240131", "20240001"], "text"),
        (["10000101", "10000102"], "text"),
        (["31-Jan-2024", "01-Feb-2024"], "date %d-%b-%Y"),
        (["31/01/2024 10:30", "01/02/2024 23:59"], "local_timestamp %d/%m/%Y %H:%M"),
        (["01/31/2024 10:30:00 PM", "02/01/2024 01:59:00 AM"], "local_timestamp %m/%d/%Y %I:%M:%S %p"),
        (["01/02/24", "31/12/24"], "text"),
        (["10:30", "23:59:59"], "time"),
        (["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], "uuid"),
        (["a0eebc999c0b4ef8bb6d6bb9bd380a11"], "text"),
        (['{"a": 1}', "[]"], "json"),
        (['"a"', "null"], "text"),
        (["1", "a"], "text"),
        (["a", None], "text"),
        ([None, None], "text"),
        (["", "  "], "text"),
        (["NA", "NA"], "text"),
        ([], "text"),
    ],
)
def test_types(texts: list[str | None], expected: str) -> None:
    assert guessed(texts) == expected


def test_names_that_are_numbers_only_by_accident() -> None:
    assert guessed(["90210", "10001"], "Zip") == "text"
    assert guessed(["12345678", "87654321"], "homePhone") == "text"
    assert guessed(["20240101", "20240102"], "invoice_id") == "text"
    assert guessed(["20240101", "20240102"], "order_date") == "date %Y%m%d"
    assert guessed(["1e3", "2e2"], "part") == "text"


def test_some_dirt_is_for_the_quarantine() -> None:
    clean = [str(number) for number in range(1, 1000)]
    found = column([*clean, "x"])
    assert (found.type, found.misfits, found.unique) == ("integer", 1, False)
    assert guessed([*clean, *["x"] * 11]) == "text"
    assert guessed([*clean, "0123"]) == "text"
    assert guessed([*clean, "1.5"]) == "decimal"  # rather than a row lost
    assert guessed([*clean, "9" * 30]) == "text"
    assert guessed(["5"] * 10_000 + [f"x{number}" for number in range(90)]) == "integer"


def test_day_and_month_must_be_told_apart() -> None:
    early = [f"{day:02}/{month:02}/2024" for month in range(1, 13) for day in range(1, 13)] * 10
    assert guessed(early) == "text"
    assert guessed([*early, "13/02/2024"]) == "date %d/%m/%Y"
    assert guessed([*early, "02/13/2024"]) == "date %m/%d/%Y"
    assert guessed([*early, "13/02/2024", "02/13/2024"]) == "text"


def test_null_words() -> None:
    found = column(["NA", "5", "null", "7"])
    assert (found.type, found.null_values, found.nullable, found.distinct) == ("integer", ("NA", "null"), True, 2)
    found = column(["NA"] * 5000 + ["2024-01-31"])
    assert (found.type, found.null_values, found.misfits) == ("date", ("NA",), 0)
    found = column(["1.5", "nan"])
    assert (found.type, found.null_values) == ("decimal", ("nan",))
    found = column(["NA", "SE", "DK"])
    assert (found.type, found.null_values, found.nullable) == ("text", (), False)


def test_missing_and_distinct() -> None:
    assert not column(["1", "2"]).nullable
    assert column(["1", None]).nullable
    assert column(["1", " "]).nullable
    assert not column(["a", ""]).nullable  # the empty string is a text
    assert column(["a", None]).nullable
    assert column(["1", "1", "01.0", "2"]).distinct == 3
    assert column([str(number) for number in range(DISTINCT_CAP + 5)]).distinct == DISTINCT_CAP


@pytest.mark.parametrize(
    ("texts", "ends"),
    [
        (["10", "9", "-1"], ("-1", "10")),
        (["10", "9.5"], ("9.5", "10")),
        (["1.0e3", "2.0e2"], ("200.0", "1000.0")),
        (["31/01/2024", "01/02/2023"], ("2023-02-01", "2024-01-31")),
        (
            ["2024-01-31T10:00+02:00", "2024-01-31 09:00:00.5Z"],
            ("2024-01-31T08:00:00.000000Z", "2024-01-31T09:00:00.500000Z"),
        ),
        (["a", "b"], (None, None)),
        (["true", "false"], (None, None)),
    ],
)
def test_extremes(texts: list[str], ends: tuple[str | None, str | None]) -> None:
    found = column(texts)
    assert (found.minimum, found.maximum) == ends


def test_extremes_of_decimals_are_exact() -> None:
    close = ["0.1234567890123456789012", "0.1234567890123456789013", "0.1234567890123456789011"]
    found = column(close)
    assert (found.minimum, found.maximum) == (close[2], close[1])
    huge = column(["9" * 400 + ".5", "8" * 400, "-" + "9" * 401])
    assert (huge.minimum, huge.maximum) == ("-" + "9" * 401, "9" * 400 + ".5")


def test_the_newest_moment_is_of_rows_that_fit() -> None:
    assert column(["2024-01-31", "2024-02-01"]).newest == "2024-02-01"
    assert column(["1", "2"]).newest is None
    rows = 200
    days = [str(date(2024, 1, 1) + timedelta(days=n)) for n in range(rows)]
    amounts = ["1.5"] * (rows - 1) + ["oops"]
    found = infer([batch(day=days[:50], amount=amounts[:50]), batch(day=days[50:], amount=amounts[50:])]).columns[0]
    assert (found.maximum, found.newest) == (days[-1], days[-2])
    moments = [f"{day} 10:00" for day in days[:-1]] + ["never"]
    assert infer([batch(at=moments)]).columns[0].newest == f"{days[-2]}T10:00:00.000000"
    zoned = [f"{moment}Z" for moment in moments[:-1]] + ["never"]
    assert infer([batch(at=zoned)]).columns[0].newest == f"{days[-2]}T10:00:00.000000Z"


def test_the_one_length_of_texts() -> None:
    assert column(["EUR", "SEK"] * 25).length == 3
    assert column(["äöü", "\U0001f600ab"] * 25).length == 3
    assert column(["EUR", "SEK"] * 24).length is None
    assert column(["EUR", "EURO"] * 25).length is None
    assert column(["", ""] * 25).length is None
    assert column([None] * 50).length is None
    assert column(["1", "2"] * 25).length is None


def test_blank_texts() -> None:
    assert column(["a", " "]).blank
    assert not column(["a", None]).blank


def test_names_of_ids() -> None:
    assert all(map(names_id, ["id", "customer_id", "OrderID", "productKey"]))
    assert not any(map(names_id, ["amount", "paid", "idle", "width"]))


def test_few_values() -> None:
    assert column(["new", "paid"] * 25).values == ("new", "paid")
    assert column(["new", "paid"] * 24).values is None
    assert column([f"v{number}" for number in range(13)] * 10).values is None
    assert column(["x" * 41] * 50).values is None
    assert column(["1", "2"] * 25).values is None


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        ({"name": ["a", "b"], "id": ["1", "2"]}, "id"),
        ({"name": ["a", "b"], "OrderID": ["1", "2"]}, "OrderID"),
        ({"order_id": ["1", "2"], "id": ["3", "4"]}, "id"),
        ({"order_id": ["1", "2"], "customer_id": ["3", "4"]}, "order_id"),
        ({"x": ["a", "a"], "order_id": ["1", "2"], "customer_id": ["3", "4"]}, None),
        ({"x": ["a", "a"], "order_id": ["1", "2"], "customer_id": ["3", "3"]}, "order_id"),
        ({"id": ["1", "1"], "name": ["a", "b"]}, None),
        ({"id": ["1", None], "name": ["a", "b"]}, None),
        ({"id": ["1", ""], "name": ["a", "b"]}, None),
        ({"code": [f"c{n}" for n in range(10)], "x": ["1"] * 10}, "code"),
        ({"code": ["a", "b"], "x": ["1", "2"]}, None),  # too few rows to tell
        ({"emp_no": [str(n) for n in range(10)], "x": ["1"] * 10}, "emp_no"),
        ({"amount": [str(n) for n in range(10)], "x": ["1"] * 10}, None),
        ({"account_no": [str(n) for n in range(60)], "booked": [str(day) for day in days]}, None),
        ({"code": ["a"], "x": ["1"]}, None),
        ({"remark": ["two words", "b"], "x": ["1", "2"]}, None),
        ({"price": ["1.5", "2.5"], "x": ["1", "2"]}, None),
        ({"day": ["2024-01-01", "2024-01-02"]}, None),
        ({"valid": ["a", "a"], "paid": ["1", "2"]}, None),
    ],
)
def test_key(columns: dict[str, list[str | None]], key: str | None) -> None:
    assert infer([batch(**columns)]).key == key


def test_a_given_key() -> None:
    source = batch(a=["x", "x"], b=["1", "2"])
    assert infer([source], key="a").key == "a"
    with pytest.raises(ValueError, match=r"'c', which is not a column. The columns are: a, b"):
        infer([source], key="c")
    with pytest.raises(ValueError, match="none"):
        infer([], key="c")


def test_latest_by() -> None:
    moments = ["2024-01-01T10:00Z", "2024-01-02T10:00Z"]
    assert infer([batch(id=["1", "2"], updated_at=moments)]).latest_by == "updated_at"
    assert infer([batch(id=["1", "2"], lastModified=moments)]).latest_by == "lastModified"
    assert infer([batch(id=["1", "2"], created_at=moments)]).latest_by is None
    assert infer([batch(id=["1", "2"], updated_at=["yes", "no"])]).latest_by is None
    assert infer([batch(id=["1", "1"], updated_at=moments)]).latest_by is None
    assert infer([batch(id=["1", "1"], updated_at=moments)], key="id").latest_by == "updated_at"


def test_only_the_sample_is_read() -> None:
    def batches() -> Iterator[Batch]:
        yield batch(a=["1", "2"])
        yield batch(a=["3", "x"])
        raise AssertionError("read too far")

    found = infer(batches(), max_rows=3)
    assert (found.rows, found.columns[0].type) == (3, "integer")


def test_no_rows() -> None:
    assert infer([]).columns == ()
    found = infer([batch(id=[])])
    assert (found.columns[0].type, found.key, found.rows) == ("text", None, 0)


texts = (
    st.none() | st.text(st.characters(codec="utf-8"), max_size=6) | st.from_regex(r"[0-9./:T-]{0,20}", fullmatch=True)
)


@settings(max_examples=60)
@given(
    st.lists(texts, max_size=12)
    | st.lists(st.integers().map(str), max_size=12)
    | st.lists(st.floats().map(repr), max_size=12)
    | st.lists(st.dates().map(str), max_size=12)
)
def test_the_cast_agrees_with_the_guess(values: list[Any]) -> None:
    found = column(values)
    assert found == column(values)
    answer = cast(pa.array(values, pa.string()), found.type, found.format, null_values=found.null_values)
    if found.type != "text":
        assert answer.bad.true_count == found.misfits == 0  # so few rows cannot have one in a hundred bad
        assert (answer.values.null_count > 0) == found.nullable
        assert len(answer.values.drop_null().unique()) == found.distinct
