"""Reproducible draws, the sample's calendar and the schedule of its flaws.

Here belongs what turns (seed, position) into the same numbers on every machine. Nothing here knows what a
customer, an order or a ticket is; words and formats live in the modules that use them.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from hashlib import sha512
from itertools import islice
from struct import Struct
from typing import TypeVar

T = TypeVar("T")

DAY = 86_400
_FIRST_DAY = date(2018, 1, 1)
_DAYS = tuple((_FIRST_DAY + timedelta(days=n)).isoformat() for n in range(365 * 8))
_MINUTES = tuple(f"{n // 60:02d}:{n % 60:02d}" for n in range(1440))
_SECONDS = tuple(f"{n:02d}" for n in range(60))
_UNPACK = Struct("<32H").unpack


def moment(year: int, month: int, day: int) -> int:
    """Midnight (UTC) of a day, in seconds on the sample's own clock, which starts with 2018."""
    return (date(year, month, day) - _FIRST_DAY).days * DAY


UNIX_OFFSET = (_FIRST_DAY - date(1970, 1, 1)).days * DAY
"""Add this to a time of the sample's clock to get seconds since 1970."""


def iso(time: int) -> str:
    """A time of the sample's clock as ISO 8601 text in UTC, such as ``2023-05-04T10:20:30Z``."""
    day, second = divmod(time, DAY)
    return f"{_DAYS[day]}T{_MINUTES[second // 60]}:{_SECONDS[second % 60]}Z"


class Draws:
    """Random access to draws: the same 32 numbers for the same seed, stream and position, in any order."""

    def __init__(self, seed: int, stream: str) -> None:
        self._prefix = f"{seed}/{stream}/"

    def at(self, position: int) -> tuple[int, ...]:
        """32 numbers, each below 65,536."""
        return _UNPACK(sha512(f"{self._prefix}{position}".encode()).digest())


class Dice:
    """A stream of draws for text, where how many are needed is not known beforehand.

    Only ``Random.random`` is used underneath: unlike ``choice`` or ``shuffle``, its sequence is promised to stay
    the same in later Python versions.
    """

    def __init__(self, seed: int, stream: str) -> None:
        self._random = random.Random(f"{seed}/{stream}").random  # noqa: S311 - invented data, not a secret

    def below(self, limit: int) -> int:
        """A number from 0 to limit - 1."""
        return int(self._random() * limit)

    def hit(self, percent: int) -> bool:
        """True in so many of a hundred cases."""
        return self._random() * 100 < percent

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices."""
        return choices[int(self._random() * len(choices))]

    def digits(self, count: int) -> str:
        """So many decimal digits; the first may be a zero."""
        return f"{self.below(10**count):0{count}d}"


def amounts(total: int, rates: Mapping[str, int]) -> dict[str, int]:
    """How often each kind occurs among `total` rows: its rate per 10,000, but at least once."""
    return {kind: max(1, total * rate // 10_000) for kind, rate in rates.items()}


def schedule(total: int, rates: Mapping[str, int]) -> Iterator[tuple[int, str]]:
    """(position, kind) in rising order: each kind spread evenly over the positions 1 … total."""
    return heapq.merge(
        *(
            _spread(total, kind, count, phase, len(rates))
            for phase, (kind, count) in enumerate(amounts(total, rates).items())
        )
    )


def early(total: int, rates: Mapping[str, int], each: int = 2) -> set[int]:
    """The first positions of each kind in the schedule, without going through all of it."""
    return {
        position
        for phase, (kind, count) in enumerate(amounts(total, rates).items())
        for position, _ in islice(_spread(total, kind, count, phase, len(rates)), each)
    }


def sparse(total: int) -> set[int]:
    """The first, the last and a few positions between."""
    return {total, *range(1, total + 1, max(1, total // 8))}


def _spread(total: int, kind: str, count: int, phase: int, phases: int) -> Iterator[tuple[int, str]]:
    for n in range(count):
        yield 1 + (2 * (n * phases + phase) + 1) * total // (2 * count * phases), kind
