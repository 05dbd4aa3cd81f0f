"""Personal data in prose, each case by its name."""

import socket
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.pii.text.scanner import Span, scanner


def found(text, rules=None):
    """The found pieces of the text, with their kinds."""
    return {(text[span.start : span.end], span.entity) for span in scanner(rules or Rules()).spans([text])[0]}


def covered(text, piece):
    """Whether every character of the piece that is no blank is in some finding."""
    start = text.index(piece)
    spans = scanner(Rules()).spans([text])[0]
    marked = {at for span in spans for at in range(span.start, span.end)}
    return all(at in marked for at in range(start, start + len(piece)) if not text[at].isspace())


PIECES = [
    ("upper case", "Contact JOHN SMITH at once", "JOHN SMITH"),
    ("last, first", "Patient: Miller, Susan", "Miller, Susan"),
    ("lower case after a cue", "my name is anna kowalska and i waited", "anna kowalska"),
    ("greeting", "Hi Anna, it never came", "Anna"),
    ("signature", "Please call.\n\nRegards,\nJ. Smith", "J. Smith"),
    ("title", "I spoke to Dr. Brzeziński today", "Brzeziński"),
    ("name that is a word", "Ask for Rose Miller at the desk", "Rose Miller"),
    ("German", "Mein Name ist Jürgen Weiß, geboren am 03.04.1971", "Jürgen Weiß"),
    ("French", "Bonjour, je m'appelle Chloé Garnier", "Chloé Garnier"),
    ("Spanish", "Hola, soy Lucía Fernández y vivo en Sevilla", "Lucía Fernández"),
    ("Cyrillic", "Пётр Иванов пришел", "Пётр Иванов"),
    ("Chinese", "我叫王伟，你好", "王伟"),
    ("Japanese", "田中太郎です", "田中太郎"),
    ("JSON", '{"name": "Susan Miller", "mail": "s.miller@example.com"}', "Susan Miller"),
    ("e-mail", "write to a.b+c@mail.example.co.uk today", "a.b+c@mail.example.co.uk"),
    ("e-mail inside the house", "sent by user@intranet.local", "user@intranet.local"),
    ("e-mail in a query", "GET /x?email=user%40example.com&page=2", "user%40example.com"),
    ("e-mail with invisible characters", "mail jo\u200bhn＠example.com now", "jo\u200bhn＠example.com"),
    ("wide digits", "card ４１１１ １１１１ １１１１ １１１１", "４１１１ １１１１ １１１１ １１１１"),
    ("card with blanks", "paid with 4111 1111 1111 1111.", "4111 1111 1111 1111"),
    ("card with dashes", "paid with 4111-1111-1111-1111.", "4111-1111-1111-1111"),
    ("IBAN", "to DE89 3704 0044 0532 0130 00 please", "DE89 3704 0044 0532 0130 00"),
    ("phone abroad", "call +49 30 23125 016 soon", "+49 30 23125 016"),
    ("phone at home", "call (212) 555-0198 soon", "(212) 555-0198"),
    ("phone beside wide script", "電話番号は+4917604069039です", "+4917604069039"),
    ("SSN", "his SSN is 523-12-4567", "523-12-4567"),
    ("passport", "Passport no. C01X00T47 expires", "C01X00T47"),
    ("driving licence", "driver's license number is D123-4567-8901", "D123-4567-8901"),
    ("medical record", "MRN: 48291034, ward 3", "48291034"),
    ("account", "account number 12345678", "12345678"),
    ("IP address", "login from 192.168.1.7", "192.168.1.7"),
    ("MAC address", "device 00:1A:2b:3c:4d:5e", "00:1A:2b:3c:4d:5e"),
    ("password", "the password is hunter2!", "hunter2!"),
    ("user name", "username: wasco1982", "wasco1982"),
    ("date of birth", "DOB 12/03/1980", "12/03/1980"),
    ("written date", "on March 3, 2021 we met", "March 3, 2021"),
    ("age", "a 34-year-old woman", "34-year-old"),
    ("street and town", "ship to 12 High Street, London, SW1Y 2HD please", "12 High Street, London, SW1Y 2HD"),
    ("US address", "at 742 Evergreen Terrace, Springfield, IL 62704.", "742 Evergreen Terrace, Springfield, IL 62704"),
    ("German address", "Anschrift lautet Schulstraße 10 in 20931 Hamburg.", "Schulstraße 10 in 20931 Hamburg"),
    ("French address", "au 13 place du Marché, 75034 Paris.", "13 place du Marché, 75034 Paris"),
    ("Spanish address", "en Calle Mayor 5, 28013 Madrid.", "Calle Mayor 5, 28013 Madrid"),
    ("Dutch address", "naar Prinsengracht 134 3523 WY Utrecht", "Prinsengracht 134 3523 WY Utrecht"),
    ("markup", "**Susan Miller** wrote", "Susan Miller"),
    ("town", "I moved to Lisbon last year", "Lisbon"),
    ("town, lower case", "i live in gdansk", "gdansk"),
    ("people", "She is Swedish", "Swedish"),
    ("title", "please ask Mrs. Okonkwo-Bright first", "Mrs. Okonkwo-Bright"),
    ("title before a full name", "seen by Dr. Anna Kowalska today", "Dr. Anna Kowalska"),
    ("lower case in a sentence", "the parcel of imran qureshi is late", "imran qureshi"),
    ("lower case address", "i moved to 14 wexcombe road, brighton", "14 wexcombe road"),
    ("upper case in a sentence", "PARCEL FOR IMRAN QURESHI IS LATE", "IMRAN QURESHI"),
    ("unknown name before her", "Zelvora asked for the file of her daughter.", "Zelvora"),
    ("patient's record", "Medical Record Number: MR20481937, seen today", "MR20481937"),
    ("patient's record, short", "patient discharged, rec no: 2048193", "2048193"),
    ("Hungarian address", "ship to Petőfi utca 84., H-9259 Kecskemét please", "Petőfi utca 84., H-9259 Kecskemét"),
    ("Slovenian address", "na naslov Tiha ulica 5, 2701 Maribor", "Tiha ulica 5, 2701 Maribor"),
    ("Colombian address", "vive en Carrera 45 # 52-8 Sur, Bogotá", "Carrera 45 # 52-8 Sur, Bogotá"),
    ("Italian address", "abito in Via Roma, 20 Piano 8, 03045 Latina (LT)", "Via Roma, 20 Piano 8, 03045 Latina (LT)"),
    (
        "Australian address",
        "at Flat 7, 12 Wattle Grove, Ballarat, VIC, 3350",
        "Flat 7, 12 Wattle Grove, Ballarat, VIC, 3350",
    ),
    ("Polish address", "ul. Lipowa 27, 54-375 Wrocław", "ul. Lipowa 27, 54-375 Wrocław"),
    (
        "Brazilian address",
        "Rua das Flores, 39, 01310-100 São Paulo / SP",
        "Rua das Flores, 39, 01310-100 São Paulo / SP",
    ),
    ("Swiss address", "boulevard Masseron 16, 8029 Bourquin", "boulevard Masseron 16, 8029 Bourquin"),
]


@pytest.mark.parametrize(("text", "piece"), [one[1:] for one in PIECES], ids=[one[0] for one in PIECES])
def test_found(text, piece):
    assert covered(text, piece)


NOTHING = [
    "Order 1001 was shipped",
    "Your order ORD-000849472 is on its way",
    "number 4155552671 in the list",
    "trace 6f1c2b7e-54aa-4c0e-9b0f-0d5f2a1b7c11 at 1704103230",
    "we released version 1.2.3 after 14 days",
    "it costs 1,299.00 EUR, or $42",
    "since 2016, and again yesterday",
    "Please restart the router and wait 30 seconds.",
    "May I ask when it will be mended? I hope soon.",
    "<PERSON> wrote from <EMAIL_ADDRESS> about ****1234",
    "enc:ab/+4930231250161234==",
    "",
    "   ",
    "\x00\x01\u200b",
    "😀 👍",
]


@pytest.mark.parametrize("text", NOTHING)
def test_nothing_found(text):
    assert found(text) == set()


@pytest.mark.parametrize(
    ("text", "piece", "kind"),
    [
        ("Madison processed the claim.", "Madison", "PERSON"),
        ("Jordan told us about the delay.", "Jordan", "PERSON"),
        ("The shipment arrived in Jordan yesterday.", "Jordan", "LOCATION"),
        ("We opened the Austin office in May.", "Austin", "LOCATION"),
        ("Please ask Austin for the key.", "Austin", "PERSON"),
        ("She flew to Charlotte on business.", "Charlotte", "LOCATION"),
        ("Morgan Holdings signed it.", "Morgan", "ORGANIZATION"),
        ("NPI 1234567893 is on file.", "1234567893", "US_NPI"),
        ("provider | phone\nDr. Weiss | 1234567893", "1234567893", "US_NPI"),
        ("Policy number 48291034 lapsed", "48291034", "ACCOUNT_NUMBER"),
        ("MRN 48291034", "48291034", "HEALTH_ID"),
    ],
)
def test_the_words_around_decide_the_kind(text, piece, kind):
    assert (piece, kind) in found(text)


def test_kinds_are_told_apart():
    text = "Anna Kowalska, born 12/03/1980, a@x.com, +49 30 23125 016, card 4111 1111 1111 1111"
    kinds = {kind for _, kind in found(text)}
    assert kinds == {"PERSON", "DATE_OF_BIRTH", "EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD"}


def test_an_e_mail_is_no_url():
    assert found("write to a.b@mail.example.com") == {("a.b@mail.example.com", "EMAIL_ADDRESS")}


def test_redact_puts_the_kind_in_the_place():
    text = "mail a@x.com from 10.1.2.3"
    assert scanner().redact(text, scanner().spans([text])[0]) == "mail <EMAIL_ADDRESS> from <IP_ADDRESS>"


def test_a_second_run_changes_nothing():
    texts = [text for _, text, _ in PIECES] + ["Anna met Bob Jones in Paris on 3 May 2021, call 212-555-0198 x12"]
    once = [scanner().redact(text, spans) for text, spans in zip(texts, scanner().spans(texts), strict=True)]
    twice = [scanner().redact(text, spans) for text, spans in zip(once, scanner().spans(once), strict=True)]
    assert twice == once


def test_a_batch_gives_what_each_text_gives():
    texts = [text for _, text, _ in PIECES] * 2
    assert scanner().spans(texts) == [scanner().spans([text])[0] for text in texts]


def test_a_long_text_is_looked_at_to_its_end():
    text = "Nothing to see here, move along. " * 400 + "mail a@x.com"
    assert len(text) > 10_000
    assert found(text) == {("a@x.com", "EMAIL_ADDRESS")}


@pytest.mark.parametrize(
    "unit", ["A", "a.", "12-", "a.b-c_", "Aa-", "Anna, ", "user ", "A\n", "(0", "王", "e\u0301", "\t\n"]
)
def test_long_odd_texts_end_soon(unit):
    for span in scanner().spans([unit * (6_000 // len(unit))])[0]:
        assert span.start < span.end


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=200))
def test_any_text_gives_ordered_spans_inside_it(text):
    end = 0
    for span in scanner().spans([text])[0]:
        assert isinstance(span, Span)
        assert end <= span.start < span.end <= len(text)
        end = span.end


def test_allowed_words_are_never_reported():
    rules = Rules(allow=frozenset({"ANNA KOWALSKA", "help@example.com"}))
    assert found("Anna Kowalska, help@example.com, b@example.com", rules) == {("b@example.com", "EMAIL_ADDRESS")}


def test_denied_words_always_are():
    assert found("about project falcon.", Rules(deny=frozenset({"Project Falcon"}))) == {("project falcon", "UNKNOWN")}


def test_recognisers_of_ones_own(tmp_path):
    file = tmp_path / "recognizers.yaml"
    file.write_text(
        "recognizers:\n"
        "  - name: Staff\n    supported_entity: STAFF_ID\n    context: [staff]\n    patterns:\n"
        "      - {name: staff, regex: 'ST-\\d{6}', score: 0.9}\n"
        "      - {name: weak, regex: '\\bQ\\d{4}\\b', score: 0.2}\n"
    )
    rules = Rules(recognizers=file)
    assert found("see ST-123456", rules) == {("ST-123456", "STAFF_ID")}
    assert found("see Q1234", rules) == set()
    assert found("staff Q1234", rules) == {("Q1234", "STAFF_ID")}


def test_nothing_is_fetched(monkeypatch):
    def refuse(*_args, **_named):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert covered("Anna Kowalska, a@mail.example.co.uk, https://example.co.uk", "a@mail.example.co.uk")


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, atlas_pipeline.pii.text, atlas_pipeline.pii.sweep\n"
        "print([name for name in ('presidio_analyzer', 'spacy', 'pandas', 'faker', 'phonenumbers') if name in"
        " sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
