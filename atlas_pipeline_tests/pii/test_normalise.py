"""Clean text, and the way back to the original."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.pii.normalise import clean, cleaned_with_offsets, original_span


def test_ascii_stays_as_it_is():
    text = "  a\tb\x00 "
    assert clean(text) is text
    assert cleaned_with_offsets(text)[0] is text


def test_wide_letters_digits_and_signs_become_plain():
    assert clean("ｊｏｈｎ＠ｅｘａｍｐｌｅ．ｃｏｍ　４１１１") == "john@example.com 4111"


def test_invisible_characters_go():
    assert clean("jo\u200bhn\u00ad@\u2060x\ufeff.com\u202e") == "john@x.com"


def test_odd_spaces_become_blanks():
    assert clean("+49\u00a030\u2009123\u2028456") == "+49 30 123 456"


def test_accents_are_put_together():
    assert clean("Jose\u0301 Mu\u0308ller") == "José Müller"


def test_a_span_of_the_clean_text_is_found_in_the_original():
    text = "é mail: jo\u200bhn＠x.com!"
    plain, offsets = cleaned_with_offsets(text)
    at = plain.index("john@x.com")
    start, end = original_span(offsets, at, at + len("john@x.com"))
    assert text[start:end] == "jo\u200bhn＠x.com"


def test_a_character_that_becomes_several_is_never_cut():
    plain, offsets = cleaned_with_offsets("ﬁnd ½")
    assert plain.startswith("find")
    assert original_span(offsets, 0, 1) == (0, 1)
    assert original_span(offsets, 1, 2) == (0, 1)


@given(st.text())
def test_offsets_never_leave_the_text_nor_go_back(text):
    plain, offsets = cleaned_with_offsets(text)
    assert plain == clean(text)
    assert len(offsets) == len(plain) + 1
    assert offsets[-1] == len(text)
    assert all(0 <= a <= b <= len(text) for a, b in zip(offsets, list(offsets)[1:], strict=False))


@given(st.text())
def test_no_character_that_is_only_format_is_left(text):
    left = {letter for letter in clean(text) if unicodedata.category(letter) == "Cf"}
    assert not left - {chr(0x13430 + at) for at in range(16)} or text.isascii()
