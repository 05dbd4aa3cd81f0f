"""Messages as people read them."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.alerting.document import document_of, for_people, text_of, title_of
from atlas_pipeline.alerting.state import Document
from atlas_pipeline_tests.alerting.made import AT, alert, message

RESOLVED = alert(status="resolved", resolved_at=AT + timedelta(minutes=65), reason="policy removed", problem="")


def told(repeat: bool = False, **changes: Any) -> Document:
    return for_people(document_of(message(**changes)), "http://ui", repeat)


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "CRITICAL: silver/orders: amount_valid: check failed"),
        ({"severity": "warning"}, "WARNING: silver/orders: amount_valid: check failed"),
        ({"kind": "repeated"}, "STILL CRITICAL: silver/orders: amount_valid: check failed"),
        ({"kind": "resolved"}, "RESOLVED: silver/orders: amount_valid: check failed"),
        (
            {"alerts": (alert(), alert()), "more": {"a": 3}},
            "CRITICAL: silver/orders: amount_valid: check failed, and 4 more",
        ),
        ({"kind": "summary", "alerts": (), "more": {"a": 1}}, "SUMMARY: 1 more alert (critical, data-engineering)"),
        ({"kind": "test", "alerts": ()}, "TEST: Atlas reaches this channel"),
        ({"alerts": (alert(subject="a\nb\t\u202ec"),)}, "CRITICAL: a b c: check failed"),
    ],
)
def test_a_title_says_how_bad_it_is_and_what(changes: dict[str, Any], title: str) -> None:
    assert told(**changes)["title"] == title


def test_what_is_over_says_how_long_it_lasted_and_why_it_is() -> None:
    assert told(kind="resolved", alerts=(RESOLVED,))["text"].splitlines()[:3] == [
        "RESOLVED silver/orders: amount_valid: check failed",
        "Lasted 1 hour 35 minutes, from 2026-05-04 12:00:00 UTC to 2026-05-04 13:35:00 UTC",
        "Why it is over: policy removed",
    ]


def test_a_summary_counts_by_policy() -> None:
    text = told(kind="summary", alerts=(), more={"stale": 2, "run-failed": 10})["text"]
    assert text == "… and 12 more: run-failed 10, stale 2"


def test_a_test_says_that_nothing_is_wrong() -> None:
    assert told(kind="test", alerts=())["text"] == "A test message. Nothing is wrong."


def test_where_little_fits_a_long_problem_is_cut_before_what_to_do_about_it() -> None:
    text = text_of(told(alerts=(alert(problem="🚨" * 50_000),), more={"stale": 5}), 1024)
    assert len(text) == 1024
    assert "🚨…\nmeasured: 12.5\n" in text
    assert text.endswith("Runbook: https://wiki.example/orders\n\n… and 5 more: stale 5")


def test_a_clock_that_was_set_back_gives_no_negative_time() -> None:
    assert "(0 seconds" in told(at=AT - timedelta(days=9))["text"]


@given(
    problems=st.lists(st.text(max_size=300), max_size=20),
    more=st.dictionaries(st.text("abc-", max_size=9), st.integers(1, 999), max_size=4),
    length=st.integers(0, 3_000),
    repeat=st.booleans(),
)
def test_every_text_and_title_keeps_within_its_length(
    problems: list[str], more: dict[str, int], length: int, repeat: bool
) -> None:
    alerts = tuple(alert(problem=problem, subject=problem) for problem in problems)
    document = told(repeat, alerts=alerts, more=more)
    text, title = text_of(document, length), title_of(document, max(length, 1))
    assert len(text) <= length
    assert len(title) <= max(length, 1)
    assert len(title.splitlines()) == 1
    text.encode(), title.encode()
    unshown = len(problems) + sum(more.values()) - text.count("Team: data-engineering")
    if length > 1_500 and unshown:
        assert f"… and {unshown} more" in text
