"""The scanner of prose: find spans of personal data, and redact them.

Belongs here: the order of the recognisers, which of two overlapping results wins, what is skipped as already masked.
Does not belong here: the recognisers (`patterns.py`, `names.py`, `places.py`, `recognizers.py`, `model.py`), and
columns.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from atlas_pipeline.pii.checks import MASKED
from atlas_pipeline.pii.kinds import UNKNOWN
from atlas_pipeline.pii.normalise import cleaned_with_offsets, original_span
from atlas_pipeline.pii.recognizers import (
    custom_recognizers,
    custom_results,
    gated_results,
    presidio_recognizers,
    word_pattern,
)
from atlas_pipeline.pii.registers.cued import cued_numbers
from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.pii.text.casing import with_capitals
from atlas_pipeline.pii.text.cues import cued_results
from atlas_pipeline.pii.text.disambiguation import disambiguated
from atlas_pipeline.pii.text.gates import DIGITS_4, open_gates
from atlas_pipeline.pii.text.model import model_results
from atlas_pipeline.pii.text.names import TITLE_BEFORE, name_results
from atlas_pipeline.pii.text.patterns import pattern_results, phones_after_names
from atlas_pipeline.pii.text.places import place_results

Result = tuple[int, int, str, float]
_MASK_CHARACTER = "\u00a4"
_REGISTERED = 0.95
_WINDOW = 2_000
_SLACK = 500
_TRIMMED = " \t\r\n,;:"
_MARKUP = re.compile(
    r"</?[A-Za-z][^<>]{0,200}>?|&(?:[a-z]{2,6}|#\d{2,5});|\\+(?:u[0-9a-fA-F]{4}|[nrtbf](?![a-z]))?|[\"<>]"
)
_SUFFIX = re.compile(r",? (?:Jr|Sr|II|III|IV)\b\.?")
_KINDS_WITH_MARKUP = frozenset(("GEO_COORDINATES", "SECRET", "URL", UNKNOWN))


@dataclass(frozen=True, slots=True)
class Span:
    """A finding: characters `start` to `end`, exclusive, are of the kind `entity`, with confidence `score`, 0 to 1."""

    start: int
    end: int
    entity: str
    score: float


class TextScanner:
    """Finds personal data in prose. `scanner` makes one for each `Rules`."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._allow = frozenset(word.strip().casefold() for word in rules.allow)
        self._deny = word_pattern(rules.deny)
        self._custom = custom_recognizers(rules)
        self._custom_kinds = {UNKNOWN, *(kind for recognizer in self._custom for kind in recognizer.supported_entities)}

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """For each text its findings, in order, without overlaps. Equal texts are scanned once.

        A word of `rules.deny` is UNKNOWN. Masked values are skipped, and a text that holds a placeholder such as
        `<PERSON>` is not passed to the model, so that a second run over redacted text finds nothing new. Raises
        ModelMissing.
        """
        distinct = list(dict.fromkeys(texts))
        spans = dict(zip(distinct, self._scan(distinct), strict=True))
        return [spans[text] for text in texts]

    def redact(self, text: str, spans: Iterable[Span]) -> str:
        """Replace each span of the text by `<ENTITY>`.

        Args:
            text: The text as it was scanned.
            spans: Its spans, in order and without overlaps.
        """
        pieces: list[str] = []
        position = 0
        for span in spans:
            pieces += text[position : span.start], f"<{span.entity}>"
            position = span.end
        return "".join(pieces) + text[position:]

    def _scan(self, texts: list[str]) -> list[list[Span]]:
        cleaned = [cleaned_with_offsets(text) for text in texts]
        plain = [MASKED.sub(lambda match: _MASK_CHARACTER * len(match[0]), text) for text, _ in cleaned]
        windows = [(index, start, text[start:end]) for index, text in enumerate(plain) for start, end in _windows(text)]
        pieces = [piece for _, _, piece in windows]
        by_rule = [self._rule_results(piece) for piece in pieces]
        by_model = model_results(pieces, by_rule, self._rules.model, _MASK_CHARACTER)
        results: list[list[Result]] = [[] for _ in texts]
        for (index, offset, text), first, more in zip(windows, by_rule, by_model, strict=True):
            numbers = phones_after_names(text, first + more)
            results[index] += [
                (start + offset, end + offset, kind, score) for start, end, kind, score in (*first, *more, *numbers)
            ]
        return [
            self._resolved(text, candidates, offsets)
            for text, candidates, (_, offsets) in zip(plain, results, cleaned, strict=True)
        ]

    def _rule_results(self, text: str) -> list[Result]:
        """The results of every recogniser but the model."""
        gates = open_gates(text)
        results = [*pattern_results(text, gates), *cued_results(text, gates)]
        if gates & DIGITS_4:
            results.extend(gated_results(text, presidio_recognizers()))
            results.extend((start, end, kind, _REGISTERED) for start, end, kind in cued_numbers(text))
        results.extend(custom_results(text, self._custom))
        results.extend((*match.span(), UNKNOWN, 1.0) for match in self._deny.finditer(text))
        results.extend(place_results(text, gates))
        results.extend(name_results(text, gates))
        if (cased := with_capitals(text)) is not None:
            results.extend(place_results(cased, gates))
            results.extend(name_results(cased, gates))
        return results

    def _resolved(self, text: str, results: list[Result], offsets: Sequence[int]) -> list[Span]:
        pieces = (piece for result in results for piece in _split_at_markup(text, result))
        kept = [trimmed for piece in pieces if (trimmed := self._trimmed(text, piece)) is not None]
        return [
            Span(*original_span(offsets, start, end), kind, score)
            for start, end, kind, score in (disambiguated(text, result) for result in self._merged(kept))
        ]

    def _trimmed(self, text: str, result: Result) -> Result | None:
        """The result without blanks and separators at its ends; None if it is allowed or overlaps masked text.

        None also for a URL that is the whole text: only what it contains may be personal.
        """
        start, end, kind, score = result
        if kind == "PERSON" and (suffix := _SUFFIX.match(text, end)):
            end = suffix.end()
        if kind == "PERSON" and (title := TITLE_BEFORE.search(text, max(0, start - 24), start)):
            start = title.start()
        piece = text[start:end]
        start += len(piece) - len(piece.lstrip(_TRIMMED))
        end -= len(piece) - len(piece.rstrip(_TRIMMED))
        if start >= end or _MASK_CHARACTER in text[start:end] or text[start:end].casefold() in self._allow:
            return None
        if kind == "URL" and text.strip(_TRIMMED) == text[start:end]:
            return None
        return start, end, kind, score

    def _merged(self, results: list[Result]) -> list[Result]:
        """Merge overlapping results into one span. Its kind is that of a custom recogniser or a denied word, else of
        the highest score, then of the longest result."""
        merged: list[Result] = []
        best: Result | None = None
        for result in sorted(results):
            if best is None or result[0] >= merged[-1][1]:
                merged.append(result)
                best = result
                continue
            best = max(best, result, key=lambda each: (each[2] in self._custom_kinds, each[3], each[1] - each[0]))
            start, end, _, _ = merged[-1]
            merged[-1] = start, max(end, result[1]), best[2], best[3]
        return merged


def _split_at_markup(text: str, result: Result) -> Iterator[Result]:
    """The parts of a result between quotes, tags and escapes, so that JSON and HTML around it stay as they are."""
    start, end, kind, score = result
    if kind in _KINDS_WITH_MARKUP or _MARKUP.search(text, start, end) is None:
        yield result
        return
    for match in _MARKUP.finditer(text, start, end):
        if match.start() > start:
            yield start, match.start(), kind, score
        start = match.end()
    if start < end:
        yield start, end, kind, score


@cache
def scanner(rules: Rules | None = None) -> TextScanner:
    """The scanner for these rules. The spaCy model is loaded when a text first needs it."""
    return TextScanner(rules or Rules())


def _windows(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each window of a long text, cut between lines or words, so that scanning time stays linear."""
    start = 0
    while len(text) - start > _WINDOW:
        latest = start + _WINDOW
        cut = max(text.rfind("\n", latest - _SLACK, latest), text.rfind(". ", latest - _SLACK, latest))
        cut = cut if cut > 0 else text.rfind(" ", latest - _SLACK, latest)
        end = cut + 1 if cut > 0 else latest
        yield start, end
        start = end
    yield start, len(text)
