"""Values of one form, at random: `matching(rng, form)` makes a text that a regular expression matches as a whole.

Belongs here: the reverse of a regular expression, and what its kinds of value share. Does not belong here: the forms.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from re import _parser as parser  # type: ignore[attr-defined]  # the standard library's own, without a public name
from typing import Any

ROWS = 20
_DIGITS = "0123456789"
_WORD = _DIGITS + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Value:
    """One kind of value: a header that tells what it is, and how a cell is made.

    `proven`: a check digit or the format of the cell proves it without the header. `name` is unique.
    """

    name: str
    header: str
    make: Callable[[random.Random], object]
    proven: bool = False

    def column(self, rows: int = ROWS) -> list[object]:
        """The cells, always the same ones."""
        rng = random.Random(self.name)
        return [self.make(rng) for _ in range(rows)]


def matching(rng: random.Random, form: str) -> str:
    """A text that the form matches as a whole; forms have neither stars nor look-behind."""
    while True:
        text = _text(rng, _parsed(form), {})
        if re.fullmatch(form, text):
            return text


@cache
def _parsed(form: str) -> Any:
    return parser.parse(form)


def _text(rng: random.Random, tree: Any, groups: dict[int, str]) -> str:
    parts = []
    for operation, argument in tree:
        match str(operation):
            case "LITERAL":
                parts.append(chr(argument))
            case "IN":
                parts.append(rng.choice(_letters(argument)))
            case "MAX_REPEAT":
                low, high, inner = argument
                parts.extend(_text(rng, inner, groups) for _ in range(rng.randint(low, high)))
            case "SUBPATTERN":
                groups[argument[0]] = _text(rng, argument[3], groups)
                parts.append(groups[argument[0]])
            case "BRANCH":
                parts.append(_text(rng, rng.choice(argument[1]), groups))
            case "GROUPREF":
                parts.append(groups[argument])
    return "".join(parts)


def _letters(choices: Any) -> str:
    letters = ""
    for operation, argument in choices:
        match str(operation):
            case "LITERAL":
                letters += chr(argument)
            case "RANGE":
                letters += "".join(map(chr, range(argument[0], argument[1] + 1)))
            case "CATEGORY":
                letters += _DIGITS if "DIGIT" in str(argument) else _WORD
    return letters
