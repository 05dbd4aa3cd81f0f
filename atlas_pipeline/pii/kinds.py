"""The kinds of personal data that Atlas knows, and the default action for each.

Belongs here: names, default actions, how a kind is generalised. Does not belong here: how a kind is recognised
(`columns/`, `text/`). Names are Presidio's entity names where it has one.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Action = Literal["keep", "drop", "redact", "mask", "hash", "encrypt", "generalise"]
ACTIONS: tuple[Action, ...] = get_args(Action)
KEYED_ACTIONS: tuple[Action, ...] = ("hash", "encrypt")
KEY_COLUMN_ACTIONS: tuple[Action, ...] = ("keep", "hash", "encrypt")
"""The actions that keep different values different, so that the column can still be a key."""

Generaliser = Literal["date", "postcode", "age", "ip", "geo"]

FREE_TEXT = "FREE_TEXT"
UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class Kind:
    """One kind. `personal` is false for a kind that is recognised and needs no protection, such as a URL."""

    name: str
    action: Action
    generaliser: Generaliser | None = None
    personal: bool = True


_KINDS = (
    Kind("PERSON", "redact"),
    Kind("USERNAME", "hash"),
    Kind("EMAIL_ADDRESS", "hash"),
    Kind("PHONE_NUMBER", "mask"),
    Kind("STREET_ADDRESS", "redact"),
    Kind("CITY", "redact"),
    Kind("LOCATION", "redact"),
    Kind("ZIPCODE", "generalise", "postcode"),
    Kind("GEO_COORDINATES", "generalise", "geo"),
    Kind("DATE_OF_BIRTH", "generalise", "date"),
    Kind("DATE_TIME", "redact", "date"),
    Kind("AGE", "generalise", "age"),
    Kind("GENDER", "redact"),
    Kind("NRP", "redact"),
    Kind("MARITAL_STATUS", "redact"),
    Kind("CREDIT_CARD", "mask"),
    Kind("IBAN_CODE", "mask"),
    Kind("ACCOUNT_NUMBER", "mask"),
    Kind("CRYPTO", "hash"),
    Kind("NATIONAL_ID", "redact"),
    Kind("US_SSN", "redact"),
    Kind("UK_NHS", "redact"),
    Kind("HEALTH_ID", "redact"),
    Kind("US_NPI", "redact"),
    Kind("TAX_ID", "redact"),
    Kind("PASSPORT", "redact"),
    Kind("DRIVER_LICENSE", "redact"),
    Kind("VEHICLE_ID", "redact"),
    Kind("HEALTH", "redact"),
    Kind("SEX_LIFE", "redact"),
    Kind("UNION_MEMBERSHIP", "redact"),
    Kind("BIOMETRIC", "redact"),
    Kind("CRIMINAL_RECORD", "redact"),
    Kind("INCOME", "redact"),
    Kind("ACTIVITY", "generalise", "date"),
    Kind("IP_ADDRESS", "generalise", "ip"),
    Kind("MAC_ADDRESS", "hash"),
    Kind("DEVICE_ID", "hash"),
    Kind("SECRET", "redact"),
    Kind("URL", "keep", personal=False),
    Kind("ORGANIZATION", "keep", personal=False),
    Kind(FREE_TEXT, "redact"),
    Kind(UNKNOWN, "redact"),
)
SENSITIVE_KINDS = frozenset(
    {"HEALTH", "SEX_LIFE", "UNION_MEMBERSHIP", "BIOMETRIC", "CRIMINAL_RECORD", "INCOME", "ACTIVITY"}
)
"""Special categories (GDPR, articles 9 and 10), money, and trails of logins and places. Only headers name them, and
they are protected in tables that hold persons."""
KINDS: dict[str, Kind] = {kind.name: kind for kind in _KINDS}


def kind_of(name: str) -> Kind:
    """The kind of that name. Any other name is that of a custom recogniser: personal, and redacted by default."""
    return KINDS.get(name) or Kind(name, "redact")
