"""Gates: what a text must hold before a pattern is worth trying, found for all patterns in one pass over its words.

Belongs here: the registry of gates, and the pass. Does not belong here: the patterns, which name their gates. A gate is
open for every text in which its pattern could match; what a gate saves is time, never a result.
"""

import re
from functools import lru_cache

_LETTERS = re.compile(r"[^\W\d_]+")
_NUMBERS = re.compile(r"\d+")
_REMEMBERED_WORDS = 100_000

DIGIT = 1 << 0
DIGITS_4 = 1 << 1
DIGITS_7 = 1 << 2
DIGITS_9 = 1 << 3
DIGITS_12 = 1 << 4
LONG_NUMBER = 1 << 5
"""A number of four digits or more."""
AT_SIGN = 1 << 6
LINK = 1 << 7
COLONS = 1 << 8
"""Three colons or more, as an IPv6 or MAC address has."""
BRACKETED_AT = 1 << 9
DOLLAR = 1 << 10
COLON_AA = 1 << 11
"""`:AA`, as in a Telegram token."""
_FIRST_WORD_GATE = 1 << 12

_DIGIT_GATES = ((1, DIGIT), (4, DIGITS_4), (7, DIGITS_7), (9, DIGITS_9), (12, DIGITS_12))
_word_gates: dict[str, int] = {}
_whole_words: dict[str, int] = {}
_prefixes: dict[str, dict[str, int]] = {}
_suffixes: dict[str, int] = {}


def word_gate(words: str) -> int:
    """Register a gate that is open where a run of letters begins with one of the words, ignoring case.

    Args:
        words: The words, separated by blanks. `=word` must be the whole run of letters, `*word` its end.

    Returns:
        The gate's bit. Equal lists share one.
    """
    if words in _word_gates:
        return _word_gates[words]
    gate = _word_gates[words] = _FIRST_WORD_GATE << len(_word_gates)
    for word in words.lower().split():
        if word.startswith("="):
            _whole_words[word[1:]] = _whole_words.get(word[1:], 0) | gate
        elif word.startswith("*"):
            _suffixes[word[1:]] = _suffixes.get(word[1:], 0) | gate
        else:
            group = _prefixes.setdefault(word[0], {})
            group[word] = group.get(word, 0) | gate
    _gates_of_word.cache_clear()
    return gate


def open_gates(text: str) -> int:
    """The bits of all gates that are open for this text."""
    gates = 0
    for word in set(_LETTERS.findall(text)):
        gates |= _gates_of_word(word)
    numbers = _NUMBERS.findall(text)
    if numbers:
        lengths = [len(number) for number in numbers]
        total = sum(lengths)
        for digits, gate in _DIGIT_GATES:
            if total < digits:
                break
            gates |= gate
        if max(lengths) >= 4:
            gates |= LONG_NUMBER
        if ":AA" in text:
            gates |= COLON_AA
    if "@" in text or "%40" in text:
        gates |= AT_SIGN
    if "://" in text or "www." in text:
        gates |= LINK
    if text.count(":") >= 3:
        gates |= COLONS
    if "$" in text:
        gates |= DOLLAR
    if ("[" in text or "(" in text or "{" in text) and _BRACKETED_AT.search(text):
        gates |= BRACKETED_AT
    return gates


_BRACKETED_AT = re.compile(r"(?i)[\[({]at[\])}]")


@lru_cache(_REMEMBERED_WORDS)
def _gates_of_word(word: str) -> int:
    lower = word.lower()
    gates = _whole_words.get(lower, 0)
    for prefix, gate in _prefixes.get(lower[0], {}).items():
        if lower.startswith(prefix):
            gates |= gate
    for suffix, gate in _suffixes.items():
        if lower.endswith(suffix):
            gates |= gate
    return gates
