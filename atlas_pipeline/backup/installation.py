"""Which installation this is, so that several can share a place of backups.

Belongs here: its id, and remembering it for when the warehouse is away. Does not belong here: whose a backup is
(`manifest.py`, `catalogue.py`).

The id is made of a random one that is kept in the warehouse, and of the server's system identifier: the copy of a
warehouse on another server, as a staging one restored from production is, is another installation.
"""

import hashlib
import json
from contextlib import closing, suppress
from pathlib import Path

import psycopg

from atlas_pipeline.warehouse.connect import where

_FILE = "installation.json"
_SECONDS = 3


def installation(url: str | None, home: Path) -> str | None:
    """The id of this installation: 16 hex digits. Null where it is not known, as on a machine that was never set up.

    Args:
        url: connection URL of the warehouse; null while its server is not up.
        home: where the id is remembered.
    """
    remembered = home / _FILE
    if url is None:
        return _remembered(remembered, None)
    try:
        with closing(psycopg.connect(url, connect_timeout=_SECONDS, client_encoding="utf8")) as connection:
            read = _read(connection)
    except psycopg.Error:
        return _remembered(remembered, where(url))
    if read is not None:
        with suppress(OSError):
            remembered.parent.mkdir(parents=True, exist_ok=True)
            remembered.write_text(json.dumps({"warehouse": where(url), "installation": read}), encoding="utf-8")
    return read


def _read(connection: psycopg.Connection) -> str | None:
    """The id, from the warehouse; null before it is set up by a version that has one."""
    made = connection.execute("SELECT to_regclass('atlas.installation')").fetchone()
    if not made or made[0] is None:
        return None
    row = connection.execute("SELECT id::text FROM atlas.installation").fetchone()
    if not row:
        return None
    connection.commit()
    system = ""
    with suppress(psycopg.errors.InsufficientPrivilege):
        found = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
        system = str(found[0]) if found else ""
    return hashlib.sha256(f"{row[0]} {system}".encode()).hexdigest()[:16]


def _remembered(path: Path, warehouse: str | None) -> str | None:
    """The id as it was when the warehouse answered; of another warehouse it does not count."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return str(known["installation"]) if warehouse in (None, known["warehouse"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
