"""The ledger of files: which versions of each file were loaded, refused or forgotten, and which of them count.

Belongs here: every statement on `atlas.files` and `atlas.rejected_lines`. Does not belong here: reading files.

An entry is one look at one version of a file. Of the loaded entries those count that no newer one superseded: they are
what silver is built from. An entry with `silver_at` is in silver; where it no longer counts, silver must be built anew.
Entries stand in the order in which files first arrived: `position` is the entry in whose place one stands, null where
that is its own.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import psycopg
from psycopg import sql

_CURRENT = sql.SQL("(status = 'loaded' AND superseded_by IS NULL)")
_PLACE = sql.SQL("coalesce(position, file_id)")
_LOADED = sql.SQL(
    "SELECT file_id, uri, columns, rows, rejected, partition, coalesce(position, file_id),"
    " coalesce((SELECT a.loaded_at FROM atlas.files a WHERE a.file_id = f.position), loaded_at)"
    " FROM atlas.files f WHERE dataset = %s"
)
ACCEPTED = "snapshot_accepted"
"""The rule of a refused snapshot that a person accepted: it is read again, and its size is not compared."""
RELOAD = "to be read again"
"""The version of an entry whose file is read again by the next load."""


@dataclass(frozen=True)
class Known:
    """The newest entry of a file: its version and reading options then, and what came of it."""

    version: str
    status: str
    rule: str | None
    reason: str | None
    options: str | None

    def same(self, version: str, options: str) -> bool:
        """Whether that is what was looked at, and nothing asks for another look.

        Options that were not recorded are taken for the same; of a file that was forgotten they do not matter.
        """
        if self.rule == ACCEPTED or self.version != version:
            return False
        return self.status == "forgotten" or self.options in (None, options)


def adopt_options(connection: psycopg.Connection, dataset: str, options: Mapping[str, str]) -> None:
    """Take the present reading options, by URI, for those of entries from before options were recorded."""
    statement = "SELECT EXISTS (SELECT FROM atlas.files WHERE dataset = %s AND options IS NULL)"
    row = connection.execute(statement, [dataset]).fetchone()
    if row and row[0]:
        connection.execute(
            "UPDATE atlas.files f SET options = o.options FROM unnest(%s::text[], %s::text[]) o (uri, options)"
            " WHERE f.dataset = %s AND f.uri = o.uri AND f.options IS NULL",
            [list(options), list(options.values()), dataset],
        )


def known_files(connection: psycopg.Connection, dataset: str) -> dict[str, Known]:
    """The newest entry of each file of a dataset, by its URI."""
    rows = connection.execute(
        "SELECT DISTINCT ON (uri) uri, version, status, rule, reason, options FROM atlas.files WHERE dataset = %s"
        " ORDER BY uri, file_id DESC",
        [dataset],
    )
    return {uri: Known(*rest) for uri, *rest in rows}


@dataclass(frozen=True)
class Look:
    """One look at a file.

    Attributes:
        dataset: that it belongs to.
        partition: its partition, null for a dataset without.
        uri: where it is.
        version: size and change time, or ETag.
        options: fingerprint of the reading options.
        run_id: of the run that looks at it.
        first: whether the ledger has no entry of the file, so that none is looked for.
    """

    dataset: str
    partition: str | None
    uri: str
    version: str
    options: str
    run_id: str
    first: bool = False


def begin(connection: psycopg.Connection, look: Look) -> int:
    """Enter a file that is about to be loaded, in the transaction that loads it. Returns its id."""
    row = connection.execute(
        "INSERT INTO atlas.files (dataset, partition, uri, version, options, batch, status)"
        " VALUES (%s, %s, %s, %s, %s, %s, 'loaded') RETURNING file_id",
        [look.dataset, look.partition, look.uri, look.version, look.options, look.run_id],
    ).fetchone()
    assert row is not None
    return int(row[0])


def finish(
    connection: psycopg.Connection,
    file_id: int,
    sha256: str,
    size: int,
    rows: int,
    rejected: int,
    columns: Sequence[str],
) -> None:
    """Complete the entry, in the same transaction.

    Args:
        connection: in that transaction.
        file_id: as `begin` returned it.
        sha256: of the file's bytes, in hex.
        size: of the file in bytes.
        rows: records loaded into bronze.
        rejected: lines that are not records.
        columns: that its records have.
    """
    connection.execute(
        "UPDATE atlas.files SET sha256 = %s, bytes = %s, rows = %s, rejected = %s, columns = %s,"
        " loaded_at = clock_timestamp() WHERE file_id = %s",
        [sha256, size, rows, rejected, list(columns), file_id],
    )


def note(
    connection: psycopg.Connection,
    look: Look,
    status: str,
    rule: str | None,
    reason: str | None,
    sha256: str | None = None,
) -> int:
    """Enter a file that was not loaded. Returns the id of the entry.

    Args:
        connection: to the warehouse.
        look: the file.
        status: `duplicate`, `refused` or `forgotten`.
        rule: why it was refused, as a stable name.
        reason: the same for people.
        sha256: of the bytes of one that was read, in hex.
    """
    row = connection.execute(
        "INSERT INTO atlas.files (dataset, partition, uri, version, options, batch, status, rule, reason, sha256)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING file_id",
        [look.dataset, look.partition, look.uri, look.version, look.options, look.run_id, status, rule, reason, sha256],
    ).fetchone()
    assert row is not None
    return int(row[0])


@dataclass(frozen=True)
class Entry:
    """A whole entry of a file that the ledger did not know: a reserved id, the look, and what came of it."""

    file_id: int
    look: Look
    status: str
    rule: str | None
    reason: str | None
    sha256: str | None
    bytes: int
    rows: int
    rejected: int
    columns: Sequence[str]


def reserve(connection: psycopg.Connection, count: int) -> list[int]:
    """Take the next ids of entries, in order. Those that are not entered stay unused."""
    rows = connection.execute(
        "SELECT nextval(pg_get_serial_sequence('atlas.files', 'file_id')) FROM generate_series(1, %s)", [count]
    )
    return sorted(file_id for (file_id,) in rows)


def enter(connection: psycopg.Connection, entries: Sequence[Entry]) -> None:
    """Enter files with the ids that were reserved for them, in the transaction that loads them."""
    statement = (
        "COPY atlas.files (file_id, dataset, partition, uri, version, options, batch, status, rule, reason, sha256,"
        " bytes, rows, rejected, columns) FROM STDIN"
    )
    with connection.cursor().copy(statement) as copy:
        for e in entries:
            look = (e.look.dataset, e.look.partition, e.look.uri, e.look.version, e.look.options, e.look.run_id)
            came = (e.status, e.rule, e.reason, e.sha256, e.bytes, e.rows, e.rejected, list(e.columns))
            copy.write_row((e.file_id, *look, *came))


@dataclass(frozen=True)
class Version:
    """A loaded version of a file.

    Attributes:
        file_id: of its entry.
        sha256: of its bytes, in hex.
        options: fingerprint of the reading options.
        rows: records.
        position: its place in the order of files.
        uri: where it is.
    """

    file_id: int
    sha256: str
    options: str
    rows: int
    position: int
    uri: str


def current_versions(connection: psycopg.Connection, look: Look, *, whole_dataset: bool) -> list[Version]:
    """The loaded versions that count and that a new one of this file takes the place of, in their order.

    Args:
        connection: in the transaction that loads the new one.
        look: the file.
        whole_dataset: those of all files of the dataset's partition, since a load is its whole state.
    """
    if look.first and not whole_dataset:
        return []
    rows = connection.execute(
        sql.SQL(
            "SELECT file_id, sha256, coalesce(options, ''), rows, {}, uri FROM atlas.files WHERE dataset = %s AND {}"
            " AND sha256 IS NOT NULL AND (uri = %s OR (%s AND partition IS NOT DISTINCT FROM %s)) ORDER BY {}, file_id"
        ).format(_PLACE, _CURRENT, _PLACE),
        [look.dataset, look.uri, whole_dataset, look.partition],
    )
    return [Version(*row) for row in rows]


def newest_version(connection: psycopg.Connection, look: Look) -> tuple[Version, bool] | None:
    """The version of this file that was loaded last, and whether it counts; null when none ever was."""
    if look.first:
        return None
    row = connection.execute(
        sql.SQL(
            "SELECT file_id, sha256, coalesce(options, ''), rows, {}, uri, {} FROM atlas.files WHERE dataset = %s"
            " AND uri = %s AND sha256 IS NOT NULL AND status IN ('loaded', 'forgotten') ORDER BY file_id DESC LIMIT 1"
        ).format(_PLACE, _CURRENT),
        [look.dataset, look.uri],
    ).fetchone()
    return (Version(*row[:-1]), bool(row[-1])) if row else None


def version_of(connection: psycopg.Connection, file_id: int) -> str:
    """The version of a file as an entry has it."""
    row = connection.execute("SELECT version FROM atlas.files WHERE file_id = %s", [file_id]).fetchone()
    return str(row[0]) if row else ""


def first_place(connection: psycopg.Connection, look: Look) -> int | None:
    """The place in the order of files that this one had when it first arrived; null for one that never did."""
    if look.first:
        return None
    row = connection.execute(
        sql.SQL("SELECT min({}) FROM atlas.files WHERE dataset = %s AND uri = %s").format(_PLACE),
        [look.dataset, look.uri],
    ).fetchone()
    return int(row[0]) if row and row[0] is not None else None


def put_in_place(connection: psycopg.Connection, file_id: int, position: int) -> None:
    """Let a new entry stand in the place of an earlier one, in the transaction that loads it."""
    if position == file_id:
        return
    statement = "UPDATE atlas.files SET position = %s WHERE file_id = %s"
    connection.execute(statement, [position, file_id])


def moved(connection: psycopg.Connection, dataset: str) -> bool:
    """Whether a file that counts stands in another place than its own, so that ids do not tell the order."""
    statement = "SELECT EXISTS (SELECT FROM atlas.files WHERE dataset = %s AND position IS NOT NULL AND {})"
    row = connection.execute(sql.SQL(statement).format(_CURRENT), [dataset]).fetchone()
    return bool(row and row[0])


def chain_snapshots(connection: psycopg.Connection, look: Look) -> None:
    """Let each snapshot of a partition be superseded by the next one in their order, so that the last one counts."""
    connection.execute(
        sql.SQL(
            "UPDATE atlas.files f SET superseded_by = o.next, superseded_at = clock_timestamp() FROM ("
            " SELECT file_id, lead(file_id) OVER (ORDER BY {}, file_id) AS next FROM atlas.files WHERE dataset = %s"
            " AND status = 'loaded' AND sha256 IS NOT NULL AND (uri = %s OR partition IS NOT DISTINCT FROM %s)) o"
            " WHERE f.file_id = o.file_id AND f.superseded_by IS DISTINCT FROM o.next"
        ).format(_PLACE),
        [look.dataset, look.uri, look.partition],
    )


def outdated_refusals(connection: psycopg.Connection, dataset: str) -> set[str]:
    """The URIs of files that were refused, and of whose partition another one was loaded later."""
    rows = connection.execute(
        "SELECT uri FROM (SELECT DISTINCT ON (uri) uri, partition, status, file_id FROM atlas.files WHERE dataset = %s"
        " ORDER BY uri, file_id DESC) f WHERE status = 'refused' AND EXISTS (SELECT FROM atlas.files n"
        " WHERE n.dataset = %s AND n.status = 'loaded' AND n.partition IS NOT DISTINCT FROM f.partition"
        " AND n.uri <> f.uri AND n.file_id > f.file_id)",
        [dataset, dataset],
    )
    return {uri for (uri,) in rows}


def is_loaded(connection: psycopg.Connection, look: Look, sha256: str) -> bool:
    """Whether a version that counts, of another file of the dataset read in the same way, has this content."""
    row = connection.execute(
        sql.SQL(
            "SELECT EXISTS (SELECT FROM atlas.files WHERE dataset = %s AND sha256 = %s AND uri <> %s"
            " AND options = %s AND {})"
        ).format(_CURRENT),
        [look.dataset, sha256, look.uri, look.options],
    ).fetchone()
    return bool(row and row[0])


def wake_equal_files(connection: psycopg.Connection, dataset: str, file_ids: Sequence[int]) -> None:
    """Have files read again that were passed over since these had their content, and do no longer count."""
    if not file_ids:
        return
    connection.execute(
        "UPDATE atlas.files f SET version = %s FROM (SELECT max(file_id) AS file_id FROM atlas.files WHERE dataset = %s"
        " GROUP BY uri) newest, atlas.files gone WHERE f.file_id = newest.file_id AND f.status = 'duplicate'"
        " AND gone.file_id = ANY(%s) AND f.uri <> gone.uri AND (f.sha256 IS NULL OR f.sha256 = gone.sha256)",
        [RELOAD, dataset, list(file_ids)],
    )


def read_again(connection: psycopg.Connection, file_id: int, version: Version) -> None:
    """Note that a file that was asked for again holds what its version of before holds, whose rows it now has."""
    connection.execute(
        "UPDATE atlas.files SET status = 'duplicate', rows = 0, rejected = 0, sha256 = %s,"
        " reason = 'it was read again, and holds what was loaded before' WHERE file_id = %s",
        [version.sha256, file_id],
    )
    connection.execute("UPDATE atlas.files SET digest = NULL WHERE file_id = %s", [version.file_id])
    connection.execute("DELETE FROM atlas.rejected_lines WHERE file_id = %s", [file_id])


def supersede(connection: psycopg.Connection, versions: Sequence[Version], by: int) -> None:
    """Let versions count no longer, in the transaction that loads the entry `by` in their place."""
    if not versions:
        return
    connection.execute(
        "UPDATE atlas.files SET superseded_by = %s, superseded_at = clock_timestamp() WHERE file_id = ANY(%s)",
        [by, [version.file_id for version in versions]],
    )


@dataclass(frozen=True)
class LoadedFile:
    """A file in bronze.

    Attributes:
        file_id: of its entry.
        uri: where it came from.
        columns: that its records have.
        rows: records.
        rejected: lines that are not.
        partition: its partition, null for a dataset without.
        position: its place in the order of files.
        arrived_at: when the file of that place was loaded.
    """

    file_id: int
    uri: str
    columns: tuple[str, ...]
    rows: int
    rejected: int
    partition: str | None
    position: int
    arrived_at: datetime


def loaded_files(
    connection: psycopg.Connection, dataset: str, *, pending: bool, partitions: Collection[str] | None = None
) -> list[LoadedFile]:
    """The files in bronze that count, in the order they were loaded.

    Args:
        connection: to the warehouse.
        dataset: that they belong to.
        pending: only those that are not in silver yet.
        partitions: only those of these partitions; null for all.
    """
    rows = connection.execute(
        sql.SQL(
            "{} AND {} AND (NOT %s OR silver_at IS NULL) AND (%s::text[] IS NULL OR partition = ANY(%s))"
            " ORDER BY file_id"
        ).format(_LOADED, _CURRENT),
        [dataset, pending, list(partitions) if partitions is not None else None, list(partitions or [])],
    )
    return [LoadedFile(i, uri, tuple(columns), *rest) for i, uri, columns, *rest in rows]


def loaded_before(connection: psycopg.Connection, dataset: str, days: int) -> set[str]:
    """The URIs of files that are in silver, were loaded more than so many days ago, and are not to be read again."""
    rows = connection.execute(
        "SELECT uri FROM atlas.files WHERE dataset = %s GROUP BY uri HAVING bool_or(silver_at IS NOT NULL)"
        " AND max(loaded_at) < clock_timestamp() - make_interval(days => %s) AND NOT bool_or(version = %s)",
        [dataset, days, RELOAD],
    )
    return {uri for (uri,) in rows}


def without_digest(connection: psycopg.Connection, dataset: str) -> list[LoadedFile]:
    """The files in silver of which it is not known what values their rows have in bronze."""
    statement = sql.SQL("{} AND {} AND silver_at IS NOT NULL AND rows > 0 AND digest IS NULL")
    rows = connection.execute(statement.format(_LOADED, _CURRENT), [dataset])
    return [LoadedFile(i, uri, tuple(columns), *rest) for i, uri, columns, *rest in rows]


def digests(connection: psycopg.Connection, dataset: str) -> dict[int, Decimal]:
    """The digests of files by the ids of their entries, as far as they are known."""
    statement = "SELECT file_id, digest FROM atlas.files WHERE dataset = %s AND digest IS NOT NULL"
    return dict(connection.execute(statement, [dataset]).fetchall())


def note_digests(connection: psycopg.Connection, found: Mapping[int, Decimal]) -> None:
    """Note the digests of files, by the ids of their entries."""
    connection.execute(
        "UPDATE atlas.files f SET digest = d.digest FROM unnest(%s::bigint[], %s::numeric[]) d (file_id, digest)"
        " WHERE f.file_id = d.file_id",
        [list(found), list(found.values())],
    )


def states(connection: psycopg.Connection, dataset: str) -> list[LoadedFile]:
    """All snapshots of a dataset that were ever the state, in their order; not those that were corrected since."""
    statement = sql.SQL(
        "{} AND status = 'loaded' AND sha256 IS NOT NULL AND NOT EXISTS (SELECT FROM atlas.files n"
        " WHERE n.file_id = f.superseded_by AND coalesce(n.position, n.file_id) = coalesce(f.position, f.file_id))"
        " ORDER BY coalesce(f.position, f.file_id), f.file_id"
    )
    rows = connection.execute(statement.format(_LOADED), [dataset])
    return [LoadedFile(i, uri, tuple(columns), *rest) for i, uri, columns, *rest in rows]


def in_history(connection: psycopg.Connection, dataset: str) -> set[int]:
    """The ids of entries whose rows the dataset's table of history is made of."""
    statement = "SELECT file_id FROM atlas.files WHERE dataset = %s AND history_at IS NOT NULL"
    return {file_id for (file_id,) in connection.execute(statement, [dataset])}


def mark_history(connection: psycopg.Connection, dataset: str, file_ids: Sequence[int]) -> None:
    """Note that history is made of these files and no others, in the transaction that publishes it."""
    connection.execute(
        "UPDATE atlas.files SET history_at = CASE WHEN file_id = ANY(%s) THEN coalesce(history_at, clock_timestamp())"
        " END WHERE dataset = %s AND (history_at IS NOT NULL OR file_id = ANY(%s))",
        [list(file_ids), dataset, list(file_ids)],
    )


def mark_silver(connection: psycopg.Connection, file_ids: Sequence[int]) -> None:
    """Note that the rows of these files are published, in the transaction that publishes them."""
    connection.execute(
        "UPDATE atlas.files SET silver_at = coalesce(silver_at, clock_timestamp()) WHERE file_id = ANY(%s)",
        [list(file_ids)],
    )


def number_silver(connection: psycopg.Connection, dataset: str, file_ids: Sequence[int]) -> None:
    """Note which publication the rows of these files came with, in its transaction, after it is recorded."""
    connection.execute(
        "UPDATE atlas.files f SET silver_version = p.version FROM atlas.publications p WHERE p.layer = 'silver'"
        " AND p.name = %s AND f.file_id = ANY(%s) AND f.silver_version IS NULL",
        [dataset, list(file_ids)],
    )


def withdrawn_files(connection: psycopg.Connection, dataset: str) -> list[int]:
    """The ids of entries that are in silver though they no longer count, or in its history though forgotten."""
    rows = connection.execute(
        sql.SQL(
            "SELECT file_id FROM atlas.files WHERE dataset = %s AND ((silver_at IS NOT NULL AND NOT {})"
            " OR (history_at IS NOT NULL AND status <> 'loaded'))"
        ).format(_CURRENT),
        [dataset],
    )
    return [file_id for (file_id,) in rows]


def unmark_silver(connection: psycopg.Connection, file_ids: Sequence[int]) -> None:
    """Note that the rows of these files are no longer in silver, in the transaction that publishes it without them."""
    connection.execute(
        "UPDATE atlas.files SET silver_at = NULL, silver_version = NULL WHERE file_id = ANY(%s)", [list(file_ids)]
    )


@dataclass(frozen=True)
class FileState:
    """A file as the ledger knows it.

    Attributes:
        uri: where it is.
        partition: its partition, null for a dataset without.
        status: of its newest entry; `superseded` when another file's load took the place of what it had.
        rule: why the newest entry was refused.
        reason: the same for people.
        rows: records that count.
        rejected: lines that are not records, of the versions that count.
        versions: how many were loaded.
        seen_at: when it was last looked at and had changed.
        in_silver: whether rows of it are in silver, or in its history.
    """

    uri: str
    partition: str | None
    status: str
    rule: str | None
    reason: str | None
    rows: int
    rejected: int
    versions: int
    seen_at: object
    in_silver: bool


def file_states(connection: psycopg.Connection, dataset: str, uri: str | None = None) -> list[FileState]:
    """The files of a dataset as they stand, in order of their URIs; only that of `uri` where one is given."""
    rows = connection.execute(
        sql.SQL("""
        SELECT DISTINCT ON (uri) uri, partition,
            CASE WHEN status = 'duplicate' OR (status = 'loaded' AND superseded_by IS NOT NULL)
                THEN CASE WHEN sum({current}::int) OVER file > 0 THEN 'loaded' ELSE 'superseded' END
                ELSE status END,
            rule, reason,
            (sum(rows) FILTER (WHERE {current}) OVER file)::bigint,
            (sum(rejected) FILTER (WHERE {current}) OVER file)::bigint,
            count(*) FILTER (WHERE sha256 IS NOT NULL) OVER file,
            loaded_at, bool_or(silver_at IS NOT NULL OR history_at IS NOT NULL) OVER file
        FROM atlas.files WHERE dataset = %s AND (%s::text IS NULL OR uri = %s)
        WINDOW file AS (PARTITION BY uri) ORDER BY uri, file_id DESC
        """).format(current=_CURRENT),
        [dataset, uri, uri],
    )
    return [
        FileState(uri, partition, status, rule, reason, rows or 0, rejected or 0, versions, at, silver)
        for uri, partition, status, rule, reason, rows, rejected, versions, at, silver in rows
    ]


def entries_of(connection: psycopg.Connection, dataset: str, uri: str) -> list[int]:
    """The ids of all entries of a file, oldest first."""
    statement = "SELECT file_id FROM atlas.files WHERE dataset = %s AND uri = %s ORDER BY file_id"
    return [file_id for (file_id,) in connection.execute(statement, [dataset, uri])]


def forget(connection: psycopg.Connection, dataset: str, uri: str) -> None:
    """Let no version of a file count, and remember that it was forgotten, so that it is not loaded until it changes."""
    connection.execute(
        "UPDATE atlas.files SET status = 'forgotten' WHERE dataset = %s AND uri = %s AND status = 'loaded'",
        [dataset, uri],
    )
    entries = entries_of(connection, dataset, uri)
    # What gave way to it gives way to whatever it gave way to itself, which may be nothing.
    connection.execute(
        "WITH RECURSIVE heirs (file_id, heir) AS ("
        " SELECT file_id, superseded_by FROM atlas.files WHERE file_id = ANY(%s)"
        " UNION ALL SELECT h.file_id, f.superseded_by FROM heirs h JOIN atlas.files f ON f.file_id = h.heir"
        " WHERE h.heir = ANY(%s))"
        " UPDATE atlas.files f SET superseded_by = h.heir,"
        " superseded_at = CASE WHEN h.heir IS NOT NULL THEN f.superseded_at END"
        " FROM heirs h WHERE f.superseded_by = h.file_id AND f.uri <> %s AND (h.heir IS NULL OR h.heir <> ALL(%s))",
        [entries, entries, uri, entries],
    )
    wake_equal_files(connection, dataset, entries)
    connection.execute("DELETE FROM atlas.rejected_lines WHERE file_id = ANY(%s)", [entries])


def ask_again(connection: psycopg.Connection, dataset: str, uris: Sequence[str]) -> None:
    """Have files read again by the next load, whatever was known of them."""
    connection.execute(
        "UPDATE atlas.files f SET version = %s FROM (SELECT max(file_id) AS file_id"
        " FROM atlas.files WHERE dataset = %s AND uri = ANY(%s) GROUP BY uri) newest WHERE f.file_id = newest.file_id",
        [RELOAD, dataset, list(uris)],
    )


def accept(connection: psycopg.Connection, dataset: str, uri: str) -> None:
    """Let the version of a snapshot that was refused last be loaded."""
    connection.execute(
        "UPDATE atlas.files f SET rule = %s FROM (SELECT max(file_id) AS file_id FROM atlas.files"
        " WHERE dataset = %s AND uri = %s) newest WHERE f.file_id = newest.file_id",
        [ACCEPTED, dataset, uri],
    )
