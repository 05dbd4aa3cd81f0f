"""Words stay whole: ordinary sentences with cue words, quotes, tags and escapes keep every character, values lose all.

The sentences, sixty in each of five languages and 149 neighbours of cue words, were written for this test; none has a
person in it.
"""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from atlas_pipeline.pii.apply import redact_texts
from atlas_pipeline.pii.profile import profile
from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.pii.sweep import sweep
from atlas_pipeline.pii.text.scanner import scanner

LANGUAGES = ("de", "en", "es", "fr", "it")
SENTENCES = Path(__file__).parent / "sentences"

KEPT = """\
What is the process for troubleshooting login issues?
passport issues in 2024
Itinerary for 3 people
Taxi 4451 was late
The accounting 2024 module fails
username is required
Insurance premiums rose 12% in 2023
Handle is missing
token issued 2024-05-01
Policyholders 2024 report
Patients waited 45 minutes
Discovered 12345678901234 rows
The plateau 1500 m high
members 2024 list
call center hours 0900-1700
rows 100 200 300 400 500
Open Safari and press reload
server build rv:1.9.0.20
user name is case-insensitive
Mozilla/5.0 Chrome/119.0.0.0
token count is 128000
SHA-256 hashes; the key is 256-bit
see section 4.1.2.3 of the passport act
Mitgliedsbeiträge 2024
your code is reviewed twice
build 1234.5678.9012 is out
the bus [at] 5.30 was full
'quoted' words @ home
"""

_KEY = "sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc00aa"

VALUES = [
    ("customer Mira Lindqvist asks for refund", ["Mira Lindqvist"], ["asks for refund"]),
    ("please call maria gonzalez about the invoice", ["maria gonzalez"], ["about the invoice"]),
    ("PLEASE CALL MARIA GONZALEZ ABOUT THE INVOICE", ["MARIA GONZALEZ"], ["ABOUT THE INVOICE"]),
    ("Will Black rang twice", ["Will Black"], ["rang twice"]),
    ("SSN 219\u201109\u20119999 on file", ["219\u201109\u20119999"], ["on file"]),
    ("Peter Lopez 3609619276", ["Peter Lopez", "3609619276"], []),
    ("001-249-309-7740x76643", ["001-249-309-7740x76643"], []),
    (f"refund to {_KEY}", [_KEY], ["refund to"]),
    ("postgres://app:s3cr3tpw@db:5432/prod", ["s3cr3tpw"], ["postgres://", "5432/prod"]),
    ("postgres://app:s3cr3tpw@db.example.com:5432/prod", ["app", "s3cr3tpw"], ["5432/prod"]),
    (
        "https://shop.example/cb?first_name=Nadia&last_name=Okafor&phone=%2B17900894660&uid=7",
        ["Nadia", "Okafor", "%2B17900894660"],
        ["https://shop.example/cb?first_name=", "&uid=7"],
    ),
    ("Use the OTP 198614", ["198614"], ["Use the OTP"]),
    ("/home/jsmith/reports/q3.xlsx", ["jsmith"], ["/home/", "/reports/q3.xlsx"]),
    ("meu cpf é 52998224725", ["52998224725"], ["meu cpf é"]),
    ("lat=51.50742 lon=-0.12781", ["51.50742", "-0.12781"], ["lat=", "lon="]),
    ('<b>Albert Brown</b>, <a href="x">call</a>', ["Albert Brown"], ["<b>", "</b>", '<a href="x">', "call"]),
    ("&lt;b&gt;Albert Brown&lt;/b&gt;", ["Albert Brown"], ["&lt;b&gt;", "&lt;/b&gt;"]),
    (r"log: {\"name\": \"Albert Brown\", \"n\": 2} end", ["Albert Brown"], [r"{\"name\": \"", r"\", \"n\": 2} end"]),
    ("passport number is C01X00T47 and expires", ["C01X00T47"], ["and expires"]),
    ("Konto 12345678 30 Tage", ["12345678"], ["30 Tage"]),
    ("SSN: 219\u201309\u20139999, once", ["219\u201309\u20139999"], ["SSN:", "once"]),
    ("<script>var u='albert.brown@example.com'</script>", ["albert.brown@example.com"], ["<script>var u='", "'</scr"]),
    ("values ('ada@mail.example', 7)", ["ada@mail.example"], ["values ('", "', 7)"]),
    ("write to pat.o'brien@mail.example soon", ["pat.o'brien@mail.example"], ["write to", "soon"]),
    ("ada.k [at] mail.example.com bounced", ["ada.k [at] mail.example.com"], ["bounced"]),
    ("mac 8c72.6045.536c seen", ["8c72.6045.536c"], ["mac", "seen"]),
    ("mon numéro de sécu est 1 85 05 78 006 084 91", ["1 85 05 78 006 084 91"], ["mon numéro de sécu est"]),
    ("Your code is 482913", ["482913"], ["Your code is"]),
    ("Ihr Einmalkennwort lautet 738201", ["738201"], ["Einmalkennwort lautet"]),
    ("Su código de seguridad es 738201", ["738201"], ["de seguridad es"]),
    ("employee_id=48291034;dept=7", ["48291034"], ["dept=7"]),
]

SECRETS = [
    "AIza" + "Sy" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "npm_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz12345678",
    "gh" + "p_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "xox" + "b-123456789012-abcdefABCDEF",
    "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
    "Authorization: Bearer " + "mF_9.B5f-4.1JqM" + "abcdef0123",
    "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "redis://:hunter22x@cache:6379/0",
    "Server=db;Database=x;User Id=app;Password=Zx81!abc;",
    "your verification code is 481-516",
    "cvv 123",
]


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_keep_every_word(language):
    texts = (SENTENCES / f"{language}.txt").read_text(encoding="utf-8").splitlines()
    assert len(texts) == 60
    damaged = [text for text, spans in zip(texts, scanner(Rules()).spans(texts), strict=True) if spans]
    assert damaged == []


def test_neighbours_of_cue_words_keep_every_word():
    texts = (SENTENCES / "neighbours.txt").read_text(encoding="utf-8").splitlines()
    assert len(texts) == 149
    damaged = [text for text, spans in zip(texts, scanner(Rules()).spans(texts), strict=True) if spans]
    assert damaged == []


def test_cue_words_keep_every_word():
    texts = KEPT.splitlines()
    assert [text for text, spans in zip(texts, scanner(Rules()).spans(texts), strict=True) if spans] == []


@pytest.mark.parametrize(("text", "covered", "kept"), VALUES)
def test_values_go_and_what_is_around_them_stays(text, covered, kept):
    marked = {at for span in scanner(Rules()).spans([text])[0] for at in range(span.start, span.end)}
    for piece in covered:
        start = text.index(piece)
        assert all(at in marked or text[at].isspace() for at in range(start, start + len(piece)))
    redacted = redact_texts([text], Rules())[0]
    assert all(piece in redacted for piece in kept)


@pytest.mark.parametrize("text", SECRETS, ids=range(len(SECRETS)))
def test_secrets_are_found_by_form_or_cue(text):
    assert any(span.entity == "SECRET" for span in scanner(Rules()).spans([text])[0])


@pytest.mark.parametrize("text", SECRETS[:11], ids=range(11))
def test_secrets_of_a_form_are_swept_too(text):
    assert sweep(pa.array([text, "nothing"])).get("SECRET") == 1


@pytest.mark.parametrize("text", SECRETS[:6], ids=range(6))
def test_columns_of_secrets_are_secret(text):
    (found,) = profile({"value": [text] * 3})
    assert found.entity == "SECRET"


def test_sentences_are_not_swept_as_secrets():
    texts = [
        text for name in LANGUAGES for text in (SENTENCES / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    ]
    assert sweep(pa.array([*texts, *KEPT.splitlines()])) == {}


def test_a_document_within_a_document_still_parses():
    inner = json.dumps({"customer": "Albert Brown IV", "n": 2, "deep": json.dumps({"mail": "a.brown@example.com"})})
    redacted = redact_texts([json.dumps({"raw": inner, "ok": True})], Rules())[0]
    outer = json.loads(redacted)
    document = json.loads(outer["raw"])
    assert document["customer"] == "<PERSON>"
    assert document["n"] == 2
    assert json.loads(document["deep"]) == {"mail": "<EMAIL_ADDRESS>"}
    assert outer["ok"] is True


def test_masking_twice_changes_nothing_more():
    texts = [text for text, _, _ in VALUES] + SECRETS
    once = redact_texts(texts, Rules())
    assert redact_texts(once, Rules()) == once
