"""The leak check: read a finished table back, and sweep it for personal data that its plan excludes.

Belongs here: which columns are swept, and the counts. Does not belong here: the patterns (`sweep.py`), and what is done
about a leak.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import psycopg
import pyarrow as pa
from psycopg import sql

from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.warehouse.arrow import copy_blocks

_BLOCK_ROWS = 50_000
_TEXT_TYPES = ("text", "character varying", "character", "json", "jsonb", "text[]", "citext")


@dataclass
class LeakReport:
    """Rows and columns that were swept, and for each column with personal data its cells by rule."""

    rows: int = 0
    columns: list[str] = field(default_factory=list)
    found: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.found

    def __str__(self) -> str:
        return "; ".join(
            f"{column!r} holds " + ", ".join(f"{rule} in {count:,} cells" for rule, count in sorted(rules.items()))
            for column, rules in self.found.items()
        )


def trusted(plan: ColumnPlan) -> bool:
    """Whether the plan allows whatever a sweep would find, so that the column is not swept.

    It does for personal data that is kept, for a column declared to hold none, and for generalised values, which
    still have the form of what they were made from (a year has that of a date).
    """
    only_from_personal = plan.evidence.get("sources") == plan.evidence.get("personal_sources")
    if (plan.action == "generalise" and only_from_personal) or (plan.personal and plan.action == "keep"):
        return True
    return plan.declared and plan.entity is None


def sweep_table(
    connection: psycopg.Connection,
    schema: str,
    table: str,
    plans: Mapping[str, ColumnPlan],
    rules: Rules,
    *,
    allowed: Collection[str] = (),
) -> LeakReport:
    """Sweep every text column of a table except those that are `trusted`, `allowed` or Atlas's own (`_atlas…`).

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
    from atlas_pipeline.pii.sweep import sweep

    report = LeakReport()
    report.columns = [
        name
        for name in _text_columns(connection, schema, table)
        if not (name in allowed or (name in plans and trusted(plans[name])) or name.startswith("_atlas"))
    ]
    if not report.columns:
        return report
    query = sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(map(sql.Identifier, report.columns)), sql.Identifier(schema, table)
    )
    for block in copy_blocks(connection, query, dict.fromkeys(report.columns, pa.string()), _BLOCK_ROWS):
        report.rows += block.num_rows
        for name in report.columns:
            for rule, count in sweep(block[name], rules).items():
                cells = report.found.setdefault(name, {})
                cells[rule] = cells.get(rule, 0) + count
    return report


def _text_columns(connection: psycopg.Connection, schema: str, table: str) -> list[str]:
    relation = sql.Identifier(schema, table).as_string(connection)
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
        " AND format_type(atttypid, NULL) = ANY(%s) ORDER BY attnum",
        [relation, list(_TEXT_TYPES)],
    )
    return [name for (name,) in rows]
