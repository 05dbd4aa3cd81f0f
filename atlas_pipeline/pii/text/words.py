"""Ordinary words, which are not names even when a sentence starts with them.

Belongs here: the vocabulary, read from the packages at hand. Does not belong here: names (`gazetteer.py`), and what is
concluded from a word (`names.py`).
"""

import importlib
import re
import runpy
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from atlas_pipeline.pii.gazetteer import family_names, fold, given_names, listed
from atlas_pipeline.pii.rules import DEFAULT_MODEL

_LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pl", "pt", "sv", "da")
_LOREM_LOCALES = ("en_US", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "da_DK")

_FOREIGN_SHARE = 5
_REMEMBERED_SENTENCES = 1_000
_LETTERS = re.compile(r"[^\W\d_]+")
_FOREIGN_FUNCTION_WORDS = listed(
    "mit el la die des il lo le les der den dem das las los del di et un une una est sur par por y è é ist und zu im"
)
"""Lower-case words of other languages that are left out of `foreign_words` for being English nouns as well."""
_NAMES_NOT_WORDS = listed(
    """antonio felipe fernando francisco jorge jose juan julio luis manuel maria miguel pablo rafael garcia gonzalez
    lopez rodriguez francois kristen pietro piotr massimo pierre marie michel jean hans peter anna"""
)
"""Names that the vocabularies hold as words."""


@cache
def common_words() -> frozenset[str]:
    """Ordinary words, folded: stop words of ten languages, Faker's prose, English words that are not also names."""
    return ordinary_words() | (_english("noun") - given_names() - family_names())


@cache
def ordinary_words() -> frozenset[str]:
    """Common words without English nouns, among which are towns and countries."""
    words: set[str] = set()
    for language in _LANGUAGES:
        words.update(_stop_words(language))
    for locale in _LOREM_LOCALES:
        words.update(_lorem_words(locale))
    return (
        frozenset({fold(word) for word in words if len(word) > 1}) | _english("verb", "adj", "adv")
    ) - _NAMES_NOT_WORDS


def is_common(folded: str) -> bool:
    """Whether the folded word, or its singular, is a common one; an English noun that is also a name is not."""
    words = common_words()
    return folded in words or (folded.endswith("s") and folded[:-1] in words and folded not in family_names())


def is_ordinary(folded: str) -> bool:
    """Whether the folded word is ordinary and not an English noun, which may be a town or country."""
    return folded in ordinary_words()


def is_word(folded: str) -> bool:
    """Whether the folded word is ordinary at all, even if it is also a name, such as a trade or a flower."""
    return is_common(folded) or folded in _english("noun")


def is_inflected(folded: str) -> bool:
    """Whether the folded word is a plural, a past or an -ing form of an English word."""
    return any(
        folded.endswith(ending)
        and len(folded) > len(ending) + 2
        and any(folded[: -len(ending)] + added in _english("noun", "verb", "adj") for added in ("", "e"))
        for ending in ("s", "es", "ed", "ing", "d")
    )


@cache
def foreign_words() -> frozenset[str]:
    """Stop words that are not English; they reveal a sentence in another language."""
    english = _stop_words("en")
    words: set[str] = set()
    for language in _LANGUAGES[1:]:
        words.update(_stop_words(language))
    return frozenset(word for word in words if len(word) > 1 and word not in english and word not in _english("noun"))


@lru_cache(_REMEMBERED_SENTENCES)
def is_foreign(text: str) -> bool:
    """Whether the text is not English: one word in five is a stop word of another language, or a lower-case word has
    a letter that English has not."""
    words = [word.strip(".,;:!?()\"'") for word in text.split()]
    foreign = sum(
        word in _FOREIGN_FUNCTION_WORDS or ((word.islower() or not at) and word.lower() in foreign_words())
        for at, word in enumerate(words)
    )
    if foreign * _FOREIGN_SHARE >= len(words) > 0:
        return True
    return not text.isascii() and any(not word.isascii() and word.islower() for word in _LETTERS.findall(text))


def _stop_words(language: str) -> frozenset[str]:
    """spaCy's list, read as a file: importing a language's package builds its tokenizer, for French in seconds."""
    import spacy.lang

    path = Path(spacy.lang.__path__[0]) / language / "stop_words.py"
    return frozenset(runpy.run_path(str(path))["STOP_WORDS"])


def _lorem_words(locale: str) -> tuple[str, ...]:
    try:
        return tuple(importlib.import_module(f"faker.providers.lorem.{locale}").Provider.word_list)
    except ModuleNotFoundError:
        return ()


@cache
def _english(*parts: str) -> frozenset[str]:
    """The English words of these parts of speech, from the lemma table of the default model."""
    table = _lemmas()
    return frozenset(word for part in parts for word in table.get(part, ()) if len(word) > 1)


@cache
def _lemmas() -> Any:
    import spacy.util
    from spacy.lookups import Lookups

    if not spacy.util.is_package(DEFAULT_MODEL):
        return {}
    tables = list(Path(spacy.util.get_package_path(DEFAULT_MODEL)).glob("*/lemmatizer/lookups"))
    return Lookups().from_disk(tables[0]).get_table("lemma_index") if tables else {}
