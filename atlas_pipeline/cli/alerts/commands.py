"""What the commands of `atlas alerts` do, and how they say it.

Belongs here: asking, printing, exit codes. Does not belong here: arguments (`__init__.py`) and the work (`alerting/`).
"""

import getpass
from datetime import UTC, datetime
from typing import Any

from atlas_pipeline.alerting import store
from atlas_pipeline.alerting.channels import configured_channels
from atlas_pipeline.alerting.direct import send_now
from atlas_pipeline.alerting.document import cut
from atlas_pipeline.alerting.policy_schema import duration
from atlas_pipeline.alerting.state import Alert
from atlas_pipeline.cli.output import ERR, OUT, failures_as_messages, print_json, print_table, progress
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.location import warehouse_url

_TEST_SECONDS = 20.0
_PROBLEM_CHARACTERS = 60
"""What a line of the list has room for; with `--json` problems are whole."""


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
                "alerts": [_document(one) for one in alerts],
                "silences": [
                    {"number": one.id, "selection": one.selection, "until": one.until, "why": one.why, "by": one.by}
                    for one in silences
                ],
                "undelivered": [
                    {
                        "channel": one.channel,
                        "kind": one.kind,
                        "severity": one.severity,
                        "made_at": one.made_at,
                        "attempts": one.attempts,
                        "next_at": one.next_at,
                        "given_up": one.given_up,
                        "problem": one.problem,
                    }
                    for one in waiting
                ],
            }
        )
    else:
        columns = {"state": "left", "severity": "left", "subject": "left", "since": "left", "count": "right"}
        rows = [
            [
                _state(one),
                one.severity,
                one.subject,
                _moment(one.since),
                one.count,
                cut(one.problem, _PROBLEM_CHARACTERS),
            ]
            for one in alerts
        ]
        print_table("Alerts", {**columns, "problem": "left"}, rows)
        if silences:
            lines = [[one.id, one.selection, _moment(one.until), one.by, one.why] for one in silences]
            head = {"number": "right", "silenced": "left", "until": "left", "by": "left", "why": "left"}
            print_table("Silences", head, lines)
        if waiting:
            lines = [
                [one.channel, one.kind, _moment(one.made_at), one.attempts, _fate(one), one.problem or ""]
                for one in waiting
            ]
            head = {"channel": "left", "kind": "left", "made": "left", "tries": "right", "next": "left"}
            print_table("Not delivered", {**head, "problem": "left"}, lines)
    critical = any(one.status == "firing" and one.severity == "critical" and not one.silenced_by for one in alerts)
    return 1 if critical else 0


def send_test(channel: str | None, json: bool) -> int:
    """Send a test to one channel or all, and print what came of it. Returns 1 when one did not take it, 2 when there
    is none of that name."""
    settings = load_settings()
    with failures_as_messages(), progress("sending"):
        channels = configured_channels(settings)
        if not channels:
            raise ValueError("no channel is configured: set ATLAS_ALERT_CHANNELS, such as team=slack://…")
        if channel is not None and channel not in channels:
            ERR.print(f"atlas: there is no channel {channel}: expected one of {', '.join(channels)}", markup=False)
            return 2
        chosen = {name: one for name, one in channels.items() if channel in (None, name)}
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
    """Write the silence, print its number."""
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
    """End the silence. Returns 1 when there was none of that number."""
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
    return f"held by {alert.inhibited_by}" if alert.status == "firing" and alert.inhibited_by else alert.status


def _fate(one: store.Waiting) -> str:
    return "given up" if one.given_up else _moment(one.next_at) if one.next_at else "now"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _document(one: Alert) -> dict[str, Any]:
    state = "silenced" if one.status == "firing" and one.silenced_by else one.status
    return {
        "policy": one.policy,
        "subject": one.subject,
        "condition": one.condition,
        "status": state,
        "severity": one.severity,
        "team": one.team,
        "since": one.since,
        "resolved_at": one.resolved_at,
        "reason": one.reason,
        "count": one.count,
        "problem": one.problem,
        "facts": dict(one.facts),
        "held_by": one.inhibited_by,
        "silenced_by": one.silenced_by,
        "told_to": list(one.notified),
        "link": one.link,
        "runbook": one.runbook,
    }
