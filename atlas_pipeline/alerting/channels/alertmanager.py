"""Prometheus Alertmanager: posts each alert to its v2 API; grouping, silencing and routing are Alertmanager's.

Belongs here: what its API receives. Does not belong here: the request (`http.py`), the document (`document.py`).
"""

import json
from datetime import UTC, datetime, timedelta

from atlas_pipeline.alerting.channels.http import Address, Poster
from atlas_pipeline.alerting.document import alert_text, for_people
from atlas_pipeline.alerting.policy import REPEAT
from atlas_pipeline.alerting.state import Document

_MARGIN = timedelta(minutes=15)
_TEST_LASTS = timedelta(minutes=5)


class Alertmanager:
    """Posts to /api/v2/alerts below the address. Alertmanager resolves an alert that is not posted again in time."""

    def __init__(self, address: Address, ui_url: str):
        self._poster, self._ui_url = Poster(address.below("/api/v2/alerts")), ui_url

    def send(self, document: Document, repeat: bool) -> None:
        """See `Channel.send`. A repeat changes nothing: Alertmanager identifies alerts by their labels."""
        message = for_people(document, self._ui_url, repeat=False)
        now = datetime.now(UTC)
        alerts = [_alert(alert, message, now) for alert in message["alerts"]]
        if not alerts or message["more"]:
            alerts.append(_others(message, now))
        self._poster.post(json.dumps(alerts, ensure_ascii=False).encode(), {})


def _alert(alert: Document, document: Document, now: datetime) -> Document:
    over = alert["status"] == "resolved"
    labels = {
        "alertname": alert["condition"],
        "severity": alert["severity"],
        "team": alert["team"],
        "policy": alert["policy"],
        "subject": alert["subject"],
        "asset": alert["asset"],
        "job": alert["job"],
    }
    annotations = {
        "summary": document["title"] if len(document["alerts"]) == 1 else f"{alert['subject']}: {alert['condition']}",
        "description": alert_text(alert, document),
        "runbook_url": alert["runbook"],
    }
    return {
        "labels": _given(labels),
        "annotations": _given(annotations),
        "startsAt": min(datetime.fromisoformat(alert["since"]), now).isoformat(),
        "endsAt": (now if over else now + REPEAT[alert["severity"]] + _MARGIN).isoformat(),
        **_given({"generatorURL": alert["link"] if "://" in alert["link"] else None}),
    }


def _others(document: Document, now: datetime) -> Document:
    """The alert that stands for alerts that were only counted, and for a test."""
    test = document["kind"] == "test"
    lasts = _TEST_LASTS if test else REPEAT[document["severity"]] + _MARGIN
    labels = {
        "alertname": "atlas_test" if test else "more_alerts",
        "severity": document["severity"],
        "team": document["team"],
        "conversation": document["conversation"],
    }
    return {
        "labels": _given(labels),
        "annotations": {"summary": document["title"], "description": document["text"]},
        "startsAt": min(datetime.fromisoformat(document["at"]), now).isoformat(),
        "endsAt": (now if document["kind"] == "resolved" else now + lasts).isoformat(),
    }


def _given(values: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
