"""Spellings of one value have one hash and one encrypted value; different values have different ones."""

import re

import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies

from atlas_pipeline.pii.actions.forms import FORMS, Form, canonical
from atlas_pipeline.pii.apply import apply_column
from atlas_pipeline.pii.keys import Keys, load_keys
from atlas_pipeline.pii.kinds import KINDS
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.profile import profile
from atlas_pipeline.settings import Settings

SPELLINGS = {
    "email": (
        "EMAIL_ADDRESS",
        [
            "Anna.K@Example.com",
            "anna.k@example.com ",
            "mailto:anna.k@example.com",
            "Anna K <anna.k@example.com>",
            "<anna.k@example.com>",
            "anna.k%40example.com",
            '"anna.k@example.com"',
            "MAILTO:anna.k@example.com?subject=x",
        ],
    ),
    "phone": (
        "PHONE_NUMBER",
        [
            "+49 30 5550123",
            "+49305550123",
            "0049 30 5550123",
            "tel:+49-30-5550123",
            "+49 (0)30 5550123",
            "+49.30.5550123",
        ],
    ),
    "iban": ("IBAN_CODE", ["DE89 3704 0044 0532 0130 00", "DE89370400440532013000", "DE89-3704-0044-0532-0130-00"]),
    "ssn": ("US_SSN", ["219-09-9999", "219099999", "219 09 9999", "219\u201109\u20119999"]),
    "card": ("CREDIT_CARD", ["4111 1111 1111 1111", "4111111111111111", "4111-1111-1111-1111", "4111111111111111.0"]),
    "mac": ("MAC_ADDRESS", ["8C:72:60:45:53:6C", "8c-72-60-45-53-6c", "8c72.6045.536c", "8C726045536C"]),
    "device": (
        "DEVICE_ID",
        [
            "6D92078A-8246-4BA4-AE5B-76104861E7DC",
            "6d92078a-8246-4ba4-ae5b-76104861e7dc",
            "{6D92078A-8246-4BA4-AE5B-76104861E7DC}",
            "urn:uuid:6d92078a-8246-4ba4-ae5b-76104861e7dc",
        ],
    ),
    "imei": ("DEVICE_ID", ["35-209900-176148-1", "352099001761481", "35 209900 176148 1"]),
    "cpf": ("NATIONAL_ID", ["529.982.247-25", "52998224725", "529982247-25"]),
    "tax": ("TAX_ID", ["12/345/678/9", "123456789"]),
    "login": ("USERNAME", ["Anna.Kowalska", "anna.kowalska", "ANNA.KOWALSKA ", "@anna.kowalska"]),
    "wallet": (
        "CRYPTO",
        [
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0x52908400098527886e0f7030069857d2e4169ee7",
            "0X52908400098527886E0F7030069857D2E4169EE7",
        ],
    ),
    "ip": ("IP_ADDRESS", ["2001:0db8:0:0:0:0:0:1", "2001:db8::1", "2001:DB8::1"]),
}
ANY_KIND = ("email", "mac", "device", "wallet")
"""Forms that are recognised in columns whose kind is not known."""


def keys(tmp_path) -> Keys:
    return load_keys(Settings(home=tmp_path, pii_hash_key="h" * 32, pii_encrypt_key="e" * 32))


def tokens(values, entity, action, keys, **options):
    plan = ColumnPlan("c", "typed", entity, 1.0, {}, action, entity or "d", **options)
    return apply_column(pa.array(values), plan, keys).to_pylist()


@pytest.mark.parametrize("action", ["hash", "encrypt"])
@pytest.mark.parametrize("name", SPELLINGS)
def test_spellings_of_one_value_have_one_token(name, action, tmp_path):
    kind, values = SPELLINGS[name]
    assert len({*tokens(values, kind, action, keys(tmp_path))}) == 1


@pytest.mark.parametrize("name", ANY_KIND)
def test_forms_that_prove_what_they_are_need_no_kind(name, tmp_path):
    values = [value for value in SPELLINGS[name][1] if name != "email" or value.lower().startswith("mailto:")]
    assert len({*tokens(values[:3], None, "hash", keys(tmp_path))}) == 1


def test_national_numbers_join_where_a_region_is_set(tmp_path):
    values = ["+49 30 5550123", "030 5550123", "(030) 555-0123", "0049 30 5550123"]
    assert len({*tokens(values, "PHONE_NUMBER", "hash", keys(tmp_path), region="DE")}) == 1
    american = ["+1 415 555 2671", "415-555-2671", "(415) 555-2671", "1 415 555 2671"]
    assert len({*tokens(american, "PHONE_NUMBER", "hash", keys(tmp_path), region="US")}) == 1
    assert len({*tokens(values[:2], "PHONE_NUMBER", "hash", keys(tmp_path))}) == 2


def test_what_differs_stays_apart(tmp_path):
    pairs = {
        "PHONE_NUMBER": ["+49 30 5550123", "+49 30 5550123 x12", "+49 30 5550124", "unknown", "none", "0"],
        "USERNAME": ["anna", "anna1", "an.na"],
        "CRYPTO": ["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "1a1zp1ep5qgefi2dmptftl5slmv7divfna"],
        "DEVICE_ID": ["123456789012", "123456789013", "a-b"],
        "NATIONAL_ID": ["-", "/", "007", "7"],
        "EMAIL_ADDRESS": ["ann@example.com", "ann@example.org", "ann", "@"],
    }
    for kind, values in pairs.items():
        assert len({*tokens(values, kind, "hash", keys(tmp_path))}) == len(values)


def test_plans_of_version_1_keep_their_tokens(tmp_path):
    first = tokens(["mailto:ann@example.com", "Ann@example.com"], "EMAIL_ADDRESS", "hash", keys(tmp_path), form=1)
    assert first[0] != first[1]
    assert first[1] == tokens(["ann@example.com"], "EMAIL_ADDRESS", "hash", keys(tmp_path))[0]


def test_every_kind_that_is_named_exists_once():
    named = [kind for form in FORMS for kind in form.kinds]
    assert len({*named}) == len(named)
    assert {*named} <= {*KINDS}


def test_detected_columns_join_too(tmp_path):
    """As a policy of `hash` for everything would treat them."""
    for name, (_, values) in SPELLINGS.items():
        if name in ("device", "imei", "tax", "ip"):
            continue
        (found,) = profile({name: values[:3]})
        assert found.entity is not None, name
        assert len({*tokens(values[:3], found.entity, "hash", keys(tmp_path))}) == 1, (name, found.entity)


def test_a_token_that_is_sent_does_not_stand_for_its_owner(tmp_path):
    own = keys(tmp_path)
    for action in ("hash", "encrypt"):
        (token,) = tokens(["ann@example.com"], "EMAIL_ADDRESS", action, own)
        sent = tokens([token, "bob@example.com"], "EMAIL_ADDRESS", action, own)
        assert token not in sent


@pytest.mark.parametrize("form", [form for form in FORMS if form.plain], ids=lambda form: form.kinds[0])
@settings(max_examples=200, derandomize=True)
@given(data=strategies.data())
def test_a_plain_value_is_its_own_form(form: Form, data: strategies.DataObject) -> None:
    value = data.draw(strategies.from_regex(re.compile(form.plain, re.ASCII), fullmatch=True))
    for region in ("", "DE", "US"):
        assert form.apply(value, region) == value


@pytest.mark.parametrize("form", [form for form in FORMS if form.plain], ids=lambda form: form.kinds[0])
def test_every_value_has_the_form_that_its_rule_gives_it(form: Form) -> None:
    """Whether or not others beside it are plain."""
    values = [value for _, spellings in SPELLINGS.values() for value in spellings]
    values += [
        "ann@example.com",
        "ANN@example.com",
        ".ann@x.de",
        "a@x.de.",
        "+4930123",
        "00493012",
        "AB12",
        "ab-12",
        "a_b",
    ]
    values = [value for value in values if value.isascii() and not value.endswith(".0") and value == value.strip()]
    assert canonical(pa.array(values), form.kinds[0]).to_pylist() == [form.apply(value, "") for value in values]
