"""Peak memory of loading small files that turn into far more than they are.

Each bomb of `atlas_pipeline_tests/ingest/bombs.py` is loaded into bronze in a process of its own, under the default
limits, and what came of it is shown. With `--no-limits` nothing is refused: what is left is that batches are cut by
what they become.

Run: .venv/bin/python benchmarks/bench_bombs.py [--only NAME …] [--no-limits] [--json]
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import harness

LIMIT_MB = 600
_BOMBS = "import sys; sys.path.insert(0, sys.argv[1]); from atlas_pipeline_tests.ingest.bombs import BOMBS; "
_MAKE = _BOMBS + "open(sys.argv[2], 'wb').write(BOMBS[sys.argv[3]]())"
_LIST = _BOMBS + "print(*BOMBS)"
_ROOT = Path(__file__).parents[1]


def load(url: str, path: Path, limited: bool) -> None:
    """In a child process: load the file into bronze; print what came of it, and the peak memory in MB, with the
    process that reads workbooks."""
    from atlas_pipeline.ingest import bronze
    from atlas_pipeline.ingest.intake import Intake
    from atlas_pipeline.ingest.limits import Limits, limits_of
    from atlas_pipeline.ingest.sources.files import FileSource
    from atlas_pipeline.settings import load_settings
    from atlas_pipeline.warehouse.connect import connect

    files = FileSource(str(path)).list(load_settings())
    intake = Intake(limits=limits_of(load_settings()) if limited else Limits())
    with connect(url) as connection:
        (result,) = bronze.load(connection, "bombs", files, run_id="benchmark", intake=intake).files
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    peak += resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    print(json.dumps({"status": result.status, "rule": result.rule, "rows": result.rows, "peak": peak}))


def main() -> int:
    """Run the benchmark; 1 when a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], help="names of bombs (default: all)")
    parser.add_argument("--no-limits", action="store_true", help="refuse nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument("--load", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        url, path, limited = options.load
        load(url, Path(path), limited == "limited")
        return 0
    report = harness.Report("bombs")
    with harness.scratch() as folder, harness.postgres(folder / "home") as server:
        rows = [_measured(server, folder / name, limited=not options.no_limits) for name in options.only or _names()]
    report.table("Files loaded into bronze", ["file", "kB", "came to", "rows", "s", "peak MB"], rows)
    report.goals.append(harness.Goal("peak memory", max(row[-1] for row in rows), LIMIT_MB, unit=" MB"))
    return report.print(options.json)


def _names() -> list[str]:
    # In other processes: what this one holds would count for its children.
    listed = subprocess.run([sys.executable, "-c", _LIST, _ROOT], capture_output=True, text=True, check=True)
    return listed.stdout.split()


def _measured(server: Any, path: Path, *, limited: bool) -> list[Any]:
    harness.say(f"{path.name}: making it")
    subprocess.run([sys.executable, "-c", _MAKE, _ROOT, path, path.name], check=True)
    harness.say(f"{path.name}: loading it")
    with harness.database(server) as url:
        done = harness.child([sys.executable, __file__, "--load", url, path, "limited" if limited else "free"])
    said = done.said
    outcome = said["rule"] or said["status"]
    size = round(path.stat().st_size / 1000, 1)
    path.unlink()
    return [path.name, size, outcome, said["rows"], done.seconds, said["peak"]]


if __name__ == "__main__":
    sys.exit(main())
