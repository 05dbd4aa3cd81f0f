"""A database goes through pg_dump into a sink and comes back equal."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from atlas_pipeline.backup.engine import Dumped
from atlas_pipeline.backup.pg_dump import PgDump, difference
from atlas_pipeline.warehouse.connect import OWNER as ROLE
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline_tests.backup.pg_dump_harness import EVERYTHING, MemorySink, databases, execute, quiet

pytestmark = pytest.mark.slow

MIB = 1 << 20
OWNER, READER, GROUP = '"own er"', '"read:er ß"', "plain_group"


@pytest.fixture
def engine(tmp_path: Path) -> PgDump:
    return PgDump(tmp_path / "spool")


@pytest.fixture(scope="module")
def roles(postgres: EmbeddedPostgres) -> Iterator[None]:
    url = postgres.url(SUPERUSER, SUPERUSER)
    execute(
        url,
        f"CREATE ROLE {GROUP}",
        f"CREATE ROLE {OWNER} LOGIN CREATEDB PASSWORD 'secret' CONNECTION LIMIT 7 VALID UNTIL '2040-01-01'",
        f"CREATE ROLE {READER} NOINHERIT",
        f"GRANT {GROUP} TO {READER} WITH ADMIN OPTION",
        f"GRANT pg_monitor TO {OWNER}",
        f"ALTER ROLE {OWNER} SET search_path = 'a b', \"$user\", public",
        f"ALTER ROLE {OWNER} SET atlas.note = 'it''s: \"x\" \\ ß'",
    )
    yield
    execute(url, *(f"DROP ROLE {role}" for role in (OWNER, READER, GROUP)))


def everything(url: str) -> None:
    """Fill a database with a bit of everything."""
    execute(url, EVERYTHING.replace("{owner}", OWNER).replace("{reader}", READER).replace("{group}", GROUP))
    name = url.split("@/")[1].split("?")[0]
    execute(
        url,
        f"ALTER DATABASE {name} OWNER TO {OWNER}",
        f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
        f"GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {READER} WITH GRANT OPTION",
        f"ALTER DATABASE {name} SET work_mem = '7MB'",
        f'ALTER DATABASE {name} SET search_path = "we ird.ß ""x""", public',
        f"ALTER ROLE {READER} IN DATABASE {name} SET statement_timeout = '5min'",
        f"ALTER DATABASE {name} CONNECTION LIMIT 50",
        f"COMMENT ON DATABASE {name} IS 'what it''s for'",
    )


def dump(engine: PgDump, url: str, sink: MemorySink, **options: object) -> Dumped:
    """A backup with the usual options."""
    return engine.backup(url, sink, **{"jobs": 2, "exclude": [], "progress": quiet, **options})  # type: ignore[arg-type]


def test_a_table_comes_back(engine: PgDump, database: Callable[[], str]) -> None:
    source, target, sink = database(), database(), MemorySink()
    execute(
        source,
        "CREATE TABLE t AS SELECT i, md5(i::text) a FROM generate_series(1, 500000) i",
        "CREATE TABLE small (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text)",
        "INSERT INTO small (name) VALUES ('x'), (NULL)",
    )
    dumped = dump(engine, source, sink)
    assert dumped.state.tables["public.t"][0] == 500_000
    assert len(sink.kept) == 2  # one big file, and all the rest
    engine.restore(target, sink.contents(), jobs=2, progress=quiet)
    assert difference(dumped.state, engine.state(target)) == []
    assert list(engine.spool.iterdir()) == []


@pytest.mark.usefixtures("roles")
@pytest.mark.parametrize("jobs", [1, 3])
def test_everything_comes_back_on_the_same_server(engine: PgDump, database: Callable[[], str], jobs: int) -> None:
    source, target, sink = database(), database(), MemorySink()
    everything(source)
    dumped = dump(engine, source, sink, jobs=jobs)
    assert difference(dumped.state, engine.state(source)) == []
    engine.restore(target, sink.contents(), jobs=jobs, progress=quiet)
    assert difference(dumped.state, engine.state(target)) == []


@pytest.mark.usefixtures("roles")
def test_everything_comes_back_on_a_server_without_the_roles(
    engine: PgDump, database: Callable[[], str], elsewhere: EmbeddedPostgres
) -> None:
    source, sink = database(), MemorySink()
    everything(source)
    dumped = dump(engine, source, sink)
    assert {"own er", "read:er ß", "plain_group"} <= dumped.state.roles.keys()
    with databases(elsewhere) as make:
        target = make()
        engine.restore(target, sink.contents(), jobs=2, progress=quiet)
        assert difference(dumped.state, engine.state(target)) == []
        # A second time, the roles are there, and stay as they are.
        execute(target, f"ALTER ROLE {READER} LOGIN")
        other = make()
        engine.restore(other, sink.contents(), jobs=1, progress=quiet)
        assert difference(dumped.state, engine.state(other)) == ["role read:er ß has other attributes or memberships"]


def test_writes_go_on_meanwhile(engine: PgDump, database: Callable[[], str]) -> None:
    source, target, sink = database(), database(), MemorySink()
    execute(
        source,
        "CREATE TABLE t (id bigserial PRIMARY KEY, a text, b int)",
        "INSERT INTO t (a, b) SELECT md5(i::text), 0 FROM generate_series(1, 300000) i",
        "CREATE TABLE sums AS SELECT count(*) n FROM t",
    )
    stopped = threading.Event()

    def write() -> None:
        with closing(connect(source)) as connection:
            while not stopped.is_set():
                connection.execute("INSERT INTO t (a, b) SELECT 'new', 1 FROM generate_series(1, 100)")
                connection.execute("DELETE FROM t WHERE id IN (SELECT id FROM t WHERE b = 0 LIMIT 50)")
                connection.execute("UPDATE sums SET n = n + 50")
                connection.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        time.sleep(0.3)
        dumped = dump(engine, source, sink)
    finally:
        stopped.set()
        writer.join()
    engine.restore(target, sink.contents(), jobs=2, progress=quiet)
    assert difference(dumped.state, engine.state(target)) == []
    with connect(target) as connection:
        assert connection.execute("SELECT (SELECT count(*) FROM t) = (SELECT n FROM sums)").fetchone() == (True,)
    assert difference(dumped.state, engine.state(source))


def test_thousands_of_small_things_are_few_objects(engine: PgDump, database: Callable[[], str]) -> None:
    source, target, sink = database(), database(), MemorySink()
    execute(
        source,
        "DO $$ BEGIN FOR i IN 1..800 LOOP EXECUTE format('CREATE TABLE t%s AS SELECT %s a', i, i); END LOOP; END $$",
        "SELECT lo_from_bytea(0, decode(md5(i::text), 'hex')) FROM generate_series(1, 3000) i",
    )
    dumped = dump(engine, source, sink)
    assert len(sink.kept) <= 3
    assert dumped.state.large_objects[0] == 3000
    engine.restore(target, sink.contents(), jobs=2, progress=quiet)
    assert difference(dumped.state, engine.state(target)) == []


def test_a_warehouse_by_its_own_role(
    engine: PgDump, warehouse_url: str, database: Callable[[], str], postgres: EmbeddedPostgres
) -> None:
    execute(
        warehouse_url,
        "CREATE TABLE silver.a AS SELECT i, md5(i::text) t FROM generate_series(1, 1000) i",
        "GRANT SELECT ON silver.a TO atlas_analyst",
        "SELECT lo_put(lo_create(1), 5000, 'after a hole'), lo_create(2)",
    )
    sink, target = MemorySink(), database()
    name = target.split("@/")[1].split("?")[0]
    execute(target, f"ALTER DATABASE {name} OWNER TO {ROLE}")
    dumped = dump(engine, warehouse_url, sink)
    engine.restore(postgres.url(name, ROLE), sink.contents(), jobs=2, progress=quiet)
    assert difference(dumped.state, engine.state(target)) == []
    # As a superuser, who reads pages of large objects, and as the role that reads objects.
    assert dumped.state.large_objects == engine.state(target).large_objects


def test_a_big_large_object(engine: PgDump, database: Callable[[], str]) -> None:
    source, target, sink = database(), database(), MemorySink()
    execute(source, "SELECT lo_from_bytea(77, convert_to(repeat('0123456789abcdef', 1250000), 'UTF8'))")
    dumped = dump(engine, source, sink)
    assert {"blob_77.dat"} < sink.kept.keys()
    engine.restore(target, sink.contents(), jobs=2, progress=quiet)
    assert difference(dumped.state, engine.state(target)) == []


def test_rows_are_left_out(engine: PgDump, database: Callable[[], str]) -> None:
    source, target, sink = database(), database(), MemorySink()
    execute(source, "CREATE SCHEMA log")
    for name in ("log.a", "log.b", "public.kept", '"Log"', '"l og"'):
        execute(source, f"CREATE TABLE {name} AS SELECT 1 a")
    dumped = dump(engine, source, sink, exclude=["LOG.*", '"Log"', "nothing"])
    assert dumped.state.tables.keys() == {"public.kept", 'public."l og"'}
    engine.restore(target, sink.contents(), jobs=2, progress=quiet)
    found = engine.state(target)
    assert difference(dumped.state, found) == []
    assert found.tables["log.a"][0] == found.tables['public."Log"'][0] == 0
    assert {"table log.a", "table log.b"} <= dumped.state.objects.keys()


def test_the_state_tells_what_differs(engine: PgDump, database: Callable[[], str]) -> None:
    source = database()
    execute(
        source,
        "CREATE TABLE a (x int, y int); INSERT INTO a VALUES (1, 2), (3, 4)",
        "CREATE TABLE b AS SELECT 1 x; CREATE TABLE c AS SELECT 1 x; CREATE TABLE f AS SELECT float8 '0' v",
        "CREATE SEQUENCE s; CREATE VIEW v AS SELECT 1 x; SELECT lo_from_bytea(1, 'abc')",
    )
    before = engine.state(source)
    execute(
        source,
        # As before in each column, but not in each row.
        "UPDATE a SET y = 6 - y",
        "UPDATE f SET v = '-0'",
        "INSERT INTO b VALUES (2); DROP TABLE c; CREATE TABLE d (x int)",
        "SELECT nextval('s'); CREATE OR REPLACE VIEW v AS SELECT 2 x; SELECT lo_put(1, 0, 'x')",
        "GRANT SELECT ON a TO PUBLIC",
    )
    assert sorted(difference(before, engine.state(source))) == [
        'sequence "public"."s" is at 1 given out instead of 1 next',
        "table public.a has 2 rows as expected, but other values",
        "table public.a has another owner or grants",
        "table public.b has 2 rows instead of 1",
        "table public.c is missing",
        "table public.c is missing (1 rows)",
        "table public.d is not expected",
        "table public.d is not expected",
        "table public.f has 1 rows as expected, but other values",
        "the 1 large objects have other content, owners or grants",
        "view public.v has another definition",
    ]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("bigint", ["1", "-1", "4294967295", "4294967296", "0", "9223372036854775807", "-9223372036854775808", None]),
        ("integer", ["1", "-1", "0", "2147483647", None]),
        ("smallint", ["1", "-1", "0", None]),
        ("oid", ["1", "0", "4294967295", None]),
        ("boolean", ["true", "false", None]),
        ('"char"', ["a", "b", "", None]),
        ("name", ["a", "a ", "", None]),
        ("text", ["", "a", "a ", "A", "ä", "a\u0308", "1", None]),
        ("varchar(9)", ["", "a", "a ", None]),
        ("bpchar", ["a", "a ", "a  ", "", None]),
        ("bytea", [r"\x", r"\x00", r"\x0000", r"\x61", None]),
        ("float8", ["0", "-0", "1", "-1", "NaN", "Infinity", "-Infinity", "5e-324", "1.0000000000000002", None]),
        ("float4", ["0", "-0", "1", "-1", "NaN", "Infinity", "-Infinity", "1e-45", None]),
        ("numeric", ["0", "0.0", "1", "1.0", "1.00", "-1", "10000", "0.0001", "NaN", "Infinity", "-Infinity", None]),
        ("date", ["2000-01-01", "2000-01-02", "1999-12-31", "infinity", "-infinity", "0044-03-15 BC", None]),
        ("time", ["00:00", "00:00:00.000001", "01:11:34.967296", "24:00", None]),
        ("timestamp", ["2000-01-01", "2000-01-01 01:11:34.967296", "2000-01-01 00:00:00.000001", "infinity", None]),
        ("timestamptz", ["1999-12-31 23:59:59.999999Z", "2000-01-01 01:11:34.967295Z", "-infinity", None]),
        ("timetz", ["12:00+00", "13:00+01", None]),
        ("interval", ["1 month", "30 days", "720 hours", None]),
        ("uuid", ["00000000-0000-0000-0000-000000000000", "00000001-0000-0000-0000-000000000000", None]),
        ("jsonb", ["1", "1.0", '"1"', "[1, [2]]", "[[1], 2]", "{}", "[]", "null", None]),
        ("json", ["{}", "{ }", None]),
        ("text[]", ["{}", "{a}", "{{a}}", "[2:2]={a}", '{"NULL"}', "{NULL}", None]),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_no_two_values_have_one_hash(
    engine: PgDump, database: Callable[[], str], kind: str, values: list[str | None]
) -> None:
    url = database()
    with connect(url, autocommit=True) as connection:
        for number, value in enumerate(values):
            connection.execute(f"CREATE TABLE t{number} (a {kind}, b {kind})")
            connection.execute(f"INSERT INTO t{number} VALUES (%s, NULL)", [value])
        connection.execute(f"CREATE TABLE other (a {kind}, b {kind})")
        connection.execute("INSERT INTO other VALUES (NULL, %s)", [values[0]])
    hashes = [content for _, content in engine.state(url).tables.values()]
    assert len(set(hashes)) == len(hashes) == len(values) + 1


def test_a_table_of_very_many_columns_is_hashed(engine: PgDump, database: Callable[[], str]) -> None:
    source, target, sink = database(), database(), MemorySink()
    execute(source, f"CREATE TABLE wide ({', '.join(f'c{i} bool' for i in range(1600))})")
    execute(
        source,
        "INSERT INTO wide (c0, c1599) VALUES (true, false)",
        "CREATE TABLE none (); INSERT INTO none DEFAULT VALUES",
    )
    dumped = dump(engine, source, sink)
    engine.restore(target, sink.contents(), jobs=2, progress=quiet)
    assert difference(dumped.state, engine.state(target)) == []
    execute(target, "UPDATE wide SET c1598 = false, c1599 = NULL")
    assert difference(dumped.state, engine.state(target)) == [
        "table public.wide has 1 rows as expected, but other values"
    ]
