"""The protocol of channels and its errors.

Belongs here: that, and what an HTTP status means. Does not belong here: any one kind of channel. No message here has a
URL or the text of a library.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from atlas_pipeline.alerting.state import Document

CONNECT_SECONDS = 5
CALL_SECONDS = 15
_LONGEST_SECONDS = 3600
_LATER = frozenset({408, 425, 429})


class ChannelError(ValueError):
    """An entry of the channels cannot be read; the message names it and what was expected, never its URL."""


class Unreachable(Exception):
    """The message was not accepted; retry later. `unsure`: it may have been, and the response was lost."""

    def __init__(self, problem: str, unsure: bool = False):
        super().__init__(problem)
        self.unsure = unsure


class Busy(Exception):
    """The receiver asks to retry after `seconds`; null when it does not say how long."""

    def __init__(self, problem: str, seconds: float | None = None):
        super().__init__(problem)
        self.seconds = seconds


class Refused(Exception):
    """The receiver refuses the message for good; retrying does not help."""


class Channel(Protocol):
    """A notification channel."""

    def send(self, document: Document, repeat: bool) -> None:
        """Send one document of the outbox. Returns within `CALL_SECONDS`.

        Args:
            document: the message, as `document_of` makes it.
            repeat: whether it may have been sent before.

        Raises:
            Unreachable: the receiver did not take it, and may later.
            Busy: the receiver asks for a pause.
            Refused: the receiver will never take it.
        """
        ...


def judge(status: int, retry_after: str | None) -> None:
    """Raise the exception for an HTTP status, unless it is 2xx.

    A redirect is not followed, because credentials would go where it leads; it counts as unreachable, since a proxy
    that is away may answer so.

    Args:
        status: of the response.
        retry_after: its Retry-After header: seconds or an HTTP date.

    Raises:
        Busy: 429, or Retry-After with a status that may pass.
        Refused: any other 4xx, save 408 and 425.
        Unreachable: everything else.
    """
    if 200 <= status < 300:
        return
    problem = f"HTTP status {status}"
    seconds = _seconds(retry_after)
    if status == 429 or (seconds is not None and (status in _LATER or status >= 500)):
        raise Busy(problem, seconds)
    if 400 <= status < 500 and status not in _LATER:
        raise Refused(problem)
    raise Unreachable(problem)


def _seconds(retry_after: str | None) -> float | None:
    """Seconds of a Retry-After header, as a number or a date, at most an hour."""
    if not retry_after:
        return None
    if retry_after.strip().isdecimal():
        return float(min(int(retry_after[:20]), _LONGEST_SECONDS))
    try:
        moment = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_SECONDS)
