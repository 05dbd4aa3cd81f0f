"""Where a version of a file stands in the order of files, and what it takes the place of.

Belongs here: the order in which files first arrived, which corrections do not change. Does not belong here: copying
rows (`bronze.py`), and which row of a key is the latest (`merging.py`, which asks for this order).

A file that is sent again under its name is a correction: it stands where it stood. The newest snapshot is an
exception: sent again under its name, it is the next state, since most snapshots have one name. A snapshot that another
file has followed is corrected in its place, and does not become the state again.
"""

from collections.abc import Sequence

import psycopg

from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.quarantine import release_files
from atlas_pipeline.warehouse import ledger


def take_place(
    connection: psycopg.Connection,
    look: ledger.Look,
    intake: Intake,
    file_id: int,
    sha256: str,
    before: ledger.Version | None,
    older: Sequence[ledger.Version],
) -> bool:
    """Give a version that was just loaded its place, and let those that it replaces count no longer.

    Args:
        connection: in the transaction that loads it.
        look: the file.
        intake: of its dataset.
        file_id: of the new entry.
        sha256: of its bytes.
        before: the version of the file that was loaded last, null when none ever was.
        older: the versions that counted, of the file, or with snapshots of its partition, in their order.

    Returns:
        Whether the new version counts: a corrected snapshot that was followed by another one does not.
    """
    if not intake.snapshot:
        ledger.put_in_place(connection, file_id, ledger.first_place(connection, look) or file_id)
        _release(connection, look, older, file_id)
        return True
    position = place_of_snapshot(sha256, before, older) or file_id
    ledger.put_in_place(connection, file_id, position)
    if intake.keep_missing:
        _release(connection, look, [v for v in older if (v.uri, v.position) == (look.uri, position)], file_id)
        return True
    ledger.chain_snapshots(connection, look)
    counts = all(version.position <= position for version in older)
    gone = [version.file_id for version in older] if counts else [file_id]
    release_files(connection, look.dataset, gone)
    ledger.wake_equal_files(connection, look.dataset, gone)
    return counts


def place_of_snapshot(sha256: str, before: ledger.Version | None, older: Sequence[ledger.Version]) -> int | None:
    """The place of a snapshot that is read again, or is not the newest; null for one that is the next state."""
    if before is None:
        return None
    followed = bool(older) and before.position < older[-1].position
    return before.position if followed or before.sha256 == sha256 else None


def _release(connection: psycopg.Connection, look: ledger.Look, gone: Sequence[ledger.Version], by: int) -> None:
    ledger.supersede(connection, gone, by)
    file_ids = [version.file_id for version in gone]
    release_files(connection, look.dataset, file_ids)
    ledger.wake_equal_files(connection, look.dataset, file_ids)
