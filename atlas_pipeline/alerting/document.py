"""A message as JSON, as the outbox stores it, and as people read it: a title of one line, and a text.

Belongs here: the shape of that JSON, and every word of messages. Does not belong here: what is sent and when
(`fold.py`), and how (`channels/`).
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from atlas_pipeline.alerting.conditions import Condition
from atlas_pipeline.alerting.state import Alert, Document, Message, MessageKind
from atlas_pipeline.documents.durations import written

VERSION = 1
TITLE_LENGTH = 150
_PROBLEM_LENGTH = 2_000
_MARKED = "(may have been sent before)"
_CONDITIONS: Mapping[Condition, str] = {
    "run_failed": "run failed",
    "check_failed": "check failed",
    "stale": "stale",
    "stale_model": "older than its sources",
    "missing": "never materialized",
    "low_score": "low quality score",
    "pii_leak": "personal data leaks",
    "backup_failed": "backup failed",
    "backup_missing": "backup missing",
    "backup_unverified": "backup unverified",
    "tick_failed": "tick failed",
    "queue_long": "queue too long",
    "system_down": "system down",
}
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that Postgres or a receiver would refuse, or that turn the order of others around."""


def document_of(message: Message) -> Document:
    """The message as JSON. Links are paths in the UI; times are ISO 8601 in UTC."""
    return cleaned(
        {
            "version": VERSION,
            "kind": message.kind,
            "dedupe": message.dedup_key,
            "conversation": message.thread_key,
            "closes": list(message.closes),
            "severity": message.severity,
            "team": message.team,
            "at": message.at.isoformat(),
            "alerts": [_alert(alert) for alert in message.alerts],
            "more": dict(message.more),
        }
    )


def _alert(alert: Alert) -> Document:
    return {
        "policy": alert.policy,
        "subject": alert.subject,
        "condition": alert.condition,
        "severity": alert.severity,
        "level": alert.level,
        "team": alert.team,
        "owner": alert.owner,
        "status": alert.status,
        "since": alert.since.isoformat(),
        "seen_at": alert.seen_at.isoformat(),
        "resolved_at": alert.resolved_at and alert.resolved_at.isoformat(),
        "count": alert.count,
        "asset": alert.asset,
        "job": alert.job,
        "run": alert.run,
        "problem": alert.problem,
        "reason": alert.reason,
        "facts": dict(alert.facts),
        "link": alert.link,
        "runbook": alert.runbook,
    }


def readable(text: str) -> str:
    """The text without control characters, other than newlines and tabs, and without lone surrogates."""
    return _UNSEEN.sub("", text)


def cleaned(value: Any) -> Any:
    """A value that JSON can represent: strings are `readable`, NaN and infinities are strings."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {readable(name): cleaned(inner) for name, inner in value.items()}
    return [cleaned(inner) for inner in value] if isinstance(value, list) else value


def cut(text: str, length: int) -> str:
    """The text, truncated to `length` characters with an ellipsis."""
    return text if len(text) <= length else text[: max(length - 1, 0)].rstrip() + "…"[:length]


def for_people(document: Document, ui_url: str, repeat: bool) -> Document:
    """The document as receivers get it: with `repeat`, `title` and `text`, and with absolute links.

    Args:
        document: from the outbox.
        ui_url: address of Dagster's UI, which links begin with.
        repeat: whether it may have been sent before.
    """
    alerts = [{**alert, "link": _url(ui_url, alert["link"])} for alert in document["alerts"]]
    complete = {**document, "repeat": repeat, "alerts": alerts}
    return {**complete, "title": title_of(complete), "text": text_of(complete)}


def title_of(document: Document, length: int = TITLE_LENGTH) -> str:
    """One line: severity, subject and condition.

    Args:
        document: the message.
        length: characters, at most.
    """
    kind: MessageKind = document["kind"]
    severity = str(document["severity"]).upper()
    words = {"firing": severity, "repeated": f"STILL {severity}", "resolved": "RESOLVED", "summary": "SUMMARY"}
    return cut(f"{words.get(kind, 'TEST')}: {_what(document)}", length)


def _what(document: Document) -> str:
    alerts: Sequence[Document] = document["alerts"]
    others = sum(document["more"].values())
    if document["kind"] == "test":
        return "Atlas reaches this channel"
    if not alerts:
        return f"{_counted(others, 'more alert')} ({document['severity']}, {document['team']})"
    first = f"{_line(alerts[0]['subject'])}: {_CONDITIONS[alerts[0]['condition']]}"
    others += len(alerts) - 1
    return f"{first}, and {others} more" if others else first


def text_of(document: Document, length: int = 1_000_000) -> str:
    """The text below the title: as many alerts as fit, and how many more there are.

    Args:
        document: the message.
        length: characters, at most.
    """
    head = [_MARKED] if document["repeat"] else []
    if document["kind"] == "test":
        return cut("\n\n".join([*head, "A test message. Nothing is wrong."]), length)
    alerts: Sequence[Document] = document["alerts"]
    parts = [alert_text(alert, document) for alert in alerts]
    for shown in range(len(parts), 0, -1):
        text = "\n\n".join([*head, *parts[:shown], *_more(document, len(parts) - shown)])
        if len(text) <= length:
            return text
    rest = _more(document, max(len(parts) - 1, 0))
    room = length - len("\n\n".join([*head, "", *rest]))
    first = [_alert_text_within(alerts[0], document, room)] if alerts and room > 0 else []
    return cut("\n\n".join([*head, *first, *rest]), length)


def _alert_text_within(alert: Document, document: Document, room: int) -> str:
    """One alert in at most `room` characters: its problem is truncated first, so that link and runbook stay."""
    problem_length = min(len(alert["problem"]), _PROBLEM_LENGTH) - max(len(alert_text(alert, document)) - room, 0)
    return cut(alert_text({**alert, "problem": cut(alert["problem"], max(problem_length, 1))}, document), room)


def _more(document: Document, unshown: int) -> list[str]:
    more: Mapping[str, int] = document["more"]
    count = unshown + sum(more.values())
    counts = ", ".join(f"{name} {number}" for name, number in sorted(more.items()))
    return [f"… and {count} more" + (f": {counts}" if counts and not unshown else "")] if count else []


def alert_text(alert: Document, document: Document) -> str:
    """One alert, line by line; `document` is the one it is in."""
    since = datetime.fromisoformat(alert["since"])
    lines = [f"{_line(alert['subject'])}: {_CONDITIONS[alert['condition']]}"]
    if alert["status"] == "resolved" and alert["resolved_at"]:
        ended = datetime.fromisoformat(alert["resolved_at"])
        lines[0] = f"RESOLVED {lines[0]}"
        lines.append(f"Lasted {written(ended - since, units=2)}, from {_moment(since)} to {_moment(ended)}")
        if alert["reason"]:
            lines.append(f"Why it is over: {_line(alert['reason'])}")
    else:
        lasts = written(datetime.fromisoformat(document["at"]) - since, units=2)
        often = f", seen {alert['count']} times" if alert["count"] > 1 else ""
        lines.append(f"Since {_moment(since)} ({lasts}{often})")
        if alert["problem"]:
            lines.append(cut(alert["problem"].strip(), _PROBLEM_LENGTH))
    lines += [f"{name}: {_value(value)}" for name, value in alert["facts"].items()]
    lines += [f"Owner: {alert['owner']}"] if alert["owner"] else []
    lines.append(f"Team: {alert['team']}, severity: {alert['severity']}, policy: {alert['policy']}")
    lines += [alert["link"]] if alert["link"] else []
    lines += [f"Runbook: {alert['runbook']}"] if alert["runbook"] else []
    return "\n".join(lines)


def _line(text: str) -> str:
    return " ".join(text.split())


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else _line(str(value))


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _counted(number: int, name: str) -> str:
    return f"{number} {name}" + ("" if number == 1 else "s")


def _url(ui_url: str, path: str) -> str:
    return ui_url.rstrip("/") + path if path.startswith("/") else path
