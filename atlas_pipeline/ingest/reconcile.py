"""Whether every row of bronze is accounted for: it is in silver, in quarantine, or gave way to a later one of its key.

Belongs here: counting, of a table that is about to be published and of one that is. Does not belong here: what follows
from a difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.quarantine import TYPING


@dataclass(frozen=True)
class Reconciliation:
    """Rows of the files that are in silver, and where they went."""

    bronze: int
    silver: int
    quarantined: int
    duplicates: int
    deleted: int = 0

    @property
    def unaccounted(self) -> int:
        """Rows that are nowhere; negative when there are more than bronze has."""
        return self.bronze - self.silver - self.quarantined - self.duplicates - self.deleted


def reconcile(
    connection: psycopg.Connection,
    name: str,
    schema: str,
    table: str,
    *,
    duplicates: int,
    deleted: int = 0,
    new_files: Sequence[int] = (),
    new_rejects: int = 0,
    anew: bool = False,
) -> Reconciliation:
    """Count the rows of a dataset's table, and those that are not there for a reason.

    Args:
        connection: to the warehouse.
        name: of the dataset.
        schema: silver, or staging.
        table: the table to count.
        duplicates: rows that gave way to a later one, as the merges counted them over all files.
        deleted: rows that say that their key is deleted.
        new_files: ids of files whose rows are in the table, though the ledger does not have them in silver yet.
        new_rejects: rows of these that do not fit their types, which quarantine does not have yet.
        anew: the table holds rows of the new files only.
    """
    silver = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
    rejected = sql.SQL("SELECT count(*) FROM {} WHERE stage = {} AND NOT {} AND NOT file_id = ANY({})").format(
        sql.Identifier("quarantine", name), sql.Literal(TYPING), sql.Literal(anew), sql.Literal(list(new_files))
    )
    loaded = sql.SQL(
        "SELECT coalesce(sum(rows), 0)::bigint FROM atlas.files WHERE dataset = {}"
        " AND ((silver_at IS NOT NULL AND NOT {}) OR file_id = ANY({}))"
    ).format(sql.Literal(name), sql.Literal(anew), sql.Literal(list(new_files)))
    statement = sql.SQL("SELECT ({}), ({}), ({})").format(loaded, silver, rejected)
    row = connection.execute(statement).fetchone()
    assert row is not None
    return Reconciliation(
        bronze=row[0], silver=row[1], quarantined=row[2] + new_rejects, duplicates=duplicates, deleted=deleted
    )
