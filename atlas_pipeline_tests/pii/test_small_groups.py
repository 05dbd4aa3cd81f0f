"""Groups of few persons are withheld so that no total gives them away; publications that differ by few are counted."""

from collections import defaultdict

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from atlas_pipeline.pii import small_groups
from atlas_pipeline.pii.small_groups import Cells, Counts

TABLE = sql.Identifier("staging", "cells")
COUNTS = Counts("n", "level", ("a", "b"))
Row = tuple[str | None, str | None, int, int]


def stage(connection: psycopg.Connection, rows: list[Row]) -> None:
    connection.execute("DROP TABLE IF EXISTS staging.cells")
    connection.execute("CREATE TABLE staging.cells (a text, b text, n bigint, level int)")
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO staging.cells VALUES (%s, %s, %s, %s)", rows)


def shown(connection: psycopg.Connection) -> set[Row]:
    return set(connection.execute("SELECT a, b, n, level FROM staging.cells").fetchall())


def rolled_up(cells: dict[tuple[str, str], int]) -> list[Row]:
    """The cells with a total for each `a`, and one over all, as ROLLUP (a, b) makes them of disjoint groups."""
    totals: defaultdict[str, int] = defaultdict(int)
    for (a, _), n in cells.items():
        totals[a] += n
    rows: list[Row] = [(a, b, n, 0) for (a, b), n in cells.items()]
    rows += [(a, None, n, 1) for a, n in totals.items()]
    return [*rows, (None, None, sum(totals.values()), 3)]


def lines(rows: list[Row], kept: set[Row]) -> list[list[Row]]:
    """The rows of each total that is shown, and of the number of all persons, which readers may know."""
    totals = {row[0] for row in kept if row[3] == 1}
    below = [[row for row in rows if row[3] == 0 and row[0] == a] for a in totals]
    return [*below, [row for row in rows if row[3] == 0], [row for row in rows if row[3] == 1]]


CELLS = st.dictionaries(
    st.tuples(st.sampled_from("xyz"), st.sampled_from("klmn")), st.integers(0, 14), min_size=1, max_size=12
)


@given(cells=CELLS, at_least=st.integers(2, 6))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_totals_leave_is_of_enough_persons(
    warehouse: psycopg.Connection, cells: dict[tuple[str, str], int], at_least: int
) -> None:
    rows = rolled_up(cells)
    stage(warehouse, rows)
    found = small_groups.measure(warehouse, TABLE, COUNTS, Cells(at_least, "suppress"))
    found = small_groups.suppress(warehouse, TABLE, COUNTS, found)
    kept = shown(warehouse)
    assert found.fit
    assert found.small == sum(0 < row[2] < at_least for row in rows)
    assert len(rows) - len(kept) == found.withheld + found.complementary
    assert not [row for row in kept if 0 < row[2] < at_least]
    for line in lines(rows, kept):
        hidden = max((row[2] for row in set(line) - kept), default=0)
        rest = [row for row in line if row in kept and row[2] > 0]
        assert not rest or hidden == 0 or hidden >= at_least, "a total minus what is shown would be of few persons"
    if not found.small:
        assert kept == set(rows)


def test_one_small_group_takes_the_smallest_other_one_with_it(warehouse: psycopg.Connection) -> None:
    rows: list[Row] = [("x", "k", 1, 0), ("x", "l", 30, 0), ("x", "m", 20, 0), ("y", "k", 40, 0)]
    stage(warehouse, rows)
    found = small_groups.measure(warehouse, TABLE, COUNTS, Cells(5, "suppress"))
    found = small_groups.suppress(warehouse, TABLE, COUNTS, found)
    assert (found.groups, found.small, found.withheld, found.complementary) == (4, 1, 1, 1)
    assert shown(warehouse) == {("x", "l", 30, 0), ("y", "k", 40, 0)}


def test_groups_that_grew_by_one_are_counted_at_the_next_publication(warehouse: psycopg.Connection) -> None:
    def publish(*rows: Row) -> int:
        stage(warehouse, list(rows))
        found = small_groups.measure(warehouse, TABLE, COUNTS, Cells(5))
        found = small_groups.compare(warehouse, TABLE, "cells", COUNTS, found)
        small_groups.keep_counts(warehouse, "cells")
        return found.differing

    assert publish(("x", "k", 10, 0), ("x", "l", 20, 0), ("y", None, 30, 0)) == 0
    assert publish(("x", "k", 11, 0), ("x", "l", 25, 0), ("y", None, 29, 0)) == 2, "five more are enough persons"
    assert publish(("x", "k", 11, 0), ("x", "n", 2, 0)) == 0, "neither an equal group nor a new one differs"


def test_counts_are_taken_off_and_groups_of_few_listed(warehouse: psycopg.Connection) -> None:
    stage(warehouse, [("x", "k", 1, 0), ("x", "l", 20, 0)])
    listed = sql.Identifier("staging", "cells__small")
    small_groups.list_small(warehouse, TABLE, listed, COUNTS, 5)
    small_groups.forget_counts(warehouse, TABLE, COUNTS)
    assert warehouse.execute("SELECT * FROM staging.cells__small").fetchall() == [("x", "k", 1)]
    assert warehouse.execute("SELECT * FROM staging.cells ORDER BY b").fetchall() == [("x", "k"), ("x", "l")]
