"""Restore tests: a backup restored into a scratch server, which is removed afterwards.

Belongs here: that server. Does not belong here: restoring and comparing (`service.py`).
"""

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from atlas_pipeline.backup.engine import Progress, RestoreFailed
from atlas_pipeline.backup.manifest import Backup, Proof
from atlas_pipeline.backup.service import LACKED, Backups, quiet
from atlas_pipeline.backup.swap import restoring
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres


def drill(
    backups: Backups, backup: Backup, folder: Path, progress: Progress = quiet, *, url: str | None = None
) -> Proof:
    """Restore a backup into a scratch server and compare it with its manifest.

    Args:
        backups: the store and engine.
        backup: as the catalogue has it.
        folder: where the scratch server is made.
        progress: called with a message on the way.
        url: connection URL of a server that is used in place of one of its own, as a role that may restore.

    Returns:
        The proof, stored beside the backup; its seconds are the time to restore. It is `undrilled` where the server
        lacks what the database needs.

    Raises:
        ServerError: no server can be started.
        SealError: no identity opens the backup.
        StoreUnavailable: the store does not answer.
    """
    if url is not None:
        return _on(backups, backup, url, progress)
    folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    home = Path(tempfile.mkdtemp(prefix="drill-", dir=folder))
    home.chmod(0o711)
    server = EmbeddedPostgres(home)
    try:
        progress(f"{backup.manifest.database}: starting a scratch server")
        server.start()
        return _on(backups, backup, server.url(SUPERUSER, SUPERUSER), progress)
    finally:
        try:
            server.release()
        finally:
            shutil.rmtree(home, ignore_errors=True)


def _on(backups: Backups, backup: Backup, admin_url: str, progress: Progress) -> Proof:
    manifest = backup.manifest
    try:
        with restoring(admin_url, manifest.database, manifest.state.settings) as target:
            return backups.restore_into(backup, target.url, progress, scratch=True)
    except RestoreFailed as error:
        if (lacked := LACKED.search(str(error))) is None:
            raise
        proof = Proof("undrilled", datetime.now(UTC), 0.0, detail={"why": [lacked[0].strip()]})
        backups.catalogue.add_proof(manifest, proof)
        return proof
