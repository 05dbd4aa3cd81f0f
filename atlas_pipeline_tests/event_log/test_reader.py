"""The reader over a real log: every event once, whatever becomes visible when, and whatever is restored or damaged."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import text

from atlas_pipeline.event_log.decoding import TYPES
from atlas_pipeline.event_log.event import Event
from atlas_pipeline.event_log.reader import EVENTS, OVERLAP, Log, Page, Position, newest, read_events
from atlas_pipeline.orchestration.alerts.tick import log_of
from atlas_pipeline_tests.ops.runs import BRONZE, GOLD, dagster_at, materialize


@pytest.fixture
def instance(atlas_env: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster over Postgres, as Atlas runs it."""
    with dagster_at(atlas_env) as one:
        yield one


@pytest.fixture
def log(instance: dg.DagsterInstance) -> Iterator[Log]:
    """Its database."""
    with log_of(instance) as one:
        yield one


def read(log: Log, position: Position, limit: int = 1000) -> Page[Event]:
    return read_events(log, position, list(TYPES), limit)


def ids(page: Page[Event]) -> list[int]:
    return [event.id for event in page.entries]


def test_an_event_that_becomes_visible_late_is_read_once(instance: dg.DagsterInstance, log: Log) -> None:
    for _ in range(3):
        materialize(instance, BRONZE)
    everything = ids(read(log, Position(0)))
    late = everything[1]
    move = "UPDATE event_logs SET id = {} WHERE id = {}"
    with instance.event_log_storage.index_connection() as connection:
        connection.execute(text(move.format(-late, late)))
    before = read(log, Position(0))
    assert ids(before) == [number for number in everything if number != late]
    with instance.event_log_storage.index_connection() as connection:
        connection.execute(text(move.format(late, -late)))
    after = read(log, before.position)
    assert ids(after) == [late]
    assert not read(log, after.position).entries


def test_pages_go_through_the_log_once_and_the_newest_position_is_its_end(
    instance: dg.DagsterInstance, log: Log
) -> None:
    assert not read(log, newest(log, EVENTS)).entries
    materialize(instance, BRONZE, GOLD)
    assert not read(log, newest(log, EVENTS)).entries
    everything = ids(read(log, Position(0)))
    position, seen, more = Position(0), list[int](), True
    while more:
        page = read(log, position, limit=2)
        seen += ids(page)
        position, more = page.position, page.more
    assert seen == everything
    assert position.through == 0
    assert len(position.recent) <= OVERLAP


def test_a_log_that_ends_before_the_position_is_another_log(instance: dg.DagsterInstance, log: Log) -> None:
    materialize(instance, BRONZE)
    page = read(log, Position(10**9))
    assert not page.entries
    assert page.position == newest(log, EVENTS)


def test_only_the_kinds_that_were_asked_for_are_read(instance: dg.DagsterInstance, log: Log) -> None:
    materialize(instance, BRONZE)
    assert [event.kind for event in read_events(log, Position(0), ["run_succeeded"], 10).entries] == ["run_succeeded"]


@pytest.mark.parametrize("damaged", ["not json", "[]", "{}", '{"dagster_event": null}', "[" * 50_000, "1e999"])
def test_a_damaged_event_is_unknown_and_those_after_it_are_read(
    instance: dg.DagsterInstance, log: Log, damaged: str
) -> None:
    with instance.event_log_storage.index_connection() as connection:
        insert = "INSERT INTO event_logs (run_id, event, dagster_event_type) VALUES ('r', :event, 'STEP_FAILURE')"
        connection.execute(text(insert), {"event": damaged})
    materialize(instance, BRONZE)
    kinds = [event.kind for event in read_events(log, Position(0), ["step_failed", "run_succeeded"], 10).entries]
    assert kinds == ["unknown", "run_succeeded"]
