"""Passwords: which can be guessed, and how one gets into the URL of a database.

Belongs here: rules, and reasons in words that do not give the secret away. Does not belong here: where secrets come
from (`environment.py`), and when a weak one is refused (`settings.py`).
"""

import re
import string
from urllib.parse import quote, urlsplit, urlunsplit

SHORTEST = 12
_FEWEST_CHARACTERS = 5
_WORDS = """
admin administrator atlas backup change changeit changeme dagster default demo dev example guest letmein login master
monitor mypassword passw0rd pass passwd password postgres postgresql production pwd qwerty root secret secretkey staging
superuser test testing user welcome
"""
_COMMON = frozenset(_WORDS.split())
_ROWS = ("01234567890123456789", string.ascii_lowercase, "qwertyuiopasdfghjklzxcvbnm")


def weakness(secret: str, user: str = "") -> str | None:
    """Why the secret can be guessed, in words that do not give it away.

    Args:
        secret: the password.
        user: the name that it is used with.

    Returns:
        The reason, or null when the secret passes.
    """
    lower = secret.strip().casefold()
    words = set(re.split(r"[\W\d_]+", lower)) - {""}
    if user and lower == user.casefold():
        return "it is the name of its user"
    if (words and words <= _COMMON) or lower in _COMMON:
        return "it is a common password"
    if any(lower in row or lower[::-1] in row for row in _ROWS):
        return "it is a row of letters or digits"
    if len(lower) < SHORTEST:
        return f"it has fewer than {SHORTEST} characters"
    if len(set(lower)) < _FEWEST_CHARACTERS:
        return "it repeats few characters"
    return None


def put_password(url: str, password: str | None) -> str:
    """The URL of a database with the password in it, percent-encoded.

    Args:
        url: a libpq URL; one that has a password, or is not of Postgres, is returned as it is.
        password: null leaves the URL as it is.

    Raises:
        ValueError: the URL names no user. Its text reads as the predicate of the setting that holds the URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    user, at, host = parts.netloc.rpartition("@")
    if not password or ":" in user or "password=" in parts.query or not parts.scheme.startswith("postgres"):
        return url
    if not at:
        raise ValueError("names no user for ATLAS_DATABASE_PASSWORD: expected postgresql://user@host:5432/database")
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))
