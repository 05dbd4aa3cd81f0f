"""Invented people: name, address, e-mail and telephone of each customer number.

A person is a pure function of seed and number, so that every file can refer to the same person without a table in
memory. Does not belong here: what a customer's record looks like (`customers.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from atlas_pipeline.sample.chance import Draws
from atlas_pipeline.sample.identifiers import phone
from atlas_pipeline.sample.words import LATIN, LOCALES, Locale

FIRST_CUSTOMER = 1_000_001
"""The customer number of the first person; the others follow."""

_LETTERS = "ABCDEFGHJKLNPRSTUWXY"
_BIRTHDAYS = tuple(date(1936, 1, 1) + timedelta(days=n) for n in range(70 * 365))
_DOMAINS = (
    "example.com",
    "example.org",
    "example.net",
    "mail.example.com",
    "post.example.net",
    "example.com",
    "uni.example.org",
    "uk.example.com",
)
_HANDLES = ("sunny", "blue.bird", "mtb", "the_reader", "chefkoch", "papillon", "gatto", "night-owl")


@dataclass(frozen=True, slots=True)
class Person:
    """One invented person."""

    locale: Locale
    given: str
    family: str
    name: str
    email: str
    phone: str
    born: date
    street: str
    town: str
    postcode: str
    draws: tuple[int, ...]
    """The random numbers behind the person; the last eight are free for records about them."""

    def address(self, way: int) -> str:
        """The postal address on one line, in a format of the country that `way` selects."""
        patterns = self.locale.address
        return patterns[way % len(patterns)].format(line=self.street, town=self.town, postcode=self.postcode)

    def birthday(self, way: int) -> str:
        """The date of birth, in a format of the country that `way` selects."""
        pattern = self.locale.born[way % len(self.locale.born)]
        return (
            pattern.replace("%Y", f"{self.born.year:04d}")
            .replace("%m", f"{self.born.month:02d}")
            .replace("%d", f"{self.born.day:02d}")
            .replace("%e", str(self.born.day))
            .replace("%B", self.locale.months.split()[self.born.month - 1])
        )


class People:
    """The people of one sample.

    Args:
        seed: Seed of the sample.
        stream: Name of the stream; customers and the strangers that tickets mention have different ones.
    """

    def __init__(self, seed: int, stream: str = "people") -> None:
        self._at = Draws(seed, stream).at
        self._spin = seed * 7919 & 0xFFFF

    def locale(self, number: int) -> Locale:
        """The locale of a person, without computing the rest; every order needs it."""
        return LOCALES[(number * 40_503 + self._spin & 0xFFFF) >> 12]

    def person(self, number: int) -> Person:
        """The person with this number, always the same."""
        draw = self._at(number)
        locale = self.locale(number)
        given = locale.given[draw[0] % len(locale.given)]
        families = [name for name in locale.family if _native(name)] if _native(given) else locale.family
        family = families[draw[1] % len(families)]
        if _native(family) and not _native(given):
            family = locale.family[draw[1] % 8]
        postcode = _filled(locale.towns[draw[2] % len(locale.towns)][1], draw[3], draw[4])
        return Person(
            locale=locale,
            given=given,
            family=family,
            name=f"{family} {given}" if locale.family_first else f"{given} {family}",
            email=_email(given, family, draw[5], draw[6]),
            phone=phone(locale.country, draw[7], draw[8]),
            born=_BIRTHDAYS[draw[9] % len(_BIRTHDAYS)],
            street=locale.street_line.format(
                street=locale.streets[draw[10] % len(locale.streets)], number=1 + draw[11] % 180
            ),
            town=locale.towns[draw[2] % len(locale.towns)][0],
            postcode=postcode,
            draws=draw,
        )


def _native(name: str) -> bool:
    """Whether a name starts with a letter of a script other than Latin."""
    return name[0] > "\u0250"


def _filled(pattern: str, draw_a: int, draw_b: int) -> str:
    if "@" not in pattern:
        digits = f"{draw_a % 1000:03d}"
        for digit in digits:
            pattern = pattern.replace("#", digit, 1)
        return pattern.replace("#", "5")
    pattern = pattern.replace("#", str(1 + draw_a % 9), 1).replace("#", str(1 + draw_a // 9 % 9))
    for shift in (1, 20, 400):
        pattern = pattern.replace("@", _LETTERS[draw_b // shift % 20], 1)
    return pattern


def _email(given: str, family: str, shape: int, extra: int) -> str:
    domain = _DOMAINS[extra % len(_DOMAINS)]
    tail = extra >> 3
    first = _plain(given)
    last = _plain(family)
    if not first or not last or shape % 16 == 0:
        return f"{_HANDLES[shape // 16 % len(_HANDLES)]}{tail}@{domain}"
    way = shape % 7
    if way < 2:
        return f"{first}.{last}{tail % 100}@{domain}"
    if way == 2:
        return f"{first[0]}{last}{tail % 1000}@{domain}"
    if way == 3:
        return f"{first}_{last}{tail % 100:02d}@{domain}"
    if way == 4:
        return f"{last}.{first}@{domain}"
    if way == 5:
        return f"{first}{tail % 1000}+shop@{domain}"
    return f"{first[0]}.{last}@{domain}"


def _plain(name: str) -> str:
    return "".join(char for char in name.translate(LATIN).lower() if "a" <= char <= "z")
