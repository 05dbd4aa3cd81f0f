"""Presidio's recognisers: which of its predefined ones Atlas uses, and those of a user's YAML.

Belongs here: the choice, what a text must hold before a recogniser runs (its gate), and the kind it reports. Does not
belong here: Atlas's own patterns (`patterns.py`) and names (`names.py`).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from atlas_pipeline.pii.rules import Rules

_CERTAIN = 0.5
_CONTEXT_REACH = 48


@dataclass(frozen=True)
class Gated:
    """A recogniser of Presidio that runs only on a text in which `gate` is found, and is made when it first does.

    With `needs_context` a result counts only with one of the recogniser's context words in the 48 characters before it.
    """

    name: str
    kind: str
    gate: re.Pattern[str]
    needs_context: bool

    @cached_property
    def recognizer(self) -> Any:
        """Presidio's own. Importing it takes most of a second, since Presidio imports spaCy."""
        from presidio_analyzer import predefined_recognizers

        return getattr(predefined_recognizers, self.name)()

    @cached_property
    def context(self) -> re.Pattern[str] | None:
        """The words that a result needs before it, where it needs one."""
        return word_pattern(self.recognizer.context or ()) if self.needs_context else None


_CHOSEN = (
    ("CryptoRecognizer", "CRYPTO", r"\b(?:bc1|[13])[a-zA-HJ-NP-Z0-9]{25}", False),
    ("UsItinRecognizer", "TAX_ID", r"\b9\d\d[- ]?[5-9]\d", True),
    ("UsPassportRecognizer", "PASSPORT", r"\b[A-Z]?\d{8,9}\b", True),
    ("UsLicenseRecognizer", "DRIVER_LICENSE", r"\b[A-Za-z]{0,3}\d{5,}", True),
    ("UsBankRecognizer", "ACCOUNT_NUMBER", r"\b\d{8,17}\b", True),
    ("UsNpiRecognizer", "US_NPI", r"\b[12]\d{3}[ -]?\d{3}[ -]?\d{3}\b", True),
    ("UsMbiRecognizer", "HEALTH_ID", r"\b[1-9][A-Za-z][A-Za-z0-9]\d", True),
    ("NhsRecognizer", "UK_NHS", r"\b\d{3}[ -]?\d{3}[ -]?\d{4}\b", True),
    ("UkNinoRecognizer", "NATIONAL_ID", r"\b[A-Za-z]{2} ?\d\d ?\d\d ?\d\d ?[A-Da-d]\b", False),
    ("UkPassportRecognizer", "PASSPORT", r"\b[A-Z]{2}\d{7}\b", True),
    ("UkDrivingLicenceRecognizer", "DRIVER_LICENSE", r"\b[A-Z9]{5}\d{6}", False),
    ("EsNifRecognizer", "NATIONAL_ID", r"\b\d{7,8}-?[A-Z]\b", False),
    ("EsNieRecognizer", "NATIONAL_ID", r"\b[XYZxyz]-?\d{7}", False),
    ("ItFiscalCodeRecognizer", "TAX_ID", r"\b[A-Za-z]{6}\d\d[A-Za-z]\d\d[A-Za-z]", False),
    ("ItVatCodeRecognizer", "TAX_ID", r"\b\d{11}\b", True),
    ("PlPeselRecognizer", "NATIONAL_ID", r"\b\d{11}\b", True),
    ("DeTaxIdRecognizer", "TAX_ID", r"\b\d{2} ?\d{3} ?\d{3} ?\d{3}\b", True),
    ("DeSocialSecurityRecognizer", "NATIONAL_ID", r"\b\d{2} ?\d{6} ?[A-Z] ?\d{3}\b", False),
    ("FiPersonalIdentityCodeRecognizer", "NATIONAL_ID", r"\b\d{6}[+A-FU-Y-]\d{3}", False),
    ("SePersonnummerRecognizer", "NATIONAL_ID", r"\b\d{6,8}[-+]?\d{4}\b", True),
    ("InPanRecognizer", "TAX_ID", r"\b[A-Za-z]{5}\d{4}[A-Za-z]\b", False),
    ("InAadhaarRecognizer", "NATIONAL_ID", r"\b\d{4}[ :-]?\d{4}[ :-]?\d{4}\b", True),
    ("AuTfnRecognizer", "TAX_ID", r"\b\d{3} ?\d{3} ?\d{3}\b", True),
    ("AuMedicareRecognizer", "HEALTH_ID", r"\b\d{4}[ -]?\d{5}[ -]?\d\b", True),
    ("CaSinRecognizer", "NATIONAL_ID", r"\b\d{3}[ -]?\d{3}[ -]?\d{3}\b", True),
    ("SgFinRecognizer", "NATIONAL_ID", r"\b[STFGMstfgm]\d{7}[A-Za-z]\b", False),
    ("KrRrnRecognizer", "NATIONAL_ID", r"\b\d{6}-\d{7}\b", False),
    ("ThTninRecognizer", "NATIONAL_ID", r"\b\d-?\d{4}-?\d{5}-?\d\d-?\d\b", True),
    ("TrNationalIdRecognizer", "NATIONAL_ID", r"\b[1-9]\d{10}\b", True),
    ("ZaIdNumberRecognizer", "NATIONAL_ID", r"\b\d{13}\b", True),
)
"""Presidio's class, kind, gate, and whether a result needs a context word. Numbers of digits alone do, even with a
check digit: too many other numbers pass it."""


@cache
def presidio_recognizers() -> tuple[Gated, ...]:
    """Presidio's recognisers of identifiers issued to people, each with its gate."""
    return tuple(Gated(name, kind, re.compile(gate), needs_context) for name, kind, gate, needs_context in _CHOSEN)


@cache
def custom_recognizers(rules: Rules) -> tuple[Any, ...]:
    """The recognisers of the user's YAML, as Presidio reads it."""
    if rules.recognizers is None:
        return ()
    from presidio_analyzer import RecognizerRegistry

    registry = RecognizerRegistry(recognizers=[])
    registry.add_recognizers_from_yaml(str(rules.recognizers))
    return tuple(registry.recognizers)


def gated_results(text: str, recognizers: Sequence[Gated]) -> Iterable[tuple[int, int, str, float]]:
    """Run the recognisers whose gate is found in the text.

    Args:
        text: Clean text; see `normalise.clean`.
        recognizers: The recognisers with their gates.

    Yields:
        Start, end, kind and score, 0.5 to 1, of each result.
    """
    for gated in recognizers:
        if gated.gate.search(text) is None or (gated.context is not None and gated.context.search(text) is None):
            continue
        for result in gated.recognizer.analyze(text, gated.recognizer.supported_entities, None):
            if gated.context is None:
                counts = result.score >= _CERTAIN
            else:
                counts = gated.context.search(text, max(0, result.start - _CONTEXT_REACH), result.start) is not None
            if counts:
                yield result.start, result.end, gated.kind, max(result.score, _CERTAIN)


def custom_results(text: str, recognizers: Sequence[Any]) -> Iterable[tuple[int, int, str, float]]:
    """Run the user's recognisers.

    Args:
        text: Clean text; see `normalise.clean`.
        recognizers: Presidio's objects, from `custom_recognizers`.

    Yields:
        Start, end, kind and score of each result that reaches 0.4. A context word within 48 characters adds 0.35 to
        the pattern's own score.
    """
    for recognizer in recognizers:
        context = word_pattern(recognizer.context) if recognizer.context else None
        for result in recognizer.analyze(text, recognizer.supported_entities, None):
            score = result.score
            around = max(0, result.start - _CONTEXT_REACH), result.end + _CONTEXT_REACH
            if context is not None and context.search(text, *around):
                score = min(1.0, score + _CONTEXT_GAIN)
            if score >= _REPORTED:
                yield result.start, result.end, result.entity_type, score


_CONTEXT_GAIN = 0.35
_REPORTED = 0.4


def word_pattern(words: Iterable[str]) -> re.Pattern[str]:
    """A pattern that matches any of the words as a whole, ignoring case. Without words it matches nothing."""
    return _word_pattern(
        tuple(sorted({word.strip() for word in words if word.strip()}, key=lambda word: (-len(word), word)))
    )


@cache
def _word_pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    if not words:
        return re.compile(r"(?!)")
    return re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, words)) + r")(?!\w)", re.IGNORECASE)
