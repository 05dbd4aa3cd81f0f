"""Reproducible random numbers, the sample's clock and the schedule of its flaws.

Belongs here: what turns (seed, position) into the same numbers on every machine. Does not belong here: customers,
orders and tickets, their words and formats.
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
    """Midnight (UTC) of a day in seconds since 2018-01-01, the epoch of the sample's clock.

    Args:
        year: Year, from 2018.
        month: 1 to 12.
        day: 1 to 31.
    """
    return (date(year, month, day) - _FIRST_DAY).days * DAY


UNIX_OFFSET = (_FIRST_DAY - date(1970, 1, 1)).days * DAY
"""Seconds from 1970 to the epoch of the sample's clock: add it to get Unix time."""


def iso(time: int) -> str:
    """A time of the sample's clock as ISO 8601 text in UTC, such as ``2023-05-04T10:20:30Z``."""
    day, second = divmod(time, DAY)
    return f"{_DAYS[day]}T{_MINUTES[second // 60]}:{_SECONDS[second % 60]}Z"


class Draws:
    """A counter-based generator: the same 32 numbers for the same seed, stream and position, in any order.

    The numbers are the bytes of SHA-512 over the three.

    Args:
        seed: Seed of the sample.
        stream: Name of the stream; streams are independent.
    """

    def __init__(self, seed: int, stream: str) -> None:
        self._prefix = f"{seed}/{stream}/"

    def at(self, position: int) -> tuple[int, ...]:
        """The 32 numbers at a position, each from 0 to 65,535."""
        return _UNPACK(sha512(f"{self._prefix}{position}".encode()).digest())


class Dice:
    """A sequential generator, for text, which needs an unknown number of draws.

    It uses `Random.random` alone: unlike that of `choice` and `shuffle`, its sequence is guaranteed to stay the same
    in later versions of Python.

    Args:
        seed: Seed of the sample.
        stream: Name of the stream; streams are independent.
    """

    def __init__(self, seed: int, stream: str) -> None:
        self._random = random.Random(f"{seed}/{stream}").random  # noqa: S311 - invented data, not a secret

    def below(self, limit: int) -> int:
        """An integer from 0 to limit - 1."""
        return int(self._random() * limit)

    def hit(self, percent: int) -> bool:
        """True with a probability of `percent` in a hundred."""
        return self._random() * 100 < percent

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices."""
        return choices[int(self._random() * len(choices))]

    def digits(self, count: int) -> str:
        """A string of `count` decimal digits; the first may be zero."""
        return f"{self.below(10**count):0{count}d}"


def amounts(total: int, rates: Mapping[str, int]) -> dict[str, int]:
    """How often each kind occurs, at least once.

    Args:
        total: Number of rows.
        rates: Occurrences by kind per 10,000 rows.
    """
    return {kind: max(1, total * rate // 10_000) for kind, rate in rates.items()}


def schedule(total: int, rates: Mapping[str, int]) -> Iterator[tuple[int, str]]:
    """Spread each kind evenly over the positions 1 to `total`.

    Args:
        total: Number of rows.
        rates: Occurrences by kind per 10,000 rows.

    Returns:
        (position, kind) in ascending order.
    """
    return heapq.merge(
        *(
            _spread(total, kind, count, phase, len(rates))
            for phase, (kind, count) in enumerate(amounts(total, rates).items())
        )
    )


def early(total: int, rates: Mapping[str, int], each: int = 2) -> set[int]:
    """The first positions of each kind in the schedule, without computing all of it.

    Args:
        total: Number of rows.
        rates: Occurrences by kind per 10,000 rows.
        each: Positions of each kind.
    """
    return {
        position
        for phase, (kind, count) in enumerate(amounts(total, rates).items())
        for position, _ in islice(_spread(total, kind, count, phase, len(rates)), each)
    }


def sparse(total: int) -> set[int]:
    """The first, the last and about eight positions between."""
    return {total, *range(1, total + 1, max(1, total // 8))}


def _spread(total: int, kind: str, count: int, phase: int, phases: int) -> Iterator[tuple[int, str]]:
    for n in range(count):
        yield 1 + (2 * (n * phases + phase) + 1) * total // (2 * count * phases), kind
