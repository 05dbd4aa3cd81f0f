"""What tests of the engine share: a sink in memory, databases, and one that holds a bit of everything."""

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil
from psycopg import sql

from atlas_pipeline.backup.manifest import StoredObject
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres

EVERYTHING = Path(__file__).with_name("pg_dump_full.sql").read_text(encoding="utf-8")
PIECE = 100_000


class MemorySink:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put(self, files: Sequence[str], chunks: Iterator[bytes]) -> None:
        """Keep all of it."""
        content = b"".join(chunks)
        (name,) = files
        with self._lock:
            assert name not in self.kept
            self.kept[name] = content

    @property
    def objects(self) -> tuple[StoredObject, ...]:
        """What is kept."""
        return tuple(
            StoredObject(name, len(data), hashlib.sha256(data).hexdigest(), {name: len(data)})
            for name, data in self.kept.items()
        )

    def contents(self) -> Mapping[str, Callable[[], Iterator[bytes]]]:
        """What is kept, to be restored."""
        return {name: partial(_pieces, data) for name, data in self.kept.items()}


def _pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]


def quiet(_: str) -> None:
    """Progress that nobody reads."""


def execute(url: str, *statements: str) -> None:
    """Run statements of any kind."""
    with closing(connect(url, autocommit=True)) as connection:
        for statement in statements:
            connection.execute(statement)


@contextmanager
def databases(server: EmbeddedPostgres) -> Iterator[Callable[[], str]]:
    """Makes empty databases and drops them at the end."""
    made: list[str] = []

    def make() -> str:
        made.append(f"t{uuid.uuid4().hex[:12]}")
        with closing(connect(server.url(SUPERUSER, SUPERUSER), autocommit=True)) as connection:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 STRATEGY file_copy")
            connection.execute(statement.format(sql.Identifier(made[-1])))
        return server.url(made[-1], SUPERUSER)

    try:
        yield make
    finally:
        with closing(connect(server.url(SUPERUSER, SUPERUSER), autocommit=True)) as connection:
            for name in made:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def programs(spool: Path) -> list[psutil.Process]:
    """The processes that work for an engine, whoever their parent is by now."""
    found = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] in ("pg_dump", "pg_restore", "psql"):
            with suppress(psutil.Error):
                if process.environ().get("PGSERVICEFILE", "").startswith(str(spool)):
                    found.append(process)
    return found
