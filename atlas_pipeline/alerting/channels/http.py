"""One POST of JSON: with a total timeout, without redirects, and without the URL in any log or error.

Belongs here: the request, and the names of its failures. Does not belong here: what is posted.
"""

import asyncio
import logging
import socket
import ssl
from base64 import b64encode
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from atlas_pipeline.alerting.channels.channel import CALL_SECONDS, CONNECT_SECONDS, Unreachable, judge

_LOGGERS = ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")))
_posting: ContextVar[bool] = ContextVar("posting", default=False)


class _Quiet(logging.Filter):
    """Drops the HTTP library's log records of our requests: they quote URLs and headers."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _posting.get()


_QUIET = _Quiet()


@dataclass(frozen=True)
class Address:
    """A URL without credentials, and the Authorization header made from them, if any."""

    url: str
    authorization: str | None = field(repr=False)

    @classmethod
    def of(cls, url: str) -> "Address":
        """Of an http or https URL. Raises ValueError saying what is wrong, without the URL."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ValueError("its host or port cannot be read") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError("expected http:// or https:// and a host")
        where = f"[{host}]" if ":" in host else host
        bare = urlunsplit(parts._replace(netloc=f"{where}:{port}" if port else where, fragment=""))
        if parts.username is None:
            return cls(bare, None)
        user, password = unquote(parts.username), unquote(parts.password or "")
        token = b64encode(f"{user}:{password}".encode()).decode()
        return cls(bare, f"Basic {token}")

    def below(self, path: str) -> "Address":
        """The address of a path under this one."""
        parts = urlsplit(self.url)
        return Address(urlunsplit(parts._replace(path=parts.path.rstrip("/") + path)), self.authorization)


class Poster:
    """Posts JSON to one address."""

    def __init__(self, address: Address):
        self._address = address

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Post, and return once it is accepted. Raises what `judge` does, and Unreachable without a response."""
        import httpx

        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_QUIET)
        token = _posting.set(True)
        try:
            status, retry_after = asyncio.run(self._answer(body, headers))
        except httpx.ConnectTimeout:
            raise Unreachable(f"no connection within {CONNECT_SECONDS} s") from None
        except httpx.ConnectError as error:
            raise Unreachable(f"cannot connect: {_reason(error)}") from None
        except (TimeoutError, httpx.TimeoutException):
            raise Unreachable(f"no answer within {CALL_SECONDS} s", unsure=True) from None
        except httpx.InvalidURL:
            raise Unreachable("its URL cannot be read") from None
        except httpx.RemoteProtocolError:
            raise Unreachable("the connection was closed without an answer", unsure=True) from None
        except (httpx.HTTPError, OSError) as error:
            raise Unreachable(f"no answer: {_reason(error)}", unsure=True) from None
        finally:
            _posting.reset(token)
        judge(status, retry_after)

    async def _answer(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str | None]:
        import httpx

        sent = {"Content-Type": "application/json", "User-Agent": "Atlas", **headers}
        if self._address.authorization:
            sent["Authorization"] = self._address.authorization
        timeout = httpx.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS)
        async with asyncio.timeout(CALL_SECONDS):
            client = httpx.AsyncClient(verify=self._tls, timeout=timeout, follow_redirects=False)
            async with client, client.stream("POST", self._address.url, content=body, headers=sent) as response:
                return response.status_code, response.headers.get("Retry-After")

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        import httpx

        return httpx.create_ssl_context()


def _reason(error: BaseException) -> str:
    """The reason as the operating system or TLS words it, which quotes no URL; else the class of the error."""
    cause: Any = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "the certificate is not trusted"
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {(cause.reason or 'failed').replace('_', ' ').lower()}"
        if isinstance(cause, socket.gaierror):
            return "the name of the host is not known"
        if isinstance(cause, OSError) and cause.errno:
            return str(cause.strerror).lower()
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
