"""Survey a file for `atlas pii scan` and `mask`: count its rows, and plan each column.

Belongs here: two passes over a file, a sample for the profile and then a sweep of the columns that seem clean. Does
not belong here: how columns are classified (`atlas_pipeline.pii`), output.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer

from atlas_pipeline.cli.output import ERR
from atlas_pipeline.ingest.batch import Batch, FileRefused
from atlas_pipeline.ingest.readers import CsvOptions, ReadOptions, detect, read
from atlas_pipeline.pii.keys import KeyMissing
from atlas_pipeline.pii.plan import ColumnPlan, Policy, plan_all
from atlas_pipeline.pii.policy import PolicyError, chosen_policy
from atlas_pipeline.pii.rules import ModelMissing
from atlas_pipeline.settings import SettingsError, load_settings

_SAMPLE_BYTES = 64 << 20
Show = Callable[[str], None]


@dataclass
class Survey:
    """The result of both passes over a file: its rows, the lines that cannot be read by rule, the columns' plans."""

    rows: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    plans: list[ColumnPlan] = field(default_factory=list)


def batches(path: Path) -> Iterator[Batch]:
    """The rows of a file as text, with the delimiter, quote and encoding that it seems to have.

    Raises FileRefused, OSError.
    """
    with path.open("rb") as stream:
        yield from read(stream, path.name, options=ReadOptions(_dialect(path)))


def _dialect(path: Path) -> CsvOptions:
    """How a CSV file is written. Nothing is left out of it: no line is taken for a title, a note or a total."""
    from atlas_pipeline.ingest.readers.compression import decompressed
    from atlas_pipeline.ingest.readers.csv_sniffer import HEAD_BYTES, sniff

    format, compression = detect(path.name)
    if format not in ("csv", "tsv", "text"):
        return CsvOptions()
    with path.open("rb") as stream:
        head = decompressed(stream, compression).peek(HEAD_BYTES)
    found = sniff(head, whole=False).options
    if found.skip_lines:
        return CsvOptions()
    return CsvOptions(found.delimiter, found.quote, found.encoding, escape=found.escape)


def survey(path: Path, policy: Policy, rows: int, show: Show) -> Survey:
    """Profile a sample of a file, sweep every row of the columns that seem clean, and plan all columns.

    Args:
        path: The file, in a format that the pipeline reads.
        policy: The policy to plan by.
        rows: Most rows of the sample, spread evenly over the file.
        show: Called with each message of progress.

    Raises:
        FileRefused: The file's format or content cannot be read.
        OSError: The file cannot be opened or read.
        ModelMissing: A recogniser needs the spaCy model, which is not installed.
    """
    from atlas_pipeline.pii.profile import profile

    surveyed, sample = Survey(), _Sample(rows)
    names: dict[str, None] = {}
    for batch in batches(path):
        names.update(dict.fromkeys(batch.columns))
        sample.add(batch.rows)
        surveyed.rows += batch.rows.num_rows
        for reject in batch.rejects:
            surveyed.rejected[reject.rule] = surveyed.rejected.get(reject.rule, 0) + 1
        show(f"{path.name}: read {surveyed.rows:,} rows")
    show(f"{path.name}: profiling {len(names)} columns")
    profiles = profile(sample.columns(list(names)), policy.rules)
    clean = [plan.name for plan in plan_all(profiles, policy) if plan.column_class == "clean" and not plan.declared]
    swept = _sweep(path, clean, policy, show)
    surveyed.plans = plan_all([column.with_swept(swept.get(column.name, {})) for column in profiles], policy)
    return surveyed


def policy_of(path: Path | None) -> Policy:
    """The policy in a file, or an empty one, with the spaCy model of the settings. Raises PolicyError."""
    return chosen_policy(path, load_settings().spacy_model)


@contextmanager
def failures(name: str = "atlas pii") -> Iterator[None]:
    """Report errors that a user can fix as a message that starts with `name`, and exit code 1, without a traceback."""
    try:
        yield
    except FileRefused as error:
        _say(f"{name}: {error.rule}: {error.reason}")
    except (PolicyError, KeyMissing, ModelMissing, SettingsError) as error:
        _say(f"{name}: {error}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _say(f"{name}: {where}{error.strerror or type(error).__name__}")
    else:
        return
    raise typer.Exit(1)


def _say(message: str) -> None:
    ERR.print(message, markup=False, highlight=False)


def _sweep(path: Path, columns: list[str], policy: Policy, show: Show) -> dict[str, dict[str, int]]:
    """Count the cells with proven personal data in all rows, by column and rule."""
    from atlas_pipeline.pii.sweep import sweep

    cells: dict[str, dict[str, int]] = {name: {} for name in columns}
    rows = 0
    for batch in batches(path) if columns else ():
        for name in {*columns} & {*batch.columns}:
            for rule, count in sweep(batch.rows[name], policy.rules).items():
                cells[name][rule] = cells[name].get(rule, 0) + count
        rows += batch.rows.num_rows
        show(f"{path.name}: swept {rows:,} rows")
    return cells


class _Sample:
    """A uniform sample of rows of a file of any length, the same for the same file, in bounded memory.

    Each row number is hashed to a number between 0 and 1, and the rows below a limit are in the sample; when it grows
    too large, the limit is halved.
    """

    def __init__(self, rows: int):
        self._most = rows
        self._limit = 1.0
        self._rows_read = 0
        self._pieces: list[tuple[pa.Table, np.ndarray]] = []

    def add(self, table: pa.Table) -> None:
        """Add the next rows of the file to the sample, as far as they are in it."""
        hashes = _hashed(np.arange(self._rows_read, self._rows_read + table.num_rows, dtype=np.uint64))
        self._rows_read += table.num_rows
        self._keep(table, hashes)
        while self._rows() > 2 * self._most or (self._rows() > 1 and self._bytes() > _SAMPLE_BYTES):
            self._limit /= 2
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                self._keep(*piece)

    def columns(self, names: list[str]) -> dict[str, pa.Array]:
        """The sample by column, in the order of the file; a column is null where a block of rows does not have it."""
        if not self._pieces:
            return {name: pa.nulls(0, pa.string()) for name in names}
        hashes = np.concatenate([piece[1] for piece in self._pieces])
        table = pa.concat_tables([piece[0] for piece in self._pieces], promote_options="default")
        chosen = pa.array(np.sort(np.argsort(hashes, kind="stable")[: self._most]), pa.int64())
        table = table.take(chosen)
        empty = pa.nulls(table.num_rows, pa.string())
        return {name: table[name].combine_chunks() if name in table.column_names else empty for name in names}

    def _keep(self, table: pa.Table, hashes: np.ndarray) -> None:
        inside = hashes < self._limit
        if inside.any():
            self._pieces.append((table.filter(pa.array(inside)), hashes[inside]))

    def _rows(self) -> int:
        return sum(piece[0].num_rows for piece in self._pieces)

    def _bytes(self) -> int:
        return sum(
            pc.sum(pc.binary_length(column)).as_py() or 0 for piece in self._pieces for column in piece[0].columns
        )


def _hashed(numbers: np.ndarray) -> np.ndarray:
    """Hash each number to one between 0 and 1, by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        mixed = (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed / 2.0**64
