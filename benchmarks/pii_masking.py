"""Throughput of masking typed columns, and memory of `atlas pii mask` by the length of the file.

Measured: `apply` on a frame of ten columns, each action alone and all together, as the median of interleaved rounds;
and the peak memory of `atlas pii mask` on a file and on one ten times as long. `pii.py` runs this.
"""

import random
import sys
import time
from pathlib import Path

import harness
import pandas as pd

from atlas_pipeline.pii.apply import apply
from atlas_pipeline.pii.keys import Keys, load_keys
from atlas_pipeline.pii.kinds import Action
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.settings import Settings

CELLS_PER_SECOND = 1_000_000
FILE_ROWS = 100_000
FILE_TIMES = 10
MOST_GROWTH = 1.15
TABLE: tuple[tuple[str, str, Action], ...] = (
    ("full_name", "PERSON", "redact"),
    ("email", "EMAIL_ADDRESS", "hash"),
    ("user_name", "USERNAME", "hash"),
    ("phone", "PHONE_NUMBER", "mask"),
    ("card", "CREDIT_CARD", "mask"),
    ("date_of_birth", "DATE_OF_BIRTH", "generalise"),
    ("postcode", "ZIPCODE", "generalise"),
    ("age", "AGE", "generalise"),
    ("ip_address", "IP_ADDRESS", "generalise"),
    ("latitude", "GEO_COORDINATES", "generalise"),
)


def people(rows: int, seed: int = 7) -> pd.DataFrame:
    """A table of invented people, with as many distinct values as a real one, and one cell in fifty missing."""
    chance = random.Random(seed)
    frame = pd.DataFrame(
        {
            "full_name": [f"Given{chance.randrange(2_000)} Family{chance.randrange(5_000)}" for _ in range(rows)],
            "email": [f"person{n}@example.com" for n in range(rows)],
            "user_name": [f"user{chance.randrange(rows // 10 + 1)}" for _ in range(rows)],
            "phone": [f"+1 415 {chance.randrange(200, 999)} {chance.randrange(10_000):04}" for _ in range(rows)],
            "card": [card(chance) for _ in range(rows)],
            "date_of_birth": [
                f"{chance.randrange(1930, 2010)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
                for _ in range(rows)
            ],
            "postcode": [f"{chance.randrange(100_000):05}" for _ in range(rows)],
            "age": [str(chance.randrange(18, 100)) for _ in range(rows)],
            "ip_address": [".".join(str(chance.randrange(1, 255)) for _ in range(4)) for _ in range(rows)],
            "latitude": [f"{chance.uniform(-90, 90):.6f}" for _ in range(rows)],
        }
    )
    return frame.mask(pd.DataFrame({name: [chance.random() < 0.02 for _ in range(rows)] for name in frame}))


def card(chance: random.Random) -> str:
    """A number with a card's first digit, length and check digit."""
    body = f"4{chance.randrange(10**14):014}"
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in body[::2])
    return body + str(-(doubled + sum(map(int, body[1::2]))) % 10)


def planned(name: str, kind: str, action: Action) -> ColumnPlan:
    """The plan of a typed column."""
    return ColumnPlan(name, "typed", kind, 1.0, {}, action, kind)


def speeds(frame: pd.DataFrame, keys: Keys, rounds: int) -> dict[str, float]:
    """Cells per second of each case."""
    cases = {f"{action} {name}": [planned(name, kind, action)] for name, kind, action in TABLE}
    cases["encrypt email"] = [planned("email", "EMAIL_ADDRESS", "encrypt")]
    cases["all ten columns"] = [planned(*one) for one in TABLE]
    samples: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds):
        harness.say(f"round {number + 1} of {rounds}")
        for name, plans in cases.items():
            started = time.perf_counter()
            apply(frame, plans, keys)
            samples[name].append(len(frame) * len(plans) / (time.perf_counter() - started))
    return harness.medians(samples)


def peaks(folder: Path) -> list[tuple[int, harness.Child]]:
    """Run `atlas pii mask` on a file and on a longer one."""
    frame = people(FILE_ROWS)
    found = []
    for times in (1, FILE_TIMES):
        path = folder / f"people-{times}.csv"
        for part in range(times):
            frame.to_csv(path, index=False, mode="a", header=part == 0)
        harness.say(f"masking {len(frame) * times:,} rows")
        command = [sys.executable, "-m", "atlas_pipeline.cli", "pii", "mask", path, "-o", folder / "out.csv", "--json"]
        found.append((len(frame) * times, harness.child(command, env={"ATLAS_HOME": str(folder / "home")})))
    return found


def measure(report: harness.Report, rows: int, rounds: int) -> None:
    """Add speeds and peaks to a report."""
    with harness.scratch() as folder:
        found = speeds(people(rows), load_keys(Settings(home=folder / "home")), rounds)
        files = peaks(folder)
    speed = [[name, one] for name, one in found.items()]
    report.table(f"Typed columns, {rows:,} rows, median of {rounds}", ["case", "cells/s"], speed)
    report.table(
        "atlas pii mask, a CSV of ten columns",
        ["rows", "seconds", "peak MiB"],
        [[rows, one.seconds, one.peak_mib] for rows, one in files],
    )
    whole = found["all ten columns"]
    report.goals.append(harness.Goal("typed cells masked a second", whole, CELLS_PER_SECOND, at_least=True))
    growth = files[1][1].peak_mib / files[0][1].peak_mib
    report.goals.append(harness.Goal(f"peak memory of {FILE_TIMES} times the rows", growth, MOST_GROWTH, unit=" times"))
