"""Durations as people write them: `30s`, `90 min`, `2 days`, `1h30m`.

Belongs here: the one parser and the one formatter. Does not belong here: how long anything may be.
"""

import re
from datetime import timedelta

from atlas_pipeline.documents.faults import shown

_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
_SPELLINGS = {
    spelling: seconds
    for unit, seconds in _SECONDS.items()
    for spelling in (unit[0], unit, f"{unit}s", *((unit[:3], f"{unit[:3]}s") if seconds < _SECONDS["hour"] else ()))
}
_PART = re.compile(r"\s*([0-9]{1,18})\s*([a-z]+)\s*")
ZERO = timedelta(0)


class DurationError(ValueError):
    """A text that is not a duration, or one out of bounds; the message says what was found and what was expected."""


def parse(text: str, least: timedelta = ZERO, most: timedelta = timedelta.max) -> timedelta:
    """The duration that a text states: one or more whole numbers, each with its unit.

    Args:
        text: units are s, sec, second, m, min, minute, h, hour, d, day, w, week and their plurals, in any case.
        least: the shortest duration that is accepted.
        most: the longest duration that is accepted.

    Raises:
        DurationError: for anything else.
    """
    lowered, position, seconds = text.lower(), 0, 0
    while (part := _PART.match(lowered, position)) and part[2] in _SPELLINGS:
        seconds += int(part[1]) * _SPELLINGS[part[2]]
        position = part.end()
    whole = 0 < position == len(lowered)
    try:
        duration = timedelta(seconds=seconds)
    except OverflowError:
        whole = False
    if not whole or not least <= duration <= most:
        raise DurationError(f"found {shown(text)}, expected {expected(least, most)}")
    return duration


def expected(least: timedelta = ZERO, most: timedelta = timedelta.max) -> str:
    """What is expected where a text is not a duration between `least` and `most`."""
    bounds = [f"at least {written(least)}"] if least > ZERO else []
    bounds += [f"up to {written(most)}"] if most < timedelta.max else []
    return ", ".join(["a duration such as 30s, 90m, 2h or 1 day", *bounds])


def written(duration: timedelta, units: int = 4) -> str:
    """A duration in words that `parse` reads, such as `1 hour 35 minutes`.

    Args:
        duration: fractions of a second are left out; a negative one counts as 0.
        units: how many units it may have, the largest first; what is smaller is left out.
    """
    seconds, parts = max(duration // timedelta(seconds=1), 0), []
    for unit in ("day", "hour", "minute", "second"):
        number, seconds = divmod(seconds, _SECONDS[unit])
        parts += [f"{number} {unit}" + ("" if number == 1 else "s")] if number else []
    return " ".join(parts[:units]) or "0 seconds"
