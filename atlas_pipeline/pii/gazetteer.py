"""Gazetteers: given names, family names and places of many countries, read from the data of the package Faker.

Belongs here: the lists, and how a word is folded before it is looked up. Does not belong here: the decision that a
value is a name (`columns/`, `text/`).
"""

import importlib
import pkgutil
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from types import ModuleType
from typing import Any

_REMEMBERED_WORDS = 200_000


@lru_cache(_REMEMBERED_WORDS)
def fold(word: str) -> str:
    """The word without case, accents and surrounding blanks, as the lists hold it (NFKD without combining marks)."""
    if word.isascii():
        return word.strip().lower()
    decomposed = unicodedata.normalize("NFKD", word.strip())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold()


def listed(text: str) -> frozenset[str]:
    """The words of a text as a set. Vocabularies are written as such texts."""
    return frozenset(text.split())


@cache
def given_names() -> frozenset[str]:
    """Given names, folded; about 30,000, of all scripts that Faker has."""
    return frozenset(_names("first_name"))


@cache
def family_names() -> frozenset[str]:
    """Family names, folded; about 30,000, of all scripts that Faker has."""
    return frozenset(_names("last_name"))


@cache
def short_family_names() -> frozenset[str]:
    """Chinese and Korean family names of one character; the given name follows without a blank."""
    import faker.providers.person as people

    return frozenset(
        name
        for provider in _providers(people)
        for attribute in dir(provider)
        if attribute.startswith("last_name") and isinstance(getattr(provider, attribute), tuple | list | dict)
        for name in getattr(provider, attribute)
        if isinstance(name, str) and len(name) == 1 and name > "\u3400"
    )


@cache
def places() -> frozenset[str]:
    """Countries, their states and provinces, and cities, folded; many of them are people's names as well."""
    import faker.providers.address as addresses

    names: set[str] = set()
    for provider in _providers(addresses):
        for attribute in _PLACES:
            entries = getattr(provider, attribute, ())
            if isinstance(entries, tuple | list):
                names.update(fold(entry) for entry in entries if isinstance(entry, str))
    return frozenset(names)


_PLACES = ("countries", "states", "provinces", "regions", "cities", "city_names")


def _providers(package: ModuleType) -> Iterator[Any]:
    for module in pkgutil.iter_modules(package.__path__):
        yield importlib.import_module(f"{package.__name__}.{module.name}").Provider


def _names(prefix: str) -> Iterator[str]:
    import faker.providers.person as people

    for provider in _providers(people):
        for attribute in dir(provider):
            names = getattr(provider, attribute)
            if attribute.startswith(prefix) and isinstance(names, tuple | list | dict):
                yield from (fold(name) for name in names if isinstance(name, str) and len(name.strip()) > 1)
