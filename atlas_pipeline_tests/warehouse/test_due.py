"""Gold is built again whenever it is older than what it reads, whatever the order of publications, builds and looks."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from psycopg import sql

from atlas_pipeline.warehouse import gold, publish
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.due import GoldDefinition, ask, due
from atlas_pipeline_tests.builds import build_gold

SOURCES = {
    "one": [("silver", "a")],
    "both": [("silver", "a"), ("silver", "b")],
    "second": [("gold", "one"), ("silver", "b")],
    "third": [("gold", "second"), ("gold", "both")],
}
START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def statement(name: str, edition: int = 0) -> str:
    """A model that adds up what it reads."""
    total = " + ".join(f"(SELECT coalesce(sum(n), 0) FROM {schema}.{table})" for schema, table in SOURCES[name])
    return f"SELECT {total} + {edition} AS n"


def definition(name: str, edition: int = 0) -> GoldDefinition:
    return GoldDefinition(name, gold.fingerprint(statement(name, edition), ()), frozenset(SOURCES[name]))


def build_of(connection: psycopg.Connection, name: str, edition: int = 0) -> gold.GoldBuild:
    return gold.GoldBuild(connection, name, statement(name, edition), "test", (), SOURCES[name])


def silver(connection: psycopg.Connection, name: str, number: int) -> None:
    """Publish a silver table of one row."""
    with connection.transaction():
        publish.drop_staging(connection, f"silver__{name}")
        connection.execute(
            sql.SQL("CREATE TABLE {} AS SELECT {} AS n").format(
                sql.Identifier("staging", f"silver__{name}"), sql.Literal(number)
            )
        )
        publish.swap(connection, "silver", name)
        publish.record(connection, "silver", name, "x", "test", 1)


class Interleaving(RuleBasedStateMachine):
    """Publications of silver, builds that overlap them, end, fail or are killed, edits of models, looks, lost looks."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.connection = connect(self.url)
        self.number = 0
        self.now = START
        self.editions = dict.fromkeys(SOURCES, 0)
        self.queue: list[str] = []
        self.building: dict[str, tuple[psycopg.Connection, Any, gold.GoldBuild, gold.Staged]] = {}

    def _build(self, name: str) -> gold.GoldBuild:
        return build_of(self.connection, name, self.editions[name])

    def _published(self, layer: str, name: str) -> bool:
        row = self.connection.execute("SELECT to_regclass(%s)", [f"{layer}.{name}"]).fetchone()
        self.connection.commit()
        return row is not None and row[0] is not None

    def _buildable(self, name: str) -> bool:
        return name not in self.building and all(self._published(*source) for source in SOURCES[name])

    @rule(name=st.sampled_from(["a", "b"]))
    def publish_silver(self, name: str) -> None:
        self.number += 1
        silver(self.connection, name, self.number)

    @rule(name=st.sampled_from(list(SOURCES)))
    def edit(self, name: str) -> None:
        self.editions[name] += 1

    @rule(name=st.sampled_from(list(SOURCES)))
    def begin(self, name: str) -> None:
        if not self._buildable(name):
            return
        connection = connect(self.url)
        build = build_of(connection, name, self.editions[name])
        lock = publish.table_lock(connection, "gold", name, 1)
        lock.__enter__()
        self.building[name] = connection, lock, build, gold.stage(build)

    @precondition(lambda self: self.building)
    @rule(data=st.data(), killed=st.booleans())
    def end(self, data: st.DataObject, killed: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.building)))
        connection, lock, build, staged = self.building.pop(name)
        if not killed:
            with connection.transaction():
                gold.publish(build, staged)
            lock.__exit__(None, None, None)
        connection.close()

    @rule(minutes=st.sampled_from([0, 1, 70]), lost=st.booleans())
    def look(self, minutes: int, lost: bool) -> None:
        """The daemon may end between the look's record and the start of its run."""
        self.now += timedelta(minutes=minutes)
        definitions = [definition(name, edition) for name, edition in self.editions.items()]
        waiting = due(self.connection, definitions)
        chosen = ask(self.connection, waiting, {*self.building, *self.queue}, self.now)
        if not lost:
            self.queue += chosen

    @precondition(lambda self: self.queue)
    @rule(fails=st.booleans())
    def run_next(self, fails: bool) -> None:
        name = self.queue.pop(0)
        if not fails and self._buildable(name):
            build_gold(self._build(name))

    @invariant()
    def nothing_is_asked_for_twice(self) -> None:
        assert len(self.queue) == len(set(self.queue))

    def teardown(self) -> None:
        try:
            while self.building:
                self.building.popitem()[1][0].close()
            self.publish_silver("a")
            self.publish_silver("b")
            self.queue.clear()
            self.look(70, lost=False)
            while self.queue:
                self.run_next(fails=False)
            self.look(70, lost=False)
            assert self.queue == []
            for name, edition in self.editions.items():
                both = f"SELECT (SELECT n FROM gold.{name}) = ({statement(name, edition)})"
                assert self.connection.execute(both).fetchone() == (True,), name  # type: ignore[arg-type]
        finally:
            reset(self.connection)
            self.connection.close()


def reset(connection: psycopg.Connection) -> None:
    """A warehouse in which nothing was ever published."""
    connection.rollback()
    connection.execute("TRUNCATE atlas.publications, atlas.publication_history, atlas.gold_requests")
    for layer, tables in {"silver": ["a", "b"], "gold": list(SOURCES)}.items():
        for table in tables:
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(layer, table)))
    connection.commit()


@pytest.mark.slow
def test_any_order_of_events_ends_with_gold_of_the_newest_silver(warehouse_url: str) -> None:
    machine = type("Machine", (Interleaving,), {"url": warehouse_url})
    run_state_machine_as_test(machine, settings=settings(max_examples=25, stateful_step_count=20))


@pytest.fixture
def built(warehouse: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """Two silver tables, and all models built from them."""
    silver(warehouse, "a", 1)
    silver(warehouse, "b", 2)
    for name in SOURCES:
        build_gold(build_of(warehouse, name))
    yield warehouse
    warehouse.rollback()


ALL = [definition(name) for name in SOURCES]


def test_nothing_is_due_when_all_was_read(built: psycopg.Connection) -> None:
    assert due(built, ALL) == {}


def test_silver_that_is_published_while_gold_is_built_makes_it_due_again(built: psycopg.Connection) -> None:
    build = build_of(built, "one")
    staged = gold.stage(build)
    with psycopg.connect(built.info.dsn, password=built.info.password) as other:
        silver(other, "a", 5)
    with built.transaction():
        gold.publish(build, staged)
    found = due(built, ALL)
    assert found["one"].reasons == ("silver.a is newer",)
    build_gold(build)
    assert "one" not in due(built, ALL)


def test_reasons_and_order(built: psycopg.Connection) -> None:
    silver(built, "b", 3)
    found = due(built, [definition(name, int(name == "third")) for name in SOURCES])
    assert {name: one.reasons for name, one in found.items()} == {
        "both": ("silver.b is newer",),
        "second": ("silver.b is newer",),
        "third": ("its definition changed",),
    }
    assert list(found).index("third") > list(found).index("second")
    assert found["third"].follows == {"second", "both"}


def test_since_is_the_first_publication_that_was_not_read(built: psycopg.Connection) -> None:
    silver(built, "a", 3)
    first = built.execute("SELECT published_at FROM atlas.publications WHERE name = 'a'").fetchone()
    built.commit()
    silver(built, "a", 4)
    found = due(built, ALL)
    assert first is not None
    assert {name: one.since for name, one in found.items()} == dict.fromkeys(
        ("one", "both", "second", "third"), first[0]
    )


def test_a_model_of_a_table_that_was_never_published_is_not_due(warehouse: psycopg.Connection) -> None:
    silver(warehouse, "a", 1)
    assert list(due(warehouse, ALL)) == ["one"]


def test_what_was_built_before_versions_were_recorded_is_due_once(built: psycopg.Connection) -> None:
    built.execute("UPDATE atlas.publications SET reads = NULL WHERE name = 'one'")
    assert due(built, [definition("one")])["one"].reasons == ("what it was built from was not recorded",)
    build_gold(build_of(built, "one"))
    assert due(built, [definition("one")]) == {}


def test_what_fails_is_asked_for_ever_more_seldom(built: psycopg.Connection) -> None:
    silver(built, "a", 2)
    asked = []
    for minute in range(300):
        if ask(built, due(built, [definition("one")]), (), START + timedelta(minutes=minute)):
            asked.append(minute)
    assert asked == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]


def test_a_new_publication_is_not_held_up_by_the_failures_before_it(built: psycopg.Connection) -> None:
    silver(built, "a", 2)
    for minute in range(10):
        ask(built, due(built, [definition("one")]), (), START + timedelta(minutes=minute))
    silver(built, "a", 3)
    assert ask(built, due(built, [definition("one")]), (), START + timedelta(minutes=10)) == ["one"]
    assert ask(built, due(built, [definition("one")]), (), START + timedelta(minutes=10)) == []


def test_a_table_is_not_asked_for_while_one_that_it_reads_is_built(built: psycopg.Connection) -> None:
    silver(built, "a", 2)
    assert set(ask(built, due(built, ALL), {"second"}, START)) == {"both", "one"}
    assert ask(built, due(built, ALL), (), START + HOUR)[2:] == ["second", "third"]
