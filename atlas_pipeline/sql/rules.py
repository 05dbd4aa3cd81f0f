"""The rules of a gold model that its tokens show: one SELECT, no parameters, no function with side effects.

Belongs here: rules that need no syntax tree, and the error that every rule raises. Does not belong here: tables and
columns (``lineage.py``).
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import Token

DENIED_FUNCTIONS = re.compile(
    r"""
      pg_read_\w+ | pg_ls_\w+ | pg_stat_file | pg_file_\w+ | pg_current_logfile      # files of the server
    | lo_\w+ | loread | lowrite                                                       # large objects
    | dblink\w* | postgres_fdw_\w+ | http | http_\w+                                  # network
    | query_to_\w+ | table_to_xml\w* | schema_to_xml\w* | database_to_xml\w*          # SQL or table names in a
    | cursor_to_\w+ | ts_stat | ts_rewrite | crosstab\w* | connectby | xpath_table    #   string: hidden reads
    | nextval | setval | currval | lastval                                            # sequences
    | set_config | setseed | pg_notify                                                # state of the session
    | pg_sleep\w* | pg_advisory_\w+ | pg_try_advisory_\w+                             # waiting and locks
    | pg_terminate_backend | pg_cancel_backend | pg_reload_conf | pg_rotate_logfile   # running the server
    | pg_log_backend_\w+ | pg_stat_reset\w* | pg_promote | pg_export_snapshot
    | pg_switch_wal | pg_create_\w+ | pg_drop_\w+ | pg_logical_\w+ | pg_replication_\w+
    | pg_wal_\w+ | pg_backup_\w+ | pg_start_backup | pg_stop_backup | pg_import_\w+
    | pg_restore_\w+ | pg_clear_\w+ | txid_current | pg_current_xact_id
    | brin_\w+ | gin_clean_pending_list
    """,
    re.VERBOSE,
)
"""Functions with side effects, that reach files or the network, or that read tables this module cannot see."""

ONE_SELECT = "A model is one SELECT (WITH is allowed) and changes nothing; Atlas makes the table from it."


class ModelError(Exception):
    """A model that breaks a rule. Carries ``path``, ``line`` (1-based, in model.sql) and ``message``."""

    def __init__(self, path: Path, line: int, message: str) -> None:
        super().__init__(path, line, message)
        self.path = path
        self.line = line
        self.message = message

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def tokens_of(sql: str, path: Path) -> list[Token]:
    """The tokens of a model. Raises ModelError where a quote or comment is never closed."""
    from sqlglot import tokenize
    from sqlglot.errors import TokenError

    def readable(text: str) -> bool:
        try:
            tokenize(text, read="postgres")
        except TokenError:
            return False
        return True

    try:
        tokens = tokenize(sql, read="postgres")
    except TokenError:
        # The error has no position: what is never closed starts after the longest readable run of lines.
        lines = sql.splitlines(keepends=True)
        line = max(n for n in range(len(lines)) if readable("".join(lines[:n]))) + 1
        raise ModelError(
            path, line, "a quote, identifier or comment that begins here is never closed. Close it."
        ) from None
    return tokens


def check_tokens(tokens: list[Token], path: Path) -> None:
    """The rules that need no syntax tree; also drops the closing semicolon from ``tokens``."""
    from sqlglot import TokenType

    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        raise ModelError(path, 1, f"the file is empty. {ONE_SELECT}")
    first = tokens[0]
    if first.token_type not in (TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN):
        raise ModelError(path, first.line, f"expected one SELECT, found {first.text.upper()!r}. {ONE_SELECT}")
    for token, after in pairwise(tokens):
        if token.token_type == TokenType.SEMICOLON and after.token_type != TokenType.SEMICOLON:
            raise ModelError(path, after.line, f"a second statement begins with {after.text!r}. {ONE_SELECT}")
        if token.text == "{" and after.text in ("{", "%"):
            raise ModelError(path, token.line, "templates are not rendered. Write silver.<name> or gold.<name>.")
        if token.token_type == TokenType.COMMA and after.token_type in (
            TokenType.COMMA,
            TokenType.FROM,
            TokenType.R_PAREN,
        ):
            raise ModelError(path, token.line, f"syntax error: a comma before {after.text!r}. Take it out.")
        name = token.text if token.token_type == TokenType.IDENTIFIER else token.text.lower()
        if (
            after.token_type == TokenType.L_PAREN
            and token.token_type != TokenType.STRING
            and DENIED_FUNCTIONS.fullmatch(name)
        ):
            raise ModelError(
                path,
                token.line,
                f"{name}() is not allowed in a model: it has side effects, reaches outside of the database or reads "
                "tables that lineage cannot see. Compute the value from columns of silver or gold tables.",
            )


def is_lock(token: Token, after: Token) -> bool:
    """Whether FOR UPDATE or the like begins here."""
    return token.text.upper() == "FOR" and after.text.upper() in ("UPDATE", "SHARE", "NO", "KEY")


def is_placeholder(token: Token, after: Token) -> bool:
    """Whether a parameter begins here."""
    return token.text in ("$", ":", "%", "?", "@") and (token.text == "?" or after.start == token.end + 1)
