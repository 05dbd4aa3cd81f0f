"""Look-up of expressions: which table columns does a value come from.

Belongs here: everything inside an expression. Does not belong here: FROM, CTEs and ``*`` (``sql_columns``). This
module imports sqlglot at the top, as ``sql_columns`` does.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from sqlglot import exp

from atlas_pipeline.sql.scope import (
    NOTHING,
    UNNAMED,
    VALUE_KEYWORDS,
    Columns,
    Namespace,
    Origin,
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


class Values(ABC):
    """Resolves the expressions of one statement; ``query`` resolves a subquery within one.

    ``catalog`` gives the columns of (schema, table); a table that is missing from it, or empty, may have any
    column. With ``names_only`` no expression is looked up (all sources are empty) and a ``*`` over such a table
    makes the result incomplete instead of raising.
    """

    def __init__(self, sql: str, catalog: Mapping[tuple[str, str], Sequence[str]], *, names_only: bool = False) -> None:
        self.sql = sql
        self.catalog = catalog
        self.names_only = names_only

    @abstractmethod
    def query(self, node: exp.Expr, ctes: Mapping[str, Columns], outer: Scope | None) -> Columns:
        """The output columns of a query."""

    def value(self, node: exp.Expr, scope: Scope, outputs: set[str] | None = None) -> Sources:
        """The sources of an expression; names in ``outputs`` are output columns and add nothing."""
        if self.names_only:
            return NOTHING
        found: set[Origin] = set()
        named = dict(scope.windows)
        stack: list[exp.Expr] = [node]
        while stack:
            part = stack.pop()
            if isinstance(part, exp.Column):
                if not (outputs and not part.table and fold(part.this) in outputs):
                    found |= self._column(part, scope)
            elif isinstance(part, exp.Exists) and isinstance(part.this, exp.Query):
                self.query(part.this, scope.ctes, scope)
            elif isinstance(part, (exp.Query, exp.Values)):
                found |= union(self.query(part, scope.ctes, scope).items)
            elif isinstance(part, exp.Dot) and (relation := self._composite(part, scope)):
                found |= self._field(relation, fold(part.expression), part)
            else:
                if isinstance(part, exp.Window) and (window := named.pop(fold(part.args.get("alias")), None)):
                    stack.append(window)
                stack.extend(part.iter_expressions())
        return frozenset(found)

    def _composite(self, node: exp.Dot, scope: Scope) -> Relation | None:
        """The relation of ``(t).column``."""
        row = row_of(node)
        if row is None or not isinstance(node.expression, exp.Identifier) or scope.names.named(row):
            return None
        found = self._find(row, scope)
        return found[0] if len(found) == 1 else None

    def _column(self, node: exp.Column, scope: Scope) -> Sources:
        if node.args.get("table"):
            relation = self._relation(node, scope)
            if isinstance(node.this, exp.Star):
                return self._whole(relation, node)
            return self._field(relation, fold(node.this), node)
        name = fold(node.this)
        if name in VALUE_KEYWORDS and not node.this.args.get("quoted"):
            return NOTHING
        for names in levels(scope):
            row = any(
                relation.name == name and (relation.aliased or not relation.origin) for relation in names.relations
            )
            if names.named(name) or not row:  # do not take to_jsonb(t) for a column t of a table not known yet
                sources = self._unqualified(name, names, node)
                if sources is not None:
                    return sources
        relations = self._find(name, scope)
        if relations:
            return self._whole(relations[0], node)
        known = [column.name for names in levels(scope) for column in names.columns]
        places = ", ".join(filter(None, map(labels, levels(scope)))) or "a SELECT without FROM"
        raise Unresolved(
            line_of(node),
            f'no column "{name}" in {places}.{did_you_mean(name, known)} Correct the name or add it to the source.',
        )

    def _unqualified(self, name: str, names: Namespace, node: exp.Expr) -> Sources | None:
        """The sources of a bare name at one level, None if it has no such column."""
        matches = names.named(name)
        if len(matches) == 1:
            return matches[0].sources
        if matches:
            raise Unresolved(line_of(node), f'column "{name}" is ambiguous in {labels(names)}. Write <table>.{name}.')
        tables = [relation for relation in names.open if relation.origin]
        if len(tables) > 1 and not self.names_only:
            unknown = ", ".join(relation.label for relation in tables)
            raise Unresolved(
                line_of(node),
                f'cannot tell the table of column "{name}": the columns of {unknown} are not known. '
                f"Write <table>.{name}.",
            )
        candidates = tables or names.open
        return NOTHING.union(*(relation.guess(name) for relation in candidates)) if candidates else None

    def _find(self, name: str, scope: Scope, schema: str = "") -> list[Relation]:
        """The relations of that name at the innermost level that has one."""
        for names in levels(scope):
            found = [relation for relation in names.relations if relation.name == name]
            if schema:
                found = [relation for relation in found if relation.origin == (schema, name) and not relation.aliased]
            if found:
                return found
        return []

    def _relation(self, node: exp.Column, scope: Scope) -> Relation:
        name, schema = fold(node.args.get("table")), fold(node.args.get("db"))
        found = self._find(name, scope, schema)
        if len(found) == 1:
            return found[0]
        label = f"{schema}.{name}" if schema else name
        if found:
            raise Unresolved(line_of(node), f'"{label}" names two tables here. Give them aliases.')
        known = [relation.name for names in levels(scope) for relation in names.relations]
        raise Unresolved(line_of(node), f'no table or alias "{label}" in FROM here.{did_you_mean(name, known)}')

    def _field(self, relation: Relation, name: str, node: exp.Expr) -> Sources:
        matches = [column for column in relation.columns.items if column.name == name]
        if len(matches) == 1:
            return matches[0].sources
        if matches:
            raise Unresolved(line_of(node), f'{relation.label} has two columns "{name}". Give them different names.')
        if relation.columns.complete:
            known = [column.name for column in relation.columns.items]
            raise Unresolved(
                line_of(node),
                f'no column "{name}" in {relation.label}.{did_you_mean(name, known)} '
                "Correct the name or add it to the source.",
            )
        return relation.guess(name)

    def _whole(self, relation: Relation, node: exp.Expr) -> Sources:
        """A whole-row reference such as ``to_jsonb(t)``."""
        if relation.origin and not relation.columns.complete:
            self._not_known(node, [relation])
        return union(relation.columns.items) | relation.fallback

    # -- names

    def _name(self, node: exp.Expr) -> str:
        """The name Postgres gives an output column, as far as it is certain."""
        if isinstance(node, exp.Alias):
            return fold(node.args["alias"])
        if isinstance(node, exp.Column):
            return fold(node.this)
        if isinstance(node, exp.Dot):
            return self._name(node.expression) if isinstance(node.expression, exp.Func) else fold(node.expression)
        if isinstance(node, (exp.Cast, exp.Paren, exp.Window, exp.Filter, exp.WithinGroup, exp.Bracket, exp.Collate)):
            return self._name(node.this)
        if isinstance(node, exp.Func) and not isinstance(node, exp.Trim):  # that is btrim, ltrim or rtrim
            return self._function_name(node)
        return UNNAMED

    def _function_name(self, node: exp.Expr) -> str:
        """The name as written, since sqlglot has its own for many functions."""
        if isinstance(node, exp.Anonymous):
            return fold(node.this)
        written = self.sql[node.meta["start"] : node.meta["end"] + 1] if "start" in node.meta else ""
        return fold(written) if re.fullmatch(r"\w+", written) else UNNAMED

    def _not_known(self, node: exp.Expr, relations: Sequence[Relation]) -> None:
        names = ", ".join(relation.label for relation in relations)
        text = f"{node.sql('postgres')} cannot be expanded: the columns of {names} are not known yet. List them."
        raise Unresolved(line_of(node), text)
