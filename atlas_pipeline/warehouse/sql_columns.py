"""Name resolution for one parsed Postgres SELECT: which table columns does each output column come from.

Belongs here: scopes, CTEs, joins, ``*`` expansion and column look-up over a sqlglot syntax tree, each query
visited once, following the rules of Postgres (identifier folding, USING, LATERAL, whole-row references).
Does not belong here: which statements and tables a model may use, files, error messages with paths
(see ``sql_lineage``), anything that talks to a database.

This module imports sqlglot at the top, which is slow; ``sql_lineage`` imports it inside functions.

Only the *value* of a column counts: everything inside its select expression (CASE conditions, FILTER, OVER
and aggregate ORDER BY included), followed through CTEs, subqueries and set operations. WHERE, ON, GROUP BY,
HAVING and the ORDER BY of the query are checked for unknown columns but add nothing; neither does EXISTS,
nor the right side of EXCEPT and INTERSECT.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

Origin = tuple[str, str, str]
"""(schema, table, column)"""
Sources = frozenset[Origin]
NOTHING: Sources = frozenset()
UNNAMED = "?column?"
"""The name of an expression without AS, where the one that Postgres would give it is not certain."""

# Columns of the set-returning functions whose result does not take the name of the alias.
FUNCTION_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "json_each": ("key", "value"),
    "jsonb_each": ("key", "value"),
    "json_each_text": ("key", "value"),
    "jsonb_each_text": ("key", "value"),
    "json_array_elements": ("value",),
    "jsonb_array_elements": ("value",),
    "json_array_elements_text": ("value",),
    "jsonb_array_elements_text": ("value",),
}
# Set-returning functions with one column that is named after the alias.
SCALAR_FUNCTIONS = frozenset(
    {
        "generate_series",
        "generate_subscripts",
        "json_object_keys",
        "jsonb_object_keys",
        "jsonb_path_query",
        "regexp_matches",
        "regexp_split_to_table",
        "string_to_table",
    }
)
# Keywords that sqlglot reads as columns; Postgres never does unless they are quoted.
VALUE_KEYWORDS = frozenset({"user", "current_role"})
_ASCII_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


class Unresolved(Exception):
    """A name that cannot be resolved: ``line`` (1-based) and ``message``."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(line, message)
        self.line = line
        self.message = message


@dataclass(frozen=True)
class Column:
    """One output column of a query; ``line`` is where its expression starts (not compared)."""

    name: str
    sources: Sources
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Columns:
    """The output of a query; ``complete`` is False when a ``*`` could not be expanded."""

    items: tuple[Column, ...]
    complete: bool = True


@dataclass(frozen=True)
class Relation:
    """An entry of FROM. Without ``complete`` any other column may exist, coming from ``origin`` or ``fallback``."""

    name: str
    columns: Columns
    origin: tuple[str, str] | None = None
    aliased: bool = False
    fallback: Sources = NOTHING

    @property
    def label(self) -> str:
        table = ".".join(self.origin) if self.origin else self.name
        return f"{table} (as {self.name})" if self.origin and self.aliased else table

    def guess(self, name: str) -> Sources:
        return frozenset({(*self.origin, name)}) if self.origin else self.fallback


@dataclass(frozen=True)
class Namespace:
    """What a FROM clause offers: relations by name, and the columns visible without a qualifier, in ``*`` order."""

    relations: tuple[Relation, ...] = ()
    columns: tuple[Column, ...] = ()

    @property
    def open(self) -> list[Relation]:
        return [relation for relation in self.relations if not relation.columns.complete]

    def named(self, name: str) -> list[Column]:
        return [column for column in self.columns if column.name == name]


@dataclass(frozen=True)
class Scope:
    """Where an expression is looked up: innermost FROM first, then the enclosing queries."""

    names: Namespace
    outer: Scope | None
    ctes: Mapping[str, Columns]
    windows: Mapping[str, exp.Expr] = field(default_factory=dict)


def fold(node: exp.Expr | str | None) -> str:
    """The name Postgres gives an identifier: unquoted ASCII letters in lower case, cut after 63 bytes."""
    if isinstance(node, exp.Identifier):
        name = node.name if node.args.get("quoted") else node.name.translate(_ASCII_LOWER)
    else:
        name = (node if isinstance(node, str) else "").translate(_ASCII_LOWER)
    return name.encode()[:63].decode(errors="ignore")


def line_of(node: exp.Expr) -> int:
    """The first line of an expression; that of the nearest enclosing one that has a position, else 1."""
    current: exp.Expr | None = node
    while current is not None:
        lines = [line for part in current.walk() if (line := part.meta.get("line"))]
        if lines:
            return int(min(lines))
        current = current.parent
    return 1


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """`` Did you mean "x"?`` for the nearest candidate, a hint at expressions without a name, or nothing."""
    names = sorted(set(candidates))
    if near := difflib.get_close_matches(name, names, n=1):
        return f' Did you mean "{near[0]}"?'
    return " Give the expressions it selects names with AS." if UNNAMED in names else ""


def alias_columns(node: exp.Expr) -> list[str]:
    """The names of ``AS t(a, b)``, or of ``AS t(a int, b text)``."""
    alias = node.args.get("alias")
    names = alias.args.get("columns") if alias else None
    return [fold(name.this if isinstance(name, exp.ColumnDef) else name) for name in names or []]


def alias_name(node: exp.Expr) -> str:
    """The name of ``AS t``, or an empty string."""
    alias = node.args.get("alias")
    return fold(alias.this) if alias else ""


def rename(columns: Columns, names: Sequence[str]) -> Columns:
    """The columns with the first ones renamed, as ``AS t(a, b)`` does."""
    renamed = [Column(new, old.sources, old.line) for new, old in zip(names, columns.items, strict=False)]
    return Columns((*renamed, *columns.items[len(renamed) :]), columns.complete)


def union(columns: Iterable[Column]) -> Sources:
    """All sources of the columns."""
    return NOTHING.union(*(column.sources for column in columns))


class Resolver:
    """Resolves the columns of one statement.

    ``catalog`` gives the columns of (schema, table); a table that is missing from it, or empty, may have any
    column. With ``names_only`` no expression is looked up (all sources are empty) and a ``*`` over such a table
    makes the result incomplete instead of raising.
    """

    def __init__(self, sql: str, catalog: Mapping[tuple[str, str], Sequence[str]], *, names_only: bool = False) -> None:
        self.sql = sql
        self.catalog = catalog
        self.names_only = names_only

    def query(self, node: exp.Expr, ctes: Mapping[str, Columns], outer: Scope | None) -> Columns:
        """The output columns of a SELECT, VALUES, set operation or a parenthesised one. Raises ``Unresolved``."""
        ctes = self._with(node, ctes, outer)
        if isinstance(node, exp.Subquery):
            return self.query(node.this, ctes, outer)
        if isinstance(node, exp.Select):
            return self._select(node, ctes, outer)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, ctes, outer)
        if isinstance(node, exp.Values):
            return self._values(node, Scope(Namespace(), outer, ctes))
        raise Unresolved(line_of(node), "expected a SELECT here.")

    # -- queries

    def _with(self, node: exp.Expr, ctes: Mapping[str, Columns], outer: Scope | None) -> Mapping[str, Columns]:
        with_ = node.args.get("with_")
        if not isinstance(with_, exp.With):
            return ctes
        visible = dict(ctes)
        seen: set[str] = set()
        for cte in with_.expressions:
            name = alias_name(cte)
            if name in seen:
                raise Unresolved(line_of(cte), f'two WITH queries are named "{name}". Rename one.')
            seen.add(name)
            names, body = alias_columns(cte), cte.this
            if with_.recursive and isinstance(body, exp.SetOperation):
                columns = rename(self.query(body.this, self._with(body, visible, outer), outer), names)
                while visible.get(name) != columns:  # sources only grow, so this ends
                    visible[name] = columns
                    columns = rename(self.query(body, visible, outer), names)
            else:
                columns = rename(self.query(body, visible, outer), names)
            visible[name] = columns
        if isinstance(search := with_.args.get("search"), exp.Expr):  # belongs to the last one
            visible[name] = self._search_columns(search, visible[name])
        return visible

    def _search_columns(self, search: exp.Expr, columns: Columns) -> Columns:
        """Adds the columns of ``SEARCH ... SET x`` and ``CYCLE ... SET x USING y``."""
        by = {fold(identifier) for identifier in search.find_all(exp.Identifier)}
        sources = union(column for column in columns.items if column.name in by)
        added = [search.args.get("expression"), search.args.get("using")]
        extra = [Column(fold(part), sources) for part in added if isinstance(part, exp.Identifier)]
        return Columns((*columns.items, *extra), columns.complete)

    def _values(self, node: exp.Values, scope: Scope) -> Columns:
        rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in node.expressions]
        cells = zip(*rows, strict=False)
        items = [
            Column(f"column{i}", NOTHING.union(*(self.value(cell, scope) for cell in column)), line_of(node))
            for i, column in enumerate(cells, 1)
        ]
        return rename(Columns(tuple(items)), alias_columns(node))

    def _set_operation(self, node: exp.SetOperation, ctes: Mapping[str, Columns], outer: Scope | None) -> Columns:
        left = self.query(node.this, ctes, outer)
        right = self.query(node.expression, ctes, outer)
        if left.complete and right.complete and len(left.items) != len(right.items):
            raise Unresolved(
                line_of(node.expression),
                f"the two sides of {node.key.upper()} have {len(left.items)} and {len(right.items)} columns. "
                "Select the same number of columns on both sides.",
            )
        if not isinstance(node, exp.Union):
            return left
        merged = [Column(a.name, a.sources | b.sources, a.line) for a, b in zip(left.items, right.items, strict=False)]
        return Columns((*merged, *left.items[len(merged) :]), left.complete and right.complete)

    def _select(self, node: exp.Select, ctes: Mapping[str, Columns], outer: Scope | None) -> Columns:
        names = Namespace()
        from_ = node.args.get("from_")
        if from_ is not None:
            names = self._joined(self._item(from_.this, names, outer, ctes), node, Namespace(), outer, ctes)
        windows = {fold(window.this): window for window in node.args.get("windows") or []}
        scope = Scope(names, outer, ctes, windows)
        items: list[Column] = []
        complete = True
        for projection in node.expressions:
            star = self._star(projection, scope)
            if star is None:
                items.append(Column(self._name(projection), self.value(projection, scope), line_of(projection)))
            else:
                items.extend(Column(column.name, column.sources, line_of(projection)) for column in star.items)
                complete = complete and star.complete
        self._check_clauses(node, scope, {column.name for column in items})
        return Columns(tuple(items), complete)

    def _check_clauses(self, node: exp.Select, scope: Scope, outputs: set[str]) -> None:
        """Looks up the columns of the other clauses; a bare name may there be that of an output column."""
        for clause in ("where", "having", "group", "order", "distinct", "limit", "offset"):
            part = node.args.get(clause)
            if isinstance(part, exp.Expr):
                self.value(part, scope, outputs=set() if clause in ("where", "having") else outputs)
        for window in scope.windows.values():
            self.value(window, scope)

    def _star(self, node: exp.Expr, scope: Scope) -> Columns | None:
        """The columns of ``*``, ``t.*`` or ``(t).*``; None for any other expression."""
        if isinstance(node, exp.Star):
            if any(node.args.values()):
                raise Unresolved(line_of(node), "Postgres has no * EXCEPT or * REPLACE. List the columns.")
            if not scope.names.relations:
                raise Unresolved(line_of(node), "SELECT * without FROM. Name the columns.")
            relations, columns = scope.names.relations, Columns(scope.names.columns, not scope.names.open)
        elif isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
            relation = self._relation(node, scope)
            relations, columns = (relation,), relation.columns
        elif isinstance(node, exp.Dot) and isinstance(node.expression, exp.Star):
            row = _row_of(node)
            found = self._find(row, scope) if row else []
            if len(found) != 1:
                raise Unresolved(line_of(node), f"cannot tell the columns of {node.sql('postgres')}. List them.")
            relations, columns = (found[0],), found[0].columns
        else:
            return None
        if not columns.complete and not self.names_only:
            self._not_known(node, [relation for relation in relations if not relation.columns.complete])
        return columns

    def _not_known(self, node: exp.Expr, relations: Sequence[Relation]) -> None:
        names = ", ".join(relation.label for relation in relations)
        text = f"{node.sql('postgres')} cannot be expanded: the columns of {names} are not known yet. List them."
        raise Unresolved(line_of(node), text)

    # -- FROM

    def _item(self, node: exp.Expr, left: Namespace, outer: Scope | None, ctes: Mapping[str, Columns]) -> Namespace:
        """One entry of FROM with the joins nested in it; ``left`` is what LATERAL and functions can see."""
        beside = Scope(left, outer, ctes)
        if isinstance(node, exp.Subquery) and not isinstance(node.this, (exp.Select, exp.SetOperation, exp.Values)):
            names = self._item(node.this, left, outer, ctes)
            if alias := alias_name(node):
                unknown = names.open
                if len(unknown) > 1 and not self.names_only:
                    self._not_known(node, unknown)
                columns = rename(Columns(names.columns, not unknown), alias_columns(node))
                origin, fallback = (unknown[0].origin, unknown[0].fallback) if unknown else (None, NOTHING)
                names = _single(Relation(alias, columns, origin, True, fallback))
        else:
            names = _single(self._relation_of(node, beside))
        return self._joined(names, node, left, outer, ctes)

    def _relation_of(self, node: exp.Expr, beside: Scope) -> Relation:
        alias, renamed = alias_name(node), alias_columns(node)
        if isinstance(node, exp.Values):
            return Relation(alias, self._values(node, Scope(Namespace(), beside.outer, beside.ctes)))
        if isinstance(node, exp.Lateral) and isinstance(node.this, exp.Query):
            return Relation(alias, rename(self.query(node.this, beside.ctes, beside), renamed))
        if isinstance(node, exp.Query):
            return Relation(alias, rename(self.query(node, beside.ctes, beside.outer), renamed))
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            return self._table(node, beside, alias, renamed)
        return self._function(node, beside, alias, renamed)

    def _table(self, node: exp.Table, beside: Scope, alias: str, renamed: Sequence[str]) -> Relation:
        name, schema = fold(node.this), fold(node.args.get("db"))
        if not schema:
            if name not in beside.ctes:
                raise Unresolved(line_of(node), f'no WITH query named "{name}" is defined before this line.')
            return Relation(alias or name, rename(beside.ctes[name], renamed), aliased=bool(alias))
        known = self.catalog.get((schema, name), ())
        columns = Columns(tuple(Column(c, frozenset({(schema, name, c)})) for c in known), bool(known))
        if renamed and not known and not self.names_only:
            raise Unresolved(
                line_of(node),
                f"the columns of {schema}.{name} are not known, so they cannot be renamed in the alias. "
                "Rename them with AS in the SELECT.",
            )
        return Relation(alias or name, rename(columns, renamed), (schema, name), bool(alias))

    def _function(self, node: exp.Expr, beside: Scope, alias: str, renamed: Sequence[str]) -> Relation:
        """A function in FROM: every column comes from all of its arguments."""
        call = node.this if isinstance(node, (exp.Lateral, exp.Table)) and node.this else node
        if isinstance(call, exp.Unnest):
            function, arguments = "unnest", call.expressions
        elif call is node:  # ROWS FROM (f(...), g(...))
            function, arguments = "", [table.this or table for table in node.args.get("rows_from") or []]
        else:
            function, arguments = self._function_name(call), [call]
        sources = NOTHING.union(*(self.value(argument, beside) for argument in arguments))
        names = [fold(part.this) for part in call.find_all(exp.ColumnDef, exp.JSONColumnDef) if part.this]
        if function == "unnest":
            names = [alias or function] if len(arguments) == 1 else [function] * len(arguments)
        elif function in SCALAR_FUNCTIONS:
            names = [alias or function]
        elif function in FUNCTION_COLUMNS:
            names = [*FUNCTION_COLUMNS[function]]
        complete = bool(names or renamed)
        ordinality = call.args.get("offset") or node.args.get("ordinality")
        if ordinality:  # sqlglot takes its name off the alias in LATERAL
            names.append(fold(ordinality) if isinstance(ordinality, exp.Identifier) else "ordinality")
        names = [*renamed, *names[len(renamed) :]]
        columns = Columns(tuple(Column(name, sources) for name in names), complete)
        return Relation(alias or function, columns, fallback=sources)

    def _joined(
        self, current: Namespace, node: exp.Expr, left: Namespace, outer: Scope | None, ctes: Mapping[str, Columns]
    ) -> Namespace:
        """``current`` with the joins of ``node``. A comma binds weaker than JOIN."""
        done = Namespace()
        for join in node.args.get("joins") or []:
            visible = _beside(_beside(left, done), current)
            right = self._item(join.this, visible, outer, ctes)
            if any(join.args.get(key) for key in ("method", "side", "kind", "on", "using")):
                current = self._join(current, right, join)
                if isinstance(on := join.args.get("on"), exp.Expr):
                    self.value(on, Scope(current, outer, ctes))
            else:
                done, current = _add(done, current, join), right
        return _add(done, current, node)

    def _join(self, left: Namespace, right: Namespace, join: exp.Join) -> Namespace:
        both = _add(left, right, join)
        using = [fold(identifier) for identifier in join.args.get("using") or []]
        at = (join.args.get("using") or [join])[0]
        if join.method == "NATURAL":
            if both.open and not self.names_only:
                self._natural_not_known(join, both.open)
            using = list(dict.fromkeys(c.name for c in left.columns if right.named(c.name)))
        merged = []
        for name in using:
            a, b = (self._unqualified(name, side, at) for side in (left, right))
            if a is None or b is None:
                side = left if a is None else right
                hint = did_you_mean(name, (column.name for column in side.columns))
                raise Unresolved(line_of(at), f'USING ({name}): no column "{name}" in {_labels(side)}.{hint}')
            sources = {"RIGHT": b, "FULL": a | b}.get(join.side, a)
            merged.append(Column(name, sources))
        rest = [column for column in both.columns if column.name not in using]
        return Namespace(both.relations, (*merged, *rest))

    def _natural_not_known(self, join: exp.Join, relations: Sequence[Relation]) -> None:
        names = ", ".join(relation.label for relation in relations)
        text = f"NATURAL JOIN needs the columns of {names}, which are not known yet. Write JOIN ... USING (...)."
        raise Unresolved(line_of(join), text)

    # -- expressions

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
        row = _row_of(node)
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
        for names in _levels(scope):
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
        known = [column.name for names in _levels(scope) for column in names.columns]
        places = ", ".join(filter(None, map(_labels, _levels(scope)))) or "a SELECT without FROM"
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
            raise Unresolved(line_of(node), f'column "{name}" is ambiguous in {_labels(names)}. Write <table>.{name}.')
        tables = [relation for relation in names.open if relation.origin]
        if len(tables) > 1 and not self.names_only:
            labels = ", ".join(relation.label for relation in tables)
            raise Unresolved(
                line_of(node),
                f'cannot tell the table of column "{name}": the columns of {labels} are not known. '
                f"Write <table>.{name}.",
            )
        candidates = tables or names.open
        return NOTHING.union(*(relation.guess(name) for relation in candidates)) if candidates else None

    def _find(self, name: str, scope: Scope, schema: str = "") -> list[Relation]:
        """The relations of that name at the innermost level that has one."""
        for names in _levels(scope):
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
        known = [relation.name for names in _levels(scope) for relation in names.relations]
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


def _row_of(node: exp.Dot) -> str | None:
    """``t`` of ``(t).column``."""
    row = node.this.this if isinstance(node.this, exp.Paren) else None
    return fold(row.this) if isinstance(row, exp.Column) and not row.args.get("table") else None


def _levels(scope: Scope) -> list[Namespace]:
    levels = []
    level: Scope | None = scope
    while level is not None:
        levels.append(level.names)
        level = level.outer
    return levels


def _labels(names: Namespace) -> str:
    return ", ".join(relation.label for relation in names.relations)


def _single(relation: Relation) -> Namespace:
    return Namespace((relation,), relation.columns.items)


def _beside(left: Namespace, right: Namespace) -> Namespace:
    return Namespace(left.relations + right.relations, left.columns + right.columns)


def _add(left: Namespace, right: Namespace, node: exp.Expr) -> Namespace:
    """Both side by side; as in Postgres one name may stand twice only for two tables without alias."""
    for a in left.relations:
        for b in right.relations:
            distinct = a.origin and b.origin and a.origin != b.origin and not a.aliased and not b.aliased
            if a.name and a.name == b.name and not distinct:
                raise Unresolved(line_of(node), f'"{a.name}" stands twice in FROM. Give one of them another alias.')
    return _beside(left, right)
