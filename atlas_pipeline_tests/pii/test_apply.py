"""A table after its plans: what must hold whatever the types, and for each action."""

import json
import time
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.pii.actions.generalise import WAYS, generalise
from atlas_pipeline.pii.apply import apply, apply_column
from atlas_pipeline.pii.keys import KeyMissing, load_keys
from atlas_pipeline.pii.kinds import ACTIONS, KEYED_ACTIONS, Action
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.settings import Settings

KEYS = load_keys(Settings(home=Path("/nonexistent"), pii_hash_key="h" * 32, pii_encrypt_key="e" * 32))
CHANGING: tuple[Action, ...] = tuple(one for one in ACTIONS if one not in ("keep", "drop"))


def planned(name: str, entity: str | None, action: Action, column_class: str = "typed", domain: str = "") -> ColumnPlan:
    """A plan as it would be made for a column of that kind."""
    return ColumnPlan(name, column_class, entity, 1.0, {}, action, domain or entity or "")


def column(values: Any, action: Action, entity: str = "PERSON", **options: Any) -> list[Any]:
    """What becomes of a column."""
    series = values if isinstance(values, pd.Series) else pd.Series(values)
    done = apply(series.to_frame("c"), [planned("c", entity, action, **options)], KEYS)["c"]
    assert done.index.equals(series.index)
    return [None if pd.isna(value) else value for value in done]


MISSING = [
    pd.Series([None, "ann"]),
    pd.Series([np.nan, "ann"], dtype=object),
    pd.Series([pd.NA, "ann"], dtype="string"),
    pd.Series([pd.NaT, pd.Timestamp("1984-03-12")]),
    pd.Series([np.nan, 4155552671.0]),
    pd.Series([pd.NA, 4155552671], dtype="Int64"),
    pd.Series([np.nan, "ann"], dtype="category"),
    pd.Series([Decimal("NaN"), Decimal("1.5")]),
    pd.Series([pd.NaT, date(1984, 3, 12)], dtype=object),
]


@pytest.mark.parametrize("action", CHANGING)
@pytest.mark.parametrize("series", MISSING, ids=lambda series: str(series.dtype))
def test_missing_stays_missing_and_the_rest_is_text(series: pd.Series, action: Action) -> None:
    missing, present = column(series, action)
    assert missing is None
    assert isinstance(present, str)


def test_nan_under_hash_is_not_hashed() -> None:
    assert column([np.nan, None, pd.NA, pd.NaT, float("nan")], "hash") == [None] * 5


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("values", [[], [None, None], [np.nan, np.nan]])
def test_empty_and_all_null_columns(values: list[Any], action: Action) -> None:
    frame = pd.DataFrame({"c": values, "d": values})
    done = apply(frame, [planned("c", "PERSON", action)], KEYS)
    assert len(done) == len(values)
    assert ("c" in done) == (action != "drop")
    assert done.isna().all(axis=None)


def test_the_input_is_untouched_and_index_and_order_are_kept() -> None:
    frame = pd.DataFrame({"b": ["x", "y", "z"], "a": [1, 2, 3], "c": [1.5, 2.5, None]}, index=["i", "i", 7])
    before = frame.copy(deep=True)
    done = apply(frame, [planned("c", "AGE", "redact"), planned("b", "PERSON", "hash")], KEYS)
    pd.testing.assert_frame_equal(frame, before)
    assert list(done.columns) == ["b", "a", "c"]
    assert list(done.index) == ["i", "i", 7]
    done.loc[:, "a"] = 0
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    "index",
    [
        pd.Index([1, 1, 1]),
        pd.MultiIndex.from_tuples([(1, "a"), (1, "a"), (2, "b")]),
        pd.DatetimeIndex(["2024-01-01"] * 3),
        pd.Index([None, "x", 2], dtype=object),
    ],
)
def test_duplicate_index_of_any_type(index: pd.Index) -> None:
    frame = pd.DataFrame({"c": ["ann", None, "ben"]}, index=index)
    done = apply(frame, [planned("c", "PERSON", "redact")], KEYS)
    assert done.index.equals(index)
    assert done["c"].isna().tolist() == [False, True, False]


def test_two_columns_of_one_name_and_names_that_are_no_text() -> None:
    frame = pd.DataFrame([["ann", "ben", 1]], columns=["c", "c", 0])
    done = apply(frame, [planned("c", "PERSON", "redact"), planned("0", "AGE", "drop")], KEYS)
    assert done.to_numpy().tolist() == [["<PERSON>", "<PERSON>"]]


def test_kept_columns_are_the_same() -> None:
    frame = pd.DataFrame(
        {"i": [1, 2], "f": [1.5, np.nan], "d": pd.to_datetime(["2024-01-01", None]), "c": pd.Categorical(["a", "b"])}
    )
    done = apply(frame, [planned(name, None, "keep", "clean") for name in frame.columns], KEYS)
    pd.testing.assert_frame_equal(done, frame)


def test_datetime_columns() -> None:
    days = pd.Series(pd.to_datetime(["1984-03-12", None, "1990-01-01"]))
    assert column(days, "generalise", "DATE_OF_BIRTH") == ["1984", None, "1990"]
    assert column(days, "hash", "DATE_OF_BIRTH") == column(["1984-03-12", None, "1990-01-01"], "hash", "DATE_OF_BIRTH")
    zoned = pd.Series(pd.to_datetime(["1984-03-12T10:00:00Z"]))
    assert column(zoned, "generalise", "DATE_OF_BIRTH") == ["1984"]
    assert column([date(1984, 3, 12)], "hash") == column(["1984-03-12"], "hash")


def test_hash_is_equal_across_tables_and_types() -> None:
    text = column(["4155552671"], "hash", "PHONE_NUMBER")
    for values in (
        [4155552671],
        [4155552671.0, None],
        ["4155552671.0"],
        ["4.155552671e9"],
        pd.Series(["415-555-2671"], dtype="category"),
        pd.Series([4155552671], dtype="Int64"),
        [Decimal(4155552671)],
    ):
        assert column(values, "hash", "PHONE_NUMBER")[:1] == text


def test_floats_and_scientific_notation_are_masked_as_the_integers_they_were() -> None:
    assert column([4155552671.0, np.nan], "mask", "PHONE_NUMBER") == ["******2671", None]
    assert column(["4155552671.0", "4.155552671E+9"], "mask", "PHONE_NUMBER") == ["******2671", "******2671"]
    assert column([1e15, 0.5], "mask", "ACCOUNT_NUMBER") == ["************0000", "***"]


def test_leading_zeros_are_kept() -> None:
    assert column(["00123456", "0012"], "mask", "ACCOUNT_NUMBER") == ["****3456", "****"]
    assert column(["02134"], "generalise", "ZIPCODE") == ["021"]
    assert column(["007"], "hash") != column(["7"], "hash")


def test_cells_of_5000_characters() -> None:
    cell = "x" * 4_996 + "1234"
    assert column([cell], "mask", "ACCOUNT_NUMBER") == ["*" * 4_996 + "1234"]
    for action in CHANGING:
        (done,) = column([cell], action)
        assert done != cell
        assert column([done], action) == [done]


def test_a_million_equal_values_are_treated_once() -> None:
    values = pa.array(["ann@example.com"]).take(pa.array(np.zeros(1_000_000, np.int32)))
    for action in CHANGING:
        started = time.perf_counter()
        done = apply_column(values, planned("c", "EMAIL_ADDRESS", action), KEYS)
        assert len(done.unique()) == 1
        assert time.perf_counter() - started < 5


def test_blank_cells_stay() -> None:
    for action in CHANGING:
        assert column(["", "  "], action) == ["", "  "]


MIX = {
    "EMAIL_ADDRESS": ["ann@example.com", None, "ben@example.com", "n/a"],
    "PHONE_NUMBER": ["+1 415 555 2671", "4155552671.0", "short", None],
    "DATE_OF_BIRTH": ["1984-03-12", "12 March 1984", "never", None],
    "ZIPCODE": ["90210", "SW1A 1AA", "?", None],
    "AGE": ["42", "95", "old", None],
    "IP_ADDRESS": ["10.1.2.3", "2001:db8::1", "host", None],
    "GEO_COORDINATES": ["52.52, 13.405", "-0.04", "here", None],
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("kind", MIX)
def test_the_second_run_does_not_mask_twice(kind: str, action: Action) -> None:
    frame = pd.DataFrame({"c": MIX[kind], "rest": range(4)})
    plans = [planned("c", kind, action)]
    once = apply(frame, plans, KEYS)
    pd.testing.assert_frame_equal(apply(once, plans, KEYS), once)


@given(
    st.lists(st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=20)), max_size=8),
    st.sampled_from(CHANGING),
    st.sampled_from([*MIX, "PERSON", "OWN_KIND"]),
)
def test_any_text_twice_is_once_and_missing_stays(values: list[str | None], action: Action, kind: str) -> None:
    array = pa.array(values, pa.string())
    plan = planned("c", kind, action)
    once = apply_column(array, plan, KEYS)
    assert action in KEYED_ACTIONS or apply_column(once, plan, KEYS).equals(once)
    assert [value is None for value in once.to_pylist()] == [value is None for value in values]


@pytest.mark.parametrize(
    ("way", "values"),
    [
        (
            "date",
            {
                "1984-03-12": "1984",
                "12/03/1984": "1984",
                "3/12/84": "1984",
                "12.03.1984": "1984",
                "March 12, 1984": "1984",
                "12 mars 1984": "1984",
                "12-Mar-84": "1984",
                "1984-03-12T10:20:30Z": "1984",
                "12/03/1984 10:20": "1984",
                "19840312": "1984",
                "1984": "1984",
                "1984.0": "1984",
                "yesterday": None,
                "30753": None,
            },
        ),
        (
            "postcode",
            {
                "90210": "902",
                "90210-1234": "902",
                "90210.0": "902",
                "02134": "021",
                "SW1A 1AA": "SW1A",
                "sw1a1aa": "SW1A",
                "M1 1AE": "M1",
                "K1A 0B6": "K1A",
                "1012 AB": "101",
                "2100": "21",
                "01310-100": "013",
                "n/a": None,
                "unknown": None,
            },
        ),
        (
            "age",
            {"42": "40-49", "42.0": "40-49", "0": "0-9", "90": "90+", "101": "90+", "42 years": "40-49", "400": None},
        ),
        (
            "ip",
            {
                "10.1.2.3": "10.1.2.0/24",
                "10.1.2.3:80": "10.1.2.0/24",
                "10.1.2.3/32": "10.1.2.0/24",
                "10.0.0.0/8": "10.0.0.0/8",
                "2001:db8:1:2::3": "2001:db8:1::/48",
                "::ffff:10.1.2.3": "10.1.2.0/24",
                "999.1.1.1": None,
                "localhost": None,
            },
        ),
        (
            "geo",
            {
                "52.5200066": "52.5",
                "-0.04": "0.0",
                "52": "52.0",
                "13.0001": "13.0",
                "52.5200, 13.4050": "52.5, 13.4",
                "POINT(13.405 52.52)": "POINT(13.4 52.5)",
                "5820047.1": None,
                "u33dc0": None,
            },
        ),
    ],
)
def test_generalised(way: Any, values: dict[str, str | None]) -> None:
    assert {value: WAYS[way](value) for value in values} == values
    assert generalise(pa.array([*values]), way).to_pylist() == [*values.values()]


@given(st.sampled_from([*WAYS]), st.text("0123456789.-/: +,eEabcdefM年()", max_size=24))
def test_generalise_twice_is_once(way: Any, value: str) -> None:
    (once,) = generalise(pa.array([value]), way).to_pylist()
    assert once is None or WAYS[way](once) == once
    assert once is None or generalise(pa.array([once]), way).to_pylist() == [once]


PROSE = planned("c", "FREE_TEXT", "redact", "free_text")


def redacted(text: str, rules: Rules | None = None) -> str:
    """A cell of prose afterwards."""
    return apply_column(pa.array([text]), PROSE, None, rules)[0].as_py()


def test_prose_loses_what_is_found_and_nothing_else_once() -> None:
    done = redacted("Please write to ann.lee@example.com, thanks.")
    assert done == "Please write to <EMAIL_ADDRESS>, thanks."
    assert redacted(done) == done


def test_json_in_cells_stays_json() -> None:
    cell = '{"email": "ann.lee@example.com", "note": "say \\"hi\\"",  "n": 3, "tags": ["a", "ben@example.com"]}'
    done = redacted(cell)
    assert json.loads(done) == {
        "email": "<EMAIL_ADDRESS>",
        "note": 'say "hi"',
        "n": 3,
        "tags": ["a", "<EMAIL_ADDRESS>"],
    }
    assert redacted(done) == done


def test_json_with_half_a_character_stays_json() -> None:
    done = redacted('{"a": "\\ud800 ann.lee@example.com"}')
    assert json.loads(done)["a"].endswith("<EMAIL_ADDRESS>")


@pytest.mark.parametrize("type", [pa.string(), pa.large_string()])
def test_columns_of_any_string_type_keep_it(type: pa.DataType) -> None:
    values = pa.chunked_array([pa.array(["ann@example.com", None], type), pa.array(["", "<PERSON>"], type).slice(1)])
    for action in CHANGING:
        done = apply_column(values, planned("c", "EMAIL_ADDRESS", action), KEYS)
        assert done.type == type
        assert done[1].as_py() is None
    assert apply_column(pa.array(["Mail ann@example.com"], type), PROSE).type == type


def test_lone_surrogates_and_odd_types_pass() -> None:
    for values in (
        pd.Series(["a\ud800b"], dtype=object),
        [[1, 2]],
        [b"\xff"],
        [True],
        pd.Series([np.float16(1)]),
        pd.Series(pd.period_range("2020-01", "2020-01", freq="M")),
    ):
        for action in CHANGING:
            assert isinstance(column(values, action)[0], str)


def test_allow_and_deny_lists() -> None:
    rules = Rules(allow=frozenset({"press@example.com"}), deny=frozenset({"nightjar"}))
    done = redacted("Write to press@example.com about Nightjar.", rules)
    assert "press@example.com" in done
    assert "ightjar" not in done


def test_whole_cells_of_prose_under_other_actions() -> None:
    (done,) = column(["some prose"], "hash", "FREE_TEXT", column_class="free_text")
    assert len(done) == 64


def test_no_key_in_production_refuses(tmp_path: Path) -> None:
    keys = load_keys(Settings(home=tmp_path, environment="production"))
    frame = pd.DataFrame({"c": ["ann"]})
    for action in ("hash", "encrypt"):
        with pytest.raises(KeyMissing):
            apply(frame, [planned("c", "PERSON", action)], keys)
    assert apply(frame, [planned("c", "PERSON", "redact")], keys)["c"].tolist() == ["<PERSON>"]


def test_drop_leaves_no_values_to_ask_for() -> None:
    with pytest.raises(ValueError, match="drop"):
        apply_column(pa.array(["x"]), planned("c", "PERSON", "drop"), KEYS)
