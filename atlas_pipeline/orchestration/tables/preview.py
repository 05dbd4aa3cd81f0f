"""A few rows of a silver table for the UI, personal data masked in any case.

Belongs here: the choice of what may be shown. Does not belong here: full access to data, which is Postgres's matter.
"""

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.pii.plan import ColumnPlan

_ROWS = 5
_WIDTH = 60


def preview(connection: psycopg.Connection, dataset: Dataset) -> str:
    """Up to five rows as a Markdown table. Personal data that silver keeps, and prose, are shown as dots."""
    columns = [column for column in dataset.published_columns if _shown(column.plan)]
    hidden = [column.name for column in dataset.published_columns if column not in columns]
    if not columns:
        return "All columns hold prose, or personal data that silver keeps: nothing to show."
    names = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column.name)) for column in columns)
    table = sql.Identifier("silver", dataset.name)
    rows = connection.execute(sql.SQL("SELECT {} FROM {} LIMIT {}").format(names, table, sql.Literal(_ROWS))).fetchall()
    lines = [[column.name for column in columns] + hidden, ["---"] * (len(columns) + len(hidden))]
    lines += [[*map(_cell, row), *["•••"] * len(hidden)] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _shown(plan: ColumnPlan | None) -> bool:
    """Whether values may be in an event, where they stay: none of prose, which may hold a name that no scan found."""
    return plan is None or not (plan.column_class == "free_text" or (plan.personal and plan.action == "keep"))


def _cell(value: str | None) -> str:
    if value is None:
        return ""
    short = value if len(value) <= _WIDTH else value[: _WIDTH - 1] + "…"
    return short.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
