"""Checks that need no contract: rows that must add up, lines that must be records, columns that refer to other tables.

Belongs here: these checks and what comes of them. Does not belong here: counting rows (`ingest/reconcile.py`), and the
checks of a contract (`verification.py`).
"""

from collections.abc import Sequence

import psycopg
from psycopg import sql

from atlas_pipeline import labels
from atlas_pipeline.quality.outcome import Check, Outcome

SAMPLE_ROWS = 20

ROWS_RECONCILED = Check(
    "rows_reconciled",
    "reconciliation",
    None,
    "Every row of bronze is in silver, in quarantine, gave way to a later one of its key, or says that it is deleted",
    "warn",
    "consistency",
)
ROWS_FIT = Check(
    labels.ROWS_FIT,
    "reading",
    None,
    "Every row of bronze fits its types and has its key; those that do not are in quarantine",
    "warn",
    "validity",
)
FILES_READABLE = Check(
    "files_readable",
    "reading",
    None,
    "Every file of the source could be loaded; the ones that could not are named",
    "warn",
    "completeness",
)
LINES_READABLE = Check(
    "lines_readable", "reading", None, "Every line of the loaded files is a record", "warn", "validity"
)


ONE_FILE_ONE_SNAPSHOT = Check(
    "one_file_one_snapshot",
    "reading",
    None,
    "Each file is a whole state: no load takes several files of one partition for states that follow each other",
    "warn",
    "completeness",
)
VALUES_JOIN = Check(
    "values_join",
    "personal data",
    None,
    "What other silver tables hold too has the same tokens there, so that a join finds it",
    "warn",
    "consistency",
)
_REFERENCES = "references."
_PATHS = {
    check.path
    for check in (ROWS_RECONCILED, ROWS_FIT, VALUES_JOIN, FILES_READABLE, LINES_READABLE, ONE_FILE_ONE_SNAPSHOT)
}


def is_generated(path: str) -> bool:
    """Whether a recorded check is one of these, and not of a contract."""
    return path in _PATHS or path.startswith(_REFERENCES)


def rows_reconciled(
    bronze: int, silver: int, quarantined: int, duplicates: int, lost: int, deleted: int = 0
) -> Outcome:
    """Whether the rows of bronze are all accounted for.

    Args:
        bronze: rows in bronze.
        silver: rows in silver.
        quarantined: rows in quarantine.
        duplicates: rows that gave way to a later one of their key.
        lost: rows of bronze that are in none of these; negative when these have more.
        deleted: rows that say that their key is deleted.
    """
    dead = f", deleted {deleted:,}" if deleted else ""
    problem = (
        f"bronze has {bronze:,} rows; silver {silver:,}, quarantine {quarantined:,}{dead} and duplicates "
        f"{duplicates:,} make {bronze - lost:,}: someone changed a table by hand, or rows were lost. A full rebuild "
        "mends silver"
    )
    return Outcome(
        ROWS_RECONCILED,
        "warned" if lost else "passed",
        measured=float(lost),
        threshold="= 0",
        rows_tested=max(bronze, bronze - lost),
        rows_failed=abs(lost),
        problem=problem if lost else None,
    )


def rows_fit(rows: int, misfits: Sequence[tuple[str, str, int]]) -> Outcome:
    """Whether all rows of bronze fit their types.

    Args:
        rows: rows of bronze.
        misfits: rule, file and number of the rows in quarantine that do not, most rows first.
    """
    failed = sum(count for _, _, count in misfits)
    named = "; ".join(f"{rule}: {count:,} of {file}" for rule, file, count in misfits[:SAMPLE_ROWS])
    more = f"; and {len(misfits) - SAMPLE_ROWS:,} more" if len(misfits) > SAMPLE_ROWS else ""
    return Outcome(
        ROWS_FIT,
        "warned" if failed else "passed",
        measured=float(failed),
        threshold="= 0",
        rows_tested=max(rows, failed),
        rows_failed=failed,
        problem=f"{failed:,} rows are in quarantine ({named}{more})" if failed else None,
    )


HISTORY_CONSISTENT = Check(
    "history_consistent",
    "reconciliation",
    None,
    "Versions of a row do not overlap, and those that hold are the rows of silver",
    "warn",
    "consistency",
)


def history_consistent(rows: int, wrong: int) -> Outcome:
    """Whether a table of history agrees with itself and with silver.

    Args:
        rows: versions.
        wrong: versions that overlap another one, and rows that history and silver differ about.
    """
    problem = (
        f"{wrong:,} versions overlap another one, or differ from silver: someone changed a table by hand. Take the "
        "history away (DROP TABLE) and run again: it is built anew from bronze"
    )
    return Outcome(
        HISTORY_CONSISTENT,
        "warned" if wrong else "passed",
        measured=float(wrong),
        threshold="= 0",
        rows_tested=max(rows, wrong),
        rows_failed=wrong,
        problem=problem if wrong else None,
    )


def files_readable(refused: int) -> Outcome:
    """Whether no file of the source was refused."""
    return Outcome(
        FILES_READABLE,
        "warned" if refused else "passed",
        measured=float(refused),
        threshold="= 0",
        problem=f"{refused} files were refused" if refused else None,
    )


def lines_readable(rows: int, rejected: int) -> Outcome:
    """Whether all lines of the loaded files are records.

    Args:
        rows: lines that are.
        rejected: lines that are not.
    """
    return Outcome(
        LINES_READABLE,
        "warned" if rejected else "passed",
        measured=float(rejected),
        threshold="= 0",
        rows_tested=rows + rejected,
        rows_failed=rejected,
        problem=f"{rejected:,} lines are not records; quarantine has the reason of each" if rejected else None,
    )


def one_file_one_snapshot(followed: int) -> Outcome:
    """Whether no snapshot was followed by another one of the same load; `followed` counts those that were."""
    problem = (
        f"{followed:,} files of this load were taken for states that others of it followed, so that their rows count "
        "no longer. That is right for an archive of states. Files that are one state together need "
        "`snapshot_files`, or `{delivery}` in `source`"
    )
    return Outcome(
        ONE_FILE_ONE_SNAPSHOT,
        "warned" if followed else "passed",
        measured=float(followed),
        threshold="= 0",
        problem=problem if followed else None,
    )


def values_join(mismatches: Sequence[str]) -> Outcome:
    """Whether columns that other tables hold the values of can be joined with them.

    Args:
        mismatches: for each pair of columns that cannot, both of them and what to do.
    """
    named = "; ".join(mismatches[:SAMPLE_ROWS])
    more = f"; and {len(mismatches) - SAMPLE_ROWS:,} more" if len(mismatches) > SAMPLE_ROWS else ""
    return Outcome(
        VALUES_JOIN,
        "warned" if mismatches else "passed",
        measured=float(len(mismatches)),
        threshold="= 0",
        problem=f"{named}{more}" if mismatches else None,
    )


def reference_check(column: str, table: str, referenced: str) -> Check:
    """The check that each value of a column is in a column of another silver table.

    Args:
        column: the referring column.
        table: the table that it refers to.
        referenced: the column of that table.
    """
    title = f"Each {column} is the {referenced} of a row of silver.{table}"
    return Check(f"{_REFERENCES}{column}.{table}", "reference", column, title, "warn", "consistency")


def references_hold(
    connection: psycopg.Connection,
    check: Check,
    name: str,
    column: str,
    table: str,
    referenced: str,
    key: list[str],
) -> Outcome:
    """Whether each value of a column of silver is in a column of another silver table.

    Args:
        connection: reads both tables; rolled back when a query fails.
        check: of `reference_check`.
        name: the referring table.
        column: its column.
        table: the table that it refers to.
        referenced: the column of that table.
        key: columns, none of them personal, that identify rows that fail; empty for no sample.
    """
    source, target = sql.Identifier("silver", name), sql.Identifier("silver", table)
    for place in (source, target):
        row = connection.execute("SELECT to_regclass(%s)", [place.as_string(connection)]).fetchone()
        if row is None or row[0] is None:
            missing = place.as_string(connection).replace('"', "")
            return Outcome(check, "not evaluated", problem=f"{missing} is not there: materialize it first")
    orphans = sql.SQL("{} o WHERE o.{} IS NOT NULL AND NOT EXISTS (SELECT FROM {} r WHERE r.{} = o.{})").format(
        source, sql.Identifier(column), target, sql.Identifier(referenced), sql.Identifier(column)
    )
    count = sql.SQL("SELECT (SELECT count({}) FROM {}), (SELECT count(*) FROM {})")
    try:
        row = connection.execute(count.format(sql.Identifier(column), source, orphans)).fetchone()
    except psycopg.ProgrammingError as error:
        connection.rollback()
        return Outcome(check, "not evaluated", problem=f"Postgres: {error.diag.message_primary}")
    tested, failed = row or (0, 0)
    sample = []
    if failed and key:
        names = sql.SQL(", ").join(sql.SQL("o.{}::text").format(sql.Identifier(one)) for one in key)
        pick = sql.SQL("SELECT {} FROM {} ORDER BY {} LIMIT {}").format(names, orphans, names, sql.Literal(SAMPLE_ROWS))
        sample = connection.execute(pick).fetchall()
    return Outcome(
        check,
        "warned" if failed else "passed",
        measured=float(failed),
        threshold="= 0",
        rows_tested=tested,
        rows_failed=failed,
        problem=f"{failed:,} of {tested:,} rows refer to no row of silver.{table}" if failed else None,
        sample=tuple(dict(zip(key, map(str, one), strict=True)) for one in sample),
    )
