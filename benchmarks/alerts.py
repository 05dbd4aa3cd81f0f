"""Throughput of alerting: the fold in memory, and whole ticks of the sensor over a real event log.

Belongs here: the part `fold`, on generated events of 500 assets, for three scenarios. Does not belong here: the part
`tick`, which reads Dagster's event log and writes the outbox (`alerts_tick.py`).

- quiet: assets materialize with a score and pass their checks, one run in a hundred fails;
- storm: each run fails at a step and at a check, and is retried twice;
- flapping: each check fails and passes in turn, in runs that succeed.

Each is folded `--tick` events at a time, five seconds apart, as the sensor does when it catches up. Memory is that of
this process, including the events.

Run: .venv/bin/python benchmarks/alerts.py [--rows N] [--rounds N] [--only PART …] [--json]
"""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from statistics import median

import alerts_tick
import harness

from atlas_pipeline.alerting.conditions import Known
from atlas_pipeline.alerting.fold import fold
from atlas_pipeline.alerting.policy import Policies, default_policies
from atlas_pipeline.alerting.state import State
from atlas_pipeline.event_log.event import Event

GOAL = 5_000
START, TICK = datetime(2026, 1, 1, tzinfo=UTC), timedelta(seconds=5)
ASSETS = [f"silver/table_{number}" for number in range(500)]
KNOWN = Known(frozenset(ASSETS), frozenset({"daily"}))
POLICIES = Policies(default_policies(), ("mail", "chat"))


def quiet() -> Iterator[Event]:
    """Runs of which nearly all succeed."""
    ids = count()
    for number in count():
        asset, run = (ASSETS[number % len(ASSETS)],), f"run-{number}"
        for name in ("rows_accounted", "contract", "leak_check"):
            yield Event(next(ids), "check", START, run, run, assets=asset, check=name)
        if number % 100:
            yield Event(next(ids), "materialized", START, run, run, assets=asset, score=0.99)
            yield Event(next(ids), "run_succeeded", START, run, run, job="daily")
        else:
            yield Event(next(ids), "step_failed", START, run, run, assets=asset, step="load")
            yield Event(next(ids), "run_failed", START, run, run, job="daily")


def storm() -> Iterator[Event]:
    """Runs that fail, and whose retries fail."""
    ids = count()
    for number in count():
        asset, root = (ASSETS[number % len(ASSETS)],), f"run-{number}"
        for attempt in range(3):
            run, more = f"{root}-{attempt}", attempt < 2
            said = {"run": run, "root_run": root, "may_retry": more}
            other = (ASSETS[(number + 1) % len(ASSETS)],)
            yield Event(next(ids), "check", START, assets=other, check="contract", passed=False, **said)
            yield Event(next(ids), "step_failed", START, assets=asset, step="load", problem="no such file", **said)
            yield Event(next(ids), "run_failed", START, job="daily", will_retry=more, **said)


def flapping() -> Iterator[Event]:
    """Checks that fail and pass in turn."""
    for number in count():
        asset, run = (ASSETS[number % len(ASSETS)],), f"run-{number}"
        passed = bool(number // len(ASSETS) % 2)
        yield Event(2 * number, "check", START, run, run, assets=asset, check="contract", passed=passed)
        yield Event(2 * number + 1, "run_succeeded", START, run, run, job="daily")


PARTS = ("fold", "tick")
KINDS: dict[str, Callable[[], Iterator[Event]]] = {"quiet": quiet, "storm": storm, "flapping": flapping}


def folded(events: list[Event], tick: int) -> tuple[float, State, int]:
    """Fold all events; returns the seconds, the final state, and the number of messages."""
    state, messages = State(), 0

    def work() -> None:
        nonlocal state, messages
        for number, first in enumerate(range(0, len(events), tick)):
            some = events[first : first + tick]
            state, made = fold(state, some, POLICIES, (), START + number * TICK, KNOWN)
            messages += len(made)

    return harness.timed(work), state, messages


def measure(report: harness.Report, number_of_events: int, tick: int, rounds: int) -> None:
    """Fold and report."""
    events = {name: list(islice(make(), number_of_events)) for name, make in KINDS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in KINDS}
    ends: dict[str, tuple[State, int]] = {}
    before = harness.own_peak_mib()
    for number in range(rounds):
        harness.say(f"round {number + 1} of {rounds}")
        for name, some in events.items():
            took, state, messages = folded(some, tick)
            seconds[name].append(took)
            ends[name] = state, messages
    columns = ["", "events/s", "slowest", "alerts", "runs", "messages"]
    rows = [
        [
            name,
            number_of_events / median(took),
            number_of_events / max(took),
            len(state.alerts),
            len(state.runs),
            messages,
        ]
        for name, took in seconds.items()
        for state, messages in [ends[name]]
    ]
    report.table(f"{number_of_events:,} events of {len(ASSETS)} assets, {tick:,} in a fold", columns, rows)
    report.goals.append(
        harness.Goal("events folded in a second, the slowest kind", min(row[1] for row in rows), GOAL, at_least=True)
    )
    peak = harness.own_peak_mib()
    report.notes.append(
        f"peak memory {peak:.0f} MiB, of which {before:.0f} before the first fold, with all events made"
    )


def main() -> int:
    """Measure and print. Returns the exit code: 1 when a goal was missed."""
    parser = harness.arguments(__doc__, 100_000, "events", 5)
    parser.add_argument("--tick", type=int, default=5_000, help="events in one fold (default: 5,000)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="the parts to run (default: all)")
    args = parser.parse_args()
    report = harness.Report("alerts")
    if "tick" in args.only:
        alerts_tick.measure(report, args.rows)
    if "fold" in args.only:
        measure(report, args.rows, args.tick, args.rounds)
    return report.print(args.json)


if __name__ == "__main__":
    sys.exit(main())
