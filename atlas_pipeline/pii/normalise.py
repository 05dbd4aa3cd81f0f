"""Normalise text so that look-alike and invisible characters cannot hide personal data from a pattern.

Belongs here: the normal form (NFKC, Unicode Standard Annex 15, without invisible characters), and the mapping from it
back to positions of the original. Does not belong here: case, accents and words (`gazetteer.fold`), and what is found
in the text (`text/`, `columns/`).
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000110bd\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_ODD_SPACE = re.compile("[\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\x1c-\x1f]")
_ODD_HYPHEN = re.compile("[\u2010-\u2012\u2212\ufe63\uff0d]")
"""Hyphens and minus signs, the figure dash too. Longer dashes part sentences and are kept."""
_JOINING_JAMO = range(0x1161, 0x1200)


def clean(text: str) -> str:
    """The text in NFKC, without invisible and format characters; unusual spaces are blanks, hyphens `-`. ASCII is
    unchanged."""
    if text.isascii():
        return text
    return cleaned_with_offsets(text)[0]


def cleaned_with_offsets(text: str) -> tuple[str, Sequence[int]]:
    """The clean text, and for each of its positions, the end included, the position in the original.

    `original_span` maps a span of the clean text back with these offsets.
    """
    if text.isascii() or _is_clean(text):
        return text, range(len(text) + 1)
    pieces: list[str] = []
    offsets: list[int] = []
    for start, end in _clusters(text):
        piece = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text[start:end]))
        piece = _ODD_HYPHEN.sub("-", _ODD_SPACE.sub(" ", piece))
        pieces.append(piece)
        offsets.extend([start] * len(piece))
    offsets.append(len(text))
    return "".join(pieces), offsets


def original_span(offsets: Sequence[int], start: int, end: int) -> tuple[int, int]:
    """Map a span of the clean text back to the original text.

    Args:
        offsets: What `cleaned_with_offsets` returned with the clean text.
        start: Where the span begins in the clean text.
        end: The position after its last character there.

    Returns:
        Start and end in the original. It ends where the original of the next clean character begins, so that
        combining marks and invisible characters after the span are part of it.
    """
    if isinstance(offsets, range):
        return start, end
    until = end
    while until < len(offsets) - 1 and offsets[until] == offsets[end - 1]:
        until += 1
    return offsets[start], offsets[until]


def _is_clean(text: str) -> bool:
    return (
        unicodedata.is_normalized("NFKC", text)
        and _INVISIBLE.search(text) is None
        and _ODD_SPACE.search(text) is None
        and _ODD_HYPHEN.search(text) is None
    )


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Each character with the marks that follow it, which NFKC may compose into one."""
    start = 0
    for at in range(1, len(text)):
        letter = text[at]
        if letter.isascii() or not (
            unicodedata.combining(letter) or ord(letter) in _JOINING_JAMO or _kana_mark(letter)
        ):
            yield start, at
            start = at
    if text:
        yield start, len(text)


def _kana_mark(letter: str) -> bool:
    return letter in "\uff9e\uff9f"
