"""Metrics of the machine: memory, processors and disks, and the processes of this installation.

Belongs here: asking the operating system. Does not belong here: this process's own work (`tally.py`).
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from atlas_pipeline.telemetry.sample import Sample

KINDS = ("webserver", "daemon", "code", "run", "ops", "postgres")
_WORDS = (
    ("execute_run", "run"),
    ("execute_step", "run"),
    ("code-server", "code"),
    ("grpc", "code"),
    ("dagster_webserver", "webserver"),
    ("dagster-webserver", "webserver"),
    ("dagster._daemon", "daemon"),
    ("dagster-daemon", "daemon"),
)
"""What tells Dagster's processes by their command lines, the surest first."""


class Machine:
    """Samples the machine for the installation at `home`; `places` are folders, by name, whose disks are sampled.

    Time on processors is added up while this object lives, so that it does not fall when a process ends.
    """

    def __init__(self, home: Path, places: Mapping[str, Path]):
        self._dagster_home = str(home / "dagster")
        self._postgres = str((home / "postgres" / "data").resolve())
        self._places = places
        self._kinds: dict[psutil.Process, str | None] = {}
        self._seconds: dict[psutil.Process, float] = {}
        self._spent = dict.fromkeys(KINDS, 0.0)
        self._first = True
        psutil.cpu_percent()

    def samples(self) -> Iterator[Sample]:
        """All samples."""
        yield from self._processes()
        yield Sample("atlas_cpu_usage_ratio", {}, psutil.cpu_percent() / 100)
        memory = psutil.virtual_memory()
        yield Sample("atlas_system_memory_bytes", {"state": "total"}, memory.total)
        yield Sample("atlas_system_memory_bytes", {"state": "available"}, memory.available)
        for place, folder in self._places.items():
            existing = next(path for path in (folder, *folder.parents) if path.exists())
            disk = psutil.disk_usage(str(existing))
            yield Sample("atlas_disk_size_bytes", {"place": place}, disk.total)
            yield Sample("atlas_disk_free_bytes", {"place": place}, disk.free)

    def _processes(self) -> Iterator[Sample]:
        number, memory = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
        kinds: dict[psutil.Process, str | None] = {}
        seconds: dict[psutil.Process, float] = {}
        for process in psutil.process_iter():
            kind = kinds[process] = self._kinds[process] if process in self._kinds else self._kind(process)
            if kind is None:
                continue
            try:
                with process.oneshot():
                    resident, times = process.memory_info().rss, process.cpu_times()
            except psutil.Error:
                continue
            number[kind] += 1
            memory[kind] += resident
            seconds[process] = times.user + times.system
            before = self._seconds.get(process, seconds[process] if self._first else 0.0)
            self._spent[kind] += max(0.0, seconds[process] - before)
        self._kinds, self._seconds, self._first = kinds, seconds, False
        for kind in KINDS:
            labels = {"process": kind}
            yield Sample("atlas_processes", labels, number[kind])
            yield Sample("atlas_memory_usage_bytes", labels, memory[kind])
            yield Sample("atlas_cpu_seconds_total", labels, self._spent[kind])

    def _kind(self, process: psutil.Process) -> str | None:
        if process.pid == os.getpid():
            return "ops"
        try:
            name = process.name()
            if name == "postgres":
                return "postgres" if process.cwd() == self._postgres else None
            if not name.startswith(("python", "dagster")):
                return None
            words = process.cmdline()
            named = {word.rpartition("/")[2] for word in words}
            kind = next((kind for word, kind in _WORDS if word in named), None)
            return kind if kind and process.environ().get("DAGSTER_HOME") == self._dagster_home else None
        except psutil.Error:
            return None
