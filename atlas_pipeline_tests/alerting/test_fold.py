"""Stories told to the fold: what happened, when it was looked at, and who hears what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from atlas_pipeline.alerting.conditions import Condition, Finding, Known, Snapshot
from atlas_pipeline.alerting.fold import fold
from atlas_pipeline.alerting.policy import Policies, Policy, default_policies
from atlas_pipeline.alerting.state import Alert, Message, Silence, State
from atlas_pipeline.event_log.event import Event, EventKind

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TICK = 5 * SECOND
IDS = count(1)
MANY = [f"silver/t{number}" for number in range(60)]
ASSETS = frozenset({"silver/orders", "gold/sales", "backups/shop", *MANY})
CHECKS = frozenset({"amount_valid", "other", "leak_check", "fresh", "complete", "restorable"})
KNOWN = Known(
    ASSETS,
    frozenset({"daily", "landing", "nightly"}),
    dict.fromkeys(ASSETS, CHECKS),
    {"silver/orders": "team:shop"},
)
DEFAULTS = Policies(default_policies(), ("mail",))
ORDERS = ("silver/orders",)


def event(kind: EventKind, **said: Any) -> Event:
    """An event of now, of run r1 unless told otherwise."""
    run = said.setdefault("run", "r1")
    said.setdefault("root_run", run)
    return Event(next(IDS), kind, said.pop("at", START), **said)


def failed_run(assets: Sequence[str] = ORDERS, **said: Any) -> list[Event]:
    """A step that failed, and with it its run."""
    return [event("step_failed", assets=tuple(assets), step="s", **said), event("run_failed", **said)]


def check(passed: bool = False, name: str = "amount_valid", asset: str = "silver/orders", **said: Any) -> Event:
    """What came of a check."""
    return event("check", assets=(asset,), check=name, passed=passed, **said)


def look(condition: Condition, **found: float | None) -> Snapshot:
    """What a look found; `__` in a name stands for a space."""
    findings = {name.replace("__", " "): Finding("wrong", amount=amount) for name, amount in found.items()}
    return Snapshot(condition, START, findings)


@dataclass
class Story:
    """A state that folds are applied to, and a clock."""

    policies: Policies = DEFAULTS
    silences: tuple[Silence, ...] = ()
    known: Known = KNOWN
    now: datetime = START
    state: State = field(default_factory=State)

    def fold(self, *items: Event | Snapshot, after: timedelta = timedelta(0)) -> list[Message]:
        """Fold once, a while after the last time; what is sent."""
        self.now += after
        self.state, messages = fold(self.state, items, self.policies, self.silences, self.now, self.known)
        return messages

    def lasting(self) -> dict[tuple[str, str], Alert]:
        """Alerts that are not over, by policy and subject."""
        return {key: alert for key, alert in self.state.alerts.items() if alert.status != "resolved"}


def heard(messages: Sequence[Message]) -> list[tuple[str, str, str]]:
    """Kind, policy and subject of each alert in each message."""
    return [(message.kind, alert.policy, alert.subject) for message in messages for alert in message.alerts]


@pytest.fixture
def story() -> Story:
    """Nothing has happened yet, and all policies are those by default."""
    return Story()


def policies_like(change: Mapping[str, Any], *names: str) -> Policies:
    """The default policies with some of them changed."""
    changed = [replace(policy, **change) if policy.name in names else policy for policy in default_policies()]
    return replace(DEFAULTS, policies=tuple(changed))


def test_the_same_failure_seen_twice_is_one_message(story: Story) -> None:
    assert heard(story.fold(*failed_run())) == [("firing", "run-failed", "silver/orders")]
    assert story.fold(*failed_run(run="r2"), after=TICK) == []
    (alert,) = story.lasting().values()
    assert (alert.count, alert.run, alert.since, alert.seen_at) == (2, "r2", START, START + TICK)


def test_a_blocking_check_that_fails_the_run_too_is_one_alert(story: Story) -> None:
    messages = story.fold(check(), *failed_run())
    assert heard(messages) == [("firing", "check-failed", "silver/orders: amount_valid")]


def test_a_failing_check_on_a_green_run_is_told(story: Story) -> None:
    assert heard(story.fold(check(), event("run_succeeded"))) == [
        ("firing", "check-failed", "silver/orders: amount_valid")
    ]
    assert heard(story.fold(check(passed=True, run="r2"), after=TICK)) == [
        ("resolved", "check-failed", "silver/orders: amount_valid")
    ]


@pytest.mark.parametrize(
    ("run", "subjects"),
    [
        (failed_run(["silver/orders", "gold/sales"]), {"silver/orders", "gold/sales"}),
        (failed_run([], job="daily"), {"job daily"}),
        ([event("run_failed", job="daily", assets=ORDERS)], {"job daily"}),
        ([event("run_failed", assets=("silver/orders", "gold/sales"))], {"silver/orders", "gold/sales"}),
        ([event("step_failed", assets=ORDERS), *failed_run([], job="daily")], {"silver/orders", "job daily"}),
        ([event("step_failed", assets=ORDERS), event("run_canceled", job="daily")], set()),
        ([event("step_failed", assets=ORDERS), event("run_succeeded", job="daily")], set()),
        ([check(may_retry=True), event("run_canceled")], {"silver/orders: amount_valid"}),
        (failed_run(["backups/shop"], job="nightly"), {"backups/shop"}),
    ],
)
def test_subjects_of_a_run(story: Story, run: list[Event], subjects: set[str]) -> None:
    story.fold(*run)
    assert {alert.subject for alert in story.lasting().values()} == subjects
    assert not story.state.runs


def test_a_run_that_is_retried_is_told_once_at_its_last_failure(story: Story) -> None:
    assert story.fold(*failed_run(will_retry=True, may_retry=True, problem="first")) == []
    assert story.fold(*failed_run(run="r2", root_run="r1", will_retry=True, problem="second"), after=MINUTE) == []
    messages = story.fold(*failed_run(["gold/sales"], run="r3", root_run="r1", problem="third"), after=MINUTE)
    assert heard(messages) == [("firing", "run-failed", "gold/sales")]
    assert (messages[0].alerts[0].problem, messages[0].alerts[0].count) == ("third", 1)


def test_a_run_that_succeeds_at_last_is_not_told(story: Story) -> None:
    story.fold(check(may_retry=True), *failed_run(will_retry=True, may_retry=True))
    again = {"run": "r2", "root_run": "r1"}
    assert story.fold(check(passed=True, **again), event("run_succeeded", **again), after=MINUTE) == []
    assert not story.state.runs
    assert not story.lasting()


def test_a_check_that_is_not_tried_again_keeps_its_last_result(story: Story) -> None:
    story.fold(check(may_retry=True), *failed_run(["gold/sales"], will_retry=True, may_retry=True))
    messages = story.fold(event("run_succeeded", run="r2", root_run="r1"), after=MINUTE)
    assert heard(messages) == [("firing", "check-failed", "silver/orders: amount_valid")]


def test_another_try_that_does_not_come_is_not_awaited_for_ever(story: Story) -> None:
    story.fold(*failed_run(will_retry=True))
    assert story.fold(after=59 * MINUTE) == []
    assert heard(story.fold(after=MINUTE)) == [("firing", "run-failed", "silver/orders")]
    assert not story.state.runs


def test_a_warning_that_passes_within_its_wait_is_never_told(story: Story) -> None:
    assert story.fold(check(level="warn")) == []
    assert story.fold(check(passed=True), after=29 * SECOND) == []
    assert story.fold(after=DAY) == []


def test_a_warning_is_told_after_half_a_minute_and_every_six_hours(story: Story) -> None:
    story.fold(check(level="warn"))
    assert story.fold(after=29 * SECOND) == []
    (first,) = story.fold(after=SECOND)
    assert story.fold(after=6 * HOUR - SECOND) == []
    (second,) = story.fold(after=SECOND)
    assert (first.kind, second.kind) == ("firing", "repeated")
    assert first.thread_key == second.thread_key
    assert first.dedup_key != second.dedup_key


def test_a_critical_alert_is_told_at_once_and_every_hour(story: Story) -> None:
    assert len(story.fold(check())) == 1
    kinds = [message.kind for _ in range(24 * 12) for message in story.fold(after=5 * MINUTE)]
    assert kinds == ["repeated"] * 24


def test_a_check_that_gets_worse_is_told_anew_and_one_that_gets_better_is_not(story: Story) -> None:
    story.fold(check(level="warn"))
    (warned,) = story.fold(after=MINUTE)
    (failed,) = story.fold(check(), after=MINUTE)
    assert (failed.kind, failed.severity, failed.thread_key) == ("firing", "critical", warned.thread_key)
    assert list(story.lasting()) == [("check-failed", "silver/orders: amount_valid")]
    assert story.fold(check(level="warn"), after=MINUTE) == []
    assert list(story.state.alerts) == [("check-warned", "silver/orders: amount_valid")]
    (over,) = story.fold(check(passed=True), after=MINUTE)
    assert (over.kind, over.thread_key, over.closes) == ("resolved", warned.thread_key, (warned.thread_key,))


@pytest.mark.parametrize(
    ("name", "asset", "policy", "condition"),
    [
        ("leak_check", "silver/orders", "pii-leak", "pii_leak"),
        ("fresh", "backups/shop", "backup", "backup_missing"),
        ("complete", "backups/shop", "backup-unverified", "backup_unverified"),
        ("restorable", "backups/shop", "backup-unverified", "backup_unverified"),
        ("fresh", "silver/orders", "check-failed", "check_failed"),
    ],
)
def test_what_a_failed_check_means(story: Story, name: str, asset: str, policy: str, condition: str) -> None:
    story.fold(check(name=name, asset=asset))
    (alert,) = story.lasting().values()
    assert (alert.policy, alert.condition, alert.subject) == (policy, condition, f"{asset}: {name}")


def test_freshness(story: Story) -> None:
    story.fold(event("freshness", assets=ORDERS, freshness="unknown"))
    assert [alert.status for alert in story.lasting().values()] == ["pending"]
    assert heard(story.fold(after=DAY)) == [("firing", "missing", "silver/orders: freshness")]
    messages = story.fold(event("freshness", assets=ORDERS, freshness="warn"), after=MINUTE)
    assert heard(messages) == [("resolved", "missing", "silver/orders: freshness")]
    (alert,) = story.lasting().values()
    assert (alert.policy, alert.level) == ("stale", "warn")
    story.fold(event("freshness", assets=ORDERS, freshness="fail"), after=MINUTE)
    (alert,) = story.lasting().values()
    assert (alert.policy, alert.level, alert.count) == ("stale", "error", 2)
    story.fold(event("freshness", assets=ORDERS, freshness="pass"), after=MINUTE)
    assert not story.lasting()
    story.fold(event("freshness", assets=("backups/shop",), freshness="fail"))
    assert list(story.lasting()) == [("backup", "backups/shop: freshness")]


def test_a_materialization_ends_a_missing_one_and_failures(story: Story) -> None:
    story.fold(event("freshness", assets=ORDERS, freshness="unknown"), *failed_run())
    assert len(story.lasting()) == 2
    assert heard(story.fold(event("materialized", assets=ORDERS))) == [("resolved", "run-failed", "silver/orders")]
    assert not story.lasting()


def test_a_job_that_succeeds_again_is_over(story: Story) -> None:
    story.fold(event("run_failed", job="daily"))
    messages = story.fold(event("run_succeeded", job="daily", run="r2"), after=TICK)
    assert heard(messages) == [("resolved", "run-failed", "job daily")]


def test_a_low_score_and_a_policy_that_asks_for_more(story: Story) -> None:
    story.fold(event("materialized", assets=ORDERS, score=0.85))
    assert not story.lasting()
    story.policies = policies_like({"below": 0.9}, "low-score")
    story.fold(after=TICK)
    (alert,) = story.lasting().values()
    assert (alert.policy, alert.amount, alert.subject) == ("low-score", 0.85, "silver/orders: score")
    assert heard(story.fold(after=MINUTE)) == [("firing", "low-score", "silver/orders: score")]
    messages = story.fold(event("materialized", assets=ORDERS, score=0.9), after=MINUTE)
    assert heard(messages) == [("resolved", "low-score", "silver/orders: score")]


def test_a_look_replaces_all_of_its_condition(story: Story) -> None:
    story.fold(look("tick_failed", sensor__landing=None, schedule__nightly=None), look("queue_long", runs=101))
    assert {key[1] for key in story.lasting()} == {"sensor landing", "schedule nightly", "runs"}
    story.fold(look("tick_failed", sensor__landing=None), look("queue_long", runs=100), after=TICK)
    assert {key[1] for key in story.lasting()} == {"sensor landing"}


def test_a_critical_alert_holds_back_the_warnings_of_its_asset(story: Story) -> None:
    other = check(level="warn", asset="gold/sales")
    story.fold(check(level="warn", name="other"), other, *failed_run())
    assert heard(story.fold(after=MINUTE)) == [("firing", "check-warned", "gold/sales: amount_valid")]
    assert story.state.alerts["check-warned", "silver/orders: other"].inhibited_by == "silver/orders"
    messages = story.fold(event("materialized", assets=ORDERS), after=MINUTE)
    assert heard(messages) == [
        ("resolved", "run-failed", "silver/orders"),
        ("firing", "check-warned", "silver/orders: other"),
    ]


def test_a_system_that_is_down_holds_back_all_else(story: Story) -> None:
    story.fold(*failed_run())
    assert heard(story.fold(look("system_down", warehouse=None), after=TICK)) == [
        ("firing", "system-down", "warehouse")
    ]
    assert story.fold(check(asset="gold/sales"), event("materialized", assets=ORDERS), after=TICK) == []
    assert heard(story.fold(look("system_down"), after=TICK)) == [
        ("resolved", "run-failed", "silver/orders"),
        ("resolved", "system-down", "warehouse"),
        ("firing", "check-failed", "gold/sales: amount_valid"),
    ]


def test_nobody_is_told_of_what_is_silenced_until_it_is_no_more(story: Story) -> None:
    story.silences = (Silence(7, "silver/orders*", START + HOUR, "known", "me"),)
    assert story.fold(check(), check(asset="gold/sales")) != []
    assert story.state.alerts["check-failed", "silver/orders: amount_valid"].silenced_by == 7
    assert heard(story.fold(after=HOUR - SECOND)) == []
    assert heard(story.fold(after=SECOND)) == [
        ("firing", "check-failed", "silver/orders: amount_valid"),
        ("repeated", "check-failed", "gold/sales: amount_valid"),
    ]


def test_an_end_under_a_silence_is_told_after_it(story: Story) -> None:
    story.fold(check())
    story.silences = (Silence(7, "silver/orders", START + 2 * DAY, "known", "me", frozenset(ORDERS)),)
    assert story.fold(check(passed=True), after=TICK) == []
    assert story.fold(after=DAY + HOUR) == []
    assert heard(story.fold(after=DAY)) == [("resolved", "check-failed", "silver/orders: amount_valid")]
    assert story.fold(after=TICK) == []


def test_a_failure_that_came_back_under_a_silence_goes_on_as_it_was(story: Story) -> None:
    (first,) = story.fold(check())
    story.silences = (Silence(7, "silver/*", START + MINUTE, "known", "me"),)
    story.fold(check(passed=True), after=TICK)
    story.fold(check(), after=TICK)
    assert story.fold(after=MINUTE) == []
    (over,) = story.fold(check(passed=True), after=TICK)
    assert (over.kind, over.thread_key) == ("resolved", first.thread_key)


def test_an_asset_that_is_removed_while_its_alert_fires(story: Story) -> None:
    story.fold(*failed_run(), event("run_failed", job="daily", run="r2"))
    story.known = Known(ASSETS - {"silver/orders"}, frozenset(), {})
    messages = story.fold(after=TICK)
    assert [(message.kind, message.alerts[0].subject, message.alerts[0].reason) for message in messages] == [
        ("resolved", "silver/orders", "removed"),
        ("resolved", "job daily", "removed"),
    ]
    assert story.fold(*failed_run(), after=TICK) == []
    assert not story.lasting()


def test_a_check_that_is_removed_while_its_alert_fires(story: Story) -> None:
    story.fold(check(), check(name="other"), check(name="leak_check"), check(asset="backups/shop", name="complete"))
    story.known = replace(KNOWN, checks={"silver/orders": CHECKS - {"amount_valid", "leak_check"}})
    messages = story.fold(after=TICK)
    assert {(message.kind, message.alerts[0].subject, message.alerts[0].reason) for message in messages} == {
        ("resolved", "silver/orders: amount_valid", "check removed"),
        ("resolved", "silver/orders: leak_check", "check removed"),
    }
    assert story.fold(check(run="r2"), after=TICK) == []
    assert {subject for _, subject in story.lasting()} == {"silver/orders: other", "backups/shop: complete"}


def test_a_low_score_of_a_table_whose_last_check_is_removed(story: Story) -> None:
    story.fold(event("materialized", assets=ORDERS, score=0.5))
    assert heard(story.fold(after=MINUTE)) == [("firing", "low-score", "silver/orders: score")]
    story.known = replace(KNOWN, checks={})
    (over,) = story.fold(event("materialized", assets=ORDERS, run="r2"), after=TICK)
    assert (over.kind, over.alerts[0].reason) == ("resolved", "check removed")
    assert story.fold(after=DAY) == []


def test_what_a_message_shows_is_how_the_alert_stands_now(story: Story) -> None:
    story.fold(*failed_run())
    story.fold(look("system_down", warehouse=None), event("materialized", assets=ORDERS), after=TICK)
    messages = story.fold(*failed_run(), look("system_down"), after=TICK)
    ends = [alert for message in messages if message.kind == "resolved" for alert in message.alerts]
    assert {alert.subject: alert.inhibited_by for alert in ends} == {"silver/orders": None, "warehouse": None}


def test_a_policy_that_is_removed_while_its_alert_fires(story: Story) -> None:
    story.fold(check())
    story.policies = replace(DEFAULTS, policies=())
    (over,) = story.fold(after=TICK)
    assert (over.kind, over.alerts[0].reason) == ("resolved", "policy removed")


def test_a_policy_that_no_longer_matches(story: Story) -> None:
    story.fold(check())
    story.policies = policies_like({"assets": frozenset({"gold/sales"}), "selection": "gold/sales"}, "check-failed")
    (over,) = story.fold(after=TICK)
    assert (over.kind, over.alerts[0].reason) == ("resolved", "policy changed")


def test_a_policy_of_another_name_takes_the_alert_over(story: Story) -> None:
    story.fold(check())
    mine = Policy("mine", frozenset({"check_failed"}), "critical", "shop")
    story.policies = replace(DEFAULTS, policies=(mine, *default_policies()))
    assert story.fold(after=TICK) == []
    ((key, alert),) = story.lasting().items()
    assert (key[0], alert.team, alert.since) == ("mine", "shop", START)


def test_a_severity_that_is_edited_while_the_alert_fires(story: Story) -> None:
    story.policies = policies_like({"severity": "warning"}, "check-failed")
    story.fold(check())
    (first,) = story.fold(after=MINUTE)
    story.policies = policies_like({"team": "shop", "runbook": "https://run.book"}, "check-failed")
    (risen,) = story.fold(after=MINUTE)
    assert (risen.kind, risen.severity, risen.thread_key) == ("firing", "critical", first.thread_key)
    assert (risen.alerts[0].team, risen.alerts[0].runbook) == ("shop", "https://run.book")
    story.policies = policies_like({"severity": "warning"}, "check-failed")
    assert story.fold(after=MINUTE) == []
    story.policies = DEFAULTS
    assert story.fold(after=MINUTE) == []


def test_the_end_goes_to_who_heard_of_the_beginning(story: Story) -> None:
    story.policies = replace(DEFAULTS, channels=("mail", "chat"))
    story.fold(check())
    story.policies = replace(DEFAULTS, channels=("pager",))
    assert story.fold(after=MINUTE) == []
    messages = story.fold(check(passed=True), after=MINUTE)
    assert [(message.channel, message.kind) for message in messages] == [("mail", "resolved"), ("chat", "resolved")]


def test_without_channels_alerts_are_kept_and_told_when_there_is_one(story: Story) -> None:
    story.policies = replace(DEFAULTS, channels=())
    assert story.fold(check()) == []
    assert [alert.status for alert in story.lasting().values()] == ["firing"]
    story.policies = DEFAULTS
    assert heard(story.fold(after=HOUR)) == [("firing", "check-failed", "silver/orders: amount_valid")]


def test_many_alerts_of_a_policy_are_one_message(story: Story) -> None:
    story.policies = replace(DEFAULTS, channels=("mail", "am"), ungrouped=frozenset({"am"}))
    messages = story.fold(*failed_run(MANY))
    (group,) = [message for message in messages if message.channel == "mail"]
    assert (len(group.alerts), group.more) == (20, {"run-failed": 40})
    assert len([message for message in messages if message.channel == "am"]) == 60
    repeated = [message for message in story.fold(after=HOUR) if message.channel == "mail"]
    assert [(message.kind, message.thread_key) for message in repeated] == [("repeated", group.thread_key)]
    some = story.fold(event("materialized", assets=MANY[:58]), after=TICK)
    (part,) = [message for message in some if message.channel == "mail"]
    assert part.closes == ()
    assert part.thread_key != group.thread_key
    rest = story.fold(event("materialized", assets=MANY[58:]), after=TICK)
    last = [message for message in rest if message.channel == "mail"]
    assert {message.thread_key for message in last} == {group.thread_key}
    assert len([message for message in (*some, *rest) if message.channel == "am" and message.closes]) == 60


def test_three_alerts_of_a_policy_are_told_one_by_one(story: Story) -> None:
    assert [len(message.alerts) for message in story.fold(*failed_run(MANY[:3]))] == [1, 1, 1]
    assert [len(message.alerts) for message in story.fold(*failed_run(MANY[3:7]))] == [4]


def test_what_is_beyond_the_cap_comes_as_one_summary(story: Story) -> None:
    story.policies = replace(DEFAULTS, messages_per_hour=5)
    messages = [message for asset in MANY for message in story.fold(*failed_run([asset]), after=SECOND)]
    assert len(messages) == 5
    over = story.fold(event("materialized", assets=MANY[:40]), after=MINUTE)
    assert over == []
    summary, *repeated = story.fold(after=HOUR)
    assert (summary.kind, summary.more) == ("summary", {"run-failed": 55, "run-failed (resolved)": 40})
    assert set(summary.closes) == {message.thread_key for message in messages}
    assert [message.kind for message in repeated] == ["firing"], "those that last were only counted before"
    assert [message.kind for message in story.fold(after=2 * HOUR)] == ["repeated"]


def test_ten_thousand_failed_runs_in_an_hour(story: Story) -> None:
    messages = []
    for number in range(0, 10_000, 50):
        runs = (failed_run([MANY[n % 60]], run=f"r{n}") for n in range(number, number + 50))
        messages += story.fold(*(item for run in runs for item in run), after=HOUR / 200)
    assert len(messages) <= 31
    assert sum(alert.count for alert in story.lasting().values()) == 10_000
    assert (len(story.state.alerts), len(story.state.runs)) == (60, 0)
    assert len(story.state.hours) <= 1


def test_ten_thousand_runs_that_never_end_are_forgotten(story: Story) -> None:
    story.fold(*(event("step_failed", assets=ORDERS, run=f"r{number}") for number in range(10_000)))
    assert len(story.state.runs) == 10_000
    assert len(story.fold(after=DAY)) == 1, "what they said of failures is told all the same"
    assert not story.state.runs


def test_alerts_that_are_over_are_forgotten_after_a_day(story: Story) -> None:
    story.fold(check())
    story.fold(check(passed=True), after=TICK)
    story.fold(after=DAY)
    assert len(story.state.alerts) == 1
    story.fold(after=SECOND)
    assert story.state == State(clock=story.now)


@pytest.mark.parametrize("at", [START - 9000 * DAY, START + 9000 * DAY])
def test_times_of_events_decide_nothing(story: Story, at: datetime) -> None:
    assert len(story.fold(check(at=at))) == 1
    (alert,) = story.lasting().values()
    assert alert.since == min(at, START)
    assert story.fold(check(level="warn", asset="gold/sales", at=at)) == []
    assert story.fold(after=29 * SECOND) == []
    assert len(story.fold(after=SECOND)) == 1
    assert [message.kind for message in story.fold(after=HOUR)] == ["repeated"]


def test_a_clock_that_is_set_back_floods_nothing_and_stops_nothing(story: Story) -> None:
    story.fold(check())
    story.fold(after=30 * MINUTE)
    assert story.fold(after=-9 * DAY) == []
    (alert,) = story.lasting().values()
    assert alert.since <= story.now
    assert story.fold(after=29 * MINUTE) == []
    assert [message.kind for message in story.fold(after=MINUTE)] == ["repeated"]


def test_a_clock_that_is_set_forward_repeats_once(story: Story) -> None:
    story.fold(check())
    assert [message.kind for message in story.fold(after=400 * DAY)] == ["repeated"]
    assert story.fold(after=TICK) == []
    assert story.fold(after=-400 * DAY) == []
    assert [message.kind for message in story.fold(after=HOUR)] == ["repeated"]


def test_the_same_fold_gives_the_same_messages(story: Story) -> None:
    items = [*failed_run(MANY), check(), look("system_down")]
    twin = Story()
    assert story.fold(*items) == twin.fold(*items)
    assert story.fold(after=HOUR) == twin.fold(after=HOUR)


def test_names_of_messages_are_unlike(story: Story) -> None:
    messages: list[Message] = []
    story.policies = replace(DEFAULTS, messages_per_hour=1000)
    for number in range(20):
        messages += story.fold(check(), after=TICK * (number % 2))
        messages += story.fold(check(passed=True))
        messages += story.fold(check(), check(passed=True), check())
        messages += story.fold(check(passed=True))
    assert len({message.dedup_key for message in messages}) == len(messages) > 30


def test_alerts_say_who_owns_the_asset_and_where_it_is_shown(story: Story) -> None:
    story.fold(check(facts={"measured": 3, "threshold": "0"}, problem="3 rows"))
    (alert,) = story.lasting().values()
    assert (alert.owner, alert.link) == ("team:shop", "/assets/silver/orders?view=checks")
    assert (alert.facts, alert.problem) == ({"measured": 3, "threshold": "0"}, "3 rows")
