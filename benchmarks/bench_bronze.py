"""Speed and memory of loading a CSV file into bronze, against `\\copy` and pandas.

Measured on the same file (10 text columns, about 120 bytes a row), in turn, each into a new table of the same server:

- psql: `\\copy` of the file into a bare text table, the least that loading it can cost. psql runs as a process.
- atlas: `bronze.load`, which also numbers and hashes every row, checks field counts, UTF-8 and NUL, takes the file's
  SHA-256 and writes the ledger. It runs in a process of its own; imports and connecting are not counted.
- pandas: `read_csv(dtype=str)` and `to_sql(chunksize=10_000)` over SQLAlchemy and psycopg2, with the default method and
  with method="multi". Measured on the first rows of the file and scaled to all of them (`--pandas-share`).

`--memory-rows` more rows are then loaded once, for the peak memory of the loading process.

Run: .venv/bin/python benchmarks/bench_bronze.py [--rows N] [--rounds N] [--quoted] [--json]
"""

import argparse
import json
import sys
import time
from itertools import islice
from pathlib import Path

import harness

from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import EmbeddedPostgres

COLUMNS = ("id", "uuid", "name", "email", "country", "amount", "quantity", "status", "created_at", "note")
_COUNTRIES = ("DE", "FR", "IT", "ES", "NL", "PL", "SE", "AT")
_STATES = ("new", "paid", "shipped", "returned")
_NAMES = ("Ada Novak", "Jan de Boer", "Maria Rossi", "Zoë Krämer", "Paul Lindqvist", "Ines García")


def write_file(path: Path, rows: int, quoted: bool) -> None:
    """Write `rows` rows; with `quoted`, every fourth row has a value with a comma in it."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(",".join(COLUMNS) + "\n")
        for first in range(0, rows, 50_000):
            file.write("".join(_row(i, quoted) for i in range(first, min(first + 50_000, rows))))


def _row(i: int, quoted: bool) -> str:
    mixed = i * 2654435761 % (1 << 32)
    note = '"left at the door, with a neighbour"' if quoted and not i % 4 else "left with a neighbour"
    return (
        f"{i},{mixed:08x}-{i % 65536:04x}-4a5b-8c6d-{mixed * 40503 % (1 << 48):012x},{_NAMES[mixed % 6]},"
        f"user{i}@example.com,{_COUNTRIES[mixed % 8]},{mixed % 100_000 / 100},{mixed % 9},{_STATES[mixed % 4]},"
        f"2026-{mixed % 12 + 1:02}-{mixed % 28 + 1:02}T{mixed % 24:02}:{mixed % 60:02}:00Z,{note}\n"
    )


def load_atlas(url: str, path: Path) -> None:
    """In a child process: load the file into bronze; print the seconds and the rows."""
    from atlas_pipeline.ingest import bronze, readers  # noqa: F401 — imports are not measured
    from atlas_pipeline.ingest.sources.files import FileSource
    from atlas_pipeline.settings import load_settings

    files = FileSource(str(path)).list(load_settings())
    with connect(url) as connection:
        started = time.perf_counter()
        result = bronze.load(connection, path.stem, files, run_id="benchmark")
        seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "rows": sum(file.rows for file in result.loaded)}))


def load_pandas(url: str, path: Path, method: str) -> None:
    """In a child process: the same through pandas."""
    import pandas as pd
    import psycopg2  # noqa: F401 — imports are not measured
    from sqlalchemy import create_engine

    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    with engine.connect():
        pass
    started = time.perf_counter()
    frame = pd.read_csv(path, dtype=str)
    frame.to_sql(
        f"pandas_{method}", engine, index=False, chunksize=10_000, method="multi" if method == "multi" else None
    )
    print(json.dumps({"seconds": time.perf_counter() - started, "rows": len(frame)}))


def run_psql(server: EmbeddedPostgres, url: str, path: Path) -> harness.Child:
    """`\\copy` into an existing table of text columns without constraints."""
    with connect(url) as connection:
        connection.execute(f"CREATE TABLE public.bare ({', '.join(f'{name} text' for name in COLUMNS)})")
    copy = f"\\copy public.bare FROM '{path}' WITH (FORMAT csv, HEADER)"
    return harness.child([server.bin() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", copy])


def run_child(kind: str, url: str, path: Path, rows: int) -> harness.Child:
    """Run one of the loads above in a process of its own. Raises RuntimeError when it did not load every row."""
    done = harness.child([sys.executable, __file__, "--child", kind, url, path])
    if done.said["rows"] != rows:
        raise RuntimeError(f"{kind} loaded {done.said['rows']} of {rows} rows")
    done.seconds = done.said["seconds"]
    return done


def main() -> int:
    """Measure and print."""
    if sys.argv[1:2] == ["--child"]:
        _, _, kind, url, path = sys.argv
        load_atlas(url, Path(path)) if kind == "atlas" else load_pandas(url, Path(path), kind)
        return 0
    parser = harness.arguments(__doc__, 1_000_000, "rows of the file", 5)
    parser.add_argument("--pandas-share", type=float, default=0.1, help="share of the rows pandas loads (default: 0.1)")
    parser.add_argument("--memory-rows", type=int, help="rows for peak memory (default: 10 × --rows; 0: leave out)")
    parser.add_argument("--quoted", action="store_true", help="every fourth row has a quoted value")
    options = parser.parse_args()
    report = harness.Report("bench_bronze")
    with harness.scratch() as folder, harness.postgres(folder) as server:
        _compare(options, folder, server, report)
        rows = options.rows * 10 if options.memory_rows is None else options.memory_rows
        if rows:
            _memory(rows, options.quoted, folder, server, report)
    return report.print(options.json)


def _compare(options: argparse.Namespace, folder: Path, server: EmbeddedPostgres, report: harness.Report) -> None:
    rows, few = options.rows, max(1, round(options.rows * options.pandas_share))
    path, head = folder / "rows.csv", folder / "head.csv"
    harness.say(f"writing {rows:,} rows")
    write_file(path, rows, options.quoted)
    with path.open(encoding="utf-8") as whole, head.open("w", encoding="utf-8") as part:
        part.writelines(islice(whole, few + 1))
    seconds: dict[str, list[float]] = {"psql \\copy": [], "atlas": [], "pandas": [], "pandas multi": []}
    peaks: dict[str, float] = dict.fromkeys(seconds, 0.0)
    for number in range(-1, options.rounds):
        for name, samples in seconds.items():
            pandas = name.startswith("pandas")
            if pandas and number not in range(3):
                continue
            harness.say(f"round {number + 1} of {options.rounds}: {name}")
            with harness.database(server) as url:
                harness.checkpoint(server)
                if name == "atlas":
                    done = run_child("atlas", url, path, rows)
                elif pandas:
                    done = run_child("multi" if name.endswith("multi") else "default", url, head, few)
                    done.seconds *= rows / few
                else:
                    done = run_psql(server, url, path)
            if number >= 0:  # the first round warms the machine up
                samples.append(done.seconds)
                peaks[name] = max(peaks[name], done.peak_mib)
    middle = harness.medians(seconds)
    ours = middle["atlas"]
    size = path.stat().st_size / 1e6
    report.table(
        f"CSV to Postgres, {rows:,} rows × {len(COLUMNS)} columns, {size:,.0f} MB"
        + (", every fourth row with quotes" if options.quoted else ""),
        ["loader", "median s", "min s", "max s", "rows/s", "speed of atlas to it", "peak MiB"],
        [
            [
                name + (f" (from {few:,} rows)" if name.startswith("pandas") else ""),
                middle[name],
                min(samples),
                max(samples),
                round(rows / middle[name]),
                middle[name] / ours,
                peaks[name],
            ]
            for name, samples in seconds.items()
        ],
    )
    pairs = [a / b for a, b in zip(seconds["psql \\copy"], seconds["atlas"], strict=True)]
    share = harness.medians({"share": pairs})["share"] * 100
    report.goals += [
        harness.Goal(
            "speed of psql's \\copy, median of the rounds' ratios",
            share,
            40 if options.quoted else 60,
            at_least=True,
            unit=" %",
        ),
        harness.Goal("times the speed of pandas", middle["pandas"] / ours, 8, at_least=True, unit=" ×"),
    ]
    report.notes.append(
        f"pandas loaded the first {few:,} rows: its seconds and rows/s are scaled linearly, its memory is not"
    )


def _memory(rows: int, quoted: bool, folder: Path, server: EmbeddedPostgres, report: harness.Report) -> None:
    path = folder / "many.csv"
    harness.say(f"writing {rows:,} rows")
    write_file(path, rows, quoted)
    harness.say("loading them")
    with harness.database(server) as url:
        done = run_child("atlas", url, path, rows)
    report.table(
        f"Memory of the loading process, {rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB",
        ["loader", "s", "rows/s", "peak MiB"],
        [["atlas", done.seconds, round(rows / done.seconds), done.peak_mib]],
    )
    report.goals.append(
        harness.Goal(f"peak memory at {rows:,} rows", done.peak_mib * harness.MIB / 1e6, 600, unit=" MB")
    )


if __name__ == "__main__":
    sys.exit(main())
