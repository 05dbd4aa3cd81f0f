"""What `profile()` says of whole columns: by values, by header, by both, and by the columns beside them."""

import time
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from atlas_pipeline.pii.kinds import KINDS
from atlas_pipeline.pii.plan import ColumnProfile
from atlas_pipeline.pii.profile import profile
from atlas_pipeline.pii.rules import Rules

EMAILS = ["ann.lee@example.org", "bob@example.com", "c.roe@sub.example.net"]
NAMES = ["Anna Schmidt", "Maria Rossi", "John Miller", "Laura Garcia", "Peter Brown"]


def one(name: str, values: Any, rules: Rules | None = None, **beside: Any) -> ColumnProfile:
    """The profile of one column, among others if need be."""
    return profile({name: values} | beside, rules)[0]


def said(name: str, values: Any, **beside: Any) -> str:
    """The kind of a typed column, the class of any other."""
    found = one(name, values, **beside)
    return found.entity or "" if found.column_class == "typed" else found.column_class


TYPED: list[tuple[str, Sequence[Any], str]] = [
    ("email", EMAILS, "EMAIL_ADDRESS"),
    ("col1", EMAILS, "EMAIL_ADDRESS"),
    ("contact", ["first.last@x.co", "jane.roe@y.io"], "EMAIL_ADDRESS"),
    ("website", ["first.last@x.co", "jane.roe@y.io"], "EMAIL_ADDRESS"),
    ("mail", ["user@intranet.local", "root@intranet.local"], "EMAIL_ADDRESS"),
    ("email_id", ["a@email.com", "c.s#example.ac.uk"], "EMAIL_ADDRESS"),
    ("col1", ["an\u200bn@example.org", "b\u200bob@example.com"], "EMAIL_ADDRESS"),
    ("col1", ["ａｎｎ＠ｅｘａｍｐｌｅ．ｏｒｇ", "ｂｏｂ＠ｅｘａｍｐｌｅ．ｃｏｍ"], "EMAIL_ADDRESS"),
    ("phone", ["(652) 828-9297", "(615) 584-9448"], "PHONE_NUMBER"),
    ("col2", ["+49 30 901820", "+44 20 7946 0958", "+1 415 555 2671"], "PHONE_NUMBER"),
    ("mobile", ["8801819404601.0", "8801556302487.0", ""], "PHONE_NUMBER"),
    ("phone", ["4.155552671e9", "4.155552672e9"], "PHONE_NUMBER"),
    ("Telefon", [49309018200.0, float("nan"), 49309018201.0], "PHONE_NUMBER"),
    ("contact_phone", [4155552671, 4155552672], "PHONE_NUMBER"),
    ("first_name", ["JOHN", "MARY", "ZOË"], "PERSON"),
    ("b_firstname", ["John"], "PERSON"),
    ("nameFirst", ["David", "Henry"], "PERSON"),
    ("col3", ["ANNA SCHMIDT", "MARIA ROSSI", "JOHN MILLER", "LAURA GARCIA"], "PERSON"),
    ("col3", ["Schmidt, Anna", "Rossi, Maria", "Miller, John", "Garcia, Laura"], "PERSON"),
    ("col3", ["山田太郎", "鈴木花子", "佐藤健一", "高橋直子"], "PERSON"),
    ("col3", ["Иван Иванов", "Мария Смирнова", "Анна Кузнецова"], "PERSON"),
    ("name", NAMES, "PERSON"),
    ("UserName", NAMES, "PERSON"),
    ("address", ["102 S PENINSULA DR APT 203", "381 ARTHUR ST"], "STREET_ADDRESS"),
    ("Anschrift", ["Hauptstraße 5", "Am Markt 12a"], "STREET_ADDRESS"),
    ("col4", ["12 Main Street", "4105 Alesbury Dr", "7 Oak Avenue"], "STREET_ADDRESS"),
    ("dirección", ["Calle Mayor 3", "Avenida de la Paz, 21"], "STREET_ADDRESS"),
    ("city", ["Berlin", "Paris", "New York"], "CITY"),
    ("Wohnort", ["Köln", "Bonn"], "CITY"),
    ("LenderZipCode", ["94107", "94122"], "ZIPCODE"),
    ("plz", [1067, 70174], "ZIPCODE"),
    ("code_postal", ["75001.0", "69002.0"], "ZIPCODE"),
    ("col5", ["SW1A 1AA", "EC1A 1BB", "M1 1AE"], "ZIPCODE"),
    ("Date of Birth", ["08/31/1989", "04/21/1984"], "DATE_OF_BIRTH"),
    ("dob", [date(1980, 1, 2), datetime(1979, 5, 6), None], "DATE_OF_BIRTH"),
    ("Geburtsdatum", ["31.08.1989", "21.04.1984"], "DATE_OF_BIRTH"),
    ("birth_year", [1980, 1975], "DATE_OF_BIRTH"),
    ("birthMonth", [4, 12], "DATE_OF_BIRTH"),
    ("day_of_birth", [4, 12, 31], "DATE_OF_BIRTH"),
    ("age", [31, 45], "AGE"),
    ("gender", ["Male", "Female"], "GENDER"),
    ("sex", ["1.0", "0.0"], "GENDER"),
    ("col6", ["female", "male", "female"], "GENDER"),
    ("race", ["Asian", "White"], "NRP"),
    ("Familienstand", ["ledig", "verheiratet"], "MARITAL_STATUS"),
    ("address", ["10.0.0.1", "192.168.1.7"], "IP_ADDRESS"),
    ("client", ["2001:db8::1", "fe80::1"], "IP_ADDRESS"),
    ("address", ["00:1a:2b:3c:4d:5e", "00:1a:2b:3c:4d:5f"], "MAC_ADDRESS"),
    ("address", EMAILS, "EMAIL_ADDRESS"),
    ("user_name", ["https://me.example.com/a", "https://www.example.com/o8/id?id=1"], "URL"),
    ("website", ["example.com", "shop.example.org"], "URL"),
    ("lat", ["39.142494", "39.121981"], "GEO_COORDINATES"),
    ("col7", ["25.7807,-80.2952", "48.8566, 2.3522"], "GEO_COORDINATES"),
    ("col8", ["4111 1111 1111 1111", "5500 0000 0000 0004"], "CREDIT_CARD"),
    ("credit_card", ["4111111111111111", "5500000000000004.0"], "CREDIT_CARD"),
    ("col8", ["5.020433595691893e+18", "4111111111111111", "5500000000000004", "340000000000009"], "CREDIT_CARD"),
    ("col9", ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432"], "IBAN_CODE"),
    ("col9", ["536-90-4399", "219-09-9998", "457-55-5462"], "US_SSN"),
    ("ssn", [536904399, 219099998], "US_SSN"),
    ("nhs_number", ["943 476 5919", "9434765919"], "UK_NHS"),
    ("passport_no", ["C01X00T47", "L898902C3"], "PASSPORT"),
    ("DL Number", ["G650139067678", "C613-179-84-141-0"], "DRIVER_LICENSE"),
    ("col9", ["12345678Z", "87654321X", "X1234567L"], "NATIONAL_ID"),
    ("imei", ["490154203237518", "356938035643809"], "DEVICE_ID"),
    ("vin", ["1M8GDM9AXKP042788", "1HGCM82633A004352"], "VEHICLE_ID"),
    ("account_number", ["12345678", "87654321"], "ACCOUNT_NUMBER"),
    ("password", ["patient1.pw", "hunter2!"], "SECRET"),
    ("config", ["AKIAIOSFODNN7EXAMPLE", "ghp_0123456789abcdefghijklmnopqrstuvwxyz"], "SECRET"),
    ("login", ["jsmith", "adoe2"], "USERNAME"),
    ("company", ["Example GmbH", "JetBrains s.r.o."], "ORGANIZATION"),
]

CLEAN: list[tuple[str, Sequence[Any]]] = [
    ("file_name", ["report.pdf", "scan_01.png"]),
    ("public_id", ["b0f1a6a0-52b5-4e0e-9d2b-3f5f5a0e0c11", "b0f1a6a0-52b5-4e0e-9d2b-3f5f5a0e0c12"]),
    ("driver", ["e1000e", "nvidia", "psycopg2"]),
    ("product_name", ["Steel Chair", "Desk Lamp"]),
    ("hostname", ["web-01", "db-02"]),
    ("event_name", ["page_view", "purchase"]),
    ("name", ["USB Cable", "HDMI-2", "Blue Widget", "A-113"]),
    ("email_sent", [True, False]),
    ("email", ["yes", "no"]),
    ("phone_model", ["iPhone 12", "Galaxy S21"]),
    ("mobile", ["true", "false"]),
    ("ip_count", [1, 2, 30]),
    ("card_type", ["visa", "amex"]),
    ("address_type", ["delivery", "billing"]),
    ("Address", ["0"]),
    ("age_of_page", ["12", "13"]),
    ("created_at", ["2024-01-02", "2024-02-03"]),
    ("order date", [datetime(2024, 1, 2), datetime(2024, 2, 3), None]),
    ("order_number", [4155552671, 4155552672, 9434765919]),
    ("year", [1980, 1990]),
    ("id", [1001, 1002, 4155552671]),
    ("epoch", [1600000000, 1600000001]),
    ("visits", ["01-21-2013", "05-05-2017", "12-21-2016"]),
    ("uuid", ["b0f1a6a0-52b5-4e0e-9d2b-3f5f5a0e0c11"]),
    ("price", ["24.95", "74.85"]),
    ("quantity", [1, 2, 3]),
    ("version", ["1.2.3.4", "2.0.0.1"]),
    ("status", ["open", "closed"]),
    ("country", ["US", "DE"]),
    ("ean", ["4006381333931", "5901234123457"]),
    ("given_birth", ["1.0", "0.0"]),
    ("payload", ["{}", '{"a": 1}']),
]


@pytest.mark.parametrize(("name", "values", "kind"), TYPED, ids=[f"{name}-{kind}" for name, _, kind in TYPED])
def test_a_column_of_one_kind_is_typed(name: str, values: Sequence[Any], kind: str) -> None:
    assert said(name, values) == kind
    assert kind in KINDS


@pytest.mark.parametrize(("name", "values"), CLEAN, ids=[name for name, _ in CLEAN])
def test_what_is_not_personal_is_clean(name: str, values: Sequence[Any]) -> None:
    assert said(name, values) == "clean"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (
            "notes",
            [f"Visit {at} went well and the patient left happy" for at in range(500)] + ["Ask ann@example.org now"],
        ),
        ("code", [f"A-{at}" for at in range(500)] + ["A-7, ask ann@example.org"]),
        ("payload", ['{"who": "ann@example.org"}', '{"who": null}']),
        ("link", ["https://example.org/?q=1", "https://example.org/u?mail=ann@example.org"]),
        ("col1", ["card 4111 1111 1111 1111 was declined"]),
        ("body", ["x" * 4000 + " ann@example.org " + "y " * 500, "z" * 5000]),
    ],
)
def test_personal_data_inside_other_text_makes_free_text(name: str, values: Sequence[str]) -> None:
    assert said(name, values) == "free_text"


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("ssn", ["abc-def", "q/17-x"], "US_SSN"),
        ("email", ["ann at example", "bob at example"], "EMAIL_ADDRESS"),
        ("last_name", ["17/4-B", "18/4-C"], "PERSON"),
        ("order_ref", ["4111111111111111", "5500000000000004", "340000000000009"], "CREDIT_CARD"),
    ],
)
def test_what_looks_personal_and_is_not_proven_is_uncertain(name: str, values: Sequence[str], kind: str) -> None:
    found = one(name, values)
    assert (found.column_class, found.entity) == ("uncertain", kind)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [None, None],
        ["", "  ", "NULL", "N/A", "nan", "-"],
        [float("nan"), pd.NaT, pd.NA, None],
        pd.Series([np.nan, np.nan]),
        pd.Series([pd.NaT, pd.NaT]),
        pa.array([None, None]),
        pa.chunked_array([], pa.string()),
    ],
    ids=range(8),
)
def test_an_empty_column_is_clean_whatever_its_header(values: Any) -> None:
    found = one("phone", values)
    assert (found.column_class, found.entity, found.confidence) == ("clean", None, 0.0)
    assert found.evidence["rows"] == found.evidence["missing"] == len(values)


@pytest.mark.parametrize(
    "values",
    [
        ["<EMAIL_ADDRESS>", "<EMAIL_ADDRESS>"],
        ["****1234", "****9876"],
        ["enc:0123abcd:EMAIL_ADDRESS:AAAA", "enc:0123abcd:EMAIL_ADDRESS:BBBB"],
    ],
)
def test_a_masked_column_is_clean(values: list[str]) -> None:
    found = one("email", values)
    assert (found.column_class, found.evidence["masked"]) == ("clean", 2)


def test_digests_under_a_sure_header_may_be_without_a_key() -> None:
    digests = ["a" * 64, "0f" * 32]
    assert (one("email", digests).column_class, one("email", digests).entity) == ("uncertain", "EMAIL_ADDRESS")
    assert one("checksum", digests).column_class == one("name", digests).column_class == "clean"


@pytest.mark.parametrize(
    "values",
    [
        pa.array(EMAILS * 2),
        pa.chunked_array([EMAILS, EMAILS]),
        pa.array(EMAILS * 2).dictionary_encode(),
        pd.Series(EMAILS * 2, index=[0, 0, 1, 1, 2, 2]),
        pd.Series(EMAILS * 2, dtype="category"),
        np.array(EMAILS * 2, dtype=object),
        tuple(EMAILS * 2),
    ],
    ids=["arrow", "chunked", "dictionary", "duplicate index", "category", "numpy", "tuple"],
)
def test_every_container_counts_the_same(values: Any) -> None:
    found = one("x", values)
    assert found.entity == "EMAIL_ADDRESS"
    assert (found.evidence["rows"], found.evidence["distinct"]) == (6, 3)


def test_a_float_series_of_phones() -> None:
    assert said("mobile", pd.Series([4155552671.0, np.nan, 4155552672.0])) == "PHONE_NUMBER"


def test_a_datetime_series() -> None:
    days = pd.Series(pd.to_datetime(["1980-01-02", None, "1979-05-06"]))
    assert said("birthdate", days) == "DATE_OF_BIRTH"
    assert said("created", days) == "clean"
    assert said("dob", pa.array([date(1980, 1, 2), None])) == "DATE_OF_BIRTH"


def test_values_that_cannot_be_keys_are_read_as_text() -> None:
    assert said("tags", [["a"], {"b": 1}, None]) == "clean"
    assert said("people", pa.array([{"mail": "ann@example.org"}, None])) == "free_text"


def test_the_table_decides_what_a_name_is() -> None:
    unknown = ["Aaarsh", "Qwerin", "Zolbat", "Mirhun"]
    assert said("name", unknown, email=EMAILS, dob=["1980-01-02"]) == "PERSON"
    assert said("name", unknown, email=EMAILS, phone=["+49 30 901820"]) == "uncertain"
    assert said("name", unknown, price=[1.5], sku=["a-1"]) == "clean"


def test_towns_that_are_also_names_are_not_people() -> None:
    towns = one("name", ["Paris", "London", "Austin", "Victoria"], population=[1, 2, 3, 4], lat=["48.8", "51.5"])
    assert towns.column_class != "typed"


def test_the_order_of_rows_and_columns_does_not_matter() -> None:
    columns = {"name": NAMES, "email": EMAILS, "notes": ["all is well today", "nothing to be said"]}
    forward = {found.name: found for found in profile(columns)}
    backward = {found.name: found for found in profile({name: columns[name][::-1] for name in reversed(columns)})}
    assert forward == backward


def test_an_allowed_word_does_not_vote() -> None:
    rules = Rules(allow=frozenset({"Ann.Lee@example.org"}))
    assert one("col1", ["ann.lee@example.org", "open", "closed"], rules).column_class == "clean"
    assert one("col1", ["ann.lee@example.org", "open", "closed"]).column_class == "free_text"


def test_a_denied_word_makes_free_text_at_least() -> None:
    found = one("project", ["apollo", "Falcon", "gemini"], Rules(deny=frozenset({"falcon"})))
    assert (found.column_class, found.evidence["denied"]) == ("free_text", 1)
    assert one("email", [*EMAILS, "falcon"], Rules(deny=frozenset({"falcon"}))).entity == "EMAIL_ADDRESS"


def test_a_recogniser_of_ones_own_votes_for_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "recognizers:\n"
        "  - name: badge\n"
        "    supported_entity: BADGE\n"
        "    supported_language: en\n"
        "    patterns:\n"
        "      - {name: badge, regex: 'BDG-\\d{4}', score: 0.9}\n",
        encoding="utf-8",
    )
    rules = Rules(recognizers=path)
    assert one("col1", ["BDG-1234", "BDG-5678"], rules).entity == "BADGE"
    assert one("col1", ["lost", "found", "see BDG-5678"], rules).column_class == "free_text"


def test_no_value_is_in_the_profile() -> None:
    found = profile({"email": EMAILS, "name": NAMES, "notes": ["call ann.lee@example.org at once, please do"]})
    text = repr(found)
    assert not [value for value in EMAILS + NAMES if value in text]
    assert all(isinstance(count, int) for column in found for count in column.evidence.values())


def test_many_rows_and_long_cells_are_cheap() -> None:
    profile({"warm": NAMES})
    start = time.perf_counter()
    found = profile(
        {
            "same": pa.array(["ann@example.org"] * 1_000_000),
            "long": [f"{at} " + "word " * 1000 for at in range(500)],
            "keys": pa.array(range(300_000)),
        }
    )
    assert time.perf_counter() - start < 20
    assert [column.column_class for column in found] == ["typed", "free_text", "clean"]
