"""A contract whose numbers are carried from one publication to the next says what it says of all rows."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from atlas_pipeline.ingest import withdrawal
from atlas_pipeline.ingest.copying import FILE_ID, LINE
from atlas_pipeline.ingest.dataset import MISSING_SINCE, Column, Dataset, Tombstone
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.silver import SilverResult, Staged
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.quality.contract import read_contract
from atlas_pipeline.quality.counts import Limits, Tally, forget_counts
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.quality.verification import verify
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline_tests.integration.conftest import Feed

pytestmark = pytest.mark.slow

COLUMNS = (
    *(Column(name, kind, action=None) for name, kind in (("id", "integer"), ("amount", "decimal"))),
    *(Column(name, kind, action=None) for name, kind in (("weight", "float"), ("word", "text"), ("on", "date"))),
    *(Column(name, kind, action=None) for name, kind in (("at", "timestamp"), ("op", "text"))),
)
DEAD = Tombstone("(\"op\" = 'D')", ("op",))
UPSERT = Dataset("things", FileSource("*.csv"), COLUMNS, key=("id",), latest_by="at", deleted_by=DEAD)
MODES = {
    "upsert": UPSERT,
    "append": replace(UPSERT, key=(), latest_by=None),
    "flag": replace(UPSERT, intake=Intake(snapshot=True, keep_missing=True, flag_missing=True), latest_by=None),
}
LIMITS = Limits(merges=6, hours=24)
LEAST = {"must_be_greater_than_or_equal": 0}


def _failed(name: str, expression: str, **more: Any) -> dict[str, Any]:
    return {"failed_rows": {"qualifier": name, "expression": expression, **more}}


def _metric(name: str, expression: str) -> dict[str, Any]:
    return {"metric": {"qualifier": name, "expression": expression, "threshold": {"must_be_greater_than": -1000}}}


CHECKS = [
    {"row_count": {"threshold": {"must_be_greater_than": 0}}},
    {"freshness": {"column": "at", "threshold": {"unit": "day", "must_be_less_than": 100_000}}},
    {"duplicate": {"columns": ["word", "on"]}},
    _failed("heavy", "weight > amount"),
    _failed("late", "(at AT TIME ZONE 'UTC')::date > \"on\" + 3"),
    _failed("by_zero", "amount / (id % 5 - 9) > 3", filter="word IS NOT NULL"),
    _failed("moving", "at > now() - interval '10 years'"),
    {"failed_rows": {"qualifier": "own", "query": "SELECT word FROM silver.things GROUP BY word HAVING count(*) > 30"}},
    _metric("share", "avg((word = 'wort')::int)"),
    _metric("sum_of_few", "sum(amount) FILTER (WHERE id < 40)"),
    _metric("spread", "max(amount) - min(amount)"),
    _metric("words", "count(DISTINCT word)"),
    _metric("weight", "avg(weight)"),
    _metric("long", "max(length(word)) FILTER (WHERE word LIKE 'w%')"),
]
OF_COLUMNS: dict[str, list[dict[str, Any]]] = {
    "id": [{"missing": {}}, {"duplicate": {}}, {"invalid": {"valid_min": 3}}],
    "word": [
        {"missing": {"threshold": {"metric": "percent", "must_be_less_than": 10}}},
        {"duplicate": {"threshold": {"metric": "percent", "must_be_less_than": 10}}},
        {"invalid": {"qualifier": "known", "valid_values": ["wort", "w", "x", "now"]}},
        {"invalid": {"qualifier": "shape", "valid_format": {"regex": "^[a-z]+$", "name": "lower"}}},
        {"invalid": {"qualifier": "length", "valid_min_length": 2, "valid_max_length": 4}},
    ],
    "amount": [
        *({"aggregate": {"qualifier": f, "function": f, "threshold": LEAST}} for f in ("min", "max", "avg", "sum")),
        {"invalid": {"valid_max": 40, "threshold": {"must_be_less_than": 100}}},
    ],
    "weight": [
        *({"aggregate": {"qualifier": f, "function": f, "threshold": LEAST}} for f in ("min", "max", "avg", "sum")),
    ],
    "on": [{"missing": {}}],
}


class Contract:
    """A contract of things, verified on what is staged, by counts and on all rows."""

    def __init__(self, path: Path, url: str, limits: Limits = LIMITS, changing: Sequence[str] = ()):
        holders = [{"name": name, "checks": checks} for name, checks in OF_COLUMNS.items()]
        text = yaml.safe_dump({"checks": CHECKS, "columns": holders}, sort_keys=False)
        file = path / "contract.yml"
        file.write_text(f"dataset: atlas/atlas/silver/things\n{text}")
        self.contract, self.url = read_contract(file), url
        self.tally = Tally("silver", "things", limits, changing)
        self.carried = 0
        """How many numbers of the last build were carried."""
        self.seen: list[Outcome] = []

    def __call__(self, dataset: Dataset, staged: Staged) -> list[Outcome]:
        place = (self.contract, self.url, staged.schema, staged.table)
        options: dict[str, Any] = {"published": ("silver", "things"), "key": ["id", FILE_ID, LINE]}
        self.tally.change = staged.change
        self.seen = verify(*place, **options, tally=self.tally)
        whole = verify(*place, **options)
        for one, other in zip(self.seen, whole, strict=True):
            assert _comparable(one) == _comparable(other)
            near = 1e-3 if one.check.type == "freshness" else 1e-12  # time goes by between the two
            same = pytest.approx(other.measured, rel=near, abs=near) if other.measured is not None else None
            assert one.measured == same, one
        self.carried = len(self.tally.before.keys() & self.tally.after.keys())
        return []


def _comparable(one: Outcome) -> Outcome:
    """Without what depends on the moment, and rounding."""
    return replace(one, measured=None, problem=None if one.check.type in ("freshness", "aggregate") else one.problem)


@pytest.fixture
def feed(warehouse: psycopg.Connection, warehouse_url: str, tmp_path: Path) -> Callable[[Dataset], Feed]:
    """A dataset of the test's own."""
    return lambda dataset: Feed(warehouse, warehouse_url, tmp_path, dataset)


def lines(dice: random.Random, ids: range, count: int, version: int) -> str:
    """Rows of a file; some values are missing, some outermost, some say that their key is deleted."""

    def row() -> str:
        word = dice.choice(["wort", "w", "x", "now", "LONG", "", f"w{dice.randrange(30)}"])
        amount = dice.choice(["", str(dice.randrange(-5, 50)), f"{dice.random():.3f}", "1e3"])
        day = f"20{dice.randrange(10, 30)}-0{dice.randrange(1, 10)}-1{dice.randrange(10)}"
        dead = "D" if version and dice.random() < 0.1 else ""
        at = f"{day}T0{dice.randrange(10)}:00:00Z"
        return f"{dice.choice(ids)},{amount},{dice.random() * 40:.4f},{word},{dice.choice(['', day])},{at},{dead}\n"

    return "id,amount,weight,word,on,at,op\n" + "".join(row() for _ in range(count))


def run(feed: Feed, contract: Contract) -> SilverResult[Outcome]:
    """Load and build, and keep what was counted."""
    feed.load()
    return feed.build(verify=contract, recording=contract.tally.keep)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("mode", MODES)
def test_merges_say_what_all_rows_say(
    feed: Callable[[Dataset], Feed], warehouse_url: str, tmp_path: Path, mode: str, seed: int
) -> None:
    """New rows, newer ones, late ones, deletions, corrected and forgotten files, refused builds, in any order."""
    dice, things = random.Random(f"{mode}{seed}"), feed(MODES[mode])
    changing = [MISSING_SINCE] if mode == "flag" else []
    contract = Contract(tmp_path, warehouse_url, changing=changing)
    things.land("000.csv", lines(dice, range(200), 300, 0))
    run(things, contract)
    carried = 0
    for step in range(1, 10):
        action = dice.choice(["new", "new", "new", "new", "correct", "forget", "refused", "outdate"])
        name = f"{dice.randrange(step):03}.csv" if action == "correct" else f"{step:03}.csv"
        if action == "forget" and step > 1:
            gone = dice.choice(things.ledger("uri"))[0]
            withdrawal.forget(things.connection, "things", gone, reason="test", lock_seconds=10)
        if action == "outdate":
            things.outdate()
        count = 250 if mode == "flag" else dice.choice([1, 20])
        things.land(name, lines(dice, range(dice.choice([0, 150]), 220), count, step))
        if action == "refused":
            things.load()
            with pytest.raises(ZeroDivisionError):
                things.build(verify=contract, recording=lambda connection: 1 / 0)
        run(things, contract)
        carried += contract.carried > 15
    assert carried >= 3, "most merges are counted by their rows"


@pytest.fixture
def things(feed: Callable[[Dataset], Feed], warehouse_url: str, tmp_path: Path) -> tuple[Feed, Contract]:
    """A published table whose rows were counted."""
    one, contract = feed(UPSERT), Contract(tmp_path, warehouse_url)
    one.land("000.csv", lines(random.Random(1), range(200), 300, 0))
    run(one, contract)
    return one, contract


def more(feed: Feed, contract: Contract, number: int) -> int:
    """Merge a file of some rows; returns how many numbers were carried."""
    feed.land(f"{number:03}.csv", lines(random.Random(number), range(100, 220), 5, number))
    run(feed, contract)
    assert contract.tally.change is not None
    return contract.carried


def test_all_rows_are_counted_again_now_and_then(things: tuple[Feed, Contract]) -> None:
    one, contract = things
    contract.tally.limits = Limits(merges=2, hours=24)
    assert [more(one, contract, number) > 0 for number in range(1, 7)] == [True, True, False, True, True, False]
    contract.tally.limits = Limits(merges=0, hours=24)
    assert more(one, contract, 7) == 0
    contract.tally.limits = Limits(merges=9, hours=1)
    assert more(one, contract, 8) > 0
    one.connection.execute("UPDATE atlas.check_counts SET counted_at = counted_at - interval '61 minutes'")
    one.connection.commit()
    assert more(one, contract, 9) == 0
    forget_counts(one.connection, "silver", "things")
    one.connection.commit()
    assert more(one, contract, 10) == 0
    one.connection.execute("UPDATE atlas.check_counts SET settings = 'Mars'")
    one.connection.commit()
    assert more(one, contract, 11) == 0


def test_counts_are_of_one_publication(things: tuple[Feed, Contract]) -> None:
    one, contract = things
    assert more(one, contract, 1) > 0
    one.land("002.csv", lines(random.Random(2), range(220), 5, 2))
    one.run()
    assert more(one, contract, 3) == 0, "rows were published that nobody counted"
    assert more(one, contract, 4) > 0


def test_a_changed_check_is_evaluated_on_all_rows_and_the_others_are_not(
    things: tuple[Feed, Contract], tmp_path: Path
) -> None:
    one, contract = things
    assert more(one, contract, 1) > 0
    file = tmp_path / "contract.yml"
    file.write_text(file.read_text().replace("valid_max: 40", "valid_max: 30"))
    contract.contract = read_contract(file)
    carried = more(one, contract, 2)
    assert len(contract.tally.after) - carried == 1


def test_rows_that_somebody_took_out_are_missed_until_all_are_counted(things: tuple[Feed, Contract]) -> None:
    """What carrying costs, as the documentation says it."""
    one, contract = things
    one.connection.execute("DELETE FROM silver.things WHERE id < 3")
    one.connection.commit()
    one.land("001.csv", lines(random.Random(1), range(100, 220), 5, 1))
    with pytest.raises(AssertionError, match="row_count"):
        run(one, contract)
    forget_counts(one.connection, "silver", "things")
    one.connection.commit()
    run(one, contract)
    assert more(one, contract, 2) > 0


def killed(url: str, home: str, folder: str) -> None:
    """In a process of its own: build, and be killed in the transaction that publishes, after all was written."""
    contract = Contract(Path(folder), url)

    def die(connection: psycopg.Connection) -> None:
        contract.tally.keep(connection)
        os.kill(os.getpid(), signal.SIGKILL)

    with connect(url) as connection:
        Feed(connection, url, Path(home), UPSERT).build(verify=contract, recording=die)


def test_a_kill_before_the_commit_leaves_the_counts_of_what_readers_see(
    things: tuple[Feed, Contract], warehouse_url: str, tmp_path: Path
) -> None:
    one, contract = things
    record = "SELECT version, counts, carried FROM atlas.check_counts"
    before = one.query(record)
    one.land("001.csv", lines(random.Random(5), range(100, 220), 50, 1))
    one.load()
    code = f"from {__name__} import killed; import sys; killed(*sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, warehouse_url, str(tmp_path), str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert one.query(record) == before
    assert more(one, contract, 2) > 0
    after = one.query(record)
    assert (after[0][0] > before[0][0], after[0][2]) == (True, 1)
