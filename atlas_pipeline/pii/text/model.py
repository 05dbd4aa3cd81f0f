"""Names by the spaCy model: the parts of a text where it can matter are given to it, in batches.

Belongs here: loading, the choice of parts, and which of the model's labels count. Does not belong here: lists and cues
(`names.py`).
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from atlas_pipeline.pii.gazetteer import family_names, fold, given_names
from atlas_pipeline.pii.rules import ModelMissing
from atlas_pipeline.pii.text.names import NOT_NAMES
from atlas_pipeline.pii.text.places import places
from atlas_pipeline.pii.text.words import foreign_words, is_common, is_ordinary

Result = tuple[int, int, str, float]

_KINDS = {"PERSON": "PERSON", "GPE": "LOCATION", "LOC": "LOCATION", "FAC": "LOCATION", "NORP": "NRP"}
_SCORE = 0.6
_BATCH = 256
_UNUSED = ("tagger", "parser", "attribute_ruler", "lemmatizer", "senter")
_LONGEST = 1_000
_PART = re.compile(r"[^\n]{1,1000}?(?:[.!?](?=\s+\S)|\n|$)|[^\n]{1,1000}\n?")
_CAPITALISED = re.compile(r"(?<![\w'’])[^\W\d_a-z][\w'’-]*")
_WORDS = re.compile(r"[^\W\d_]+")
_FOREIGN_SHARE = 5
_SHORT = 6
_NEVER = frozenset(("I", "I'm", "I've", "I'd", "I'll", "OK", "ID", "Mr", "Mrs", "Ms", "Dr"))


@cache
def model(name: str) -> Any:
    """The spaCy model, with what finds names and nothing else. Raises ModelMissing."""
    import spacy

    try:
        return spacy.load(name, exclude=["tok2vec", *_UNUSED])
    except ValueError:  # a model whose entity recogniser listens to the shared layer
        return spacy.load(name, exclude=_UNUSED)
    except OSError:
        raise ModelMissing(
            f"the spaCy model {name!r} is not installed: install it into this environment, or set ATLAS_SPACY_MODEL to "
            "one that is (`python -m spacy info` lists them)"
        ) from None


def model_results(
    texts: Sequence[str], found: Sequence[Sequence[Result]], name: str, filler: str
) -> Iterator[list[Result]]:
    """For each text what the model finds in it; a text with `filler` in it is not asked about."""
    parts = [
        (at, start, end)
        for at, text in enumerate(texts)
        if filler not in text
        for start, end in _parts(text, found[at])
    ]
    answers: list[list[Result]] = [[] for _ in texts]
    if parts:
        pipeline = model(name)
        documents = pipeline.pipe((texts[at][start:end] for at, start, end in parts), batch_size=_BATCH)
        for (at, start, _), document in zip(parts, documents, strict=True):
            foreign = _foreign(document.text)
            answers[at].extend(
                (start + entity.start_char, start + entity.end_char, _KINDS[entity.label_], _SCORE)
                for entity in document.ents
                if entity.label_ in _KINDS and _counts(entity.text, _KINDS[entity.label_], foreign)
            )
    yield from answers


def _parts(text: str, found: Sequence[Result]) -> Iterator[tuple[int, int]]:
    """The sentences with a capitalised word in no finding yet; at their start, only one that is no ordinary word."""
    for match in _PART.finditer(text):
        for word in _CAPITALISED.finditer(text, *match.span()):
            first = text[match.start() : word.start()].strip(" \n\"'>-*([") == ""
            if (
                not (first and is_common(fold(word[0])))
                and word[0] not in _NEVER
                and not any(start <= word.start() < end for start, end, _, _ in found)
            ):
                yield match.span()
                break


def _foreign(text: str) -> bool:
    words = text.lower().split()
    return sum(word in foreign_words() for word in words) * _FOREIGN_SHARE > len(words)


def _counts(text: str, kind: str, foreign: bool) -> bool:
    """Whether it may be a name: letters alone, not all ordinary words; in another language, a name of the lists."""
    words = [word for word in map(fold, _WORDS.findall(text)) if word not in NOT_NAMES]
    if not words or text.islower() or "_" in text or any(map(str.isdigit, text)) or text.startswith("<"):
        return False
    known = any(word in given_names() or word in family_names() or word in places() for word in words)
    if foreign or (text.isupper() and len(text) < _SHORT):
        return known and not all(is_common(word) for word in words)
    usual = is_ordinary if kind == "LOCATION" else is_common
    return (known and len(words) > 1) or not all(usual(word) for word in words)
