"""What events add to totals, whatever they are called and however they are split."""

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_pipeline.event_log.event import Event, EventKind, Tick
from atlas_pipeline.telemetry.counting import OPEN_ASSETS, OPEN_RUNS, Counted, Memory, Run, count, count_ticks
from atlas_pipeline.telemetry.families import families
from atlas_pipeline.telemetry.series import MOST_ERRORS, MOST_SERIES, Key
from atlas_pipeline_tests.telemetry.made import event

NAMES = st.sampled_from(["silver__a", "gold__b", "bronze__c", "backup__d", "e", "x" * 201, "nul\0", "", "\ud800"])
EVENTS = st.builds(
    event,
    kind=st.sampled_from(get_args(EventKind)) | st.sampled_from(["materialized", "step_succeeded", "run_started"]),
    at=st.integers(0, 100_000).map(float),
    run=st.sampled_from(["r1", "r2", "r3"]),
    job=st.sampled_from([None, "j"]),
    step=st.none() | NAMES,
    asset=st.none() | st.sampled_from(["silver/a", "silver/a", "backups/d"]) | NAMES,
    seconds=st.none() | st.integers(0, 50_000).map(float),
    error=NAMES,
    rows=st.none() | st.integers(0, 10**6).map(float),
    entities=st.dictionaries(
        st.sampled_from(["EMAIL_ADDRESS", "PERSON", "URL"]) | NAMES, st.integers(1, 9), max_size=2
    ),
    check=st.none() | NAMES | st.just("leak_check"),
    passed=st.booleans(),
    level=st.just("warn"),
    dimension=NAMES,
)


def run(*kinds: EventKind, **more: object) -> list[Event]:
    return [
        event(kind, **{"at": 100.0 * number, "run": "r", "job": "j"} | more)  # type: ignore[arg-type]
        for number, kind in enumerate(kinds)
    ]


def added(events: Sequence[Event], family: str, piece: str = "", memory: Memory | None = None) -> dict[object, float]:
    found = count(events, memory or Memory()).added
    return {labels: value for (name, part, labels), value in found.items() if (name, part) == (family, piece)}


@settings(max_examples=200)
@given(st.lists(EVENTS, max_size=60), st.data())
def test_any_split_of_events_into_pages_gives_the_same_totals(events: list[Event], data: st.DataObject) -> None:
    whole = count(events, Memory())
    places = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=8)))
    parts = Counted(Memory())
    for start, end in zip([0, *places], [*places, len(events)], strict=True):
        parts = parts.then(count(events[start:end], parts.memory))
    assert parts == whole


@settings(max_examples=200)
@given(st.lists(EVENTS, max_size=60))
def test_every_number_belongs_to_a_family_of_the_list_and_no_counter_falls(events: list[Event]) -> None:
    found = count(events, Memory())
    for (name, piece, labels), value in [*found.added.items(), *found.newest.items(), *found.latest.items()]:
        family = families()[name]
        assert family.source == "events"
        assert (piece != "") == (family.kind == "histogram")
        assert len(labels) == len(family.labels) + (piece == "bucket")
        assert all(label.isprintable() and 0 < len(label) <= 200 for label in labels)
        assert value >= 0
    assert not {key for key in found.added if families()[key[0]].kind == "gauge"}
    assert all(families()[key[0]].kind == "gauge" for key in [*found.newest, *found.latest])


def test_a_run_lasts_from_its_start_to_its_end() -> None:
    family = "atlas_pipeline_duration_seconds"
    events = run("planned", "run_started", "run_succeeded", step="s", asset="a")
    assert added(events, family, "sum") == {("j",): 100.0}
    assert added(events, family, "count") == {("j",): 1.0}
    buckets = added(events, family, "bucket")
    reached = [bound for (_, bound), value in buckets.items() if value == 1.0]
    assert reached == ["300.0", "600.0", "1800.0", "3600.0", "7200.0", "14400.0", "43200.0", "+Inf"]
    assert len(buckets) == len(families()[family].buckets) + 1
    assert count(events, Memory()).memory.runs == {}


def test_a_run_whose_start_was_not_seen_counts_but_has_no_duration() -> None:
    events = run("run_failed")
    assert added(events, "atlas_pipeline_runs_total") == {("j", "failure"): 1.0}
    assert added(events, "atlas_pipeline_duration_seconds", "count") == {}


def test_a_clock_that_went_back_takes_nothing_from_a_total() -> None:
    events = [*run("run_started", at=500.0), *run("run_canceled", at=400.0)]
    assert added(events, "atlas_pipeline_duration_seconds", "sum") == {("j",): 0.0}


def test_a_backup_that_was_made_did_not_fail_when_what_came_after_it_did() -> None:
    made = run("planned", "run_started", "materialized", "step_failed", step="backup__w", asset="backups/w")
    failed = run("planned", "run_started", "step_failed", step="backup__w", asset="backups/w")
    assert added(made, "atlas_backup_runs_total") == {("w", "success"): 1.0}
    assert added(failed, "atlas_backup_runs_total") == {("w", "failure"): 1.0}
    assert added(made, "atlas_asset_failures_total") == {("backups/w",): 1.0}


def test_a_step_that_only_checks_makes_no_asset_fail() -> None:
    assert added(run("run_started", "step_failed", step="silver__a"), "atlas_asset_failures_total") == {}


def test_the_duration_of_an_asset_is_that_of_the_step_that_made_it() -> None:
    events = [*run("planned", "materialized", step="s", asset="a"), *run("step_succeeded", step="s", seconds=7.0)]
    key: Key = ("atlas_asset_last_duration_seconds", "", ("a",))
    assert count(events, Memory()).latest[key] == 7.0
    assert key not in count([replace(one, kind="observed") for one in events], Memory()).latest


def test_runs_that_never_end_are_forgotten_oldest_first() -> None:
    events = [event("run_started", run=f"r{number}") for number in range(OPEN_RUNS + 5)]
    memory = count(events, Memory()).memory
    assert list(memory.runs) == [one.run for one in events[5:]]
    ends = [event("run_succeeded", at=1.0, run=f"r{number}", job="j") for number in (0, OPEN_RUNS)]
    assert added(ends, "atlas_pipeline_duration_seconds", "count", memory) == {("j",): 1.0}


def test_what_is_remembered_of_assets_is_bounded() -> None:
    memory = Memory({"old": Run(started=1.0), "new": Run(planned=(("s", "a"),) * (OPEN_ASSETS - 1))})
    events = [event("planned", run="last", step="s", asset=f"a{number}") for number in range(3)]
    assert list(count(events, memory).memory.runs) == ["last"]


def test_kinds_of_errors_are_bounded_in_each_family() -> None:
    events = [event("step_failed", step=f"s{n % 7}", error=f"Error{n}") for n in range(MOST_ERRORS * 3)]
    found = added(events, "atlas_pipeline_errors_total")
    kinds = {labels[1] for labels in found}
    assert len(kinds) == MOST_ERRORS + 1
    assert sum(value for labels, value in found.items() if labels[1] == "other") == MOST_ERRORS * 2
    assert sum(found.values()) == len(events)


def test_hostile_names_cannot_make_more_series_than_are_allowed() -> None:
    events = [event("step_succeeded", step=f"s{number}", seconds=1.0) for number in range(MOST_SERIES + 500)]
    found = added(events, "atlas_pipeline_steps_total")
    assert len(found) == MOST_SERIES + 1
    assert found["other", "success"] == 500
    assert added(events, "atlas_pipeline_step_duration_seconds", "count")[("other",)] == 500
    known = count(events, Memory()).memory
    assert added([events[0], events[-1]], "atlas_pipeline_steps_total", memory=known) == {
        ("s0", "success"): 1.0,
        ("other", "success"): 1.0,
    }


def test_ticks_count_by_name_and_status() -> None:
    ticks = [Tick("sensor", "landing", "skipped", 5.0), Tick("sensor", "landing", "skipped", 3.0)]
    found = count_ticks([*ticks, Tick("schedule", "daily", "failure", 9.0)], Memory())
    assert found.added == {
        ("atlas_sensor_ticks_total", "", ("landing", "skipped")): 2.0,
        ("atlas_schedule_ticks_total", "", ("daily", "failure")): 1.0,
    }
    assert found.newest == {
        ("atlas_sensor_last_tick_timestamp_seconds", "", ("landing",)): 5.0,
        ("atlas_schedule_last_tick_timestamp_seconds", "", ("daily",)): 9.0,
    }
