"""The types that a source itself gives its columns, and the one that holds the values of several.

Belongs here: what is common to readers of typed formats and to the guess. Does not belong here: how one format's types
are named (`readers/`), and what is guessed of text (`infer.py`).
"""

from collections.abc import Iterable, Mapping

from atlas_pipeline.ingest.types import Digits, joined_type, split_type

STRING = "string"
"""Type of a column whose source has strings and no dates, as JSON: it may hold dates, but no numbers or booleans."""
NUMBER = "number"
"""Type of a column whose source does not say which numbers it has."""

SourceTypes = Mapping[str, str]
"""By column, a type as it is declared, or `STRING` or `NUMBER`. Columns without a value have none."""

_WIDER = (
    ({"real", "float"}, "float"),
    ({"integer", "real", "float"}, "float"),
    ({"date", "local_timestamp"}, "local_timestamp"),
    ({"date", "local_timestamp", "timestamp"}, "timestamp"),
    ({"json", NUMBER, "boolean"}, "json"),  # as text they all are JSON; a string is not
)


def common_type(types: Iterable[str]) -> str:
    """The type that holds the values of all of these; text when no other does.

    Args:
        types: at least one, as `SourceTypes` has them.
    """
    found = set(types)
    if len(found) == 1:
        return found.pop()
    if found == {"boolean", NUMBER}:
        return "text"
    if wider := next((type for types, type in _WIDER if found <= types), None):
        return wider
    split = [split_type(type) for type in found if type not in (STRING, NUMBER)]
    if len(split) == len(found) and all(type in ("integer", "decimal") for type, _ in split):
        return joined_type(
            "decimal", _wide_enough([digits or ((19, 0) if type == "integer" else None) for type, digits in split])
        )
    return "text"


def _wide_enough(digits: list[Digits | None]) -> Digits | None:
    """Digits that hold all of these; null when some have no bound."""
    known = [one for one in digits if one is not None]
    if len(known) < len(digits):
        return None
    fraction = max(after for _, after in known)
    return max(all - after for all, after in known) + fraction, fraction
