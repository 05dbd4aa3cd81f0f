"""Many small files: what a file costs besides its rows.

The rival is the same data as one file of as many rows, loaded by the same code into another database of the same
server, in turn: bronze, then silver (11 declared and undeclared columns, a key, a contract without checks). Each build
runs in a process of its own, which has done one of 1,000 rows before (imports, plans).

Run: .venv/bin/python benchmarks/bench_files.py [--rows N] [--files N] [--rounds N] [--json]
"""

import json
import sys
import time
from pathlib import Path

import harness
from bench_scale import COLUMNS, write_file

from atlas_pipeline.ingest import bronze
from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.ingest.silver import SilverBuild, Staged, build_silver
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.pii.keys import load_keys
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.connect import connect

LAYERS = ("bronze", "silver", "both")


def build(url: str, name: str, folder: Path) -> dict[str, float]:
    """Bring both layers up to date with the folder, and return the seconds of each."""

    def holds(_: Dataset, staged: Staged) -> list[Outcome]:
        return []

    dataset = Dataset(name, FileSource(f"{folder}/*.csv"), COLUMNS, key=("payment_id",), latest_by="updated_at")
    with connect(url) as connection:
        started = time.perf_counter()
        bronze.load(connection, name, dataset.source.list(load_settings()), run_id="benchmark")
        loaded = time.perf_counter()
        build_silver(SilverBuild(connection, url, dataset, "benchmark", load_keys(load_settings())), holds)
        done = time.perf_counter()
    return {"bronze": loaded - started, "silver": done - loaded, "both": done - started}


def run_child(url: str, few: Path, folder: Path) -> None:
    """In a child process: warm up, build, print the seconds and the rows."""
    build(url, "warm", few)
    seconds = build(url, "payments", folder)
    with connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM bronze.payments").fetchone()
    print(json.dumps({"seconds": seconds, "rows": row[0] if row else 0}))


def main() -> int:
    """Measure and print."""
    if sys.argv[1:2] == ["--child"]:
        run_child(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
        return 0
    parser = harness.arguments(__doc__, 30_000, "rows in all", 3)
    parser.add_argument("--files", type=int, default=3_000, help="files that these rows are in (default: 3,000)")
    options = parser.parse_args()
    kinds = {"one file": 1, f"{options.files:,} files": options.files}
    seconds: dict[str, dict[str, list[float]]] = {kind: {layer: [] for layer in LAYERS} for kind in kinds}
    peaks = dict.fromkeys(kinds, 0.0)
    with harness.scratch() as folder, harness.postgres(folder) as server:
        for place, files, rows in (("few", 1, 1000), *((kind, files, options.rows) for kind, files in kinds.items())):
            (folder / place).mkdir()
            each = rows // files
            for number in range(files):
                write_file(folder / place / f"{number:06}.csv", number * each, each, 1)
        for number in range(options.rounds):
            for kind in kinds:
                harness.say(f"round {number + 1} of {options.rounds}: {kind}")
                with harness.database(server) as url:
                    harness.checkpoint(server)
                    done = harness.child([sys.executable, __file__, "--child", url, folder / "few", folder / kind])
                if done.said["rows"] != options.rows:
                    raise RuntimeError(f"{kind}: {done.said['rows']} of {options.rows} rows")
                for layer in LAYERS:
                    seconds[kind][layer].append(done.said["seconds"][layer])
                peaks[kind] = max(peaks[kind], done.peak_mib)
    report = harness.Report("bench_files")
    one, many = kinds
    rows = []
    for layer in LAYERS:
        pairs = [a / b for a, b in zip(seconds[many][layer], seconds[one][layer], strict=True)]
        middle = harness.medians({one: seconds[one][layer], many: seconds[many][layer], "times": pairs})
        rows.append([layer, middle[one], middle[many], middle["times"], middle[many] / options.files * 1000])
    report.table(
        f"{options.rows:,} rows × {len(COLUMNS)} columns, median seconds of {options.rounds} rounds",
        ["layer", one, many, "times one file", "ms a file"],
        rows,
    )
    report.table("Peak memory of the process", ["files", "peak MiB"], [[kind, peaks[kind]] for kind in kinds])
    report.goals.append(
        harness.Goal(f"{many} against one, bronze and silver, median of the rounds' ratios", rows[-1][3], 10)
    )
    return report.print(options.json)


if __name__ == "__main__":
    sys.exit(main())
