"""Validators that tell a real identifier from a run of digits: check digits, issuer prefixes, octets, calendar dates.

Belongs here: predicates of one string. Does not belong here: finding the string in a text (`text/`, `sweep.py`), and
what a column is (`columns/`).
"""

import re
from datetime import date

MASKED = re.compile(
    r"<[A-Z][A-Z0-9_]{1,40}>|\benc:[\w+/=.:%-]+|\*{4,}[\w.@-]{0,4}(?!\w)|\b[0-9a-f]{64}\b|\b[xX]{4,}[\d-]*(?!\w)"
)
"""What stands in the place of a personal value after masking, by Atlas or by whoever supplied the data: placeholders,
tokens, stars, SHA-256 digests in hex, runs of X."""

_DIGIT = re.compile(r"\d")
_ISSUER = re.compile(
    r"4\d{12}(?:\d{3}){0,2}$|5[1-5]\d{14}$|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}$|3[47]\d{13}$"
    r"|3(?:0[0-5]|[689]\d)\d{11}$|3(?:0[0-5]|[689]\d)\d{13}$|6(?:011|4[4-9]\d|5\d\d)\d{12}$|(?:2131|1800)\d{11}$"
    r"|35(?:2[89]|[3-8]\d)\d{12}$|62\d{14,17}$|(?:5018|5020|5038|6304|6759|676[1-3])\d{8,15}$"
)
"""Card issuers by prefix and length (issuer identification numbers, ISO/IEC 7812-1): Visa; Mastercard, 2-series too;
American Express; Diners Club; Discover; JCB; UnionPay; Maestro."""
_IBAN_LENGTHS = {
    15: "NO",
    16: "BE",
    18: "DK FI FO GL NL",
    19: "MK SI",
    20: "AT BA EE KZ LT LU XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT",
    26: "IS TR",
    27: "FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HU LB PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU",
    31: "MT SC",
    32: "LC",
}


"""Length of an IBAN, and the countries that use it (registry of ISO 13616, kept by SWIFT)."""


def digits_of(text: str) -> str:
    """The digits of the text, in their order."""
    return "".join(_DIGIT.findall(text))


def luhn(text: str) -> bool:
    """Whether the digits of the text pass the Luhn check (ISO/IEC 7812-1, annex B): a weighted sum divisible by 10."""
    total = 0
    for position, digit in enumerate(reversed(digits_of(text))):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def credit_card(text: str) -> bool:
    """Whether the digits are a card number: issuer prefix and length, at least two different digits, Luhn."""
    digits = digits_of(text)
    return _ISSUER.match(digits) is not None and len(set(digits)) > 1 and luhn(digits)


def iban(text: str) -> bool:
    """Whether it is an IBAN (ISO 13616): the country's length, and the check digits of ISO/IEC 7064, MOD 97-10."""
    squeezed = re.sub(r"[\s-]", "", text).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", squeezed):
        return False
    if squeezed[:2] not in _IBAN_LENGTHS.get(len(squeezed), ""):
        return False
    return int("".join(str(int(letter, 36)) for letter in squeezed[4:] + squeezed[:4])) % 97 == 1


def ipv4(text: str) -> bool:
    """Whether it is a dotted quad without leading zeros, outside 0.0.0.0/8 ("this network", RFC 1122)."""
    octets = text.split(".")
    return (
        len(octets) == 4
        and all(octet.isdigit() and int(octet) < 256 and str(int(octet)) == octet for octet in octets)
        and octets[0] != "0"
    )


def ipv6(text: str) -> bool:
    """Whether it is an IPv6 address (RFC 4291) other than `::` and `::1`."""
    import ipaddress

    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_loopback)


def phone(text: str) -> bool:
    """Whether a number with a leading + has an assigned country code and a length in use there (libphonenumber), and
    at least three different digits."""
    import phonenumbers

    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return False
    return len(set(digits_of(text))) > 2 and phonenumbers.is_possible_number(number)


def valid_phone(text: str) -> bool:
    """Whether a number with a leading + is in use: a range that was assigned, and at least three different digits."""
    import phonenumbers

    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return False
    return len(set(digits_of(text))) > 2 and phonenumbers.is_valid_number(number)


def social_security(text: str) -> bool:
    """Whether it may be a US social security number: area neither 000 nor 666, group not 00, serial not 0000."""
    area, group, serial = digits_of(text)[:3], digits_of(text)[3:5], digits_of(text)[5:9]
    return area not in ("000", "666") and group != "00" and serial != "0000"


def nir(text: str) -> bool:
    """Whether this is a French social security number: 13 digits, or 2A and 2B for Corsica, and 97 less their rest."""
    number = "".join(text.split()).replace("2A", "19").replace("2B", "18")
    return len(number) == 15 and number.isdecimal() and 97 - int(number[:13]) % 97 == int(number[13:])


def nhs(digits: str) -> bool:
    """Whether the tenth digit is the check digit of an NHS number: modulus 11, weights 10 to 2."""
    check = 11 - sum(int(digit) * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False)) % 11
    return check % 11 == int(digits[9]) and check != 10


def vin(text: str) -> bool:
    """Whether the ninth of 17 characters is the check digit of a vehicle identification number (49 CFR 565.15)."""
    values = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", map(int, "12345678123457923456789"), strict=True))
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    total = sum((int(c) if c.isdigit() else values[c]) * weight for c, weight in zip(text, weights, strict=True))
    return text[8] == "0123456789X"[total % 11]


def calendar_date(text: str) -> bool:
    """Whether the first three numbers are a day of 1800 to 2199: year first, or last after day and month."""
    parts = re.findall(r"\d+", text)[:3]
    if len(parts) < 3:
        return False
    if len(parts[0]) == 4:
        orders = [(parts[0], parts[1], parts[2]), (parts[0], parts[2], parts[1])]
    else:
        orders = [(parts[2], parts[1], parts[0]), (parts[2], parts[0], parts[1])]
    return any(_is_day(*order) for order in orders)


def _is_day(year: str, month: str, day: str) -> bool:
    number = int(year)
    if len(year) == 2:
        number += 2000
    if not 1800 <= number <= 2199:
        return False
    try:
        date(number, int(month), int(day))
    except ValueError:
        return False
    return True
