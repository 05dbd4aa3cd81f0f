"""What a name can mean inside one Postgres SELECT: relations, scopes, and how identifiers are folded.

Belongs here: the vocabulary of name resolution. Does not belong here: the resolution itself (``names.py`` for
names in an expression, ``columns.py`` for queries).
"""

from __future__ import annotations

import difflib
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


def row_of(node: exp.Dot) -> str | None:
    """``t`` of ``(t).column``."""
    row = node.this.this if isinstance(node.this, exp.Paren) else None
    return fold(row.this) if isinstance(row, exp.Column) and not row.args.get("table") else None


def levels(scope: Scope) -> list[Namespace]:
    """The namespaces from the innermost to the outermost."""
    levels = []
    level: Scope | None = scope
    while level is not None:
        levels.append(level.names)
        level = level.outer
    return levels


def labels(names: Namespace) -> str:
    """The relations, for a message."""
    return ", ".join(relation.label for relation in names.relations)


def single(relation: Relation) -> Namespace:
    """A FROM of one relation."""
    return Namespace((relation,), relation.columns.items)


def beside(left: Namespace, right: Namespace) -> Namespace:
    """Both, side by side."""
    return Namespace(left.relations + right.relations, left.columns + right.columns)


def add(left: Namespace, right: Namespace, node: exp.Expr) -> Namespace:
    """Both side by side; as in Postgres one name may stand twice only for two tables without alias."""
    for a in left.relations:
        for b in right.relations:
            distinct = a.origin and b.origin and a.origin != b.origin and not a.aliased and not b.aliased
            if a.name and a.name == b.name and not distinct:
                raise Unresolved(line_of(node), f'"{a.name}" stands twice in FROM. Give one of them another alias.')
    return beside(left, right)
