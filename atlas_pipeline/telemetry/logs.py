"""Log output of a process: secrets and personal data scrubbed, as text or as one JSON object per line.

Belongs here: the format of a line, and hooks that apply it to every handler, also to those that libraries add later.
Does not belong here: the patterns to scrub (`scrub.py`), and where a process starts (`instance/logging.py`, `cli/`).
Loggers, levels and handlers stay as they are: Dagster and uvicorn configure theirs at any time, so only the output is
changed.
"""

import atexit
import json
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from atlas_pipeline.telemetry import failures
from atlas_pipeline.telemetry.scrub import Scrubber

CORRELATION: ContextVar[str | None] = ContextVar("atlas_correlation", default=None)
"""Correlation id of the current request, set by a server. Lines of a run have the id of the root run instead."""

LogContext = Mapping[str, str | None]
"""`run_id`, `job`, `step`, `asset` and `correlation_id` of a line, as far as known."""

_MAX_MESSAGE = 32_768
_ROOT_RUN = "dagster/root_run_id"
_NOT_EXTRA = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "color_message"}
_NOT_EXTRA |= {"dagster_meta", "dagster_event", "dagster_event_batch_metadata"}

_CONTINUATION = re.compile(r"(?:DETAIL|HINT|CONTEXT|QUERY|STATEMENT|WHERE|LINE \d+):|\s+\S")
"""How the second and further lines of an error message begin, as Postgres writes them. They may quote rows."""

_plain_format = logging.Handler.format
_scrubber = Scrubber()
_formatter: "JsonFormatter | None" = None


class ScrubbedRecord(logging.LogRecord):
    """A log record whose message and arguments are scrubbed for every handler, Dagster's event log included."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        if isinstance(self.args, Mapping):
            self.args = {name: _scrub_argument(argument) for name, argument in self.args.items()}
        elif self.args:
            self.args = tuple(map(_scrub_argument, self.args))
        elif isinstance(self.msg, str):
            self.msg = _scrubber.text(self.msg)
        elif isinstance(self.msg, BaseException):
            self.msg = _scrubber.text(failures.words_of(self.msg))

    def getMessage(self) -> str:
        """The message, scrubbed once more: a secret may be spread over template and arguments."""
        try:
            return _scrubber.text(super().getMessage())
        except (TypeError, ValueError, KeyError):
            return f"{_scrubber.text(str(self.msg))} [its arguments do not fit]"


def _scrub_argument(argument: Any) -> Any:
    """Scrub text and containers (as text). Numbers stay, so that `%d` accepts them."""
    if isinstance(argument, BaseException):
        argument = failures.words_of(argument)
    if isinstance(argument, str | Mapping | list | tuple | set | frozenset):
        return _scrubber.text(str(argument))
    return argument


class JsonFormatter:
    """Formats log lines as JSON. `context` returns the run and step that the calling thread executes."""

    def __init__(self, scrubber: Scrubber, process: str, context: Callable[[], LogContext]):
        self._scrubber, self._process, self._current = scrubber, process, context
        self._run: LogContext = {}

    def format_record(self, record: logging.LogRecord) -> str:
        """The line of a log record, without a newline."""
        meta: Mapping[str, Any] = getattr(record, "dagster_meta", None) or {}
        message, chain = failures.of_text(str(meta["orig_message"]) if "orig_message" in meta else record.getMessage())
        event = meta.get("dagster_event")
        error = getattr(getattr(event, "event_specific_data", None), "error", None)
        if error is not None:
            chain = failures.of_recorded(error)
        elif record.exc_info and record.exc_info[1] is not None:
            chain = failures.of_exception(record.exc_info[1])
        extra = {name: value for name, value in record.__dict__.items() if name not in _NOT_EXTRA}
        context = self._dagster_context(meta, event) if meta else self.current_context()
        return self.line(record.created, record.levelname, record.name, message, context, chain, extra)

    def current_context(self) -> LogContext:
        """The step that the calling thread executes, else the run of this process."""
        return self._current() or self._run

    def line(
        self,
        seconds: float,
        level: str,
        logger: str,
        message: str,
        context: LogContext,
        chain: list[failures.Failure],
        extra: Mapping[str, Any],
    ) -> str:
        """One JSON object.

        Args:
            seconds: since 1970.
            level: name of the level.
            logger: name of the logger.
            message: before scrubbing.
            context: the run and step that the line comes from.
            chain: the exception and its causes, innermost last.
            extra: further fields.
        """
        message = self._scrubber.text(message)
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "logger": logger,
            "message": message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]}…",
            "process": self._process,
            "pid": os.getpid(),
        }
        entry |= {"correlation_id": CORRELATION.get(), **context}
        if chain:
            entry["exception"] = self._scrubber.value(chain)
        if extra:
            entry["extra"] = self._scrubber.value(extra)
        return json.dumps({name: value for name, value in entry.items() if value is not None}, ensure_ascii=False)

    def _dagster_context(self, meta: Mapping[str, Any], event: Any) -> LogContext:
        run_id, step, key = meta.get("run_id"), meta.get("step_key"), getattr(event, "asset_key", None)
        context = {
            "run_id": run_id,
            "job": meta.get("job_name"),
            "step": step,
            "asset": "/".join(key.path) if key is not None else asset_of(step),
            "correlation_id": (meta.get("job_tags") or {}).get(_ROOT_RUN) or run_id,
        }
        if self._process == "run":
            self._run = {**context, "step": None, "asset": None}
        return context


class _LogStream:
    """Wraps stdout or stderr: turns what is not JSON, such as a print or a traceback, into a log line."""

    def __init__(self, stream: TextIO, name: str, formatter: JsonFormatter):
        self._stream, self._name, self._formatter = stream, name, formatter
        self._partial: list[str] = []
        self._traceback: list[str] = []
        self._after_traceback = False
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write each complete line; keep the rest until its newline comes."""
        with self._lock:
            *complete, partial = text.split("\n")
            for line in complete:
                self._process_line("".join(self._partial) + line)
                self._partial.clear()
            if partial:
                self._partial.append(partial)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each text."""
        for line in lines:
            self.write(line)

    def flush_partial(self) -> None:
        """Write an incomplete line, at the end of the process."""
        with self._lock:
            self._process_line("".join(self._partial))
            self._partial.clear()
            if self._traceback:
                self._write_traceback()

    def _process_line(self, line: str) -> None:
        line = line.rstrip("\r")
        if self._traceback or line.startswith("Traceback (most recent call last)"):
            self._traceback.append(line)
            if not line.startswith((" ", "Traceback")):
                self._write_traceback()
        elif self._after_traceback and _CONTINUATION.match(line):
            return
        elif line.startswith("{") and _is_json(line):
            self._stream.write(f"{line}\n")
        elif line.strip():
            self._after_traceback = False
            # The error message of a command: see `failures_as_messages`.
            self._write("ERROR" if line.startswith("atlas: ") else "INFO", line, [])

    def _write_traceback(self) -> None:
        message, chain = failures.of_text("\n".join(self._traceback))
        self._traceback.clear()
        self._after_traceback = True
        self._write("ERROR", chain[0]["type"] if chain else message, chain)

    def _write(self, level: str, message: str, chain: list[failures.Failure]) -> None:
        now, context = datetime.now(UTC).timestamp(), self._formatter.current_context()
        self._stream.write(self._formatter.line(now, level, self._name, message, context, chain, {}) + "\n")
        self._stream.flush()


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def asset_of(step: str | None) -> str | None:
    """The asset of a step, by its name: `silver__customers` materializes `silver/customers`."""
    return step.replace("__", "/") if step and "__" in step else None


def install(
    scrubber: Scrubber,
    process: str,
    *,
    as_json: bool,
    context: Callable[[], LogContext] = dict,
    stdout_is_output: bool = False,
) -> None:
    """Set the format of this process's log lines. A later call replaces an earlier one.

    Args:
        scrubber: removes secrets and personal data from every line.
        process: the kind of process, named in each line.
        as_json: one JSON object for each line; else text, only scrubbed.
        context: called for each line: the run, step and asset that the current thread works on.
        stdout_is_output: standard output is the output of a command, not a log.
    """
    global _scrubber, _formatter
    _scrubber = scrubber
    _formatter = JsonFormatter(scrubber, process, context) if as_json else None
    logging.setLogRecordFactory(ScrubbedRecord)
    logging.Handler.format = _format  # type: ignore[method-assign, assignment]
    if _formatter is None:
        return
    warnings.showwarning = _show_warning
    sys.excepthook = _uncaught
    threading.excepthook = lambda uncaught: _uncaught(uncaught.exc_type, uncaught.exc_value, uncaught.exc_traceback)
    for name in ("stderr",) if stdout_is_output else ("stderr", "stdout"):
        stream = getattr(sys, name)
        if not isinstance(stream, _LogStream):
            wrapped = _LogStream(stream, name, _formatter)
            atexit.register(wrapped.flush_partial)
            setattr(sys, name, wrapped)


def _format(handler: logging.Handler, record: logging.LogRecord) -> str:
    stream = getattr(handler, "stream", None)
    if _formatter is not None and stream is not None and _is_standard(stream):
        return _formatter.format_record(record)
    return _scrubber.text(_plain_format(handler, record))


def _is_standard(stream: Any) -> bool:
    return isinstance(stream, _LogStream) or stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    logging.getLogger("warnings").warning("%s:%d: %s: %s", filename, lineno, category.__name__, str(message))


def _uncaught(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /) -> None:
    if error is None or isinstance(error, KeyboardInterrupt | SystemExit):
        return
    logging.getLogger("atlas_pipeline").critical("ended by %s", error, exc_info=error.with_traceback(trace))
