"""HTTP for connectors: one server, limits honoured, repeats counted, errors without credentials.

Belongs here: the session that dlt's REST client sends with. Does not belong here: pages and rows (`rest.py`).

Requests go to the declared server alone: a link to a next page, or a redirect, that leads elsewhere would take the
credentials there. Numbers of JSON keep all their digits.
"""

import hashlib
import time
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests

from atlas_pipeline.ingest.connectors.tally import Tally
from atlas_pipeline.ingest.sources import LeftAlone, ServiceUnavailable, SourceError

ATTEMPTS = 6
LONGEST_WAIT = 120
"""A server that asks for a longer pause than this many seconds is left alone by the circuit breaker instead."""
TIMEOUT = (10, 60)
_REPEATED = frozenset({408, 425, 429, 500, 502, 503, 504})
_HINTS = {
    400: "does it take these parameters?",
    401: "are the credentials right, and not out of date?",
    403: "the credentials are known, and may not read this",
    404: "is the path right?",
    410: "it is gone for good",
}
_PAGE_BYTES = 256


class AskedToWait(LeftAlone):
    """The server asks to be left alone for so many seconds, longer than a run may wait."""

    def __init__(self, message: str, seconds: float):
        super().__init__(message)
        self.seconds = seconds


class Session(requests.Session):  # type: ignore[misc]
    """A session with one server. Raises SourceError and ServiceUnavailable, which hold no query, header or body."""

    def __init__(
        self,
        url: str,
        tally: Tally,
        *,
        per_second: float | None = None,
        pages: bool = True,
        attempts: int = ATTEMPTS,
    ):
        """A session.

        Args:
            url: of the server; requests to another one are refused.
            tally: counts requests and repeats.
            per_second: the most requests a second; null for no limit.
            pages: answers are pages of rows, of which none may come twice.
            attempts: how often one request is tried.
        """
        super().__init__()
        self.auth = lambda request: request  # else requests looks for credentials in ~/.netrc
        self.max_redirects = 5
        self._origin = _origin(url)
        self._pages = pages
        self._tally, self._attempts = tally, attempts
        self._pause = 1 / per_second if per_second else 0.0
        self._next = 0.0
        self._last_page = b""
        self._asked: set[str] = set()

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request, again where that may help, after the pause that the server asks for."""
        url = request.url or ""
        if _origin(url) != self._origin:
            raise SourceError(
                f"the API leads to another server ({urlsplit(url).hostname}), to which its credentials are not sent: "
                "declare the server that has the data"
            )
        options["timeout"] = options.get("timeout") or TIMEOUT
        request.hooks = {"response": []}  # dlt's own would raise with the URL and body, before a status is looked at
        shown, failure = f"{request.method} {_shown(url)}", ""
        for attempt in range(1, self._attempts + 1):
            self._wait_for_turn()
            self._tally.requests += 1
            wait = min(0.5 * 2**attempt, 20.0)
            try:
                response = super().send(request, **options)
            except (SourceError, ServiceUnavailable):
                raise
            except requests.exceptions.SSLError:
                raise SourceError(f"{shown}: its certificate is not valid here") from None
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                failure = f"no whole answer ({type(error).__name__})"
            except requests.RequestException as error:
                raise SourceError(f"{shown} cannot be sent ({type(error).__name__})") from None
            else:
                if response.status_code not in _REPEATED:
                    return self._answer(response, request, shown)
                failure = f"answered {response.status_code}"
                wait = self._asked_pause(response, shown) or wait
            if attempt < self._attempts:
                self._tally.retries += 1
                time.sleep(wait)
        raise ServiceUnavailable(f"{shown}: {failure}, {self._attempts} times")

    def _wait_for_turn(self) -> None:
        now = time.monotonic()
        if self._pause and now < self._next:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + self._pause

    def _asked_pause(self, response: requests.Response, shown: str) -> float | None:
        """The seconds that `Retry-After` says; null without. Raises AskedToWait when that is too long."""
        seconds = retry_after(response.headers.get("Retry-After"))
        if seconds is not None and seconds > LONGEST_WAIT:
            raise AskedToWait(f"{shown} answered {response.status_code}: not before {seconds:,.0f} s", seconds)
        return seconds

    def _answer(self, response: requests.Response, request: requests.PreparedRequest, shown: str) -> requests.Response:
        status = response.status_code
        if status >= 400:
            hint = f": {_HINTS[status]}" if status in _HINTS else ""
            raise SourceError(f"{shown} answered {status}{hint}")
        if response.is_redirect or response.history:
            return response  # what a redirect led to was looked at when it came
        response.json = partial(_json, response, shown)
        if self._pages:
            self._refuse_repeated(response.content, request, shown)
        return response

    def _refuse_repeated(self, content: bytes, request: requests.PreparedRequest, shown: str) -> None:
        asked = hashlib.sha256(f"{request.url}".encode() + _bytes(request.body)).hexdigest()
        page = hashlib.sha256(content).digest() if len(content) > _PAGE_BYTES else b""
        if asked in self._asked or (page and page == self._last_page):
            raise SourceError(f"{shown} gives the same page again: is `pages` what this API does?")
        self._asked.add(asked)
        self._last_page = page


def retry_after(header: str | None, now: float | None = None) -> float | None:
    """The seconds that a `Retry-After` asks for, as a number or a date; null where it is missing or makes no sense."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header).timestamp()
    except (TypeError, ValueError):
        return None
    return max(0.0, moment - (time.time() if now is None else now))


def _json(response: requests.Response, shown: str, **_: Any) -> Any:
    import simplejson

    try:
        return simplejson.loads(response.content.decode("utf-8-sig"), use_decimal=True)
    except (ValueError, RecursionError):
        raise SourceError(f"{shown} gives no JSON, though it answered {response.status_code}") from None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", None, None


def _shown(url: str) -> str:
    """The URL without user, query and fragment, which may hold credentials and values."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else str(body or "").encode()
