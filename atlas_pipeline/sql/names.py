"""What a name in an expression means: the column or row that it stands for, and the name it gives an output column.

Belongs here: the look-up in a scope that is known. Does not belong here: how FROM, CTEs and ``*`` make that scope
(``columns.py``). This module imports sqlglot at the top, as ``columns.py`` does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlglot import exp

from atlas_pipeline.sql.scope import (
    NOTHING,
    UNNAMED,
    VALUE_KEYWORDS,
    Namespace,
    Relation,
    Scope,
    Sources,
    Unresolved,
    did_you_mean,
    fold,
    labels,
    levels,
    line_of,
    row_of,
    union,
)


def composite(node: exp.Dot, scope: Scope) -> Relation | None:
    """The relation of ``(t).column``."""
    row = row_of(node)
    if row is None or not isinstance(node.expression, exp.Identifier) or scope.names.named(row):
        return None
    matches = find(row, scope)
    return matches[0] if len(matches) == 1 else None


def column_sources(node: exp.Column, scope: Scope) -> Sources:
    """The sources of ``column``, ``t.column``, ``t.*``, or of a whole row ``t``. Raises ``Unresolved``."""
    if node.args.get("table"):
        relation = qualified_by(node, scope)
        if isinstance(node.this, exp.Star):
            return whole_row(relation, node)
        return field_sources(relation, fold(node.this), node)
    name = fold(node.this)
    if name in VALUE_KEYWORDS and not node.this.args.get("quoted"):
        return NOTHING
    for names in levels(scope):
        row = any(relation.name == name and (relation.aliased or not relation.origin) for relation in names.relations)
        if names.named(name) or not row:  # do not take to_jsonb(t) for a column t of a table not known yet
            sources = bare_name(name, names, node)
            if sources is not None:
                return sources
    relations = find(name, scope)
    if relations:
        return whole_row(relations[0], node)
    column_names = [column.name for names in levels(scope) for column in names.columns]
    searched = ", ".join(filter(None, map(labels, levels(scope)))) or "a SELECT without FROM"
    raise Unresolved(
        line_of(node),
        f'no column "{name}" in {searched}.{did_you_mean(name, column_names)} '
        "Correct the name or add it to the source.",
    )


def bare_name(name: str, names: Namespace, node: exp.Expr, *, names_only: bool = False) -> Sources | None:
    """The sources of a name without a table, at one level.

    Args:
        name: folded.
        names: what FROM offers at that level.
        node: where the name stands, for the message.
        names_only: take it to be a column of every table whose columns are not known, instead of raising.

    Returns:
        None if the level has no such column.

    Raises ``Unresolved`` when it is ambiguous.
    """
    matches = names.named(name)
    if len(matches) == 1:
        return matches[0].sources
    if matches:
        raise Unresolved(line_of(node), f'column "{name}" is ambiguous in {labels(names)}. Write <table>.{name}.')
    tables = [relation for relation in names.open if relation.origin]
    if len(tables) > 1 and not names_only:
        unknown = ", ".join(relation.label for relation in tables)
        raise Unresolved(
            line_of(node),
            f'cannot tell the table of column "{name}": the columns of {unknown} are not known. Write <table>.{name}.',
        )
    candidates = tables or names.open
    return NOTHING.union(*(relation.guess(name) for relation in candidates)) if candidates else None


def find(name: str, scope: Scope, schema: str = "") -> list[Relation]:
    """The relations of that name at the innermost level that has one; with ``schema`` tables without alias only."""
    for names in levels(scope):
        matches = [relation for relation in names.relations if relation.name == name]
        if schema:
            matches = [relation for relation in matches if relation.origin == (schema, name) and not relation.aliased]
        if matches:
            return matches
    return []


def qualified_by(node: exp.Column, scope: Scope) -> Relation:
    """The relation ``t`` of ``t.column``. Raises ``Unresolved``."""
    name, schema = fold(node.args.get("table")), fold(node.args.get("db"))
    matches = find(name, scope, schema)
    if len(matches) == 1:
        return matches[0]
    label = f"{schema}.{name}" if schema else name
    if matches:
        raise Unresolved(line_of(node), f'"{label}" names two tables here. Give them aliases.')
    relation_names = [relation.name for names in levels(scope) for relation in names.relations]
    raise Unresolved(line_of(node), f'no table or alias "{label}" in FROM here.{did_you_mean(name, relation_names)}')


def field_sources(relation: Relation, name: str, node: exp.Expr) -> Sources:
    """The sources of a relation's column; ``node`` is where it is named. Raises ``Unresolved``."""
    matches = [column for column in relation.columns.items if column.name == name]
    if len(matches) == 1:
        return matches[0].sources
    if matches:
        raise Unresolved(line_of(node), f'{relation.label} has two columns "{name}". Give them different names.')
    if relation.columns.complete:
        field_names = [column.name for column in relation.columns.items]
        raise Unresolved(
            line_of(node),
            f'no column "{name}" in {relation.label}.{did_you_mean(name, field_names)} '
            "Correct the name or add it to the source.",
        )
    return relation.guess(name)


def whole_row(relation: Relation, node: exp.Expr) -> Sources:
    """The sources of a whole-row reference such as ``to_jsonb(t)``. Raises ``Unresolved`` when not all are known."""
    if relation.origin and not relation.columns.complete:
        refuse_unknown(node, [relation])
    return union(relation.columns.items) | relation.fallback


def output_name(node: exp.Expr, sql: str) -> str:
    """The name Postgres gives an output column, as far as it is certain; ``sql`` is the statement as written."""
    if isinstance(node, exp.Alias):
        return fold(node.args["alias"])
    if isinstance(node, exp.Column):
        return fold(node.this)
    if isinstance(node, exp.Dot):
        return output_name(node.expression, sql) if isinstance(node.expression, exp.Func) else fold(node.expression)
    if isinstance(node, (exp.Cast, exp.Paren, exp.Window, exp.Filter, exp.WithinGroup, exp.Bracket, exp.Collate)):
        return output_name(node.this, sql)
    if isinstance(node, exp.Func) and not isinstance(node, exp.Trim):  # that is btrim, ltrim or rtrim
        return function_name(node, sql)
    return UNNAMED


def function_name(node: exp.Expr, sql: str) -> str:
    """The name of a function as written in ``sql``, since sqlglot has its own for many functions."""
    if isinstance(node, exp.Anonymous):
        return fold(node.this)
    written = sql[node.meta["start"] : node.meta["end"] + 1] if "start" in node.meta else ""
    return fold(written) if re.fullmatch(r"\w+", written) else UNNAMED


def refuse_unknown(node: exp.Expr, relations: Sequence[Relation]) -> None:
    """Raise ``Unresolved`` for a ``*`` or a row of relations whose columns are not known."""
    names = ", ".join(relation.label for relation in relations)
    text = f"{node.sql('postgres')} cannot be expanded: the columns of {names} are not known yet. List them."
    raise Unresolved(line_of(node), text)
