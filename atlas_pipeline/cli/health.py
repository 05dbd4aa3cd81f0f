"""`atlas health`: the liveness check of one process of this installation, for the supervisor that restarts it.

Belongs here: one question to one process. Does not belong here: how the whole platform stands (`atlas status`, and the
health of `atlas ops`). It runs every few seconds beside each process, so it imports neither Dagster nor the settings;
the addresses here are their defaults.
"""

import json as jsonlib
import sys
import time
from collections.abc import Callable, Mapping

from atlas_pipeline.environment import PROJECT_ROOT, SettingsError, text_of
from atlas_pipeline.passwords import put_password
from atlas_pipeline.telemetry.health import DAEMONS, silent_daemons

CODE_SERVER = "127.0.0.1:4000"
HOST, PORT = "127.0.0.1", "3000"
OPS_HOST, OPS_PORT = "127.0.0.1", "9464"
HOME = ".atlas"
_SECONDS = 5
_HEARTBEATS = "SELECT daemon_type, (body::jsonb ->> 'timestamp')::float8 FROM daemon_heartbeats"
_SERVICE = b"\x0a\x0aDagsterApi"
"""The message `grpc.health.v1.HealthCheckRequest` with the name of Dagster's service."""
_SERVING = b"\x08\x01"


def run(process: str, json: bool) -> int:
    """Probe one process and print the problem, if any.

    Args:
        process: a name of `PROCESSES`.
        json: print one JSON document instead of text.

    Returns:
        The exit code: 0 when the process is healthy.
    """
    try:
        problem = PROCESSES[process]()
    except SettingsError as error:
        problem = str(error)
    if json:
        document = {"process": process, "ok": problem is None, "problem": problem}
        sys.stdout.write(jsonlib.dumps(document, ensure_ascii=False) + "\n")
    else:
        out = sys.stderr if problem else sys.stdout
        out.write(f"atlas: {process}: {problem}\n" if problem else f"{process} is well\n")
    return 1 if problem else 0


def _code() -> str | None:
    import grpc

    address = text_of("ATLAS_CODE_SERVER") or CODE_SERVER
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer = check(_SERVICE, timeout=_SECONDS)
        except grpc.RpcError as error:
            return f"the code server at {address} does not answer ({error.code().name.lower()})"
    return None if answer == _SERVING else f"the code server at {address} has not loaded its code"


def _webserver() -> str | None:
    answer = _get(text_of("ATLAS_HOST") or HOST, text_of("ATLAS_PORT") or PORT, "/server_info")
    return (
        answer if isinstance(answer, str) else None if "dagster_version" in answer else "what answers is no web server"
    )


def _ops() -> str | None:
    answer = _get(text_of("ATLAS_OPS_HOST") or OPS_HOST, text_of("ATLAS_OPS_PORT") or OPS_PORT, "/health/live")
    return (
        answer
        if isinstance(answer, str)
        else None
        if answer.get("status") == "ok"
        else "what answers is no `atlas ops`"
    )


def _get(host: str, port: str, path: str) -> Mapping[str, object] | str:
    """The JSON object served at the path on this machine, or a text that says what is wrong."""
    import http.client

    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 — nothing is bound here
    connection = http.client.HTTPConnection(own, int(port), timeout=_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        document = jsonlib.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"no answer at {own}:{port}{path} ({type(error).__name__})"
    finally:
        connection.close()
    if response.status != 200 or not isinstance(document, dict):
        return f"{own}:{port}{path} answers with status {response.status}"
    return document


def _daemon() -> str | None:
    import psycopg2

    try:
        connection = psycopg2.connect(_dagster_url(), connect_timeout=_SECONDS, options="-c statement_timeout=5s")
        try:
            with connection.cursor() as cursor:
                cursor.execute(_HEARTBEATS)
                beats = dict(cursor.fetchall())
        finally:
            connection.close()
    except psycopg2.Error as error:
        return f"Dagster's database cannot be asked ({type(error).__name__})"
    return silent_daemons({name: time.time() - beats[name] for name in DAEMONS if name in beats}, DAEMONS)


def _dagster_url() -> str:
    url = text_of("ATLAS_DAGSTER_DATABASE_URL")
    if url:
        return put_password(url, text_of("ATLAS_DATABASE_PASSWORD"))
    from atlas_pipeline.warehouse.connect import DAGSTER, OWNER
    from atlas_pipeline.warehouse.embedded import EmbeddedPostgres

    return EmbeddedPostgres(PROJECT_ROOT / (text_of("ATLAS_HOME") or HOME)).url(DAGSTER, OWNER)


PROCESSES: Mapping[str, Callable[[], str | None]] = {
    "code": _code,
    "daemon": _daemon,
    "webserver": _webserver,
    "ops": _ops,
}
