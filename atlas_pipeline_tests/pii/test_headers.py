"""What headers say, in several languages and spellings."""

import pytest

from atlas_pipeline.pii.columns.headers import names_of, qualified, read, words
from atlas_pipeline.pii.kinds import KINDS


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("LenderZipCode", ("lender", "zip", "code")),
        ("b_firstname", ("b", "first", "name")),
        ("nameFirst", ("name", "first")),
        ("E-Mail-Adresse", ("email", "adresse")),
        ("DoB", ("dob",)),
        ("Straße", ("strasse",)),
        ("dirección", ("direccion",)),
        ("EMP_BIRTH_DT", ("employee", "birth", "date")),
        ("phone 2", ("phone", "2")),
        ("ｅｍａｉｌ", ("email",)),
        ("", ()),
    ],
)
def test_a_header_falls_into_words(header: str, expected: tuple[str, ...]) -> None:
    assert words(header) == expected


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("email_address", "EMAIL_ADDRESS"),
        ("E-Mail-Adresse", "EMAIL_ADDRESS"),
        ("courriel", "EMAIL_ADDRESS"),
        ("emailid", "EMAIL_ADDRESS"),
        ("phone1", "PHONE_NUMBER"),
        ("teléfono", "PHONE_NUMBER"),
        ("Mob No", "PHONE_NUMBER"),
        ("telemóvel", "PHONE_NUMBER"),
        ("D.O.B", "DATE_OF_BIRTH"),
        ("fødselsdato", "DATE_OF_BIRTH"),
        ("date de naissance", "DATE_OF_BIRTH"),
        ("data_di_nascita", "DATE_OF_BIRTH"),
        ("geboortedatum", "DATE_OF_BIRTH"),
        ("birthYear", "DATE_OF_BIRTH"),
        ("AddressLine1", "STREET_ADDRESS"),
        ("endereço", "STREET_ADDRESS"),
        ("ipAddress", "IP_ADDRESS"),
        ("src_ip", "IP_ADDRESS"),
        ("código postal", "ZIPCODE"),
        ("birthCity", "CITY"),
        ("birthplace", "CITY"),
        ("Vorname", "PERSON"),
        ("nom de famille", "PERSON"),
        ("achternaam", "PERSON"),
        ("sobrenome", "PERSON"),
        ("cognome", "PERSON"),
        ("contact_person", "PERSON"),
        ("purchased_by", "PERSON"),
        ("school_name", "ORGANIZATION"),
        ("codice fiscale", "NATIONAL_ID"),
        ("führerschein", "DRIVER_LICENSE"),
    ],
)
def test_a_header_names_a_kind(header: str, kind: str) -> None:
    assert read(header).kind == kind
    assert kind in KINDS


@pytest.mark.parametrize(
    "header",
    [
        "public_id",
        "file_name",
        "hostname",
        "product_name",
        "event_name",
        "email_sent",
        "phone_model",
        "ip_count",
        "card_type",
        "address_type",
        "is_mobile",
        "showEmail",
        "playerID",
        "user_agent",
        "birthWeight",
        "email_verified_at",
        "state_name",
        "home_team",
        "order_number",
    ],
)
def test_a_header_of_something_else_names_no_kind(header: str) -> None:
    hint = read(header)
    assert hint.kind is None
    assert hint.other


@pytest.mark.parametrize("header", ["col1", "c", "field_3", "Unnamed: 17", "17", "", "???"])
def test_a_header_that_says_nothing(header: str) -> None:
    hint = read(header)
    assert (hint.kind, hint.other) == (None, False)


@pytest.mark.parametrize("header", ["name", "driver", "mobile", "pin", "location", "mail"])
def test_a_word_with_more_than_one_meaning_is_a_weak_hint(header: str) -> None:
    hint = read(header)
    assert hint.kind
    assert not hint.strong


def test_whose_name_it_is() -> None:
    assert names_of(words("authorName"))
    assert not names_of(words("repoName"))
    assert qualified(words("stallName"))
    assert not qualified(words("name"))
