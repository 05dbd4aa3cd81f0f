"""A few rows of a silver table for the UI, personal data masked in any case.

Of a table that holds persons only keys, numbers of nobody and values that many rows have are shown: what is left of a
person, such as a job beside a town, can tell who it is.

Belongs here: the choice of what may be shown. Does not belong here: full access to data, which is Postgres's matter.
"""

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.types import NUMBERS
from atlas_pipeline.pii.plan import ColumnPlan

_ROWS = 5
_WIDTH = 60
_DOTS = "•••"
_MANY = 10
"""In how many rows a value must be, in a table that holds persons."""
_FEW = 50
"""Most different values of a list."""


def preview(connection: psycopg.Connection, dataset: Dataset) -> str:
    """Up to five rows as a Markdown table. Personal data that silver keeps, prose, and what could tell a person, are
    shown as dots."""
    columns = [column for column in dataset.published_columns if _shown(column.plan)]
    hidden = [column.name for column in dataset.published_columns if column not in columns]
    persons = any(column.plan is not None and column.plan.personal for column in dataset.columns)
    if persons:
        lists = [column for column in columns if _is_list(dataset, column)]
        hidden += [column.name for column in columns if column not in lists and not _tells_nobody(dataset, column)]
        columns = [column for column in columns if column.name not in hidden]
    else:
        lists = []
    if not columns:
        return "All columns hold prose, personal data that silver keeps, or what could tell a person: nothing to show."
    names = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column.name)) for column in columns)
    table = sql.Identifier("silver", dataset.name)
    rows = connection.execute(sql.SQL("SELECT {} FROM {} LIMIT {}").format(names, table, sql.Literal(_ROWS))).fetchall()
    wide = {
        column.name: _wide(connection, table, column, {row[columns.index(column)] for row in rows}) for column in lists
    }
    lines = [[column.name for column in columns] + hidden, ["---"] * (len(columns) + len(hidden))]
    for row in rows:
        cells = [
            _cell(value) if column.name not in wide or value in wide[column.name] else _DOTS
            for column, value in zip(columns, row, strict=True)
        ]
        lines.append([*cells, *[_DOTS] * len(hidden)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _shown(plan: ColumnPlan | None) -> bool:
    """Whether values may be in an event, where they stay: none of prose, which may hold a name that no scan found."""
    return plan is None or not (plan.column_class == "free_text" or (plan.personal and plan.action == "keep"))


def _tells_nobody(dataset: Dataset, column: Column) -> bool:
    """Whether it is a key, a placeholder that is the same in all rows, or a number of nobody."""
    plan = column.plan
    if column.name in dataset.key or (plan is not None and plan.action == "redact"):
        return True
    return column.type in NUMBERS and (plan is None or not plan.personal)


def _is_list(dataset: Dataset, column: Column) -> bool:
    """Whether it is a column of a few values of nobody, as far as its profile shows."""
    plan = column.plan
    if column.name in dataset.key or column.type in NUMBERS or (plan is not None and plan.personal):
        return False
    evidence = plan.evidence if plan is not None else {}
    return column.type == "boolean" or 0 < evidence.get("distinct", 0) <= _FEW


def _wide(
    connection: psycopg.Connection, table: sql.Identifier, column: Column, values: set[str | None]
) -> set[str | None]:
    """Those values that many rows have. Counting ends at enough of them."""
    # No parameters: names of columns may hold `%`.
    query = sql.SQL("SELECT count(*) FROM (SELECT FROM {} WHERE {}::text = {} LIMIT {}) AS rows")
    name, most = sql.Identifier(column.name), sql.Literal(_MANY)
    counts = {
        value: connection.execute(query.format(table, name, sql.Literal(value), most)).fetchone()
        for value in values
        if value is not None
    }
    return {None, *(value for value, row in counts.items() if row and row[0] >= _MANY)}


def _cell(value: str | None) -> str:
    if value is None:
        return ""
    short = value if len(value) <= _WIDTH else value[: _WIDTH - 1] + "…"
    return short.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
