"""What the commands of `atlas alerts` do, and how they say it.

Belongs here: asking, printing, exit codes. Does not belong here: arguments (`__init__.py`) and the work (`alerting/`).
"""

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from atlas_pipeline.alerting import store
from atlas_pipeline.alerting.channels import configured_channels
from atlas_pipeline.alerting.direct import send_now
from atlas_pipeline.alerting.document import cut
from atlas_pipeline.alerting.policy_schema import duration
from atlas_pipeline.alerting.state import Alert, Silence
from atlas_pipeline.cli.output import ERR, OUT, failures_as_messages, print_json, print_table, progress
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.location import warehouse_url

_TEST_SECONDS = 20.0
_PROBLEM_CHARACTERS = 120
"""How much of a problem the list shows; with `--json` problems are whole."""


def list_alerts(json: bool) -> int:
    """Print alerts, silences and undelivered messages. Returns 1 when a critical alert fires unsilenced."""
    now = datetime.now(UTC)
    with (
        failures_as_messages(),
        progress("asking the warehouse"),
        connect(warehouse_url(load_settings())) as connection,
    ):
        prepare_warehouse(connection)
        alerts = store.alerts_of(connection)
        silences = store.silences_at(connection, now)
        waiting = store.waiting_messages(connection)
    if json:
        print_json(
            {
                "alerts": [_alert_document(alert) for alert in alerts],
                "silences": [_silence_document(silence) for silence in silences],
                "undelivered": [_message_document(message) for message in waiting],
            }
        )
    else:
        _print_tables(alerts, silences, waiting)
    critical = any(
        alert.status == "firing" and alert.severity == "critical" and not alert.silenced_by for alert in alerts
    )
    return 1 if critical else 0


def _print_tables(alerts: Sequence[Alert], silences: Sequence[Silence], waiting: Sequence[store.Waiting]) -> None:
    columns = {"state": "left", "severity": "left", "subject": "left", "since": "left", "count": "right"}
    rows = [
        [
            _state(alert),
            alert.severity,
            alert.subject,
            _moment(alert.since),
            alert.count,
            cut(alert.problem, _PROBLEM_CHARACTERS),
        ]
        for alert in alerts
    ]
    print_table("Alerts", {**columns, "problem": "left"}, rows, optional=["count", "since"])
    if silences:
        lines = [
            [silence.id, silence.selection, _moment(silence.until), silence.by, silence.why] for silence in silences
        ]
        head = {"number": "right", "silenced": "left", "until": "left", "by": "left", "why": "left"}
        print_table("Silences", head, lines, optional=["by"])
    if waiting:
        lines = [
            [
                message.channel,
                message.kind,
                _moment(message.made_at),
                message.attempts,
                _next_attempt(message),
                message.problem or "",
            ]
            for message in waiting
        ]
        head = {"channel": "left", "kind": "left", "made": "left", "tries": "right", "next": "left"}
        print_table("Not delivered", {**head, "problem": "left"}, lines, optional=["made", "kind"])


def send_test(channel: str | None, json: bool) -> int:
    """Send a test message and print what came of it.

    Args:
        channel: name of the channel; null for all.
        json: print one JSON document instead of text.

    Returns:
        The exit code: 1 when a channel did not take it, 2 when there is none of that name.
    """
    settings = load_settings()
    with failures_as_messages(), progress("sending"):
        channels = configured_channels(settings)
        if not channels:
            raise ValueError("no channel is configured: set ATLAS_ALERT_CHANNELS, such as team=slack://…")
        if channel is not None and channel not in channels:
            ERR.print(f"atlas: there is no channel {channel}: expected one of {', '.join(channels)}", markup=False)
            return 2
        chosen = {name: target for name, target in channels.items() if channel in (None, name)}
        now = datetime.now(UTC)
        alert = Alert("test", "test", "system_down", "warning", "warn", "default", "firing", now, now, now)
        came = send_now(chosen, "test", alert, now, _TEST_SECONDS)
    if json:
        print_json({"channels": [{"name": name, "problem": problem} for name, problem in came.items()]})
    else:
        for name, problem in came.items():
            OUT.print(f"{name}: {problem or 'sent'}", markup=False, highlight=False)
    return 1 if any(came.values()) else 0


def add_silence(selection: str, lasting: str, why: str, json: bool) -> int:
    """Add a silence and print its number.

    Args:
        selection: Dagster's asset selection, or a pattern of subjects.
        lasting: how long, such as 30m, 2h, 1d.
        why: shown beside each alert that it silences.
        json: print one JSON document instead of text.
    """
    with failures_as_messages():
        until = datetime.now(UTC) + duration(lasting)
        with connect(warehouse_url(load_settings())) as connection:
            prepare_warehouse(connection)
            number = store.add_silence(connection, selection, until, why, getpass.getuser())
    if json:
        print_json({"number": number, "selection": selection, "until": until})
    else:
        OUT.print(f"{number}: {selection} is silent until {_moment(until)}", markup=False, highlight=False)
    return 0


def end_silence(number: int, json: bool) -> int:
    """End a silence.

    Args:
        number: its number.
        json: print one JSON document instead of text.

    Raises:
        typer.Exit: with 1, when no silence of that number holds.
    """
    with failures_as_messages():
        with connect(warehouse_url(load_settings())) as connection:
            prepare_warehouse(connection)
            ended = store.end_silence(connection, number)
        if not ended:
            raise ValueError(f"no silence {number} holds: `atlas alerts list` shows those that do")
    if json:
        print_json({"number": number})
    else:
        OUT.print(f"{number}: over", markup=False, highlight=False)
    return 0


def _state(alert: Alert) -> str:
    if alert.status == "firing" and alert.silenced_by:
        return f"silenced ({alert.silenced_by})"
    return "inhibited" if alert.status == "firing" and alert.inhibited_by else alert.status


def _next_attempt(message: store.Waiting) -> str:
    return "given up" if message.given_up else _moment(message.next_at) if message.next_at else "now"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _alert_document(alert: Alert) -> dict[str, Any]:
    state = "silenced" if alert.status == "firing" and alert.silenced_by else alert.status
    return {
        "policy": alert.policy,
        "subject": alert.subject,
        "condition": alert.condition,
        "status": state,
        "severity": alert.severity,
        "team": alert.team,
        "since": alert.since,
        "resolved_at": alert.resolved_at,
        "reason": alert.reason,
        "count": alert.count,
        "problem": alert.problem,
        "facts": dict(alert.facts),
        "held_by": alert.inhibited_by,
        "silenced_by": alert.silenced_by,
        "told_to": list(alert.notified),
        "link": alert.link,
        "runbook": alert.runbook,
    }


def _silence_document(silence: Silence) -> dict[str, Any]:
    return {
        "number": silence.id,
        "selection": silence.selection,
        "until": silence.until,
        "why": silence.why,
        "by": silence.by,
    }


def _message_document(message: store.Waiting) -> dict[str, Any]:
    return {
        "channel": message.channel,
        "kind": message.kind,
        "severity": message.severity,
        "made_at": message.made_at,
        "attempts": message.attempts,
        "next_at": message.next_at,
        "given_up": message.given_up,
        "problem": message.problem,
    }
