"""What goes wrong around Atlas: Postgres away or full, readers in the way, others that depend on a table."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from atlas_pipeline.ingest import bronze
from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.silver import Published, SilverBuild, SilverResult, Verify, build_silver
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.orchestration.tables.bronze import bronze_asset
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.pii.keys import load_keys
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.settings import Settings, load_settings
from atlas_pipeline.warehouse.bootstrap import prepare_embedded, prepare_warehouse
from atlas_pipeline.warehouse.connect import OWNER, WAREHOUSE, WarehouseError, connect
from atlas_pipeline.warehouse.embedded import EmbeddedPostgres
from atlas_pipeline.warehouse.publish import PublishError
from atlas_pipeline_tests.builds import holds
from atlas_pipeline_tests.servers import own_postgres

PASSWORD = "Geheimnis"


def until(condition: Callable[[], Any], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


# Readers.


def test_readers_see_the_old_or_the_new_table_and_never_an_error(make_feed: Any) -> None:
    """Every version of the table has 500 rows of one value."""
    feed = make_feed({"id": "integer", "value": "integer"}, key=("id",))

    def deliver(value: int) -> None:
        feed.land("a.csv", "id,value\n" + "".join(f"{n},{value}\n" for n in range(500)))
        feed.run()
        model = "SELECT value, count(*) AS n FROM silver.things GROUP BY value"
        feed.model("totals", model)

    deliver(0)
    stop = threading.Event()

    def read() -> list[tuple[int, int]]:
        seen = []
        with psycopg.connect(feed.url, autocommit=True) as connection:
            while not stop.is_set():
                rows = connection.execute("SELECT value, count(*) FROM silver.things GROUP BY value").fetchall()
                assert [n for _, n in rows] == [500], rows
                rows += connection.execute("SELECT value, n FROM gold.totals").fetchall()
                assert rows[1][1] == 500
                seen.append((rows[0][0], rows[1][0]))
        return seen

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        try:
            for value in range(1, 13):
                deliver(value)
        finally:
            stop.set()
        for reader in readers:
            seen = reader.result()
            assert seen == sorted(seen), "never back to an older table"
            assert len(set(seen)) > 3


@pytest.mark.slow
def test_a_long_reader_is_waited_for_and_others_read_meanwhile(make_feed: Any) -> None:
    feed = make_feed({"id": "integer"}, key=("id",))
    feed.land("a.csv", "id\n1\n")
    feed.run()
    feed.land("b.csv", "id\n2\n")
    feed.load()
    feed.outdate()
    with (
        psycopg.connect(feed.url) as long_reader,
        psycopg.connect(feed.url, autocommit=True) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        long_reader.execute("SELECT count(*) FROM silver.things")
        building = pool.submit(feed.build)
        waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'silver.things'::regclass AND NOT granted"

        def waits() -> bool:
            return other.execute(waiting).fetchone() != (0,)

        # It asks, gives way after its turn, and asks again: the second turn shows that it recovered from the first.
        until(waits)
        until(lambda: not waits())
        assert other.execute("SELECT count(*) FROM silver.things").fetchone() == (1,), "no queue behind the wait"
        until(waits)
        assert not building.done()
        long_reader.rollback()
        result = building.result(60)
    assert result.published == Published(2, 0, changed=True)
    assert feed.rows() == [(1,), (2,)]


@pytest.mark.slow
def test_a_reader_that_never_ends_fails_the_publication_and_the_table_stays(
    make_feed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tenacity import stop_after_attempt

    from atlas_pipeline.warehouse import publish

    monkeypatch.setattr(publish._remove.retry, "stop", stop_after_attempt(1))  # type: ignore[attr-defined]
    feed = make_feed({"id": "integer"}, key=("id",))
    feed.land("a.csv", "id\n1\nbad\n")
    feed.run()
    feed.land("b.csv", "id\n2\nbad 2\n")
    feed.load()
    feed.outdate()
    with psycopg.connect(feed.url) as reader:
        reader.execute("SELECT count(*) FROM silver.things")
        with pytest.raises(PublishError, match="queries have held it"):
            feed.build()
    assert feed.rows() == [(1,)]
    assert len(feed.quarantine()) == 1
    assert feed.build().published.rows == 2
    assert len(feed.quarantine()) == 2


def test_new_rows_are_published_beside_readers_and_under_views(make_feed: Any) -> None:
    feed = make_feed({"id": "integer", "name": "text"}, key=("id",))
    feed.land("a.csv", "id,name\n1,old\n2,old\n")
    feed.run()
    feed.connection.execute("CREATE VIEW public.looks AS SELECT id, name FROM silver.things")
    feed.connection.commit()
    feed.land("b.csv", "id,name\n2,new\n3,new\n")
    with psycopg.connect(feed.url) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert reader.execute("SELECT count(*) FROM silver.things").fetchone() == (2,)
        assert feed.run().published.rows == 3
        assert reader.execute("SELECT id, name FROM silver.things ORDER BY id").fetchall() == [(1, "old"), (2, "old")]
    assert feed.query("SELECT id, name FROM public.looks ORDER BY id") == [(1, "old"), (2, "new"), (3, "new")]


def test_something_else_of_that_name_is_not_dropped(make_feed: Any) -> None:
    feed = make_feed({"id": "integer"}, key=("id",))
    feed.connection.execute("CREATE VIEW silver.things AS SELECT 7 AS id")
    feed.connection.commit()
    feed.land("a.csv", "id\n1\n")
    with pytest.raises(PublishError, match=r"silver\.things is not a table"):
        feed.run()
    assert feed.query("SELECT id FROM silver.things") == [(7,)]


# Postgres away.


@pytest.fixture
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server that the test may stop."""
    with own_postgres() as server:
        prepare_embedded(server)
        with connect(server.url(WAREHOUSE, OWNER)) as connection:
            prepare_warehouse(connection)
        yield server


def things(home: Path) -> Dataset:
    (home / "landing").mkdir(exist_ok=True)
    for number in range(3):
        rows = "".join(f"{number * 1000 + n},{PASSWORD}\n" for n in range(1000))
        (home / "landing" / f"{number}.csv").write_text(f"id,name\n{rows}")
    return Dataset("things", FileSource("*.csv"), (Column("id", "integer"), Column("name")), key=("id",))


@pytest.mark.slow
def test_postgres_stops_in_the_middle_and_the_next_run_completes(own_server: EmbeddedPostgres) -> None:
    server, dataset = own_server, things(own_server.home)
    url = server.url(WAREHOUSE, OWNER)
    where = f"{server.socket_dir}:5432/{WAREHOUSE}"
    settings = Settings(home=server.home)
    files = dataset.source.list(settings)

    def stop_at(part: str) -> Callable[[str], None]:
        return lambda message: server.release() if part in message else None

    def load(**options: Any) -> None:
        with connect(url) as connection:
            bronze.load(connection, "things", files, run_id="test", **options)

    def build(verify: Verify[Outcome] = holds, **options: Any) -> SilverResult[Outcome]:
        with connect(url) as connection:
            return build_silver(SilverBuild(connection, url, dataset, "test", load_keys(settings), **options), verify)

    with pytest.raises(WarehouseError, match=f"lost Postgres at {where}"):
        load(progress=stop_at("file 2"))
    server.start()
    with connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM bronze.things").fetchone() == (0,), "small files load together"
    load()
    with pytest.raises(WarehouseError, match=f"lost Postgres at {where}"):
        build(progress=stop_at("merging"))
    server.start()
    with pytest.raises(WarehouseError, match=f"lost Postgres at {where}"):
        build(verify=lambda *_: server.release() or [])
    server.start()
    assert build().published == Published(3000, 0, changed=True)
    with connect(url) as connection:
        assert connection.execute("SELECT count(*), max(id) FROM silver.things").fetchone() == (3000, 2999)


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_postgres_is_away_before_the_step(atlas_env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"postgresql://atlas_owner:{PASSWORD}@127.0.0.1:1/warehouse"
    monkeypatch.setenv("ATLAS_DATABASE_URL", url)
    load_settings.cache_clear()
    dataset = things(atlas_env)
    job = [bronze_asset(dataset, {}, None, {})]
    result = dg.materialize(job, resources={"warehouse": WarehouseResource()}, raise_on_error=False)
    assert not result.success
    told = "\n".join(str(event) for event in result.all_events)
    assert "cannot reach Postgres at 127.0.0.1:1/warehouse" in told
    assert PASSWORD not in told


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{PASSWORD}@127.0.0.1:1/d",
        f"postgresql://u:{PASSWORD}@nowhere.invalid/d",
        f"postgresql://u:{PASSWORD}/{PASSWORD}@127.0.0.1:1/d",
        f"postgresql://u:x@{PASSWORD}@127.0.0.1:1/d",
        f"postgresql://u:{PASSWORD}%zz{PASSWORD}@127.0.0.1:1/d",
        f"postgresql://u:{PASSWORD}?{PASSWORD}@127.0.0.1:1/d",
        f"postgresql://u:{PASSWORD}#{PASSWORD}@127.0.0.1:1/d",
        f"postgresql://u:{PASSWORD} {PASSWORD}@127.0.0.1:1/d",
        f"postgresql://u:[{PASSWORD}@127.0.0.1:1/d",
        f"postgresql://u@127.0.0.1:1/d?passwort={PASSWORD}",
    ],
)
def test_no_message_holds_a_password(url: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        connect(url)
    assert PASSWORD not in str(caught.value)
    assert "cannot reach Postgres at" in str(caught.value) or "cannot be read" in str(caught.value)


def test_messages_that_leave_a_connection_quote_no_row(warehouse_url: str) -> None:
    def copy(connection: psycopg.Connection) -> None:
        connection.execute("CREATE TEMP TABLE t (a int CHECK (a > 0), b int UNIQUE, c numeric(3))")
        with connection.cursor().copy("COPY t FROM STDIN (FORMAT csv)") as stream:
            stream.write(f"1,{PASSWORD},3\n")

    statements: list[Callable[[psycopg.Connection], Any]] = [
        copy,
        lambda connection: connection.execute(f"SELECT '{PASSWORD}'::int"),
        lambda connection: (
            connection.execute(f"CREATE TEMP TABLE t (a) AS VALUES ('{PASSWORD}'), ('{PASSWORD}')")
            and connection.execute("CREATE UNIQUE INDEX ON t (a)")
        ),
    ]
    for statement in statements:
        with pytest.raises(WarehouseError) as caught, connect(warehouse_url) as connection:
            statement(connection)
        assert PASSWORD not in str(caught.value)
        assert caught.value.__suppress_context__


# A full disk.


@pytest.mark.slow
def test_a_full_disk_leaves_the_tables_as_they_were_and_the_next_run_completes(
    small_disk: Callable[[int], Path], tmp_path: Path
) -> None:
    disk = small_disk(140)
    server = EmbeddedPostgres(disk)
    server.start()
    prepare_embedded(server)
    url = server.url(WAREHOUSE, OWNER)
    dataset = things(tmp_path)
    home = Settings(home=tmp_path)

    def run() -> None:
        with connect(url) as connection:
            bronze.load(connection, "things", dataset.source.list(home), run_id="test")
            build_silver(SilverBuild(connection, url, dataset, "test", load_keys(home)), holds)

    def counts() -> tuple:
        statement = (
            "SELECT (SELECT count(*) FROM bronze.things), (SELECT count(*) FROM silver.things),"
            " (SELECT count(*) FROM atlas.files), (SELECT sum(rows) FROM atlas.files)"
        )
        with connect(url) as connection:
            return connection.execute(statement).fetchone() or ()

    try:
        with connect(url) as connection:
            prepare_warehouse(connection)
        run()
        assert counts() == (3000, 3000, 3, 3000)
        big = tmp_path / "landing" / "big.csv"
        with big.open("w") as file:
            file.write("id,name\n")
            file.writelines(f"{10_000 + n},{PASSWORD}{'x' * 1000}\n" for n in range(60_000))
        with pytest.raises(WarehouseError) as caught:
            run()
        message = str(caught.value)
        assert f"{server.socket_dir}:5432/{WAREHOUSE}" in message
        assert "is full" in message or "lost Postgres" in message
        assert PASSWORD not in message
        subprocess.run(["/bin/mount", "-o", "remount,size=900m", str(disk)], check=True)
        server.start()
        assert counts() == (3000, 3000, 3, 3000)
        run()
        assert counts() == (63_000, 63_000, 4, 63_000)
    finally:
        server.release()


def test_a_file_that_vanished_after_it_was_listed_stops_nothing(make_feed: Any) -> None:
    feed = make_feed({"id": "integer"}, key=("id",))
    gone = feed.land("a.csv", "id\n1\n")
    feed.land("b.csv", "id\n2\n")
    files = feed.dataset.source.list(feed.settings)
    gone.unlink()
    result = bronze.load(feed.connection, "things", files, run_id="test")
    assert [file.status for file in result.files] == ["unavailable", "loaded"]
    assert feed.ledger("uri, status") == [("b.csv", "loaded")]
