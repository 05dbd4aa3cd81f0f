"""`votes(cell)`: the kinds that the whole text of a cell proves, and the shapes that fit a kind if the header agrees.

Belongs here: tests of one cell as a whole. Does not belong here: personal data inside prose (`text/`), people's names
and addresses (`columns/words.py`), check digits (`../checks.py`), and what a column is.
"""

import html
import ipaddress
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import cache

from atlas_pipeline.pii.checks import iban, luhn, nhs, vin
from atlas_pipeline.pii.columns.positions import position, position_within
from atlas_pipeline.pii.columns.words import word_votes
from atlas_pipeline.pii.gazetteer import listed
from atlas_pipeline.pii.secrets import whole_secret

LONG = 400
"""Most characters of a cell that is classified; longer ones are prose or documents."""

EMAIL = re.compile(
    r"[\w.!#$%&'*+/=?^`{|}~-]+@(?:[\w](?:[\w-]*[\w])?\.)+(?:[^\W\d_]{2,24}|xn--[\w-]+)|[\w.+-]+@localhost", re.ASCII
)
_EMAIL_UNICODE = re.compile(r"[^\s@<>,;:\"()\[\]]+@(?:[^\W_](?:[\w-]*\w)?\.)+[^\W\d_]{2,24}")
_NAMED_EMAIL = re.compile(r"[^@<>]{0,80}<([^@<>\s]+@[^@<>\s]+)>")
_URL = re.compile(r"(?:[a-z][a-z0-9+.-]{1,15}://|www\.)[^\s/?#]+[^\s]*", re.IGNORECASE)
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}(?:[:/?#]\S*)?", re.IGNORECASE)
_PATH = re.compile(r"/?[\w.%~-]+(?:[/-][\w.%~-]+)+/?|/[\w.%~-]*")
_MAC = re.compile(r"[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}", re.I)
_BARE_MAC = re.compile(r"(?=\d*[a-f])[0-9a-f][02468ace][0-9a-f]{10}", re.IGNORECASE)
"""Twelve hexadecimal digits, one of them a letter, without the bit of an address of many (IEEE 802, section 8.2)."""
_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2}|:\d{1,5})?")
_UUID = re.compile(r"\{?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\}?", re.IGNORECASE)
_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
_CARD = re.compile(
    r"4\d{12}(?:\d{3})?(?:\d{3})?|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|6(?:011|4[4-9]\d|5\d\d)\d{12}|(?:2131|1800|35\d{3})\d{11}|62\d{14,17}|(?:50|5[6-9]|6\d)\d{10,17}"
)
_GROUPED = re.compile(r"\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{5}")
_SSN = re.compile(r"(?!000|666|9)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}")
_NHS = re.compile(r"\d{3} \d{3} \d{4}")
_CRYPTO = re.compile(r"bc1[ac-hj-np-z02-9]{25,60}|[13][1-9A-HJ-NP-Za-km-z]{25,34}|0x[0-9a-fA-F]{40}")
_VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}", re.IGNORECASE)
_GEO_PAIR = re.compile(r"\(?\s*(-?\d{1,3}\.\d{2,})\s*°?\s*[NS]?\s*[,; ]\s*(-?\d{1,3}\.\d{2,})\s*°?\s*[EW]?\s*\)?")
_DECIMAL = re.compile(r"[+-]?\d{1,3}(?:[.,]\d+)?\s*°?\s*[NSEW]?")
_PHONE = re.compile(r"\(?\+?[\d(][\d\s().\-/–]{5,22}\d(?:\s*(?:x|ext\.?|#)\s*\d{1,6})?", re.IGNORECASE)
_NATIONAL_PHONE = re.compile(
    r"(?:\+?1[-. ])?\([2-9]\d\d\) ?\d{3}[-. ]\d{4}(?: ?x\d+)?|(?:\+?1[-. ])?[2-9]\d\d([-.])\d{3}\1\d{4}(?: ?x\d+)?|"
    r"\(?0\d{1,5}\)?[ /-]\d[\d -]{4,10}\d|\(0\d{1,5}\)\s?\d{5,9}|0\d(?:[ .]\d\d){4}"
)
_DATE = re.compile(
    r"(?:\d{4}[-/.年]\s?\d{1,2}[-/.月]\s?\d{1,2}日?|\d{1,2}[-/. ]\s?\d{1,2}[-/. ]\s?(?:\d{4}|\d{2})|"
    r"\d{1,2}[-. ]{1,2}[^\W\d_]{3,10}\.?[-., ]{1,2}\d{2,4}|[^\W\d_]{3,10}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4}|"
    r"\d{1,2} de [^\W\d_]+ de \d{4})"
    r"(?:[T ,].{1,24})?",
    re.IGNORECASE,
)
_MORE_NUMBERS = re.compile(r"\d\d(?:[ .-]\d\d){3,5}")
_DAY_FIRST = re.compile(r"(\d{1,2})[-/. ]\s?(\d{1,2})[-/. ]")
_PACKED_DATE = re.compile(r"(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_MONTH = re.compile(r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}", re.IGNORECASE)
_STRONG_ZIP = re.compile(
    r"[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}|[ABCEGHJ-NPRSTVXY]\d[A-Z][ -]?\d[A-Z]\d|\d{5}-\d{4}|\d{4} ?[A-Z]{2}|\d{5}-\d{3}",
    re.IGNORECASE,
)
_ZIP = re.compile(r"(?:[A-Z]{1,3}[- ])?(?=[A-Z -]*\d)[A-Z\d]{2,6}(?:[- ][A-Z\d]{2,5})?", re.IGNORECASE)
_FLAG = re.compile(
    r"true|false|yes|no|y|n|t|f|0|1|on|off|ja|nein|si|oui|non|sim|nao|verdadero|falso|x|✓", re.IGNORECASE
)
_AGE_RANGE = re.compile(
    r"\d{1,3}\s?(?:-|–|to)\s?\d{1,3}|\d{2}\+|[<>]=?\s?\d{2}|\d{1,3} ?(?:y|yrs?|years?)\.?(?: old)?", re.I
)
_GENDERS = listed(
    "male female man woman men women boy girl non-binary nonbinary transgender trans genderqueer genderfluid agender "
    "bigender polygender männlich weiblich divers maennlich herr frau homme femme masculin féminin feminin masculino "
    "femenino hombre mujer feminino mulher homem maschio femmina uomo donna maschile femminile mann mand kvinne kvinna "
    "vrouw vrouwelijk mannelijk kobieta mężczyzna mężczyzna мужской женский 男 女 男性 女性"
)
_MARITAL = listed(
    "single married divorced widowed widow widower separated engaged unmarried ledig verheiratet geschieden verwitwet "
    "célibataire marié mariée divorcé divorcée veuf veuve soltero soltera casado casada divorciado divorciada viudo "
    "viuda solteiro solteira viúvo viúva celibe nubile coniugato coniugata sposato sposata divorziato divorziata "
    "vedovo vedova ongehuwd gehuwd gescheiden getrouwd cohabiting partnered"
)
_PERSONAL_KEY = re.compile(
    r"""["'](?:\w*(?:first|last|sur|full|user)_?name|name|e?_?mail|phone|mobile|\w*address|ip|dob|birth\w*|ssn)["']\s*:?\s*["'\[{]""",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d")
_CODE = re.compile(r"(?=.*\d)[A-Z0-9][A-Z0-9 ./-]{3,29}", re.IGNORECASE)
_LOGIN = re.compile(r"@?(?=.*[^\W\d_])[\w.\-+\\]{2,40}")


def plain_number(cell: str) -> str:
    """The cell, with a whole number restored where it was written as a float: `4.155552671e9` is 4155552671."""
    if cell.endswith((".0", ".00")) or ("e" in cell.casefold() and "." in cell):
        try:
            number = Decimal(cell)
        except InvalidOperation:
            return cell
        if number.is_finite() and number.adjusted() < 30 and number == number.to_integral_value():
            return str(int(number))
    return cell


@cache
def _embedded() -> re.Pattern[str]:
    return re.compile(
        r"[\w.+-]+(?:@|%40)(?:[\w-]+\.)+[a-z]{2,24}\b|\b(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}\b|"
        r"(?<![\w+])\+\d{1,3}[ (]?[\d ().-]{7,14}\d\b|\(\d{3}\) ?\d{3}-\d{4}\b|(?<![\d-])\d{3}-\d{3}-\d{4}(?![\d-])|"
        r"\b\d{4}([ -])\d{4}\1\d{4}\1\d{4}\b|\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b|"
        r"[?&;](?:(?:(?i:first|last|full|sur|given|family|user|nick)_?(?i:name))|(?i:vorname|nachname|prenom|apellidos?"
        r"|e?mail|phone|mobile|tel|telefon|street|address|birth_?da(?:te|y)|dob|ssn|lat|lng|lon))=[^&\s#;]{2,}|"
        r"=(?:%2[Bb]|\+)\d{7,15}\b|(?:^|[\s\"'])(?:/home|/Users|[A-Za-z]:\\Users)[/\\](?!(?i:public|shared|default|app|user"
        r"|ubuntu|debian|ec2-user|root|admin|runner|node|www|git|jenkins|vagrant|deploy|airflow|postgres)\b)[\w.-]{2,32}"
    )


def embeds(cell: str) -> bool:
    """Whether the cell holds an e-mail address, phone number, SSN, card number or IBAN, possibly within other text."""
    for match in _embedded().finditer(cell):
        text = match.group()
        if text[0].isupper() and text[1:2].isupper() and "@" not in text:
            if iban(text) or "\\" in text:
                return True
        elif len(text) == 19 and text.replace(text[4], "").isdigit():
            if luhn(text.replace(text[4], "")):
                return True
        else:
            return True
    return False


def votes(cell: str) -> frozenset[str]:
    """Classify a cell as a whole. Upper case: kinds that it proves. Lower case: shapes that need a header."""
    if "&" in cell and ";" in cell:
        cell = html.unescape(cell)
    if len(cell) > LONG:
        prose = {"prose"} if " " in cell or not cell.isascii() else set()
        return frozenset(prose | {"embedded"} if embeds(cell) else prose)
    cast = set(_votes(cell))
    if not cast & {"EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "US_SSN"} and embeds(cell):
        cast.add("embedded")
    if cell[:1] in "{[" and cell[-1:] in "}]" and (_PERSONAL_KEY.search(cell) or position_within(cell)):
        cast.add("embedded")
    return frozenset(cast)


def _votes(cell: str) -> Iterator[str]:
    digits = _DIGIT.search(cell) is not None
    if "@" in cell and _is_email(cell):
        yield "EMAIL_ADDRESS"
        return
    if ("://" in cell or cell[:4].casefold() == "www.") and _URL.fullmatch(cell):
        yield "SECRET" if whole_secret(cell) else "GEO_COORDINATES" if position(cell) else "URL"
        return
    if len(cell) <= 120 and position(cell):
        yield "GEO_COORDINATES"
        return
    if digits:
        yield from _digit_votes(plain_number(cell))
    if _FLAG.fullmatch(cell):
        yield "flag"
    if "." in cell and _DOMAIN.fullmatch(cell):
        yield "domain"
    if _PATH.fullmatch(cell):
        yield "path"
    if digits and _CRYPTO.fullmatch(cell) and (cell[0] in "0b" or not cell.islower()):
        yield "CRYPTO"
    if whole_secret(cell):
        yield "SECRET"
    if " " not in cell and _LOGIN.fullmatch(cell):
        yield "login"
    if ":" in cell and ("::" in cell or cell.count(":") >= 4) and _is_ip(cell):
        yield "IP_ADDRESS"
    if not digits:
        folded = cell.casefold()
        if folded in _GENDERS:
            yield "GENDER"
        elif folded in {"m", "f", "w", "d", "h", "u", "o", "v", "k"}:
            yield "gender_letter"
        if folded.split("/")[0] in _MARITAL:
            yield "MARITAL_STATUS"
        if _MONTH.fullmatch(cell):
            yield "month"
    yield from word_votes(cell)


def _is_email(cell: str) -> bool:
    named = _NAMED_EMAIL.fullmatch(cell)
    if named:
        return _is_email(named.group(1))
    if EMAIL.fullmatch(cell) or _EMAIL_UNICODE.fullmatch(cell):
        return True
    parts = re.split(r"[;,|\s]+", cell.strip(";, "))
    return 1 < len(parts) < 20 and all(EMAIL.fullmatch(part) for part in parts)


def _digit_votes(cell: str) -> Iterator[str]:
    if cell.isdecimal():
        yield from _bare_votes(cell)
        return
    if _DATE.fullmatch(cell):
        yield "date"
    if _IPV4.fullmatch(cell):
        if _is_ip(cell):
            yield "IP_ADDRESS"
        return
    if _DECIMAL.fullmatch(cell):
        yield "decimal"
    if _UUID.fullmatch(cell):
        yield "uuid"
        return
    if _MAC.fullmatch(cell):
        yield "MAC_ADDRESS"
        return
    if _BARE_MAC.fullmatch(cell):
        yield "bare_mac"
    compact = cell.replace(" ", "").replace("-", "")
    if _GROUPED.fullmatch(cell) and _is_card(compact):
        yield "CREDIT_CARD"
        return
    if _IBAN.fullmatch(compact.upper()) and iban(compact):
        yield "IBAN_CODE"
        return
    if _SSN.fullmatch(cell):
        yield "US_SSN"
    elif _NHS.fullmatch(cell) and nhs(compact):
        yield "UK_NHS"
    pair = _GEO_PAIR.fullmatch(cell)
    if pair and abs(float(pair[1])) <= 180 and abs(float(pair[2])) <= 180:
        yield "GEO_COORDINATES"
    yield from _phone_votes(cell)
    if _STRONG_ZIP.fullmatch(cell):
        yield "strong_zip"
    if _ZIP.fullmatch(cell):
        yield "zip"
    if _AGE_RANGE.fullmatch(cell):
        yield "age"
    if _VIN.fullmatch(cell) and not cell.isalpha() and vin(cell.upper()):
        yield "VEHICLE_ID"
    if _CODE.fullmatch(cell):
        yield "code"


def _bare_votes(cell: str) -> Iterator[str]:
    size = len(cell)
    yield "digits"
    if 12 <= size <= 19 and _is_card(cell):
        yield "CREDIT_CARD"
    if size > 10 and cell[:2] == "00" and cell[2] != "0" and _is_phone(cell):
        yield "PHONE_NUMBER"
    if size == 15 and luhn(cell):
        yield "imei"
    if size == 10 and nhs(cell):
        yield "nhs"
    if size == 9 and cell[:3] not in {"000", "666"} and cell[0] != "9":
        yield "ssn_digits"
    if 7 <= size <= 15:
        yield "phone_digits"
    if 3 <= size <= 10:
        yield "zip"
    if size <= 3:
        yield "small"
        if int(cell) <= 120:
            yield "age"
    if size <= 2 and 1 <= int(cell) <= 31:
        yield "month"
    if size == 4 and 1880 <= int(cell) <= 2035:
        yield "year"
    if size == 8 and _PACKED_DATE.fullmatch(cell):
        yield "date"
    if size >= 4:
        yield "code"


def _is_date(cell: str) -> bool:
    """Whether day and month of a date are in range: `04 68 48 53 65` starts like a date and is a phone number."""
    if not _DATE.fullmatch(cell) or _MORE_NUMBERS.fullmatch(cell):
        return False
    parts = _DAY_FIRST.match(cell)
    return parts is None or (min(int(parts[1]), int(parts[2])) <= 12 and max(int(parts[1]), int(parts[2])) <= 31)


def _phone_votes(cell: str) -> Iterator[str]:
    if not _PHONE.fullmatch(cell):
        return
    count = sum(letter.isdigit() for letter in cell)
    if not 7 <= count <= 18 or re.fullmatch(r"\d+\.\d+", cell):
        return
    if _is_date(cell):
        return
    yield "phone_digits"
    if cell.lstrip("(")[0] == "+" or cell[:2] == "00":
        if _is_phone(cell):
            yield "PHONE_NUMBER"
    elif _NATIONAL_PHONE.fullmatch(cell):
        yield "national_phone"


def _is_phone(cell: str) -> bool:
    import phonenumbers

    try:
        return phonenumbers.is_possible_number(phonenumbers.parse("+" + cell.lstrip("(+0")))
    except phonenumbers.NumberParseException:
        return False


def _is_ip(cell: str) -> bool:
    host = cell.split("/")[0].split("%")[0].strip("[]")
    if host.count(":") == 1:
        host = host.split(":")[0]
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_card(digits: str) -> bool:
    return digits.isdecimal() and bool(_CARD.fullmatch(digits)) and luhn(digits)
