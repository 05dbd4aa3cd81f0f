"""Scaling: a full build takes time linear in the rows, and an incremental one in the new rows.

A dataset of payments (11 columns; a key, latest_by, one hashed and one masked column, a contract of 5 checks, 2 % of
the keys sent twice) goes from a CSV file through bronze, silver and a gold model, by the same functions that the assets
call. Each build has a database and a process of its own, which has done a build of 1,000 rows before (imports, plans).

- the rival of the full build is itself with a tenth of the rows, in turn: at most 11 times the time;
- then a second file of 1 % of the rows arrives (half of them new keys, half newer versions of known ones): bronze,
  silver and gold once more, at most 15 % of the full build's time. The rival is the full build of the same process.
  This is told for each of two gold models: one of sums, which is computed as a whole, and an incremental one, which has
  a row for each payment.

Run: .venv/bin/python benchmarks/bench_scale.py [--rows N] [--rounds N] [--json]
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness
import psycopg

from atlas_pipeline.ingest import bronze
from atlas_pipeline.ingest.copying import FILE_ID
from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.silver import SilverBuild, Staged, build_silver
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.pii.keys import load_keys
from atlas_pipeline.quality.contract import read_contract
from atlas_pipeline.quality.counts import Limits, Tally
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.quality.verification import verify
from atlas_pipeline.settings import load_settings
from atlas_pipeline.sql.increments import followed, over
from atlas_pipeline.sql.lineage import read_model
from atlas_pipeline.warehouse import gold
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.increments import Incremental, part_of
from atlas_pipeline.warehouse.publish import table_lock

LAYERS = ("bronze", "silver", "gold", "incremental")
SUMS = {"all, sums": ("bronze", "silver", "gold"), "all, incremental": ("bronze", "silver", "incremental")}
COLUMNS = (
    Column("payment_id", action=None),
    Column("customer_id", "integer", action=None),
    Column("email", pii="EMAIL_ADDRESS", action="hash"),
    Column("card", pii="CREDIT_CARD", action="mask"),
    *(Column(name, type, action=None) for name, type in (("amount", "decimal"), ("currency", "text"))),
    *(Column(name, action=None) for name in ("country", "state")),
    Column("paid_on", "date", action=None),
    *(Column(name, "timestamp", action=None) for name in ("created_at", "updated_at")),
)
"""Undeclared columns are profiled in the first build, and swept in every one."""
CONTRACT = """\
dataset: atlas/atlas/silver/payments
checks:
  - row_count:
      threshold:
        must_be_greater_than: 0
columns:
  - name: payment_id
    checks:
      - missing:
      - duplicate:
  - name: amount
    checks:
      - missing:
  - name: currency
    checks:
      - invalid:
          valid_length: 3
"""
MODEL = """\
SELECT country, date_trunc('month', paid_on)::date AS month, currency, count(*) AS payments,
    count(DISTINCT customer_id) AS customers, sum(amount) AS amount
FROM silver.{dataset} WHERE state <> 'returned' GROUP BY country, date_trunc('month', paid_on)::date, currency
"""
ROWS_MODEL = """\
SELECT payment_id, customer_id, country, date_trunc('month', paid_on)::date AS month, amount, currency,
    state = 'returned' AS returned FROM silver.{dataset}
"""
_COUNTRIES = ("DE", "FR", "IT", "ES", "NL", "PL", "SE", "AT")
_STATES = ("new", "paid", "shipped", "returned")


def write_file(path: Path, first: int, rows: int, version: int) -> None:
    """Write payments from number `first` on; every 50th is followed by a newer version of itself."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(",".join(column.name for column in COLUMNS) + "\n")
        file.writelines(_row(first + i - (1 if i % 50 == 49 else 0), version + (i % 50 == 49)) for i in range(rows))


def _row(i: int, version: int) -> str:
    mixed = i * 2654435761 % (1 << 32)
    day = f"2026-{mixed % 12 + 1:02}-{mixed % 28 + 1:02}"
    return (
        f"P-{i:09},{mixed % 200_003},user{mixed % 200_003}@example.com,4111 {mixed % 9000 + 1000} {i % 9000 + 1000} 11,"
        f"{mixed % 1_000_000 / 100},EUR,{_COUNTRIES[mixed % 8]},{_STATES[mixed % 4]},{day},"
        f"{day}T{mixed % 24:02}:{mixed % 60:02}:00Z,2027-01-01T00:{version:02}:00Z\n"
    )


built: set[str] = set()
"""Tables that this process has built."""


def build(url: str, name: str, folder: Path, contract: Path) -> dict[str, float]:
    """Bring all layers up to date with the folder, and return the seconds of each."""
    dataset = Dataset(name, FileSource(f"{folder}/*.csv"), COLUMNS, key=("payment_id",), latest_by="updated_at")

    tally = Tally("silver", name, Limits(merges=50, hours=24))

    def outcomes(_: Dataset, staged: Staged) -> list[Outcome]:
        table = (staged.schema, staged.table)
        tally.change = staged.change
        return verify(read_contract(contract), url, *table, published=("silver", name), tally=tally)

    seconds = {}
    with connect(url) as connection:
        for layer in LAYERS:
            started = time.perf_counter()
            if layer == "bronze":
                bronze.load(connection, name, dataset.source.list(load_settings()), run_id="benchmark")
            elif layer == "silver":
                work = SilverBuild(
                    *(connection, url, dataset, "benchmark", load_keys(load_settings())), recording=tally.keep
                )
                build_silver(work, outcomes)
            else:
                model = _sums(connection, name) if layer == "gold" else _incremental(connection, name)
                with table_lock(connection, "gold", model.name, 600):
                    staged = gold.stage(model)
                    if layer == "incremental" and name in built and not staged.increment:
                        raise RuntimeError(f"gold was computed as a whole: {staged.whole}")
                    with connection.transaction():
                        gold.publish(model, staged)
            seconds[layer] = time.perf_counter() - started
        built.add(name)
        expected = _keys(folder)
        row = connection.execute(f"SELECT count(*) FROM silver.{name}").fetchone()
        if row is None or row[0] != expected:
            raise RuntimeError(f"silver.{name} has {row} rows instead of {expected}")
    return seconds


def _sums(connection: psycopg.Connection, name: str) -> gold.GoldBuild:
    return gold.GoldBuild(
        connection, f"by_month_{name}", MODEL.format(dataset=name), "benchmark", sources=[("silver", name)]
    )


def _incremental(connection: psycopg.Connection, name: str) -> gold.GoldBuild:
    table, key = f"rows_of_{name}", ["payment_id"]
    model = read_model(ROWS_MODEL.format(dataset=name), f"{table}/model.sql")
    source = followed(model, key)
    incremental = Incremental(("silver", name), source.columns, over(model, source, part_of(table)), FILE_ID)
    return gold.GoldBuild(
        connection, table, model.statement, "benchmark", key, [("silver", name)], incremental=incremental
    )


def _keys(folder: Path) -> int:
    keys: set[str] = set()
    for path in folder.glob("*.csv"):
        with path.open(encoding="utf-8") as file:
            next(file)
            keys.update(line[:11] for line in file)
    return len(keys)


def run_child(url: str, rows: int) -> None:
    """In a child process: warm up, build, add 1 %, build again; print the seconds."""
    with tempfile.TemporaryDirectory(prefix="atlas-bench-") as place:
        contract, warm, real = Path(place, "contract.yml"), Path(place, "warm"), Path(place, "real")
        contract.write_text(CONTRACT)
        warm.mkdir()
        real.mkdir()
        write_file(warm / "a.csv", 0, 1000, 1)
        build(url, "warm", warm, contract)
        write_file(real / "a.csv", 0, rows, 1)
        full = build(url, "payments", real, contract)
        new = max(rows // 100, 2)
        write_file(real / "b.csv", rows - new // 2, new, 3)
        more = build(url, "payments", real, contract)
    print(json.dumps({"full": full, "more": more}))


def main() -> int:
    """Measure and print."""
    if sys.argv[1:2] == ["--child"]:
        run_child(sys.argv[2], int(sys.argv[3]))
        return 0
    options = harness.arguments(
        __doc__, 1_000_000, "rows of the large build; the small one has a tenth", 5
    ).parse_args()
    sizes = (options.rows // 10, options.rows)
    full: dict[int, dict[str, list[float]]] = {size: {layer: [] for layer in (*LAYERS, *SUMS)} for size in sizes}
    more: dict[int, dict[str, list[float]]] = {size: {layer: [] for layer in (*LAYERS, *SUMS)} for size in sizes}
    peaks = dict.fromkeys(sizes, 0.0)
    with harness.scratch() as folder, harness.postgres(folder) as server:
        for number in range(options.rounds):
            for size in sizes:
                harness.say(f"round {number + 1} of {options.rounds}: {size:,} rows")
                with harness.database(server) as url:
                    harness.checkpoint(server)
                    done = harness.child([sys.executable, __file__, "--child", url, str(size)])
                peaks[size] = max(peaks[size], done.peak_mib)
                for samples, seconds in ((full[size], done.said["full"]), (more[size], done.said["more"])):
                    for layer in LAYERS:
                        samples[layer].append(seconds[layer])
                    for name, layers in SUMS.items():
                        samples[name].append(sum(seconds[layer] for layer in layers))
    small, large = sizes
    report = harness.Report("bench_scale")
    rows: list[list[Any]] = []
    for layer in (*LAYERS, *SUMS):
        few, many, new = (harness.medians(part)[layer] for part in (full[small], full[large], more[large]))
        rows.append(
            [
                layer,
                few,
                many,
                _ratio(full[large][layer], full[small][layer]),
                new,
                _ratio(more[large][layer], full[large][layer]) * 100,
            ]
        )
    report.table(
        f"Median seconds of {options.rounds} rounds",
        [
            "layer",
            f"{small:,} rows",
            f"{large:,} rows",
            "times",
            f"+{max(large // 100, 2):,} rows",
            "% of the full build",
        ],
        rows,
    )
    report.table("Peak memory of the process", ["rows", "peak MiB"], [[size, peaks[size]] for size in sizes])
    report.goals += [
        harness.Goal("ten times the rows, times the time", rows[-2][3], 11),
        harness.Goal("1 % new rows, share of the full build, gold of sums", rows[-2][5], 15, unit=" %"),
        harness.Goal("1 % new rows, share of the full build, incremental gold", rows[-1][5], 15, unit=" %"),
    ]
    return report.print(options.json)


def _ratio(above: list[float], below: list[float]) -> float:
    """The median of the rounds' ratios."""
    return harness.medians({"": [a / b for a, b in zip(above, below, strict=True)]})[""]


if __name__ == "__main__":
    sys.exit(main())
