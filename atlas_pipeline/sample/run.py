"""Writing a whole sample: all files, their labels and the manifest that says what they were made from.

The content of the files belongs in the modules of the datasets.
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
"""With fewer customers not every flaw would find its place."""
FORMAT = 1
"""Goes up when the same rows and seed give other files."""
COLUMNS_FILE, EXPECTED_FILE, MANIFEST = "labels/columns.json", "labels/expected.json", "labels/manifest.json"

_FILES = {
    "customers": (customers.BASE, customers.LATER),
    "orders": (orders.JANUARY, orders.FEBRUARY),
    "support_tickets": (tickets.FILE,),
}
_LABELS = (tickets.SPANS, COLUMNS_FILE, EXPECTED_FILE)


@dataclass(frozen=True)
class DatasetSummary:
    """The files of one dataset (relative to the sample's folder), the parsable records in them and their bytes."""

    files: tuple[str, ...]
    rows: int
    bytes: int


@dataclass(frozen=True)
class SampleSummary:
    """What was written and from which parameters."""

    out: Path
    rows: int
    seed: int
    datasets: dict[str, DatasetSummary]

    @property
    def total_rows(self) -> int:
        """The records of all datasets."""
        return sum(dataset.rows for dataset in self.datasets.values())

    @property
    def total_bytes(self) -> int:
        """The bytes of all datasets, without the labels."""
        return sum(dataset.bytes for dataset in self.datasets.values())


def generate(
    out: Path,
    rows: int = 10_000,
    seed: int = 7,
    progress: Callable[[str, int, int], None] | None = None,
) -> SampleSummary:
    """Write a sample of `rows` customers, 5 × `rows` orders and `rows` / 2 support tickets below `out`.

    The same rows and seed give the same bytes. A folder that already holds this sample is left as it is; one that
    holds another is never overwritten. `progress` is called now and then with a dataset, how many of its customers,
    orders or tickets are done and how many there will be.

    Raises FileExistsError when `out` holds other sample files, ValueError when `rows` is too small.
    """
    if rows < MINIMUM_ROWS:
        raise ValueError(f"A sample needs at least {MINIMUM_ROWS} rows to hold every kind of flaw, not {rows}.")
    out = Path(out)
    present = _present(out, rows, seed)
    if present is not None:
        return present
    people = People(seed)
    writers: dict[str, tuple[Customers | Orders | Tickets, int]] = {
        "customers": (Customers(rows, people), rows),
        "orders": (Orders(rows, seed, people), rows * orders.PER_CUSTOMER),
        "support_tickets": (Tickets(rows, seed, people), rows // 2),
    }
    with Staging(out) as staging:
        reports = {}
        for dataset, (writer, total) in writers.items():
            report = _teller(progress, dataset, total)
            report(0)
            writer.write(staging, report)
            report(total)
            reports[dataset] = writer.report()
        _write_json(staging.path(COLUMNS_FILE), columns())
        _write_json(staging.path(EXPECTED_FILE), {"rows": rows, "seed": seed, "datasets": reports})
        sizes = staging.sizes()
        datasets = {
            dataset: DatasetSummary(_FILES[dataset], writer.truth.rows, sum(sizes[name] for name in _FILES[dataset]))
            for dataset, (writer, _) in writers.items()
        }
        manifest = {
            "format": FORMAT,
            "rows": rows,
            "seed": seed,
            "datasets": {dataset: asdict(summary) for dataset, summary in datasets.items()},
            "bytes": sizes,
        }
        _write_json(staging.path(MANIFEST), manifest)
        staging.publish()
    return SampleSummary(out, rows, seed, datasets)


def _teller(progress: Callable[[str, int, int], None] | None, dataset: str, total: int) -> Callable[[int], None]:
    def tell(done: int) -> None:
        if progress is not None:
            progress(dataset, done, total)

    return tell


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


def _present(out: Path, rows: int, seed: int) -> SampleSummary | None:
    """The summary of this very sample if `out` holds it, None if it holds no sample file at all."""
    advice = "Nothing was overwritten: use another folder (--out, ATLAS_LANDING), or remove that one first."
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = [name for names in (*_FILES.values(), _LABELS) for name in names if (out / name).exists()]
        if found:
            raise FileExistsError(
                f"{out / found[0]} is already there, without a {MANIFEST} that says what it was made from. {advice}"
            ) from None
        return None
    except ValueError as error:
        raise FileExistsError(f"{out / MANIFEST} cannot be read ({error}). {advice}") from error
    made_from = tuple(manifest.get(name) for name in ("rows", "seed", "format"))
    if made_from != (rows, seed, FORMAT):
        raise FileExistsError(
            f"{out} holds a sample made with rows={made_from[0]}, seed={made_from[1]} (format {made_from[2]}), and "
            f"rows={rows}, seed={seed} (format {FORMAT}) was asked for. {advice}"
        )
    for name, size in manifest["bytes"].items():
        if not (out / name).is_file() or (out / name).stat().st_size != size:
            raise FileExistsError(f"{out / name} is missing or was changed since the sample was written. {advice}")
    datasets = {
        dataset: DatasetSummary(tuple(entry["files"]), entry["rows"], entry["bytes"])
        for dataset, entry in manifest["datasets"].items()
    }
    return SampleSummary(out, rows, seed, datasets)
