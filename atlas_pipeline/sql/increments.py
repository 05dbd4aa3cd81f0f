"""Whether a model can be brought up to date for some keys alone, and the SELECT that does so.

Belongs here: the rule, on the SQL alone, and the SELECT over a part of a table. Does not belong here: which keys those
are (`warehouse/increments.py`).

The rule: a row of the result follows from the rows of one table that have the row's own key, and from other tables,
which are joined to it. So the rows of a key can be computed from that key's rows alone, as they are in the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from atlas_pipeline.sql.lineage import Model, ModelError
from atlas_pipeline.sql.rules import tokens_of

if TYPE_CHECKING:
    from sqlglot import exp

_INSTEAD = "Write it so, or leave out `incremental`: the table is then computed as a whole each time."
_OF_THE_MOMENT = {"now", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday", "age"}
_OF_THE_MOMENT |= {"random", "random_normal", "gen_random_uuid", "uuidv4", "uuidv7", "current_setting"}
_WORDS_OF_THE_MOMENT = frozenset(("now", "today", "tomorrow", "yesterday"))


@dataclass(frozen=True)
class Followed:
    """The table whose new rows a model follows, and for each column of the unique key that column of it."""

    schema: str
    table: str
    columns: Mapping[str, str]


def followed(model: Model, unique_key: Sequence[str]) -> Followed:
    """The table that a model is brought up to date with: the first of its FROM.

    Args:
        model: as read.
        unique_key: output columns by which rows are replaced.

    Raises ModelError: rows of the result may follow from rows with other keys, or change when none did.
    """
    from sqlglot import exp

    tree = model.tree
    if not isinstance(tree, exp.Select):
        raise _refusal(model, "is a UNION, INTERSECT or EXCEPT")
    first = tree.args.get("from_") or tree.args.get("from")
    table = first.this if first is not None else None
    if not isinstance(table, exp.Table) or not table.db:
        raise _refusal(model, "does not begin its FROM with a table of silver")
    place = (table.db, table.name)
    if place[0] != "silver":
        raise _refusal(model, f"begins its FROM with {'.'.join(place)}, and only tables of silver say what is new")
    if sum((one.db, one.name) == place for one in tree.find_all(exp.Table)) > 1:
        raise _refusal(model, f"reads {'.'.join(place)} more than once")
    if tree.args.get("limit") or tree.args.get("offset") or tree.args.get("fetch"):
        raise _refusal(model, "has LIMIT or OFFSET")
    distinct = tree.args.get("distinct")
    if distinct is not None and distinct.args.get("on"):
        raise _refusal(model, "has DISTINCT ON")
    for join in tree.args.get("joins") or ():
        if join.side in ("RIGHT", "FULL") or join.args.get("method"):
            raise _refusal(model, f"has a {' '.join(filter(None, [join.args.get('method'), join.side]))} JOIN")
    _refuse_moments(model, tree)
    columns = {name: _column_of(model, tree, table, name) for name in unique_key}
    _refuse_across_keys(model, tree, table, columns)
    return Followed(*place, columns)


def over(model: Model, source: Followed, part: str) -> str:
    """The model's statement with the followed table replaced by `part`, a table's qualified and quoted name."""
    from sqlglot import TokenType

    tokens = tokens_of(model.statement, model.path)
    named = [token.text if token.token_type == TokenType.IDENTIFIER else token.text.lower() for token in tokens]
    parts, done = [], 0
    for index, (schema, dot) in enumerate(pairwise(tokens[:-1])):
        if dot.token_type != TokenType.DOT or (named[index], named[index + 2]) != (source.schema, source.table):
            continue
        if index and tokens[index - 1].token_type == TokenType.DOT:
            continue
        name = tokens[index + 2]
        own = model.statement[name.start : name.end + 1]
        after = tokens[index + 3].token_type if index + 3 < len(tokens) else None
        if after == TokenType.DOT:  # a column of it, as in silver.orders.id
            there = own
        else:
            there = part if after in (TokenType.ALIAS, TokenType.VAR, TokenType.IDENTIFIER) else f"{part} AS {own}"
        parts += [model.statement[done : schema.start], there]
        done = name.end + 1
    return "".join([*parts, model.statement[done:]])


def _refusal(model: Model, what: str) -> ModelError:
    return ModelError(
        model.path,
        1,
        f"the model {what}, and `incremental` needs rows that each follow from those rows of the first table of its "
        f"FROM that have the same unique_key. {_INSTEAD}",
    )


def _refuse_moments(model: Model, tree: exp.Expr) -> None:
    from sqlglot import exp

    kinds = (exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.Rand, exp.CurrentUser)
    if tree.find(exp.TableSample):
        raise _refusal(model, "reads a sample")
    for literal in tree.find_all(exp.Literal):
        if literal.is_string and literal.name.strip().lower() in _WORDS_OF_THE_MOMENT:
            raise _refusal(
                model, f"has the time {literal.name.strip()!r}, so that rows change when their sources do not"
            )
    for node in tree.find_all(exp.Func):
        name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
        if isinstance(node, kinds) or name.lower() in _OF_THE_MOMENT:
            raise _refusal(model, f"calls {name.lower()}, so that rows change when their sources do not")


def _column_of(model: Model, tree: exp.Select, table: exp.Table, name: str) -> str:
    """The column of the table that an output column is, and nothing else."""
    from sqlglot import exp

    for projection in tree.expressions:
        if projection.alias_or_name != name:
            continue
        column = projection.unalias()
        if isinstance(column, exp.Column) and _is_of(column, table, tree):
            return str(column.name)
    raise _refusal(model, f"does not select the column {name!r} of unique_key as a column of {table.db}.{table.name}")


def _is_of(column: exp.Column, table: exp.Table, tree: exp.Select) -> bool:
    if not column.table:
        return not tree.args.get("joins")
    return str(column.table) == table.alias_or_name


def _refuse_across_keys(model: Model, tree: exp.Select, table: exp.Table, columns: Mapping[str, str]) -> None:
    """Raises ModelError when rows of different keys meet in a group or a window."""
    from sqlglot import exp

    wanted = set(columns.values())

    def holds(expressions: Collection[exp.Expr], resolve: Callable[[exp.Expr], exp.Expr]) -> bool:
        found = [resolve(one) for one in expressions]
        own = {one.name for one in found if isinstance(one, exp.Column) and _is_of(one, table, tree)}
        return wanted <= own

    outputs = {one.alias: one.unalias() for one in tree.expressions if one.alias}

    def in_group(one: exp.Expr) -> exp.Expr:
        if isinstance(one, exp.Literal) and not one.is_string and one.name.isdecimal():
            return tree.expressions[int(one.name) - 1].unalias()
        # A name in GROUP BY is first a column of what is read, and only else an output column.
        if isinstance(one, exp.Column) and not one.table and one.name in outputs and one.name not in wanted:
            return outputs[one.name]
        return one

    group = tree.args.get("group")
    if group is not None:
        if any(group.args.get(kind) for kind in ("grouping_sets", "rollup", "cube", "all", "totals")):
            raise _refusal(model, "groups by several sets of columns")
        if not holds(group.expressions, in_group):
            raise _refusal(model, f"does not group by the columns of unique_key ({', '.join(columns)})")
    elif tree.args.get("having") or any(_own(node, tree) for node in tree.find_all(exp.AggFunc)):
        raise _refusal(model, "sums up all rows in one")
    for window in tree.find_all(exp.Window):
        if _own(window, tree) and not holds(window.args.get("partition_by") or [], lambda one: one):
            raise _refusal(model, f"has a window that is not partitioned by unique_key ({', '.join(columns)})")


def _own(node: exp.Expr, tree: exp.Select) -> bool:
    """Whether it stands in the SELECT itself, not in one of its subqueries; an aggregate not in a window either."""
    from sqlglot import exp

    if node.find_ancestor(exp.Select) is not tree:
        return False
    return isinstance(node, exp.Window) or node.find_ancestor(exp.Window) is None
