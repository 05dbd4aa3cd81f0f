"""The web side of `atlas ops`: routes, and limits for clients that are slow or many.

Belongs here: HTTP. Does not belong here: what is answered (`collector.py`, `components.py`).

Answers are made once for all who ask within a second. A connection that has not taken its whole answer in time is cut,
so that slow clients keep nobody out.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from atlas_pipeline.ops.collector import Collector
from atlas_pipeline.telemetry.exposition import media_type
from atlas_pipeline.telemetry.parts.tally import Tally

Answer = Callable[[], tuple[int, Mapping[str, Any]]]
"""What is said of health: the status, and the JSON document."""
_KEPT_SECONDS = 1.0
_CONNECTION_SECONDS = 15.0
_KEEP_ALIVE_SECONDS = 5
_CHUNK = 1 << 15
_CONNECTIONS = 2048
_REQUEST_BYTES = 1 << 14
_GRACE_SECONDS = 5
_METHODS = ("GET", "HEAD")
_Made = TypeVar("_Made")


class _Hurried(H11Protocol):
    """A connection that is cut unless its request comes, and its answer goes, within the time limit."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._limit = self.loop.call_later(_CONNECTION_SECONDS, transport.abort)

    def on_response_complete(self) -> None:
        self._limit.cancel()
        self._limit = self.loop.call_later(_CONNECTION_SECONDS, self.transport.abort)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._limit.cancel()
        super().connection_lost(exc)


class _Once:
    """Makes something in a thread once for all who ask within a second."""

    def __init__(self) -> None:
        self._made: dict[object, tuple[float, asyncio.Task[Any]]] = {}

    async def get(self, key: object, make: Callable[[], _Made]) -> _Made:
        until, task = self._made.get(key, (0.0, None))
        if task is None or (task.done() and time.monotonic() >= until):
            task = asyncio.ensure_future(asyncio.to_thread(make))
            self._made[key] = (time.monotonic() + _KEPT_SECONDS, task)
        return await asyncio.shield(task)


class _Counted:
    """Counts requests and what they took, under the paths that there are."""

    def __init__(self, app: ASGIApp, paths: frozenset[str], collector: Collector, tally: Tally):
        self._app, self._paths, self._collector, self._tally = app, paths, collector, tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["path"] in self._paths else "other"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        status, started = 500, time.monotonic()

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        self._collector.in_progress += 1
        try:
            await self._app(scope, receive, noting)
        finally:
            self._collector.in_progress -= 1
            self._tally.add("atlas_http_requests_total", 1, method=method, path=path, status=str(status))
            took = time.monotonic() - started
            self._tally.observe("atlas_http_request_duration_seconds", took, method=method, path=path)


def application(collector: Collector, tally: Tally, health: Mapping[str, Answer]) -> ASGIApp:
    """The ASGI application: /metrics, and each path of `health`.

    Args:
        collector: answers /metrics.
        tally: counts requests and what they took.
        health: what each other path answers.
    """
    once = _Once()

    async def metrics(request: Request) -> Response:
        content_type, openmetrics = media_type(request.headers.get("accept", ""))
        compressed = _takes_gzip(request.headers.get("accept-encoding", ""))
        body = await once.get((openmetrics, compressed), lambda: collector.answer(openmetrics, compressed))
        headers = {"Content-Type": content_type, "Content-Length": str(len(body)), "Vary": "Accept, Accept-Encoding"}
        if compressed:
            headers["Content-Encoding"] = "gzip"
        return StreamingResponse(_pieces(body), headers=headers)

    def route(path: str, answer: Answer) -> Route:
        async def respond(request: Request) -> Response:
            status, document = await once.get(path, answer)
            return JSONResponse(document, status, headers={"Cache-Control": "no-store"})

        return Route(path, respond, methods=["GET"])

    async def nothing_here(request: Request, error: Exception) -> Response:
        return JSONResponse({"paths": paths}, 404)

    paths = ["/metrics", *health]
    routes = [Route("/metrics", metrics, methods=["GET"]), *(route(*item) for item in health.items())]
    app = Starlette(routes=routes, exception_handlers={404: nothing_here})
    return _Counted(app, frozenset(paths), collector, tally)


def configuration(app: ASGIApp, host: str, port: int) -> Config:
    """How uvicorn serves it: HTTP only, without a log of requests."""
    return Config(
        app,
        host,
        port,
        http=_Hurried,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        backlog=_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        h11_max_incomplete_event_size=_REQUEST_BYTES,
    )


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    """Small enough that a client that does not read keeps little of it in memory."""
    for start in range(0, len(body), _CHUNK):
        yield body[start : start + _CHUNK]


def _takes_gzip(accept_encoding: str) -> bool:
    for coding in accept_encoding.split(","):
        name, _, parameters = coding.strip().lower().partition(";")
        if name.strip() == "gzip":
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
