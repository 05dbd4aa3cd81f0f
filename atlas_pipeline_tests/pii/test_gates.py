"""Gates save time and never a result: with all of them open, every recogniser finds what it found before."""

from pathlib import Path

import pytest

from atlas_pipeline.pii.text.cues import cued_results
from atlas_pipeline.pii.text.gates import DIGIT, DIGITS_7, LONG_NUMBER, open_gates, word_gate
from atlas_pipeline.pii.text.names import name_results
from atlas_pipeline.pii.text.patterns import pattern_results
from atlas_pipeline.pii.text.places import place_results
from atlas_pipeline_tests.pii.test_text import NOTHING, PIECES
from atlas_pipeline_tests.pii.test_words_whole import KEPT, SECRETS, VALUES

ALL = -1
TEXTS = (
    *(text for _, text, _ in PIECES),
    *NOTHING,
    *KEPT.splitlines(),
    *(text for text, _, _ in VALUES),
    *SECRETS,
    *(
        line
        for file in sorted((Path(__file__).parent / "sentences").glob("*.txt"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ),
)


@pytest.mark.parametrize("recognise", [pattern_results, cued_results, place_results, name_results])
def test_a_gate_hides_no_result(recognise):
    hidden = [text for text in TEXTS if sorted(recognise(text, open_gates(text))) != sorted(recognise(text, ALL))]
    assert hidden == []


def test_words_open_gates_by_prefix_by_suffix_and_whole():
    gate = word_gate("invoi =zz *ummer")
    assert all(open_gates(text) & gate for text in ("INVOICE 7", "x_zz", "Rechnungsnummer"))
    assert not any(open_gates(text) & gate for text in ("voice", "zzz", "nummern"))


def test_equal_lists_of_words_share_a_gate():
    assert word_gate("=qqq rrr") == word_gate("=qqq rrr")
    assert word_gate("=qqq rrr") != word_gate("=qqq")


def test_digits_are_counted_over_the_text():
    assert open_gates("no digits") & (DIGIT | DIGITS_7 | LONG_NUMBER) == 0
    assert open_gates("1 22 333") & (DIGIT | DIGITS_7 | LONG_NUMBER) == DIGIT
    assert open_gates("1234 567") & (DIGIT | DIGITS_7 | LONG_NUMBER) == DIGIT | DIGITS_7 | LONG_NUMBER
