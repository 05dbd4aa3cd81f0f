"""Texts in one case: capitals where a name could be, so that names and addresses are found as in other texts.

Belongs here: which texts are in one case, and the same text with capitals. Does not belong here: what is found in it.
"""

import re

from atlas_pipeline.pii.gazetteer import fold
from atlas_pipeline.pii.text.words import is_inflected, is_word

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_LEAST_WORDS = 3


def with_capitals(text: str) -> str | None:
    """The text, of the same length, with a capital at each word that is not an ordinary one.

    Returns:
        None for a text that has capitals and small letters, or fewer than three words.
    """
    lower = text.islower()
    if not lower and not text.isupper():
        return None
    words = list(_WORD.finditer(text))
    if len(words) < _LEAST_WORDS:
        return None
    pieces: list[str] = []
    end = 0
    for match in words:
        pieces += text[end : match.start()], _cased(match[0])
        end = match.end()
    cased = "".join(pieces) + text[end:]
    return cased if len(cased) == len(text) and cased != text else None


def _cased(word: str) -> str:
    small = word.lower()
    if len(small) != len(word):
        return word
    folded = fold(small)
    ordinary = len(small) < 2 or is_word(folded) or is_inflected(folded)
    return small if ordinary else small[0].upper() + small[1:]
