"""Connections to Postgres: retried while it is away, refused when it is too old, and quiet about data when they fail.

Belongs here: opening a connection and what its errors say. Does not belong here: where the databases are
(`location.py`) and what is inside (`bootstrap.py`).
"""

from types import TracebackType

import psycopg
from psycopg import conninfo
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

WAREHOUSE = "atlas"
DAGSTER = "dagster"
OWNER = "atlas_owner"
MINIMUM_VERSION = 140000


class WarehouseError(Exception):
    """The database cannot be used; the message says which, why, and what to do. It holds no password."""


class Connection(psycopg.Connection):
    """A connection whose failures, once they leave its `with` block, say which database failed and quote no row.

    The server's own messages about COPY and about values quote the data, which may be personal.
    """

    url = ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lost = self.broken
        super().__exit__(kind, error, trace)
        if not isinstance(error, psycopg.Error):
            return
        if lost:
            raise WarehouseError(f"lost Postgres at {where(self.url)}: {_first_line(error)}") from None
        if isinstance(error, psycopg.errors.DiskFull):
            raise WarehouseError(
                f"the disk of Postgres at {where(self.url)} is full ({error.diag.message_primary}): free some space "
                "and run again; the published tables are as they were"
            ) from None
        if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
            raise WarehouseError(f"Postgres at {where(self.url)} refused a value ({type(error).__name__})") from None
        if (error.diag.context or "").startswith("COPY"):
            raise WarehouseError(f"Postgres at {where(self.url)}: {error.diag.message_primary}") from None


def connect(url: str, *, autocommit: bool = False, session: str = "") -> psycopg.Connection:
    """Connect to a database, retrying with back-off for up to 15 s while the server is away.

    Sessions work in UTC with ISO dates, and a server notices within 5 s when its client was killed.

    Args:
        url: of the database, as libpq reads it.
        autocommit: each statement is a transaction of its own.
        session: further settings of the session, as libpq's `options` has them.

    Raises:
        WarehouseError: the server stays away, or is older than Postgres 14; the message names host and database.
    """
    _check(url)
    try:
        connection = _attempt(url, autocommit, session)
    except psycopg.OperationalError as error:
        raise WarehouseError(f"cannot reach Postgres at {where(url)}: {_first_line(error)}") from None
    if connection.info.server_version < MINIMUM_VERSION:
        version = connection.info.server_version // 10000
        connection.close()
        raise WarehouseError(f"Postgres at {where(url)} is version {version}: Atlas needs 14 or newer")
    connection.execute("SET client_connection_check_interval = '5s'")
    if not autocommit:
        connection.commit()
    connection.url = url
    return connection


def _check(url: str) -> None:
    """Raise WarehouseError for a URL that libpq would misread and then quote, with the password in it."""
    try:
        parts = conninfo.conninfo_to_dict(url)
        ports = str(parts.get("port") or "5432").split(",")
        readable = all(port.isdigit() for port in ports) and "@" not in str(parts.get("host", ""))
    except psycopg.ProgrammingError:
        readable = False
    if not readable:
        raise WarehouseError(
            "a database URL cannot be read: expected postgresql://user:password@host:5432/database, with special "
            "characters in user and password percent-encoded (@ as %40, / as %2F, % as %25)"
        )


@retry(
    retry=retry_if_exception_type(psycopg.OperationalError),
    stop=stop_after_delay(15),
    wait=wait_exponential_jitter(multiplier=0.2, max=3),
    reraise=True,
)
def _attempt(url: str, autocommit: bool, session: str) -> Connection:
    options = f"-c timezone=UTC -c datestyle=ISO {session}".strip()
    # Without it a database of encoding SQL_ASCII gives bytes in place of text.
    return Connection.connect(
        url,
        options=options,
        autocommit=autocommit,
        connect_timeout=10,
        application_name="atlas",
        client_encoding="utf8",
    )


def where(url: str) -> str:
    """Host and database of a URL, for messages; no user, no password."""
    parts = conninfo.conninfo_to_dict(url)
    return f"{parts.get('host', 'localhost')}:{parts.get('port', '5432')}/{parts.get('dbname', '')}"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
