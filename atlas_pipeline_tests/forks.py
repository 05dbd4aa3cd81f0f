"""Processes that do a test's work until they are killed: forks of one that has imported what they need.

Belongs here: starting them, hearing what they say, and ending them. Does not belong here: commands and programs, whose
start is what is tested, and which are started anew.

The process that is forked was executed by `multiprocessing`, and has no thread, connection or lock of pytest's. It
starts with the first fork, and ends with pytest.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from atlas_pipeline.settings import load_settings

_CONTEXT = multiprocessing.get_context("forkserver")
# All that is forked in any test: there is one server of `multiprocessing`, and this is read when it starts.
_CONTEXT.set_forkserver_preload(
    [
        "atlas_pipeline_tests.connectors.test_kill",
        "atlas_pipeline_tests.integration.test_incremental_gold",
        "atlas_pipeline_tests.integration.test_kill_states",
        "atlas_pipeline_tests.integration.test_small_files",
    ]
)


class Fork:
    """A process that calls a function; its standard input stays open and empty until it is killed."""

    def __init__(self, target: Callable[..., object], *arguments: object):
        """Start it.

        Args:
            target: a function of a module of tests.
            arguments: what it is called with; they are pickled.
        """
        stdin, self._stdin = _CONTEXT.Pipe(duplex=False)
        stdout, stderr = _CONTEXT.Pipe(duplex=False), _CONTEXT.Pipe(duplex=False)
        given = (dict(os.environ), (stdin, stdout[1], stderr[1]), target, arguments)
        self._process = _CONTEXT.Process(target=_call, args=given, daemon=True)
        self._process.start()
        for end in (stdin, stdout[1], stderr[1]):
            end.close()
        self._said, self._errors = (os.fdopen(os.dup(one[0].fileno())) for one in (stdout, stderr))
        for one in (stdout, stderr):
            one[0].close()

    def said(self) -> str:
        """The next line it prints, or nothing when it has ended."""
        return self._said.readline().strip()

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self._process.kill()
        self._process.join()

    def failed(self, seconds: float) -> str:
        """What it says when its standard input ends and it goes on, until it ends, in that time and with an error."""
        self._stdin.close()
        self._process.join(seconds)
        assert self._process.exitcode not in (None, 0)
        return self._errors.read()

    def close(self) -> None:
        """Kill it, if it is still there."""
        self.kill()
        self._process.close()
        for end in (self._stdin, self._said, self._errors):
            end.close()


StartFork = Callable[..., Fork]


@contextmanager
def forks() -> Iterator[StartFork]:
    """Starts forks, which are gone at the end."""
    started: list[Fork] = []

    def start(target: Callable[..., object], *arguments: object) -> Fork:
        started.append(Fork(target, *arguments))
        return started[-1]

    try:
        yield start
    finally:
        for one in started:
            one.close()


def stop() -> None:
    """In a fork: say that the moment is reached, and wait there to be killed."""
    print("reached", flush=True)
    sys.stdin.read()


def _call(
    environment: Mapping[str, str],
    streams: tuple[Connection, Connection, Connection],
    target: Callable[..., object],
    arguments: tuple[Any, ...],
) -> None:
    """Be the process: with the environment of the test, and its ends of the pipes."""
    os.environ.clear()
    os.environ.update(environment)
    load_settings.cache_clear()
    for number, end in enumerate(streams):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 — that of a process of `multiprocessing` is closed
    target(*arguments)
    print("done", flush=True)
