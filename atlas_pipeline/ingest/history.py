"""`silver.<name>_history`: the versions of each row of a dataset, and from when to when each of them held.

Belongs here: from rows and the order of files to versions (a slowly changing dimension of type 2), and their merging.
Does not belong here: when it runs and what is audited (`silver.py`), and which row of a key silver has (`merging.py`).

A row holds from its time until the next row of its key; equal ones that follow each other are one version. Its time is
`latest_by` where that is a time, else when its file first arrived; of snapshots always that. A row that says that its
key is deleted, and a snapshot that lacks the key, end a version. So history follows from bronze alone: of new rows only
the versions that still hold are needed, unless a row comes late, and then all is built anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.copying import FILE_ID, LINE
from atlas_pipeline.ingest.dataset import VALID_FROM, VALID_TO, Dataset
from atlas_pipeline.ingest.merging import (
    column_list,
    is_later,
    key_list,
    memory_of,
    place_of,
    same_key,
)
from atlas_pipeline.ingest.staging import StagingTables
from atlas_pipeline.ingest.timeline import AT, FILE, GONE, PARTITION, PLACE, timeline
from atlas_pipeline.warehouse import publish as publishing
from atlas_pipeline.warehouse.ledger import LoadedFile, in_history, states
from atlas_pipeline.warehouse.publish import STAGING

_FROM, _TO = sql.Identifier(VALID_FROM), sql.Identifier(VALID_TO)
_DEAD, _UNTIL = sql.Identifier("_atlas_dead"), sql.Identifier("_atlas_until")


@dataclass(frozen=True)
class HistoryPlan:
    """What a table of history will be made of.

    Attributes:
        before: its publication, null when there is none.
        files: all that it will be made of, in their order.
        done: ids of those that it is made of now.
        anew: it is made from all of them.
    """

    before: publishing.Publication | None
    files: Sequence[LoadedFile]
    done: frozenset[int]
    anew: bool

    @property
    def new(self) -> Sequence[LoadedFile]:
        """The files whose rows come in."""
        return self.files if self.anew else [file for file in self.files if file.file_id not in self.done]


def plan_history(
    connection: psycopg.Connection,
    dataset: Dataset,
    definition: str,
    loaded: Sequence[LoadedFile],
    pending: Sequence[LoadedFile],
) -> HistoryPlan:
    """Look at what history is made of, and what it will be.

    Args:
        connection: to the warehouse.
        dataset: as planned.
        definition: fingerprint of all that decides what its tables hold.
        loaded: its files that count.
        pending: those of them that this build brings into silver.
    """
    before = publishing.published(connection, "silver", dataset.history_name)
    done = in_history(connection, dataset.name)
    if dataset.intake.states:
        files = states(connection, dataset.name)
    else:
        wanted = done | {file.file_id for file in pending}
        files = [file for file in loaded if file.file_id in wanted]
    valid = {file.file_id for file in files}
    anew = before is None or before.definition != definition or not done <= valid
    if dataset.intake.states and not anew and done:
        newest = max(file.position for file in files if file.file_id in done)
        anew = any(file.position <= newest for file in files if file.file_id not in done)
    return HistoryPlan(before, loaded if anew and not dataset.intake.states else files, frozenset(done), anew)


def comes_late(connection: psycopg.Connection, dataset: Dataset, tables: StagingTables, plan: HistoryPlan) -> bool:
    """Whether a new row is not the latest of its key, so that versions that ended already change.

    Args:
        connection: in the transaction that stages the rows.
        dataset: with a plan in each column.
        tables: whose delta has the new rows.
        plan: of the history.
    """
    later = is_later(dataset, place_of(connection, dataset))
    old = [sql.Identifier("silver", dataset.name), *([memory_of(dataset.name)] if dataset.deleted_by else [])]
    found = [sql.SQL("EXISTS (SELECT FROM {} o WHERE {} AND {})").format(t, same_key(dataset), later) for t in old]
    values = sql.SQL(", ").join(sql.Identifier(column.name) for column in dataset.published_columns)
    differs = sql.SQL("(SELECT o.x IS DISTINCT FROM w.x FROM (SELECT ROW({}) x) o, (SELECT ROW({}) x) w)").format(
        _columns_of(dataset, "o"), _columns_of(dataset, "w")
    )
    ended = sql.SQL(
        "EXISTS (SELECT FROM {} o WHERE {} AND (w.{at} <= o.{to} OR (o.{to} IS NULL AND (w.{at} < o.{fr}"
        " OR (w.{at} = o.{fr} AND (w.{dead} OR {differs}))))))"
    ).format(_table(dataset), same_key(dataset), at=AT, to=_TO, fr=_FROM, dead=_DEAD, differs=differs)
    events = _new_rows(dataset, tables.delta, timeline(plan.new, (), states=False))
    query = sql.SQL("SELECT EXISTS (SELECT {} FROM ({}) w WHERE {})").format(
        values, events, sql.SQL(" OR ").join([*found, ended])
    )
    row = connection.execute(query).fetchone()
    return bool(row and row[0])


def stage_history(connection: psycopg.Connection, dataset: Dataset, tables: StagingTables, plan: HistoryPlan) -> None:
    """Fill the staging table of history with all versions, or with those that are new or end.

    Args:
        connection: in the transaction that stages the rows.
        dataset: with a plan in each column.
        tables: whose delta and past have the rows of the new files.
        plan: says which these are, and whether the versions that hold now are continued.
    """
    new = {file.file_id for file in plan.new}
    times = timeline(plan.files, new, states=dataset.intake.states)
    own = timeline([file for file in plan.files if file.file_id in new], new, states=False)
    parts = [_events(dataset, tables.delta, times, own), _events(dataset, tables.past, times, own)]
    if not plan.anew:
        parts.append(_holding(dataset, tables, times))
    window = sql.SQL("PARTITION BY {} ORDER BY {}").format(key_list(dataset), _order(dataset))
    statement = sql.SQL(
        "WITH spans AS (SELECT *, least({gone}, min({at}) OVER ({window} ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED"
        " FOLLOWING)) AS {until} FROM ({events}) e),"
        " alive AS (SELECT *, ROW({partition}, {values}) AS _atlas_value FROM spans"
        " WHERE NOT {dead} AND ({until} IS NULL OR {until} > {at})),"
        " marked AS (SELECT *, (lag({until}) OVER ({window}) = {at} AND lag(_atlas_value) OVER ({window})"
        " IS NOT DISTINCT FROM _atlas_value) IS TRUE AS _atlas_same FROM alive),"
        " versions AS (SELECT *, count(*) FILTER (WHERE NOT _atlas_same) OVER ({window} ROWS UNBOUNDED PRECEDING)"
        " AS _atlas_version FROM marked)"
        " INSERT INTO {target} ({columns}, {fr}, {to}) SELECT DISTINCT ON ({key}, _atlas_version) {columns}, {at},"
        " last_value({until}) OVER (PARTITION BY {key}, _atlas_version ORDER BY {order} ROWS BETWEEN UNBOUNDED"
        " PRECEDING AND UNBOUNDED FOLLOWING) FROM versions ORDER BY {key}, _atlas_version, {order}"
    ).format(
        gone=GONE,
        at=AT,
        until=_UNTIL,
        window=window,
        events=sql.SQL(" UNION ALL ").join(parts),
        partition=PARTITION,
        values=_columns_of(dataset, None),
        dead=_DEAD,
        target=sql.Identifier(STAGING, tables.history),
        columns=column_list(dataset),
        fr=_FROM,
        to=_TO,
        key=key_list(dataset),
        order=_order(dataset),
    )
    connection.execute("SET LOCAL work_mem = '128MB'")
    connection.execute(statement)
    if plan.anew:
        publishing.add_key(connection, tables.history, (*dataset.key, VALID_FROM))


def publish_history(connection: psycopg.Connection, dataset: Dataset, tables: StagingTables, plan: HistoryPlan) -> int:
    """Put the staged versions before the readers.

    Args:
        connection: in the transaction that publishes silver.
        dataset: with a plan in each column.
        tables: whose history has the versions.
        plan: says whether these are all.

    Returns:
        The rows of the table.
    """
    name = dataset.history_name
    if plan.anew:
        publishing.swap(connection, "silver", name)
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(_table(dataset))).fetchone()
        return int(row[0]) if row else 0
    staged = sql.Identifier(STAGING, tables.history)
    lineage = [sql.Identifier(name) for name in (FILE_ID, LINE)]
    changed = sql.SQL(
        "DELETE FROM {} o USING {} w WHERE {} AND o.{fr} = w.{fr}"
        " AND (o.{to}, o.{id}, o.{line}) IS DISTINCT FROM (w.{to}, w.{id}, w.{line})"
    ).format(_table(dataset), staged, same_key(dataset), fr=_FROM, to=_TO, id=lineage[0], line=lineage[1])
    gone = connection.execute(changed).rowcount
    columns = sql.SQL("{}, {}, {}").format(column_list(dataset), _FROM, _TO)
    add = sql.SQL(
        "INSERT INTO {0} ({1}) SELECT {1} FROM {2} w WHERE NOT EXISTS (SELECT FROM {0} o WHERE {3} AND o.{4} = w.{4})"
    ).format(_table(dataset), columns, staged, same_key(dataset), _FROM)
    before = plan.before.rows if plan.before else 0
    return before + connection.execute(add).rowcount - gone


def drop_history(connection: psycopg.Connection, dataset: Dataset) -> None:
    """Take away the history of a dataset that no longer declares one, in the transaction that publishes silver."""
    name = dataset.history_name
    known = "DELETE FROM atlas.publications WHERE layer = 'silver' AND name = %s RETURNING 1"
    if connection.execute(known, [name]).fetchone():
        connection.execute("DELETE FROM atlas.column_plans WHERE layer = 'silver' AND name = %s", [name])
        publishing.drop(connection, "silver", name)


def inconsistent(connection: psycopg.Connection, dataset: Dataset, missing: str | None) -> tuple[int, int]:
    """Count the versions, and those that overlap, or hold while silver has another row; `missing` flags rows there."""
    here = sql.SQL("WHERE o.{} IS NULL").format(sql.Identifier(missing)) if missing else sql.SQL("")
    statement = sql.SQL(
        "SELECT (SELECT count(*) FROM {history}), (SELECT count(*) FROM (SELECT {to}, lead({fr}) OVER"
        " (PARTITION BY {key} ORDER BY {fr}) AS next FROM {history}) h"
        " WHERE next < {to} OR ({to} IS NULL AND next IS NOT NULL))"
        " + (SELECT count(*) FROM (SELECT {values} FROM {silver} o {here}) o"
        " FULL JOIN (SELECT {values} FROM {history} WHERE {to} IS NULL) w ON {same}"
        " WHERE (o.*) IS DISTINCT FROM (w.*))"
    ).format(
        history=_table(dataset),
        silver=sql.Identifier("silver", dataset.name),
        to=_TO,
        fr=_FROM,
        key=key_list(dataset),
        values=_columns_of(dataset, None),
        here=here,
        same=same_key(dataset),
    )
    row = connection.execute(statement).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _table(dataset: Dataset) -> sql.Identifier:
    return sql.Identifier("silver", dataset.history_name)


def _columns_of(dataset: Dataset, row: str | None) -> sql.Composed:
    """The columns of silver, of the row with that alias."""
    parts = [(row, c.name) if row else (c.name,) for c in dataset.published_columns]
    return sql.SQL(", ").join(sql.Identifier(*part) for part in parts)


def _order(dataset: Dataset) -> sql.Composed:
    """The order in which rows of one key follow each other, earliest first."""
    latest = [sql.SQL("{} ASC NULLS FIRST").format(sql.Identifier(dataset.latest_by))] if dataset.latest_by else []
    first: list[sql.Composable] = [PLACE, *latest] if dataset.intake.states else [*latest, PLACE]
    return sql.SQL(", ").join([*first, sql.Identifier(FILE_ID), sql.Identifier(LINE)])


def _time(dataset: Dataset) -> sql.Composable:
    """SQL for the time of row `d` of file `f`."""
    types = {column.name: column.type for column in dataset.columns}
    kind = types.get(dataset.latest_by or "")
    arrived = sql.SQL("f.{}").format(AT)
    if dataset.intake.states or kind not in ("timestamp", "local_timestamp", "date"):
        return arrived
    latest: sql.Composable = sql.SQL("d.{}").format(sql.Identifier(dataset.latest_by or ""))
    if kind != "timestamp":
        latest = sql.SQL("({}::timestamp AT TIME ZONE {})").format(latest, sql.Literal(dataset.timezone))
    return sql.SQL("coalesce({}, {})").format(latest, arrived)


def _new_rows(dataset: Dataset, table: str, times: sql.Composable) -> sql.Composed:
    """The staged rows of the files in `times`, each with its time and whether it says that its key is deleted."""
    dead = sql.SQL(dataset.deleted_by.condition if dataset.deleted_by else "FALSE")
    columns = (*(column.name for column in dataset.published_columns), FILE_ID, LINE)
    return sql.SQL(
        "SELECT {columns}, f.{place}, f.{partition}, f.{gone}, {time} AS {at}, ({dead}) IS TRUE AS {flag}"
        " FROM {table} d JOIN {times} f ON f.{file} = d.{id}"
    ).format(
        columns=sql.SQL(", ").join(sql.Identifier("d", name) for name in columns),
        place=PLACE,
        partition=PARTITION,
        gone=GONE,
        time=_time(dataset),
        at=AT,
        dead=dead,
        flag=_DEAD,
        table=sql.Identifier(STAGING, table),
        times=times,
        file=FILE,
        id=sql.Identifier(FILE_ID),
    )


def _events(dataset: Dataset, table: str, times: sql.Composable, own: sql.Composable) -> sql.Composed:
    """The staged rows of new files; when each of them ends is told by all files."""
    rows = _new_rows(dataset, table, times)
    return sql.SQL("{} WHERE d.{} IN (SELECT n.{} FROM {} n)").format(rows, sql.Identifier(FILE_ID), FILE, own)


def _holding(dataset: Dataset, tables: StagingTables, times: sql.Composable) -> sql.Composed:
    """The versions that hold now, as rows: of all keys for snapshots, which end what they lack, else of new rows'."""
    columns = (*(column.name for column in dataset.published_columns), FILE_ID, LINE)
    touched: sql.Composable = sql.SQL("")
    if not dataset.intake.states:
        delta = sql.Identifier(STAGING, tables.delta)
        touched = sql.SQL(" AND EXISTS (SELECT FROM {} w WHERE {})").format(delta, same_key(dataset))
    return sql.SQL(
        "SELECT {columns}, f.{place}, f.{partition}, f.{gone}, o.{fr} AS {at}, FALSE AS {dead}"
        " FROM {history} o JOIN {times} f ON f.{file} = o.{id} WHERE o.{to} IS NULL{touched}"
    ).format(
        columns=sql.SQL(", ").join(sql.Identifier("o", name) for name in columns),
        place=PLACE,
        partition=PARTITION,
        gone=GONE,
        fr=_FROM,
        at=AT,
        dead=_DEAD,
        history=_table(dataset),
        times=times,
        file=FILE,
        id=sql.Identifier(FILE_ID),
        to=_TO,
        touched=touched,
    )
