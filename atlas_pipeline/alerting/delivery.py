"""Deliver the outbox: in order for each channel, at least once, retried until accepted.

Belongs here: when a message is sent, tried again or given up, and every statement that says so. Does not belong here:
how it is sent (`channels/`), and how it got into the outbox (`store.py`).

Each channel with due messages has its own thread and session, which holds the channel's advisory lock. An attempt is
committed before it is made: a message with `sending_at` under a free lock is one whose sender was killed.
"""

import logging
import random
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg import sql

from atlas_pipeline.alerting.channels.channel import Busy, Channel, Refused, Unreachable
from atlas_pipeline.alerting.state import Document
from atlas_pipeline.warehouse.connect import WarehouseError, connect

_log = logging.getLogger(__name__)

_LOCK = 0x61746E63
"""First half of the locks' keys; the second is a hash of the channel's name."""
_SHORTEST, _LONGEST = 5.0, 300.0
_SHORTEST_BUSY = 1.0
_FAILURES = 5
_LEFT_ALONE = "60 seconds"
_DUE = """
SELECT name FROM unnest(%s::text[]) AS name CROSS JOIN LATERAL (
    SELECT next_at FROM atlas.alert_messages
    WHERE channel = name AND delivered_at IS NULL AND given_up_at IS NULL ORDER BY id LIMIT 1
) head LEFT JOIN atlas.alert_channels ON channel = name
WHERE coalesce(next_at <= clock_timestamp(), true) AND coalesce(open_until <= clock_timestamp(), true)
"""
_CLAIM = """
WITH head AS (
    SELECT id, next_at, sending_at FROM atlas.alert_messages
    WHERE channel = %(channel)s AND delivered_at IS NULL AND given_up_at IS NULL ORDER BY id LIMIT 1
)
UPDATE atlas.alert_messages m SET attempts = attempts + 1, sending_at = clock_timestamp(),
    maybe_sent = maybe_sent OR head.sending_at IS NOT NULL
FROM head WHERE m.id = head.id AND coalesce(head.next_at <= clock_timestamp(), true) AND NOT EXISTS (
    SELECT FROM atlas.alert_channels c WHERE c.channel = %(channel)s AND c.open_until > clock_timestamp()
)
RETURNING m.id, m.document, m.attempts, m.maybe_sent
"""

Outcome = Literal["delivered", "failed", "busy", "refused"]


@dataclass(frozen=True)
class Delivery:
    """The result of one attempt. `problem` is null for a delivered message; it holds no URL."""

    message: int
    channel: str
    outcome: Outcome
    problem: str | None = None


@dataclass(frozen=True)
class _Claimed:
    id: int
    document: Document
    attempts: int
    repeat: bool


def deliver(url: str, channels: Mapping[str, Channel], wait_seconds: float) -> list[Delivery]:
    """Send what is due, each channel in its own thread.

    Threads that take longer than `wait_seconds` go on by themselves, and no other is held up: the next call passes
    their channels over.

    Args:
        url: of the warehouse.
        channels: by name; messages to others are given up after a day.
        wait_seconds: timeout.

    Returns:
        The attempts that ended in time.

    Raises:
        WarehouseError: the warehouse cannot be reached.
    """
    until = time.monotonic() + wait_seconds
    with connect(url, autocommit=True) as connection:
        _give_up_removed(connection, channels)
        due = [row[0] for row in connection.execute(_DUE, [list(channels)])]
    deliveries: list[Delivery] = []
    threads = [
        threading.Thread(
            target=_drain, args=(url, name, channels[name], deliveries), name=f"alerts to {name}", daemon=True
        )
        for name in due
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0))
    return list(deliveries)


def _give_up_removed(connection: psycopg.Connection, channels: Collection[str]) -> None:
    connection.execute(
        "UPDATE atlas.alert_messages SET given_up_at = clock_timestamp(), sending_at = NULL, "
        "problem = 'its channel is configured no more' WHERE delivered_at IS NULL AND given_up_at IS NULL "
        "AND channel <> ALL (%s) AND made_at < clock_timestamp() - interval '1 day'",
        [list(channels)],
    )


def _drain(url: str, name: str, channel: Channel, deliveries: list[Delivery]) -> None:
    """Send what is due on one channel, one after the other, unless another thread or process does."""
    try:
        with connect(url, autocommit=True) as connection:
            connection.execute("SET idle_session_timeout = 0")
            row = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_LOCK, name]).fetchone()
            while row and row[0] and (claimed := _claim(connection, name)):
                deliveries.append(_attempt(connection, name, channel, claimed))
    except (WarehouseError, psycopg.Error) as error:
        _log.warning("delivery of alerts to %s ended early: %s", name, type(error).__name__)


def _claim(connection: psycopg.Connection, name: str) -> _Claimed | None:
    row = connection.execute(_CLAIM, {"channel": name}).fetchone()
    return _Claimed(*row) if row else None


def _attempt(connection: psycopg.Connection, name: str, channel: Channel, claimed: _Claimed) -> Delivery:
    try:
        channel.send(claimed.document, claimed.repeat)
    except Busy as error:
        seconds = _pause(claimed.attempts) if error.seconds is None else max(error.seconds, _SHORTEST_BUSY)
        _postpone(connection, claimed, seconds, str(error), unsure=False)
        return Delivery(claimed.id, name, "busy", str(error))
    except Refused as error:
        _end(connection, name, claimed, "given_up_at", str(error))
        return Delivery(claimed.id, name, "refused", str(error))
    except Unreachable as error:
        problem, unsure = str(error), error.unsure
    except Exception as error:  # noqa: BLE001 - whatever it is, the message has to stay, and the next one after it
        problem, unsure = f"the channel failed ({type(error).__name__})", True
    else:
        _end(connection, name, claimed, "delivered_at", None)
        return Delivery(claimed.id, name, "delivered")
    _postpone(connection, claimed, _pause(claimed.attempts), problem, unsure)
    _count_failure(connection, name, problem)
    return Delivery(claimed.id, name, "failed", problem)


def _pause(attempts: int) -> float:
    """Seconds until the next try: doubled each time, with jitter."""
    pause = _SHORTEST * 2 ** min(attempts - 1, 10) * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
    return min(max(pause, _SHORTEST), _LONGEST)


def _postpone(connection: psycopg.Connection, claimed: _Claimed, seconds: float, problem: str, unsure: bool) -> None:
    connection.execute(
        "UPDATE atlas.alert_messages SET sending_at = NULL, next_at = clock_timestamp() + make_interval(secs => %s), "
        "problem = %s, maybe_sent = maybe_sent OR %s WHERE id = %s",
        [seconds, problem, unsure, claimed.id],
    )


def _end(
    connection: psycopg.Connection,
    name: str,
    claimed: _Claimed,
    column: Literal["delivered_at", "given_up_at"],
    problem: str | None,
) -> None:
    """Mark a message as delivered or given up after a final response, and its channel as healthy."""
    with connection.transaction():
        connection.execute(
            sql.SQL(
                "UPDATE atlas.alert_messages SET sending_at = NULL, next_at = NULL, problem = %s, "
                "{} = clock_timestamp() WHERE id = %s"
            ).format(sql.Identifier(column)),
            [problem, claimed.id],
        )
        connection.execute("DELETE FROM atlas.alert_channels WHERE channel = %s", [name])


def _count_failure(connection: psycopg.Connection, name: str, problem: str) -> None:
    connection.execute(
        "INSERT INTO atlas.alert_channels AS c (channel, failures, problem, changed_at) "
        "VALUES (%s, 1, %s, now()) ON CONFLICT (channel) DO UPDATE SET failures = c.failures + 1, "
        "problem = excluded.problem, changed_at = excluded.changed_at, open_until = CASE WHEN c.failures + 1 >= %s "
        "THEN now() + %s::interval END",
        [name, problem, _FAILURES, _LEFT_ALONE],
    )
