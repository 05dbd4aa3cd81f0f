"""The sweep: which cells of a text column hold what is certainly personal, fast enough to look at every value.

Belongs here: data whose form alone proves it, found by RE2 over distinct values and then checked. Does not belong
here: names, addresses and whatever needs context (`text/`), and what a column is (`profile.py`). A finding here stops
a table, so what has no proof is not reported.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.pii.checks import MASKED, credit_card, digits_of, iban, ipv4, ipv6, phone, social_security
from atlas_pipeline.pii.kinds import UNKNOWN
from atlas_pipeline.pii.normalise import clean
from atlas_pipeline.pii.recognizers import custom_recognizers, word_pattern
from atlas_pipeline.pii.rules import Rules

_CARD = "CREDIT_CARD"
_STRONG_SCORE = 0.8
_FEW = 20
_HIDDEN = "[\u00a0\u00ad\u0660-\u0669\u06f0-\u06f9\u2000-\u200f\u202f\u2060\u3000\ufe6b\ufeff\uff01-\uff5e]"
"""What `normalise.clean` turns into something that a check may know."""


@dataclass(frozen=True)
class _Check:
    """`prefilter` is RE2 and finds too much; `pattern` and `holds` decide on what it finds."""

    rule: str
    prefilter: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = bool


def _card(text: str) -> bool:
    return len(digits_of(text)) in _CARD_LENGTHS and credit_card(text)


def _phone(text: str) -> bool:
    return phone(text) if text.startswith("+") else len(set(digits_of(text))) > 2


def _host(text: str) -> bool:
    if ":" in text:
        return text.count(":") > 2 and any(map(str.isdigit, text)) and ipv6(text)
    return ipv4(text) and text not in ("127.0.0.1", "255.255.255.255")


_CARD_LENGTHS = (14, 15, 16)
"""Of 13 digits are EAN and ISBN, of more than 16 are counters: with Luhn alone, too many of them would be cards."""
_START = r"(?:^|[^\w.@/*-])"
_CHECKS = (
    _Check(
        "EMAIL_ADDRESS",
        r"[\pL\pN_](?:@|%40)[\pL\pN_-]+\.\pL",
        re.compile(r"[^\W_](?:[\w.+'-]|%2[Bb]){0,63}(?:@|%40)(?:[^\W_][\w-]{0,62}\.)+[^\W\d_]{2,24}(?![A-Za-z0-9_@])"),
    ),
    _Check(
        _CARD,
        _START + r"(?:\d{14}|\d{4}[ -]\d{4}[ -]\d{4}[ -]|\d{4}[ -]\d{6}[ -]\d{4})",
        re.compile(
            r"(?<![A-Za-z0-9_.,@/+*-])(?:\d{14,19}|\d{4}(?:[ -]\d{4}){3}|\d{4}[ -]\d{6}"
            r"[ -]\d{4,5})(?![A-Za-z0-9_*]|[-.,:/]\d)"
        ),
        _card,
    ),
    _Check(
        "IBAN_CODE",
        r"(?:^|[^\w-])[A-Za-z]{2}\d\d(?: ?[A-Za-z0-9]{4}){2}",
        re.compile(
            r"(?<![A-Za-z0-9_-])[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9_-])"
        ),
        iban,
    ),
    _Check(
        "PHONE_NUMBER",
        _START + r"(?:\+\d|\(\d{3}\)|(?:1[-. ])?\d{3}[-. ]\d{3}[-. ]\d{4})",
        re.compile(
            r"(?<![A-Za-z0-9_.@/+*-])(?:\+\d{1,3}(?:[ .-]?\(?\d{1,5}\)?){2,6}(?!\.?\d)"
            r"|\(\d{3}\)[ -]?\d{3}[ -]\d{4}|1[-. ]\d{3}[-. ]\d{3}[-. ]\d{4}"
            r"|[2-9]\d{2}([-. ])[2-9]\d{2}\1\d{4})(?![A-Za-z0-9_*@]|[-/:]\d)"
        ),
        _phone,
    ),
    _Check(
        "US_SSN",
        _START + r"\d{3}-\d{2}-\d{4}",
        re.compile(r"(?<![A-Za-z0-9_.@/+*-])\d{3}-\d{2}-\d{4}(?![A-Za-z0-9_*-])"),
        social_security,
    ),
    _Check(
        "IP_ADDRESS",
        r"(?:^|[^\w.:-])(?:(?:\d{1,3}\.){3}\d|[0-9A-Fa-f]{1,4}:(?:[0-9A-Fa-f]{0,4}:){2})",
        re.compile(
            r"(?<![A-Za-z0-9_.:-])(?<!version )(?<!Version )(?<!release )(?<!build )"
            r"(?:\d{1,3}(?:\.\d{1,3}){3}(?![A-Za-z0-9_-]|\.\d|/\d)|[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![A-Za"
            r"-z0-9_:]|/\d))"
        ),
        _host,
    ),
    _Check(
        "MAC_ADDRESS",
        r"(?:^|[^\w:-])(?:[0-9A-Fa-f]{2}[:-]){5}",
        re.compile(r"(?<![A-Za-z0-9_:-])[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4}(?![A-Za-z0-9_:-])"),
        lambda text: len(set(text.lower())) > 3,
    ),
)
_PREFILTER = "|".join(f"(?:{check.prefilter})" for check in _CHECKS) + f"|{_HIDDEN}"


def sweep(values: pa.Array | pa.ChunkedArray, rules: Rules | None = None) -> dict[str, int]:
    """How many cells hold certain personal data, by the rule that found it. Missing values are skipped.

    The rules are named as the kinds that they find: those of the checks here, UNKNOWN for the words that `rules` always
    reports, and the kinds of its own recognisers where they score 0.8 or more. One that found nothing is not in the
    answer. One number in ten passes a card's check by chance: where most of the bare numbers in a column do not, none
    of them counts.
    """
    encoded, found = _found(values, rules or Rules())
    if not found:
        return {}
    times = _times(encoded)
    counts: dict[str, int] = {}
    for at, names in found.items():
        for name in names:
            counts[name] = counts.get(name, 0) + times.get(at, 0)
    return {name: counts[name] for name in sorted(counts) if counts[name]}


def _found(values: pa.Array | pa.ChunkedArray, rules: Rules) -> tuple[pa.DictionaryArray, dict[int, list[str]]]:
    """The values, encoded, and by the place of each distinct one the rules that found something in it."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    distinct = encoded.dictionary.cast(pa.string())
    finders = _finders(rules)
    everything = rules.recognizers is not None
    pattern = _PREFILTER + ("|(?i:" + "|".join(map(re.escape, sorted(rules.deny))) + ")" if rules.deny else "")
    candidates = pc.is_valid(distinct) if everything else pc.match_substring_regex(distinct, pattern)
    places = pc.indices_nonzero(candidates.fill_null(False))
    found = {}
    for at, text in zip(places.to_pylist(), distinct.take(places).to_pylist(), strict=True):
        names = _rules_in(text, finders)
        if names:
            found[at] = names
    return encoded, _without_chance(distinct, found)


def _without_chance(distinct: pa.Array, found: dict[int, list[str]]) -> dict[int, list[str]]:
    """The findings without cards that are numbers among many others of their length."""
    if not any(_CARD in names for names in found.values()):
        return found
    bare = set(pc.indices_nonzero(pc.match_substring_regex(distinct, r"^\s*\d{14,16}(?:\.0)?\s*$")).to_pylist())
    cards = {at for at in bare if _CARD in found.get(at, [])}
    if len(bare) < _FEW or 2 * len(cards) > len(bare):
        return found
    kept = {at: [name for name in names if at not in cards or name != _CARD] for at, names in found.items()}
    return {at: names for at, names in kept.items() if names}


def _rules_in(text: str, finders: list[tuple[str, Callable[[str], bool]]]) -> list[str]:
    plain = MASKED.sub(" * ", clean(text))
    return [name for name, finds in finders if finds(plain)]


def _finders(rules: Rules) -> list[tuple[str, Callable[[str], bool]]]:
    allow = frozenset(word.casefold() for word in rules.allow)

    def checked(check: _Check) -> Callable[[str], bool]:
        def finds(text: str) -> bool:
            return any(
                check.holds(match.group()) and match.group().casefold() not in allow
                for match in check.pattern.finditer(text)
            )

        return finds

    finders = [(check.rule, checked(check)) for check in _CHECKS]
    if rules.deny:
        words = word_pattern(rules.deny)
        finders.append((UNKNOWN, lambda text: words.search(text) is not None))
    finders.extend(_custom(rules, allow))
    return finders


def _custom(rules: Rules, allow: frozenset[str]) -> list[tuple[str, Callable[[str], bool]]]:
    def reporting(recognizer: Any) -> Callable[[str], bool]:
        def finds(text: str) -> bool:
            return any(
                result.score >= _STRONG_SCORE and text[result.start : result.end].casefold() not in allow
                for result in recognizer.analyze(text, recognizer.supported_entities, None)
            )

        return finds

    return [(one.supported_entities[0], reporting(one)) for one in custom_recognizers(rules)]


def _times(encoded: pa.DictionaryArray) -> dict[int, int]:
    counted = pc.value_counts(encoded.indices)
    return {
        place: times
        for place, times in zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True)
        if place is not None
    }
