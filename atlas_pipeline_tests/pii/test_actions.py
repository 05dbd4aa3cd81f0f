"""What each action makes of a column of text."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.pii.actions.act import act, mask, placeholder
from atlas_pipeline.pii.keys import load_keys
from atlas_pipeline.pii.kinds import ACTIONS, KINDS, Action
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.settings import Settings

KEYS = load_keys(Settings(home=Path("/nonexistent"), pii_hash_key="h" * 32, pii_encrypt_key="e" * 32))
VALUES = pa.array(["ann@example.com", None, "4111111111111111", "short", "", "ann@example.com"])


def done(values: pa.Array, action: Action, kind: str = "EMAIL_ADDRESS") -> list[str | None]:
    """The column after an action."""
    return act(values, ColumnPlan("c", "typed", kind, 1.0, {}, action, kind), KEYS).to_pylist()


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("keep", VALUES.to_pylist()),
        ("redact", ["<EMAIL_ADDRESS>", None, "<EMAIL_ADDRESS>", "<EMAIL_ADDRESS>", "", "<EMAIL_ADDRESS>"]),
        ("mask", ["***********ecom", None, "************1111", "*****", "", "***********ecom"]),
        ("generalise", ["<EMAIL_ADDRESS>", None, "<EMAIL_ADDRESS>", "<EMAIL_ADDRESS>", "", "<EMAIL_ADDRESS>"]),
    ],
)
def test_action(action: Action, expected: list[str | None]) -> None:
    assert done(VALUES, action) == expected


@pytest.mark.parametrize("action", ["hash", "encrypt"])
def test_tokens_are_equal_for_equal_values_only(action: Action) -> None:
    tokens = done(VALUES, action)
    assert tokens[0] == tokens[5]
    assert tokens[1] is None
    assert len({*tokens}) == 5


def test_mask_counts_characters_not_bytes() -> None:
    assert mask(pa.array(["Zoë Brontë", "日本語", "🙂🙂🙂🙂🙂🙂🙂🙂"])).to_pylist() == [
        "******ontë",
        "***",
        "****🙂🙂🙂🙂",
    ]


@pytest.mark.parametrize("action", [one for one in ACTIONS if one not in ("keep", "drop", "redact")])
def test_placeholders_stay(action: Action) -> None:
    values = [placeholder(kind) for kind in (*KINDS, "OWN_KIND")]
    assert done(pa.array(values), action, "OWN_KIND") == values


@given(st.lists(st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=30))))
def test_long_values_never_pass(values: list[str | None]) -> None:
    column = pa.array(values, pa.string())
    for action in (one for one in ACTIONS if one not in ("keep", "drop")):
        for before, after in zip(values, done(column, action, "PERSON"), strict=True):
            assert (before is None) == (after is None)
            assert not (before or "").strip() or len(before or "") < 8 or after != before or set(before or "") == {"*"}


def test_drop_is_no_action_on_values() -> None:
    with pytest.raises(ValueError, match="drop"):
        done(VALUES, "drop")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("4111 1111 1111 1 1 1 1", "1111"),
        ("12-34-56-78", "5678"),
        ("12345678-", "5678"),
        ("1234-567", ""),
        ("----------", ""),
        ("(030) 555 01 23", "0123"),
        ("************3456", "3456"),
    ],
)
def test_mask_shows_four_letters_and_digits_at_most_and_no_separator(value: str, shown: str) -> None:
    (masked,) = mask(pa.array([value])).to_pylist()
    assert masked == "*" * (len(value) - len(shown)) + shown
    assert mask(pa.array([masked])).to_pylist() == [masked]
