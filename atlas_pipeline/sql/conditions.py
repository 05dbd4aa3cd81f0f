"""One condition over the columns of a row, as a declaration may hold it: checked, and written anew from its parts.

Belongs here: which expressions are allowed, and what is said of others. Does not belong here: running them. What
Postgres gets is never the text of the declaration but what is written from the syntax tree, and that has columns,
literals, operators and a few functions: no subquery, no other table, no function with a side effect, nothing that can
fail on a value of a row.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp

_MOST_LETTERS = 2_000
_FLAGS = {"boolean": '"{}"'} | dict.fromkeys(("date", "timestamp", "local_timestamp"), '("{}" IS NOT NULL)')
_NUMBERS = ("integer", "decimal", "float")
_LOGIC = {"And": "AND", "Or": "OR"}
_COMPARISONS = {
    "EQ": "=",
    "NEQ": "<>",
    "GT": ">",
    "GTE": ">=",
    "LT": "<",
    "LTE": "<=",
    "NullSafeEQ": "IS NOT DISTINCT FROM",
    "NullSafeNEQ": "IS DISTINCT FROM",
    "Like": "LIKE",
    "ILike": "ILIKE",
}
_FUNCTIONS = {"Lower": "lower", "Upper": "upper", "Trim": "btrim", "Length": "length", "Coalesce": "coalesce"}
_PARTS = {
    "Is": {"this", "expression", "negate"},
    "Like": {"this", "expression", "negate"},
    "ILike": {"this", "expression", "negate"},
    "In": {"this", "expressions"},
    "Coalesce": {"this", "expressions"},
    "Between": {"this", "low", "high"},
    "Cast": {"this", "to"},
    "Literal": {"this", "is_string"},
}
"""What is written anew of each kind of part, `this` and `expression` of the others; anything else is refused."""
_OF_TEXT = ("Lower", "Upper", "Trim")
_EXPECTED = (
    "expected a condition over the row's columns with =, <>, <, >, IN, BETWEEN, LIKE, IS NULL, AND, OR, NOT and the "
    f"functions {', '.join(map(str.lower, _FUNCTIONS))}, such as op = 'D' OR deleted_at IS NOT NULL"
)


class ConditionError(ValueError):
    """A condition that cannot be used; the message says what is wrong with it."""


@dataclass(frozen=True)
class Condition:
    """A condition as SQL that has no parameters, and the columns that it reads."""

    sql: str
    columns: tuple[str, ...]


def read_condition(text: str, columns: Mapping[str, str]) -> Condition:
    """Check a condition, and write it anew.

    Args:
        text: as declared: a condition, or the name of a column that is a boolean, or a date that is only there when it
            holds.
        columns: the type of each column of the row, by name.

    Raises ConditionError.
    """
    text = text.strip()
    if text in columns:
        return Condition(_flag(text, columns[text]), (text,))
    if len(text) > _MOST_LETTERS or "\0" in text:
        raise ConditionError(f"it has more than {_MOST_LETTERS:,} characters, or a NUL: {_EXPECTED}")
    from sqlglot import parse
    from sqlglot.errors import SqlglotError

    try:
        [tree] = parse(text, dialect="postgres")
        writer = _Writer(columns)
        written = writer.condition(tree)
    except (SqlglotError, ValueError, RecursionError) as error:
        if isinstance(error, ConditionError):
            raise
        raise ConditionError(f"it is not one SQL expression: {_EXPECTED}") from None
    if not writer.read:
        raise ConditionError("it reads no column of the row")
    return Condition(written, tuple(writer.read))


def _flag(name: str, kind: str) -> str:
    """The condition that a column alone is."""
    if kind not in _FLAGS:
        raise ConditionError(
            f"column {name!r} is of type {kind}: say which values mean it, such as {name} = 'D'; a column alone must "
            "be a boolean, or a date or timestamp that is only there when it holds"
        )
    return _FLAGS[kind].format(name.replace('"', '""'))


class _Writer:
    """Writes a syntax tree as SQL, if all of it is allowed. `read` has the columns it met."""

    def __init__(self, columns: Mapping[str, str]):
        self._columns = columns
        self.read: dict[str, None] = {}

    def condition(self, node: "exp.Expr | None") -> str:
        """A part that is true, false or null."""
        if node is None:
            raise ConditionError(f"it is empty: {_EXPECTED}")
        kind, negated = self._plain(node), "NOT " if node.args.get("negate") else ""
        if kind == "Paren":
            return self.condition(node.this)
        if kind in _LOGIC:
            return f"({self.condition(node.this)} {_LOGIC[kind]} {self.condition(node.expression)})"
        if kind == "Not":
            return f"(NOT {self.condition(node.this)})"
        if kind in _COMPARISONS:
            self._comparable(node, node.this, node.expression)
            return f"({self.value(node.this)} {negated}{_COMPARISONS[kind]} {self.value(node.expression)})"
        if kind == "Is" and type(node.expression).__name__ in ("Null", "Boolean"):
            return f"({self.value(node.this)} IS {negated}{self.value(node.expression)})"
        if kind == "In" and node.expressions:
            for each in node.expressions:
                self._comparable(node, node.this, each)
            return f"({self.value(node.this)} IN ({', '.join(map(self.value, node.expressions))}))"
        if kind == "Between":
            low, high = node.args["low"], node.args["high"]
            self._comparable(node, node.this, low)
            self._comparable(node, node.this, high)
            return f"({self.value(node.this)} BETWEEN {self.value(low)} AND {self.value(high)})"
        if kind == "Boolean" or (kind == "Column" and self._kind(node) == "boolean"):
            return self.value(node)
        raise self._refused(node)

    def value(self, node: "exp.Expr") -> str:
        """A part that is a value."""
        kind = self._plain(node)
        if kind == "Paren":
            return f"({self.value(node.this)})"
        if kind == "Column":
            name = self._column(node)
            self.read[name] = None
            return '"{}"'.format(name.replace('"', '""'))
        if kind == "Literal":
            return self._literal(node)
        if kind == "Neg" and type(node.this).__name__ == "Literal":
            return f"-{self._literal(node.this)}"
        if kind in ("Boolean", "Null"):
            return {"Null": "NULL"}.get(kind) or ("TRUE" if node.this else "FALSE")
        if kind == "Cast" and type(node.this).__name__ == "Literal":
            target = node.args["to"].this.name
            if target in ("DATE", "TIMESTAMPTZ"):
                return f"{self._literal(node.this)}::{target.lower()}"
        if kind in _FUNCTIONS:
            if kind in _OF_TEXT and self._kind(node.this) not in ("text", None):
                raise ConditionError(f"{_FUNCTIONS[kind]} is for text")
            return f"{_FUNCTIONS[kind]}({', '.join(map(self.value, [node.this, *(node.expressions or [])]))})"
        raise self._refused(node)

    def _plain(self, node: "exp.Expr") -> str:
        """The kind of a part that has nothing about it that would be lost when it is written anew."""
        kind = type(node).__name__
        known = _PARTS.get(kind, {"this", "expression"})
        if any(value not in (None, False, []) for name, value in node.args.items() if name not in known):
            raise self._refused(node)
        return kind

    def _literal(self, node: "exp.Expr") -> str:
        text = str(node.this)
        if node.is_string:
            return "'{}'".format(text.replace("'", "''"))
        if not re.fullmatch(r"\d{1,18}(\.\d{1,18})?", text):
            raise self._refused(node)
        return text

    def _column(self, node: "exp.Expr") -> str:
        name = node.name
        if node.args.get("table") or type(node.this).__name__ != "Identifier":
            raise self._refused(node)
        folded = [column for column in self._columns if column.lower() == name.lower()]
        if name in self._columns:
            return name
        if len(folded) == 1 and not node.this.args.get("quoted"):
            return folded[0]
        raise ConditionError(f"{name!r} is not a declared column: {', '.join(self._columns)}")

    def _kind(self, node: "exp.Expr") -> str | None:
        """The type of a part, as far as it is told apart; null for text in quotes, which takes the other's."""
        kind = type(node).__name__
        if kind == "Column":
            declared = self._columns[self._column(node)]
            return "number" if declared in _NUMBERS else declared.removeprefix("local_")
        if kind == "Length" or (kind in ("Literal", "Neg") and not node.is_string):
            return "number"
        return {"Lower": "text", "Upper": "text", "Trim": "text", "Boolean": "boolean"}.get(kind)

    def _comparable(self, node: "exp.Expr", left: "exp.Expr", right: "exp.Expr") -> None:
        kinds = [self._kind(left), self._kind(right)]
        if kinds[0] and kinds[1] and set(kinds) != {kinds[0]} and set(kinds) != {"date", "timestamp"}:
            raise ConditionError(f"it compares {kinds[0]} with {kinds[1]}: put what text is compared with in quotes")
        for kind, other in zip(kinds, (right, left), strict=True):
            literal = type(other).__name__ == "Literal" and other.is_string
            if literal and kind == "number" and not re.fullmatch(r"[+-]?\d+(\.\d+)?", str(other.this)):
                raise ConditionError("it compares a number with text that is not one")
            if literal and kind == "boolean" and str(other.this).lower() not in ("true", "false", "t", "f"):
                raise ConditionError("it compares a boolean with text that is not one")
        if type(node).__name__ in ("Like", "ILike") and not set(kinds) <= {"text", None}:
            raise ConditionError("LIKE is for text")

    def _refused(self, node: "exp.Expr") -> ConditionError:
        return ConditionError(f"{type(node).__name__.upper()} is not allowed in it: {_EXPECTED}")
