"""Speed and memory of reading a workbook, against pandas with openpyxl.

Measured on the same .xlsx file (10 columns of numbers, texts, dates and booleans), in turn, each in a process of its
own; imports are not counted:

- atlas: `readers.read` to batches of text, all of them taken. The process that reads the file, and its look at the
  file's XML, are included.
- pandas: `read_excel(engine="openpyxl")`.

Run: .venv/bin/python benchmarks/bench_excel.py [--rows N] [--rounds N] [--json]
"""

import datetime as dt
import json
import sys
import time
from pathlib import Path

import harness

COLUMNS = ("id", "amount", "email", "country", "quantity", "name", "code", "total", "day", "paid")


def write_file(path: Path, rows: int) -> None:
    """Write a sheet with shared strings, as Excel does."""
    import xlsxwriter

    with xlsxwriter.Workbook(str(path), {"in_memory": True}) as book:
        sheet, day = book.add_worksheet("Data"), book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.write_row(0, 0, COLUMNS)
        for i in range(1, rows + 1):
            sheet.write_row(i, 0, [i, i * 1.25, f"user{i}@example.com", ("DE", "FR", "IT")[i % 3], i % 7])
            sheet.write_row(i, 5, [f"name {i % 997}", f"{i:06d}", i * 3])
            sheet.write_datetime(i, 8, dt.datetime(2024, 1, 1) + dt.timedelta(days=i % 365), day)
            sheet.write_boolean(i, 9, i % 2 == 0)


def read_atlas(path: Path) -> int:
    """Read all batches; the number of rows."""
    from atlas_pipeline.ingest.readers import read

    with path.open("rb") as stream:
        return sum(batch.rows.num_rows for batch in read(stream, path.name))


def read_pandas(path: Path) -> int:
    """The same through pandas."""
    import pandas as pd

    return len(pd.read_excel(path, engine="openpyxl"))


def child(kind: str, path: Path) -> None:
    """In a child process: read, and print the seconds and the rows."""
    if kind == "atlas":
        import atlas_pipeline.ingest.readers.workbook  # noqa: F401 — imports are not measured
    else:
        import openpyxl  # noqa: F401
        import pandas  # noqa: F401
    started = time.perf_counter()
    rows = read_atlas(path) if kind == "atlas" else read_pandas(path)
    print(json.dumps({"seconds": time.perf_counter() - started, "rows": rows}))


def main() -> int:
    """Measure and print."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]))
        return 0
    options = harness.arguments(__doc__, 100_000, "rows of the sheet", 3).parse_args()
    report = harness.Report("bench_excel")
    seconds: dict[str, list[float]] = {"atlas": [], "pandas": []}
    peaks = dict.fromkeys(seconds, 0.0)
    with harness.scratch() as folder:
        path = folder / "rows.xlsx"
        harness.say(f"writing {options.rows:,} rows")
        write_file(path, options.rows)
        for number in range(options.rounds):
            for kind, samples in seconds.items():
                harness.say(f"round {number + 1} of {options.rounds}: {kind}")
                done = harness.child([sys.executable, __file__, "--child", kind, path])
                if done.said["rows"] != options.rows:
                    raise RuntimeError(f"{kind} read {done.said['rows']} of {options.rows} rows")
                samples.append(done.said["seconds"])
                peaks[kind] = max(peaks[kind], done.peak_mib)
        size = path.stat().st_size / 1e6
    middle = harness.medians(seconds)
    report.table(
        f".xlsx to rows, {options.rows:,} rows × {len(COLUMNS)} columns, {size:,.1f} MB",
        ["reader", "median s", "min s", "max s", "rows/s", "peak MiB of the largest process"],
        [
            [kind, middle[kind], min(samples), max(samples), round(options.rows / middle[kind]), peaks[kind]]
            for kind, samples in seconds.items()
        ],
    )
    pairs = [a / b for a, b in zip(seconds["pandas"], seconds["atlas"], strict=True)]
    ratio = harness.medians({"ratio": pairs})["ratio"]
    report.goals.append(
        harness.Goal("times the speed of pandas with openpyxl, median of rounds", ratio, 5, at_least=True, unit=" ×")
    )
    return report.print(options.json)


if __name__ == "__main__":
    sys.exit(main())
