"""Where events of OpenLineage go: appended to a file, or posted to a URL, in a time that is limited in any case.

Belongs here: sending. Does not belong here: what is sent (`events.py`), and trying again
(`orchestration/openlineage.py`).
"""

import asyncio
import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Message = Mapping[str, Any]
_LATER = (408, 425, 429)
"""Answers that ask to try again, as all from 500 on do."""


@dataclass(frozen=True)
class Sent:
    """How many messages need not be sent again, how many of these were refused, and why the next one was not sent."""

    number: int
    refused: int = 0
    problem: str | None = None


class Transport(Protocol):
    """Somewhere to send events to."""

    def send(self, messages: Sequence[Message], seconds: float) -> Sent:
        """Send messages in their order until one cannot be sent, or the time is over."""
        ...


@dataclass(frozen=True)
class FileTransport:
    """Appends to a file, one event a line."""

    path: Path

    def send(self, messages: Sequence[Message], seconds: float) -> Sent:
        """Append all of them at once."""
        text = "".join(json.dumps(message, ensure_ascii=False) + "\n" for message in messages)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(text.encode(errors="replace"))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            return Sent(0, problem=f"cannot write {self.path}: {error.strerror}")
        return Sent(len(messages))


@dataclass(frozen=True)
class UrlTransport:
    """Posts each event. `key` is sent as a bearer token, and neither it nor the URL is in a problem."""

    url: str
    key: str | None = None
    seconds_each: float = 5.0

    def send(self, messages: Sequence[Message], seconds: float) -> Sent:
        """Post them one after the other; an answer that takes too long, byte by byte too, is none."""
        return asyncio.run(self._send(messages, seconds))

    async def _send(self, messages: Sequence[Message], seconds: float) -> Sent:
        import httpx

        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        number = refused = 0
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        async with httpx.AsyncClient(headers=headers, timeout=self.seconds_each, follow_redirects=False) as client:
            for message in messages:
                left = min(self.seconds_each, end - loop.time())
                if left <= 0:
                    return Sent(number, refused, "more than fits into one look")
                try:
                    async with asyncio.timeout(left):
                        body = json.dumps(message, ensure_ascii=False).encode(errors="replace")
                        async with client.stream("POST", self.url, content=body) as answer:
                            status = answer.status_code
                except TimeoutError:
                    return Sent(number, refused, f"no answer within {left:.0f} s")
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    return Sent(number, refused, f"cannot be reached ({type(error).__name__})")
                if status >= 500 or status in _LATER:
                    return Sent(number, refused, f"it answered {status}")
                number += 1
                refused += status >= 300
        return Sent(number, refused)
