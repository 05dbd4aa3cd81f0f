"""Personal data inside prose: the scanner, which finds spans and replaces them.

Belongs here: the order in which a text is looked at, which of two findings wins, what is never looked at again. Does
not belong here: what is looked for (`patterns.py`, `names.py`, `places.py`, `recognizers.py`,
`model.py`), and columns.
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
from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.pii.text.model import model_results
from atlas_pipeline.pii.text.names import name_results
from atlas_pipeline.pii.text.patterns import pattern_results
from atlas_pipeline.pii.text.places import place_results

Result = tuple[int, int, str, float]
_NUMBERED = re.compile(r"\d")
_FILLER = "\u00a4"
_WINDOW = 2_000
_SLACK = 500
_EDGES = " \t\r\n,;:"


@dataclass(frozen=True, slots=True)
class Span:
    """One finding: the text from `start` to before `end` is of the kind `entity`, with certainty `score`, 0 to 1."""

    start: int
    end: int
    entity: str
    score: float


class TextScanner:
    """Finds personal data in prose. Made by `scanner`, once for each `Rules`."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._allow = frozenset(word.strip().casefold() for word in rules.allow)
        self._deny = word_pattern(rules.deny)
        self._custom = custom_recognizers(rules)
        self._own = {UNKNOWN, *(kind for one in self._custom for kind in one.supported_entities)}

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """For each text its findings, in order, none over another. Equal texts are looked at once.

        A word of `rules.deny` is UNKNOWN. What is already masked or replaced is left alone; a text that holds a
        placeholder such as `<PERSON>` is not given to the model, so that a second run finds nothing new.
        """
        distinct = list(dict.fromkeys(texts))
        found = dict(zip(distinct, self._scan(distinct), strict=True))
        return [found[text] for text in texts]

    def redact(self, text: str, spans: Iterable[Span]) -> str:
        """The text with `<ENTITY>` in the place of each span."""
        pieces: list[str] = []
        at = 0
        for span in spans:
            pieces += text[at : span.start], f"<{span.entity}>"
            at = span.end
        return "".join(pieces) + text[at:]

    def _scan(self, texts: list[str]) -> list[list[Span]]:
        cleaned = [cleaned_with_offsets(text) for text in texts]
        plain = [MASKED.sub(lambda match: _FILLER * len(match[0]), text) for text, _ in cleaned]
        windows = [(at, start, text[start:end]) for at, text in enumerate(plain) for start, end in _windows(text)]
        pieces = [piece for _, _, piece in windows]
        found = [self._by_form(piece) for piece in pieces]
        guessed = model_results(pieces, found, self._rules.model, _FILLER)
        results: list[list[Result]] = [[] for _ in texts]
        for (at, offset, _), certain, more in zip(windows, found, guessed, strict=True):
            results[at] += [(start + offset, end + offset, kind, score) for start, end, kind, score in certain + more]
        return [
            self._chosen(text, ones, offsets) for text, ones, (_, offsets) in zip(plain, results, cleaned, strict=True)
        ]

    def _by_form(self, text: str) -> list[Result]:
        results = list(pattern_results(text))
        if _NUMBERED.search(text):
            results.extend(gated_results(text, presidio_recognizers()))
        results.extend(custom_results(text, self._custom))
        results.extend((*match.span(), UNKNOWN, 1.0) for match in self._deny.finditer(text))
        results.extend(place_results(text))
        results.extend(name_results(text))
        return results

    def _chosen(self, text: str, results: list[Result], offsets: Sequence[int]) -> list[Span]:
        kept = [trimmed for result in results if (trimmed := self._trimmed(text, result)) is not None]
        return [
            Span(*original_span(offsets, start, end), kind, score) for start, end, kind, score in self._merged(kept)
        ]

    def _trimmed(self, text: str, result: Result) -> Result | None:
        """The result without blanks at its ends; None for what is allowed or overlaps what was already replaced.

        None also for a URL that is all of the text: what is in it counts, and nothing around it makes it somebody's.
        """
        start, end, kind, score = result
        piece = text[start:end]
        start += len(piece) - len(piece.lstrip(_EDGES))
        end -= len(piece) - len(piece.rstrip(_EDGES))
        if start >= end or _FILLER in text[start:end] or text[start:end].casefold() in self._allow:
            return None
        if kind == "URL" and text.strip(_EDGES) == text[start:end]:
            return None
        return start, end, kind, score

    def _merged(self, results: list[Result]) -> list[Result]:
        """What overlaps becomes one span: of a kind of the user's own, else of the highest score, then the longest."""
        merged: list[Result] = []
        best: Result | None = None
        for result in sorted(results):
            if best is None or result[0] >= merged[-1][1]:
                merged.append(result)
                best = result
                continue
            best = max(best, result, key=lambda one: (one[2] in self._own, one[3], one[1] - one[0]))
            start, end, _, _ = merged[-1]
            merged[-1] = start, max(end, result[1]), best[2], best[3]
        return merged


@cache
def scanner(rules: Rules | None = None) -> TextScanner:
    """The scanner for these rules; the model is loaded when a text first needs it."""
    return TextScanner(rules or Rules())


def _windows(text: str) -> Iterator[tuple[int, int]]:
    """A long text in parts, cut between lines or words, so that the time for it grows no faster than it does."""
    start = 0
    while len(text) - start > _WINDOW:
        latest = start + _WINDOW
        cut = max(text.rfind("\n", latest - _SLACK, latest), text.rfind(". ", latest - _SLACK, latest))
        cut = cut if cut > 0 else text.rfind(" ", latest - _SLACK, latest)
        end = cut + 1 if cut > 0 else latest
        yield start, end
        start = end
    yield start, len(text)
