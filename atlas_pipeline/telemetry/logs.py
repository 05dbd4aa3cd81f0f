"""What a process writes to its standard output and error: scrubbed always, and one JSON object a line if so set.

Belongs here: the form of a line, and what makes every handler of the process use it, those that libraries make later
too. Does not belong here: what is cut out (`scrub.py`), and where a process starts (`instance/logging.py`,
`cli/`). Loggers, levels and handlers stay as they are: Dagster and uvicorn configure theirs whenever they like, so only
what is written is changed.
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
"""What joins the lines of one request: a server sets it to the request's id. Lines of a run have the run's root id."""

Place = Mapping[str, str | None]
"""Where in Dagster a line comes from: `run_id`, `job`, `step`, `asset`, `correlation_id`, as far as known."""

_LONGEST = 32_768
_ROOT_RUN = "dagster/root_run_id"
_USUAL = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "color_message"}
_DAGSTER = {"dagster_meta", "dagster_event", "dagster_event_batch_metadata"}

_MORE_WORDS = re.compile(r"(?:DETAIL|HINT|CONTEXT|QUERY|STATEMENT|WHERE|LINE \d+):|\s+\S")
"""How further lines of an error's words begin, after the line with its class: those of Postgres do."""

_plain_format = logging.Handler.format
_scrubber = Scrubber()
_lines: "JsonLines | None" = None


class ScrubbedRecord(logging.LogRecord):
    """A record whose message and arguments are scrubbed for whoever handles it, Dagster's event log too."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        if isinstance(self.args, Mapping):
            self.args = {name: _argument(argument) for name, argument in self.args.items()}
        elif self.args:
            self.args = tuple(map(_argument, self.args))
        elif isinstance(self.msg, str):
            self.msg = _scrubber.text(self.msg)
        elif isinstance(self.msg, BaseException):
            self.msg = _scrubber.text(failures.words_of(self.msg))

    def getMessage(self) -> str:
        """The message, scrubbed as a whole, since what is secret may be spread over template and arguments."""
        try:
            return _scrubber.text(super().getMessage())
        except (TypeError, ValueError, KeyError):
            return f"{_scrubber.text(str(self.msg))} [its arguments do not fit]"


def _argument(argument: Any) -> Any:
    """Numbers stay, so that `%d` takes them; what holds others is its text."""
    if isinstance(argument, BaseException):
        argument = failures.words_of(argument)
    if isinstance(argument, str | Mapping | list | tuple | set | frozenset):
        return _scrubber.text(str(argument))
    return argument


class JsonLines:
    """The form of a JSON line. `place` says where in Dagster this process is at the moment."""

    def __init__(self, scrubber: Scrubber, process: str, place: Callable[[], Place]):
        self._scrubber, self._process, self._place = scrubber, process, place
        self._run: Place = {}

    def of_record(self, record: logging.LogRecord) -> str:
        """The line of a log record, without a line end."""
        meta: Mapping[str, Any] = getattr(record, "dagster_meta", None) or {}
        message, chain = failures.of_text(str(meta["orig_message"]) if "orig_message" in meta else record.getMessage())
        event = meta.get("dagster_event")
        error = getattr(getattr(event, "event_specific_data", None), "error", None)
        if error is not None:
            chain = failures.of_recorded(error)
        elif record.exc_info and record.exc_info[1] is not None:
            chain = failures.of_exception(record.exc_info[1])
        extra = {name: value for name, value in record.__dict__.items() if name not in _USUAL and name not in _DAGSTER}
        place = self._of_dagster(meta, event) if meta else self.here()
        return self.line(record.created, record.levelname, record.name, message, place, chain, extra)

    def here(self) -> Place:
        """Where the calling thread is: in a step, or at least in this process's run."""
        return self._place() or self._run

    def line(
        self,
        seconds: float,
        level: str,
        logger: str,
        message: str,
        place: Place,
        chain: list[failures.Failure],
        extra: Mapping[str, Any],
    ) -> str:
        """One JSON object.

        Args:
            seconds: since 1970.
            level: name of the level.
            logger: name of the logger.
            message: before scrubbing.
            place: the run and step that the line comes from.
            chain: the exception and its causes, innermost last.
            extra: further fields.
        """
        message = self._scrubber.text(message)
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "logger": logger,
            "message": message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…",
            "process": self._process,
            "pid": os.getpid(),
        }
        entry |= {"correlation_id": CORRELATION.get(), **place}
        if chain:
            entry["exception"] = self._scrubber.value(chain)
        if extra:
            entry["extra"] = self._scrubber.value(extra)
        return json.dumps({name: value for name, value in entry.items() if value is not None}, ensure_ascii=False)

    def _of_dagster(self, meta: Mapping[str, Any], event: Any) -> Place:
        run_id, step, key = meta.get("run_id"), meta.get("step_key"), getattr(event, "asset_key", None)
        place = {
            "run_id": run_id,
            "job": meta.get("job_name"),
            "step": step,
            "asset": "/".join(key.path) if key is not None else asset_of(step),
            "correlation_id": (meta.get("job_tags") or {}).get(_ROOT_RUN) or run_id,
        }
        if self._process == "run":
            self._run = {**place, "step": None, "asset": None}
        return place


class _Lines:
    """A standard stream that turns what is not JSON, such as a print or a traceback, into a log line."""

    def __init__(self, stream: TextIO, name: str, lines: JsonLines):
        self._stream, self._name, self._lines = stream, name, lines
        self._rest: list[str] = []
        self._traceback: list[str] = []
        self._after_traceback = False
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write what are whole lines by now, each at once."""
        with self._lock:
            *whole, rest = text.split("\n")
            for line in whole:
                self._line("".join(self._rest) + line)
                self._rest.clear()
            if rest:
                self._rest.append(rest)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def finish(self) -> None:
        """Write what was begun, at the end of the process."""
        with self._lock:
            self._line("".join(self._rest))
            self._rest.clear()
            if self._traceback:
                self._put_traceback()

    def _line(self, line: str) -> None:
        line = line.rstrip("\r")
        if self._traceback or line.startswith("Traceback (most recent call last)"):
            self._traceback.append(line)
            if not line.startswith((" ", "Traceback")):
                self._put_traceback()
        elif self._after_traceback and _MORE_WORDS.match(line):
            return
        elif line.startswith("{") and _is_json(line):
            self._stream.write(f"{line}\n")
        elif line.strip():
            self._after_traceback = False
            # A command says itself why it ends: see `failures_as_messages`.
            self._put("ERROR" if line.startswith("atlas: ") else "INFO", line, [])

    def _put_traceback(self) -> None:
        message, chain = failures.of_text("\n".join(self._traceback))
        self._traceback.clear()
        self._after_traceback = True
        self._put("ERROR", chain[0]["type"] if chain else message, chain)

    def _put(self, level: str, message: str, chain: list[failures.Failure]) -> None:
        now = datetime.now(UTC).timestamp()
        self._stream.write(self._lines.line(now, level, self._name, message, self._lines.here(), chain, {}) + "\n")
        self._stream.flush()


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def asset_of(step: str | None) -> str | None:
    """The asset that a step of Atlas makes, by its name: `silver__customers` makes `silver/customers`."""
    return step.replace("__", "/") if step and "__" in step else None


def install(
    scrubber: Scrubber,
    process: str,
    *,
    as_json: bool,
    place: Callable[[], Place] = dict,
    answers: bool = False,
) -> None:
    """Set the format of this process's log lines. A later call replaces an earlier one.

    Args:
        scrubber: removes secrets and personal data from every line.
        process: the kind of process, named in each line.
        as_json: one JSON object for each line; else text, only scrubbed.
        place: called for each line: the run, step and asset that the current thread works on.
        answers: standard output is the output of a command, not a log.
    """
    global _scrubber, _lines
    _scrubber = scrubber
    _lines = JsonLines(scrubber, process, place) if as_json else None
    logging.setLogRecordFactory(ScrubbedRecord)
    logging.Handler.format = _format  # type: ignore[method-assign, assignment]
    if _lines is None:
        return
    warnings.showwarning = _warned
    sys.excepthook = _uncaught
    threading.excepthook = lambda uncaught: _uncaught(uncaught.exc_type, uncaught.exc_value, uncaught.exc_traceback)
    for name in ("stderr",) if answers else ("stderr", "stdout"):
        stream = getattr(sys, name)
        if not isinstance(stream, _Lines):
            wrapped = _Lines(stream, name, _lines)
            atexit.register(wrapped.finish)
            setattr(sys, name, wrapped)


def _format(handler: logging.Handler, record: logging.LogRecord) -> str:
    stream = getattr(handler, "stream", None)
    if _lines is not None and stream is not None and _is_standard(stream):
        return _lines.of_record(record)
    return _scrubber.text(_plain_format(handler, record))


def _is_standard(stream: Any) -> bool:
    return isinstance(stream, _Lines) or stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)


def _warned(
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
