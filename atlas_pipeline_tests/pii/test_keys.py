"""Where keys come from, what is derived from them, and tokens: equal where they must be, revealed only with the key."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.pii.actions.forms import canonical
from atlas_pipeline.pii.actions.tokens import (
    TokenDamaged,
    WrongKey,
    encrypt_values,
    hash_values,
    reveal,
    token_source,
)
from atlas_pipeline.pii.keys import KeyMissing, Keys, load_keys
from atlas_pipeline.settings import Settings

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


def keys(hash_key: str = "h" * 32, encrypt_key: str = "e" * 32, old: str = "") -> Keys:
    """Keys that are set, not generated."""
    return load_keys(
        Settings(
            home=Path("/nonexistent"), pii_hash_key=hash_key, pii_encrypt_key=encrypt_key, pii_old_encrypt_keys=old
        )
    )


def hashed(value: str, entity: str | None = None, domain: str = "d", by: Keys | None = None) -> str:
    """The token of one value."""
    return hash_values(canonical(pa.array([value]), entity), domain, by or keys())[0].as_py()


def encrypted(value: str, domain: str = "d", by: Keys | None = None) -> str:
    """The token of one value."""
    return encrypt_values(pa.array([value]), domain, by or keys())[0].as_py()


def test_nothing_is_made_until_a_key_is_needed_and_then_once_for_all(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    load_keys(settings)
    assert not (tmp_path / "keys").exists()
    with ThreadPoolExecutor(8) as pool:
        assert len({*pool.map(lambda _: load_keys(settings).fingerprint(), range(32))}) == 1
    paths = sorted((tmp_path / "keys").iterdir())
    assert [path.name for path in paths] == ["pii_encrypt_key", "pii_hash_key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}


def test_no_key_in_production_refuses_only_what_needs_it(tmp_path: Path) -> None:
    made = load_keys(Settings(home=tmp_path, environment="production", pii_hash_key="k" * 32))
    assert made.hash_key("d")
    assert made.fingerprint(["hash"])
    with pytest.raises(KeyMissing, match=r"ATLAS_PII_ENCRYPT_KEY.*openssl rand"):
        made.encrypt_key("d")
    with pytest.raises(KeyMissing, match="ATLAS_PII_HASH_KEY"):
        load_keys(Settings(home=tmp_path, environment="production")).hash_key("d")
    assert not (tmp_path / "keys").exists()


def test_a_blank_key_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(KeyMissing):
        load_keys(Settings(home=tmp_path, environment="production", pii_hash_key="  ")).hash_key("d")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "pii_hash_key").touch()
    with pytest.raises(KeyMissing, match="is empty"):
        load_keys(Settings(home=tmp_path)).hash_key("d")


def test_secret_files_hold_keys_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "atlas_pii_encrypt_key").write_text("from a file\n")
    monkeypatch.setenv("ATLAS_SECRETS_DIR", str(tmp_path))
    settings = Settings()
    assert load_keys(settings).encrypt_key("d") == keys(encrypt_key="from a file").encrypt_key("d")


def test_no_repr_shows_a_key() -> None:
    made = keys("hash-secret", "encrypt-secret", "old-secret")
    assert made.fingerprint()
    assert made.old_encrypt_masters
    assert "-secret" not in repr(made) + repr(made.hash_master) + repr(made.old_encrypt_masters) + str(vars(made))


def test_keys_differ_by_domain_and_purpose_and_the_fingerprint_by_key() -> None:
    made = keys("k" * 32, "k" * 32)
    derived = [made.hash_key("a"), made.hash_key("b"), made.encrypt_key("a"), made.encrypt_key("b")]
    assert len({*derived}) == 4
    assert keys("a").fingerprint() != keys("b").fingerprint()
    assert keys("a").fingerprint(["encrypt"]) == keys("b").fingerprint(["encrypt"])
    assert keys("a").fingerprint([]) == ""


@pytest.mark.parametrize(
    ("entity", "one", "other"),
    [
        ("EMAIL_ADDRESS", " Ann@Example.com ", "ann@example.com"),
        ("EMAIL_ADDRESS", "ann\u200b@example.com", "ann@example.com"),
        ("EMAIL_ADDRESS", "ａｎｎ@example.com", "ann@example.com"),
        ("PHONE_NUMBER", "+1 (415) 555-2671", "+14155552671"),
        ("PHONE_NUMBER", "4155552671.0", "415-555-2671"),
        (None, "123.0", "123"),
        (None, "1.23e9", "1230000000"),
        (None, "1.23E+09", "1230000000"),
        (None, "José", "Jose\u0301"),
    ],
)
def test_hash_of_what_is_equal_is_equal(entity: str | None, one: str, other: str) -> None:
    assert hashed(one, entity) == hashed(other, entity)


@pytest.mark.parametrize(
    ("one", "other"), [("007", "7"), ("1234e5", "123400000"), ("1.5", "1"), ("Ann", "ann"), ("0", ""), ("1.0e99", "1")]
)
def test_hash_of_what_differs_differs(one: str, other: str) -> None:
    assert hashed(one) != hashed(other)


def test_phone_numbers_without_digits_are_not_all_alike() -> None:
    assert canonical(pa.array(["unknown", "none"]), "PHONE_NUMBER").to_pylist() == ["unknown", "none"]


def test_hash_differs_by_domain_and_key_and_is_the_same_in_every_run() -> None:
    token = hashed("ann@example.com", "EMAIL_ADDRESS", "EMAIL_ADDRESS")
    assert token == "ff5f8f17acc6e2b56cf9a8392a6930466721b1035a3ce3b6da8fec15344c9b84"
    assert token == hashed("ann@example.com", "EMAIL_ADDRESS", "EMAIL_ADDRESS", keys())
    assert len({token, hashed("ann@example.com", None, "other"), hashed("ann@example.com", by=keys("another"))}) == 3


@given(TEXT, st.sampled_from(["EMAIL_ADDRESS", "PHONE_NUMBER", None]))
def test_a_token_that_comes_in_is_hashed_again(value: str, entity: str | None) -> None:
    once = hashed(value, entity)
    assert hashed(once, entity) != once


@given(TEXT, st.text(st.characters(codec="utf-8"), max_size=10))
def test_encrypt_is_undone_by_reveal_and_the_same_each_time(value: str, domain: str) -> None:
    token = encrypted(value, domain)
    assert reveal(token, keys()) == value
    assert encrypted(value, domain) == token
    assert token_source(token) == (keys().encrypt_master.id, domain)


def test_encrypted_tokens_differ_by_domain_and_hold_no_value() -> None:
    one, other = encrypted("ann@example.com", "a"), encrypted("ann@example.com", "b")
    assert one.split(":")[3] != other.split(":")[3]
    assert "ann" not in one
    with pytest.raises(TokenDamaged, match="does not authenticate"):
        reveal(one.replace(":a:", ":b:"), keys())


def test_wrong_key_is_a_clear_error() -> None:
    token = encrypted("ann@example.com")
    with pytest.raises(WrongKey) as caught:
        reveal(token, keys(encrypt_key="another"))
    message = str(caught.value)
    assert keys().encrypt_master.id in message
    assert "ATLAS_PII_OLD_ENCRYPT_KEYS" in message
    assert token.split(":")[3] not in message


@pytest.mark.parametrize(
    "damage", [lambda t: t[:-8], lambda t: t[:-6] + "AAAA" + t[-2:], lambda t: "enc:x", lambda t: ""]
)
def test_a_damaged_token_is_a_clear_error(damage) -> None:
    with pytest.raises(TokenDamaged) as caught:
        reveal(damage(encrypted("ann@example.com")), keys())
    assert "ann" not in str(caught.value)


def test_an_encrypted_value_that_comes_in_is_encrypted_again() -> None:
    token = encrypted("ann")
    assert encrypted(token) != token
    assert reveal(encrypted(token), keys()) == token


def test_rotation_reveals_old_tokens() -> None:
    token = encrypted("ann", by=keys(encrypt_key="first"))
    rotated = keys(encrypt_key="third", old="second, first")
    assert reveal(token, rotated) == "ann"
    assert encrypted("ann", by=rotated) != token
