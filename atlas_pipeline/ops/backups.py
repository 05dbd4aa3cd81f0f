"""Gauges of backups, from their manifests.

Belongs here: samples of the catalogue. Does not belong here: the catalogue (`backup/`), and backups that are counted
from the event log.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import get_args

from atlas_pipeline.backup.configured import backups, names
from atlas_pipeline.backup.manifest import Backup, BackupClass
from atlas_pipeline.settings import Settings
from atlas_pipeline.telemetry.sample import Sample


def samples(settings: Settings) -> Iterator[Sample]:
    """Of each database that this installation backs up. Raises StoreError, SettingsError."""
    found = backups(settings).catalogue.backups()
    now = datetime.now(UTC)
    for database in names(settings):
        yield from _of(database, [backup for backup in found if backup.manifest.database == database], now)


def _of(database: str, kept: list[Backup], now: datetime) -> Iterator[Sample]:
    """`kept` are its backups, newest first."""
    labels = {"database": database}
    for backup_class in get_args(BackupClass):
        number = sum(backup.manifest.backup_class == backup_class for backup in kept)
        yield Sample("atlas_backups", {**labels, "class": backup_class}, number)
    if kept:
        newest = kept[0]
        manifest = newest.manifest
        yield Sample("atlas_backup_age_seconds", labels, _age(manifest.finished_at, now))
        yield Sample("atlas_backup_verified", labels, newest.verified)
        yield Sample("atlas_backup_size_bytes", labels, manifest.bytes)
        took = (manifest.finished_at - manifest.started_at).total_seconds()
        yield Sample("atlas_backup_duration_seconds", labels, took)
    # What a verified backup holds is as old as its snapshot, which is taken when it starts.
    if verified := [backup for backup in kept if backup.verified]:
        yield Sample("atlas_backup_verified_age_seconds", labels, _age(verified[0].manifest.started_at, now))
    if tests := [proof for backup in kept for proof in backup.proofs if proof.kind == "restored"]:
        last = max(tests, key=lambda proof: proof.at)
        yield Sample("atlas_backup_restore_test_age_seconds", labels, _age(last.at, now))
        yield Sample("atlas_backup_restore_test_ok", labels, last.problem is None)
        yield Sample("atlas_backup_restore_seconds", labels, last.seconds)


def _age(moment: datetime, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds())
