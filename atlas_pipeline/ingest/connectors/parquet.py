"""Rows to one Parquet file in the landing folder, there whole or not at all, whose columns may turn up one by one.

Belongs here: pieces, columns that the source did not have before, and what the file says of itself. Does not belong
here: where rows come from. Values are text, as bronze has them; memory is that of one block.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from atlas_pipeline.ingest.connectors import Contract
from atlas_pipeline.ingest.connectors.values import as_array, kind_of
from atlas_pipeline.ingest.readers.extract import REJECTED
from atlas_pipeline.ingest.sources import SourceError

_ABOUT = b"atlas"
_SHOWN = 5


def about(path: Path) -> dict[str, Any]:
    """What a file says of itself: the state of its cursor at its end, and the kinds of its columns."""
    metadata = pq.read_metadata(path).metadata or {}
    return json.loads(metadata.get(_ABOUT, b"{}"))


@dataclass
class ExtractFile:
    """A file that is being written. Use as a context: without `finish` there is no file.

    Attributes:
        path: of the file.
        known: the kinds of the columns that were loaded before, by name; empty for the first extract.
        contract: what is done with other columns.
        always: columns that it has though no row does.
        rows: that were written.
        rejected: lines of files that are no rows, for quarantine.
    """

    path: Path
    known: Mapping[str, str]
    contract: Contract
    always: Sequence[str] = ()
    rows: int = 0
    rejected: int = 0
    discarded: int = 0
    kinds: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.parent.chmod(0o700)
        for old in self.path.parent.glob("*.part"):
            old.unlink()
        self._pieces: list[Path] = []
        self._writer: pq.ParquetWriter | None = None
        self._columns: dict[str, None] = dict.fromkeys(self.always)
        self._left_out: set[str] = set()
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._close()
        for piece in self._pieces:
            piece.unlink(missing_ok=True)

    def write(self, rows: Sequence[Mapping[str, Any]] | pa.Table) -> None:
        """Write a block of rows, or a table whose columns are text already.

        Raises SourceError when the columns are frozen, and these are others.
        """
        if isinstance(rows, pa.Table):
            self._write_texts(rows)
            return
        names = list(rows[0]) if rows else []
        if any(row.keys() != rows[0].keys() for row in rows):
            names = list(dict.fromkeys(name for row in rows for name in row))
        names = self._allowed(names)
        values = {name: [row.get(name) for row in rows] for name in names}
        self._check_kinds(values)
        self._write({name: as_array(values[name]) for name in names}, len(rows))
        self.rows += len(rows)

    def _write_texts(self, rows: pa.Table) -> None:
        names = self._allowed(rows.column_names)
        for name in names:
            if name != REJECTED and rows.column(name).null_count < rows.num_rows:
                self.kinds[name] = "text"
        self._write({name: rows.column(name) for name in names}, rows.num_rows)
        if REJECTED in names:
            self.rejected += rows.num_rows
        else:
            self.rows += rows.num_rows

    def _write(self, values: Mapping[str, Any], count: int) -> None:
        new = [name for name in values if name not in self._columns]
        if new or self._writer is None:
            self._columns.update(dict.fromkeys(new))
            self._begin()
        assert self._writer is not None
        empty = pa.nulls(count, pa.string())
        columns = [values.get(name, empty) for name in self._columns]
        self._writer.write_table(pa.table(columns, schema=_schema(self._columns)))

    def add_columns(self, names: Iterable[str]) -> None:
        """Columns that the file has though no row had a value in them.

        Raises SourceError as `write` does.
        """
        self._columns.update(dict.fromkeys(self._allowed(names)))

    def finish(self, said: Mapping[str, Any]) -> int:
        """Put the file in its place. Returns its size in bytes.

        Raises SourceError when the source gave neither rows nor columns.
        """
        if not self._columns:
            raise SourceError("the source gave no rows, and it is not known which columns it has")
        if self._writer is None or len(self._pieces) > 1 or self._writer.schema != _schema(self._columns):
            self._join()
        assert self._writer is not None
        self._writer.add_key_value_metadata(
            {_ABOUT: json.dumps({**said, "columns": self._all_kinds()}, sort_keys=True)}
        )
        self._close()
        self._pieces[-1].replace(self.path)
        return self.path.stat().st_size

    def _all_kinds(self) -> dict[str, str]:
        """The kinds of all columns, as far as they are known from this extract and those before."""
        names = [name for name in self._columns if name != REJECTED]
        return {name: self.kinds.get(name) or self.known.get(name) or "unknown" for name in names}

    def _join(self) -> None:
        """Go on with one piece that has all columns and all rows."""
        pieces = list(self._pieces)
        self._begin()
        assert self._writer is not None
        for piece in pieces:
            for block in _blocks(piece, self._columns):
                self._writer.write_table(block)

    def _allowed(self, names: Iterable[str]) -> list[str]:
        names = list(names)
        if not self.known or self.contract == "evolve":
            return names
        new = [name for name in names if name not in self.known and name != REJECTED]
        if not new:
            return names
        if self.contract == "freeze":
            places = ", ".join(str(names.index(name) + 1) for name in new[:_SHOWN])
            raise SourceError(
                f"the source has {len(new):,} columns that it did not have before (column {places}), and the schema is "
                "frozen: declare `schema: evolve` to load them, or `schema: discard` to leave them out"
            )
        self._left_out.update(new)
        self.discarded = len(self._left_out)
        return [name for name in names if name not in new]

    def _check_kinds(self, values: Mapping[str, Sequence[Any]]) -> None:
        for place, (name, column) in enumerate(values.items(), 1):
            kind, before = kind_of(column), self.kinds.get(name)
            if kind is None:
                continue
            frozen = self.known.get(name) if self.contract == "freeze" else None
            if frozen and frozen not in (kind, "mixed", "unknown"):
                raise SourceError(
                    f"column {place} of the source was {frozen} and is {kind} now, and the schema is frozen: have it "
                    "corrected there, or declare `schema: evolve`"
                )
            self.kinds[name] = kind if before in (None, kind) else "mixed"

    def _begin(self) -> None:
        self._close()
        piece = self.path.with_suffix(f".{len(self._pieces)}.part")
        self._pieces.append(piece)
        self._writer = pq.ParquetWriter(piece, _schema(self._columns), compression="zstd")

    def _close(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()


def _schema(names: Iterable[str]) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in names])


def _blocks(piece: Path, columns: Iterable[str]) -> Iterable[pa.Table]:
    """The blocks of a piece with all columns, as few as when it was written."""
    names = list(columns)
    with pq.ParquetFile(piece) as file:
        present = set(file.schema_arrow.names)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, use_threads=False)
            empty = pa.nulls(table.num_rows, pa.string())
            arrays = [table.column(name) if name in present else empty for name in names]
            yield pa.table(arrays, schema=_schema(names))
