"""What alerting remembers comes back as it was, is written by one at a time, and holds no more than it must."""

from dataclasses import replace

import psycopg

from atlas_pipeline.alerting import store
from atlas_pipeline.alerting.event import Event
from atlas_pipeline.alerting.state import Hour, RunSoFar, State
from atlas_pipeline_tests.alerting.made import ALERT, AT, alert

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
