"""What Sentry is sent: each test runs a program of its own against a server on loopback."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from atlas_pipeline_tests.telemetry.canaries import CANARIES
from atlas_pipeline_tests.telemetry.receiver import Receiver, receiver

pytestmark = pytest.mark.slow

BEGIN = """
import logging, sys, threading
from atlas_pipeline.settings import load_settings
from atlas_pipeline.telemetry.setup import configure
configure(load_settings())
log = logging.getLogger("shop.orders")
"""

KEYS = dict.fromkeys(("pii_hash_key", "pii_encrypt_key"), "green umbrella stand")


@pytest.fixture
def sentry() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


def run(program: str, **settings: str) -> str:
    """Run a program that began as every process does. Returns what it wrote."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ATLAS_", "DAGSTER_", "SENTRY_"))}
    env |= {f"ATLAS_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-c", BEGIN + program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=120)
    return done.stdout + done.stderr


def test_an_error_is_sent_with_its_causes_and_nothing_of_the_machine(sentry: Receiver) -> None:
    program = """
from atlas_pipeline.ingest.silver import SchemaDrift
try:
    try:
        {}["zqvalue"]
    except KeyError as error:
        raise SchemaDrift("column email is gone") from error
except SchemaDrift:
    log.exception("loading %s failed", "silver.customers")
"""
    run(program, sentry_dsn=sentry.dsn, environment="staging")
    (event,) = sentry.of("event")
    cause, drift = event["exception"]["values"]
    assert (drift["type"], drift["value"]) == ("SchemaDrift", "column email is gone")
    assert drift["module"] == "atlas_pipeline.ingest.silver"
    assert cause["type"] == "KeyError"
    assert "value" not in cause
    assert cause["stacktrace"]["frames"][-1]["function"] == "<module>"
    assert event["logentry"]["formatted"] == "loading silver.customers failed"
    assert event["environment"] == "staging"
    assert event["release"].startswith("atlas-pipeline@")
    assert event["tags"] == {"process": "-c"}
    assert not {"server_name", "request", "user", "extra", "breadcrumbs", "modules", "contexts"} & set(event)
    sent = b"".join(sentry.bodies).decode()
    assert "zqvalue" not in sent
    assert socket.gethostname() not in json.dumps(event) or len(socket.gethostname()) < 4


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize(
    "end", ["raise ValueError('zq')", "t = threading.Thread(target=lambda: [][1]); t.start(); t.join()"]
)
def test_what_nobody_catches_is_sent_once(sentry: Receiver, end: str, log_format: str) -> None:
    run(end, sentry_dsn=sentry.dsn, log_format=log_format)
    (event,) = sentry.of("event")
    assert event["exception"]["values"][0]["type"] in {"ValueError", "IndexError"}


def test_canaries_stay_here(sentry: Receiver) -> None:
    canaries = [*CANARIES, "green umbrella stand"]
    program = f"""
class Failed(Exception): pass
def fail(canary):
    local = {{"of": [canary], "key": canary}}
    raise Failed(canary)
for number, canary in enumerate({canaries!r}):
    log.warning("a breadcrumb " + canary)
    log.error("message " + canary, extra={{"mail": canary, "more": [canary]}})
    log.error("argument %s", canary)
    log.error("in an address: https://u:zqpassword@host/path?token=zqtoken&n=%d", number)
    try:
        fail(canary)
    except Failed:
        log.exception("caught %s", canary)
"""
    run(program, sentry_dsn=sentry.dsn, pii_hash_key="green umbrella stand")
    assert len(sentry.of("event")) == 4 * len(canaries)
    sent = b"".join(sentry.bodies).decode()
    assert not [canary for canary in [*canaries, "zqpassword", "zqtoken"] if canary in sent]


@pytest.mark.parametrize(
    ("settings", "traces"),
    [
        ({"environment": "development"}, 0.0),
        ({"environment": "staging"}, 0.5),
        ({"environment": "production", **KEYS}, 0.1),
        ({"environment": "production", "sentry_traces": "1", **KEYS}, 1.0),
        ({"environment": "staging", "sentry_traces": "0"}, 0.0),
    ],
)
def test_the_share_of_traces_is_that_of_the_environment(
    sentry: Receiver, settings: dict[str, str], traces: float
) -> None:
    program = "import sentry_sdk\nprint(sentry_sdk.get_client().options['traces_sample_rate'])"
    assert run(program, sentry_dsn=sentry.dsn, **settings) == f"{traces}\n"


def test_a_trace_holds_no_request(sentry: Receiver) -> None:
    program = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
async def hello(request):
    return PlainTextResponse("zqanswer")
app = Starlette(routes=[Route("/hello/{name}", hello, methods=["POST"])])
TestClient(app).post("/hello/zqname?mail=zq@example.com", content="zqbody", headers={"X-Key": "zqheader"})
"""
    run(program, sentry_dsn=sentry.dsn, sentry_traces="1")
    (trace,) = sentry.of("transaction")
    assert trace["transaction"]
    assert trace["contexts"]["trace"]["trace_id"]
    assert b"zq" not in b"".join(sentry.bodies)


def test_without_a_dsn_the_library_is_not_even_loaded() -> None:
    program = "log.error('x')\nprint('sentry_sdk' in sys.modules, 'urllib3' in sys.modules)"
    assert run(program).startswith("False False\n")


def test_a_dsn_that_nobody_answers_stops_nothing() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        dsn = f"http://publickeyofdsn@127.0.0.1:{nobody.getsockname()[1]}/4"
        assert run("log.error('x')\nprint('went on')", sentry_dsn=dsn).startswith("went on\n")
