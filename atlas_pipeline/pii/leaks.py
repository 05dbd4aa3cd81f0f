"""The leak check: sweep all text of a finished table for personal data that its plan excludes.

Belongs here: which columns are swept, the counts, and when rows may be swept while they are sent instead of being read
back. Does not belong here: the patterns (`sweep.py`), and what is done about a leak.

Text is stored as it was sent: no type changes it, as jsonb does. So the columns of type text of a table that is filled
by COPY alone hold what was swept on its way there, unless something in the database changes rows when they arrive;
`stores_as_sent` looks for that.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
import pyarrow as pa
from psycopg import sql

from atlas_pipeline.pii.as_text import columns_as_text
from atlas_pipeline.pii.plan import RECOGNISERS, ColumnPlan
from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.warehouse.arrow import copy_blocks

if TYPE_CHECKING:
    from atlas_pipeline.pii.sweep import Harmless

_BLOCK_ROWS = 50_000


@dataclass
class LeakReport:
    """Rows and columns that were swept, and for each column with personal data its cells by rule."""

    rows: int = 0
    columns: list[str] = field(default_factory=list)
    found: dict[str, dict[str, int]] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    """Columns that could not be swept, with their type."""

    @property
    def clean(self) -> bool:
        """Whether everything was read and nothing was found."""
        return not self.found and not self.unreadable

    def __str__(self) -> str:
        parts = [
            f"{column!r} holds " + ", ".join(f"{rule} in {count:,} cells" for rule, count in sorted(rules.items()))
            for column, rules in self.found.items()
        ]
        parts += [
            f"{column!r} is of type {kind}, which the leak check cannot read: cast it to text or leave it out"
            for column, kind in self.unreadable.items()
        ]
        return "; ".join(parts)


def trusted(plan: ColumnPlan) -> bool:
    """Whether the plan allows whatever a sweep would find, so that the column is not swept.

    It does for personal data that is kept, for a column declared to hold none, and for generalised values, which
    still have the form of what they were made from (a year has that of a date).
    """
    only_from_personal = plan.evidence.get("sources") == plan.evidence.get("personal_sources")
    if (plan.action == "generalise" and only_from_personal) or (plan.personal and plan.action == "keep"):
        return True
    return plan.declared and plan.entity is None


class Sweep:
    """Sweeps blocks of rows, 50,000 of them at a time, and adds up what was found."""

    def __init__(
        self, columns: Sequence[str], rules: Rules, numbers: bool = False, plans: Mapping[str, ColumnPlan] | None = None
    ):
        """Sweep these columns of each block.

        Args:
            columns: Their names.
            rules: Recognisers to add to the own ones.
            numbers: They hold digits.
            plans: Those of the columns. What was planned by earlier recognisers is swept for what these knew.
        """
        self._rules = rules
        self.numbers = numbers
        self._earlier = {name for name, plan in (plans or {}).items() if plan.recognisers < RECOGNISERS}
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._report = LeakReport(columns=list(columns))
        self._harmless: dict[str, Harmless] = {}

    def add(self, block: pa.Table) -> None:
        """Take a block, and sweep once there are enough rows."""
        if not self._report.columns:
            return
        self._waiting.append(block.select(self._report.columns))
        self._rows += block.num_rows
        if self._rows >= _BLOCK_ROWS:
            self._sweep()

    def finish(self) -> LeakReport:
        """Sweep what is left. Returns what was found in all."""
        if self._waiting:
            self._sweep()
        return self._report

    def _sweep(self) -> None:
        from atlas_pipeline.pii.sweep import Harmless, sweep

        if not self._harmless and not self.numbers:
            self._harmless = {name: Harmless() for name in self._report.columns}
        rows = pa.concat_tables(self._waiting)
        self._waiting, self._rows = [], 0
        self._report.rows += rows.num_rows
        for name in self._report.columns:
            found = sweep(
                rows[name],
                self._rules,
                numbers=self.numbers,
                registers=name not in self._earlier,
                harmless=self._harmless.get(name),
            )
            for rule, count in found.items():
                cells = self._report.found.setdefault(name, {})
                cells[rule] = cells.get(rule, 0) + count


def sweep_table(
    connection: psycopg.Connection,
    schema: str,
    table: str,
    plans: Mapping[str, ColumnPlan],
    rules: Rules,
    *,
    allowed: Collection[str] = (),
) -> LeakReport:
    """Sweep every column of a table except those that are `trusted`, `allowed` or Atlas's own (`_atlas…`), as text.

    A column of a type that cannot be read as text is reported as `unreadable`.

    Args:
        connection: A connection that may read the table; it is read by one COPY, in blocks of 50,000 rows.
        schema: The table's schema.
        table: The table's name.
        plans: The plans by column. A column without a plan is swept.
        rules: Recognisers to add to the sweep's own.
        allowed: Columns that may hold personal data.

    Returns:
        Rows and columns swept, and the cells with personal data by column and rule; never a value.
    """
    swept = {
        column.name: column
        for column in columns_as_text(connection, schema, table)
        if not (
            column.name in allowed
            or (column.name in plans and trusted(plans[column.name]))
            or column.name.startswith("_atlas")
        )
    }
    report = LeakReport(unreadable={name: column.type for name, column in swept.items() if column.text is None})
    for numbers in (False, True):
        texts = {n: column.text for n, column in swept.items() if column.text is not None and column.number == numbers}
        if texts:
            _swept_together(
                connection, sql.Identifier(schema, table), texts, Sweep(list(texts), rules, numbers, plans), report
            )
    report.columns.sort(key=list(swept).index)
    return report


def _swept_together(
    connection: psycopg.Connection,
    table: sql.Identifier,
    texts: Mapping[str, sql.Composable],
    sweep: Sweep,
    report: LeakReport,
) -> None:
    """Sweep columns by one COPY, and add what was found to the report. Of columns of numbers only rows with a long
    number are read.

    Args:
        connection: A connection that may read the table.
        table: Schema and name.
        texts: The expression of each column's text.
        sweep: For these columns.
        report: What is added to.
    """
    query = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(texts.values()), table)
    if sweep.numbers:
        query += sql.SQL(" WHERE coalesce({}) IS NOT NULL").format(sql.SQL(", ").join(texts.values()))
    for block in copy_blocks(connection, query, dict.fromkeys(texts, pa.string()), _BLOCK_ROWS):
        sweep.add(block)
    done = sweep.finish()
    report.columns += done.columns
    report.found |= done.found
    report.rows = max(report.rows, done.rows)


def stores_as_sent(connection: psycopg.Connection, schema: str, table: str) -> bool:
    """Whether nothing in the database changes the rows of a table when they arrive: no trigger, no rule."""
    relation = sql.Identifier(schema, table).as_string(connection)
    statement = "SELECT NOT (relhastriggers OR relhasrules) FROM pg_class WHERE oid = to_regclass(%s)"
    row = connection.execute(statement, [relation]).fetchone()
    return bool(row and row[0])
