"""What is done to personal data, and the key that hashing needs."""

import hmac
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.pii.actions import ACTIONS, Action, apply_action
from atlas_pipeline.pii.keys import KeyMissing, hash_key
from atlas_pipeline.settings import Settings

KEY = b"a key"
VALUES = pa.array(["ann@example.com", None, "4111111111111111", "short", "", "ann@example.com"])


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("keep", VALUES.to_pylist()),
        ("redact", ["<EMAIL_ADDRESS>", None, *["<EMAIL_ADDRESS>"] * 4]),
        ("mask", ["***********.com", None, "************1111", "*****", "", "***********.com"]),
    ],
)
def test_action(action: Action, expected: list[str | None]) -> None:
    assert apply_action(VALUES, action, "EMAIL_ADDRESS", KEY).to_pylist() == expected


def test_hash_is_keyed_and_equal_for_equal_values() -> None:
    hashed = apply_action(VALUES, "hash", "EMAIL_ADDRESS", KEY).to_pylist()
    assert hashed[0] == hashed[5] == hmac.digest(KEY, b"ann@example.com", "sha256").hex()
    assert hashed[1] is None
    assert len({*hashed}) == 5
    assert apply_action(VALUES, "hash", "EMAIL_ADDRESS", b"another").to_pylist()[0] != hashed[0]


@given(st.lists(st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=30))))
def test_missing_stays_missing_and_long_values_never_pass(values: list[str | None]) -> None:
    column = pa.array(values, pa.string())
    for action in (one for one in ACTIONS if one not in ("keep", "drop")):
        treated = apply_action(column, action, "PERSON", KEY).to_pylist()
        assert [one is None for one in treated] == [one is None for one in values]
        for before, after in zip(values, treated, strict=True):
            assert before is None or len(before) < 8 or after != before or set(before) == {"*"}


def test_drop_is_no_action_on_values() -> None:
    with pytest.raises(ValueError, match="drop"):
        apply_action(VALUES, "drop", "PERSON", KEY)


def test_a_key_is_made_once_for_all_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        keys = {*pool.map(lambda _: hash_key(settings), range(32))}
    assert len(keys) == 1
    (path,) = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(keys.pop()) == 64


def test_production_makes_no_key_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(KeyMissing, match="ATLAS_PII_HASH_KEY"):
        hash_key(Settings(home=tmp_path, environment="production"))
    assert hash_key(Settings(home=tmp_path, environment="production", pii_hash_key="k" * 32)) == b"k" * 32
    assert not (tmp_path / "keys").exists()
