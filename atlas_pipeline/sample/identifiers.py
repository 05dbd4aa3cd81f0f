"""Invented identifiers with valid form and check digits: cards, IBANs, telephone numbers, IP addresses.

All come from ranges that belong to nobody: published test cards, bank codes that are not issued, telephone numbers
reserved for fiction (numbering plans without such a range are not used), documentation and benchmark networks. Does
not belong here: names and addresses (`people.py`), sentences around the identifiers (`sentences*.py`).
"""

from __future__ import annotations

from atlas_pipeline.sample.chance import Dice


def luhn_sum(digits: str, doubled_first: bool) -> int:
    """The weighted sum of the Luhn check (ISO/IEC 7812-1, annex B).

    Args:
        digits: Decimal digits.
        doubled_first: Whether the first digit counts double.
    """
    total = 0
    double = doubled_first
    for digit in digits:
        value = ord(digit) - 48
        if double:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
        double = not double
    return total


# Prefixes of the test numbers that card schemes and payment providers publish, and the length of each number.
_CARDS = (
    ("42424242", 16),
    ("41111111", 16),
    ("40128888", 16),
    ("55555555", 16),
    ("51051051", 16),
    ("22230000", 16),
    ("60111111", 16),
    ("35301113", 16),
    ("37828224", 15),
    ("30569309", 14),
)
# For a number of even length the first digit counts double. What follows the eight digits of the prefix is read in
# two parts, whose sums are looked up: three digits, then the rest (four, three or two digits) before the check digit.
_PREFIX_SUMS = tuple(luhn_sum(prefix, length % 2 == 0) for prefix, length in _CARDS)
_SUM_THREE = {even: tuple(luhn_sum(f"{n:03d}", even) for n in range(1000)) for even in (True, False)}
_SUM_REST = {width: tuple(luhn_sum(f"{n:0{width}d}", width % 2 == 1) for n in range(10**width)) for width in (2, 3, 4)}


def card(draw_a: int, draw_b: int, draw_c: int) -> str:
    """A card number without separators, with a valid Luhn check digit.

    Args:
        draw_a: A number from 0 to 65,535; selects the prefix.
        draw_b: Another; the three digits after the prefix.
        draw_c: Another; the rest before the check digit.
    """
    which = draw_a % len(_CARDS)
    prefix, length = _CARDS[which]
    three = draw_b % 1000
    width = length - 12
    rest = draw_c % 10**width
    total = _PREFIX_SUMS[which] + _SUM_THREE[length % 2 == 0][three] + _SUM_REST[width][rest]
    return f"{prefix}{three:03d}{rest:0{width}d}{-total % 10}"


def grouped(number: str, separator: str) -> str:
    """A card number or IBAN in groups: 4-6-5 or 4-6-4 for American Express and Diners Club, fours for the rest.

    Args:
        number: The number without separators.
        separator: What to put between groups.
    """
    if len(number) in (14, 15) and number[0] == "3":
        return separator.join((number[:4], number[4:10], number[10:]))
    return separator.join(number[start : start + 4] for start in range(0, len(number), 4))


def not_a_card(dice: Dice) -> str:
    """Sixteen digits that start like a card number and fail the Luhn check: a customer or voucher number."""
    head = dice.pick(("4", "5", "6")) + dice.digits(14)
    wrong = (1 + dice.below(9) - luhn_sum(head, True)) % 10
    return f"{head}{wrong}"


# Country, the bank's part of the account number (codes that are not issued), and the number of digits that follow.
_BANKS = (
    ("DE", "99900000", 10),
    ("FR", "9999900000", 13),
    ("ES", "99990000", 12),
    ("IT", "X9999900000", 12),
    ("NL", "TEST", 10),
    ("PL", "99999999", 16),
    ("GB", "TEST000000", 8),
)


def iban(dice: Dice) -> str:
    """An IBAN with valid check digits (ISO 13616; ISO/IEC 7064, MOD 97-10), without spaces or in groups of four."""
    country, bank, digits = dice.pick(_BANKS)
    account = bank + dice.digits(digits)
    number = int("".join(str(int(char, 36)) for char in f"{account}{country}00"))
    whole = f"{country}{98 - number % 97:02d}{account}"
    return grouped(whole, " ") if dice.hit(60) else whole


# Telephone numbers reserved for fiction: NANPA 555-0100 to 555-0199, Ofcom's, ARCEP's and the Bundesnetzagentur's
# ranges, in the formats that people use. "#" stands for any digit.
_PHONES = {
    "US": (
        "(212) 555-01##",
        "312-555-01##",
        "415.555.01##",
        "+1 617 555 01##",
        "+1-206-555-01##",
        "1 (303) 555-01##",
        "504 555 01##",
        "+171355501##",
    ),
    "GB": (
        "020 7946 0###",
        "+44 20 7946 0###",
        "(0161) 496 0###",
        "0113 496 0###",
        "+44 (0)121 496 0###",
        "07700 900###",
        "+44 7700 900###",
        "01134960###",
        "0131-496-0###",
    ),
    "FR": (
        "01 99 00 ## ##",
        "+33 1 99 00 ## ##",
        "02.61.91.##.##",
        "06 39 98 ## ##",
        "+33 2 61 91 ## ##",
        "0033 5 36 49 ## ##",
        "03-53-01-##-##",
        "046571####",
    ),
    "DE": (
        "030 23125 ###",
        "030/23125###",
        "+49 30 23125 ###",
        "(069) 90009 ###",
        "+49 (0)89 99998 ###",
        "0049 221 4710 ###",
        "040-66969-###",
        "0176 040690##",
        "+49 176 040690##",
    ),
}
# For countries without such a range: numbers of other countries, in international format.
_ABROAD = (
    "+44 20 7946 0###",
    "+33 1 99 00 ## ##",
    "+49 30 23125 ###",
    "+1 212 555 01##",
    "0044 20 7946 0###",
    "+49176040690##",
    "+44 7700 900###",
)


def phone(country: str, draw_a: int, draw_b: int) -> str:
    """A telephone number in one of many formats.

    Args:
        country: ISO 3166 code. Countries without a range for fiction get a foreign number.
        draw_a: A number from 0 to 65,535; selects the format.
        draw_b: Another; fills the digits.
    """
    patterns = _PHONES.get(country, _ABROAD)
    digits = f"{draw_b % 10_000:04d}"
    used = 0
    pieces = []
    for char in patterns[draw_a % len(patterns)]:
        if char == "#":
            char = digits[used]
            used += 1
        pieces.append(char)
    return "".join(pieces)


def ip_address(draw_a: int, draw_b: int) -> str:
    """An address of the benchmark or documentation networks (RFC 2544, RFC 5737), one in sixteen IPv6 (RFC 3849).

    Args:
        draw_a: A number from 0 to 65,535; selects the network.
        draw_b: Another; selects the host.
    """
    kind = draw_a & 15
    if kind == 0:
        return f"2001:db8:{draw_a >> 4:x}::{draw_b:x}"
    if kind == 1:
        return f"203.0.113.{draw_b & 255}"
    if kind == 2:
        return f"198.51.100.{draw_b & 255}"
    return f"198.{18 + (draw_a >> 15)}.{draw_b >> 8}.{draw_b & 255}"
