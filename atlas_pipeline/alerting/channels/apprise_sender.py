"""The process that sends one message by Apprise: reads the request from stdin, prints the result as JSON.

Belongs here: how Apprise is configured, and how its result is read. Does not belong here: who starts it (`apprise.py`).
"""

import json
import signal
import smtplib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from atlas_pipeline.alerting.channels.channel import CALL_SECONDS, CONNECT_SECONDS
from atlas_pipeline.alerting.document import TITLE_LENGTH, for_people, text_of, title_of
from atlas_pipeline.alerting.state import Document

_KEYS = ("dedup", "alias")
"""What plugins of receivers that hold incidents open call the key by which the end of one finds its beginning."""
_UNCONNECTED = {"NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "SSLError", "ProxyError"}


@dataclass
class _Responses:
    """Responses of receivers, which Apprise does not report: HTTP statuses with Retry-After, and SMTP codes."""

    http: list[tuple[int, str | None]] = field(default_factory=list)
    smtp: list[int] = field(default_factory=list)
    unconnected: bool = False
    """Whether the last connection did not come about, so that nothing was sent."""


def main() -> None:
    """Send the message on stdin; SIGALRM ends the process when a call takes longer than `CALL_SECONDS`."""
    request = json.load(sys.stdin)
    plugin = _plugin(request["url"])
    if plugin is None:
        _print_result("Apprise cannot read its URL")
        return
    document = for_people(request["document"], request["ui_url"], request["repeat"])
    responses = _Responses()
    _watch_http(responses)
    _watch_smtp(responses)
    sent = _send(plugin, document)
    signal.alarm(0)
    failed = [response for response in responses.http if not 200 <= response[0] < 300]
    rejected = [code for code in responses.smtp if code >= 400]
    if sent:
        _print_result()
    elif failed:
        _print_result(status=failed[-1][0], retry_after=failed[-1][1])
    elif rejected:
        _print_result(f"SMTP code {rejected[-1]}", refused=_is_final(rejected[-1]))
    elif responses.unconnected:
        _print_result("cannot connect")
    else:
        _print_result("no answer", unsure=True)


def _print_result(
    problem: str = "",
    status: int | None = None,
    retry_after: str | None = None,
    refused: bool = False,
    unsure: bool = False,
) -> None:
    outcome = {"problem": problem, "status": status, "retry_after": retry_after, "refused": refused, "unsure": unsure}
    print("\n" + json.dumps(outcome))


def _plugin(url: str) -> Any:
    """Apprise's plugin for the URL, or null. It reads no file, stores nothing, loads no image, does not wait."""
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
    plugin: Any = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if plugin:
        plugin.request_rate_per_sec = 0
        plugin.retry = 0
        plugin.overflow_mode = apprise.OverflowMode.TRUNCATE
        # Mail has this one limit for all that it does, and mail servers may let a client wait.
        plugin.socket_connect_timeout = max(type(plugin).socket_connect_timeout, CONNECT_SECONDS)
        plugin.socket_read_timeout = CALL_SECONDS
    return plugin


def _watch_http(responses: _Responses) -> None:
    """Record all responses of `requests`; forbid redirects and .netrc."""
    requests: Any = import_module("requests")
    send = requests.Session.send

    def watched(session: Any, request: Any, **options: Any) -> Any:
        responses.unconnected = False
        try:
            response = send(session, request, **{**options, "allow_redirects": False})
        except requests.RequestException as error:
            responses.http.clear()
            reason = getattr(error.args[0], "reason", None) if error.args else None
            responses.unconnected = type(reason).__name__ in _UNCONNECTED
            raise
        responses.http.append((response.status_code, response.headers.get("Retry-After")))
        return response

    requests.Session.send = watched
    requests.sessions.get_netrc_auth = lambda *_: None


def _watch_smtp(responses: _Responses) -> None:
    reply, connect = smtplib.SMTP.getreply, smtplib.SMTP.connect

    def watched_reply(server: smtplib.SMTP) -> tuple[int, bytes]:
        answer = reply(server)
        responses.smtp.append(answer[0])
        return answer

    def watched_connect(server: smtplib.SMTP, *arguments: Any, **options: Any) -> tuple[int, bytes]:
        responses.unconnected = True
        answer = connect(server, *arguments, **options)
        responses.unconnected = False
        return answer

    smtplib.SMTP.getreply = watched_reply  # type: ignore[method-assign, assignment]
    smtplib.SMTP.connect = watched_connect  # type: ignore[method-assign, assignment]


def _is_final(code: int) -> bool:
    """Whether a mail server refuses the message for good. Codes below 540 are about commands and login."""
    return code >= 540


def _send(plugin: Any, document: Document) -> bool:
    import apprise

    title = title_of(document, min(plugin.title_maxlen or TITLE_LENGTH, TITLE_LENGTH))
    text = text_of(document, plugin.body_maxlen - (0 if plugin.title_maxlen else len(title) + 2))
    sender = apprise.Apprise(asset=plugin.asset)
    sender.add(plugin)
    for kind in _calls(plugin, document):
        signal.alarm(CALL_SECONDS)
        if not sender.notify(body=text or title, title=title, notify_type=kind, body_format="text"):
            return False
    return True


def _calls(plugin: Any, document: Document) -> Iterator[str]:
    """The type of each call to make: one, but more for a receiver that holds incidents open.

    There, each conversation that the message ends is closed, after whatever else the message says; the plugin is told
    which one before each call. Where the URL has a key of its own, all goes to that.
    """
    kind = _type(document)
    key = next((key for key in _KEYS if getattr(plugin, key, ...) is None and hasattr(plugin, "action")), None)
    if key is None:
        yield kind
        return
    plugin.action = "map"
    if kind != "success" or not document["closes"]:
        setattr(plugin, key, document["conversation"])
        yield kind
    for conversation in document["closes"]:
        setattr(plugin, key, conversation)
        yield "success"


def _type(document: Document) -> str:
    if document["kind"] == "resolved":
        return "success"
    if document["kind"] == "test":
        return "info"
    return "failure" if document["severity"] == "critical" else "warning"


if __name__ == "__main__":
    main()
