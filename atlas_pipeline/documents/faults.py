"""What is wrong with a document: the error that names file and line, and the phrases that every reader shares.

Belongs here: what was found, what was expected, what was probably meant. Does not belong here: finding the faults
(`located.py` for YAML, `schemas.py` for JSON schemas, each reader for its own rules).
"""

import difflib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self

_LONGEST_SHOWN = 40
Place = tuple[Any, ...]
"""The way to a value from the root of a document: keys, and indices of lists."""


class Fault(NamedTuple):
    """One thing that is wrong, and the value it is wrong with."""

    message: str
    place: Place = ()


class DocumentError(Exception):
    """A document that cannot be used. Each line of the message is `file:line: what is wrong, what was expected`."""

    @classmethod
    def at(cls, path: Path | str, line: int, message: str) -> Self:
        """The error for a single fault."""
        return cls(f"{path}:{line}: {message}")

    @classmethod
    def listing(cls, path: Path | str, faults: Iterable[tuple[int, str]]) -> Self:
        """The error for several faults, given as line and message: in the order of the file, each once."""
        ordered = dict.fromkeys(sorted(faults, key=lambda fault: fault[0]))
        return cls("\n".join(f"{path}:{line}: {message}" for line, message in ordered))


def shown(value: Any) -> str:
    """A value of a document for a message, cut off; a URL may hold a secret and is not shown."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"a {kind}" if value else f"an empty {kind}"
    text = repr(value) if isinstance(value, str) else str(value)
    if "://" in text:
        return "an address"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def one_of(word: Any, known: Collection[str]) -> str:
    """What was expected instead of a word: the most similar of the known ones, if there is one, then all of them.

    Args:
        word: what the document has; compared without regard to case (difflib's ratio of at least 0.6).
        known: what it could have had, in the order in which it is listed.
    """
    listed = f"one of {', '.join(known)}"
    by_lower_case = {name.lower(): name for name in reversed(list(known))}
    near = difflib.get_close_matches(str(word).lower(), by_lower_case, n=1)
    return f"did you mean {by_lower_case[near[0]]!r}? Expected {listed}" if near else f"expected {listed}"


def unknown(what: str, word: Any, known: Collection[str]) -> str:
    """The message about a word that is not among the known ones.

    Args:
        what: what the word would be, such as `key` or `team`.
        word: what the document has.
        known: what it could have had, in the order in which it is listed.
    """
    return f"unknown {what} {shown(word)}: {one_of(word, known)}"
