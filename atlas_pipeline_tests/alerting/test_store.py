"""What alerting remembers comes back as it was, is written by one at a time, and holds no more than it must."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from atlas_pipeline.alerting import store
from atlas_pipeline.alerting.event import Event
from atlas_pipeline.alerting.state import Hour, RunSoFar, State
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline_tests.alerting.made import ALERT, AT, alert, message, put

EVENT = Event(
    7, "check", AT, run="r", assets=("silver/orders",), check="amount_valid", score=0.5, facts={"measured": 3}
)


def full_state() -> State:
    silent = alert(subject="job x", silenced_by=3, told_at=AT, told_to=("hook", "mail"), told_severity="warning")
    ended = alert(subject="silver/é☃", status="resolved", resolved_at=AT, reason="asset removed", job="j")
    return State(
        alerts={each.key: each for each in (ALERT, silent, ended)},
        runs={"r": RunSoFar(AT, (EVENT, replace(EVENT, id=8)), awaited=True)},
        hours={("hook", "critical"): Hour(AT, 3, {"check-failed": 2})},
        scores={"silver/orders": 0.75},
        clock=AT,
    )


def test_all_that_is_remembered_comes_back(warehouse: psycopg.Connection) -> None:
    before = store.load(warehouse)
    assert (before.state, before.position, before.recent) == (State(), None, ())
    store.save(warehouse, before, full_state(), 12, [14, 17], [])
    loaded = store.load(warehouse)
    assert (loaded.state, loaded.position, loaded.recent) == (full_state(), 12, (14, 17))


def test_only_alerts_that_changed_are_written(warehouse: psycopg.Connection) -> None:
    many = {each.key: each for each in (alert(subject=f"silver/t{number}") for number in range(50))}
    store.save(warehouse, store.load(warehouse), State(alerts=many), 1, (), [])
    warehouse.commit()
    [first] = warehouse.execute("SELECT DISTINCT xmin FROM atlas.alerts").fetchall()
    loaded = store.load(warehouse)
    changed = dict(loaded.state.alerts)
    changed[("check-failed", "silver/t7")] = alert(subject="silver/t7", count=9)
    del changed[("check-failed", "silver/t8")]
    store.save(warehouse, loaded, State(alerts=changed), 2, (), [])
    written = warehouse.execute("SELECT subject FROM atlas.alerts WHERE xmin <> %s", first).fetchall()
    assert written == [("silver/t7",)]
    assert {each.key: each for each in store.alerts_of(warehouse)} == changed


@pytest.mark.slow
def test_ten_thousand_alerts_come_back(warehouse: psycopg.Connection) -> None:
    many = {each.key: each for each in (alert(subject=f"silver/t{number}") for number in range(10_000))}
    store.save(warehouse, store.load(warehouse), State(alerts=many), 1, (), [])
    loaded = store.load(warehouse)
    assert loaded.state.alerts == many
    later = {key: replace(each, count=each.count + 1) for key, each in many.items()}
    store.save(warehouse, loaded, State(alerts=later), 2, (), [])
    assert store.load(warehouse).state.alerts == later


def test_a_second_reader_waits_and_then_sees_what_the_first_saved(
    warehouse: psycopg.Connection, warehouse_url: str
) -> None:
    first = store.load(warehouse)
    seen: list[store.Remembered] = []

    def read() -> None:
        with connect(warehouse_url) as connection:
            pid.append(connection.info.backend_pid)
            started.set()
            seen.append(store.load(connection))

    pid: list[int] = []
    started = threading.Event()
    second = threading.Thread(target=read)
    second.start()
    started.wait()
    with connect(warehouse_url, autocommit=True) as watcher:
        while watcher.execute("SELECT pg_blocking_pids(%s) <> '{}'", pid).fetchone() != (True,):
            pass
    store.save(warehouse, first, full_state(), 5, (), [message(1)])
    warehouse.commit()
    second.join()
    assert (seen[0].position, seen[0].state) == (5, full_state())


def test_a_reader_that_was_overtaken_saves_nothing(warehouse: psycopg.Connection, warehouse_url: str) -> None:
    with connect(warehouse_url, autocommit=True) as other:
        late = store.load(other)
        store.save(warehouse, store.load(warehouse), State(), 5, (), [message(1)])
        warehouse.commit()
        with pytest.raises(store.Overtaken):
            store.save(other, late, full_state(), 4, (), [message(2)])
    assert store.load(warehouse).position == 5
    assert [each.id for each in store.waiting_messages(warehouse)] == [1]
    assert store.alerts_of(warehouse) == []


def test_a_reader_that_holds_on_is_not_waited_for_without_end(
    warehouse: psycopg.Connection, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_LOCK_WAIT", "50ms")
    store.load(warehouse)
    with connect(warehouse_url) as other, pytest.raises(store.Overtaken):
        store.load(other)


def test_a_message_that_is_there_is_not_put_in_again_even_after_it_was_delivered(
    warehouse: psycopg.Connection,
) -> None:
    put(warehouse, [message(1), message(1), message(1, "mail"), message(2)])
    warehouse.execute("UPDATE atlas.alert_messages SET delivered_at = now() WHERE dedupe = 'dedupe-1'")
    put(warehouse, [message(2), message(1), message(3)])
    found = warehouse.execute("SELECT channel, dedupe FROM atlas.alert_messages ORDER BY id").fetchall()
    assert found == [("hook", "dedupe-1"), ("mail", "dedupe-1"), ("hook", "dedupe-2"), ("hook", "dedupe-3")]
    assert [each.kind for each in store.waiting_messages(warehouse)] == ["firing", "firing"]


def test_messages_go_thirty_days_after_they_are_over_and_never_before(warehouse: psycopg.Connection) -> None:
    put(warehouse, [message(number) for number in range(4)])
    for number, change in enumerate(("delivered_at = now() - interval '31 days'", "delivered_at = now()")):
        warehouse.execute(f"UPDATE atlas.alert_messages SET {change} WHERE dedupe = 'dedupe-{number}'")
    warehouse.execute("UPDATE atlas.alert_messages SET made_at = now() - interval '90 days'")
    put(warehouse, [])
    found = warehouse.execute("SELECT dedupe FROM atlas.alert_messages ORDER BY id").fetchall()
    assert found == [("dedupe-1",), ("dedupe-2",), ("dedupe-3",)]


def test_text_that_postgres_would_refuse_stops_nothing(warehouse: psycopg.Connection) -> None:
    bad = alert(subject="silver/\x00t\ud800", problem="a\x00b\udfff", facts={"measured": float("nan"), "\x00": "\x00"})
    store.save(warehouse, store.load(warehouse), State({bad.key: bad}), 1, (), [message(alerts=(bad,))])
    [loaded] = store.load(warehouse).state.alerts.values()
    assert (loaded.subject, loaded.problem) == ("silver/t", "ab")
    assert len(store.waiting_messages(warehouse)) == 1


def test_silences_hold_until_they_end(warehouse: psycopg.Connection) -> None:
    now = datetime.now(UTC)
    long = store.add_silence(warehouse, "silver/*", now + timedelta(hours=2), "moving house", "me")
    store.add_silence(warehouse, "job x", now + timedelta(minutes=1), "short", "me")
    assert [each.selection for each in store.silences_at(warehouse, now)] == ["silver/*", "job x"]
    assert [each.selection for each in store.silences_at(warehouse, now + timedelta(hours=1))] == ["silver/*"]
    assert store.end_silence(warehouse, long)
    assert not store.end_silence(warehouse, long)
    assert [each.why for each in store.silences_at(warehouse, datetime.now(UTC))] == ["short"]
