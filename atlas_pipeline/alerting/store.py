"""The state of alerting in the warehouse: cursor, alerts, silences, and the outbox of messages.

Belongs here: every statement on those tables, other than sending's. Does not belong here: how alerts change
(`fold.py`), and sending (`delivery.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

import psycopg
from psycopg.types.json import Jsonb
from pydantic import ConfigDict, TypeAdapter

from atlas_pipeline.alerting.document import cleaned, document_of, readable
from atlas_pipeline.alerting.policy import Severity
from atlas_pipeline.alerting.state import Alert, Hour, Key, Message, RunSoFar, Silence, State

_LOCK = 0x61746E61
_LOCK_WAIT = "10s"
_KEPT = "30 days"
_DELETE_OLD = """
WITH deleted AS (
    DELETE FROM atlas.alert_messages WHERE coalesce(delivered_at, given_up_at) < now() - %s::interval
    RETURNING channel, delivered_at
)
INSERT INTO atlas.alert_messages_deleted AS known (channel, delivered, given_up)
SELECT channel, count(delivered_at), count(*) - count(delivered_at) FROM deleted GROUP BY channel
ON CONFLICT (channel) DO UPDATE
SET delivered = known.delivered + excluded.delivered, given_up = known.given_up + excluded.given_up
"""


class Overtaken(Exception):
    """Another process evaluates alerts, or saved since this one loaded; nothing was saved."""


@dataclass(frozen=True)
class Remembered:
    """The saved state. `position` is null before the first time; `recent` are ids after it that were read."""

    state: State = field(default_factory=State)
    position: int | None = None
    recent: tuple[int, ...] = ()
    saves: int = 0


@dataclass(frozen=True)
class Waiting:
    """A message of the outbox that was not delivered; `given_up` says that it never will be."""

    id: int
    channel: str
    kind: str
    severity: str
    made_at: datetime
    attempts: int
    next_at: datetime | None
    given_up: bool
    problem: str | None


@dataclass(frozen=True)
class _Memory:
    """The state other than alerts, as JSON."""

    runs: dict[str, RunSoFar]
    hours: list[tuple[str, Severity, Hour]]
    scores: dict[str, float]
    clock: datetime | None


_STORED_NAMES = {
    "thread_key": "conversation",
    "notified_at": "told_at",
    "notified": "told_to",
    "summarized": "counted_to",
    "notified_severity": "told_severity",
    "inhibited_by": "held_by",
}
"""Fields of an alert whose names in `atlas.alerts.document` are those of the first release."""


@cache
def _alerts() -> TypeAdapter[list[Alert]]:
    return TypeAdapter(list[Alert], config=ConfigDict(alias_generator=lambda name: _STORED_NAMES.get(name, name)))


@cache
def _memory() -> TypeAdapter[_Memory]:
    return TypeAdapter(_Memory)


def load(connection: psycopg.Connection) -> Remembered:
    """Load the saved state with an exclusive lock: another `load` waits until the transaction ends.

    Raises Overtaken when another process holds that right for 10 s.
    """
    try:
        connection.execute("SELECT set_config('lock_timeout', %s, true)", [_LOCK_WAIT])
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        connection.execute("SELECT set_config('lock_timeout', '0', true)")
    except psycopg.errors.LockNotAvailable:
        raise Overtaken("another process has been reading the event log for alerts for 10 s") from None
    row = connection.execute("SELECT position, recent, memory, saves FROM atlas.alert_cursor").fetchone()
    alerts = {alert.key: alert for alert in alerts_of(connection)}
    if row is None:
        return Remembered(State(alerts=alerts))
    memory = _memory().validate_python(row[2])
    hours = {(channel, severity): hour for channel, severity, hour in memory.hours}
    state = State(alerts, memory.runs, hours, memory.scores, memory.clock)
    return Remembered(state, row[0], tuple(row[1]), row[3])


def save(
    connection: psycopg.Connection,
    before: Remembered,
    after: State,
    position: int,
    recent: Sequence[int],
    messages: Sequence[Message],
) -> None:
    """Save the new state and put messages into the outbox, in one transaction.

    Delivered messages are deleted after 30 days.

    Args:
        connection: the warehouse.
        before: what `load` returned in this transaction.
        after: the new state.
        position: all ids of the event log up to it were read.
        recent: ids after it that were read too.
        messages: for the outbox. One whose channel and dedup key are there, delivered or not, is not put there again.

    Raises:
        Overtaken: another process saved since `before` was loaded.
    """
    with connection.transaction():
        _move(connection, before, after, position, recent)
        _write(connection, before.state.alerts, after.alerts)
        _put(connection, messages)
        connection.execute(_DELETE_OLD, [_KEPT])


def _move(
    connection: psycopg.Connection, before: Remembered, after: State, position: int, recent: Sequence[int]
) -> None:
    hours = [(channel, severity, hour) for (channel, severity), hour in after.hours.items()]
    memory = _Memory(dict(after.runs), hours, dict(after.scores), after.clock)
    written = _memory().dump_python(memory, mode="json")
    moved = connection.execute(
        "INSERT INTO atlas.alert_cursor AS c (position, recent, memory, saves, moved_at) "
        "VALUES (%s, %s, %s, %s + 1, clock_timestamp()) ON CONFLICT (one) DO UPDATE SET position = excluded.position, "
        "recent = excluded.recent, memory = excluded.memory, saves = excluded.saves, moved_at = excluded.moved_at "
        "WHERE c.saves = %s RETURNING c.saves",
        [position, list(recent), Jsonb(cleaned(written)), before.saves, before.saves],
    ).fetchone()
    if moved is None:
        raise Overtaken("another process read the event log for alerts in the meantime")


def _write(connection: psycopg.Connection, before: Mapping[Key, Alert], after: Mapping[Key, Alert]) -> None:
    """Write changed alerts, and delete those that are no longer kept."""
    removed = [key for key in before if key not in after]
    changed = [alert for key, alert in after.items() if (was := before.get(key)) is not alert and was != alert]
    if removed:
        connection.execute(
            "DELETE FROM atlas.alerts USING unnest(%s::text[], %s::text[]) AS gone (policy, subject) "
            "WHERE (alerts.policy, alerts.subject) = (gone.policy, gone.subject)",
            [[policy for policy, _ in removed], [subject for _, subject in removed]],
        )
    if changed:
        documents = cleaned(_alerts().dump_python(changed, mode="json", by_alias=True))
        connection.execute(
            "INSERT INTO atlas.alerts (policy, subject, status, severity, since, resolved_at, document) "
            "SELECT d ->> 'policy', d ->> 'subject', d ->> 'status', d ->> 'severity', (d ->> 'since')::timestamptz, "
            "(d ->> 'resolved_at')::timestamptz, d FROM jsonb_array_elements(%s) AS d "
            "ON CONFLICT (policy, subject) DO UPDATE SET status = excluded.status, severity = excluded.severity, "
            "since = excluded.since, resolved_at = excluded.resolved_at, document = excluded.document",
            [Jsonb(documents)],
        )


def _put(connection: psycopg.Connection, messages: Sequence[Message]) -> None:
    if messages:
        connection.execute(
            "INSERT INTO atlas.alert_messages (channel, dedupe, document) SELECT channel, dedupe, document "
            "FROM unnest(%s::text[], %s::text[], %s::jsonb[]) WITH ORDINALITY AS m (channel, dedupe, document, place) "
            "ORDER BY place ON CONFLICT (channel, dedupe) DO NOTHING",
            [
                [message.channel for message in messages],
                [message.dedup_key for message in messages],
                [Jsonb(document_of(message)) for message in messages],
            ],
        )


def alerts_of(connection: psycopg.Connection) -> list[Alert]:
    """All alerts that are kept, oldest first."""
    row = connection.execute(
        "SELECT jsonb_agg(document ORDER BY since, policy, subject)::text FROM atlas.alerts"
    ).fetchone()
    return _alerts().validate_json(row[0]) if row and row[0] else []


def waiting_messages(connection: psycopg.Connection) -> list[Waiting]:
    """Messages of the outbox that were not delivered, in the order they were made."""
    rows = connection.execute(
        "SELECT id, channel, document ->> 'kind', document ->> 'severity', made_at, attempts, next_at, "
        "given_up_at IS NOT NULL, problem FROM atlas.alert_messages WHERE delivered_at IS NULL ORDER BY id"
    )
    return [Waiting(*row) for row in rows]


def add_silence(connection: psycopg.Connection, selection: str, until: datetime, why: str, by: str) -> int:
    """Add a silence.

    Args:
        connection: the warehouse.
        selection: Dagster's asset selection, or a pattern of subjects.
        until: when it ends.
        why: shown beside each alert that it silences.
        by: who silences.

    Returns:
        The silence's id.
    """
    row = connection.execute(
        "INSERT INTO atlas.alert_silences (selection, until, why, by) VALUES (%s, %s, %s, %s) RETURNING id",
        [readable(selection), until, readable(why), readable(by)],
    ).fetchone()
    assert row
    return int(row[0])


def silences_at(connection: psycopg.Connection, now: datetime) -> list[Silence]:
    """Silences that are active at a moment, oldest first. `assets` is not resolved."""
    rows = connection.execute(
        "SELECT id, selection, until, why, by FROM atlas.alert_silences WHERE until > %s ORDER BY id", [now]
    )
    return [Silence(*row) for row in rows]


def end_silence(connection: psycopg.Connection, silence: int) -> bool:
    """End a silence now. Returns whether it was active."""
    ended = connection.execute(
        "UPDATE atlas.alert_silences SET until = clock_timestamp() WHERE id = %s AND until > clock_timestamp()",
        [silence],
    )
    return ended.rowcount == 1
