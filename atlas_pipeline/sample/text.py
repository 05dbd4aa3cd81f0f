"""Compose the free text of a ticket, and record the spans of personal data in it.

Does not belong here: the sentences (`sentences.py`, `sentences_abroad.py`), and which ticket gets which text
(`tickets.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from string import Formatter

from atlas_pipeline.sample.chance import Dice
from atlas_pipeline.sample.identifiers import card, grouped, iban, ip_address, not_a_card
from atlas_pipeline.sample.people import Person
from atlas_pipeline.sample.sentences import GREETINGS, NEUTRAL, PERSONAL, SIGN_OFFS, SUBJECTS
from atlas_pipeline.sample.sentences_abroad import ABROAD, FAREWELLS, RIGHT_TO_LEFT
from atlas_pipeline.sample.words import PRODUCTS

KINDS = {
    "name": "PERSON",
    "given": "PERSON",
    "family": "PERSON",
    "other": "PERSON",
    "agent": "PERSON",
    "agent_given": "PERSON",
    "email": "EMAIL_ADDRESS",
    "other_email": "EMAIL_ADDRESS",
    "phone": "PHONE_NUMBER",
    "address": "LOCATION",
    "town": "LOCATION",
    "born": "DATE_OF_BIRTH",
    "card": "CREDIT_CARD",
    "iban": "IBAN_CODE",
    "ip": "IP_ADDRESS",
}
"""The slots that are personal data, with Presidio's entity name. Every other slot is not personal."""

_MONTHS = ("January", "February", "March", "May", "June", "July", "August", "October", "November")
_LANGUAGES = tuple(ABROAD)


@dataclass
class Text:
    """A text under construction, with (start, end, kind) of each piece of personal data in it."""

    text: str = ""
    spans: list[tuple[int, int, str]] = field(default_factory=list)

    def add(self, piece: str, kind: str | None = None) -> None:
        """Append a piece.

        Args:
            piece: The text.
            kind: Its kind of personal data; None if it is not personal.
        """
        if kind is not None:
            self.spans.append((len(self.text), len(self.text) + len(piece), kind))
        self.text += piece


@cache
def _parts(template: str) -> tuple[tuple[str, str | None], ...]:
    return tuple((literal, slot) for literal, slot, _, _ in Formatter().parse(template))


class Composer:
    """Composes tickets, one after the other from one sequence of draws."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._makers: dict[str, Callable[[], str]] = {
            "order": lambda: f"ORD-{dice.digits(9)}",
            "product": lambda: dice.pick(PRODUCTS),
            "version": lambda: f"{dice.below(12)}.{dice.below(30)}.{dice.below(10)}",
            "year": lambda: str(2012 + dice.below(13)),
            "price": self._price,
            "tracking": self._tracking,
            "date": self._date,
            "voucher": lambda: not_a_card(dice) if dice.hit(50) else f"SAVE-{dice.digits(4)}-{dice.digits(4)}",
            "sku": lambda: f"{dice.pick(('KTL', 'LMP', 'BAG', 'CHR'))}-{dice.digits(4)}-{dice.pick(('BLK', 'XL'))}",
            "code": lambda: dice.pick(("E-{}", "0x{}", "ERR_{}", "#{}")).format(dice.digits(4)),
            "clock": lambda: f"{8 + dice.below(12)}:{dice.pick(('00', '15', '30'))}",
            "count": lambda: str(2 + dice.below(28)),
            "card": self._card,
            "iban": lambda: iban(dice),
            "ip": lambda: ip_address(dice.below(65_536), dice.below(65_536)),
        }

    def ticket(self, person: Person, other: Person, agent: str) -> tuple[Text, Text]:
        """Compose the subject and body of a ticket.

        Args:
            person: Who writes it.
            other: Somebody whom the text may mention.
            agent: Full name of the agent who answers it.
        """
        dice = self._dice
        known = {
            "name": person.name,
            "given": person.given,
            "family": person.family,
            "email": person.email,
            "phone": person.phone,
            "town": person.town,
            "address": person.address(dice.below(12)),
            "born": person.birthday(dice.below(60)),
            "other": other.name,
            "other_email": other.email,
            "agent": agent,
            "agent_given": agent.split(" ", 1)[0],
        }
        manner = dice.below(100)
        subject, body = Text(), Text()
        self._fill(subject, dice.pick(SUBJECTS), known, manner)
        gap = "\n" if dice.hit(15) else " "
        for template in self._templates(person.locale.language):
            if body.text:
                body.add(gap)
            self._fill(body, template, known, manner)
        return subject, body

    def foreign_line(self, body: Text, person: Person) -> None:
        """Append a sentence in a right-to-left script.

        Args:
            body: The text to extend.
            person: Whose e-mail address and telephone number it contains.
        """
        body.add("\n")
        self._fill(body, self._dice.pick(RIGHT_TO_LEFT), {"email": person.email, "phone": person.phone}, 99)

    def _templates(self, language: str) -> list[str]:
        """One to six sentences."""
        dice = self._dice
        count = 1 + dice.below(6)
        if dice.hit(22):
            return _distinct([dice.pick(NEUTRAL) for _ in range(count)])
        if language in ABROAD and dice.hit(45):
            own = ABROAD[language]
            chosen = [dice.pick(own) if dice.hit(85) else dice.pick(NEUTRAL) for _ in range(count)]
            if count > 1 and dice.hit(40):
                chosen[-1] = FAREWELLS[language]
            return _distinct(chosen)
        chosen = []
        for _ in range(count):
            kind = dice.below(100)
            if kind < 48:
                chosen.append(dice.pick(PERSONAL))
            elif kind < 96:
                chosen.append(dice.pick(NEUTRAL))
            else:
                chosen.append(dice.pick(ABROAD[dice.pick(_LANGUAGES)]))
        if count > 2 and dice.hit(40):
            chosen[0] = dice.pick(GREETINGS)
        if count > 1 and dice.hit(40):
            chosen[-1] = dice.pick(SIGN_OFFS)
        return _distinct(chosen)

    def _fill(self, text: Text, template: str, known: dict[str, str], manner: int) -> None:
        """Append a sentence. `manner` below 12: lower case; below 26: with typing errors; 26: upper case."""
        for literal, slot in _parts(template):
            if literal:
                if manner < 12:
                    literal = literal.lower()
                elif manner < 26:
                    literal = self._mistyped(literal)
                elif manner == 26:
                    literal = literal.upper()
                text.add(literal)
            if slot is None:
                continue
            value = known[slot] if slot in known else self._makers[slot]()
            kind = KINDS.get(slot)
            if kind in ("PERSON", "LOCATION"):
                if manner < 12:
                    value = value.lower()
                elif manner == 26:
                    value = value.upper()
            text.add(value, kind)

    def _mistyped(self, literal: str) -> str:
        """The literal with two letters swapped or one left out, in some of the longer ones."""
        if len(literal) < 8 or self._dice.hit(40):
            return literal
        at = 1 + self._dice.below(len(literal) - 3)
        if not literal[at : at + 2].isalpha():
            return literal
        if self._dice.hit(50):
            return literal[:at] + literal[at + 1] + literal[at] + literal[at + 2 :]
        return literal[:at] + literal[at + 1 :]

    def _card(self) -> str:
        dice = self._dice
        number = card(dice.below(65_536), dice.below(65_536), dice.below(65_536))
        return grouped(number, dice.pick((" ", "-"))) if dice.hit(60) else number

    def _price(self) -> str:
        amount = f"{5 + self._dice.below(900)}.{self._dice.digits(2)}"
        return self._dice.pick(("€{}", "{} EUR", "${}", "£{}", "{} zł")).format(amount)

    def _tracking(self) -> str:
        dice = self._dice
        return dice.pick(("1Z999AA1{}", "JD01{}", "RR{}DE", "00340{}")).format(dice.digits(10))

    def _date(self) -> str:
        dice = self._dice
        day, month = 1 + dice.below(28), 1 + dice.below(12)
        way = dice.below(4)
        if way == 0:
            return f"2024-{month:02d}-{day:02d}"
        if way == 1:
            return f"{day}/{month}"
        if way == 2:
            return f"{day:02d}.{month:02d}.2023"
        return f"{day} {dice.pick(_MONTHS)}"


def _distinct(templates: list[str]) -> list[str]:
    return list(dict.fromkeys(templates))
