"""Shared by the benchmarks: a Postgres in a temporary folder, child processes, clocks, peak memory, reports.

Does not belong here: what is measured, and what it is compared with (the other modules).
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from psycopg import sql

from atlas_pipeline.warehouse.bootstrap import prepare_embedded, prepare_warehouse
from atlas_pipeline.warehouse.connect import OWNER, connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres

MIB = 1 << 20


def arguments(doc: str | None, rows: int, rows_help: str, rounds: int) -> argparse.ArgumentParser:
    """The command line of every benchmark."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=rows, help=f"{rows_help} (default: {rows:,})")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"interleaved rounds (default: {rounds})")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    return parser


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder with a short path, which other users may traverse; removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="atlas-bench-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def postgres(home: Path) -> Iterator[EmbeddedPostgres]:
    """The embedded server as Atlas runs it, in `home`, stopped at the end."""
    server = EmbeddedPostgres(home)
    server.start()
    try:
        prepare_embedded(server)
        yield server
    finally:
        server.release()


@contextmanager
def database(server: EmbeddedPostgres) -> Iterator[str]:
    """URL of a new warehouse on the server, dropped at the end."""
    name = f"b{uuid.uuid4().hex[:12]}"
    create = sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER))
    with connect(server.url(SUPERUSER, SUPERUSER), autocommit=True) as connection:
        connection.execute(create)
    url = server.url(name, OWNER)
    with connect(url) as connection:
        prepare_warehouse(connection)
    try:
        yield url
    finally:
        with connect(server.url(SUPERUSER, SUPERUSER), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def checkpoint(server: EmbeddedPostgres) -> None:
    """Flush what earlier measurements wrote to disk, so that a later one does not pay for it."""
    with connect(server.url(SUPERUSER, SUPERUSER), autocommit=True) as connection:
        connection.execute("CHECKPOINT")


def server_cpu_seconds(server: EmbeddedPostgres) -> float:
    """CPU time of the server so far, of backends that ended too."""
    main = psutil.Process(int((server.data / "postmaster.pid").read_text().split()[0]))
    seconds = sum(main.cpu_times()[:4])
    for process in main.children():
        with suppress(psutil.Error):
            seconds += sum(process.cpu_times()[:2])
    return float(seconds)


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@dataclass
class Child:
    """A finished child process: its seconds, peak memory in MiB, the JSON document that it printed, and CPU seconds.

    Memory and CPU are those of the process and of all below it that were waited for.
    """

    seconds: float
    peak_mib: float
    said: Any = None
    cpu_seconds: float = 0.0


def child(
    command: Sequence[str | Path], *, cwd: Path | None = None, env: dict[str, str] | None = None, text: str = ""
) -> Child:
    """Run a program to its end, and take its memory and CPU time from the kernel (wait4).

    Args:
        command: Program and arguments.
        cwd: Its working directory.
        env: Environment variables to add to those of this process.
        text: Its standard input.

    Raises:
        RuntimeError: The program failed; the message ends with its output.
    """
    with (
        tempfile.TemporaryFile("w+") as given,
        tempfile.TemporaryFile("w+") as output,
        tempfile.TemporaryFile("w+") as errors,
    ):
        given.write(text)
        given.seek(0)
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=given,
            stdout=output,
            stderr=errors,
            cwd=cwd,
            env=None if env is None else os.environ | env,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        said = output.read()
        if process.returncode:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}:\n{(said + errors.read())[-3000:]}")
    document = json.loads(said) if said.startswith("{") else None
    return Child(seconds, usage.ru_maxrss * _MAXRSS_UNIT / MIB, document, usage.ru_utime + usage.ru_stime)


_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def own_peak_mib() -> float:
    """Peak memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT / MIB


@dataclass
class Goal:
    """A goal, and what was measured."""

    text: str
    measured: float
    limit: float
    at_least: bool = False
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


@dataclass
class Report:
    """The results of a benchmark, for people or as JSON."""

    name: str
    tables: list[tuple[str, list[str], list[list[Any]]]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def table(self, title: str, columns: list[str], rows: list[list[Any]]) -> None:
        """Add a table; numbers are rounded when it is printed."""
        self.tables.append((title, columns, rows))

    def print(self, as_json: bool) -> int:
        """Print everything, as JSON if `as_json`. Returns the exit code: 1 when a goal was missed."""
        print(json.dumps(self._document(), indent=2) if as_json else self._text())
        return 0 if all(goal.met for goal in self.goals) else 1

    def _document(self) -> dict[str, Any]:
        return {
            "benchmark": self.name,
            "machine": machine(),
            "tables": [
                {"title": title, "rows": [dict(zip(columns, row, strict=True)) for row in rows]}
                for title, columns, rows in self.tables
            ],
            "goals": [{**vars(goal), "met": goal.met} for goal in self.goals],
            "notes": self.notes,
        }

    def _text(self) -> str:
        lines = [f"{self.name} on {machine()}"]
        for title, columns, rows in self.tables:
            cells = [columns, *([_cell(value) for value in row] for row in rows)]
            widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
            lines += ["", title]
            for number, row in enumerate(cells):
                first, *rest = (
                    cell.ljust(w) if i == 0 else cell.rjust(w)
                    for i, (cell, w) in enumerate(zip(row, widths, strict=True))
                )
                lines.append("  " + "  ".join([first, *rest]).rstrip())
                if number == 0:
                    lines.append("  " + "  ".join("-" * w for w in widths))
        lines.append("")
        for goal in self.goals:
            sign = "≥" if goal.at_least else "≤"
            state = "met" if goal.met else "MISSED"
            lines.append(
                f"  {state}: {goal.text}: {_cell(goal.measured)}{goal.unit}, goal {sign} {goal.limit:g}{goal.unit}"
            )
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def machine() -> str:
    """Cores that this process may use, memory, and the versions of Python, Postgres and libraries."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{cores} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def say(message: str) -> None:
    """Progress, on standard error."""
    print(message, file=sys.stderr, flush=True)


def medians(samples: dict[str, list[float]]) -> dict[str, float]:
    """The median of each series."""
    return {name: median(values) for name, values in samples.items()}
