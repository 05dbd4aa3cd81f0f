"""The sweep: count the cells of a text column that certainly hold personal data, fast enough to check every value.

Belongs here: data that its form alone proves, found by RE2 over distinct values and then validated. Does not belong
here: names, addresses and whatever needs context (`text/`), and what a column is (`profile.py`). A finding stops the
publication of a table, so only what is proven is reported.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.pii.actions.forms import unmangled
from atlas_pipeline.pii.checks import (
    MASKED,
    credit_card,
    digits_of,
    iban,
    ipv4,
    ipv6,
    phone,
    social_security,
    valid_phone,
)
from atlas_pipeline.pii.kinds import UNKNOWN
from atlas_pipeline.pii.normalise import clean
from atlas_pipeline.pii.recognizers import custom_recognizers, word_pattern
from atlas_pipeline.pii.registers.cued import PREFILTER, cued_numbers
from atlas_pipeline.pii.registers.proof import proven
from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.pii.secrets import SWEPT, secret_within

_CARD = "CREDIT_CARD"
_STRONG_SCORE = 0.8
_FEW = 20
_MOST_NUMBERS = 2_000
_REGISTERED_SAMPLE = 200
_CERTAIN = 7.0
"""How unlikely it must be that a column of random numbers is taken for one of a register, as a power of ten."""
_HIDDEN = "[\u00a0\u00ad\u0660-\u0669\u06f0-\u06f9\u2000-\u2015\u202f\u2212\u2060\u3000\ufe6b\ufeff\uff01-\uff5e]"
"""Characters that `normalise.clean` may turn into ones that a check matches."""


@dataclass(frozen=True)
class _Check:
    """`prefilter` selects candidates in RE2, too many of them; `pattern` and `holds` then decide."""

    rule: str
    prefilter: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = bool


def _card(text: str) -> bool:
    return len(digits_of(text)) in _CARD_LENGTHS and credit_card(text)


def _phone(text: str) -> bool:
    if text.startswith("00"):
        return valid_phone(f"+{text[2:]}")
    return phone(text) if text.startswith("+") else len(set(digits_of(text))) > 2


def _host(text: str) -> bool:
    if ":" in text:
        return text.count(":") > 2 and any(map(str.isdigit, text)) and ipv6(text)
    return ipv4(text) and text not in ("127.0.0.1", "255.255.255.255")


_CARD_LENGTHS = (14, 15, 16)
"""Numbers of 13 digits are EAN and ISBN, longer ones than 16 are counters: one in ten would pass Luhn by chance."""
_ENCODED = re.compile(
    r"(?<![A-Za-z0-9+/_-])(?:(?:\\x|0x)?((?:[0-9a-fA-F]{2}){6,300})|([A-Za-z0-9+/_-]{8,600}))={0,2}(?![A-Za-z0-9+/=_-])"
)
"""Digits in pairs, else letters of base64, of its form for URLs too."""
_WRAPPED = re.compile(r"(?<=[A-Za-z0-9+/]{76})\r?\n")
_URL_SAFE = str.maketrans("-_", "+/")
_BLANKS = str.maketrans("\t\r\n", "   ")
_ESCAPES = re.compile(r"\\u00([0-9a-fA-F]{2})|&#(?:x0*([0-9a-fA-F]{2})|0*(\d{2,3}));|&(commat);|%25(?=40)")
_DECIMALS = re.compile(r"(?<=\d{10})\.0+(?!\d)")
_ENCODED_CELL = (
    r"^(?:\\x)?(?:[0-9a-fA-F]{2}){6,63}$|\\x[0-9a-f]{16}"
    r"|^(?:[A-Za-z0-9+/]{4}){2,60}(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$"
    r"|(?:^|[\s\"'=:,;(>])(?:0x)?[A-Za-z0-9+/_-]{16,600}={0,2}(?:$|[\s\"',;)<])"
)
_ESCAPED_AT = r"\\u0040|&#0*64;|&#x0*40;|&commat;|%2540"
_START = r"(?:^|[^\w.@/*-])"
_CHECKS = (
    _Check(
        "EMAIL_ADDRESS",
        r"[\pL\pN_](?:@|%40)[\pL\pN_-]+\.\pL",
        re.compile(r"[^\W_](?:[\w.+'-]|%2[Bb]){0,63}(?:@|%40)(?:[^\W_][\w-]{0,62}\.)+[^\W\d_]{2,24}(?![A-Za-z0-9@])"),
    ),
    _Check(
        _CARD,
        _START + r"(?:\d{14}|(?:\d{4}[ ._/-]){3}\d|\d{4}[ ._/-]\d{6}[ ._/-]\d{4})",
        re.compile(
            r"(?<![A-Za-z0-9_.,@/+*-])(?:\d{14,19}|\d{4}(?:[ ._/-]\d{4}){3}|\d{4}[ ._/-]\d{6}"
            r"[ ._/-]\d{4,5})(?![A-Za-z0-9_*]|[-.,:/]\d)"
        ),
        _card,
    ),
    _Check(
        "IBAN_CODE",
        r"(?:^|[^\w-])[A-Za-z]{2}\d\d(?:[ -]?[A-Za-z0-9]{4}){2}",
        re.compile(
            r"(?<![A-Za-z0-9_-])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9_-])"
        ),
        iban,
    ),
    _Check(
        "PHONE_NUMBER",
        _START + r"(?:\+\d|00[1-9]\d{0,2}[ ./-]|\(\d{3}\)|(?:1[-. ])?\d{3}[-. ]\d{3}[-. ]\d{4})",
        re.compile(
            r"(?<![A-Za-z0-9_.@/+*-])(?:\+\d{1,3}(?:[ ./-]?\(?\d{1,8}\)?){2,6}(?!\.?\d)"
            r"|00[1-9]\d{0,2}(?:[ ./-]\(?\d{1,8}\)?){1,5}(?!\.?\d)"
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
        r"(?:^|[^\w.:-])(?:(?:\d{1,3}\.){3}\d|::[fF]{4}:\d|[0-9A-Fa-f]{1,4}:(?:[0-9A-Fa-f]{0,4}:){2})",
        re.compile(
            r"(?<![A-Za-z0-9_.:-])(?<!version )(?<!Version )(?<!release )(?<!build )(?<!versión )"
            r"(?<!versione )(?<!rv:)(?<!rev )(?<!firmware )(?<!section )(?<!chapter )(?<![A-Za-z]/)"
            r"(?:\d{1,3}(?:\.\d{1,3}){3}(?![A-Za-z0-9_-]|\.\d|/\d)|[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![A-Za"
            r"-z0-9_:]|/\d)|::[fF]{4}:\d{1,3}(?:\.\d{1,3}){3}(?![A-Za-z0-9_.-]|/\d))"
        ),
        _host,
    ),
    _Check(
        "MAC_ADDRESS",
        r"(?:^|[^\w:-])(?:(?:[0-9A-Fa-f]{2}[:-]){5}|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4})",
        re.compile(
            r"(?<![A-Za-z0-9_:-])[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4}(?:(?:\1[0-9A-Fa-f]{2}){2})?"
            r"(?![A-Za-z0-9_:-])"
            r"|(?<![A-Za-z0-9_.:-])(?=[\d.]*[A-Fa-f])[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2}(?![A-Za-z0-9_.:-])"
        ),
        lambda text: len(set(text.lower())) > 4 and any(map(str.isdigit, text)),
    ),
)
PROVEN = frozenset(check.rule for check in _CHECKS)
"""The kinds that a sweep finds in any text, without recognisers or words of one's own."""
_KEYED_HASH = "^[0-9a-f]{64}$"
"""A keyed hash. Its beginning may be a candidate of the prefilter; nothing that a check looks for is so long."""
_HASH_LETTERS = 64
_MOST_HARMLESS = 2_000
_PREFILTER = (
    "|".join(f"(?:{check.prefilter})" for check in _CHECKS)
    + f"|{_HIDDEN}|{_ENCODED_CELL}|{_ESCAPED_AT}|{SWEPT}|{PREFILTER}"
)


class Harmless:
    """Values of a column that no check needs to look at, where there are few: further rows of these hold nothing."""

    def __init__(self) -> None:
        self._values: pa.Array = pa.array([], pa.string())

    def covers(self, distinct: pa.Array) -> bool:
        """Whether all of these are among them."""
        return len(distinct) <= len(self._values) and pc.all(pc.is_in(distinct, value_set=self._values)).as_py() is True

    def remember(self, distinct: pa.Array) -> None:
        """Add values of which none is a candidate of any check."""
        if len(distinct) + len(self._values) <= _MOST_HARMLESS:
            self._values = pc.unique(pa.concat_arrays([self._values, distinct]))


def sweep(
    values: pa.Array | pa.ChunkedArray,
    rules: Rules | None = None,
    *,
    numbers: bool = False,
    registers: bool = True,
    harmless: Harmless | None = None,
) -> dict[str, int]:
    """Count the cells with proven personal data by the rule that found it; nulls are skipped.

    One number in ten passes Luhn by chance, so in a column with 20 or more bare numbers of a card's length these count
    as cards only if more than half of them pass.

    Args:
        values: Strings, plain or dictionary-encoded.
        rules: Words and recognisers to add to the checks here. A recogniser's result counts from a score of 0.8.
        numbers: The values are those of a column of numbers: floats are written out, and where nearly all are phone
            numbers with a country code, they count as such.
        registers: Look for numbers of registers: beside a word for theirs, or where the whole column proves one.
        harmless: What earlier sweeps of the same column, under the same rules, found not worth a look.

    Returns:
        Number of cells by rule. Rules are named as the kind that they find, UNKNOWN for words of `rules.deny`. A rule
        that found nothing is left out.
    """
    whole = unmangled(pc.utf8_ltrim(_whole(values), "-")) if numbers else values
    encoded, findings = _findings(whole, rules or Rules(), harmless, registers)
    if registers:
        for index, kind in _registered(encoded.dictionary):
            findings.setdefault(index, []).append(kind)
    if numbers:
        for index in _phones(encoded.dictionary):
            findings.setdefault(index, []).append("PHONE_NUMBER")
    if not findings:
        return {}
    rows = _rows_by_index(encoded)
    counts: dict[str, int] = {}
    for index, names in findings.items():
        for name in names:
            counts[name] = counts.get(name, 0) + rows.get(index, 0)
    return {name: counts[name] for name in sorted(counts) if counts[name]}


def personal_cells(values: pa.Array | pa.ChunkedArray, rules: Rules | None = None) -> pa.BooleanArray:
    """Which cells a sweep of the same values counts.

    Args:
        values: strings.
        rules: as `sweep` has them.
    """
    encoded, findings = _findings(values, rules or Rules(), None, registers=True)
    if not findings:
        return pa.repeat(pa.scalar(False), len(values))
    return pc.is_in(encoded.indices, value_set=pa.array(list(findings), encoded.indices.type), skip_nulls=True)


def _whole(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _registered(distinct: pa.Array) -> Iterator[tuple[int, str]]:
    """The indices of numbers of a register, if the whole column proves to be of one."""
    sample = [text.strip() for text in distinct[: _REGISTERED_SAMPLE + 1].drop_null().to_pylist()]
    register, valid = proven([text for text in sample if text], _CERTAIN)
    if register is None or not valid:
        return
    for index, text in enumerate(distinct.to_pylist()):
        if text and register.passes(re.sub(r"[ ./-]", "", text.strip()), text.strip()):
            yield index, register.kind


def _phones(distinct: pa.Array) -> list[int]:
    """The indices of numbers that are phone numbers with their country code, if nearly all of the column are."""
    import phonenumbers

    long = pc.indices_nonzero(pc.fill_null(pc.match_substring_regex(distinct, r"^\d{10,15}$"), False)).to_pylist()
    if len(long) < max(2, 0.9 * len(distinct)):
        return []
    found = []
    for index in long[:_MOST_NUMBERS]:
        try:
            number = phonenumbers.parse(f"+{distinct[index].as_py()}")
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            found.append(index)
    return found if len(found) >= 0.9 * len(long[:_MOST_NUMBERS]) else []


def _findings(
    values: pa.Array | pa.ChunkedArray, rules: Rules, harmless: Harmless | None, registers: bool
) -> tuple[pa.DictionaryArray, dict[int, list[str]]]:
    """The values, dictionary-encoded, and by dictionary index the rules that match."""
    values = _whole(values)
    if not rules.deny and rules.recognizers is None and _all_hashes(values):
        return pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), pa.array([], pa.string())), {}
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    distinct = encoded.dictionary.cast(pa.string())
    if harmless is not None and harmless.covers(distinct):
        return encoded, {}
    indices = _candidates(distinct, rules)
    if harmless is not None and not len(indices):
        harmless.remember(distinct)
    finders = _finders(rules) if len(indices) else []
    findings = {}
    texts = distinct.take(indices)
    cued = pc.match_substring_regex(texts, PREFILTER).to_pylist() if registers else [False] * len(texts)
    for index, text, cue in zip(indices.to_pylist(), texts.to_pylist(), cued, strict=True):
        names = _rules_in(text, finders, rules.allow if cue else None)
        if names:
            findings[index] = names
    return encoded, _without_chance_cards(distinct, findings)


def _all_hashes(values: pa.Array) -> bool:
    """Whether every value is a keyed hash, as in a column that was hashed: told by all bytes at once."""
    if values.type != pa.string() or not len(values) or values.null_count:
        return False
    if not pc.all(pc.equal(pc.binary_length(values), _HASH_LETTERS)).as_py():
        return False
    letters = np.frombuffer(values.buffers()[2], np.uint8)
    first = np.frombuffer(values.buffers()[1], np.int32)[values.offset]
    letters = letters[first : first + _HASH_LETTERS * len(values)]
    return bool(
        (((letters >= ord("0")) & (letters <= ord("9"))) | ((letters >= ord("a")) & (letters <= ord("f")))).all()
    )


def _candidates(distinct: pa.Array, rules: Rules) -> pa.Array:
    """The indices of the values that the checks look at."""
    if rules.recognizers is not None:
        return pc.indices_nonzero(pc.is_valid(distinct))
    if rules.deny:
        words = "|".join(map(re.escape, sorted(rules.deny)))
        return pc.indices_nonzero(pc.match_substring_regex(distinct, f"{_PREFILTER}|(?i:{words})").fill_null(False))
    if not pc.any(pc.equal(pc.binary_length(distinct), _HASH_LETTERS)).as_py():
        return pc.indices_nonzero(pc.match_substring_regex(distinct, _PREFILTER).fill_null(False))
    rest = pc.indices_nonzero(pc.invert(pc.match_substring_regex(distinct, _KEYED_HASH)))
    return rest.filter(pc.match_substring_regex(distinct.take(rest), _PREFILTER)) if len(rest) else rest


def _without_chance_cards(distinct: pa.Array, findings: dict[int, list[str]]) -> dict[int, list[str]]:
    """Drop card findings where most bare numbers of that length in the column fail the check."""
    if not any(_CARD in names for names in findings.values()):
        return findings
    bare = set(pc.indices_nonzero(pc.match_substring_regex(distinct, r"^\s*\d{14,16}(?:\.0)?\s*$")).to_pylist())
    cards = {index for index in bare if _CARD in findings.get(index, [])}
    if len(bare) < _FEW or 2 * len(cards) > len(bare):
        return findings
    remaining = {
        index: [name for name in names if index not in cards or name != _CARD] for index, names in findings.items()
    }
    return {index: names for index, names in remaining.items() if names}


def _rules_in(text: str, finders: list[tuple[str, Callable[[str], bool]]], allowed: frozenset[str] | None) -> list[str]:
    plain = MASKED.sub(" * ", _DECIMALS.sub("", clean(_ESCAPES.sub(_unescaped, text))))
    for decoded in _decoded(_WRAPPED.sub("", text)):
        plain += f"\n{decoded}"
    names = [name for name, finds in finders if finds(plain)]
    if allowed is not None:
        found = {kind for start, end, kind in cued_numbers(plain) if plain[start:end] not in allowed}
        names += sorted(found.difference(names))
    return names


def _unescaped(match: re.Match[str]) -> str:
    """What stands for a character in JSON, HTML or a URL within a URL."""
    if code := match[1] or match[2]:
        return chr(int(code, 16))
    if match[3]:
        return chr(int(match[3]))
    return "@" if match[4] else "%"


def _decoded(text: str) -> Iterator[str]:
    """What base64 and hexadecimal digits in the text stand for, where that is printable."""
    for match in _ENCODED.finditer(text):
        try:
            raw = bytes.fromhex(match[1]) if match[1] else _unpadded(match[2])
            decoded = raw.rstrip(b"\0").decode("utf-8").translate(_BLANKS)
        except (binascii.Error, UnicodeDecodeError, ValueError):
            continue
        if decoded.isprintable():
            yield decoded


def _unpadded(letters: str) -> bytes:
    return base64.b64decode(letters.translate(_URL_SAFE) + "=" * (-len(letters) % 4))


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
    finders.append(("SECRET", secret_within))
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

    return [(recognizer.supported_entities[0], reporting(recognizer)) for recognizer in custom_recognizers(rules)]


def _rows_by_index(encoded: pa.DictionaryArray) -> dict[int, int]:
    """How many rows hold each dictionary index."""
    counts = pc.value_counts(encoded.indices)
    return {
        index: rows
        for index, rows in zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True)
        if index is not None
    }
