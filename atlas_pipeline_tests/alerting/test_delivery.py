"""What the outbox does when receivers are well, away, busy, or of no mind to take anything."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from atlas_pipeline.alerting.channels import Channel, http, make_channel
from atlas_pipeline.alerting.delivery import deliver
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline_tests.alerting.made import alert, message, put
from atlas_pipeline_tests.alerting.receivers import (
    OK,
    Receiver,
    Request,
    close_at_once,
    drip,
    free_port,
    raw_receiver,
    receiver,
    self_signed,
)

UI = "http://localhost:3000"


def hook(to: Receiver | str, name: str = "hook", scheme: str = "http") -> Channel:
    address = to if isinstance(to, str) else to.address
    return make_channel(name, SecretStr(f"webhook+{scheme}://{address}/in"), UI)


def keys(to: Receiver) -> list[str]:
    return [request.headers["Idempotency-Key"] for request in to.got]


def rows(connection: psycopg.Connection, columns: str, table: str = "alert_messages") -> list[Any]:
    found = connection.execute(f"SELECT {columns} FROM atlas.{table} ORDER BY 1").fetchall()
    connection.commit()
    return found


def time_passes(connection: psycopg.Connection) -> None:
    """Whatever waits for a moment has waited long enough."""
    connection.execute("UPDATE atlas.alert_messages SET next_at = clock_timestamp() WHERE next_at IS NOT NULL")
    connection.execute("UPDATE atlas.alert_channels SET open_until = clock_timestamp() WHERE open_until IS NOT NULL")
    connection.commit()


def test_what_is_put_in_is_delivered_in_order_and_once(warehouse: psycopg.Connection, warehouse_url: str) -> None:
    put(warehouse, [message(number) for number in range(20)])
    put(warehouse, [message(number) for number in range(10, 30)])
    with receiver() as to:
        assert len(deliver(warehouse_url, {"hook": hook(to)}, 30)) == 30
        assert deliver(warehouse_url, {"hook": hook(to)}, 30) == []
    assert keys(to) == [f"dedupe-{number}" for number in range(30)]
    assert not any(request.json["repeat"] for request in to.got)


@pytest.mark.slow
def test_thousands_are_delivered_in_order_by_two_that_deliver_at_once(
    warehouse: psycopg.Connection, warehouse_url: str
) -> None:
    put(warehouse, [message(number, channel) for number in range(1_000) for channel in ("a", "b")])
    with receiver() as a, receiver() as b:
        channels = {"a": hook(a, "a"), "b": hook(b, "b")}
        second = threading.Thread(target=deliver, args=(warehouse_url, channels, 300))
        second.start()
        deliver(warehouse_url, channels, 300)
        second.join()
    assert keys(a) == keys(b) == [f"dedupe-{number}" for number in range(1_000)]


@pytest.mark.slow
def test_a_receiver_that_hangs_holds_nobody_else(warehouse: psycopg.Connection, warehouse_url: str) -> None:
    let_go = threading.Event()

    def hang(request: Request) -> Any:
        let_go.wait()
        return OK

    put(warehouse, [message(1, "hung"), message(1, "well"), message(2, "hung")])
    with receiver(hang) as hung, receiver() as well:
        channels = {"hung": hook(hung, "hung"), "well": hook(well, "well")}
        for number in (1, 2):
            while len(well.got) < number or not hung.got:
                deliver(warehouse_url, channels, 0.5)
            put(warehouse, [message(number + 1, "well")])
        assert keys(well) == ["dedupe-1", "dedupe-2"]
        assert keys(hung) == ["dedupe-1"]
        [*_, sending] = rows(warehouse, "sending_at IS NOT NULL, dedupe", "alert_messages WHERE channel = 'hung'")
        assert sending == (True, "dedupe-1")
        let_go.set()
        for thread in threading.enumerate():
            if thread.name == "alerts to hung":
                thread.join()
        assert keys(hung) == ["dedupe-1", "dedupe-2"]
        assert not any(request.json["repeat"] for request in hung.got)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["answers 503", "refuses connections"])
def test_after_an_hour_away_all_is_delivered_in_order_and_none_twice(
    warehouse: psycopg.Connection, warehouse_url: str, how: str
) -> None:
    port = free_port()
    put(warehouse, [message(number) for number in range(40)])
    with receiver(lambda request: (503, {}), port=0 if how == "refuses connections" else port) as away:
        for _ in range(12):
            outcomes = [done.outcome for done in deliver(warehouse_url, {"hook": hook(f"127.0.0.1:{port}")}, 30)]
            assert outcomes == ["failed"]
            time_passes(warehouse)
    assert set(keys(away)) <= {"dedupe-0"}
    put(warehouse, [message(40)])
    with receiver(port=port) as to:
        deliver(warehouse_url, {"hook": hook(to)}, 30)
    assert keys(to) == [f"dedupe-{number}" for number in range(41)]
    assert not any(request.json["repeat"] for request in to.got)
    assert rows(warehouse, "channel", "alert_channels") == []


def test_a_channel_that_fails_five_times_is_left_alone_for_a_minute(
    warehouse: psycopg.Connection, warehouse_url: str
) -> None:
    put(warehouse, [message(1), message(2)])
    with receiver(lambda request: (500, {})) as to:
        for _ in range(5):
            deliver(warehouse_url, {"hook": hook(to)}, 30)
            warehouse.execute("UPDATE atlas.alert_messages SET next_at = clock_timestamp()")
            warehouse.commit()
        [(failures, alone)] = rows(warehouse, "failures, open_until - changed_at", "alert_channels")
        assert (failures, alone) == (5, timedelta(seconds=60))
        assert deliver(warehouse_url, {"hook": hook(to)}, 30) == []
        assert len(to.got) == 5
        time_passes(warehouse)
        to.answer = lambda request: OK
        deliver(warehouse_url, {"hook": hook(to)}, 30)
    assert keys(to)[5:] == ["dedupe-1", "dedupe-2"]


def test_pauses_grow_from_seconds_to_minutes(warehouse: psycopg.Connection, warehouse_url: str) -> None:
    put(warehouse, [message(1)])
    pauses = []
    for _ in range(9):
        before = datetime.now(UTC)
        deliver(warehouse_url, {"hook": hook(f"127.0.0.1:{free_port()}")}, 30)
        [(next_at,)] = rows(warehouse, "next_at")
        pauses.append((next_at - before).total_seconds())
        time_passes(warehouse)
    assert pauses[0] >= 5
    assert all(later > sooner for sooner, later in pairwise(pauses[:6]))
    assert all(200 < pause < 400 for pause in pauses[7:])


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("120", 120, 125),
        (lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True), 595, 605),
        ("999999999", 3600, 3605),
        (lambda: format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True), 0, 6),
        ("0", 0.5, 6),
        ("-1", 4, 10),
        ("soon", 4, 10),
    ],
    ids=["seconds", "date", "too long", "past date", "zero", "negative", "nonsense"],
)
def test_a_receiver_that_is_busy_is_left_alone_for_as_long_as_it_asks(
    warehouse: psycopg.Connection, warehouse_url: str, header: Any, least: float, most: float
) -> None:
    put(warehouse, [message(1), message(2)])
    with receiver(lambda request: (429, {"Retry-After": header if isinstance(header, str) else header()})) as to:
        [done] = deliver(warehouse_url, {"hook": hook(to)}, 30)
        assert (done.outcome, done.problem) == ("busy", "HTTP status 429")
        [(pause,), *_] = rows(warehouse, "next_at - clock_timestamp()")
        assert least - 1 < pause.total_seconds() < most
        time_passes(warehouse)
        to.answer = lambda request: OK
        deliver(warehouse_url, {"hook": hook(to)}, 30)
    assert keys(to) == ["dedupe-1", "dedupe-1", "dedupe-2"]
    assert not to.got[1].json["repeat"]


def test_what_is_refused_is_given_up_and_the_next_goes_on(warehouse: psycopg.Connection, warehouse_url: str) -> None:
    put(warehouse, [message(number) for number in range(3)])
    with receiver(lambda request: (422, {}) if request.headers["Idempotency-Key"] == "dedupe-1" else OK) as to:
        outcomes = [done.outcome for done in deliver(warehouse_url, {"hook": hook(to)}, 30)]
    assert outcomes == ["delivered", "refused", "delivered"]
    assert rows(warehouse, "dedupe, given_up_at IS NOT NULL, delivered_at IS NOT NULL, problem") == [
        ("dedupe-0", False, True, None),
        ("dedupe-1", True, False, "HTTP status 422"),
        ("dedupe-2", False, True, None),
    ]


def test_messages_of_a_channel_that_is_gone_are_kept_for_a_day(
    warehouse: psycopg.Connection, warehouse_url: str
) -> None:
    put(warehouse, [message(1, "gone"), message(2, "gone")])
    warehouse.execute("UPDATE atlas.alert_messages SET made_at = now() - interval '25 hours' WHERE dedupe = 'dedupe-1'")
    warehouse.commit()
    assert deliver(warehouse_url, {}, 30) == []
    assert rows(warehouse, "dedupe, given_up_at IS NOT NULL, problem") == [
        ("dedupe-1", True, "its channel is configured no more"),
        ("dedupe-2", False, None),
    ]


@contextmanager
def closing(folder: Path) -> Iterator[Channel]:
    with raw_receiver(close_at_once) as address:
        yield hook(address)


@contextmanager
def dripping(folder: Path) -> Iterator[Channel]:
    with raw_receiver(drip) as address:
        yield hook(address)


@contextmanager
def untrusted(folder: Path) -> Iterator[Channel]:
    with receiver(tls=self_signed(folder, "localhost")[1]) as to:
        yield hook(f"localhost:{to.port}", scheme="https")


@contextmanager
def no_tls(folder: Path) -> Iterator[Channel]:
    with receiver() as to:
        yield hook(to, scheme="https")


@contextmanager
def nowhere(folder: Path) -> Iterator[Channel]:
    yield hook("nobody.invalid:80")


@contextmanager
def moved(folder: Path) -> Iterator[Channel]:
    with receiver() as elsewhere, receiver(lambda request: (307, {"Location": f"http://{elsewhere.address}/"})) as to:
        yield hook(f"user:password@{to.address}")
        assert elsewhere.got == []


@pytest.mark.parametrize(
    ("kind", "problem", "unsure"),
    [
        (closing, "the connection was closed without an answer|no answer: connection reset by peer", True),
        (dripping, "no answer within 1 s", True),
        (untrusted, "cannot connect: the certificate is not trusted", False),
        (no_tls, "cannot connect: TLS: wrong version number", False),
        (nowhere, "cannot connect: the name of the host is not known", False),
        (moved, "HTTP status 307", False),
    ],
)
def test_a_message_stays_whatever_its_receiver_does(
    warehouse: psycopg.Connection,
    warehouse_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Callable[[Path], Any],
    problem: str,
    unsure: bool,
) -> None:
    monkeypatch.setattr(http, "CALL_SECONDS", 1)
    put(warehouse, [message(1)])
    with kind(tmp_path) as channel:
        [done] = deliver(warehouse_url, {"hook": channel}, 60)
    assert done.outcome == "failed"
    assert re.fullmatch(problem, done.problem or "")
    assert rows(warehouse, "problem, maybe_sent, sending_at, next_at > clock_timestamp()") == [
        (done.problem, unsure, None, True)
    ]
    time_passes(warehouse)
    with receiver() as to:
        deliver(warehouse_url, {"hook": hook(to)}, 30)
    assert [request.json["repeat"] for request in to.got] == [unsure]


def test_a_channel_with_a_fault_of_its_own_loses_nothing(warehouse: psycopg.Connection, warehouse_url: str) -> None:
    class Faulty:
        def send(self, document: Any, repeat: bool) -> None:
            raise KeyError("a secret")

    put(warehouse, [message(1)])
    [done] = deliver(warehouse_url, {"hook": Faulty()}, 30)
    assert (done.outcome, done.problem) == ("failed", "the channel failed (KeyError)")


@pytest.mark.slow
def test_a_sender_killed_between_sending_and_its_commit_repeats_one_message_and_marks_it(
    warehouse: psycopg.Connection, warehouse_url: str
) -> None:
    put(warehouse, [message(number) for number in range(5)])
    code = (
        "import sys\n"
        "from pydantic import SecretStr\n"
        "from atlas_pipeline.alerting.channels import make_channel\n"
        "from atlas_pipeline.alerting.delivery import deliver\n"
        "url, hook = sys.argv[1:]\n"
        "deliver(url, {'hook': make_channel('hook', SecretStr(hook), '')}, 60)\n"
    )

    def kill_at_third(request: Request) -> Any:
        if request.headers["Idempotency-Key"] == "dedupe-2":
            os.kill(sender.pid, signal.SIGKILL)
            sender.wait()
        return OK

    with receiver(kill_at_third) as to:
        sender = subprocess.Popen([sys.executable, "-c", code, warehouse_url, f"webhook+http://{to.address}/in"])
        assert sender.wait() == -signal.SIGKILL
        to.answer = lambda request: OK
        _await_locks(warehouse_url)
        deliver(warehouse_url, {"hook": hook(to)}, 30)
    assert keys(to) == ["dedupe-0", "dedupe-1", "dedupe-2", "dedupe-2", "dedupe-3", "dedupe-4"]
    assert [request.json["repeat"] for request in to.got] == [False, False, False, True, False, False]
    assert "(may have been sent before)" in to.got[3].json["text"]


def _await_locks(url: str) -> None:
    """Wait until Postgres has noticed that a client is gone."""
    with connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_advisory_lock(classid::int, CASE WHEN objid::bigint > 2147483647 "
            "THEN (objid::bigint - 4294967296)::int ELSE objid::bigint::int END) FROM pg_locks "
            "WHERE locktype = 'advisory' AND objsubid = 2"
        )


def test_unicode_and_very_long_messages_arrive_whole(warehouse: psycopg.Connection, warehouse_url: str) -> None:
    problem = "Größe 超過 🚨 <b>&amp;\u202e" + "x" * 100_000 + "\x00\ud800"
    put(warehouse, [message("é☃", alerts=(alert(subject="silver/größe 🚨\n", problem=problem),))])
    with receiver() as to:
        [done] = deliver(warehouse_url, {"hook": hook(to)}, 30)
    assert done.outcome == "delivered"
    assert to.got[0].json["alerts"][0]["problem"] == "Größe 超過 🚨 <b>&amp;" + "x" * 100_000
    assert to.got[0].json["title"] == "CRITICAL: silver/größe 🚨: check failed"
