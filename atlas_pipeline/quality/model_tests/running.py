"""Running a unit test: the model's own SQL over given rows, in schemas that are gone when it ends.

Belongs here: tables of the declared types, the run, the comparison. Does not belong here: the files (`file.py`).

All happens in one transaction that is never committed. No table of the project is read or locked, so tests run beside
everything else, and on a warehouse in which nothing was published.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from atlas_pipeline.quality.model_tests.file import UnitTest
from atlas_pipeline.sql.lineage import Model
from atlas_pipeline.sql.retarget import retarget

Table = tuple[str, str]
MOST_SHOWN = 20
"""Differing rows of each kind that are reported."""


@dataclass(frozen=True)
class Difference:
    """A row that was expected and did not come, or came and was not expected; as many `times`."""

    missing: bool
    values: Sequence[str | None]
    times: int


@dataclass(frozen=True)
class UnitTestResult:
    """What came of a test. `problem` is why it could not run; else `differences` are of the columns `columns`."""

    test: UnitTest
    columns: Sequence[str]
    differences: Sequence[Difference]
    problem: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the model made of the given rows what was expected."""
        return self.problem is None and not self.differences


@dataclass(frozen=True)
class Sources:
    """What models are made of.

    Attributes:
        silver: Postgres types of the columns of each silver table.
        gold: all models.
    """

    silver: Mapping[str, Mapping[str, str]]
    gold: Mapping[str, Model]


def run_test(connection: psycopg.Connection, sources: Sources, name: str, test: UnitTest) -> UnitTestResult:
    """Run one test of a model.

    Args:
        connection: the warehouse, of a role that may create schemas; its transaction is rolled back.
        sources: what the project declares.
        name: of the model.
        test: to run.
    """
    mark = secrets.token_hex(6)
    schemas = {layer: f"atlas_test_{mark}_{layer}" for layer in ("silver", "gold")}
    try:
        for schema in schemas.values():
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        _make_tables(connection, schemas, sources, name)
        for (layer, table), rows in test.given.items():
            _fill(connection, schemas[layer], table, rows)
        _make(connection, schemas, sources.gold[name], name, "")
        return _compared(connection, schemas["gold"], name, test)
    except psycopg.Error as error:
        # Rows of a test are nobody's; the server may quote them.
        problem = error.diag.message_primary or type(error).__name__
        return UnitTestResult(test, test.columns, [], problem)
    finally:
        connection.rollback()


def _make_tables(connection: psycopg.Connection, schemas: Mapping[str, str], sources: Sources, name: str) -> None:
    """Empty tables for all that a model reads, gold with the types that its SQL gives it."""
    made: set[Table] = set()

    def make(table: Table) -> None:
        if table in made:
            return
        made.add(table)
        layer, short = table
        if layer == "silver":
            columns = [
                sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(type))
                for column, type in sources.silver[short].items()
            ]
            statement = sql.SQL("CREATE TABLE {} ({})")
            target = sql.Identifier(schemas[layer], short)
            connection.execute(statement.format(target, sql.SQL(", ").join(columns)))
            return
        for source in sources.gold[short].tables:
            make((source.schema, source.name))
        _make(connection, schemas, sources.gold[short], short, "WITH NO DATA")

    for source in sources.gold[name].tables:
        make((source.schema, source.name))


def _make(connection: psycopg.Connection, schemas: Mapping[str, str], model: Model, name: str, ending: str) -> None:
    statement = sql.SQL("CREATE TABLE {} AS (\n{}\n) {}").format(
        sql.Identifier(schemas["gold"], name), sql.SQL(retarget(model, schemas)), sql.SQL(ending)
    )
    connection.execute(statement)


def _fill(connection: psycopg.Connection, schema: str, table: str, rows: Sequence[Mapping[str, object]]) -> None:
    target = sql.Identifier(schema, table)
    statement = sql.SQL("INSERT INTO {0} SELECT * FROM json_populate_recordset(null::{0}, %s)")
    connection.execute(statement.format(target), [json.dumps(rows)])


def _compared(connection: psycopg.Connection, schema: str, name: str, test: UnitTest) -> UnitTestResult:
    """The rows that came beside those that were expected, each with its number, in the types of the model."""
    made = sql.Identifier(schema, name)
    wanted = sql.Identifier(schema, f"{name[:40]}_expected")
    if not test.expected:
        count = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(made)).fetchone()
        surplus = int(count[0]) if count else 0
        return UnitTestResult(test, [], [Difference(False, [], surplus)] if surplus else [])
    connection.execute(sql.SQL("CREATE TABLE {} AS SELECT * FROM {} WITH NO DATA").format(wanted, made))
    statement = sql.SQL("INSERT INTO {0} SELECT * FROM json_populate_recordset(null::{0}, %s)").format(wanted)
    connection.execute(statement, [json.dumps(test.expected)])
    names = {column: sql.Identifier(f"c{number}") for number, column in enumerate(test.columns)}
    columns = sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(sql.Identifier(column), alias) for column, alias in names.items()
    )
    statement = sql.SQL(
        "SELECT {texts}, sum(side) FROM (SELECT {columns}, 1 AS side FROM {wanted} UNION ALL"
        " SELECT {columns}, -1 FROM {made}) r GROUP BY {listed} HAVING sum(side) <> 0 ORDER BY sum(side) < 0, {listed}"
    ).format(
        texts=sql.SQL(", ").join(sql.SQL("{}::text").format(alias) for alias in names.values()),
        listed=sql.SQL(", ").join(names.values()),
        columns=columns,
        wanted=wanted,
        made=made,
    )
    rows = connection.execute(statement).fetchall()
    return UnitTestResult(test, test.columns, [Difference(n > 0, values, abs(int(n))) for *values, n in rows])
