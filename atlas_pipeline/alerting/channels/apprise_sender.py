"""The process that sends one message by Apprise: reads an order from stdin, prints what came of it as JSON.

Belongs here: how Apprise is set up, and how its outcome is read. Does not belong here: who starts it (`apprise.py`).
"""

import json
import signal
import sys
from importlib import import_module
from typing import Any

from atlas_pipeline.alerting.channels.channel import CALL_SECONDS, CONNECT_SECONDS
from atlas_pipeline.alerting.document import for_people, text_of, title_of
from atlas_pipeline.alerting.state import Document


def main() -> None:
    """Send what stdin says, within `CALL_SECONDS` from when Apprise is loaded; the alarm ends the process."""
    order = json.load(sys.stdin)
    plugin = _plugin(order["url"])
    if plugin is None:
        print(json.dumps(_outcome("Apprise cannot read its URL")))
        return
    document = for_people(order["document"], order["ui_url"], order["repeat"])
    answers = _watch_requests()
    signal.alarm(CALL_SECONDS)
    print(json.dumps(_send(plugin, document, answers)))


def _outcome(problem: str = "", status: int | None = None, retry_after: str | None = None, unsure: bool = False) -> Any:
    return {"problem": problem, "status": status, "retry_after": retry_after, "unsure": unsure}


def _plugin(url: str) -> Any:
    """What Apprise makes of the URL, or null. It reads no file, stores nothing, loads no image, waits for nothing."""
    import apprise

    asset = apprise.AppriseAsset(
        app_id="Atlas",
        app_desc="Atlas",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        image_path_mask="",
        async_mode=False,
        http_redirects=False,
        pgp_autogen=False,
        pem_autogen=False,
        storage_mode="memory",
        service_timeout=0,
        allow_templates=False,
    )
    plugin = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if plugin:
        plugin.request_rate_per_sec = 0
        plugin.retry = 0
        plugin.redirects = False
        plugin.socket_connect_timeout = CONNECT_SECONDS
        plugin.socket_read_timeout = CALL_SECONDS
    return plugin


def _watch_requests() -> list[tuple[int, str | None]]:
    """Statuses and Retry-After of all answers that requests gets from here on, which Apprise keeps to itself."""
    requests: Any = import_module("requests")
    answers: list[tuple[int, str | None]] = []
    send = requests.Session.send

    def watched(session: Any, request: Any, **options: Any) -> Any:
        answer = send(session, request, **{**options, "allow_redirects": False})
        answers.append((answer.status_code, answer.headers.get("Retry-After")))
        return answer

    requests.Session.send = watched
    requests.sessions.get_netrc_auth = lambda *_: None
    return answers


def _send(plugin: Any, document: Document, answers: list[tuple[int, str | None]]) -> Any:
    import apprise

    if plugin.secure_protocol == "pagerduty":
        plugin.action = "map"
        plugin.dedup = plugin.dedup or document["conversation"]
    title = title_of(document, plugin.title_maxlen or 150)
    text = text_of(document, plugin.body_maxlen - (0 if plugin.title_maxlen else len(title) + 2))
    sender = apprise.Apprise(asset=plugin.asset)
    sender.add(plugin)
    if sender.notify(body=text, title=title, notify_type=_type(document), body_format="text"):
        return _outcome()
    bad = [answer for answer in answers if not 200 <= answer[0] < 300]
    if bad:
        return _outcome(status=bad[-1][0], retry_after=bad[-1][1])
    return _outcome("Apprise could not send it", unsure=True)


def _type(document: Document) -> str:
    if document["kind"] == "resolved":
        return "success"
    if document["kind"] == "test":
        return "info"
    return "failure" if document["severity"] == "critical" else "warning"


if __name__ == "__main__":
    main()
