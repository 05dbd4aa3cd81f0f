"""Tables and queries of databases, through dlt's sql_database and SQLAlchemy.

Belongs here: drivers and sessions that cannot write, what is selected, and errors without values or passwords. Does not
belong here: what becomes of the rows (`extracting.py`).

Values come as the driver has them: SQLAlchemy's own types would round decimals of SQLite and read numbers of JSON as
floats.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas_pipeline.ingest.connectors import Cursor, SqlDatabase
from atlas_pipeline.ingest.connectors.tally import Tally
from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError
from atlas_pipeline.settings import source_database_url

if TYPE_CHECKING:
    import sqlalchemy as sa

DRIVERS: Mapping[str, str] = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "mssql": "mssql+pymssql",
    "sqlserver": "mssql+pymssql",
    "sqlite": "sqlite+pysqlite",
}
"""The driver of each kind of database, where its URL names none."""
CONNECT_SECONDS = 10
BLOCK_ROWS = 20_000
_ATTEMPTS = 4
_POSTGRES_SESSION = (
    "-c timezone=UTC -c datestyle=ISO -c intervalstyle=iso_8601 -c default_transaction_read_only=on"
    " -c synchronize_seqscans=off"
)


def engine_of(database: str) -> "sa.Engine":
    """An engine for the database that a setting names, whose sessions cannot write where that can be had.

    Raises SourceError when the setting holds no URL of a known kind of database; the message has nothing of it.
    """
    import sqlalchemy as sa

    text = source_database_url(database)
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise SourceError(
            f"{database} holds no connection URL: expected such as mysql://user:password@host:3306/database"
        ) from None
    scheme, _, driver = url.drivername.partition("+")
    if scheme not in DRIVERS:
        raise SourceError(
            f"{database} is the URL of an unknown kind of database: expected one of "
            f"{', '.join(sorted(set(DRIVERS) - {'postgres', 'sqlserver'}))}"
        )
    base = DRIVERS[scheme].partition("+")[0]
    url = url.set(drivername=f"{base}+{driver}" if driver else DRIVERS[scheme])
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
    if base == "postgresql":
        arguments |= {"options": _POSTGRES_SESSION, "application_name": "atlas", "client_encoding": "utf8"}
    elif base == "mssql":
        arguments = {"login_timeout": CONNECT_SECONDS, "appname": "atlas"} if url.drivername.endswith("pymssql") else {}
    elif base == "sqlite":
        arguments = {}
        url = _read_only(url, database)
    try:
        engine = sa.create_engine(url, connect_args=arguments, poolclass=sa.NullPool, hide_parameters=True)
    except ImportError as error:
        raise SourceError(
            f"the driver {url.drivername} of {database} is not installed ({error.name} is missing): "
            "pip install 'atlas-pipeline[connectors]', or the driver that the URL names"
        ) from None
    except (sa.exc.ArgumentError, TypeError, ValueError):
        raise SourceError(f"{database} has options that its driver {url.drivername} does not know") from None
    sa.event.listen(engine, "connect", _prepared)
    return engine


def rows(connector: SqlDatabase, tally: Tally) -> Iterator[list[dict[str, Any]]]:
    """Blocks of rows of the table or query, those that the cursor leaves; within `isolated`.

    Args:
        connector: what is selected.
        tally: counts connections and repeats.

    Raises:
        SourceError: the database refuses, or the table or cursor column is not there.
        ServiceUnavailable: it does not answer.
    """
    engine = engine_of(connector.database)
    with naming(connector):
        _connected(engine, tally)
        table = _table(engine, connector)
        tally.columns = [column.name for column in table.columns]
        yield from _selected(engine, table, connector)


def check(connector: SqlDatabase) -> str:
    """Connect and look at the table or query, without loading it. Returns what was found.

    Raises SourceError, ServiceUnavailable.
    """
    engine = engine_of(connector.database)
    with naming(connector):
        _connected(engine, Tally())
        table = _table(engine, connector)
        if connector.cursor and connector.cursor.column not in table.columns:
            raise _no_cursor(connector.cursor)
        with engine.connect() as connection:
            connection.execute(table.select().limit(1)).first()
    return f"{engine.dialect.name} by {engine.driver}, {len(table.columns)} columns"


@contextmanager
def naming(connector: SqlDatabase) -> Iterator[None]:
    """Turn what SQLAlchemy, its drivers and dlt raise into errors that name the table, without values or URLs."""
    import sqlalchemy as sa

    what = f"table {connector.table}" if connector.table else "the query"
    try:
        yield
    except (SourceError, ServiceUnavailable):
        raise
    except sa.exc.NoSuchTableError:
        raise SourceError(f"{what} of {connector.database} is not there, or its user may not see it") from None
    except (sa.exc.InterfaceError, sa.exc.OperationalError, sa.exc.DBAPIError) as error:
        if _is_away(error):
            raise ServiceUnavailable(f"{connector.service} went away ({_name(error)})") from None
        raise SourceError(f"{what} of {connector.database} cannot be read ({_name(error)})") from None
    except sa.exc.SQLAlchemyError as error:
        raise SourceError(f"{what} of {connector.database} cannot be read ({type(error).__name__})") from None


def _prepared(connection: Any, record: Any) -> None:
    """Make a new session read only, and its values those of the database."""
    module = type(connection).__module__
    if module.startswith("psycopg"):
        _loaders(connection)
    elif module.startswith("pymysql"):
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            cursor.execute("SET time_zone = '+00:00'")


def _loaders(connection: Any) -> None:
    """JSON and intervals as Postgres writes them, and moments that Python cannot hold, such as infinity, as text."""
    from psycopg.adapt import Loader
    from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader
    from psycopg.types.string import TextLoader

    def lenient(kind: type[Loader]) -> type[Loader]:
        class Lenient(kind):  # type: ignore[misc, valid-type]
            def load(self, data: Any) -> Any:
                try:
                    return super().load(data)
                except Exception:  # noqa: BLE001 — whatever it is, the text is there
                    return bytes(data).decode()

        return Lenient

    for name in ("json", "jsonb", "interval"):
        connection.adapters.register_loader(name, TextLoader)
    for name, kind in (("date", DateLoader), ("timestamp", TimestampLoader), ("timestamptz", TimestamptzLoader)):
        connection.adapters.register_loader(name, lenient(kind))


def _read_only(url: Any, database: str) -> Any:
    path = url.database or ""
    if not path or path == ":memory:":
        raise SourceError(f"{database}: a SQLite database needs the path of its file: sqlite:////var/lib/shop.db")
    if path.startswith("file:"):
        return url
    if not Path(path).is_file():
        raise SourceError(f"the file that {database} names is not there, or Atlas may not see it: is its path whole?")
    return url.set(database=f"file:{path}", query={"mode": "ro", "uri": "true"})


def _connected(engine: "sa.Engine", tally: Tally) -> None:
    """Connect, again after a pause where nobody answers. Raises what the last attempt did."""
    import sqlalchemy as sa
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

    def dial() -> None:
        tally.requests += 1
        with engine.connect():
            pass

    def again(_: Any) -> None:
        tally.retries += 1

    Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, sa.exc.DBAPIError) and _is_away(error)),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential_jitter(multiplier=0.2, max=5),
        before_sleep=again,
        reraise=True,
    )(dial)


def _table(engine: "sa.Engine", connector: SqlDatabase) -> "sa.Table":
    """The table as the database describes it, or the columns of the query; without types."""
    import sqlalchemy as sa

    if connector.table:
        schema, _, name = connector.table.rpartition(".")
        found = sa.Table(name, sa.MetaData(schema=schema or None), autoload_with=engine, resolve_fks=False)
        # Without its key: dlt would pass over a row that changed and has the key and moment of one that it knows.
        columns = [sa.Column(column.name, sa.types.NullType()) for column in found.columns]
        return sa.Table(name, sa.MetaData(schema=schema or None), *columns)
    statement = sa.text(f"SELECT * FROM ({_statement(connector)}) AS atlas_query WHERE 1 = 0")  # noqa: S608 — it is a query
    with engine.connect() as connection:
        names = list(connection.execute(statement).keys())
    return sa.Table("atlas_query", sa.MetaData(), *(sa.Column(name, sa.types.NullType()) for name in names))


def _statement(connector: SqlDatabase) -> str:
    return (connector.query or "").strip().rstrip(";").replace(":", "\\:")


def _selected(engine: "sa.Engine", table: "sa.Table", connector: SqlDatabase) -> Iterator[list[dict[str, Any]]]:
    from dlt.sources.sql_database import sql_table

    def of_query(_: Any, __: Any, incremental: Any, ___: Any) -> Any:
        import sqlalchemy as sa

        columns: list[Any] = [sa.column(column.name) for column in table.columns]
        inner = sa.text(_statement(connector)).columns(*columns).subquery("atlas_query")
        last = incremental.get_current_range()[0] if incremental else None
        return sa.select(inner) if last is None else sa.select(inner).where(inner.c[incremental.cursor_path] >= last)

    cursor = connector.cursor
    if cursor and cursor.column not in table.columns:
        raise _no_cursor(cursor)
    metadata = table.metadata
    resource = sql_table(
        credentials=engine,
        table=table.name,
        metadata=metadata,
        backend="sqlalchemy",
        chunk_size=BLOCK_ROWS,
        reflection_level="minimal",
        incremental=_incremental(engine, table, connector) if cursor else None,
        query_adapter_callback=of_query if connector.query else None,
    )
    from atlas_pipeline.ingest.connectors.iterating import blocks

    yield from blocks(resource, BLOCK_ROWS)


def _no_cursor(cursor: Cursor) -> SourceError:
    return SourceError(f"the cursor column {cursor.column!r} is not there: is it written as the source has it?")


def _incremental(engine: "sa.Engine", table: "sa.Table", connector: SqlDatabase) -> Any:
    from dlt.extract.incremental import Incremental

    cursor = connector.cursor
    assert cursor is not None
    initial = cursor.initial
    if isinstance(initial, str):
        initial = _as_column(engine, table, cursor, initial)
    return Incremental(cursor.column, initial_value=initial, lag=cursor.lag or None)


def _as_column(engine: "sa.Engine", table: "sa.Table", cursor: Cursor, text: str) -> Any:
    """The text of `initial` as a value that compares with those of the column: what kind these are, a row tells."""
    import sqlalchemy as sa

    column = table.columns[cursor.column]
    if table.name == "atlas_query":
        return _moment(text)
    with engine.connect() as connection:
        value = connection.execute(sa.select(column).where(column.isnot(None)).limit(1)).scalar()
    if isinstance(value, dt.datetime):
        moment = dt.datetime.fromisoformat(text)
        if value.tzinfo is None:
            return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment
        return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return dt.date.fromisoformat(text) if isinstance(value, dt.date) else text


def _moment(text: str) -> Any:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        return text


_AWAY_WORDS = (
    "could not connect",
    "connection refused",
    "connection failed",
    "can't connect",
    "timeout expired",
    "timed out",
    "could not translate host",
    "name or service not known",
    "lost connection",
    "server closed",
    "terminating connection",
    "gone away",
    "starting up",
    "shutting down",
    "too many connections",
    "too many clients",
    "no such file or directory",
    "adaptive server is unavailable",
    "adaptive server connection failed",
)


def _is_away(error: Any) -> bool:
    """Whether nobody answered, so that a later attempt may succeed. A refused password is an answer."""
    if getattr(error, "connection_invalidated", False):
        return True
    text = str(getattr(error, "orig", error)).lower()
    return any(words in text for words in _AWAY_WORDS)


def _name(error: Any) -> str:
    """What kind of error a driver raised: its class and code; its text may hold values, and passwords."""
    original = getattr(error, "orig", None) or error
    number = original.args[0] if original.args else None
    code = number if isinstance(number, int) else getattr(original, "sqlstate", None)
    return f"{type(original).__name__}{f' {code}' if code else ''}"
