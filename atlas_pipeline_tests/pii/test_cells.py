"""What single cells look like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.pii.checks import luhn, nhs, vin
from atlas_pipeline.pii.columns.cells import embeds, plain_number, votes


@pytest.mark.parametrize(
    ("cell", "vote"),
    [
        ("ann.lee@example.org", "EMAIL_ADDRESS"),
        ("Ann Lee <ann@example.org>", "EMAIL_ADDRESS"),
        ("ann@example.org; bob@example.com", "EMAIL_ADDRESS"),
        ("root@localhost", "EMAIL_ADDRESS"),
        ("jörg@münchen.example", "EMAIL_ADDRESS"),
        ("https://example.org/?q=1", "URL"),
        ("10.0.0.1:8080", "IP_ADDRESS"),
        ("2001:db8::1", "IP_ADDRESS"),
        ("001a.2b3c.4d5e", "MAC_ADDRESS"),
        ("4111-1111-1111-1111", "CREDIT_CARD"),
        ("GB82 WEST 1234 5698 7654 32", "IBAN_CODE"),
        ("943 476 5919", "UK_NHS"),
        ("+1 415 555 2671", "PHONE_NUMBER"),
        ("04 68 48 53 65", "national_phone"),
        ("0711/2842222", "national_phone"),
        ("8801819404601.0", "phone_digits"),
        ("31.08.1989", "date"),
        ("August 31, 1989", "date"),
        ("19890831", "date"),
        ("1989", "year"),
        ("SW1A 1AA", "strong_zip"),
        ("Anna Schmidt", "full_name"),
        ("Schmidt, Anna", "full_name"),
        ("DR. ANNA M. SCHMIDT", "full_name"),
        ("王建华", "full_name"),
        ("김영수", "full_name"),
        ("12 Main Street", "STREET_ADDRESS"),
        ("Theodor-Heuss-Straße 34", "STREET_ADDRESS"),
        ("1498 rue Bélanger", "STREET_ADDRESS"),
        ("Example Holdings Ltd", "organization"),
        ("0x52908400098527886E0F7030069857D2E4169EE7", "CRYPTO"),
    ],
)
def test_a_cell_casts_its_vote(cell: str, vote: str) -> None:
    assert vote in votes(cell)


@pytest.mark.parametrize(
    ("cell", "vote"),
    [
        ("4111111111111112", "CREDIT_CARD"),
        ("DE89370400440532013001", "IBAN_CODE"),
        ("999.1.1.1", "IP_ADDRESS"),
        ("12:30:11", "IP_ADDRESS"),
        ("01-21-2013", "national_phone"),
        ("978-3-16-148410-0", "US_SSN"),
        ("31a77b417911747e41ef9936f9a4b657", "CRYPTO"),
        ("Steel Chair", "full_name"),
        ("We met at 12 in the park and it was fine", "STREET_ADDRESS"),
        ("3.14159265", "phone_digits"),
    ],
)
def test_a_cell_does_not_prove_what_it_resembles(cell: str, vote: str) -> None:
    assert vote not in votes(cell)


@pytest.mark.parametrize(
    "cell",
    [
        "write to ann@example.org",
        '{"to": "ann@example.org"}',
        "call +49 30 901820 now",
        "call (415) 555-2671",
        "ssn 536-90-4399",
        "card 4111 1111 1111 1111",
        "to DE89 3704 0044 0532 0130 00",
    ],
)
def test_personal_data_in_other_text_is_seen(cell: str) -> None:
    assert embeds(cell)


@pytest.mark.parametrize("cell", ["all is well", "order 4111 1111 1111 1112", "see AB12 3456 7890 1234", "1.2.3 @ 5"])
def test_other_text_is_left_alone(cell: str) -> None:
    assert not embeds(cell)


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("8801819404601.0", "8801819404601"),
        ("4.155552671e9", "4155552671"),
        ("5.02043359569189e+18", "5020433595691890000"),
        ("1.5", "1.5"),
        ("1.5e99", "1.5e99"),
        ("abc.0", "abc.0"),
    ],
)
def test_a_number_mangled_to_a_float_is_restored(cell: str, number: str) -> None:
    assert plain_number(cell) == number


def test_check_digits() -> None:
    assert luhn("4111111111111111")
    assert not luhn("4111111111111112")
    assert nhs("9434765919")
    assert not nhs("9434765918")
    assert vin("1M8GDM9AXKP042788")
    assert not vin("1M8GDM9A1KP042788")


@given(st.text() | st.text(alphabet=st.characters(categories=["Nd", "No", "Nl", "P"])))
def test_any_text_is_read(cell: str) -> None:
    assert all(vote.strip() for vote in votes(cell))
