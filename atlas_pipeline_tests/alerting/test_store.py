"""What alerting remembers comes back as it was, is written by one at a time, and holds no more than it must."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb

from atlas_pipeline.alerting import store
from atlas_pipeline.alerting.state import Hour, RunSoFar, State
from atlas_pipeline.event_log.event import Event
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline_tests.alerting.made import ALERT, AT, alert, message, put

EVENT = Event(
    7, "check", AT, run="r", assets=("silver/orders",), check="amount_valid", score=0.5, facts={"measured": 3}
)

OLD_EVENT = {
    **{"id": 7, "kind": "check", "run": "r", "root_run": "root", "will_retry": False, "may_retry": True, "job": None},
    **{"step": None, "assets": ["silver/orders"], "check": "amount_valid", "passed": False, "level": "error"},
    **{"freshness": None, "score": None, "problem": "3 rows", "facts": {"measured": 3}},
}
OLD_ALERT = {
    **{"policy": "check-failed", "subject": "silver/orders: amount_valid", "condition": "check_failed"},
    **{"severity": "critical", "level": "error", "team": "default", "status": "firing", "count": 3, "asset": None},
    **{"found_at": "2026-05-04T12:30:00Z", "seen_at": "2026-05-04T12:30:00Z", "job": None, "run": "6d1c"},
    **{"problem": "", "link": "", "facts": {}, "runbook": None, "owner": None, "amount": None, "conversation": "abc"},
    **{"group": "", "told_at": "2026-05-04T12:30:00Z", "told_to": ["hook"], "counted_to": ["mail"]},
    **{"told_severity": "critical", "held_by": "silver/orders", "silenced_by": None, "resolved_at": None, "reason": ""},
}
"""An event and an alert as version 0.1 stores them."""


def full_state() -> State:
    silent = alert(
        subject="job x", silenced_by=3, notified_at=AT, notified=("hook", "mail"), notified_severity="warning"
    )
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


def test_what_the_first_release_remembered_is_read(warehouse: psycopg.Connection) -> None:
    at, document = AT.isoformat(), {**OLD_ALERT, "since": AT.isoformat()}
    event = {**OLD_EVENT, "at": at}
    memory = {"runs": {"r": {"at": at, "failures": [event], "awaited": True}}, "hours": [], "scores": {}, "clock": at}
    warehouse.execute(
        "INSERT INTO atlas.alert_cursor (position, recent, memory, saves, moved_at) VALUES (5, '{7}', %s, 3, now())",
        [Jsonb(memory)],
    )
    warehouse.execute(
        "INSERT INTO atlas.alerts (policy, subject, status, severity, since, document) "
        "VALUES ('check-failed', 'silver/orders: amount_valid', 'firing', 'critical', %s, %s)",
        [AT, Jsonb(document)],
    )
    loaded = store.load(warehouse)
    assert (loaded.position, loaded.recent, loaded.saves) == (5, (7,), 3)
    [run] = loaded.state.runs.values()
    failed = Event(7, "check", AT, "r", "root", may_retry=True, assets=("silver/orders",), check="amount_valid")
    assert run.failures == (replace(failed, passed=False, problem="3 rows", facts={"measured": 3}),)
    [one] = loaded.state.alerts.values()
    assert (one.thread_key, one.notified, one.summarized) == ("abc", ("hook",), ("mail",))
    assert (one.notified_at, one.notified_severity, one.inhibited_by) == (AT, "critical", "silver/orders")
    store.save(warehouse, loaded, replace(loaded.state, alerts={one.key: replace(one, count=4)}), 6, (), [])
    [(written,)] = warehouse.execute("SELECT document FROM atlas.alerts").fetchall()
    assert written == {**document, "count": 4} | {name: written[name] for name in ("since", "found_at", "seen_at")}


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
