"""What `atlas pii scan` and `mask` know of a file before they do anything: its rows, and the plan of each column.

Belongs here: two passes over a file, a sample for the profile and then a sweep of what seemed clean. Does not belong
here: how columns are judged (`atlas_pipeline.pii`), output.
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
from atlas_pipeline.ingest.readers import read
from atlas_pipeline.pii.keys import KeyMissing
from atlas_pipeline.pii.plan import ColumnPlan, Policy, plan_all
from atlas_pipeline.pii.policy import PolicyError, chosen_policy
from atlas_pipeline.pii.rules import ModelMissing
from atlas_pipeline.settings import SettingsError, load_settings

_SAMPLE_BYTES = 64 << 20
Show = Callable[[str], None]


@dataclass
class Seen:
    """What two passes over a file found: how many rows, which cannot be read, and what is planned for each column."""

    rows: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    plans: list[ColumnPlan] = field(default_factory=list)


def batches(path: Path) -> Iterator[Batch]:
    """The rows of a file as text, as the pipeline reads them. Raises FileRefused, OSError."""
    with path.open("rb") as stream:
        yield from read(stream, path.name)


def look_at(path: Path, policy: Policy, rows: int, show: Show) -> Seen:
    """Profile a sample of `rows` rows, sweep every row of the columns that seem clean, and plan all columns."""
    from atlas_pipeline.pii.profile import profile

    seen, sample = Seen(), _Sample(rows)
    names: dict[str, None] = {}
    for batch in batches(path):
        names.update(dict.fromkeys(batch.columns))
        sample.add(batch.rows)
        seen.rows += batch.rows.num_rows
        for reject in batch.rejects:
            seen.rejected[reject.rule] = seen.rejected.get(reject.rule, 0) + 1
        show(f"{path.name}: read {seen.rows:,} rows")
    show(f"{path.name}: profiling {len(names)} columns")
    profiles = profile(sample.columns(list(names)), policy.rules)
    clean = [one.name for one in plan_all(profiles, policy) if one.column_class == "clean" and not one.declared]
    swept = _sweep(path, clean, policy, show)
    seen.plans = plan_all([one.with_swept(swept.get(one.name, {})) for one in profiles], policy)
    return seen


def policy_of(path: Path | None) -> Policy:
    """The policy in a file, or an empty one, as this installation's settings have it. Raises PolicyError."""
    return chosen_policy(path, load_settings().spacy_model)


@contextmanager
def failures(name: str = "atlas pii") -> Iterator[None]:
    """What a user can mend is a message and exit code 1, without a traceback."""
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
    """Certain personal data by column and rule, in all rows."""
    from atlas_pipeline.pii.sweep import sweep

    found: dict[str, dict[str, int]] = {name: {} for name in columns}
    rows = 0
    for batch in batches(path) if columns else ():
        for name in {*columns} & {*batch.columns}:
            for rule, count in sweep(batch.rows[name], policy.rules).items():
                found[name][rule] = found[name].get(rule, 0) + count
        rows += batch.rows.num_rows
        show(f"{path.name}: swept {rows:,} rows")
    return found


class _Sample:
    """Rows spread over a file of any length, the same for the same file, in bounded memory.

    A row's number is scattered over 64 bits, and rows below a limit are in the sample; when there are too many, the
    limit is halved.
    """

    def __init__(self, rows: int):
        self._most = rows
        self._limit = 1.0
        self._seen = 0
        self._pieces: list[tuple[pa.Table, np.ndarray]] = []

    def add(self, table: pa.Table) -> None:
        """Look at the next rows of the file."""
        places = _scattered(np.arange(self._seen, self._seen + table.num_rows, dtype=np.uint64))
        self._seen += table.num_rows
        self._keep(table, places)
        while self._rows() > 2 * self._most or (self._rows() > 1 and self._bytes() > _SAMPLE_BYTES):
            self._limit /= 2
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                self._keep(*piece)

    def columns(self, names: list[str]) -> dict[str, pa.Array]:
        """The sample by column, at most as many rows as wanted."""
        if not self._pieces:
            return {name: pa.nulls(0, pa.string()) for name in names}
        places = np.concatenate([piece[1] for piece in self._pieces])
        table = pa.concat_tables([piece[0] for piece in self._pieces], promote_options="default")
        chosen = pa.array(np.sort(np.argsort(places, kind="stable")[: self._most]), pa.int64())
        table = table.take(chosen)
        empty = pa.nulls(table.num_rows, pa.string())
        return {name: table[name].combine_chunks() if name in table.column_names else empty for name in names}

    def _keep(self, table: pa.Table, places: np.ndarray) -> None:
        inside = places < self._limit
        if inside.any():
            self._pieces.append((table.filter(pa.array(inside)), places[inside]))

    def _rows(self) -> int:
        return sum(piece[0].num_rows for piece in self._pieces)

    def _bytes(self) -> int:
        return sum(
            pc.sum(pc.binary_length(column)).as_py() or 0 for piece in self._pieces for column in piece[0].columns
        )


def _scattered(numbers: np.ndarray) -> np.ndarray:
    """Each number's place between 0 and 1, by SplitMix64."""
    with np.errstate(over="ignore"):
        mixed = (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed / 2.0**64
