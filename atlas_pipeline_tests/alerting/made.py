"""Alerts and messages for tests, and the outbox filled with them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg

from atlas_pipeline.alerting.state import Alert, Message, State
from atlas_pipeline.alerting.store import load, save

AT = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
ALERT = Alert(
    policy="check-failed",
    subject="silver/orders: amount_valid",
    condition="check_failed",
    severity="critical",
    level="error",
    team="data-engineering",
    status="firing",
    since=datetime(2026, 5, 4, 12, 0, tzinfo=UTC),
    found_at=datetime(2026, 5, 4, 12, 0, 5, tzinfo=UTC),
    seen_at=AT,
    count=3,
    asset="silver/orders",
    run="6d1c",
    problem="rows failed the check",
    link="/assets/silver/orders",
    facts={"measured": 12.5, "threshold": "must be 0"},
    owner="team:sales",
    runbook="https://wiki.example/orders",
)


def alert(**changes: Any) -> Alert:
    """The alert of these tests, with changes."""
    return replace(ALERT, **changes)


def message(number: object = 0, channel: str = "hook", **changes: Any) -> Message:
    """A message to a channel; another number makes another message."""
    made = Message(
        dedup_key=f"dedupe-{number}",
        thread_key="check-failed/silver/orders",
        channel=channel,
        kind="firing",
        severity="critical",
        team="data-engineering",
        at=AT,
        alerts=(ALERT,),
    )
    return replace(made, **changes)


def put(connection: psycopg.Connection, messages: Sequence[Message]) -> None:
    """Put messages into the outbox, beside whatever is remembered."""
    with connection.transaction():
        before = load(connection)
        save(connection, before, before.state or State(), before.position or 0, (), messages)
    connection.commit()
