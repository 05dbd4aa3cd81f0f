"""What must hold of the fold whatever happens, beside a model of one check that was written without looking at it.

The walks are over few assets, so that things meet: failures with recoveries, silences with ends, edits with repeats.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.alerting.conditions import Condition, Finding, Known, Snapshot
from atlas_pipeline.alerting.fold import fold
from atlas_pipeline.alerting.policy import Policies, Policy, default_policies
from atlas_pipeline.alerting.state import Alert, Message, Silence, State
from atlas_pipeline.event_log.event import Event

pytestmark = pytest.mark.slow

START = datetime(2026, 3, 1, 12, 20, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ASSETS = ("silver/a", "silver/b", "silver/c", "gold/d", "gold/e", "backups/f")
CHECKS = frozenset({"valid", "leak_check", "fresh", "c"})
KNOWN = Known(frozenset(ASSETS), frozenset({"daily", "landing"}), dict.fromkeys(ASSETS, CHECKS))
DEFAULTS = Policies(default_policies(), ("mail", "am"), ungrouped=frozenset({"am"}))
Items = list[Event | Snapshot]

SAID: st.SearchStrategy[tuple[str, dict[str, Any]]] = st.one_of(
    st.tuples(
        st.just("check"),
        st.fixed_dictionaries(
            {
                "assets": st.sampled_from(ASSETS).map(lambda asset: (asset,)),
                "check": st.sampled_from(["valid", "leak_check", "fresh"]),
                "passed": st.booleans(),
                "level": st.sampled_from(["warn", "error"]),
                "may_retry": st.booleans(),
            }
        ),
    ),
    st.tuples(
        st.just("materialized"),
        st.fixed_dictionaries(
            {
                "assets": st.lists(st.sampled_from(ASSETS), min_size=1, max_size=6, unique=True).map(tuple),
                "score": st.sampled_from([None, 0.5, 0.9]),
            }
        ),
    ),
    st.tuples(
        st.just("freshness"),
        st.fixed_dictionaries(
            {
                "assets": st.sampled_from(ASSETS).map(lambda asset: (asset,)),
                "freshness": st.sampled_from(["pass", "warn", "fail", "unknown"]),
            }
        ),
    ),
    st.tuples(
        st.just("step_failed"),
        st.fixed_dictionaries(
            {"assets": st.lists(st.sampled_from(ASSETS), max_size=6, unique=True).map(tuple), "step": st.just("s")}
        ),
    ),
    st.tuples(
        st.just("run_failed"),
        st.fixed_dictionaries({"job": st.sampled_from([None, "daily"]), "will_retry": st.booleans()}),
    ),
    st.tuples(st.sampled_from(["run_succeeded", "run_canceled"]), st.just({"job": "daily"})),
)
LOOKED_AT: tuple[Condition, ...] = ("tick_failed", "system_down", "queue_long")
NOTHING_WRONG = [Snapshot(condition, START, {}) for condition in LOOKED_AT]
LOOKS = st.tuples(
    st.sampled_from(LOOKED_AT),
    st.dictionaries(st.sampled_from(["sensor landing", "warehouse"]), st.just(Finding("x", amount=200)), max_size=2),
).map(lambda said: Snapshot(said[0], START, said[1]))
RUNS = st.tuples(st.sampled_from(["r1", "r2", "r3"]), st.sampled_from(["r1", "r2"]))
EVENTS = st.tuples(SAID, RUNS).map(
    lambda said: Event(0, said[0][0], START, run=said[1][0], root_run=said[1][1], **said[0][1])
)
ITEMS: st.SearchStrategy[Items] = st.lists(st.one_of(EVENTS, EVENTS, EVENTS, LOOKS), max_size=8)


def numbered(items: Sequence[Event | Snapshot], ids: "count[int]") -> Items:
    """The items as the log would have them, each with an id of its own."""
    return [replace(item, id=next(ids)) if isinstance(item, Event) else item for item in items]


def bare(alert: Alert) -> Alert:
    """An alert without what it says of messages; one that is over is held back only if somebody was told of it."""
    held = None if alert.status == "resolved" else alert.inhibited_by
    alert = replace(alert, thread_key="", group="", inhibited_by=held)
    return replace(alert, notified_at=None, notified=(), summarized=(), notified_severity=None)


@given(st.lists(ITEMS, max_size=6))
def test_where_the_log_is_cut_does_not_matter(parts: list[Items]) -> None:
    ids = count(1)
    parts = [numbered(part, ids) for part in parts]
    cut = State()
    for part in parts:
        cut, _ = fold(cut, part, DEFAULTS, (), START, KNOWN)
    whole, _ = fold(State(), [item for part in parts for item in part], DEFAULTS, (), START, KNOWN)
    assert {key: bare(alert) for key, alert in whole.alerts.items()} == {
        key: bare(alert) for key, alert in cut.alerts.items()
    }
    assert (whole.runs, whole.scores) == (cut.runs, cut.scores)


EDITED = (
    DEFAULTS,
    replace(DEFAULTS, policies=tuple(replace(policy, severity="warning") for policy in default_policies())),
    replace(DEFAULTS, policies=tuple(replace(policy, severity="critical") for policy in default_policies())),
    replace(DEFAULTS, policies=default_policies()[4:]),
    replace(DEFAULTS, policies=(Policy("all", default_policies()[6].conditions, "warning"), *default_policies())),
)
SILENCES = st.lists(st.sampled_from(["silver/a*", "gold/*", "*: valid"]), max_size=1)
STEPS = st.tuples(
    ITEMS,
    st.sampled_from([SECOND, 5 * SECOND, MINUTE, HOUR, 7 * HOUR, -HOUR, 2 * DAY]),
    st.integers(0, len(EDITED) - 1),
    SILENCES,
)
Walk = list[tuple[Items, timedelta, int, list[str]]]
"""What is folded, how long after the last, under which of the policies, and with what silenced."""


def walked(walk: Walk, cap: int, end: bool = True) -> tuple[State, list[tuple[datetime, list[str], Message]]]:
    """The state after a walk, and each message with its moment and the silences of that; at the end all is over."""
    ids, state, now = count(1), State(), START
    sent: list[tuple[datetime, list[str], Message]] = []
    for items, gap, edit, patterns in walk:
        now += gap
        silences = [Silence(1, pattern, now + SECOND, "known", "me") for pattern in patterns]
        policies = replace(EDITED[edit], messages_per_hour=cap)
        state, messages = fold(state, numbered(items, ids), policies, silences, now, KNOWN)
        sent += [(now, patterns, message) for message in messages]
    for _ in range(3 if end else 0):
        now += 2 * HOUR
        policies = replace(DEFAULTS, messages_per_hour=cap)
        state, messages = fold(state, NOTHING_WRONG, policies, [], now, Known(frozenset(), frozenset(), {}))
        sent += [(now, [], message) for message in messages]
    return state, sent


WALKS: st.SearchStrategy[Walk] = st.lists(STEPS, max_size=12)


@given(WALKS)
def test_each_end_is_told_once_to_each_who_heard_of_the_beginning(walk: Walk) -> None:
    state, sent = walked(walk, cap=10**6)
    told, ended = defaultdict(set), Counter[tuple[str, str]]()
    for _, _, message in sent:
        assert not message.more
        for alert in message.alerts:
            if message.kind == "resolved":
                assert alert.thread_key in told[message.channel], "an end without a beginning"
                ended[message.channel, alert.thread_key] += 1
            else:
                assert (message.channel, alert.thread_key) not in ended, "told after its end"
                told[message.channel].add(alert.thread_key)
    assert ended == Counter((channel, one) for channel, some in told.items() for one in some)
    assert all(alert.status == "resolved" for alert in state.alerts.values())


@given(WALKS)
def test_all_incidents_that_were_opened_are_closed(walk: Walk) -> None:
    _, sent = walked(walk, cap=3)
    for channel in ("mail", "am"):
        messages = [message for _, _, message in sent if message.channel == channel]
        opened = {message.thread_key for message in messages if message.kind in ("firing", "repeated")}
        assert opened <= {one for message in messages for one in message.closes}


@given(WALKS, st.integers(0, 4))
def test_counts_add_up_and_the_cap_holds(walk: Walk, cap: int) -> None:
    state, sent = walked(walk, cap, end=False)
    told, forward = Counter[str](), all(gap > timedelta(0) for _, gap, _, _ in walk)
    hours = Counter[tuple[str, datetime]]()
    for at, _, message in sent:
        told[message.channel] += len(message.alerts) + sum(message.more.values())
        if message.channel == "mail" and message.kind != "summary":
            hours[message.severity, at.replace(minute=0, second=0)] += 1
    told["mail"] += sum(sum(hour.counted.values()) for hour in state.hours.values())
    assert told["mail"] == told["am"], "what is not told one by one is counted"
    assert not forward or all(number <= cap for number in hours.values())


@given(WALKS)
def test_nobody_hears_of_what_is_silenced_or_held(walk: Walk) -> None:
    _, sent = walked(walk, cap=10**6)
    for _, patterns, message in sent:
        for alert in message.alerts:
            assert not any(fnmatchcase(alert.subject, pattern) for pattern in patterns)
            assert alert.inhibited_by is None


@given(WALKS, st.integers(0, 4))
def test_names_are_the_same_each_time_and_no_two_are_alike(walk: Walk, cap: int) -> None:
    _, sent = walked(walk, cap)
    assert sent == walked(walk, cap)[1]
    if all(gap > timedelta(0) for _, gap, _, _ in walk):
        names = [(message.channel, message.dedup_key) for _, _, message in sent]
        assert len(names) == len(set(names))


TRIED = st.lists(st.tuples(st.sampled_from([None, "error", "pass"]), st.sampled_from([60, 1800, 3600])), max_size=20)
RESULTS = st.lists(
    st.tuples(st.sampled_from([None, "pass", "warn", "error"]), st.sampled_from([7, 29, 30, 1800, 3600, 21600])),
    max_size=20,
)


def expected(results: list[tuple[str | None, int]]) -> list[tuple[int, str, str]]:
    """Moment, kind and severity of each message about one check: what the specification says, in seconds."""
    messages, now = [], 0
    since: int | None = None
    severity = ""
    told: int | None = None
    worst = 0
    for result, gap in results:
        now += gap
        if result == "pass":
            if told is not None:
                messages.append((now, "resolved", severity))
            since = told = None
            worst = 0
        elif result is not None:
            since = now if since is None else since
            severity = "critical" if result == "error" else "warning"
        if since is None:
            continue
        rank, wait, interval = (2, 0, 3600) if severity == "critical" else (1, 30, 21600)
        kind = None
        if told is None:
            kind = "firing" if now - since >= wait else None
        elif rank > worst:
            kind = "firing"
        elif now - told >= interval:
            kind = "repeated"
        if kind:
            messages.append((now, kind, severity))
            told, worst = now, max(worst, rank)
    return messages


@given(RESULTS)
def test_one_check_is_told_as_the_model_tells_it(results: list[tuple[str | None, int]]) -> None:
    assert _told(results, [0] * len(results)) == expected(results)


@given(TRIED, st.data())
def test_a_clock_that_is_set_back_changes_nothing_of_what_is_told(
    results: list[tuple[str | None, int]], data: st.DataObject
) -> None:
    jumps = data.draw(st.lists(st.sampled_from([0, 0, 90_000]), min_size=len(results), max_size=len(results)))
    steady = [(result, 0 if jump else gap) for (result, gap), jump in zip(results, jumps, strict=True)]
    wanted = [kind for _, kind, _ in expected(steady)]
    assert [kind for _, kind, _ in _told(results, jumps)] == wanted


def _told(results: list[tuple[str | None, int]], jumps: list[int]) -> list[tuple[int, str, str]]:
    policies = replace(DEFAULTS, channels=("mail",), messages_per_hour=10**6)
    state, now, told = State(), START, []
    for number, ((result, gap), jump) in enumerate(zip(results, jumps, strict=True)):
        now += timedelta(seconds=gap - jump)
        level: Any = "error" if result == "error" else "warn"
        seen = Event(number, "check", now, assets=("silver/a",), check="c", passed=result == "pass", level=level)
        state, messages = fold(state, [seen] if result else [], policies, (), now, KNOWN)
        told += [(int((now - START).total_seconds()), message.kind, message.severity) for message in messages]
    return told
