"""What is counted while a connector extracts.

Belongs here: the numbers. Does not belong here: who counts, and where the numbers go (`warehouse/connectors.py`).
"""

from dataclasses import dataclass, field


@dataclass
class Tally:
    """Requests to the server, of which some were repeats, and the columns that it says there are."""

    requests: int = 0
    retries: int = 0
    columns: list[str] = field(default_factory=list)
