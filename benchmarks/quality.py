"""Cost of a contract of 200 checks, against its dataset's build, Soda's own sessions, and the same SQL by hand.

The dataset is a shop's order lines: 20 columns without declarations on personal data, so that all are profiled and
swept, and `--rows` rows. The contract has checks of all types, all of which pass. A second dataset of 10,000 rows with
the same contract shows the cost that does not depend on rows.

- the rival of the build with the contract (bronze and silver, by the functions that the assets call) is the build
  without it, in turn, each in a database and a process of its own which has done a build of 1,000 rows before: at most
  20 % more. Postgres verifies while the process sweeps the new rows for personal data, so that the difference of the
  two builds is less than the verification's time, which is printed too;
- then a file with every hundredth row once more: bronze and silver, with the contract and without;
- then, on the published table: `atlas_pipeline.quality.verify`; Soda's session, in Python; and SQL as a person would
  write it, one SELECT of all aggregates and one for each of the rest. First each in a process of its own which has done
  so on 1,000 rows before, then once more from the start of a process to its end, Soda's as `soda contract verify`.

All must find the same 200 numbers. Soda's telemetry is off, as in Atlas. Peak memory is the process's, not Postgres's.

Run: .venv/bin/python benchmarks/quality.py [--rows N] [--rounds N] [--json]
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import harness
import psycopg
import yaml
from psycopg.conninfo import conninfo_to_dict
from quality_contract import CHECKS, TYPES, contract, statements, write_file

from atlas_pipeline.quality.contract import read_contract
from atlas_pipeline.quality.counts import Limits, Tally
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.quality.verification import verify
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import EmbeddedPostgres

FEW, GOAL = 10_000, 20
Numbers = dict[str, float | None]
"""The measured value of each check, by its path."""
MERGED = " and 1 %"
TABLES = ("lines_warm", "lines_few", "lines_many")


def build(url: str, folder: Path, name: str, checked: bool) -> dict[str, float]:
    """Bring bronze and silver of one table up to date; returns the seconds, and those of the contract within them."""
    from atlas_pipeline.ingest import bronze
    from atlas_pipeline.ingest.dataset import Column, Dataset
    from atlas_pipeline.ingest.silver import SilverBuild, Staged, build_silver
    from atlas_pipeline.ingest.sources.files import FileSource
    from atlas_pipeline.pii.keys import load_keys
    from atlas_pipeline.settings import load_settings

    dataset = Dataset(
        name,
        FileSource(f"{folder}/{name}/*.csv"),
        tuple(Column(column, kind, action=None) for column, kind in TYPES.items()),
        key=("line_id",),
        latest_by="updated_at",
    )
    verified = 0.0

    tally = Tally("silver", name, Limits(merges=50, hours=24))

    def outcomes(_: Dataset, staged: Staged) -> list[Outcome]:
        nonlocal verified
        if checked:
            started = time.perf_counter()
            tally.change = staged.change
            _passing(_atlas(url, folder, name, staged.schema, staged.table, tally))
            verified = time.perf_counter() - started
        return []

    with connect(url) as connection:
        started = time.perf_counter()
        bronze.load(connection, name, dataset.source.list(load_settings()), run_id="benchmark")
        work = SilverBuild(connection, url, dataset, "benchmark", load_keys(load_settings()), recording=tally.keep)
        build_silver(work, outcomes)
        return {"build": time.perf_counter() - started, "verify": verified}


def _atlas(url: str, folder: Path, name: str, schema: str, table: str, tally: Tally | None = None) -> list[Any]:
    options: dict[str, Any] = {"key": ("line_id", "_atlas_file_id", "_atlas_line"), "tally": tally}
    return verify(read_contract(folder / f"{name}.yml"), url, schema, table, published=("silver", name), **options)


def _passing(outcomes: list[Any]) -> Numbers:
    wrong = [f"{one.check.path}: {one.problem}" for one in outcomes if one.status != "passed"]
    if wrong or len(outcomes) != CHECKS:
        raise RuntimeError(f"{len(outcomes)} checks, of which {len(wrong)} do not pass: {'; '.join(wrong[:5])}")
    return {one.check.path: one.measured for one in outcomes}


def by_atlas(url: str, folder: Path, name: str) -> Numbers:
    """Measure with Atlas's verification."""
    return _passing(_atlas(url, folder, name, "silver", name))


def by_soda(url: str, folder: Path, name: str) -> Numbers:
    """Measure with Soda's own session."""
    from soda_core.common.yaml import ContractYamlSource, DataSourceYamlSource
    from soda_core.contracts.contract_verification import ContractVerificationSession

    found = ContractVerificationSession.execute(
        contract_yaml_sources=[ContractYamlSource.from_file_path(str(folder / f"{name}.yml"))],
        data_source_yaml_sources=[DataSourceYamlSource.from_file_path(str(folder / "source.yml"))],
    )
    if not found.is_passed or found.number_of_checks != CHECKS:
        raise RuntimeError(f"Soda's session: {found.get_errors_str()}")
    return {
        one.check.relative_path: one.threshold_value for one in found.contract_verification_results[0].check_results
    }


def by_hand(url: str, folder: Path, name: str) -> Numbers:
    """Measure with the same SQL by hand."""
    found: Numbers = {}
    with psycopg.connect(url) as connection:
        for paths, statement in statements(f"silver.{name}", connection.info.dbname):
            (row,) = connection.execute(statement).fetchall()
            found |= {path: float(value) for path, value in zip(paths, row, strict=True)}
    return found


CONTENDERS: dict[str, Callable[[str, Path, str], Numbers]] = {"atlas": by_atlas, "soda": by_soda, "hand": by_hand}


def run_child(task: str, url: str, folder: Path, *counts: str) -> None:
    """In a child process: run one side of the comparison, and print its measurements."""
    os.environ["SODA_CORE_TELEMETRY_ENABLED"] = "false"
    warm, *sizes = TABLES
    if task in ("with", "without"):
        build(url, folder, warm, task == "with")
        done = {name: build(url, folder, name, task == "with") for name in sizes}
        for name, rows in zip(TABLES, map(int, counts), strict=True):
            write_file(folder / name / "b.csv", rows, 100)
            done[name + MERGED] = build(url, folder, name, task == "with")
            (folder / name / "b.csv").unlink()
        print(json.dumps(done))
    else:
        work = CONTENDERS[task]
        work(url, folder, warm)
        seconds, numbers = {}, {}
        for name in sizes:
            seconds[name] = harness.timed(lambda name=name: numbers.update({name: work(url, folder, name)}))
        print(json.dumps({"seconds": seconds, "numbers": numbers}))


_COLD = """
import sys
from pathlib import Path
from atlas_pipeline.quality.contract import read_contract
from atlas_pipeline.quality.counts import Limits, Tally
from atlas_pipeline.quality.verification import verify
if not all(one.passed for one in verify(read_contract(Path(sys.argv[1])), sys.argv[2], "silver", sys.argv[3])):
    raise SystemExit(1)
"""


def cold(contender: str, server: EmbeddedPostgres, url: str, folder: Path, name: str) -> harness.Child:
    """Run one contender on one table, timed from the start of its process to its end."""
    file = folder / f"{name}.yml"
    if contender == "atlas":
        return harness.child([sys.executable, "-c", _COLD, file, url, name])
    if contender == "soda":
        soda = Path(sys.executable).with_name("soda")
        command = [soda, "contract", "verify", "-c", file, "-ds", folder / "source.yml"]
        return harness.child(command, env={"SODA_CORE_TELEMETRY_ENABLED": "false"})
    psql = server.bin() / "psql"
    return harness.child([psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", file.with_suffix(".sql")])


def prepare(url: str, folder: Path) -> None:
    """Create the tables that the contract refers to, and write contracts, SQL, and Soda's data source file."""
    place = conninfo_to_dict(url)
    database = str(place["dbname"])
    with connect(url) as connection:
        connection.execute(
            "CREATE TABLE silver.products AS"
            " SELECT 'SKU-' || lpad(n::text, 5, '0') AS sku FROM generate_series(0, 4999) AS n"
        )
    for name in TABLES:
        (folder / f"{name}.yml").write_text(contract(f"silver.{name}", database), encoding="utf-8")
        lines = "".join(f"{statement};\n" for _, statement in statements(f"silver.{name}", database))
        (folder / f"{name}.sql").write_text(lines, encoding="utf-8")
    connection_ = {"host": place["host"], "user": place["user"], "password": "", "database": database}
    source = {"type": "postgres", "name": "atlas", "connection": connection_}
    (folder / "source.yml").write_text(yaml.safe_dump(source), encoding="utf-8")


def compare(said: dict[str, dict[str, Numbers]]) -> None:
    """Raise RuntimeError when a contender measured other numbers than Atlas."""
    for name, ours in said["atlas"].items():
        for contender, theirs in said.items():
            found = theirs[name]
            differ = [
                f"{path}: {value} and {found.get(path)}"
                for path, value in ours.items()
                if not math.isclose(value or 0, found.get(path, math.nan) or 0, rel_tol=1e-9, abs_tol=1e-9)
            ]
            if differ or ours.keys() != found.keys():
                raise RuntimeError(f"{name}, atlas and {contender}, {len(differ)} differ: {'; '.join(differ[:5])}")


def main() -> int:
    """Measure and print."""
    if sys.argv[1:2] == ["--child"]:
        run_child(sys.argv[2], sys.argv[3], Path(sys.argv[4]), *sys.argv[5:])
        return 0
    options = harness.arguments(__doc__, 1_000_000, "rows of the dataset", 5).parse_args()
    sizes = dict(zip(TABLES, (1000, FEW, options.rows), strict=True))
    seconds: dict[tuple[str, str], list[float]] = {}
    peaks: dict[str, float] = {}

    def note(what: str, name: str, took: float, peak: float) -> None:
        seconds.setdefault((what, name), []).append(took)
        peaks[what] = max(peaks.get(what, 0), peak)

    with harness.scratch() as folder, harness.postgres(folder) as server:
        harness.say("writing order lines")
        for name, rows in sizes.items():
            write_file(folder / name / "a.csv", rows)
        for number in range(options.rounds):
            for task in ("without", "with") if number % 2 == 0 else ("with", "without"):
                harness.say(f"round {number + 1} of {options.rounds}: build {task} the contract")
                with harness.database(server) as url:
                    prepare(url, folder)
                    harness.checkpoint(server)
                    done = harness.child(
                        [sys.executable, __file__, "--child", task, url, folder, *map(str, sizes.values())]
                    )
                    for name, took in done.said.items():
                        note(task, name, took["build"], done.peak_mib)
                        note(f"verify {task}", name, took["verify"], 0)
                    if task == "with":
                        _contend(number, server, url, folder, note)
    return _report(options.rounds, sizes, seconds, peaks).print(options.json)


def _contend(
    number: int, server: EmbeddedPostgres, url: str, folder: Path, note: Callable[[str, str, float, float], None]
) -> None:
    names = list(CONTENDERS)
    names = names[number % 3 :] + names[: number % 3]
    said = {}
    for contender in names:
        harness.say(f"  {contender} on the published table")
        done = harness.child([sys.executable, __file__, "--child", contender, url, folder])
        said[contender] = done.said["numbers"]
        for name, took in done.said["seconds"].items():
            note(contender, name, took, done.peak_mib)
    for contender in names:
        for name in TABLES[1:]:
            done = cold(contender, server, url, folder, name)
            note(f"cold {contender}", name, done.seconds, done.peak_mib)
    compare(said)


def _report(
    rounds: int, sizes: dict[str, int], seconds: dict[tuple[str, str], list[float]], peaks: dict[str, float]
) -> harness.Report:
    report = harness.Report("quality contracts")
    few, many = TABLES[1:]
    share = {}
    rows: list[list[Any]] = []
    for name in (few, many, few + MERGED, many + MERGED):
        without, with_, verified = (seconds[what, name] for what in ("without", "with", "verify with"))
        share[name] = median(100 * (b - a) / a for a, b in zip(without, with_, strict=True))
        said = f"{sizes.get(name) or sizes[name.removesuffix(MERGED)] // 100:,}"
        rows.append(
            [said + " merged" * name.endswith(MERGED), median(without), median(with_), share[name], median(verified)]
        )
    report.table(
        f"Bronze and silver, {CHECKS} checks: median seconds of {rounds} rounds, each in a warm process",
        ["rows", "without", "with", "% more", "verifying, partly beside the sweep"],
        rows,
    )
    labels = {"atlas": "atlas", "soda": "Soda's session", "hand": "SQL by hand"}
    labels |= {
        "cold atlas": "atlas, whole process",
        "cold soda": "soda contract verify",
        "cold hand": "psql, whole process",
    }
    rows = []
    for what, label in labels.items():
        mine = seconds["cold atlas" if what.startswith("cold") else "atlas", many]
        ratio = median(b / a for a, b in zip(mine, seconds[what, many], strict=True))
        rows.append([label, median(seconds[what, few]), median(seconds[what, many]), ratio, peaks[what]])
    report.table(
        "The same checks on the published table",
        ["", f"{sizes[few]:,} rows", f"{sizes[many]:,} rows", "times atlas", "peak MiB"],
        rows,
    )
    report.goals.append(
        harness.Goal(f"{CHECKS} checks, more than the build without them", share[many], GOAL, unit=" %")
    )
    once, merging = (median(seconds["verify with", name]) for name in (many, many + MERGED))
    report.goals.append(
        harness.Goal("verifying a merge of 1 %, share of all rows", 100 * merging / once, 30, unit=" %")
    )
    report.notes += [
        f"{CHECKS} of {CHECKS} checks passed in all builds and for all contenders, with the same numbers",
        f"peak memory of the process that builds: {peaks['without']:.0f} MiB without, {peaks['with']:.0f} MiB with",
    ]
    return report


if __name__ == "__main__":
    sys.exit(main())
