"""A database goes through pg_dump into a sink and comes back equal."""

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from psycopg import sql

from atlas_pipeline.backup.manifest import StoredObject
from atlas_pipeline.backup.pg_dump import PgDump, difference
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres

pytestmark = pytest.mark.slow


class MemorySink:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put(self, files: Sequence[str], chunks: Iterator[bytes]) -> None:
        content = b"".join(chunks)
        (name,) = files
        with self._lock:
            assert name not in self.kept
            self.kept[name] = content

    @property
    def objects(self) -> tuple[StoredObject, ...]:
        return tuple(
            StoredObject(name, len(data), hashlib.sha256(data).hexdigest(), {name: len(data)})
            for name, data in self.kept.items()
        )

    def contents(self) -> Mapping[str, Callable[[], Iterator[bytes]]]:
        return {name: partial(_pieces, data) for name, data in self.kept.items()}


def _pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 100_000):
        yield data[start : start + 100_000]


def quiet(_: str) -> None:
    """Progress that nobody reads."""


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[Callable[[], str]]:
    """Makes empty databases and drops them at the end."""
    made: list[str] = []

    def make() -> str:
        made.append(f"t{uuid.uuid4().hex[:12]}")
        with closing(connect(postgres.url(SUPERUSER, SUPERUSER), autocommit=True)) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(made[-1])))
        return postgres.url(made[-1], SUPERUSER)

    yield make
    with closing(connect(postgres.url(SUPERUSER, SUPERUSER), autocommit=True)) as connection:
        for name in made:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def engine(tmp_path: Path) -> PgDump:
    return PgDump(tmp_path / "spool")


def test_a_table_comes_back(engine: PgDump, database: Callable[[], str]) -> None:
    source, target, sink = database(), database(), MemorySink()
    with connect(source) as connection:
        connection.execute("CREATE TABLE t AS SELECT i, md5(i::text) a FROM generate_series(1, 500000) i")
        connection.execute("CREATE TABLE small (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text)")
        connection.execute("INSERT INTO small (name) VALUES ('x'), (NULL)")
    dumped = engine.backup(source, sink, jobs=2, exclude=[], oracle=True, progress=quiet)
    assert dumped.state.tables["public.t"][0] == 500_000
    assert len(sink.kept) == 2  # one big file, and all the rest
    engine.restore(target, sink.contents(), jobs=2, progress=quiet)
    assert difference(dumped.state, engine.state(target)) == []
    assert list(engine.spool.iterdir()) == []
