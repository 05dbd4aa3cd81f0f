"""Scores: their definition on cases worked out by hand, and what must hold of any outcomes."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.quality.outcome import DIMENSIONS, Check, Dimension, Outcome, Status
from atlas_pipeline.quality.score import DimensionScore, scores, shown

NUMBERS = count()


def outcome(
    status: Status = "passed",
    tested: int | None = None,
    failed: int | None = None,
    dimension: Dimension = "validity",
) -> Outcome:
    path = f"checks.{next(NUMBERS)}"
    return Outcome(Check(path, "any", None, path, "error", dimension), status, rows_tested=tested, rows_failed=failed)


ROWS = st.none() | st.integers(0, 30) | st.integers(0, 2**62)
OUTCOMES = st.builds(outcome, st.sampled_from(get_args(Status)), ROWS, ROWS, st.sampled_from(DIMENSIONS))
LISTS = st.lists(OUTCOMES, min_size=1, max_size=12)
SCORES = st.floats(0, 1)


@pytest.mark.parametrize(
    ("one", "score"),
    [
        (outcome("passed", 200, 0), 1.0),
        (outcome("passed", 200, 3), 0.985),
        (outcome("warned", 200, 3), 0.985),
        (outcome("failed", 200, 3), 0.985),
        (outcome("failed", 200, 200), 0.0),
        (outcome("failed", 200, 900), 0.0),
        (outcome("passed", 200, -1), 1.0),
        (outcome("not evaluated", 200, 0), 0.0),
        (outcome("not evaluated"), 0.0),
        (outcome("passed", 0, 0), 1.0),
        (outcome("failed", 0, 0), 0.0),
        (outcome("warned", 0, 0), 0.0),
        (outcome("passed", 200, None), 1.0),
        (outcome("failed", 200, None), 0.0),
        (outcome("passed", None, 3), 1.0),
        (outcome("passed"), 1.0),
        (outcome("warned"), 0.0),
        (outcome("failed"), 0.0),
    ],
)
def test_the_score_of_a_check(one: Outcome, score: float) -> None:
    assert [found.score for found in scores([one])] == [score, score]


def test_a_table_is_the_mean_of_its_dimensions_and_they_of_their_checks() -> None:
    found = scores(
        [
            outcome("passed", dimension="timeliness"),
            outcome("failed", 10, 4, "completeness"),
            outcome("passed", 10, 1, "completeness"),
            outcome("passed", 10, 0, "completeness"),
            outcome("warned", 10, 5, "uniqueness"),
        ]
    )
    assert found == [
        DimensionScore("completeness", 2.5 / 3, 3, 1),
        DimensionScore("uniqueness", 0.5, 1, 1),
        DimensionScore("timeliness", 1.0, 1, 0),
        DimensionScore("overall", pytest.approx((2.5 / 3 + 0.5 + 1) / 3), 5, 2),
    ]


def test_no_checks_no_scores() -> None:
    assert scores([]) == []


@given(LISTS)
def test_scores_are_in_range_and_count_every_check_once(outcomes: list[Outcome]) -> None:
    *dimensions, overall = scores(outcomes)
    assert all(0 <= one.score <= 1 for one in (*dimensions, overall))
    assert [one.dimension for one in dimensions] == [
        name for name in DIMENSIONS if any(one.check.dimension == name for one in outcomes)
    ]
    assert overall.dimension == "overall"
    assert overall.checks == sum(one.checks for one in dimensions) == len(outcomes)
    assert overall.failed == sum(one.failed for one in dimensions) == sum(not one.passed for one in outcomes)
    assert all(one.checks > 0 for one in dimensions)
    assert min(one.score for one in dimensions) <= overall.score <= max(one.score for one in dimensions)


@given(st.data(), LISTS)
def test_the_order_of_checks_does_not_matter(data: st.DataObject, outcomes: list[Outcome]) -> None:
    assert scores(data.draw(st.permutations(outcomes))) == scores(outcomes)


def fail_one_more_row(one: Outcome) -> Outcome:
    return replace(one, rows_failed=(one.rows_failed or 0) + 1) if one.rows_failed is not None else one


def fail_outright(one: Outcome) -> Outcome:
    return replace(one, status="not evaluated")


@pytest.mark.parametrize("worsen", [fail_one_more_row, fail_outright])
@given(data=st.data(), outcomes=LISTS)
def test_what_is_worse_raises_no_score(
    worsen: Callable[[Outcome], Outcome], data: st.DataObject, outcomes: list[Outcome]
) -> None:
    place = data.draw(st.integers(0, len(outcomes) - 1))
    worse = [worsen(one) if number == place else one for number, one in enumerate(outcomes)]
    for before, after in zip(scores(outcomes), scores(worse), strict=True):
        assert after.dimension == before.dimension
        assert after.score <= before.score
        assert shown(after.score) <= shown(before.score)


@given(LISTS)
def test_only_what_is_perfect_is_one(outcomes: list[Outcome]) -> None:
    for found in scores(outcomes):
        of_it = [one for one in outcomes if found.dimension in ("overall", one.check.dimension)]
        perfect = all(scores([one])[-1].score == 1 for one in of_it)
        assert (found.score == 1) == perfect == (shown(found.score) == "1.0000")


def test_one_row_of_very_many_is_not_forgotten() -> None:
    outcomes = [outcome("passed", 10**18, 0) for _ in range(100)]
    assert scores(outcomes)[-1].score == 1.0
    assert scores([*outcomes, outcome("passed", 10**18, 1)])[-1].score < 1.0


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (1.0, "1.0000"),
        (0.99999999, "0.9999"),
        (0.29, "0.2900"),
        (2 / 3, "0.6666"),
        (0.98505, "0.9850"),
        (1e-9, "0.0000"),
        (0.0, "0.0000"),
    ],
)
def test_scores_are_shown_rounded_down(score: float, text: str) -> None:
    assert shown(score) == text


@given(SCORES, SCORES)
def test_what_is_shown_is_never_more_and_keeps_the_order(one: float, other: float) -> None:
    assert 0 <= one - float(shown(one)) < 0.0001 + 1e-12
    assert (shown(one) == "1.0000") == (one == 1.0)
    if one <= other:
        assert shown(one) <= shown(other)
