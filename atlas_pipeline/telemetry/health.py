"""Health checks: probe components in parallel, each in its own thread with its own timeout.

Belongs here: running probes, and what a result means. Does not belong here: how a component is probed
(`ops/components.py`). Reasons are our own words: no address, password or value is in them.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

DAEMONS = (
    *("SENSOR", "BACKFILL", "SCHEDULER", "QUEUED_RUN_COORDINATOR", "MONITORING", "EVENT_LOG_CONSUMER", "ASSET"),
    "FRESHNESS_DAEMON",
)
"""The daemons that the project's dagster.yaml asks for."""
HEARTBEAT_SECONDS = 60.0
"""A daemon that gave no sign of life for so long is ill; a healthy one gives one every 30 s."""
QUEUE_SECONDS = 600.0
"""A queue is stuck when its oldest run waits for so long, none began meanwhile, and there was room for one."""
LAG_SECONDS = 300.0
"""The exporter lags when the last event that it counted is older than this while others wait."""


@dataclass(frozen=True)
class Component:
    """A component to probe. `problem` returns what is wrong, or null; an exception counts as wrong."""

    name: str
    problem: Callable[[], str | None]
    seconds: float = 2.0


@dataclass(frozen=True)
class Verdict:
    """The result of a probe: `problem` is null when the component is healthy; `seconds` is its duration."""

    name: str
    problem: str | None
    seconds: float


class Health:
    """Probes all components together. One whose last probe still hangs is not probed again."""

    def __init__(self, components: Sequence[Component]):
        self._components = components
        self._asked: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def examine(self) -> list[Verdict]:
        """Probe all at once; takes at most the longest timeout."""
        started = time.monotonic()
        with self._lock:
            waiting = [(component, *self._ask(component)) for component in self._components]
            verdicts = []
            for component, thread, verdict in waiting:
                limit = component.seconds - (time.monotonic() - started)
                if thread is not None:
                    thread.join(max(0.0, limit))
                late = Verdict(component.name, f"no answer within {component.seconds:g} s", time.monotonic() - started)
                verdicts.append(verdict[0] if verdict else late)
        return verdicts

    def _ask(self, component: Component) -> tuple[threading.Thread | None, list[Verdict]]:
        """Start the probe's thread, unless an earlier one still runs; and the list that gets its verdict."""
        verdict: list[Verdict] = []
        before = self._asked.get(component.name)
        if before is not None and before.is_alive():
            return None, verdict
        thread = threading.Thread(target=_ask, args=(component, verdict), name=f"health {component.name}", daemon=True)
        self._asked[component.name] = thread
        thread.start()
        return thread, verdict


def _ask(component: Component, verdict: list[Verdict]) -> None:
    started = time.monotonic()
    try:
        problem = component.problem()
    except Exception as error:  # noqa: BLE001 — a component that cannot be asked is not well, whatever the reason
        problem = f"it cannot be asked ({type(error).__name__})"
    verdict.append(Verdict(component.name, problem, time.monotonic() - started))


def silent_daemons(ages: Mapping[str, float], required: Collection[str]) -> str | None:
    """What is wrong with Dagster's daemons, or null.

    Args:
        ages: seconds since the last heartbeat of each daemon that ever had one.
        required: the daemons that must run.
    """
    never = sorted(daemon.lower() for daemon in required if daemon not in ages)
    ill = sorted(daemon for daemon in required if ages.get(daemon, 0) > HEARTBEAT_SECONDS)
    silent = [f"{daemon.lower()} for {ages[daemon]:.0f} s" for daemon in ill]
    problems = [f"never alive: {', '.join(never)}"] if never else []
    problems += [f"no sign of life: {', '.join(silent)}"] if silent else []
    return "; ".join(problems) or None


def stuck_queue(
    length: int, oldest_seconds: float, going_on: int, room: int, last_start_seconds_ago: float | None
) -> str | None:
    """What is wrong with the run queue, or null.

    Args:
        length: queued runs.
        oldest_seconds: how long the oldest of them has been queued.
        going_on: runs that were started and have not ended.
        room: how many may run at once.
        last_start_seconds_ago: since the last run began; null if none ever did.
    """
    none_began = last_start_seconds_ago is None or last_start_seconds_ago > QUEUE_SECONDS
    if length and oldest_seconds > QUEUE_SECONDS and going_on < room and none_began:
        return f"{length} runs wait, the oldest for {oldest_seconds:.0f} s, and none begins"
    return None


def missing_locations(loaded: Mapping[str, bool]) -> str | None:
    """Which code locations are not loaded, or null."""
    if not loaded:
        return "there is none"
    missing = sorted(name for name, is_loaded in loaded.items() if not is_loaded)
    return f"not loaded: {', '.join(missing)}" if missing else None


def lagging(seconds: float) -> str | None:
    """Whether the exporter lags behind the event log, or null."""
    return f"{seconds:.0f} s behind the event log" if seconds > LAG_SECONDS else None
