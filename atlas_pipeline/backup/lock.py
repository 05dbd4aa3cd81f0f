"""Advisory locks: one backup and one restore of a database at a time. A lock ends with the process that holds it.

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
    """Another process holds the lock; the message says for what. Nothing was done."""


@contextmanager
def backup_lock(url: str, database: str) -> Iterator[None]:
    """Hold the lock for backups of a database, across processes and machines.

    Args:
        url: connection URL of the database.
        database: its name.

    Raises:
        AlreadyRunning: another backup holds it; there is no waiting.
        WarehouseError: the database does not answer.
    """
    with held(url, BACKUP_LOCK, database, f"another backup of {database} is running at {where(url)}"):
        yield


@contextmanager
def held(url: str, kind: int, name: str, otherwise: str) -> Iterator[None]:
    """Hold an advisory lock in a session of its own.

    Args:
        url: connection URL of the database whose server keeps the lock.
        kind: first half of its key.
        name: hashed to its second half.
        otherwise: message of AlreadyRunning.

    Raises:
        AlreadyRunning: another session holds it.
    """
    connection = connect(url, autocommit=True)
    try:
        # The session is idle while its holder works; the server must not end it.
        connection.execute("SET idle_session_timeout = 0")
        row = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [kind, name]).fetchone()
        if not row or not row[0]:
            raise AlreadyRunning(otherwise)
        yield
    finally:
        with suppress(psycopg.Error):
            connection.close()
