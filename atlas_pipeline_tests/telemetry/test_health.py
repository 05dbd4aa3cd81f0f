"""Components are asked side by side: one that hangs is named, holds up no other, and piles up no threads."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator

import psutil
import pytest

from atlas_pipeline.telemetry import health
from atlas_pipeline.telemetry.health import Component, Health
from atlas_pipeline.telemetry.parts.asking import Away, Database
from atlas_pipeline.telemetry.parts.tally import Tally
from atlas_pipeline.warehouse.embedded import SUPERUSER
from atlas_pipeline_tests.servers import own_postgres


@contextlib.contextmanager
def mute_server() -> Iterator[int]:
    """The port of a server that accepts and never says anything."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        yield server.getsockname()[1]


def problems(asked: Health) -> dict[str, str | None]:
    return {one.name: one.problem for one in asked.examine()}


def test_each_component_says_what_is_wrong_with_it() -> None:
    def broken() -> str | None:
        raise RuntimeError("postgresql://user:secret@host/db")

    asked = Health(
        [Component("good", lambda: None), Component("bad", lambda: "it is bad"), Component("broken", broken)]
    )
    assert problems(asked) == {"good": None, "bad": "it is bad", "broken": "it cannot be asked (RuntimeError)"}


def test_one_that_hangs_holds_up_no_other_and_is_not_asked_again() -> None:
    let_go, calls = threading.Event(), []

    def hangs() -> str | None:
        calls.append(1)
        let_go.wait(60)
        return None

    asked = Health([Component("hangs", hangs, 0.2), Component("good", lambda: None)])
    for _ in range(3):
        assert problems(asked) == {"hangs": "no answer within 0.2 s", "good": None}
    assert len(calls) == 1
    let_go.set()
    [stuck] = [one for one in threading.enumerate() if one.name == "health hangs"]
    stuck.join(60)
    assert problems(asked)["hangs"] is None


@pytest.mark.slow
def test_a_database_that_accepts_and_never_answers_is_away_within_the_limit() -> None:
    tally = Tally()
    with mute_server() as port:
        hanging = Database("dagster", f"postgresql://u:canary-password@127.0.0.1:{port}/d", tally)
        asked = Health([Component("database", lambda: hanging.rows("SELECT 1") and None), Component("x", lambda: None)])
        [verdict, other] = asked.examine()
        assert other.problem is None
        assert verdict.problem
        with pytest.raises(Away, match=r"no answer within 2 s") as caught:
            hanging.rows("SELECT 1")
    assert "canary" not in str(caught.value)
    errors = {one.labels["error"]: one.value for one in tally.samples() if one.family == "atlas_db_errors_total"}
    assert errors["timeout"] >= 1


@pytest.mark.slow
def test_a_frozen_postgres_is_away_within_the_limit_and_is_asked_again_later() -> None:
    tally = Tally()
    with own_postgres() as server:
        database = Database("warehouse", server.url(SUPERUSER, SUPERUSER), tally, seconds=1)
        assert database.rows("SELECT 1") == [(1,)]
        frozen = list(server._processes().values())
        try:
            for process in frozen:
                os.kill(process.pid, signal.SIGSTOP)
            asked = Health([Component("warehouse", lambda: database.rows("SELECT 1") and None)])
            for _ in range(2):
                [verdict] = asked.examine()
                assert verdict.problem
        finally:
            for process in frozen:
                with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                    os.kill(process.pid, signal.SIGCONT)
        for thread in [one for one in threading.enumerate() if one.name.startswith("health ")]:
            thread.join(30)
        assert database.rows("SELECT 2") == [(2,)]


@pytest.mark.slow
def test_a_question_that_takes_too_long_is_broken_off_and_the_next_one_answered(postgres_dsn: str) -> None:
    database = Database("warehouse", postgres_dsn, Tally(), seconds=0.3)
    with pytest.raises(Away, match=r"no answer within 0.3 s"):
        database.rows("SELECT pg_sleep(30)")
    assert database.rows("SELECT 1") == [(1,)]


def test_a_refused_statement_says_its_kind_only_and_keeps_the_connection(postgres_dsn: str) -> None:
    database = Database("warehouse", postgres_dsn, Tally())
    with pytest.raises(Away) as caught:
        database.rows("SELECT 'canary'::int")
    assert str(caught.value) == "a question was refused (InvalidTextRepresentation)"
    with pytest.raises(Away, match="ReadOnlySqlTransaction"):
        database.rows("CREATE TABLE t (i int)")
    assert database.rows("SELECT 1") == [(1,)]


def test_daemons_are_ill_when_silent_for_a_minute_or_never_alive() -> None:
    assert health.silent_daemons({"SENSOR": 59.0, "ASSET": 0.0, "OTHER": 1e9}, ["SENSOR", "ASSET"]) is None
    said = health.silent_daemons({"SENSOR": 61.0}, ["SENSOR", "ASSET"])
    assert said == "never alive: asset; no sign of life: sensor for 61 s"


@pytest.mark.parametrize(
    ("length", "oldest", "going_on", "last_start", "stuck"),
    [
        (0, 0.0, 0, None, False),
        (3, 599.0, 0, None, False),
        (3, 601.0, 0, None, True),
        (3, 601.0, 3, 700.0, True),
        (3, 601.0, 4, 700.0, False),
        (3, 601.0, 1, 10.0, False),
    ],
)
def test_a_queue_is_stuck_when_there_is_room_and_nothing_begins(
    length: int, oldest: float, going_on: int, last_start: float | None, stuck: bool
) -> None:
    assert bool(health.stuck_queue(length, oldest, going_on, 4, last_start)) is stuck


def test_code_locations_are_well_when_there_are_some_and_all_are_loaded() -> None:
    assert health.missing_locations({"atlas": True}) is None
    assert health.missing_locations({"atlas": True, "b": False, "a": False}) == "not loaded: a, b"
    assert health.missing_locations({}) == "there is none"


def test_an_exporter_lags_when_it_is_five_minutes_behind() -> None:
    assert health.lagging(299) is None
    assert health.lagging(301) == "301 s behind the event log"
