"""Incremental gold: following new rows comes to what the model says of all rows, whatever came and was killed."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from atlas_pipeline.ingest import withdrawal
from atlas_pipeline.ingest.copying import FILE_ID
from atlas_pipeline.ingest.dataset import Column, Dataset, Tombstone, deleted_name
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.sql.increments import followed, over
from atlas_pipeline.sql.lineage import read_model
from atlas_pipeline.warehouse import gold
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.increments import Incremental, part_of
from atlas_pipeline.warehouse.publish import table_lock
from atlas_pipeline_tests.forks import StartFork, stop
from atlas_pipeline_tests.integration.conftest import Feed

pytestmark = pytest.mark.slow

LINES = (Column("order", "integer"), Column("line", "integer"), Column("amount", "integer"), Column("at", "integer"))
ORDERS = Dataset(
    "lines", FileSource("lines/*.csv"), (*LINES, Column("op", optional=True)), key=("order", "line"), latest_by="at"
)
DELETING = replace(ORDERS, deleted_by=Tombstone("(\"op\" = 'D')", ("op",)))
EVENTS = replace(ORDERS, key=(), latest_by=None)
NAMES = Dataset("names", FileSource("names/*.csv"), (Column("order", "integer"), Column("name")), key=("order",))
MODELS = {
    "rows": (
        'SELECT l."order", l.line, l.amount * 2 AS twice, n.name FROM silver.lines l'
        ' LEFT JOIN silver.names n ON n."order" = l."order"',
        ["order", "line"],
    ),
    "groups": (
        'SELECT "order" AS of_order, count(*) AS lines, sum(amount) AS amount, max(at) AS last FROM silver.lines'
        " GROUP BY 1 HAVING sum(amount) > 20",
        ["of_order"],
    ),
    "windows": (
        'SELECT "order", line, rank() OVER (PARTITION BY "order" ORDER BY amount, line) AS place FROM silver.lines'
        " WHERE amount > 3",
        ["order"],
    ),
}


def build_of(connection: psycopg.Connection, dataset: Dataset, name: str, **options: object) -> gold.GoldBuild:
    """A build of one of the models, as the component makes it."""
    statement, unique_key = MODELS[name]
    model = read_model(statement, f"/models/{name}/model.sql")
    source = followed(model, unique_key)
    deleted = ("bronze", deleted_name(dataset.name)) if dataset.deleted_by else None
    part = over(model, source, part_of(name))
    incremental = Incremental((source.schema, source.table), source.columns, part, FILE_ID, deleted)
    key = {"rows": ["order", "line"], "groups": ["of_order"], "windows": ["order", "line"]}[name]
    if not dataset.key and name != "groups":
        key = []
    sources = [(table.schema, table.name) for table in model.tables]
    return gold.GoldBuild(connection, name, statement, "run", key, sources, incremental=incremental, **options)  # type: ignore[arg-type]


def run(build: gold.GoldBuild) -> gold.Staged:
    """Build and publish; what was staged is as the model says, before readers see it."""
    with table_lock(build.connection, "gold", build.name, 600):
        staged = gold.stage(build)
        assert rows(build.connection, f"SELECT * FROM {staged.schema}.{staged.table}") == whole(build)
        with build.connection.transaction():
            gold.publish(build, staged)
    assert rows(build.connection, f"SELECT * FROM gold.{build.name}") == whole(build)
    assert rows(build.connection, "SELECT relname FROM pg_class WHERE relnamespace = 'staging'::regnamespace") == []
    assert staged.rows == len(whole(build))
    return staged


def rows(connection: psycopg.Connection, statement: str) -> list[tuple]:
    found = sorted(connection.execute(statement).fetchall(), key=repr)
    connection.commit()
    return found


def whole(build: gold.GoldBuild) -> list[tuple]:
    return rows(build.connection, build.statement)


@pytest.fixture
def feed(warehouse: psycopg.Connection, warehouse_url: str, tmp_path: Path) -> Callable[[Dataset], Feed]:
    """A dataset of the test's own."""
    return lambda dataset: Feed(warehouse, warehouse_url, tmp_path, dataset)


def land(feed: Feed, name: str, *lines: str) -> None:
    header = "order,line,amount,at,op"
    feed.land(f"lines/{name}.csv", "\n".join([header, *(line + "," * (4 - line.count(",")) for line in lines), ""]))


def many(feed: Feed) -> None:
    """Enough rows that a few new ones are not most of them."""
    land(feed, "000", *(f"{order},{line},{order % 7 + line},5" for order in range(900) for line in range(3)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dataset", [ORDERS, DELETING, EVENTS], ids=["upsert", "deleting", "append"])
def test_an_increment_is_as_the_whole(feed: Callable[[Dataset], Feed], dataset: Dataset, seed: int) -> None:
    """Upserts, late rows, deletions, corrected and forgotten files, a newer table beside it; builds now and then."""
    chosen = random.Random(seed)
    lines, names = feed(dataset), feed(NAMES)
    many(lines)
    names.land("names/0.csv", "order,name\n" + "".join(f"{order},n{order}\n" for order in range(0, 900, 2)))
    names.run()
    lines.run()
    builds = [build_of(lines.connection, dataset, name) for name in MODELS]
    for build in builds:
        assert run(build).whole == "it was never built"
    increments = 0
    for step in range(1, 9):
        action = chosen.choice(["new", "new", "new", "new", "correct", "forget", "names"])
        if action in ("new", "correct"):
            name = f"{step:03}" if action == "new" else f"{chosen.randrange(1, step + 1):03}"
            land(
                lines,
                name,
                *(
                    f"{chosen.randrange(905)},{chosen.randrange(4)},{chosen.randrange(30)},{chosen.randrange(9)},"
                    + ("D" if dataset.deleted_by and chosen.random() < 0.3 else "")
                    for _ in range(20)
                ),
            )
        elif action == "forget":
            found = lines.ledger("uri")
            uri = chosen.choice(found)[0]
            withdrawal.forget(lines.connection, "lines", uri, reason="test", lock_seconds=10)
        else:
            names.land(f"names/{step}.csv", f"order,name\n{chosen.randrange(900)},other\n")
            names.run()
        lines.run()
        for build in builds:
            if chosen.random() < 0.7:
                increments += run(build).increment is not None
    for build in builds:
        run(build)
        assert run(build).increment is not None, "nothing is new"
    assert increments > 0


def test_work_follows_what_is_new(feed: Callable[[Dataset], Feed]) -> None:
    lines = feed(DELETING)
    many(lines)
    lines.run()
    build = build_of(lines.connection, DELETING, "groups")
    run(build)
    # A new line, one that changes, one that comes late and changes nothing, and one that is deleted.
    land(lines, "001", "900,0,50,1", "7,1,99,9", "8,1,1,1", "9,1,,9,D")
    lines.run()
    staged = run(build)
    assert staged.increment is not None
    assert (staged.increment.keys, staged.increment.replaced) == (3, 0)
    assert staged.whole is None


def test_why_it_is_computed_as_a_whole(feed: Callable[[Dataset], Feed]) -> None:
    lines, names = feed(ORDERS), feed(NAMES)
    many(lines)
    names.land("names/0.csv", "order,name\n1,a\n")
    names.run()
    lines.run()
    build = build_of(lines.connection, ORDERS, "rows")
    assert run(build).whole == "it was never built"
    names.land("names/1.csv", "order,name\n1,b\n")
    names.run()
    assert run(build).whole == "silver.names, which it reads too, is newer"
    lines.outdate()
    names.outdate()
    lines.build()
    assert run(build).whole == "silver.lines was built anew"
    changed = replace(build, rules=["another"])
    assert run(changed).whole == "its definition changed"
    land(lines, "001", *(f"{order},0,1,9" for order in range(900)), *(f"{order},1,1,9" for order in range(900)))
    lines.run()
    assert run(changed).whole == "most of it would be replaced"
    assert run(replace(changed, counted=changed.statement)).whole == "persons are counted in all of its groups"
    lines.connection.execute("UPDATE atlas.publications SET anew = NULL")
    lines.connection.commit()
    assert run(changed).whole == "which rows of silver.lines it was built from was not recorded"


def test_views_upon_the_table_stay(feed: Callable[[Dataset], Feed]) -> None:
    lines = feed(ORDERS)
    many(lines)
    lines.run()
    build = build_of(lines.connection, ORDERS, "groups")
    run(build)
    lines.connection.execute("CREATE VIEW gold.mine AS SELECT count(*) AS n FROM gold.groups")
    lines.connection.commit()
    land(lines, "001", "900,0,50,1")
    lines.run()
    assert run(build).increment is not None
    assert rows(lines.connection, "SELECT n FROM gold.mine") == [(len(whole(build)),)]


def test_two_runs_at_once(feed: Callable[[Dataset], Feed], warehouse_url: str) -> None:
    lines = feed(ORDERS)
    many(lines)
    lines.run()
    run(build_of(lines.connection, ORDERS, "groups"))
    land(lines, "001", "900,0,50,1", "7,1,99,9")
    lines.run()

    def one() -> gold.Staged:
        with connect(warehouse_url) as connection:
            return run(build_of(connection, ORDERS, "groups"))

    with ThreadPoolExecutor(2) as both:
        done = [both.submit(one) for _ in range(2)]
        increments = [staged.result().increment for staged in done]
    keys = sorted(increment.keys for increment in increments if increment)
    assert keys == [0, 2], "the second one finds nothing new"


def test_what_postgres_refuses_leaves_the_table_as_it_was(feed: Callable[[Dataset], Feed]) -> None:
    lines = feed(EVENTS)
    many(lines)
    lines.run()
    build = build_of(lines.connection, EVENTS, "groups")
    run(build)
    before = whole(build)
    land(lines, "001", ",0,50,1")  # no order: a null in the primary key of the result
    lines.run()
    with table_lock(build.connection, "gold", "groups", 600), pytest.raises(gold.ModelFailed):
        gold.stage(build)
    assert rows(build.connection, "SELECT * FROM gold.groups") == before
    withdrawal.forget(lines.connection, "lines", "001.csv", reason="test", lock_seconds=10)
    lines.run()
    run(build)


def work(url: str, wanted: str) -> None:
    """Build the table; stop in the phase, and wait to be killed."""

    def reached(phase: str) -> None:
        if wanted in phase:
            stop()

    with connect(url) as connection:
        build = build_of(connection, DELETING, "groups", progress=reached)
        with table_lock(connection, "gold", build.name, 600):
            staged = gold.stage(build)
            reached("staged")
            with connection.transaction():
                gold.publish(build, staged)
                reached("published, not committed")


@pytest.mark.parametrize("phase", ["running the model", "checking", "staged", "published"])
def test_killed_at_each_step(feed: Callable[[Dataset], Feed], warehouse_url: str, fork: StartFork, phase: str) -> None:
    lines = feed(DELETING)
    many(lines)
    lines.run()
    build = build_of(lines.connection, DELETING, "groups")
    run(build)
    before = rows(lines.connection, "SELECT * FROM gold.groups")
    land(lines, "001", "900,0,50,1", "7,1,99,9", "9,1,,9,D")
    lines.run()
    process = fork(work, warehouse_url, phase)
    assert process.said() == "reached"
    assert rows(lines.connection, "SELECT * FROM gold.groups") == before
    process.kill()
    assert rows(lines.connection, "SELECT * FROM gold.groups") == before
    staged = run(build)
    assert staged.increment is not None
    assert staged.increment.keys == 3
