"""One at a time: advisory locks of backups and restores, which go when the process that holds them does.

Belongs here: the locks and their numbers. Does not belong here: what is done under them.

A session holds such a lock, so it must be a session of its own server process: not one of a pool that hands out
another for each transaction.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from atlas_pipeline.warehouse.connect import connect, where

BACKUP_LOCK = 0x61746262
RESTORE_LOCK = 0x61746272
SWAP_LOCK = 0x61746273
"""First halves of the locks' keys; the second is a hash of the database's name."""


class AlreadyRunning(Exception):
    """Somebody else is at it; the message says with what. Nothing was done, and nothing needs to be."""


@contextmanager
def backup_lock(url: str, database: str) -> Iterator[None]:
    """Hold the right to back up the database at `url`, across processes and machines.

    Raises AlreadyRunning at once when another backup holds it, and WarehouseError when the database is away.
    """
    with held(url, BACKUP_LOCK, database, f"another backup of {database} is running at {where(url)}"):
        yield


@contextmanager
def held(url: str, kind: int, name: str, otherwise: str) -> Iterator[None]:
    """Hold a lock in the database at `url`, in a session of its own. Raises AlreadyRunning with the text given."""
    connection = connect(url, autocommit=True)
    try:
        # The session says nothing for as long as its holder works, which is no reason for the server to end it.
        connection.execute("SET idle_session_timeout = 0")
        row = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [kind, name]).fetchone()
        if not row or not row[0]:
            raise AlreadyRunning(otherwise)
        yield
    finally:
        with suppress(psycopg.Error):
            connection.close()
