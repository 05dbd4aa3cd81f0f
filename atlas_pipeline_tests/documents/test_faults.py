"""The words for faults: one spelling of each, with the nearest known word, and nothing secret in them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from atlas_pipeline.documents.faults import one_of, shown, unknown
from atlas_pipeline.documents.schemas import schema_faults

KNOWN = ["name", "when", "ZIPCODE"]
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "title": "a short name"},
        "size": {"type": ["integer", "null"]},
        "unit": {"enum": ["hour", "day"]},
        "tags": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "kind": {"const": "note"},
        "parts": {"type": "array", "items": {"type": "object", "properties": {"size": {"type": "number"}}}},
        "odd": {"not": {"type": "array"}},
        "by_name": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nam", "did you mean 'name'? Expected one of name, when, ZIPCODE"),
        ("WHEN", "did you mean 'when'? Expected one of name, when, ZIPCODE"),
        ("zipcode", "did you mean 'ZIPCODE'? Expected one of name, when, ZIPCODE"),
        ("other", "expected one of name, when, ZIPCODE"),
        (["name"], "did you mean 'name'? Expected one of name, when, ZIPCODE"),
        (None, "expected one of name, when, ZIPCODE"),
    ],
)
def test_what_was_expected_instead_of_a_word(word: Any, message: str) -> None:
    assert one_of(word, KNOWN) == message


def test_an_unknown_word() -> None:
    assert unknown("key", "nme", KNOWN) == "unknown key 'nme': did you mean 'name'? Expected one of name, when, ZIPCODE"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        (True, "true"),
        ({}, "an empty mapping"),
        ([1], "a list"),
        (3, "3"),
        ("a\nb", r"'a\nb'"),
        ("slack://token", "an address"),
        ("x" * 50, f"'{'x' * 39}…"),
    ],
)
def test_a_value_in_a_message(value: Any, words: str) -> None:
    assert shown(value) == words


@given(st.text())
def test_no_value_breaks_a_line(text: str) -> None:
    assert len(f"{shown(text)}{unknown('key', text, KNOWN)}".splitlines()) == 1


@pytest.mark.parametrize(
    ("data", "message", "place"),
    [
        ({}, "'name' is missing: expected a short name", ()),
        ({"name": 3}, "`name`: found 3, expected a short name", ("name",)),
        ({"name": "a", "nme": 1}, "unknown key 'nme': did you mean 'name'? Expected one of name,", ("nme",)),
        ({"name": "a", "size": "3"}, "`size`: found '3', expected a whole number or nothing", ("size",)),
        (
            {"name": "a", "unit": "days"},
            "`unit`: found 'days': did you mean 'day'? Expected one of hour, day",
            ("unit",),
        ),
        ({"name": "a", "tags": []}, "`tags`: expected at least one entry", ("tags",)),
        ({"name": "a", "tags": [True]}, "`tags`: found true, expected text; put it in quotes", ("tags", 0)),
        ({"name": "a", "kind": "memo"}, "`kind`: found 'memo', expected 'note'", ("kind",)),
        ({"name": "a", "parts": [{"size": "x"}]}, "`size`: found 'x', expected a number", ("parts", 0, "size")),
        ({"name": "a", "odd": []}, "`odd`: an empty list cannot stand here", ("odd",)),
        (
            {"name": "a", "by_name": {"s://hunter2": 1}},
            "`by_name.an address`: found 1, expected text",
            ("by_name", "s://hunter2"),
        ),
        ([], "found an empty list, expected a mapping", ()),
    ],
)
def test_what_a_schema_finds(data: Any, message: str, place: tuple[Any, ...]) -> None:
    [fault] = schema_faults(Draft202012Validator(SCHEMA).iter_errors(data))
    assert fault.message.startswith(message)
    assert fault.place == place
