"""Small pictures of history, as SVG within a page: one bar for each outcome of a check, and lines of numbers.

Belongs here: drawing them, with words for those who do not see them. Does not belong here: colours (`style.css`).
"""

from collections.abc import Sequence

from markupsafe import Markup

_BAR, _STEP, _HEIGHT = 4, 6, 18
_WIDTH = 120
_HEIGHTS = {"passed": 6, "warned": 12, "failed": 18, "not evaluated": 18}
"""Height as well as colour says what came of a check."""


def outcome_bars(statuses: Sequence[str]) -> Markup:
    """A bar for each outcome, the newest on the right; empty without any.

    Args:
        statuses: of the outcomes, the oldest first.
    """
    if not statuses:
        return Markup()
    counted = ", ".join(f"{statuses.count(status)} {status}" for status in _HEIGHTS if status in statuses)
    bars = Markup().join(
        Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="1"/>').format(
            status.replace(" ", "-"), place * _STEP, _HEIGHT - _HEIGHTS[status], _BAR, _HEIGHTS[status]
        )
        for place, status in enumerate(statuses)
    )
    width = len(statuses) * _STEP - (_STEP - _BAR)
    return Markup(
        '<svg class="bars" role="img" aria-label="Last {} outcomes: {}" width="{}" height="{}">{}</svg>'
    ).format(len(statuses), counted, width, _HEIGHT, bars)


def number_line(numbers: Sequence[float], what: str, least: float | None = None) -> Markup:
    """A line through numbers, the newest on the right; empty for fewer than two.

    Args:
        numbers: the oldest first.
        what: they are, for those who do not see the line.
        least: the bottom of the picture; null for the least number.
    """
    if len(numbers) < 2:
        return Markup()
    low, high = min(numbers) if least is None else least, max(numbers)
    room, step = _HEIGHT - 4, (_WIDTH - 6) / (len(numbers) - 1)

    def y(number: float) -> float:
        return round(2 + (room - (number - low) / (high - low) * room if high > low else room / 2), 1)

    points = [(round(3 + place * step, 1), y(number)) for place, number in enumerate(numbers)]
    drawn = " ".join(f"{across},{down}" for across, down in points)
    return Markup(
        '<svg class="line" role="img" aria-label="{}: {:,g} first, {:,g} now" width="{}" height="{}">'
        '<polyline points="{}"/><circle cx="{}" cy="{}" r="2.5"/></svg>'
    ).format(what, numbers[0], numbers[-1], _WIDTH, _HEIGHT, drawn, *points[-1])
