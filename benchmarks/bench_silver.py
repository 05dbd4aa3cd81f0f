"""Silver of a full build, beside the same casts and de-duplication written by hand in SQL.

The rows are those of `bench_bronze.py` (10 columns; 2 % of the keys are sent twice), loaded into bronze once. Measured
in turn, each with the same bronze:

- by hand: `CREATE TABLE AS SELECT DISTINCT ON (key)` with a cast for each column, and the primary key, by psycopg, with
  the server's settings as they are. It neither looks for personal data nor treats it, nor says which rows do not fit.
- undeclared: `build_silver`, where nothing is said of any column. The sample is looked at, names and notes are
  redacted, e-mail addresses are hashed, and all text is swept.
- declared: `build_silver`, where each column is declared to hold no personal data.

Each build runs in a process of its own, which has built a table of 1,000 rows before (imports, plans). The CPU time is
that of the measured build alone; on a machine that others use, it says more than the seconds.

Run: .venv/bin/python benchmarks/bench_silver.py [--rows N] [--rounds N] [--json]
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import harness
from bench_bronze import COLUMNS, write_file

from atlas_pipeline.ingest import bronze
from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.silver import SilverBuild, Staged, build_silver
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.ingest.types import POSTGRES_TYPE, ColumnType
from atlas_pipeline.pii.keys import load_keys
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.connect import connect

TYPES: dict[str, ColumnType] = {
    "id": "integer",
    "uuid": "uuid",
    "amount": "decimal",
    "quantity": "integer",
    "created_at": "timestamp",
}
"""Those that are not text."""
KINDS = ("by hand", "undeclared", "declared")


def dataset(name: str, path: Path, kind: str) -> Dataset:
    """The rows as one of the kinds."""
    said: dict[str, Any] = {"pii": "none"} if kind == "declared" else {"action": None}
    columns = tuple(Column(column, TYPES.get(column, "text"), **said) for column in COLUMNS)
    return Dataset(name, FileSource(str(path)), columns, key=("id",), latest_by="created_at")


def load(url: str, name: str, path: Path) -> int:
    """Load a file into bronze. Returns its rows."""
    with connect(url) as connection:
        files = FileSource(str(path)).list(load_settings())
        return bronze.load(connection, name, files, run_id="benchmark").total_rows


def by_hand(url: str, name: str) -> None:
    """The table as somebody would make it."""
    casts = ", ".join(f"{column}::{POSTGRES_TYPE[TYPES.get(column, 'text')]} AS {column}" for column in COLUMNS)
    with connect(url) as connection:
        connection.execute(
            f"CREATE TABLE silver.{name} AS SELECT DISTINCT ON (id::bigint) {casts}, _atlas_file_id, _atlas_line"
            f" FROM bronze.{name} ORDER BY id::bigint, created_at::timestamptz DESC NULLS LAST, _atlas_file_id DESC,"
            " _atlas_line DESC"
        )
        connection.execute(f"ALTER TABLE silver.{name} ADD PRIMARY KEY (id)")


def built(url: str, declared: Dataset) -> None:
    """Build silver; the contract of the dataset has no checks."""

    def holds(_: Dataset, staged: Staged) -> list[Outcome]:
        return []

    with connect(url) as connection:
        build = SilverBuild(connection, url, declared, "benchmark", load_keys(load_settings()))
        if not build_silver(build, holds).published:
            raise RuntimeError("silver was not published")


def run_child(url: str, kind: str, path: Path, few: Path) -> None:
    """In a child process: warm up, build, print the seconds and the rows."""
    seconds = cpu = 0.0
    for one in (few, path):
        started, used = time.perf_counter(), time.process_time()
        if kind == "by hand":
            by_hand(url, one.stem)
        else:
            built(url, dataset(one.stem, one, kind))
        seconds, cpu = time.perf_counter() - started, time.process_time() - used
    with connect(url) as connection:
        row = connection.execute(f"SELECT count(*) FROM silver.{path.stem}").fetchone()
    print(json.dumps({"seconds": seconds, "cpu": cpu, "rows": row[0] if row else 0}))


def clear(url: str, names: tuple[str, ...]) -> None:
    """Forget what was built; bronze stays."""
    with connect(url) as connection:
        for name in names:
            connection.execute(f"DROP TABLE IF EXISTS silver.{name}")
        connection.execute("TRUNCATE atlas.publications, atlas.column_plans")
        connection.execute("UPDATE atlas.files SET silver_at = NULL")


def write(path: Path, rows: int) -> None:
    """Write the file; every 50th row is sent once more at the end."""
    write_file(path, rows, False)
    with path.open("rb") as file:
        again = [line for number, line in enumerate(file) if number and not number % 50]
    with path.open("ab") as file:
        file.writelines(again)


def main() -> int:
    """Measure and print."""
    if sys.argv[1:2] == ["--child"]:
        run_child(sys.argv[2], sys.argv[3], Path(sys.argv[4]), Path(sys.argv[5]))
        return 0
    options = harness.arguments(__doc__, 1_000_000, "distinct rows of the file", 5).parse_args()
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    cpu: dict[str, list[float]] = {kind: [] for kind in KINDS}
    both: dict[str, list[float]] = {kind: [] for kind in KINDS}
    peaks = dict.fromkeys(KINDS, 0.0)
    with harness.scratch() as folder, harness.postgres(folder) as server, harness.database(server) as url:
        path, few = folder / "rows.csv", folder / "few.csv"
        for file, rows in ((few, 1000), (path, options.rows)):
            harness.say(f"loading {rows:,} rows into bronze")
            write(file, rows)
            load(url, file.stem, file)
        for number in range(options.rounds):
            for kind in KINDS:
                harness.say(f"round {number + 1} of {options.rounds}: {kind}")
                harness.checkpoint(server)
                before = harness.server_cpu_seconds(server)
                done = harness.child([sys.executable, __file__, "--child", url, kind, path, few])
                both[kind].append(done.said["cpu"] + harness.server_cpu_seconds(server) - before)
                if done.said["rows"] != options.rows:
                    raise RuntimeError(f"{kind}: {done.said['rows']} of {options.rows} rows")
                seconds[kind].append(done.said["seconds"])
                cpu[kind].append(done.said["cpu"])
                peaks[kind] = max(peaks[kind], done.peak_mib)
                clear(url, (path.stem, few.stem))
    report = harness.Report("bench_silver")
    pairs = {kind: [a / b for a, b in zip(seconds[kind], seconds[KINDS[0]], strict=True)] for kind in KINDS}
    middle, times, spent, all_spent = map(harness.medians, (seconds, pairs, cpu, both))
    report.table(
        f"Silver of {options.rows:,} rows × {len(COLUMNS)} columns and 2 % of the keys twice",
        ["build", "median s", "min s", "max s", "times by hand", "CPU s of the process", "with Postgres", "peak MiB"],
        [[k, middle[k], min(seconds[k]), max(seconds[k]), times[k], spent[k], all_spent[k], peaks[k]] for k in KINDS],
    )
    report.goals += [
        harness.Goal("undeclared columns, times the SQL by hand, median of the rounds' ratios", times["undeclared"], 3),
        harness.Goal("declared columns, times the SQL by hand, median of the rounds' ratios", times["declared"], 2),
    ]
    return report.print(options.json)


if __name__ == "__main__":
    sys.exit(main())
