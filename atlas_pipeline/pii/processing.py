"""What data of persons is processed for: purpose, legal basis, recipients, as a declaration says.

Belongs here: that, as plain data. Does not belong here: the report that is made of it (`privacy_report.py`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Processing:
    """Purpose, legal basis and recipients; null or empty where nobody has said."""

    purpose: str | None = None
    basis: str | None = None
    recipients: tuple[str, ...] = ()
