"""What a process writes: each test runs a program of its own and reads its output."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from atlas_pipeline_tests.telemetry.canaries import CANARIES

pytestmark = pytest.mark.slow

BEGIN = """
import logging, sys, threading, warnings
from atlas_pipeline.telemetry import logs
from atlas_pipeline.telemetry.scrub import Scrubber
logs.install(Scrubber(["green umbrella stand"]), "code", as_json={json})
log = logging.getLogger("shop.orders")
log.setLevel("DEBUG")
"""


def written(program: str, *, as_json: bool = True) -> tuple[str, str]:
    """Standard output and error of a program that installed logs first."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ATLAS_", "DAGSTER_"))}
    code = BEGIN.format(json=as_json) + program
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
    return done.stdout, done.stderr


def entries(program: str) -> list[dict[str, Any]]:
    """The lines of both streams, each of which must be a JSON object."""
    out, err = written(program)
    return [json.loads(line) for line in (out + err).splitlines()]


def test_a_line_says_when_where_and_what() -> None:
    (entry,) = entries("log.warning('%d rows in %s', 7, 'orders', extra={'table': 'silver.orders', 'rows': 7})")
    assert entry.pop("time").endswith("Z")
    assert entry.pop("pid") > 0
    assert entry == {
        "level": "WARNING",
        "logger": "shop.orders",
        "message": "7 rows in orders",
        "process": "code",
        "extra": {"table": "silver.orders", "rows": 7},
    }


def test_every_line_is_json_however_it_was_written() -> None:
    found = entries(
        """
handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(logging.Formatter("%(message)s and more"))
other = logging.getLogger("other")
other.addHandler(handler)
other.error("two\\nlines")
print("a print", 1)
print("no line end yet", end="")
print(", now")
print('{"already": "json"}')
sys.stderr.write("to standard error\\n")
warnings.warn("old ways", DeprecationWarning, stacklevel=1)
warnings.warn("mind this", UserWarning, stacklevel=1)
import uvicorn.config
logging.config.dictConfig(uvicorn.config.LOGGING_CONFIG)
logging.getLogger("uvicorn.error").info("started")
logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', "1.2.3.4:5", "GET", "/x", "1.1", 200)
from dagster._utils.log import configure_loggers, create_console_logger
configure_loggers(formatter="colored")
logging.getLogger("dagster").info("colours")
create_console_logger("dagster", "INFO").info("of a run")
print("unfinished", end="")
"""
    )
    messages = {entry.get("message") for entry in found}
    assert {"two\nlines", "a print 1", "no line end yet, now", "to standard error", "started", "unfinished"} <= messages
    assert {"colours", "of a run", '1.2.3.4:5 - "GET /x HTTP/1.1" 200'} <= messages
    assert {"already": "json"} in found
    assert any(str(message).endswith("UserWarning: mind this") for message in messages)


def test_an_error_is_one_field_with_places_and_without_what_it_quotes() -> None:
    program = """
from atlas_pipeline.ingest.silver import SchemaDrift
def load(row):
    secret_local = row * 2
    raise ValueError(f"Key (email)=({row}) exists")
try:
    try:
        load("zqvalue")
    except ValueError as error:
        raise SchemaDrift("column email is gone") from error
except SchemaDrift as error:
    log.exception("loading failed: %s", error)
try:
    load("zqvalue")
except ValueError as error:
    log.error("once more: %s", error)
"""
    out, err = written(program)
    assert "zqvalue" not in out + err
    first, second = map(json.loads, err.splitlines())
    drift, cause = first["exception"]
    assert first["message"] == "loading failed: atlas_pipeline.ingest.silver.SchemaDrift: column email is gone"
    assert (drift["type"], drift["words"]) == ("atlas_pipeline.ingest.silver.SchemaDrift", "column email is gone")
    assert cause["type"] == "ValueError"
    assert "words" not in cause
    assert [frame["function"] for frame in cause["frames"]] == ["<module>", "load"]
    assert second["message"] == "once more: ValueError"


@pytest.mark.parametrize(
    "end",
    [
        "raise ValueError('zqvalue')",
        "thread = threading.Thread(target=lambda: [][1]); thread.start(); thread.join()",
        "import traceback\ntry:\n    raise ValueError('zqvalue\\nDETAIL:  zqvalue')\n"
        "except ValueError:\n    traceback.print_exc()",
    ],
)
def test_a_traceback_is_one_line_whoever_writes_it(end: str) -> None:
    out, err = written(end)
    (entry,) = map(json.loads, err.splitlines())
    assert "zqvalue" not in out + err
    (told,) = entry["exception"]
    assert told["type"] in {"ValueError", "IndexError"}
    assert told["frames"]
    assert "words" not in told


def test_dagsters_texts_of_errors_become_a_field() -> None:
    program = """
from dagster._utils.error import serializable_error_info_from_exc_info
try:
    {}["zqvalue"]
except KeyError:
    told = serializable_error_info_from_exc_info(sys.exc_info())
log.error("Sensor daemon caught an error for sensor landing:\\n%s", told.to_string())
"""
    (entry,) = entries(program)
    assert "zqvalue" not in json.dumps(entry)
    assert entry["message"] == "Sensor daemon caught an error for sensor landing:"
    assert entry["exception"][0]["type"] == "KeyError"
    assert entry["exception"][0]["frames"][-1]["function"] == "<module>"


@pytest.mark.parametrize("as_json", [True, False])
def test_canaries_get_through_on_no_way(as_json: bool) -> None:
    canaries = [*CANARIES, "green umbrella stand"]
    program = f"""
console = logging.StreamHandler()
console.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s %(mail)s", defaults={{"mail": ""}}))
logging.root.addHandler(console)
kept = []
class Keeping(logging.Handler):
    def emit(self, record):
        kept.append(record.getMessage() + repr(record.args) + str(record.msg))
logging.root.addHandler(Keeping())
class Failed(Exception): pass
for canary in {canaries!r}:
    log.info("told " + canary)
    log.info("told %s", canary)
    log.info("told %(who)s", {{"who": canary}})
    log.info("told %s and %r", 1, [canary])
    log.info(canary)
    log.info("more", extra={{"mail": canary, "deep": {{"list": [canary]}}}})
    half = len(canary) // 2
    log.info("%s%s", canary[:half], canary[half:])
    log.info("does not fit %d", canary)
    log.info("too many", canary)
    log.error(Failed(canary))
    log.error("it was %s", Failed(canary))
    log.debug("stack", stack_info=True)
    try:
        raise Failed(canary)
    except Failed:
        log.exception("failed")
sys.stdout.write("\\n".join(kept))
"""
    out, err = written(program, as_json=as_json)
    assert err.count("told") >= 4 * len(canaries)
    assert "Traceback" in err or as_json
    assert not [canary for canary in canaries if canary in out or canary in err]


def test_text_is_as_it_was_but_for_what_is_cut_out() -> None:
    program = """
console = logging.StreamHandler()
console.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
logging.root.addHandler(console)
log.info("10,510 rows of silver.customers")
log.info("told anna@example.com")
print("a print")
"""
    out, err = written(program, as_json=False)
    assert err == "INFO:shop.orders:10,510 rows of silver.customers\nINFO:shop.orders:told [email]\n"
    assert out == "a print\n"


def test_one_request_is_joined_by_its_id() -> None:
    found = entries("logs.CORRELATION.set('req-1')\nlog.error('a')\nlogs.CORRELATION.set(None)\nlog.error('b')")
    assert [entry.get("correlation_id") for entry in found] == ["req-1", None]


def test_the_answer_of_a_command_stays_and_its_progress_is_json() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ATLAS_", "DAGSTER_"))}
    command = [sys.executable, "-m", "atlas_pipeline.cli", "sample", "--rows", "20", "--out", "/dev/null/x", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**env, "ATLAS_LOG_FORMAT": "json"})
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert {entry["process"] for entry in found} == {"atlas sample"}
    assert found[0]["message"] == "writing sample data"
    assert found[-1]["level"] in {"ERROR", "CRITICAL"}
