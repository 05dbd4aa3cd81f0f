"""What is certainly personal is found in every cell, and nothing else is."""

import base64
import hashlib
import random
import time
import uuid

import pyarrow as pa
import pytest

from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.pii.sweep import Harmless, sweep

PERSONAL = {
    "EMAIL_ADDRESS": [
        "a.b@example.com",
        "mail to: user@intranet.local",
        "https://x.org/?u=user%40x.com&v=1",
        "jo\u200bhn@x.com",
    ],
    "CREDIT_CARD": [
        "4111 1111 1111 1111",
        "card 4111111111111111.",
        "3782-822463-10005",
        "４１１１１１１１１１１１１１１１",
    ],
    "IBAN_CODE": ["DE89370400440532013000", "IBAN GB29 NWBK 6016 1331 9268 19, thanks"],
    "PHONE_NUMBER": [
        "+49 30 23125 016",
        "call (212) 555-0198",
        "212-555-0198",
        "+4917604069039",
        "電話は+4917604069039です",
    ],
    "US_SSN": ["523-12-4567", "SSN:523-12-4567."],
    "IP_ADDRESS": ["from 192.168.1.7 port 22", "10.1.2.3", "2001:db8:85a3::8a2e:370:7334"],
    "MAC_ADDRESS": ["00:1A:2b:3c:4d:5e"],
}

CLEAN = [
    hashlib.sha256(b"a").hexdigest(),
    "<EMAIL_ADDRESS>",
    "<PHONE_NUMBER> and <PERSON>",
    "****1234",
    "************1111",
    "***@example.com",
    "enc:" + base64.b64encode(bytes(range(64))).decode(),
    "enc:ab/+4930231250161234==",
    "ORD-000849472",
    "order 1001",
    "4155552671",
    "2024-01-01 10:20:30",
    "2024-01-01T10:20:30.123456+01:00",
    "20240101102030",
    "1704103230123",
    "1.2.3",
    "v1.2.3.4",
    "version 4.2.1.17",
    "999.1.1.1",
    "1,299.00 EUR",
    "$1 204 000.00",
    "9783161484100",
    "978-3-16-148410-0",
    "4006381333931",
    "1234 5678 9012 3456",
    "000-12-3456",
    "DE00370400440532013000",
    "std::vector::iterator",
    "10:20:30",
    "a @ b",
    "@handle",
    "",
]


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in PERSONAL.items() for text in texts])
def test_personal_data_is_found(rule, text):
    assert sweep(pa.array([text])) == {rule: 1}


@pytest.mark.parametrize("text", CLEAN)
def test_nothing_is_found_where_nothing_is(text):
    assert sweep(pa.array([text])) == {}


def test_digests_and_uuids_in_number_give_no_alarm():
    texts = [hashlib.sha256(bytes([a, b])).hexdigest() for a in range(60) for b in range(60)]
    texts += [str(uuid.UUID(text[:32])) for text in texts]
    texts += ["enc:" + base64.urlsafe_b64encode(bytes.fromhex(text)).decode() for text in texts[:3600]]
    assert sweep(pa.array(texts)) == {}


def test_cells_are_counted_and_missing_ones_skipped():
    values = pa.chunked_array([["a@x.com", None, "nothing"], ["a@x.com", "b@x.com 10.1.2.3"]])
    assert sweep(values) == {"EMAIL_ADDRESS": 3, "IP_ADDRESS": 1}


def test_empty_columns():
    assert sweep(pa.array([], pa.string())) == {}
    assert sweep(pa.array([None, None], pa.string())) == {}
    assert sweep(pa.chunked_array([], pa.string())) == {}


def test_large_strings_and_dictionaries():
    assert sweep(pa.array(["a@x.com"], pa.large_string())) == {"EMAIL_ADDRESS": 1}
    assert sweep(pa.array(["a@x.com", "a@x.com"]).dictionary_encode()) == {"EMAIL_ADDRESS": 2}


def test_allowed_values_are_not_reported():
    rules = Rules(allow=frozenset({"Support@Example.com"}))
    assert sweep(pa.array(["write to support@example.com", "a@example.com"]), rules) == {"EMAIL_ADDRESS": 1}


def test_denied_words_always_are():
    rules = Rules(deny=frozenset({"Project Falcon"}))
    assert sweep(pa.array(["about project falcon.", "falcon", "projectfalcon"]), rules) == {"UNKNOWN": 1}


def test_recognisers_of_ones_own_count_when_they_are_sure(tmp_path):
    file = tmp_path / "recognizers.yaml"
    file.write_text(
        "recognizers:\n"
        "  - name: Staff\n    supported_entity: STAFF_ID\n    patterns:\n"
        "      - {name: staff, regex: 'ST-\\d{6}', score: 0.9}\n"
        "  - name: Weak\n    supported_entity: WEAK\n    patterns:\n"
        "      - {name: weak, regex: 'W\\d+', score: 0.3}\n"
    )
    assert sweep(pa.array(["ST-123456", "W12", None]), Rules(recognizers=file)) == {"STAFF_ID": 1}


def test_clean_text_passes_at_speed():
    texts = pa.array(
        [f"Order {at} shipped for EUR {at / 7:.2f} after the second reminder was sent" for at in range(50_000)]
    )
    started = time.perf_counter()
    assert sweep(texts) == {}
    assert texts.nbytes / (time.perf_counter() - started) > 5_000_000


def test_numbers_of_which_some_pass_a_cards_check_by_chance_are_no_cards() -> None:
    ids = [str(4_000_000_000_000_000 + 7_919 * n) for n in range(500)]
    assert sweep(pa.array(ids)) == {}
    assert sweep(pa.array([*ids, "paid with 4111 1111 1111 1111"])) == {"CREDIT_CARD": 1}
    assert sweep(pa.array(["4111111111111111", "5500005555555559"] * 20)) == {"CREDIT_CARD": 40}


def test_networks_are_no_addresses() -> None:
    assert sweep(pa.array(["10.1.2.0/24", "from 192.168.0.0/16", "2001:db8::/32"])) == {}


def test_what_was_harmless_before_changes_no_count() -> None:
    """Blocks of one column, swept with and without the memory of the blocks before."""
    some = random.Random(7)
    kinds = [
        [["new", "paid", "<PERSON>", ""], ["4111111111111111"], ["a@x.com"]],
        [[str(4_000_000_000_000_000 + 7_919 * n) for n in range(40)], ["4111111111111111"]],
        [
            [hashlib.sha256(bytes([n])).hexdigest() for n in range(40)],
            [hashlib.sha256(b"x").hexdigest() + "0", "a@x.com"],
        ],
        [[f"text {n}" for n in range(3_000)], ["+49 30 23125 016"]],
    ]
    for common, *rare in kinds:
        harmless = Harmless()
        for _ in range(30):
            values: list[str | None] = [some.choice([*common, None]) for _ in range(some.choice((0, 1, 30, 400)))]
            values += [value for values in rare for value in values if some.random() < 0.2]
            block = pa.array(values, pa.string())
            assert sweep(block, harmless=harmless) == sweep(block)


def test_keyed_hashes_hide_nothing_beside_them() -> None:
    hashes = [hashlib.sha256(bytes([n])).hexdigest() for n in range(100)]
    assert sweep(pa.array([*hashes, "a@x.com", f"{hashes[0]} 4111 1111 1111 1111", None])) == {
        "CREDIT_CARD": 1,
        "EMAIL_ADDRESS": 1,
    }
    for odd in ("a@x.com", f"a@x.com{hashes[0][7:]}", hashes[0].upper(), f"{hashes[0][:-1]}g"):
        for column in ([odd, *hashes], [*hashes, odd]):
            assert sweep(pa.array(column)) == sweep(pa.array([odd])), odd
            assert sweep(pa.array(column).slice(1, 100)) == (sweep(pa.array([odd])) if column[-1] == odd else {})
    assert sweep(pa.array(hashes)) == sweep(pa.array([*hashes, None])) == {}
    hidden = "".join(f"{ord(letter):02x}" for letter in "a.person@example.co")
    assert sweep(pa.array([*hashes, hidden])) == {"EMAIL_ADDRESS": 1}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("zq.canary&#x40;mail.example", "EMAIL_ADDRESS"),
        ("zq.canary%2540mail.example", "EMAIL_ADDRESS"),
        ("backup_zq.canary@mail.example_old", "EMAIL_ADDRESS"),
        ("4111.1111.1111.1111", "CREDIT_CARD"),
        ("4111_1111_1111_1111", "CREDIT_CARD"),
        ("DE89-3704-0044-0532-0130-00", "IBAN_CODE"),
        ("0049 30 23125016", "PHONE_NUMBER"),
        ("+49 30/23125016", "PHONE_NUMBER"),
        ("219\u201109\u20119999", "US_SSN"),
        ("::ffff:203.0.113.7", "IP_ADDRESS"),
        ("8c72.6045.536c", "MAC_ADDRESS"),
    ],
)
def test_other_spellings(text: str, rule: str) -> None:
    assert rule in sweep(pa.array([text, "nothing"]))


@pytest.mark.parametrize(
    "text", ["0012 345 678", "0000 1111 2222", "1234.5678.9012", "1.2.3.4_5", "00 1 2 3", "AB12-CD34-EF56"]
)
def test_ordinary_codes(text: str) -> None:
    assert sweep(pa.array([text])) == {}
