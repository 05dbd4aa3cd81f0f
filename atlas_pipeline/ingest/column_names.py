"""Names of columns that nobody declared, where a file may have values in the place of its header.

Belongs here: which names seem to be values about people, and the names that they get instead. Does not belong here:
what makes a name usable (`readers/columns.py`).

The first row of a file without a header is taken for names: these would stand in Postgres's catalogue, in the ledger
and in the UI for all to read. One name that seems personal shows that the row is one of values, so that all names of
the file that are not declared become `column_1`, by their position.
"""

import re
from collections.abc import Collection
from functools import lru_cache

from atlas_pipeline.ingest.identifiers import names_entity, names_quantity

_DATE = re.compile(r"\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?(?:[T ][\d:.+Z-]*)?")
_VALUES = (
    re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]{2,}"),  # an e-mail address
    re.compile(r"[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{2,4}){3,8}"),  # an IBAN
    re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"),  # an address of a network
    re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),  # a UUID
    re.compile(r"(?:\d[ ().\-/+]{0,2}){7,}"),  # a phone, card or identity number
)


_ADDRESS = re.compile(
    r"\w{2,}(?:str\.?|straße|strasse|weg|platz|allee|gasse) \d+ ?[a-z]?"
    r"|\d+ [\w' ]{3,40} (?:street|st|road|rd|avenue|ave|lane|ln|drive|boulevard|blvd)\.?"
    r"|(?:rue|via|calle|avenida|ulica|ul\.) \D{3,40} \d+ ?[a-z]?",
    re.IGNORECASE,
)
_WORD = r"[^\W\d_a-z][^\W\d_]+"
_PERSON = re.compile(rf"(?P<first>{_WORD})(?:[ -]{_WORD}|(?: [^\W\d_]\.))?(?P<comma>,)? (?P<last>{_WORD}(?:-{_WORD})?)")
_LABEL = re.compile(r"(?:name|nr|id|code|type|text|date|datum|status|email|phone|address|city|country)$", re.IGNORECASE)


def safe_names(names: tuple[str, ...], declared: Collection[str]) -> tuple[str, ...]:
    """The names by which the columns of a file are kept.

    Args:
        names: as the file has them.
        declared: those of the dataset, which stay; empty where none are known, and nothing is changed.
    """
    undeclared = [name for name in names if name not in declared]
    if not declared or not any(map(seems_personal, undeclared)):
        return names
    taken = set(names)
    safe = []
    for position, name in enumerate(names, 1):
        if name in declared:
            safe.append(name)
            continue
        new = f"column_{position}"
        while new in taken:
            new += "_"
        taken.add(new)
        safe.append(new)
    return tuple(safe)


@lru_cache(maxsize=10_000)
def seems_personal(name: str) -> bool:
    """Whether a name of a column seems to be a value: an e-mail or postal address, an identity number, a full name."""
    return seems_value(name) or names_person(name)


def seems_value(name: str) -> bool:
    """Whether a name of a column is a value about a person by its form alone.

    Years, months and days are names of columns in tables that are turned on their side.
    """
    name = name.strip()
    if _DATE.fullmatch(name):
        return False
    return any(value.search(name) for value in _VALUES) or bool(_ADDRESS.fullmatch(name))


def names_person(name: str) -> bool:
    """Whether it is a given name and another word, neither of which is what columns are named with."""
    parts = _PERSON.fullmatch(name.strip())
    if parts is None or _LABEL.search(name) or names_quantity(name) or names_entity(name):
        return False
    from atlas_pipeline.pii.text.names import begins_with_given_name

    return begins_with_given_name(parts["last"] if parts["comma"] else name)
