"""Name resolution for one parsed Postgres SELECT: which table columns does each output column come from.

Belongs here: scopes, CTEs, joins, ``*`` expansion and column look-up over a sqlglot syntax tree, each query
visited once, following the rules of Postgres (identifier folding, USING, LATERAL, whole-row references).
Does not belong here: which statements and tables a model may use, files, error messages with paths
(see ``lineage.py``), anything that talks to a database.

This module imports sqlglot at the top, which is slow; ``lineage.py`` imports it inside functions.

Only the *value* of a column counts: everything inside its select expression (CASE conditions, FILTER, OVER
and aggregate ORDER BY included), followed through CTEs, subqueries and set operations. WHERE, ON, GROUP BY,
HAVING and the ORDER BY of the query are checked for unknown columns but add nothing; neither does EXISTS,
nor the right side of EXCEPT and INTERSECT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from atlas_pipeline.sql.names import (
    bare_name,
    column_sources,
    composite,
    field_sources,
    find,
    function_name,
    output_name,
    qualified_by,
    refuse_unknown,
)
from atlas_pipeline.sql.scope import (
    FUNCTION_COLUMNS,
    NOTHING,
    SCALAR_FUNCTIONS,
    Column,
    Columns,
    Namespace,
    Origin,
    Relation,
    Scope,
    Sources,
    Unresolved,
    add,
    alias_columns,
    alias_name,
    beside,
    did_you_mean,
    fold,
    labels,
    line_of,
    rename,
    row_of,
    single,
    union,
)

_DISGUISING = frozenset(
    (
        *("md5", "sha224", "sha256", "sha384", "sha512", "digest", "hmac", "crypt", "hashtext", "hashtextextended"),
        *("encode", "convert_to", "to_hex", "to_oct", "to_bin", "translate", "reverse", "encrypt", "pgp_sym_encrypt"),
        *("sha1", "crc32", "crc32c", "hash_record", "hashbytea", "encrypt_iv", "pgp_pub_encrypt"),
    )
)
"""Functions whose result hides what it was made of, though anyone can undo it by decoding or trying."""
_TAKING_APART = frozenset(
    (
        *("replace", "overlay", "regexp_replace", "set_byte", "set_bit", "array_reverse"),
        *("string_to_array", "string_to_table", "regexp_split_to_array", "regexp_split_to_table"),
    )
)
"""Functions of everyday use, which hide an address that was put together within their argument."""


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
        self.disguises: list[tuple[str, Sources, bool]] = []

    def query(self, node: exp.Expr, ctes: Mapping[str, Columns], outer: Scope | None) -> Columns:
        """The output columns of a SELECT, VALUES, set operation or a parenthesised one.

        Args:
            node: its syntax tree.
            ctes: output columns of the WITH queries that it can see.
            outer: where a name is looked up that it does not have itself; None outside a subquery.

        Raises ``Unresolved``.
        """
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

    def value(self, node: exp.Expr, scope: Scope, outputs: set[str] | None = None) -> Sources:
        """The sources of an expression; names in ``outputs`` are output columns and add nothing."""
        if self.names_only:
            return NOTHING
        sources: set[Origin] = set()
        named = dict(scope.windows)
        stack: list[exp.Expr] = [node]
        while stack:
            part = stack.pop()
            if isinstance(part, exp.Column):
                if not (outputs and not part.table and fold(part.this) in outputs):
                    sources |= column_sources(part, scope)
            elif isinstance(part, exp.Exists) and isinstance(part.this, exp.Query):
                self.query(part.this, scope.ctes, scope)
            elif isinstance(part, (exp.Query, exp.Values)):
                sources |= union(self.query(part, scope.ctes, scope).items)
            elif isinstance(part, exp.Dot) and (relation := composite(part, scope)):
                sources |= field_sources(relation, fold(part.expression), part)
            else:
                if isinstance(part, exp.Func):
                    self.disguises += _disguises(self, part, scope, outputs)
                if isinstance(part, exp.Window) and (window := named.pop(fold(part.args.get("alias")), None)):
                    stack.append(window)
                stack.extend(part.iter_expressions())
        return frozenset(sources)

    # -- queries

    def _with(self, node: exp.Expr, ctes: Mapping[str, Columns], outer: Scope | None) -> Mapping[str, Columns]:
        with_ = node.args.get("with_")
        if not isinstance(with_, exp.With):
            return ctes
        visible = dict(ctes)
        defined: set[str] = set()
        for cte in with_.expressions:
            name = alias_name(cte)
            if name in defined:
                raise Unresolved(line_of(cte), f'two WITH queries are named "{name}". Rename one.')
            defined.add(name)
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
            visible[name] = _search_columns(search, visible[name])
        return visible

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
                items.append(
                    Column(output_name(projection, self.sql), self.value(projection, scope), line_of(projection))
                )
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
            relation = qualified_by(node, scope)
            relations, columns = (relation,), relation.columns
        elif isinstance(node, exp.Dot) and isinstance(node.expression, exp.Star):
            row = row_of(node)
            relations_named = find(row, scope) if row else []
            if len(relations_named) != 1:
                raise Unresolved(line_of(node), f"cannot tell the columns of {node.sql('postgres')}. List them.")
            relations, columns = (relations_named[0],), relations_named[0].columns
        else:
            return None
        if not columns.complete and not self.names_only:
            refuse_unknown(node, [relation for relation in relations if not relation.columns.complete])
        return columns

    # -- FROM

    def _item(self, node: exp.Expr, left: Namespace, outer: Scope | None, ctes: Mapping[str, Columns]) -> Namespace:
        """One entry of FROM with the joins nested in it; ``left`` is what LATERAL and functions can see."""
        beside = Scope(left, outer, ctes)
        if isinstance(node, exp.Subquery) and not isinstance(node.this, (exp.Select, exp.SetOperation, exp.Values)):
            names = self._item(node.this, left, outer, ctes)
            if alias := alias_name(node):
                unknown = names.open
                if len(unknown) > 1 and not self.names_only:
                    refuse_unknown(node, unknown)
                columns = rename(Columns(names.columns, not unknown), alias_columns(node))
                origin, fallback = (unknown[0].origin, unknown[0].fallback) if unknown else (None, NOTHING)
                names = single(Relation(alias, columns, origin, True, fallback))
        else:
            names = single(self._relation_of(node, beside))
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
        column_names = self.catalog.get((schema, name), ())
        columns = Columns(tuple(Column(c, frozenset({(schema, name, c)})) for c in column_names), bool(column_names))
        if renamed and not column_names and not self.names_only:
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
            function, arguments = function_name(call, self.sql), [call]
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
        joined = Namespace()
        for join in node.args.get("joins") or []:
            visible = beside(beside(left, joined), current)
            right = self._item(join.this, visible, outer, ctes)
            if any(join.args.get(key) for key in ("method", "side", "kind", "on", "using")):
                current = _join(current, right, join, names_only=self.names_only)
                if isinstance(on := join.args.get("on"), exp.Expr):
                    self.value(on, Scope(current, outer, ctes))
            else:
                joined, current = add(joined, current, join), right
        return add(joined, current, node)


def _disguises(
    resolver: Resolver, call: exp.Func, scope: Scope, outputs: set[str] | None
) -> list[tuple[str, Sources, bool]]:
    """The name of a disguising function, the sources of its arguments, and whether an `@` is put between them."""
    name = _called(call, resolver.sql)
    if name not in _DISGUISING | _TAKING_APART:
        return []
    sources: set[Origin] = set()
    for argument in call.iter_expressions():
        sources |= resolver.value(argument, scope, outputs)
    joint = any("@" in str(text.this) for text in call.find_all(exp.Literal))
    return [(name, frozenset(sources), joint)] if name in _DISGUISING or (joint and len(sources) > 1) else []


def _called(call: exp.Func, sql: str) -> str:
    """The name of a function; sqlglot does not keep where `OVERLAY(… PLACING …)` was written."""
    return "overlay" if isinstance(call, exp.Overlay) else function_name(call, sql)


def _search_columns(search: exp.Expr, columns: Columns) -> Columns:
    """Adds the columns of ``SEARCH ... SET x`` and ``CYCLE ... SET x USING y``."""
    by = {fold(identifier) for identifier in search.find_all(exp.Identifier)}
    sources = union(column for column in columns.items if column.name in by)
    added = [search.args.get("expression"), search.args.get("using")]
    extra = [Column(fold(part), sources) for part in added if isinstance(part, exp.Identifier)]
    return Columns((*columns.items, *extra), columns.complete)


def _join(left: Namespace, right: Namespace, join: exp.Join, *, names_only: bool) -> Namespace:
    both = add(left, right, join)
    using = [fold(identifier) for identifier in join.args.get("using") or []]
    at = (join.args.get("using") or [join])[0]
    if join.method == "NATURAL":
        if both.open and not names_only:
            _refuse_natural(join, both.open)
        using = list(dict.fromkeys(c.name for c in left.columns if right.named(c.name)))
    merged = []
    for name in using:
        a, b = (bare_name(name, side, at, names_only=names_only) for side in (left, right))
        if a is None or b is None:
            side = left if a is None else right
            hint = did_you_mean(name, (column.name for column in side.columns))
            raise Unresolved(line_of(at), f'USING ({name}): no column "{name}" in {labels(side)}.{hint}')
        sources = {"RIGHT": b, "FULL": a | b}.get(join.side, a)
        merged.append(Column(name, sources))
    others = [column for column in both.columns if column.name not in using]
    return Namespace(both.relations, (*merged, *others))


def _refuse_natural(join: exp.Join, relations: Sequence[Relation]) -> None:
    names = ", ".join(relation.label for relation in relations)
    text = f"NATURAL JOIN needs the columns of {names}, which are not known yet. Write JOIN ... USING (...)."
    raise Unresolved(line_of(join), text)
