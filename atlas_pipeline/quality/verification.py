"""Verifying a contract on one table, which may be a staging table: the outcome of every check.

Belongs here: the snapshot that is read, and the names that the contract's SQL may call the table by. Does not belong
here: the file (`contract.py`), measuring (`soda/`), what follows from an outcome (`warehouse/publish.py`) and how it
is shown (`orchestration/tables/`).
"""

import os
import traceback
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from atlas_pipeline.quality.contract import Contract
from atlas_pipeline.quality.counts import Tally
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.warehouse.connect import connect

if TYPE_CHECKING:
    from atlas_pipeline.quality.soda.contract import Known


def verify(
    contract: Contract,
    url: str,
    schema: str,
    table: str,
    *,
    published: tuple[str, str] | None = None,
    key: Sequence[str] = (),
    sample: int = 20,
    only: Collection[str] | None = None,
    tally: Tally | None = None,
) -> list[Outcome]:
    """Measure a contract's checks on one table.

    All checks read one snapshot. When another table that they read was replaced meanwhile, every outcome says so
    instead. A check that could not be evaluated has failed, with the reason; so have all when the table is not there.

    Args:
        contract: as it was read.
        url: of the warehouse.
        schema: of the table that is measured.
        table: its name.
        published: layer and name by which SQL in the contract may call the table.
        key: columns that are not personal, whose values identify rows that failed.
        sample: most such rows for each check.
        only: paths of the checks to measure; null for all.
        tally: of the published table, whose counts are carried forward where that can be done; takes those of this one.

    Returns:
        An outcome for each check, in the order of the contract.

    Raises:
        WarehouseError: the warehouse cannot be reached.
    """
    # Soda would send telemetry, and put what is in the project's .env into the environment of this process.
    os.environ |= {"SODA_CORE_TELEMETRY_ENABLED": "false", "PYTHON_DOTENV_DISABLED": "true"}
    from atlas_pipeline.quality.soda.contract import measure

    checks = [check for check in contract.checks if only is None or check.path in only]
    with connect(url) as connection:
        _prepare(connection)
        problem = _hold(connection, schema, table)
        if problem is None:
            put = partial(measure, key=key, sample=sample, rewrite=_redirect(published, (schema, table)), tally=tally)
            known = _known(connection, (schema, table), published, tally)
            try:
                found = put(contract.text, connection, f"{connection.info.dbname}/{schema}/{table}", checks, known)
                problem = _moved(connection)
            except psycopg.Error:
                raise
            except Exception as error:  # noqa: BLE001 — a fault of Soda ends as checks that failed
                problem = _stopped(error)
            if problem is None:
                return found
            if tally is not None:
                tally.after = {}
        return [Outcome(check, "not evaluated", problem=problem) for check in checks]


def _stopped(error: Exception) -> str:
    """What stopped Soda, and where; its own text may quote values."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"Soda stopped with {type(error).__name__} at {Path(last.filename).name}:{last.lineno}"


def _prepare(connection: psycopg.Connection) -> None:
    """Begin the read-only transaction in which all checks are measured."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    connection.execute("SET LOCAL work_mem = '128MB'")
    # With many aggregates a server that compiles queries spends more time on that than it saves.
    connection.execute("SET LOCAL jit = off")


def _hold(connection: psycopg.Connection, schema: str, table: str) -> str | None:
    """Lock the table against being replaced, then take the snapshot; returns why it cannot be read, if so.

    The order matters: a table that another session puts in place after the snapshot would look empty.
    """
    place = sql.Identifier(schema, table)
    try:
        with connection.transaction():
            connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(place))
    except psycopg.errors.LockNotAvailable:
        return f"{schema}.{table} is locked by another session"
    except (psycopg.ProgrammingError, psycopg.NotSupportedError):
        pass  # It is not there, which is asked below, or it is of a kind that cannot be locked.
    found = connection.execute("SELECT to_regclass(%s)", [place.as_string(connection)]).fetchone()
    return f"{schema}.{table} is not there: materialize it first" if found is None or found[0] is None else None


def _known(
    connection: psycopg.Connection, place: tuple[str, str], published: tuple[str, str] | None, tally: Tally | None
) -> "Known":
    """What is known of the table and its columns before it is measured; the tally begins."""
    from atlas_pipeline.quality.soda.contract import Known

    if tally is not None:
        tally.begin(connection)
    steady = _columns(connection, place) - set(tally.changing if tally else ())
    return Known(_unique(connection, place, published), _few(connection, place, published), steady)


def _unique(connection: psycopg.Connection, place: tuple[str, str], published: tuple[str, str] | None) -> list[str]:
    """Columns that have a unique index of their own.

    A view is what the published table will be, with rows in the place of others of the same key: its key is unique, and
    the table does not take rows for which it would not be.
    """
    rows = connection.execute(
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
        " WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indnkeyatts = 1"
        " AND i.indpred IS NULL AND i.indexprs IS NULL AND (i.indrelid = %(place)s::regclass OR (i.indisprimary"
        " AND i.indrelid = to_regclass(%(published)s)"
        " AND EXISTS (SELECT FROM pg_class WHERE oid = %(place)s::regclass AND relkind = 'v')))",
        {
            "place": sql.Identifier(*place).as_string(connection),
            "published": sql.Identifier(*published).as_string(connection) if published else None,
        },
    )
    return [name for (name,) in rows]


def _columns(connection: psycopg.Connection, place: tuple[str, str]) -> set[str]:
    """The columns of the table."""
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        [sql.Identifier(*place).as_string(connection)],
    )
    return {name for (name,) in rows}


def _few(connection: psycopg.Connection, place: tuple[str, str], published: tuple[str, str] | None) -> list[str]:
    """Columns of a large table that have few values, as Postgres estimates; of a view, as of the published table.

    Of types whose equal values are the same in all respects: 1.0 and 1.00 are equal, and texts of them are not.
    """
    rows = connection.execute(
        "SELECT a.attname FROM pg_class c JOIN pg_class t ON t.oid = CASE WHEN c.relkind = 'v'"
        " THEN to_regclass(%s) ELSE c.oid END JOIN pg_attribute a ON a.attrelid = t.oid"
        " JOIN pg_stats s ON (s.schemaname, s.tablename, s.attname) = (t.relnamespace::regnamespace::text, t.relname,"
        " a.attname) WHERE c.oid = %s::regclass AND t.reltuples >= %s AND s.n_distinct BETWEEN 1 AND %s"
        " AND a.atttypid = ANY ('{text,bool,int2,int4,int8,date,timestamp,timestamptz}'::regtype[])",
        [
            sql.Identifier(*published).as_string(connection) if published else None,
            sql.Identifier(*place).as_string(connection),
            _LARGE,
            _FEW,
        ],
    )
    return [name for (name,) in rows]


_LARGE, _FEW = 50_000, 5_000
_MOVED = """
SELECT string_agg(DISTINCT l.relation::regclass::text, ', ')
FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND pg_get_indexdef(l.relation) IS NULL
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (c.oid IS NULL OR c.relfilenode <> 0 AND c.relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid))
"""
"""Names what was read, and was put in place or emptied after the snapshot: pg_class is as the snapshot has it."""


def _moved(connection: psycopg.Connection) -> str | None:
    """Why the outcomes are not of one moment, if so: another table that the contract reads was replaced meanwhile."""
    if connection.info.transaction_status != TransactionStatus.INTRANS:
        return None
    ((names,),) = connection.execute(_MOVED).fetchall()
    return f"{names} was replaced while the checks were made: run again" if names else None


def _redirect(published: tuple[str, str] | None, place: tuple[str, str]) -> Callable[[str], str]:
    """A function that puts `place` where a statement names the published table; all else stays as it is written."""
    if published is None or published == place:
        return lambda statement: statement

    from sqlglot.dialects.postgres import Postgres
    from sqlglot.errors import TokenError
    from sqlglot.tokenizer_core import Token, TokenType

    target, own = sql.Identifier(*place).as_string(), sql.Identifier(published[1]).as_string()

    def name(token: Token) -> str:
        return token.text if token.token_type == TokenType.IDENTIFIER else token.text.lower()

    def rewrite(statement: str) -> str:
        try:
            tokens = Postgres().tokenize(statement)
        except TokenError:
            return statement
        words = ["", *(token.text.upper().split(" ")[0] for token in tokens), ""]
        parts, done = [], 0
        for at, (first, dot, second) in enumerate(zip(tokens, tokens[1:], tokens[2:], strict=False)):
            if dot.token_type == TokenType.DOT and (name(first), name(second)) == published:
                before, after = words[at], words[at + 4]
                if after == "." and before != ".":
                    there = own  # A column, as in `silver.things.id`.
                elif before in _BEFORE_TABLE and after in _AFTER_TABLE:
                    there = f"{target} AS {own}"  # So that `things.id` is a column of it, as of the published one.
                else:
                    there = target
                parts += [statement[done : first.start], there]
                done = second.end + 1
        return "".join([*parts, statement[done:]])

    return rewrite


_BEFORE_TABLE = {"FROM", "JOIN", ",", "LATERAL"}
_AFTER_TABLE = {"", ")", ",", ";", "WHERE", "ON", "USING", "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "OFFSET"}
_AFTER_TABLE |= {"JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "NATURAL", "UNION", "EXCEPT", "INTERSECT"}
_AFTER_TABLE |= {"FETCH", "FOR", "TABLESAMPLE"}
