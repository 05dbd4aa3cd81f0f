"""Lists of given and family names of many countries, for telling people's names from other words.

Belongs here: the lists, and how a word is folded before it is looked up. Does not belong here: the decision that a
value is a name (`cells.py`, `text.py`). The lists are Faker's, read from its package; nothing is generated.
"""

import importlib
import pkgutil
import unicodedata
from collections.abc import Iterator
from functools import cache


def fold(word: str) -> str:
    """The word without case, accents and surrounding blanks, as the lists hold it."""
    parted = unicodedata.normalize("NFKD", word.strip())
    return "".join(letter for letter in parted if not unicodedata.combining(letter)).casefold()


@cache
def given_names() -> frozenset[str]:
    """Given names, folded; about 30,000, of all scripts that Faker has."""
    return frozenset(_names("first_name"))


@cache
def family_names() -> frozenset[str]:
    """Family names, folded; about 30,000, of all scripts that Faker has."""
    return frozenset(_names("last_name"))


def _names(prefix: str) -> Iterator[str]:
    import faker.providers.person as people

    for module in pkgutil.iter_modules(people.__path__):
        provider = importlib.import_module(f"{people.__name__}.{module.name}").Provider
        for attribute in dir(provider):
            names = getattr(provider, attribute)
            if attribute.startswith(prefix) and isinstance(names, tuple | list | dict):
                yield from (fold(name) for name in names if isinstance(name, str) and len(name.strip()) > 1)
