"""What a reader hands to the loader: rows as text, where each row stood, and the rows that cannot be rows.

Belongs here: the vocabulary shared by every reader. Does not belong here: how a format is read (`readers/`),
what a column's text means (`types.py`), or where rows go (`bronze.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.ingest.source_types import SourceTypes
from atlas_pipeline.warehouse.arrow import parse_csv


class FileRefused(Exception):
    """A whole file that cannot be loaded; nothing of it is. `rule` is stable, `reason` is for people.

    The reason never quotes the file's content, only its shape: what was found, what was expected, what to do.
    """

    def __init__(self, rule: str, reason: str):
        super().__init__(reason)
        self.rule = rule
        self.reason = reason


@dataclass(frozen=True)
class Reject:
    """One row that cannot be loaded: its line, a stable rule, a reason without values, and its raw bytes."""

    line: int
    rule: str
    reason: str
    raw: bytes


class Batch:
    """Up to some tens of thousands of rows of one file, as a table of text or as records of minimal CSV.

    A reader makes it from whichever it has, and the other is worked out when it is asked for. `lines` gives for each
    row its 1-based position: the physical line in text formats (where the row starts, the header being line 1), the
    row's number in Parquet.
    """

    def __init__(
        self,
        rows: pa.Table,
        lines: pa.Int64Array,
        rejects: Sequence[Reject] = (),
        types: SourceTypes | Callable[[], SourceTypes] | None = None,
    ):
        """A batch of a table.

        Args:
            rows: string columns, null where the source has no value.
            lines: position of each row.
            rejects: rows that cannot be loaded.
            types: of the columns, or what finds them when they are asked for; null where the source has no types.
        """
        self.columns: tuple[str, ...] = tuple(rows.column_names)
        self.lines = lines
        self.rejects = list(rejects)
        self._types = types
        self.rows = rows
        self._text = b""

    @classmethod
    def of_lines(cls, columns: tuple[str, ...], text: bytes, lines: pa.Int64Array) -> Self:
        """A batch of lines that are minimal CSV already: UTF-8, nothing quoted, each ended by a newline."""
        batch = cls.__new__(cls)
        batch.columns, batch._text, batch.lines, batch.rejects = columns, text, lines, []
        batch._types = None
        return batch

    @cached_property
    def types(self) -> SourceTypes | None:
        """The types that the source itself has for its columns; null where it has only text."""
        return self._types() if callable(self._types) else self._types

    @cached_property
    def rows(self) -> pa.Table:
        """The rows as string columns, named as the source names them, null where it has no value."""
        return parse_csv(self._text, dict.fromkeys(self.columns, pa.string()), threads=False)

    @cached_property
    def records(self) -> list[bytes]:
        """The rows as minimal CSV, comma-separated, without line ends: what is missing is empty, `""` is empty text."""
        if self._text:
            return self._text.split(b"\n")[:-1]
        columns = [_as_csv(column.combine_chunks()) for column in self.rows.columns]
        if not columns:
            return []
        joined = pc.binary_join_element_wise(*columns, ",", null_handling="replace", null_replacement="")
        records: list[bytes] = joined.cast(pa.binary()).to_pylist()
        return records


def _as_csv(column: pa.Array) -> pa.Array:
    # Most columns need no quotes at all: a look through all their text at once is far cheaper than one at each value.
    data = column.buffers()[2]
    text = data.to_pybytes() if data else b""
    if not any(mark in text for mark in (b'"', b",", b"\r", b"\n")) and not pc.equal(column, "").true_count:
        return column
    needs = pc.fill_null(pc.or_(pc.match_substring_regex(column, '[",\r\n]'), pc.equal(column, "")), False)
    if not needs.true_count:
        return column
    escaped = pc.replace_substring(column, '"', '""')
    return pc.if_else(needs, pc.binary_join_element_wise('"', escaped, '"', ""), column)
