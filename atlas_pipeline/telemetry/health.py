"""Whether all is well: components that are asked, each in a thread and under a time limit of its own.

Belongs here: asking side by side, and what an answer means. Does not belong here: how a component is asked
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
    """Something that must be well. `problem` asks it and says what is wrong, if anything; to raise is wrong too."""

    name: str
    problem: Callable[[], str | None]
    seconds: float = 2.0


@dataclass(frozen=True)
class Verdict:
    """What came of asking: `problem` is null when the component is well. `seconds` is what it took."""

    name: str
    problem: str | None
    seconds: float


class Health:
    """Components that are asked together. One that did not answer last time and still has not is not asked again."""

    def __init__(self, components: Sequence[Component]):
        self._components = components
        self._asked: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def examine(self) -> list[Verdict]:
        """Ask all at once; no answer takes longer than the slowest limit."""
        started = time.monotonic()
        with self._lock:
            waiting = [(component, *self._ask(component)) for component in self._components]
            found = []
            for component, thread, verdict in waiting:
                limit = component.seconds - (time.monotonic() - started)
                if thread is not None:
                    thread.join(max(0.0, limit))
                late = Verdict(component.name, f"no answer within {component.seconds:g} s", time.monotonic() - started)
                found.append(verdict[0] if verdict else late)
        return found

    def _ask(self, component: Component) -> tuple[threading.Thread | None, list[Verdict]]:
        """The thread that asks, or none while an earlier one still waits; and where its verdict will be."""
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
    """What is wrong with Dagster's daemons; null if nothing is.

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
    """What is wrong with the run queue; null if nothing is.

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
    """What is wrong with code locations, of which `loaded` says whether they are."""
    if not loaded:
        return "there is none"
    missing = sorted(name for name, is_loaded in loaded.items() if not is_loaded)
    return f"not loaded: {', '.join(missing)}" if missing else None


def lagging(seconds: float) -> str | None:
    """What is wrong with an exporter that is so far behind the event log."""
    return f"{seconds:.0f} s behind the event log" if seconds > LAG_SECONDS else None
