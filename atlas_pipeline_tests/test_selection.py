"""A file is left out of a run if, and only if, no test of it can be among those that marks choose."""

import pytest

from atlas_pipeline_tests.selection import is_needed

MARK = "pytest.mark."
NONE = "def test_x(): ..."
SOME = f"@{MARK}slow\n{NONE}"
ALL = f"pytestmark = {MARK}slow\n{NONE}"
BOTH = f"pytestmark = [{MARK}slow, {MARK}platform]\n{NONE}"
SOME_OF_ALL = f"{ALL}\n@{MARK}platform\n{NONE}"


@pytest.mark.parametrize(
    ("chosen", "needed"),
    [
        ("slow", {SOME, ALL, BOTH, SOME_OF_ALL}),
        ("not slow", {NONE, SOME}),
        ("slow and not platform", {SOME, ALL, SOME_OF_ALL}),
        ("platform", {BOTH, SOME_OF_ALL}),
        ("not platform", {NONE, SOME, ALL, SOME_OF_ALL}),
        ("slow or not slow", {NONE, SOME, ALL, BOTH, SOME_OF_ALL}),
        ("not slow or parametrize", {NONE, SOME, ALL, BOTH, SOME_OF_ALL}),
    ],
)
def test_files_that_marks_may_choose_from(chosen: str, needed: set[str]) -> None:
    assert {text for text in (NONE, SOME, ALL, BOTH, SOME_OF_ALL) if is_needed(text, chosen)} == needed
