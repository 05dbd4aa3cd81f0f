"""The columns that a contract names, among those that its table has.

Belongs here: names under `columns`, names in checks, and names in snippets of SQL. Does not belong here: anything else
that can be wrong with a contract (`contract_faults.py`). SQL that cannot be read is left to Postgres.
"""

from collections.abc import Collection, Iterator
from typing import Any

from atlas_pipeline.documents.faults import Fault, Place, one_of

_OF_POSTGRES = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}
_KEYWORDS = {"user", "current_role", "system_user", "document"}
"""Names that sqlglot parses as columns, and Postgres does not."""
_SQL = ("filter", "expression", "column_expression")


def unknown_columns(contract: dict[Any, Any], table_columns: Collection[str]) -> Iterator[Fault]:
    """A fault for each column that the table does not have.

    Names that begin with an underscore, such as those of lineage, and the system columns of Postgres (manual, 5.6)
    are known.

    Args:
        contract: its data, in which no other fault was found.
        table_columns: names of the table's columns.
    """
    for name, place in _named(contract):
        if name not in table_columns and name not in _OF_POSTGRES and not name.startswith("_"):
            yield Fault(f"the table has no column {name!r}: {one_of(name, table_columns)}", place)


def _named(contract: dict[Any, Any]) -> Iterator[tuple[str, Place]]:
    yield from _in_sql(contract, ())
    yield from _in_checks(contract, ())
    for index, column in enumerate(contract.get("columns") or []):
        place: Place = ("columns", index)
        yield column["name"], (*place, "name")
        yield from _in_sql(column, place)
        yield from _in_checks(column, place)


def _in_checks(holder: dict[Any, Any], place: Place) -> Iterator[tuple[str, Place]]:
    for index, entry in enumerate(holder.get("checks") or []):
        for kind, body in entry.items():
            if body:
                inside: Place = (*place, "checks", index, kind)
                yield from _in_sql(body, inside)
                if kind == "freshness":
                    yield body["column"], (*inside, "column")
                for number, name in enumerate(body.get("columns") or []):
                    yield name, (*inside, "columns", number)


def _in_sql(holder: dict[Any, Any], place: Place) -> Iterator[tuple[str, Place]]:
    for key in _SQL:
        if isinstance(holder.get(key), str):
            yield from ((name, (*place, key)) for name in _columns_of(holder[key]))


def _columns_of(sql: str) -> list[str]:
    """Unqualified columns of an SQL expression, outside queries nested in it, as Postgres folds their names."""
    import sqlglot
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(sql, dialect="postgres")
    except (sqlglot.errors.SqlglotError, RecursionError):
        return []
    if isinstance(tree, exp.Alias | exp.Command):
        return []
    found = []
    for node in tree.walk(prune=lambda node: isinstance(node, exp.Query)):
        if isinstance(node, exp.Column) and not node.table and isinstance(node.this, exp.Identifier):
            name = node.name if node.this.quoted else node.name.lower()
            if node.this.quoted or name not in _KEYWORDS:
                found.append(name)
    return found
