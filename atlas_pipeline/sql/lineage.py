"""What a gold model (``model.sql``, one Postgres SELECT) reads, and where its columns come from.

Belongs here: the rules a model must keep, the tables it names, the order of models, column lineage and output
columns, and errors that point at a line of the file. Does not belong here: Dagster objects, ``defs.yaml``,
running SQL, and the look-up of names inside a query (see ``sql_columns``).

The rules catch mistakes, they are not a sandbox: the role that runs a model must itself be limited to reading
silver and gold. sqlglot also accepts some SQL that Postgres rejects; Postgres has the last word.

sqlglot takes a few hundred milliseconds to import, so it is imported inside the functions that need it.
"""

from __future__ import annotations

import difflib
import graphlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from atlas_pipeline.sql.rules import (
    DENIED_FUNCTIONS,
    ONE_SELECT,
    ModelError,
    check_tokens,
    is_lock,
    is_placeholder,
    tokens_of,
)

if TYPE_CHECKING:
    from sqlglot import Token, exp

    from atlas_pipeline.sql.scope import Columns

__all__ = [
    "DENIED_FUNCTIONS",
    "Disguise",
    "Model",
    "ModelError",
    "SourceColumn",
    "TableRef",
    "check_tables",
    "column_lineage",
    "disguises",
    "order_models",
    "output_columns",
    "read_model",
]

READABLE_SCHEMAS = ("silver", "gold")

SCHEMA_HINTS: Mapping[str, str] = {
    "bronze": "bronze holds raw rows; read the silver table made from them",
    "quarantine": "quarantined rows did not pass their checks; read the silver table",
    "pg_catalog": "the catalog of the database is not data",
    "information_schema": "the catalog of the database is not data",
}

TOO_DEEP = "the SELECT is nested too deeply. Split it into WITH queries."
PLAINER = "Correct it; if Postgres accepts it as it is, write it in plainer SQL."


@dataclass(frozen=True)
class TableRef:
    """A table a model reads, and the line that first names it."""

    schema: str
    name: str
    line: int

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, order=True)
class SourceColumn:
    """A column of a table, spelled as Postgres stores it."""

    schema: str
    table: str
    column: str


@dataclass(frozen=True)
class Model:
    """A model that keeps the rules.

    ``statement`` is ``sql`` without what follows the SELECT (semicolon, comments): fit to be wrapped, lines kept.
    ``tables`` are distinct, in order of appearance. ``columns`` are the output columns in order, as far as the
    SQL alone tells: a ``*`` over a table leaves some out.
    """

    path: Path
    sql: str
    statement: str
    tables: tuple[TableRef, ...]
    columns: tuple[str, ...]
    tree: exp.Query = field(repr=False, compare=False)


def read_model(sql: str, path: Path | str) -> Model:
    """Parses and checks a model. Nothing is looked up in a database.

    The name of the model, to see that it does not read itself, is that of the folder of ``path``.
    Raises ``ModelError``.
    """
    from sqlglot import Dialect, exp
    from sqlglot.errors import ParseError

    path = Path(path)
    tokens = tokens_of(sql, path)
    check_tokens(tokens, path)
    try:
        (tree,) = Dialect.get_or_raise("postgres").parser().parse(tokens, sql)
    except ParseError as error:
        raise _syntax_error(error, path) from None
    except RecursionError:
        raise ModelError(path, 1, TOO_DEEP) from None
    except (ValueError, TypeError, AttributeError, LookupError) as error:  # gaps of the parser
        raise ModelError(path, 1, f"sqlglot cannot read this SELECT ({error}). {PLAINER}") from None
    if not isinstance(tree, exp.Query):
        keyword = tree.key.upper() if tree else "nothing"
        raise ModelError(path, tokens[0].line, f"expected one SELECT, found {keyword}. {ONE_SELECT}")
    _check_tree(tree, tokens, path)
    tables = _tables(tree, path)
    _check_names(tree, path)
    columns = _resolve(path, sql, tree, {}, names_only=True)
    names = tuple(column.name for column in columns.items)
    statement = sql[: tokens[-1].end + 1]
    return Model(path, sql, statement, tables, names, tree)


def order_models(models: Mapping[str, Model]) -> list[str]:
    """The names of the models, each after the gold tables it reads; ``models`` is keyed by gold table name.

    Gold tables outside of ``models`` are left to ``check_tables``. Independent models keep alphabetical order
    where possible. Raises ``ModelError`` for a cycle, at the reference that closes it.
    """
    reads = {
        name: [table.name for table in models[name].tables if table.schema == "gold" and table.name in models]
        for name in sorted(models)
    }
    try:
        return list(graphlib.TopologicalSorter(reads).static_order())
    except graphlib.CycleError as error:
        cycle = error.args[1][:0:-1]  # graphlib lists each model before the one that reads it, the first one twice
    start = cycle.index(min(cycle))
    cycle = cycle[start:] + cycle[:start]
    last = models[cycle[-1]]
    line = next(table.line for table in last.tables if (table.schema, table.name) == ("gold", cycle[0]))
    names = " → ".join(f"gold.{name}" for name in (*cycle, cycle[0]))
    raise ModelError(
        last.path, line, f"gold models read each other in a circle: {names}. Take one of these references out."
    )


def check_tables(model: Model, existing: Collection[tuple[str, str]]) -> None:
    """Raises ``ModelError`` for the first table of the model that is not among the known (schema, name)."""
    tables = set(existing)
    for table in model.tables:
        if (table.schema, table.name) not in tables:
            names = sorted(f"{schema}.{name}" for schema, name in tables)
            near = difflib.get_close_matches(str(table), names, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ModelError(
                model.path, table.line, f"unknown table {table}.{hint} Correct the name or define that table first."
            )


def column_lineage(
    model: Model, catalog: Mapping[tuple[str, str], Sequence[str]]
) -> dict[str, tuple[SourceColumn, ...]]:
    """For each output column in order, the sorted table columns its value is computed from.

    ``catalog`` gives the columns of (schema, table). A table without an entry, or with an empty one, may have any
    column: columns named with its alias, or where it is the only such table, are taken as they are written.

    Only the select expressions count, not filters and join conditions; ``sql_columns`` says it in full.
    ``count(*)`` and constants give an empty tuple. Raises ``ModelError`` for unknown or ambiguous columns, two
    output columns of one name, and ``*`` over a table without an entry.
    """
    columns = _resolve(model.path, model.sql, model.tree, catalog)
    return {column.name: tuple(SourceColumn(*source) for source in sorted(column.sources)) for column in columns.items}


@dataclass(frozen=True)
class Disguise:
    """A call of a function whose result hides what it was made of, such as ``md5`` or ``encode``.

    ``sources`` are the columns of its arguments; with ``joint`` there is an ``@`` between them.
    """

    function: str
    sources: tuple[SourceColumn, ...]
    joint: bool


def disguises(model: Model, catalog: Mapping[tuple[str, str], Sequence[str]]) -> tuple[Disguise, ...]:
    """The calls that hide values: hashes without a key, encodings, reversals. Raises as ``column_lineage``."""
    from atlas_pipeline.sql.columns import Resolver
    from atlas_pipeline.sql.scope import Unresolved

    resolver = Resolver(model.sql, catalog)
    try:
        resolver.query(model.tree, {}, None)
    except Unresolved as error:
        raise ModelError(model.path, error.line, error.message) from None
    return tuple(
        dict.fromkeys(
            Disguise(name, tuple(SourceColumn(*source) for source in sorted(sources)), joint)
            for name, sources, joint in resolver.disguises
        )
    )


def output_columns(model: Model, catalog: Mapping[tuple[str, str], Sequence[str]]) -> list[str]:
    """The output columns in order, with ``*`` expanded. Raises as ``column_lineage``."""
    return list(column_lineage(model, catalog))


def _resolve(
    path: Path,
    sql: str,
    tree: exp.Query,
    catalog: Mapping[tuple[str, str], Sequence[str]],
    *,
    names_only: bool = False,
) -> Columns:
    from atlas_pipeline.sql.columns import Resolver
    from atlas_pipeline.sql.scope import UNNAMED, Unresolved

    try:
        columns = Resolver(sql, catalog, names_only=names_only).query(tree, {}, None)
    except Unresolved as error:
        raise ModelError(path, error.line, error.message) from None
    except RecursionError:
        raise ModelError(path, 1, TOO_DEEP) from None
    names: set[str] = set()
    for position, column in enumerate(columns.items, 1):
        if column.name == UNNAMED:
            text = f"output column {position} has no name. Write AS <name> after it where it is computed."
            raise ModelError(path, column.line, text)
        if column.name in names:
            text = f'two output columns are named "{column.name}". Rename one with AS, or list the columns.'
            raise ModelError(path, column.line, text)
        names.add(column.name)
    return columns


def _syntax_error(error: Exception, path: Path) -> ModelError:
    details = (getattr(error, "errors", None) or [{}])[0]
    description = str(details.get("description", "")).split(" but got <")[0].split(" for <")[0].rstrip(".")
    near = f" near {details['highlight']!r}" if details.get("highlight") else ""
    return ModelError(
        path,
        int(details.get("line") or 1),
        f"syntax error{near}: {description or 'not a SELECT'}. {PLAINER}",
    )


def _check_tree(tree: exp.Query, tokens: list[Token], path: Path) -> None:
    from sqlglot import exp

    from atlas_pipeline.sql.scope import line_of

    for node in tree.walk():
        if isinstance(node, (exp.DML, exp.DDL, exp.Command)) and not isinstance(node, exp.Query):
            raise ModelError(path, line_of(node), f"{node.key.upper()} changes data. {ONE_SELECT}")
        if isinstance(node, exp.Into):
            raise ModelError(path, line_of(node), f"SELECT ... INTO creates a table. Take INTO out. {ONE_SELECT}")
        if isinstance(node, exp.Lock):
            line = next((t.line for t, after in pairwise(tokens) if is_lock(t, after)), line_of(node))
            raise ModelError(path, line, "FOR UPDATE and FOR SHARE lock rows. Take the clause out.")
        is_slice = isinstance(node.parent, exp.Bracket)
        if isinstance(node, (exp.Placeholder, exp.Parameter, exp.SessionParameter)) and not is_slice:
            line = next((t.line for t, after in pairwise(tokens) if is_placeholder(t, after)), line_of(node))
            text = "a model has no parameters ($1, :name, %s, ?). Write the value itself."
            raise ModelError(path, line, text)


def _tables(tree: exp.Query, path: Path) -> tuple[TableRef, ...]:
    """Checks every table reference outside of CTEs; distinct, in order of appearance."""
    from sqlglot import exp

    from atlas_pipeline.sql.scope import fold, line_of

    own = path.resolve().parent.name
    refs: list[tuple[int, TableRef]] = []
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            continue  # a function
        name, schema = fold(table.this), fold(table.args.get("db"))
        line = line_of(table.args.get("db") or table.this)
        if not schema:
            if name in _visible_ctes(table):
                continue
            raise ModelError(path, line, f'table "{name}" has no schema. Write silver.{name} or gold.{name}.')
        if table.args.get("catalog"):
            raise ModelError(path, line, f"a table has two parts. Write {schema}.{name} without the database.")
        if schema not in READABLE_SCHEMAS:
            hint = SCHEMA_HINTS.get(schema, f'there is no layer "{schema}"')
            raise ModelError(path, line, f"{schema}.{name}: gold reads only silver and gold; {hint}.")
        if (schema, name) == ("gold", own):
            raise ModelError(path, line, f"gold.{name} reads itself. Read the silver tables it is made from.")
        refs.append((table.this.meta.get("start", 0), TableRef(schema, name, line)))
    first: dict[tuple[str, str], TableRef] = {}
    for _, ref in sorted(refs, key=lambda pair: pair[0]):
        first.setdefault((ref.schema, ref.name), ref)
    return tuple(first.values())


def _visible_ctes(table: exp.Expr) -> set[str]:
    """The CTEs an unqualified name can mean at this place."""
    from sqlglot import exp

    from atlas_pipeline.sql.scope import alias_name

    names: set[str] = set()
    child, node = table, table.parent
    while node is not None:
        with_ = node.args.get("with_")
        if isinstance(node, exp.With):
            position = next(i for i, cte in enumerate(node.expressions) if cte is child)
            names.update(alias_name(cte) for cte in node.expressions[: position + bool(node.recursive)])
        elif isinstance(with_, exp.With) and with_ is not child:
            names.update(alias_name(cte) for cte in with_.expressions)
        child, node = node, node.parent
    return names


def _check_names(tree: exp.Query, path: Path) -> None:
    """Every output column needs a name that can be read off the SQL."""
    from sqlglot import exp

    from atlas_pipeline.sql.scope import line_of

    first: exp.Expr = tree
    while isinstance(first, (exp.SetOperation, exp.Subquery)):
        first = first.this
    if isinstance(first, exp.Select) and not first.expressions:
        raise ModelError(path, line_of(first), "the SELECT has no columns. Name at least one.")
    for position, projection in enumerate(first.expressions if isinstance(first, exp.Select) else (), 1):
        named = projection
        while isinstance(named, (exp.Cast, exp.Paren)):
            named = named.this
        if not isinstance(named, (exp.Column, exp.Star, exp.Dot, exp.Alias)):
            text = projection.sql("postgres")
            short = text if len(text) <= 40 else f"{text[:37]}..."
            raise ModelError(
                path, line_of(projection), f"output column {position} ({short}) has no name. Write AS <name> after it."
            )
