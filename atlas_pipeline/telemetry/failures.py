"""Serialise exceptions for logs and Sentry: type and stack always, message only where it cannot contain row values.

Belongs here: from an exception, from Dagster's record of one, or from a printed traceback, to a chain of JSON-like
descriptions, the error first and its causes after it. Does not belong here: where they go (`logs.py`, `sentry.py`). The
message of a foreign error may quote a row, as Postgres's do; those of Atlas's own classes and of `dagster.Failure` name
columns and rules, and are kept.
"""

import re
import traceback
from collections.abc import Iterator
from typing import Any, Protocol

_MOST_CAUSES = 8
_MOST_FRAMES = 40
_FRAME = re.compile(r'File "(?P<file>[^"\n]+)", line (?P<line>\d+)(?:, in (?P<function>[^\n]+))?')
_CLASS = re.compile(
    r"(?m)^(?P<name>(?:[A-Za-z_]\w*\.)+[A-Z_]\w*|[A-Z]\w*(?:Error|Exception|Failure|Warning|Interrupt|Exit))(?=:|\s*$)"
)
_OWN = ("atlas_pipeline.", "dagster._core.definitions.events.Failure")
_START = re.compile(r"(?m)^(?:Traceback \(most recent call last\):|Stack Trace:|  File \")")

Failure = dict[str, Any]
"""`type`, `frames` (file, line, function; the innermost last), and the message as `words`, where it may be shown."""


class Recorded(Protocol):
    """Dagster's record of an error in events."""

    message: str
    stack: list[str]
    cls_name: str | None
    cause: "Recorded | None"


def of_exception(error: BaseException) -> list[Failure]:
    """Serialise an exception and its causes, without local variables."""
    chain: list[Failure] = []
    following: BaseException | None = error
    while following is not None and len(chain) < _MOST_CAUSES:
        stack = traceback.StackSummary.extract(traceback.walk_tb(following.__traceback__), lookup_lines=False)
        frames = [{"file": frame.filename, "line": frame.lineno, "function": frame.name} for frame in stack]
        chain.append(_failure(_name(following), str(following), frames))
        # An error in Dagster's code server, as the daemon and the web server raise it.
        for recorded in getattr(following, "user_code_process_error_infos", ()):
            chain += of_recorded(recorded)
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return chain


def of_recorded(error: Recorded) -> list[Failure]:
    """Serialise Dagster's record of an error and its causes."""
    chain: list[Failure] = []
    following: Recorded | None = error
    while following is not None and len(chain) < _MOST_CAUSES:
        name, words = _parted(following.message)
        chain.append(
            _failure(name or following.cls_name or "Exception", words, list(_frames("".join(following.stack))))
        )
        following = following.cause
    return chain


def of_text(text: str) -> tuple[str, list[Failure]]:
    """Split a text at its traceback: what stands before it, and the error serialised; all of the text and nothing where
    there is no traceback."""
    start = _START.search(text)
    if start is None or _FRAME.search(text) is None:
        return text, []
    before, trace = text[: start.start()], text[start.start() :]
    # Dagster puts the error's line before its stack, Python puts it after.
    if trace.startswith("Stack Trace") and (named := _CLASS.search(before)):
        before, line = before[: named.start()], before[named.start() :]
    else:
        line = trace[named.start() :] if (named := _last_class(trace)) else ""
    name, words = _parted(line)
    return before.strip(), [_failure(name or "Exception", words.split("\n")[0], list(_frames(trace)))]


def words_of(error: BaseException) -> str:
    """The class of an error, and its message if it is one of Atlas's own classes."""
    failure = _failure(_name(error), str(error), [])
    return f"{failure['type']}: {failure['words']}" if "words" in failure else failure["type"]


def _last_class(trace: str) -> re.Match[str] | None:
    return next(reversed(list(_CLASS.finditer(trace))), None)


def _parted(line: str) -> tuple[str, str]:
    lines = _CLASS.match(line)
    return (lines["name"], line[lines.end() :].removeprefix(":").strip()) if lines else ("", line)


def _name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _frames(text: str) -> Iterator[dict[str, Any]]:
    for frame in _FRAME.finditer(text):
        yield {"file": frame["file"], "line": int(frame["line"]), "function": frame["function"] or "?"}


def _failure(name: str, words: str, frames: list[dict[str, Any]]) -> Failure:
    failure: Failure = {"type": name, "frames": frames[-_MOST_FRAMES:]}
    if name.startswith(_OWN) and words:
        failure["words"] = words
    return failure
