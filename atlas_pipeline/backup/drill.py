"""Restore tests: a backup restored into a scratch server, which is removed afterwards.

Belongs here: that server. Does not belong here: restoring and comparing (`service.py`).
"""

import shutil
import tempfile
from pathlib import Path

from atlas_pipeline.backup.engine import Progress
from atlas_pipeline.backup.manifest import Backup, Proof
from atlas_pipeline.backup.service import Backups, quiet
from atlas_pipeline.backup.swap import restoring
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres


def drill(backups: Backups, backup: Backup, folder: Path, progress: Progress = quiet) -> Proof:
    """Restore a backup into a scratch server and compare it with its manifest.

    Args:
        backups: the store and engine.
        backup: as the catalogue has it.
        folder: where the scratch server is made.
        progress: called with a message on the way.

    Returns:
        The proof, stored beside the backup; its seconds are the time to restore.

    Raises:
        ServerError: no server can be started.
        SealError: no identity opens the backup.
        StoreUnavailable: the store does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    home = Path(tempfile.mkdtemp(prefix="drill-", dir=folder))
    home.chmod(0o711)
    server = EmbeddedPostgres(home)
    try:
        progress(f"{backup.manifest.database}: starting a scratch server")
        server.start()
        manifest = backup.manifest
        with restoring(server.url(SUPERUSER, SUPERUSER), manifest.database, manifest.state.settings) as target:
            return backups.restore_into(backup, target.url, progress)
    finally:
        try:
            server.release()
        finally:
            shutil.rmtree(home, ignore_errors=True)
