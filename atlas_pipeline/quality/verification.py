"""Verifying a contract on one table, which may be a staging table: what every check came to.

Belongs here: the snapshot that is read, and the names that the contract's SQL may call the table by. Does not belong
here: the file (`contract.py`), measuring (`soda.py`), what follows from an outcome (`warehouse/publish.py`) and how it
is shown (`components/`).
"""

import os
import traceback
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from atlas_pipeline.quality.contract import read_checks
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.warehouse.connect import connect


def verify(
    path: Path,
    url: str,
    schema: str,
    table: str,
    *,
    published: tuple[str, str] | None = None,
    key: Sequence[str] = (),
    sample: int = 20,
    only: Collection[str] | None = None,
) -> list[Outcome]:
    """What came of each check in the contract at `path` on one table, in the order of the file.

    All checks read one snapshot of the database, in a transaction that cannot write. SQL in the contract may name the
    table as `published` (layer, name), and means `schema`.`table` then. `key` names columns that are not personal:
    their values may be shown, of up to `sample` rows that failed. `only` restricts it to some checks, by path. A check
    that could not be evaluated has failed, with the reason; so have all when the table is not there. Raises
    ContractError, warehouse.connect.WarehouseError.
    """
    os.environ["SODA_CORE_TELEMETRY_ENABLED"] = "false"
    from atlas_pipeline.quality import soda

    checks = [check for check in read_checks(path) if only is None or check.path in only]
    with connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.execute("SET LOCAL work_mem = '128MB'")
        # With many aggregates a server that compiles queries spends more time on that than it saves.
        connection.execute("SET LOCAL jit = off")
        place = sql.Identifier(schema, table)
        found = connection.execute("SELECT to_regclass(%s)", [place.as_string(connection)]).fetchone()
        if found is None or found[0] is None:
            problem = f"{schema}.{table} is not there: materialize it first"
            return [Outcome(check, "not evaluated", problem=problem) for check in checks]
        try:
            return soda.measure(
                path.read_text(encoding="utf-8"),
                connection,
                f"{soda.DATA_SOURCE}/{connection.info.dbname}/{schema}/{table}",
                checks,
                key=key,
                sample=sample,
                rewrite=_redirect(published, (schema, table)),
            )
        except psycopg.Error:
            raise
        except Exception as error:  # noqa: BLE001 — a fault of Soda ends as checks that failed; its text may quote values
            last = traceback.extract_tb(error.__traceback__)[-1]
            problem = f"Soda stopped with {type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
            return [Outcome(check, "not evaluated", problem=problem) for check in checks]


def _redirect(published: tuple[str, str] | None, place: tuple[str, str]) -> Callable[[str], str]:
    """A function that puts `place` where a statement names the published table; all else stays as it is written."""
    if published is None or published == place:
        return lambda statement: statement

    from sqlglot.dialects.postgres import Postgres
    from sqlglot.errors import TokenError
    from sqlglot.tokenizer_core import Token, TokenType

    target = sql.Identifier(*place).as_string()

    def name(token: Token) -> str:
        return token.text if token.token_type == TokenType.IDENTIFIER else token.text.lower()

    def rewrite(statement: str) -> str:
        try:
            tokens = Postgres().tokenize(statement)
        except TokenError:
            return statement
        parts, done = [], 0
        for first, dot, second in zip(tokens, tokens[1:], tokens[2:], strict=False):
            if dot.token_type == TokenType.DOT and (name(first), name(second)) == published:
                parts += [statement[done : first.start], target]
                done = second.end + 1
        return "".join([*parts, statement[done:]])

    return rewrite
