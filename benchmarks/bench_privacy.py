"""Groups of few persons and reidentification: what both checks cost of a build.

The dataset of `bench_scale.py` goes from a CSV file through bronze and silver into a gold model. Then, in the same
process and in turn, the model is staged as it was written, and with the persons of each group counted, looked at and
taken off again; and silver is grouped by three quasi-identifiers with one sensitive column. What the checks add must
be at most 10 % of the build. The rival is the build without them.

Run: .venv/bin/python benchmarks/bench_privacy.py [--rows N] [--rounds N] [--json]
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import bench_scale
import harness
import psycopg
from psycopg import sql

from atlas_pipeline.pii import small_groups
from atlas_pipeline.pii.reidentification import measure_risk
from atlas_pipeline.pii.small_groups import Cells, Counts
from atlas_pipeline.sql.lineage import read_model
from atlas_pipeline.sql.subjects import COUNT, LEVEL, Subject, count_subjects
from atlas_pipeline.warehouse import gold
from atlas_pipeline.warehouse.connect import connect

MOST = 0.10
QUASI = ["country", "paid_on", "state"]


def stage(connection: psycopg.Connection, *, counted: bool) -> float:
    """Stage the model, with its persons counted or as it is; the seconds that it takes."""
    model = read_model(bench_scale.MODEL.format(dataset="payments"), "models/by_month/model.sql")
    columns = [column.name for column in bench_scale.COLUMNS]
    subjects = {("silver", "payments"): Subject("customer_id", "customers")}
    started = time.perf_counter()
    found = count_subjects(model, {("silver", "payments"): columns}, subjects) if counted else None
    statement = found.statement if found else None
    staged = gold.stage(gold.GoldBuild(connection, "by_month", model.statement, "benchmark", counted=statement))
    if found:
        counts, table = Counts(COUNT, LEVEL, found.keys), sql.Identifier(staged.schema, staged.table)
        with connection.transaction():
            small = small_groups.measure(connection, table, counts, Cells())
            small_groups.compare(connection, table, "by_month", counts, small)
            small_groups.forget_counts(connection, table, counts)
    return time.perf_counter() - started


def risk(connection: psycopg.Connection) -> float:
    """Seconds of k and l over three columns of silver."""
    started = time.perf_counter()
    measure_risk(connection, sql.Identifier("silver", "payments"), QUASI, ["amount"])
    connection.commit()
    return time.perf_counter() - started


def measure(rows: int, rounds: int) -> dict[str, float]:
    """Build once, then take turns; the seconds of each part."""
    with harness.scratch() as home, harness.postgres(home) as server, harness.database(server) as url:
        with tempfile.TemporaryDirectory(prefix="atlas-bench-") as place:
            contract, real = Path(place, "contract.yml"), Path(place, "real")
            contract.write_text(bench_scale.CONTRACT)
            real.mkdir()
            bench_scale.write_file(real / "a.csv", 0, rows, 1)
            build = sum(bench_scale.build(url, "payments", real, contract).values())
        plain, counted, risks = [], [], []
        with connect(url) as connection:
            stage(connection, counted=True)
            for _ in range(rounds):
                plain.append(stage(connection, counted=False))
                counted.append(stage(connection, counted=True))
                risks.append(risk(connection))
    return {"build": build, "model": median(plain), "model counted": median(counted), "reidentification": median(risks)}


def main() -> int:
    """Measure and print."""
    options = harness.arguments(__doc__, 1_000_000, "rows of silver", 5).parse_args()
    seconds = measure(options.rows, options.rounds)
    added = seconds["model counted"] - seconds["model"] + seconds["reidentification"]
    share = added / seconds["build"]
    if options.json:
        print(json.dumps({"rows": options.rows, "seconds": seconds, "share": share, "met": share <= MOST}))
    else:
        for name, value in seconds.items():
            print(f"{name:>18} {value:8.2f} s")
        print(f"the checks add {share:.1%} of the build of {options.rows:,} rows: at most {MOST:.0%}")
    return 0 if share <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
