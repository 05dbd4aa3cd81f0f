"""Whose data flows through each query of a model: which column of a FROM says so, and what a group counts.

Belongs here: the walk over the syntax tree that finds the columns with subjects, and where aggregates begin. Does not
belong here: writing the columns into the text of the SELECT (`splices.py`), and what is done with the counts.

This module imports sqlglot at the top, which is slow; ``subjects.py`` imports it inside functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from atlas_pipeline.sql.scope import alias_columns, alias_name, fold, line_of
from atlas_pipeline.sql.splices import Splices, quoted

Table = tuple[str, str]

_AGGREGATES = frozenset(
    (
        *("every", "bool_and", "bool_or", "bit_and", "bit_or", "bit_xor", "mode", "percentile_cont", "percentile_disc"),
        *("json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg", "xmlagg", "range_agg", "range_intersect_agg"),
        *("any_value", "corr", "covar_pop", "covar_samp", "regr_count", "regr_slope", "regr_intercept", "regr_r2"),
        *("regr_avgx", "regr_avgy", "regr_sxx", "regr_syy", "regr_sxy"),
    )
)
"""Aggregates that sqlglot may read as plain functions."""


class Opaque(Exception):
    """It cannot be told how many subjects a row is made of: ``line`` (1-based) and ``message``."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(line, message)
        self.line = line
        self.message = message


@dataclass
class Part:
    """The subjects of one entity in a query: a column that shows them, or the expression in each SELECT that would."""

    column: str | None
    targets: list[tuple[exp.Select, str]] = field(default_factory=list)
    hidden: str | None = None


@dataclass
class Flow:
    """What a query carries: subjects by entity, or, where ``cells``, how many of them each row was made of.

    ``keys`` are the output columns that tell groups apart; with ``sets`` there are totals among them.
    """

    parts: dict[str, Part]
    cells: bool = False
    keys: tuple[str, ...] = ()
    sets: exp.Select | None = None


@dataclass(frozen=True)
class _Reference:
    """A column of a FROM that holds subjects, or a count of them."""

    entity: str
    alias: str
    column: str
    visible: bool

    @property
    def text(self) -> str:
        return f"{quoted(self.alias)}.{quoted(self.column)}"

    def is_named_by(self, node: exp.Expr) -> bool:
        if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star) or not self.visible:
            return False
        table = fold(node.args.get("table")) if node.args.get("table") else ""
        return fold(node.this) == self.column and table in ("", self.alias)


class Flows:
    """Follows subjects through one statement, and notes the columns that it must select to count them.

    Args:
        splices: where these columns are noted.
        subjects: the column with subjects and their entity, by table.
    """

    def __init__(self, splices: Splices, subjects: Mapping[Table, tuple[str, str]]) -> None:
        self._splices = splices
        self._subjects = subjects

    def query(self, node: exp.Expr, ctes: Mapping[str, Flow | None]) -> Flow | None:
        """The flow of a query; None where no persons are in it. Raises ``Opaque``.

        Args:
            node: its syntax tree.
            ctes: flows of the WITH queries that it can see.
        """
        ctes = self._with(node, ctes)
        if isinstance(node, exp.Subquery):
            return self.query(node.this, ctes)
        if isinstance(node, exp.Select):
            return self._select(node, ctes)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, ctes)
        return None

    def hide(self, part: Part) -> str:
        """The column that a query shows subjects or counts in; a hidden one is added where it shows none."""
        if part.column:
            return part.column
        if part.hidden is None:
            part.hidden = self._splices.name()
            for select, text in part.targets:
                self._splices.add(select, text, part.hidden)
        return part.hidden

    def _with(self, node: exp.Expr, ctes: Mapping[str, Flow | None]) -> Mapping[str, Flow | None]:
        with_ = node.args.get("with_")
        if not isinstance(with_, exp.With):
            return ctes
        visible = dict(ctes)
        for cte in with_.expressions:
            if with_.recursive and self._reads_persons(cte, visible):
                raise Opaque(line_of(cte), "a recursive query reads data of persons")
            visible[alias_name(cte)] = self.query(cte.this, visible)
        return visible

    def _set_operation(self, node: exp.SetOperation, ctes: Mapping[str, Flow | None]) -> Flow | None:
        left, right = self.query(node.this, ctes), self.query(node.expression, ctes)
        if left is None and right is None:
            return None
        if not isinstance(node, exp.Union):
            return left
        if node.args.get("distinct"):
            raise Opaque(line_of(node), "UNION makes one row of several: write UNION ALL")
        if left and right and left.cells != right.cells:
            raise Opaque(line_of(node), "one side of UNION ALL is of single persons, the other of groups")
        first = left or right
        assert first is not None
        entities = dict.fromkeys([*(left.parts if left else ()), *(right.parts if right else ())])
        sides = ((left, node.this), (right, node.expression))
        cast = "" if first.cells else "::text"
        parts = {
            entity: Part(None, [target for flow, side in sides for target in _targets(flow, side, entity, cast)])
            for entity in entities
        }
        return Flow(parts, first.cells, first.keys)

    def _select(self, node: exp.Select, ctes: Mapping[str, Flow | None]) -> Flow | None:
        from_ = node.args.get("from_")
        items = [from_.this] if isinstance(from_, exp.From) else []
        items += [join.this for join in node.args.get("joins") or []] + list(node.args.get("laterals") or [])
        relations = list(self._relations(items, ctes))
        references = [
            _Reference(entity, alias, self.hide(part), visible=part.column is not None)
            for alias, flow in relations
            for entity, part in flow.parts.items()
            if not flow.cells
        ]
        groups = [(alias, flow.parts[""]) for alias, flow in relations if flow.cells]
        counts = [_Reference("", alias, self.hide(part), visible=False) for alias, part in groups]
        grouped = is_aggregated(node)
        looks = [q for p in node.expressions for q in p.find_all(exp.Query) if self._reads_persons(q, ctes)]
        if looks and (grouped or not references):
            raise Opaque(line_of(looks[0]), "a subquery among the columns reads data of persons: write it as a join")
        if not references and not counts:
            return None
        if node.args.get("distinct"):
            raise Opaque(line_of(node), "DISTINCT makes one row of several: write GROUP BY")
        if not grouped:
            return _passed_on(node, references, counts, [flow for _, flow in relations])
        return _grouped(node, references, counts)

    def _relations(self, items: Iterable[exp.Expr], ctes: Mapping[str, Flow | None]) -> Iterator[tuple[str, Flow]]:
        """The entries of a FROM that persons are in, by alias."""
        for item in items:
            alias = alias_name(item)
            flow = None
            if isinstance(item, exp.Table) and isinstance(item.this, exp.Identifier):
                flow = self._table(item, ctes)
                alias = alias or fold(item.this)
            elif isinstance(item, exp.Subquery) and not isinstance(item.this, exp.Query):
                yield from self._relations([item.this], ctes)  # joins in parentheses
            elif isinstance(item, exp.Query):
                flow = self.query(item, ctes)
            elif isinstance(item, exp.Lateral) and isinstance(item.this, exp.Query):
                flow = self.query(item.this, ctes)
            if flow is not None:
                yield alias, flow
            yield from self._relations((join.this for join in item.args.get("joins") or []), ctes)

    def _table(self, node: exp.Table, ctes: Mapping[str, Flow | None]) -> Flow | None:
        schema, name = fold(node.args.get("db")), fold(node.this)
        if not schema:
            return ctes.get(name)
        known = self._subjects.get((schema, name))
        if known is None:
            return None
        if alias_columns(node):
            raise Opaque(line_of(node), f"the columns of {schema}.{name} are renamed in the alias: rename them with AS")
        return Flow({known[1]: Part(known[0])})

    def _reads_persons(self, node: exp.Expr, ctes: Mapping[str, Flow | None]) -> bool:
        return any(
            isinstance(table.this, exp.Identifier)
            and (
                (fold(table.args.get("db")), fold(table.this)) in self._subjects
                if table.args.get("db")
                else ctes.get(fold(table.this)) is not None
            )
            for table in node.find_all(exp.Table)
        )


def is_aggregated(node: exp.Select) -> bool:
    """Whether rows of this SELECT are groups."""
    if node.args.get("group") or node.args.get("having"):
        return True
    return any(_aggregates(projection) for projection in node.expressions)


def _aggregates(node: exp.Expr) -> bool:
    if isinstance(node, exp.Query):
        return False
    if isinstance(node, exp.Window):
        inner = node.this
        while isinstance(inner, (exp.Filter, exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls)):
            inner = inner.this
        rest = [part for part in node.iter_expressions() if part is not node.this]
        return any(_aggregates(part) for part in [*inner.iter_expressions(), *rest])
    named = isinstance(node, exp.Anonymous) and node.name.lower() in _AGGREGATES
    return isinstance(node, exp.AggFunc) or named or any(_aggregates(part) for part in node.iter_expressions())


def group_expressions(node: exp.Select) -> list[exp.Expr]:
    """What a SELECT groups by, each once: ordinals and output names as the expressions that they stand for."""
    group = node.args.get("group")
    if not isinstance(group, exp.Group):
        return []
    listed: list[exp.Expr] = list(group.iter_expressions())
    flat: list[exp.Expr] = []
    while listed:
        part = listed.pop(0)  # of a list that grows in front
        if isinstance(part, (exp.Tuple, exp.Rollup, exp.Cube, exp.GroupingSets)):
            listed = [*part.expressions, *listed]
        elif isinstance(part, exp.Paren):
            listed = [part.this, *listed]
        else:
            flat.append(_meant(part, node))
    return list({part.sql("postgres"): part for part in flat}.values())


def has_sets(node: exp.Select) -> bool:
    """Whether a SELECT has totals beside its groups."""
    group = node.args.get("group")
    return isinstance(group, exp.Group) and group.find(exp.GroupingSets, exp.Rollup, exp.Cube) is not None


def key_positions(node: exp.Select) -> list[int]:
    """Which of its columns a SELECT groups by."""
    by = group_expressions(node)
    return [index for index, p in enumerate(node.expressions) if any(_value(p) == each for each in by)]


def _meant(part: exp.Expr, node: exp.Select) -> exp.Expr:
    if isinstance(part, exp.Literal) and part.is_int and 0 < int(part.this) <= len(node.expressions):
        return _value(node.expressions[int(part.this) - 1])
    if isinstance(part, exp.Column) and not part.table:
        for projection in node.expressions:
            if isinstance(projection, exp.Alias) and fold(projection.args["alias"]) == fold(part.this):
                return _value(projection)
    return part


def _value(projection: exp.Expr) -> exp.Expr:
    return projection.this if isinstance(projection, exp.Alias) else projection


def _name(projection: exp.Expr) -> str:
    if isinstance(projection, exp.Alias):
        return fold(projection.args["alias"])
    while isinstance(projection, (exp.Cast, exp.Paren)):
        projection = projection.this
    return fold(projection.this) if isinstance(projection, exp.Column) else ""


def _shown(node: exp.Select, reference: _Reference) -> str | None:
    """The output column that is just this one."""
    for projection in node.expressions:
        star = isinstance(projection, exp.Star)
        if isinstance(projection, exp.Column) and isinstance(projection.this, exp.Star):
            star = fold(projection.args.get("table")) == reference.alias
        if star and reference.visible:
            return reference.column
        if reference.is_named_by(_value(projection)):
            return _name(projection)
    return None


def _by_entity(references: list[_Reference]) -> dict[str, list[_Reference]]:
    found: dict[str, list[_Reference]] = {}
    for reference in references:
        found.setdefault(reference.entity, []).append(reference)
    return found


def _one_of(references: list[_Reference]) -> str:
    texts = [reference.text for reference in references]
    return texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"


def _passed_on(node: exp.Select, references: list[_Reference], counts: list[_Reference], flows: list[Flow]) -> Flow:
    """The flow of a SELECT that leaves rows as they are."""
    if references:
        parts = {
            entity: Part(next(filter(None, (_shown(node, one) for one in several)), None), [(node, _one_of(several))])
            for entity, several in _by_entity(references).items()
        }
        return Flow(parts)
    if any(flow.sets is not None for flow in flows):
        raise Opaque(line_of(node), "GROUPING SETS, ROLLUP and CUBE must be in the last SELECT of a model")
    texts = [reference.text for reference in counts]
    least = texts[0] if len(texts) == 1 else f"least({', '.join(texts)})"
    keys: tuple[str, ...] = ()
    if len(counts) == 1:
        known = next(flow.keys for flow in flows if flow.cells)
        kept = {fold(_value(p).this): _name(p) for p in node.expressions if isinstance(_value(p), exp.Column)}
        starred = any(isinstance(_value(p), exp.Star) or isinstance(_value(p).this, exp.Star) for p in node.expressions)
        keys = known if starred else tuple(kept[key] for key in known if key in kept)
        keys = keys if len(keys) == len(known) else ()
    return Flow({"": Part(None, [(node, least)])}, cells=True, keys=keys)


def _grouped(node: exp.Select, references: list[_Reference], counts: list[_Reference]) -> Flow:
    """The flow of a SELECT whose rows are groups: of single persons where it groups by them."""
    by = group_expressions(node)
    single = [reference for reference in references if any(reference.is_named_by(each) for each in by)]
    if single and not has_sets(node):
        return Flow({one.entity: Part(_shown(node, one), [(node, one.text)]) for one in single})
    if references:
        numbers = [f"count(DISTINCT {_one_of(several)})" for several in _by_entity(references).values()]
        several = ", ".join(f"nullif({number}, 0)" for number in numbers)
        text = numbers[0] if len(numbers) == 1 else f"coalesce(least({several}), 0)"
    else:
        text = f"max({', '.join(reference.text for reference in counts[:1])})"
        if len(counts) > 1:
            text = f"least({', '.join(f'max({reference.text})' for reference in counts)})"
    keys = tuple(_name(node.expressions[index]) for index in key_positions(node))
    return Flow({"": Part(None, [(node, text)])}, True, keys, node if has_sets(node) else None)


def _targets(flow: Flow | None, side: exp.Expr, entity: str, cast: str) -> Iterator[tuple[exp.Select, str]]:
    """What each SELECT of one side of UNION ALL has to select for the subjects of an entity."""
    part = flow.parts.get(entity) if flow else None
    if part is not None and part.targets:
        yield from ((select, text if text == "NULL" else text + cast) for select, text in part.targets)
        return
    while isinstance(side, exp.Subquery):
        side = side.this
    if isinstance(side, exp.SetOperation):
        yield from _targets(None, side.this, entity, cast)
        yield from _targets(None, side.expression, entity, cast)
    elif isinstance(side, exp.Select):
        yield side, "NULL"
