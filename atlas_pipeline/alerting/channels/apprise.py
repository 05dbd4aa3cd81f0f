"""Every receiver that Apprise supports, such as Slack, PagerDuty and mail; each message is sent by its own process.

Belongs here: starting that process and reading its result. Does not belong here: what it does (`apprise_sender.py`).

In a process of its own because Apprise logs addresses and payloads, and because its calls have no bound as a whole:
a receiver that drips could hold one forever. Nothing that it prints is kept.
"""

import json
import signal
import subprocess
import sys

from pydantic import SecretStr

from atlas_pipeline.alerting.channels.channel import CALL_SECONDS, Refused, Unreachable, judge
from atlas_pipeline.alerting.state import Document

_START_SECONDS = 30
"""For loading Apprise, which takes a second; many times that when the machine is busy."""


class AppriseChannel:
    """Sends by one Apprise URL."""

    def __init__(self, url: SecretStr, ui_url: str):
        self._url, self._ui_url = url, ui_url

    def send(self, document: Document, repeat: bool) -> None:
        """See `Channel.send`."""
        order = {
            "url": self._url.get_secret_value(),
            "ui_url": self._ui_url,
            "repeat": repeat,
            "document": document,
        }
        try:
            process = subprocess.run(
                [sys.executable, "-m", "atlas_pipeline.alerting.channels.apprise_sender"],
                input=json.dumps(order).encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_START_SECONDS + CALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(f"no answer within {_START_SECONDS + CALL_SECONDS} s", unsure=True) from None
        if process.returncode == -signal.SIGALRM:
            raise Unreachable(f"no answer within {CALL_SECONDS} s", unsure=True)
        lines = process.stdout.splitlines()
        if process.returncode or not lines:
            raise Unreachable("the process that sends by Apprise failed", unsure=True)
        result = json.loads(lines[-1])
        if result["refused"]:
            raise Refused(result["problem"])
        if result["status"] is not None:
            judge(result["status"], result["retry_after"])
        if result["problem"]:
            raise Unreachable(result["problem"], unsure=result["unsure"])
