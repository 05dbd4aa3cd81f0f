"""Named-entity recognition by a spaCy model, on the sentences where it can find something new, in batches.

Belongs here: loading, the choice of sentences, and which of the model's labels count. Does not belong here: lists and
cues (`names.py`).
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Any

from atlas_pipeline.pii.gazetteer import family_names, fold, given_names
from atlas_pipeline.pii.rules import ModelMissing
from atlas_pipeline.pii.text.disambiguation import kind_by_context
from atlas_pipeline.pii.text.names import NOT_NAMES
from atlas_pipeline.pii.text.places import places
from atlas_pipeline.pii.text.words import is_common, is_foreign, is_ordinary, is_word

Result = tuple[int, int, str, float]

_KINDS = {"PERSON": "PERSON", "GPE": "LOCATION", "LOC": "LOCATION", "FAC": "LOCATION", "NORP": "NRP"}
_UNSURE_LABELS = frozenset(("ORG", "PRODUCT", "WORK_OF_ART", "EVENT", "LAW", "LANGUAGE"))
"""Labels under which the model reports names that it does not know; the words around them decide."""
_SCORE = 0.6
_UNSURE_SCORE = 0.5
_BATCH = 256
_UNUSED_PIPES = ("tagger", "parser", "attribute_ruler", "lemmatizer", "senter")
_LONGEST = 1_000
_SENTENCE = re.compile(r"[^\n]{1,1000}?(?:[.!?](?=\s+\S)|\n|$)|[^\n]{1,1000}\n?")
_CAPITALISED = re.compile(r"(?<![\w'’])[^\W\d_a-z][\w'’-]*")
_WORDS = re.compile(r"[^\W\d_]+")
_ACRONYM_LENGTH = 6
_REMEMBERED_WORDS = 100_000
_PARTICLES = frozenset(
    ("van", "von", "de", "der", "den", "da", "di", "del", "della", "dos", "el", "al", "bin", "ter", "zu")
)
_IGNORED_WORDS = frozenset(("I", "I'm", "I've", "I'd", "I'll", "OK", "ID", "Mr", "Mrs", "Ms", "Dr"))


@cache
def model(name: str) -> Any:
    """Load the spaCy model with its entity recogniser alone. Raises ModelMissing."""
    import spacy

    try:
        return spacy.load(name, exclude=["tok2vec", *_UNUSED_PIPES])
    except ValueError:  # a model whose entity recogniser listens to the shared layer
        return spacy.load(name, exclude=_UNUSED_PIPES)
    except OSError:
        raise ModelMissing(
            f"the spaCy model {name!r} is not installed: install it into this environment, or set ATLAS_SPACY_MODEL to "
            "one that is (`python -m spacy info` lists them)"
        ) from None


def model_results(
    texts: Sequence[str], findings: Sequence[Sequence[Result]], name: str, filler: str
) -> Iterator[list[Result]]:
    """Run the model over the sentences that hold a capitalised word without a finding yet.

    Args:
        texts: Clean texts; see `normalise.clean`.
        findings: For each text the results of the other recognisers.
        name: Name of the spaCy model; it is loaded only if a sentence needs it.
        filler: Character that stands for masked text. A text that holds it is skipped, so that a second run over
            redacted text finds nothing new.

    Yields:
        For each text its results: start, end, kind, score.

    Raises:
        ModelMissing: The model is needed and not installed.
    """
    parts = [
        (index, start, end)
        for index, text in enumerate(texts)
        if filler not in text
        for start, end in _candidate_sentences(text, findings[index])
    ]
    results: list[list[Result]] = [[] for _ in texts]
    if parts:
        pipeline = model(name)
        documents = pipeline.pipe((texts[index][start:end] for index, start, end in parts), batch_size=_BATCH)
        for (index, start, _), document in zip(parts, documents, strict=True):
            foreign = is_foreign(document.text)
            for entity in document.ents:
                kind = _KINDS.get(entity.label_)
                if kind is None and entity.label_ in _UNSURE_LABELS and _is_unknown(entity.text):
                    kind = kind_by_context(document.text, entity.start_char, entity.end_char)
                if kind and _is_plausible(entity.text, kind, foreign):
                    score = _SCORE if entity.label_ in _KINDS else _UNSURE_SCORE
                    results[index].append((start + entity.start_char, start + entity.end_char, kind, score))
    yield from results


def _candidate_sentences(text: str, findings: Sequence[Result]) -> Iterator[tuple[int, int]]:
    """The sentences with a capitalised word outside all findings for which a result of the model could count."""
    for match in _SENTENCE.finditer(text):
        start, end = match.span()
        foreign: bool | None = None
        for word in _CAPITALISED.finditer(text, start, end):
            if not _is_undecided(word[0]):
                continue
            if is_common(fold(word[0])) and text[start : word.start()].strip(" \n\"'>-*([") == "":
                continue
            if any(result[0] <= word.start() < result[1] for result in findings):
                continue
            if foreign is None:
                foreign = is_foreign(match[0])
            if not foreign or _has_listed_part(word[0]):
                yield start, end
                break


def _is_unknown(text: str) -> bool:
    """Whether an entity is up to three capitalised words, none of them an ordinary one."""
    words = text.split()
    return len(words) <= 3 and all(
        word[0].isupper() and not word.isupper() and not is_word(fold(word)) for word in words
    )


@lru_cache(_REMEMBERED_WORDS)
def _is_undecided(word: str) -> bool:
    """Whether the lists leave open if this capitalised word is a name: it is not an ordinary word, code or acronym."""
    if word in _IGNORED_WORDS or not word[0].isupper() or any(map(str.isdigit, word)):
        return False
    parts = [part for part in map(fold, _WORDS.findall(word)) if part not in NOT_NAMES]
    if any(map(_is_listed, parts)):
        return not all(map(is_ordinary, parts))
    return not all(map(is_common, parts)) and not (word.isupper() and len(word) < _ACRONYM_LENGTH)


@lru_cache(_REMEMBERED_WORDS)
def _has_listed_part(word: str) -> bool:
    return any(part not in NOT_NAMES and _is_listed(part) for part in map(fold, _WORDS.findall(word)))


def _is_plausible(text: str, kind: str, foreign: bool) -> bool:
    """Whether an entity may be a name: without digits, and not all ordinary words. Where the model is weak, in a
    sentence that is not English and for acronyms, one of its words must also be a listed name or place."""
    words = [word for word in map(fold, _WORDS.findall(text)) if word not in NOT_NAMES]
    if not words or text.islower() or "_" in text or any(map(str.isdigit, text)) or text.startswith("<"):
        return False
    known = any(map(_is_listed, words))
    if foreign or (text.isupper() and len(text) < _ACRONYM_LENGTH):
        return known and (
            any(len(word) > 2 and not is_common(word) and _is_listed(word) for word in words)
            or (len(words) > 1 and any(word in _PARTICLES for word in words[1:]))
        )
    usual = is_ordinary if kind == "LOCATION" else is_common
    return (known and len(words) > 1) or not all(usual(word) for word in words)


def _is_listed(word: str) -> bool:
    return word in given_names() or word in family_names() or word in places()
