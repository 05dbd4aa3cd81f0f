"""Set up logging and Sentry: the first call of each process of Atlas.

Belongs here: which kind of process this is, and the order. Does not belong here: what log lines and reports look like
(`logs.py`, `sentry.py`).
"""

import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path

from atlas_pipeline.settings import Settings
from atlas_pipeline.telemetry import logs, sentry
from atlas_pipeline.telemetry.scrub import Scrubber, secrets_of


def configure(settings: Settings, context: Callable[[], logs.LogContext] = dict) -> None:
    """Set up logging and Sentry for this process. A later call replaces an earlier one.

    Args:
        settings: the log format, the DSN of Sentry, and the secrets to scrub.
        context: called for each line; returns the run, step and asset that the calling thread executes.
    """
    process = process_name()
    scrubber = Scrubber(secrets_of(settings))
    is_service = process in {"webserver", "daemon", "code", "dev", "run"}
    as_json = settings.log_format == "json"
    logs.install(scrubber, process, as_json=as_json, context=context, stdout_is_output=not is_service)
    sentry.start(settings, process, scrubber, context)


def process_name() -> str:
    """`webserver`, `daemon`, `code`, `run`, `dev`, `atlas` with its command, or the name of another program."""
    program, command = Path(sys.argv[0]), sys.argv[1] if len(sys.argv) > 1 else ""
    if multiprocessing.parent_process() is not None or (command == "api" and "execute_run" in sys.argv):
        return "run"
    if program.stem == "dagster-webserver" or program.parent.name == "dagster_webserver":
        return "webserver"
    if program.stem == "dagster-daemon" or program.parent.name == "_daemon":
        return "daemon"
    if command == "serve" and sys.argv[2:3] in (["code"], ["daemon"], ["webserver"]):
        return sys.argv[2]
    if command in {"api", "code-server"}:
        return "code"
    if command == "dev":
        return "dev"
    if program.stem == "atlas" or program.parent.name == "cli":
        return f"atlas {command}" if command.isalpha() else "atlas"
    return program.stem
