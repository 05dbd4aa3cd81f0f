"""What is counted while a connector extracts.

Belongs here: the numbers. Does not belong here: who counts, and where the numbers go (`warehouse/connectors.py`).
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class RefusedFile:
    """A file that was left out of an extract: which, by what rule, and why."""

    uri: str
    rule: str
    reason: str


@dataclass
class Tally:
    """Requests to the server, of which some were repeats, the columns that it says there are, and files left out."""

    requests: int = 0
    retries: int = 0
    columns: list[str] = field(default_factory=list)
    refused: list[RefusedFile] = field(default_factory=list)
