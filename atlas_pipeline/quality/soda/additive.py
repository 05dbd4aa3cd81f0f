"""Which numbers of a table follow from those of its parts, and how they are put together.

Belongs here: reading the SQL of an aggregate, and arithmetic. Does not belong here: queries (`queries.py`), and where
the numbers of the published table are kept (`quality/counts.py`).

A count under a condition is the sum of the counts of any two halves of a table, as long as the condition looks at
nothing but one row. So an aggregate is taken only where it is made of words of which that is known; all else is
measured on all rows.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Context, Decimal
from functools import cache
from typing import Any, Literal

from atlas_pipeline.quality.counts import Number, State

Kind = Literal["count", "sum", "avg", "min", "max"]
_EXACT = Context(prec=1000)
_SHOWN = Context(prec=40)
_MOVING = re.compile(r"(?i)\b(now|today|tomorrow|yesterday)\b")
"""Texts that mean another time each time, where they are compared with times."""
_WORDS = """
Abs Add And AtTimeZone Between Boolean Case Cast Ceil Coalesce Column Concat DPipe DataType DataTypeParam Div EQ Escape
Extract Floor GT GTE Greatest ILike Identifier If In Interval Is LT LTE Least Left Length Like Literal Lower Mod Mul
NEQ Neg Not Null NullSafeEQ NullSafeNEQ Nullif Or Paren RegexpILike RegexpLike Right Round Sign SimilarTo Sub
Substring TimestampTrunc Trim Tuple Upper Var
"""
_TYPES = """
BIGINT BOOLEAN CHAR DATE DECIMAL DOUBLE FLOAT INT INTERVAL SMALLINT TEXT TIME TIMESTAMP TIMESTAMPTZ VARCHAR
"""


@dataclass(frozen=True)
class Additive:
    """An aggregate, and the SQL of the numbers that its state is made of."""

    kind: Kind
    fields: tuple[str, ...]

    def state(self, row: tuple[Any, ...]) -> State | None:
        """The state that these fields of a result are; null where they cannot be added up exactly."""
        if self.kind in ("sum", "avg"):
            row = (0 if row[-1] == 0 else row[-2], row[-1])
        numbers: tuple[Number, ...] = tuple(row)
        kept = _is_place if self.kind in ("min", "max") else _is_exact
        return numbers if all(map(kept, numbers)) else None

    @property
    def nothing(self) -> State:
        """The state of no rows."""
        return {"count": (0,), "min": (None,), "max": (None,)}.get(self.kind, (0, 0))

    def value(self, state: State) -> Any:
        """The aggregate of rows with this state, as Postgres would say it."""
        if self.kind in ("sum", "avg"):
            total, rows = state
            if not rows:
                return None
            return total if self.kind == "sum" else _SHOWN.divide(Decimal(total), Decimal(rows))
        return state[0]

    def moved(self, before: State, added: State, replaced: State) -> State | None:
        """The state of a table after rows came and went; null where only all rows can tell."""
        if self.kind in ("min", "max"):
            return self._extreme(before[0], added[0], replaced[0])
        sums = ((Decimal(a), Decimal(b), Decimal(c)) for a, b, c in zip(before, added, replaced, strict=True))
        new = tuple(_EXACT.subtract(_EXACT.add(a, b), c) for a, b, c in sums)
        whole = (isinstance(number, int) for number in (*before, *added, *replaced))
        return tuple(map(int, new)) if all(whole) else new

    def _extreme(self, before: Any, added: Any, replaced: Any) -> State | None:
        """Of rows that stay nothing is known but what all had: gone with others may be the one that was outermost."""
        further = max if self.kind == "max" else min
        if before is None or (added is not None and further(before, added) == added):
            return (added,)
        return None if replaced is not None and further(before, replaced) == replaced else (before,)


def _is_exact(number: Any) -> bool:
    """Whether sums of it do not depend on their order, as those of floating point numbers do."""
    if isinstance(number, Decimal):
        return number.is_finite()
    return isinstance(number, int) and not isinstance(number, bool)


def _is_place(number: Any) -> bool:
    """Whether Python puts it in the order that Postgres does; texts have an order of their language."""
    if isinstance(number, float):
        return number == number
    return number is None or _is_exact(number) or isinstance(number, date | datetime)


def additive(text: str, columns: Collection[str]) -> Additive | None:
    """What an aggregate is made of; null for one that has to be measured on all rows.

    Args:
        text: its SQL.
        columns: those of the table whose values do not change in rows that stay.
    """
    from sqlglot import exp

    tree = _parsed(text)
    if isinstance(tree, exp.Filter):
        aggregate, rest = tree.this, [tree.expression.this]
    else:
        aggregate, rest = tree, []
    kinds: dict[type, Kind] = {exp.Count: "count", exp.Sum: "sum", exp.Avg: "avg", exp.Min: "min", exp.Max: "max"}
    kind = kinds.get(type(aggregate))
    if kind is None or aggregate.args.get("expressions"):
        return None
    if not (kind == "count" and isinstance(aggregate.this, exp.Star)):
        rest.append(aggregate.this)
    name = re.match(r"\s*(\w+)\s*(?=\()", text)
    if name is None or not all(of_one_row(one, columns) for one in rest):
        return None
    asked = text[name.end() :]
    others = {"sum": [f"count{asked}"], "avg": [f"sum{asked}", f"count{asked}"]}.get(kind, [])
    return Additive(kind, (text, *others))


def of_one_row(what: Any, columns: Collection[str]) -> bool:
    """Whether an expression depends on nothing but the values of one row.

    Args:
        what: the expression, as SQL or as it was parsed.
        columns: those of the table whose values do not change in rows that stay.
    """
    from sqlglot import exp

    tree = _parsed(what) if isinstance(what, str) else what
    words, types = _known()
    if tree is None:
        return False
    for node in tree.walk():
        if type(node) not in words:
            return False
        if isinstance(node, exp.Column) and (node.table or _name(node) not in columns):
            return False
        if isinstance(node, exp.DataType) and node.this not in types:
            return False
        if isinstance(node, exp.Literal) and node.is_string and _MOVING.search(node.this):
            return False
    return True


def _name(column: Any) -> str | None:
    return column.name if getattr(column.this, "quoted", True) else column.name.lower()


def _parsed(text: str) -> Any:
    from sqlglot import parse_one
    from sqlglot.errors import SqlglotError

    try:
        return parse_one(text, dialect="postgres")
    except (SqlglotError, RecursionError):
        return None


@cache
def _known() -> tuple[frozenset[Any], frozenset[Any]]:
    from sqlglot import exp

    words = frozenset(getattr(exp, name) for name in _WORDS.split())
    return words, frozenset(exp.DataType.Type[name] for name in _TYPES.split())
