"""`generate`: write a sample, that is all files, their labels, and a manifest with the parameters.

Does not belong here: the content of the files (the modules of the datasets).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from atlas_pipeline.sample import customers, orders, tickets
from atlas_pipeline.sample.customers import Customers
from atlas_pipeline.sample.files import Staging
from atlas_pipeline.sample.labels import columns
from atlas_pipeline.sample.orders import Orders
from atlas_pipeline.sample.people import People
from atlas_pipeline.sample.tickets import Tickets

MINIMUM_ROWS = 20
"""Fewest customers with which every kind of flaw occurs."""
FORMAT = 1
"""Version of the generator: increased when the same rows and seed give different files."""
COLUMNS_FILE, EXPECTED_FILE, MANIFEST = "labels/columns.json", "labels/expected.json", "labels/manifest.json"

_FILES = {
    "customers": (customers.BASE, customers.LATER),
    "orders": (orders.JANUARY, orders.FEBRUARY),
    "support_tickets": (tickets.FILE,),
}
_LABELS = (tickets.SPANS, COLUMNS_FILE, EXPECTED_FILE)


@dataclass(frozen=True)
class DatasetSummary:
    """The files of one dataset, relative to the sample's folder, with their number of parsable records and of bytes."""

    files: tuple[str, ...]
    rows: int
    bytes: int


@dataclass(frozen=True)
class SampleSummary:
    """What was written, and with which parameters."""

    out: Path
    rows: int
    seed: int
    datasets: dict[str, DatasetSummary]


def generate(
    out: Path,
    rows: int = 10_000,
    seed: int = 7,
    progress: Callable[[str, int, int], None] | None = None,
) -> SampleSummary:
    """Write a sample of `rows` customers, 5 × `rows` orders and `rows` / 2 support tickets.

    The same rows and seed give the same bytes. A folder that already holds this sample is left unchanged, and one that
    holds another is never overwritten.

    Args:
        out: Folder to write to.
        rows: Number of customers, at least 20.
        seed: Seed of all random numbers.
        progress: Called now and then with a dataset's name, its rows written so far and its total.

    Returns:
        What was written, or what the folder already holds.

    Raises:
        FileExistsError: The folder holds another sample, or files without a manifest.
        ValueError: `rows` is below 20.
    """
    if rows < MINIMUM_ROWS:
        raise ValueError(f"rows is {rows}, expected at least {MINIMUM_ROWS}, so that every kind of flaw occurs")
    out = Path(out)
    present = _present(out, rows, seed)
    if present is not None:
        return present
    with Staging(out) as staging:
        datasets = _write_datasets(staging, rows, seed, progress)
        manifest = {
            "format": FORMAT,
            "rows": rows,
            "seed": seed,
            "datasets": {dataset: asdict(summary) for dataset, summary in datasets.items()},
            "bytes": staging.sizes(),
        }
        _write_json(staging.path(MANIFEST), manifest)
        staging.publish()
    return SampleSummary(out, rows, seed, datasets)


def _write_datasets(
    staging: Staging, rows: int, seed: int, progress: Callable[[str, int, int], None] | None
) -> dict[str, DatasetSummary]:
    """Write every file but the manifest."""
    people = People(seed)
    writers: dict[str, tuple[Customers | Orders | Tickets, int]] = {
        "customers": (Customers(rows, people), rows),
        "orders": (Orders(rows, seed, people), rows * orders.PER_CUSTOMER),
        "support_tickets": (Tickets(rows, seed, people), rows // 2),
    }
    reports = {}
    for dataset, (writer, total) in writers.items():
        report = _reporter(progress, dataset, total)
        report(0)
        writer.write(staging, report)
        report(total)
        reports[dataset] = writer.report()
    _write_json(staging.path(COLUMNS_FILE), columns())
    _write_json(staging.path(EXPECTED_FILE), {"rows": rows, "seed": seed, "datasets": reports})
    sizes = staging.sizes()
    return {
        dataset: DatasetSummary(_FILES[dataset], writer.truth.rows, sum(sizes[name] for name in _FILES[dataset]))
        for dataset, (writer, _) in writers.items()
    }


def _reporter(progress: Callable[[str, int, int], None] | None, dataset: str, total: int) -> Callable[[int], None]:
    def report(done: int) -> None:
        if progress is not None:
            progress(dataset, done, total)

    return report


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


def _present(out: Path, rows: int, seed: int) -> SampleSummary | None:
    """The summary of this sample if `out` holds it, None if `out` holds no sample file. Raises FileExistsError."""
    advice = "Nothing was overwritten: use another folder (--out, ATLAS_LANDING), or remove that one first."
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        existing = [name for names in (*_FILES.values(), _LABELS) for name in names if (out / name).exists()]
        if existing:
            raise FileExistsError(
                f"{out / existing[0]} exists without a {MANIFEST} that names its parameters. {advice}"
            ) from None
        return None
    except ValueError as error:
        raise FileExistsError(f"{out / MANIFEST} cannot be read ({error}). {advice}") from error
    parameters = tuple(manifest.get(name) for name in ("rows", "seed", "format"))
    if parameters != (rows, seed, FORMAT):
        raise FileExistsError(
            f"{out} holds a sample with rows={parameters[0]}, seed={parameters[1]} (format {parameters[2]}), expected "
            f"rows={rows}, seed={seed} (format {FORMAT}). {advice}"
        )
    for name, size in manifest["bytes"].items():
        if not (out / name).is_file() or (out / name).stat().st_size != size:
            raise FileExistsError(f"{out / name} is missing or was changed since the sample was written. {advice}")
    datasets = {
        dataset: DatasetSummary(tuple(entry["files"]), entry["rows"], entry["bytes"])
        for dataset, entry in manifest["datasets"].items()
    }
    return SampleSummary(out, rows, seed, datasets)
