"""The decoder against Dagster's own objects, for events of real runs: a change of Dagster's format fails here."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.events import DagsterEvent
from dagster._serdes import deserialize_value
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.event_log.decoding import TYPES, decode_event
from atlas_pipeline.event_log.event import Event, EventKind
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.embedded import EmbeddedPostgres
from atlas_pipeline_tests import databases
from atlas_pipeline_tests.ops.runs import BACKUP, BRONZE, DEFS, GOLD, SECRET, SILVER, dagster_at, log_of, materialize


@pytest.fixture(scope="module")
def stored(
    postgres: EmbeddedPostgres, dagster_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[tuple[int, str]]]:
    """The events of Dagster over Postgres, as Atlas runs it, after a run of each kind: numbers and what is stored."""
    with databases.lent(postgres, dagster_template) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATLAS_DAGSTER_DATABASE_URL", url)
        load_settings.cache_clear()
        yield events_of_each_kind(tmp_path_factory.mktemp("dagster"))
    load_settings.cache_clear()


def events_of_each_kind(home: Path) -> list[tuple[int, str]]:
    """Runs that write one event of each kind at least, and what they wrote."""
    with dagster_at(home) as one:
        materialize(one, BRONZE, SILVER)
        materialize(one, GOLD, dg.AssetKey("below"))
        materialize(one, BACKUP, partition="monday")
        DEFS.resolve_job_def("mapped").execute_in_process(instance=one)
        one.report_run_canceled(one.create_run_for_job(DEFS.resolve_job_def("mapped")))
        for state in (FreshnessState.FAIL, FreshnessState.NOT_APPLICABLE):
            report_freshness(one, state)
        with log_of(one) as log:
            query = "SELECT id, event FROM event_logs WHERE dagster_event_type = ANY(%s) ORDER BY id"
            return log.execute(query, [list(TYPES.values())]).fetchall()


def report_freshness(instance: dg.DagsterInstance, state: FreshnessState) -> None:
    """As Dagster's freshness daemon does."""
    instance._report_runless_asset_event(
        FreshnessStateChange(
            key=SILVER, new_state=state, previous_state=FreshnessState.PASS, state_change_timestamp=time.time()
        )
    )


def test_every_kind_is_decoded_to_what_dagster_decodes(stored: list[tuple[int, str]]) -> None:
    events = [decode_event(number, text) for number, text in stored]
    assert {event.kind for event in events} == {*get_args(EventKind)} - {"unknown"}
    for event, (number, text) in zip(events, stored, strict=True):
        entry = deserialize_value(text, dg.EventLogEntry)
        theirs = entry.get_dagster_event()
        assert TYPES[event.kind] == theirs.event_type_value
        assert (event.id, event.run, event.step) == (number, entry.run_id, theirs.step_key)
        assert event.at.timestamp() == pytest.approx(entry.timestamp, abs=1e-5)
        assert event.job == (None if entry.job_name.startswith("__") else entry.job_name)
        if event.kind != "planned":
            assert event.assets == tuple("/".join(key.path) for key in keys_of(theirs))


def keys_of(event: DagsterEvent) -> list[dg.AssetKey]:
    """The assets that Dagster says an event is of; none for the ends of runs and steps."""
    if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return [event.asset_check_evaluation_data.asset_key]
    if event.event_type == dg.DagsterEventType.FRESHNESS_STATE_CHANGE:
        return [event.asset_freshness_state_change_data.key]
    return [event.asset_key] if event.asset_key else []


def test_details_of_each_kind(stored: list[tuple[int, str]]) -> None:
    events = [decode_event(number, text) for number, text in stored]

    def of(kind: EventKind, **fields: Any) -> Event:
        [event] = [
            event
            for event in events
            if event.kind == kind and all(getattr(event, name) == value for name, value in fields.items())
        ]
        return event

    made = of("materialized", assets=("silver/people",))
    assert (made.rows, made.score) == (90, None)
    assert made.entities == {"EMAIL_ADDRESS": 2, "PHONE_NUMBER": 1}
    amount = of("check", check="amount")
    assert (amount.passed, amount.level, amount.dimension) == (False, "warn", "validity")
    assert amount.facts == {"dimension": "validity"}
    failed = of("step_failed", step="gold__people")
    assert (failed.error, failed.problem) == ("ValueError", "ValueError: see the run")
    assert (of("step_failed", step="backups__atlas").error, failed.assets) == ("Failure", ())
    assert [event.freshness for event in events if event.kind == "freshness"] == ["fail", None]
    assert {event.step for event in events if event.kind == "step_succeeded"} >= {"work[part0]", "work[part1]"}
    quiet = [event for event in events if event.kind != "check" and event.step != "backups__atlas"]
    assert SECRET not in repr(quiet)


def test_an_event_with_any_field_missing_or_changed_is_decoded_or_unknown(stored: list[tuple[int, str]]) -> None:

    @given(st.sampled_from(stored), st.data(), st.sampled_from([None, 7, "x", [], {}, -1.0, 1e300]))
    def damage(row: tuple[int, str], data: st.DataObject, value: object) -> None:
        entry = json.loads(row[1])
        inner: Any = entry
        while True:
            key = data.draw(st.sampled_from(sorted(inner)) if isinstance(inner, dict) else st.just(0))
            if isinstance(inner[key], dict | list) and inner[key] and data.draw(st.booleans()):
                inner = inner[key]
                continue
            inner[key] = value
            break
        assert decode_event(1, json.dumps(entry)).kind in get_args(EventKind)

    damage()
