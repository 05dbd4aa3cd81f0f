"""Further columns in the SELECTs of a statement, whose text is otherwise left as it was written.

Belongs here: where the list of columns of each SELECT ends in the text. Does not belong here: which columns are added.

This module imports sqlglot at the top, which is slow; ``subjects.py`` imports it inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import Token, TokenType, exp

_OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET})
_CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET})
_ORDER = ("distinct", "expressions", "from_", "joins", "laterals", "where", "group", "having", "windows", "order")
"""Parts of a SELECT in the order in which they are written."""


class Unplaceable(Exception):
    """The end of a SELECT's columns cannot be found in the text."""


def quoted(name: str) -> str:
    """The name as an identifier that Postgres takes as it is."""
    return '"' + name.replace('"', '""') + '"'


class Splices:
    """Columns that are to be added to the SELECTs of a statement.

    Args:
        statement: the text.
        tokens: its tokens.
        tree: its syntax tree.

    Raises Unplaceable.
    """

    def __init__(self, statement: str, tokens: list[Token], tree: exp.Query) -> None:
        self._statement = statement
        self._tokens = tokens
        self._ends = _ends(tokens, tree)
        self._added: dict[int, list[str]] = {}
        self._names = 0

    def name(self) -> str:
        """A name that no other column has."""
        self._names += 1
        return f"__atlas_{self._names}"

    def add(self, select: exp.Select, text: str, name: str) -> None:
        """Add a column to a SELECT.

        Args:
            select: of the tree.
            text: the expression.
            name: of the column.

        Raises Unplaceable: the SELECT has no FROM.
        """
        end = self._ends.get(id(select))
        if end is None:
            raise Unplaceable
        self._added.setdefault(end, []).append(f"{text} AS {quoted(name)}")

    def expressions(self, select: exp.Select) -> list[str]:
        """The text of each column of a SELECT, without its name."""
        end = self._ends[id(select)]
        last = next(index for index, token in enumerate(self._tokens) if token.start == end)
        spans: list[list[Token]] = [[]]
        depth = 0
        for token in reversed(self._tokens[:last]):
            kind = token.token_type
            depth += (kind in _CLOSING) - (kind in _OPENING)
            if depth == 0 and kind == TokenType.SELECT:
                break
            if depth == 0 and kind == TokenType.COMMA:
                spans.append([])
            else:
                spans[-1].append(token)
        columns = zip(select.expressions, (span[::-1] for span in reversed(spans)), strict=True)
        return [self._without_name(projection, span) for projection, span in columns]

    def _without_name(self, projection: exp.Expr, span: list[Token]) -> str:
        if isinstance(projection, exp.Alias):
            span = span[: -2 if span[-2].token_type == TokenType.ALIAS else -1]
        return self._statement[span[0].start : span[-1].end + 1]

    @property
    def text(self) -> str:
        """The statement with the columns that were added."""
        parts, last = [], 0
        for end, columns in sorted(self._added.items()):
            parts += [self._statement[last:end], ", ", ", ".join(columns), "\n"]
            last = end
        return "".join([*parts, self._statement[last:]])


def _ends(tokens: list[Token], tree: exp.Query) -> dict[int, int]:
    """Where the FROM of each SELECT begins, by identity of its node."""
    places = _places(tokens)
    selects = list(_in_order(tree))
    if len(places) != len(selects):
        raise Unplaceable
    found = {}
    for (start, end), select in zip(places, selects, strict=True):
        if (end is None) != (select.args.get("from_") is None):
            raise Unplaceable
        named = [_start(part) for projection in select.expressions for part in _own(projection)]
        if any(place is not None and not start < place < (end or place + 1) for place in named):
            raise Unplaceable
        if end is not None:
            found[id(select)] = end
    return found


def _places(tokens: list[Token]) -> list[tuple[int, int | None]]:
    """Where each SELECT begins, and its FROM, in the order of the text."""
    places: list[tuple[int, int | None]] = []
    groups: list[int | None] = [None]  # the newest SELECT in each of the open parentheses
    for index, token in enumerate(tokens):
        kind = token.token_type
        if kind == TokenType.L_PAREN:
            groups.append(None)
        elif kind == TokenType.R_PAREN and len(groups) > 1:
            groups.pop()
        elif kind == TokenType.SELECT:
            groups[-1] = len(places)
            places.append((token.start, None))
        elif kind == TokenType.FROM and groups[-1] is not None and tokens[index - 1].token_type != TokenType.DISTINCT:
            start, end = places[groups[-1]]
            if end is None:
                places[groups[-1]] = (start, token.start)
    return places


def _in_order(node: exp.Expr) -> Iterator[exp.Select]:
    if isinstance(with_ := node.args.get("with_"), exp.Expr):
        yield from _in_order(with_)
    if isinstance(node, exp.Select):
        yield node
        keys = [*_ORDER, *(key for key in node.args if key not in _ORDER and key != "with_")]
        parts = [part for key in keys for part in _listed(node.args.get(key))]
    else:
        parts = [part for key, value in node.args.items() if key != "with_" for part in _listed(value)]
    for part in parts:
        yield from _in_order(part)


def _listed(value: object) -> list[exp.Expr]:
    if isinstance(value, list):
        return [part for part in value if isinstance(part, exp.Expr)]
    return [value] if isinstance(value, exp.Expr) else []


def _own(node: exp.Expr) -> Iterator[exp.Expr]:
    """The node and those in it, without queries."""
    if not isinstance(node, exp.Query):
        yield node
        for part in node.iter_expressions():
            yield from _own(part)


def _start(node: exp.Expr) -> int | None:
    return node.meta.get("start") if isinstance(node, exp.Identifier) else None
