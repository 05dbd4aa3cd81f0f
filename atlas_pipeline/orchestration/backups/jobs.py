"""Jobs for the launchpad: restore a backup, prune. Both need explicit confirmation in their run config.

Belongs here: these two jobs, their configuration and messages. Does not belong here: the assets (`assets.py`),
schedules (`defs/backups/`), and the work itself (`backup/`).
"""

from datetime import UTC, datetime

import dagster as dg
from pydantic import Field

from atlas_pipeline.backup.catalogue import NoSuchBackup
from atlas_pipeline.backup.configured import backups, dagsters_own, databases
from atlas_pipeline.backup.engine import RestoreFailed
from atlas_pipeline.backup.lock import AlreadyRunning
from atlas_pipeline.backup.swap import former, undo
from atlas_pipeline.orchestration.backups.assets import FAILURES
from atlas_pipeline.orchestration.backups.observations import DELETED, asset_key, marks, observation
from atlas_pipeline.orchestration.backups.s3 import BackupS3Resource
from atlas_pipeline.settings import load_settings

_ONCE = {"dagster/max_retries": "0"}
"""Dagster must not repeat a restore or a deletion when its run is lost."""


class RestoreConfig(dg.Config):
    """Which backup takes the place of which database."""

    database: str = Field(description="The database to restore.")
    confirm: str = Field("", description="The name of the database once more; without it only the plan is shown.")
    backup: str = Field("latest", description="Id of the backup, or its beginning, or `latest`.")
    source: str = Field("", description="Take the backup of another installation: the beginning of its id.")
    accept: list[str] = Field([], description="Go on in spite of these differences, each word for word as it was told.")
    undo: bool = Field(False, description="Instead, put back the database that the last restore replaced.")


class PruneConfig(dg.Config):
    """Whether pruning deletes anything."""

    dry_run: bool = Field(True, description="Only list what would be deleted.")
    confirm: bool = Field(False, description="Delete also what was refused; the newest verified backup is always kept.")


@dg.op(name="restore_backup", description="Restores a backup beside the live database, compares, and swaps.")
def restore_backup(context: dg.OpExecutionContext, config: RestoreConfig, s3: BackupS3Resource) -> None:
    """Restore, or undo a restore. Dagster's own database is restored from the command line, with Dagster stopped."""
    settings = load_settings()
    known, made = databases(settings), backups(settings, s3.get_client)
    if config.database not in known:
        raise _failure(f"there is no database {config.database} here: expected one of {', '.join(known)}")
    if config.database == dagsters_own(settings):
        raise _failure(
            f"{config.database} is Dagster's own, which this run is written to: stop Atlas, then "
            f"`atlas backup restore --database {config.database}`"
        )
    one, now = known[config.database], datetime.now(UTC)
    try:
        if config.undo:
            wanted, plan = None, f"{former(one.admin_url, one.name)} takes the place of {one.name}"
        else:
            made = made.of(config.source or None, one.name)
            wanted = made.catalogue.get(config.backup, one.name)
            plan = f"{wanted.manifest.id}, {wanted.manifest.state.rows:,} rows, takes the place of {one.name}"
        if config.confirm != one.name:
            context.log.warning(f"nothing was done: {plan}. To do it, set confirm: {one.name}")
            return
        if wanted is None:
            kept = undo(one.admin_url, one.name, now)
            metadata = {"event": "restore undone", "kept as": kept or ""}
            seen = dg.AssetObservation(asset_key(one.name), metadata=metadata)
        else:
            proof, kept = made.restore(wanted, one.admin_url, now, context.log.info, accept=config.accept)
            more = {"kept as": kept or "", "time to restore (s)": proof.seconds} | marks(proof)
            seen = observation(made, "restored in place", wanted, **more)
    except (*FAILURES, RestoreFailed, AlreadyRunning, NoSuchBackup) as error:
        raise _failure(str(error)) from None
    context.log_event(seen)
    context.log.info(f"{plan}: done; what was there is kept as {kept}")


@dg.op(name="prune_backups", description="Deletes expired backups, never the newest verified one of a database.")
def prune_backups(context: dg.OpExecutionContext, config: PruneConfig, s3: BackupS3Resource) -> None:
    """Log what retention would delete, and delete it unless it is a dry run."""
    made = backups(load_settings(), s3.get_client)
    try:
        decision = made.prune(datetime.now(UTC), dry_run=config.dry_run, confirmed=config.confirm)
    except FAILURES as error:
        raise _failure(str(error)) from None
    for backup in decision.delete:
        one = backup.manifest
        reason = decision.reasons[one.database, one.id]
        context.log.info(f"{'would go' if config.dry_run else 'gone'}: {one.database} {one.id}: {reason}")
        if not config.dry_run:
            context.log_event(observation(made, DELETED, backup, reason=reason))
    context.log.info(f"{len(decision.keep)} backups stay")
    if decision.refused:
        raise _failure(decision.refused)


@dg.job(
    name="backup_restore",
    description="Puts a backup in the place of its database. Set database and confirm.",
    tags=_ONCE,
)
def backup_restore() -> None:
    """A single op."""
    restore_backup()


@dg.job(name="backup_prune", description="Deletes expired backups. Set dry_run: false to delete.", tags=_ONCE)
def backup_prune() -> None:
    """A single op."""
    prune_backups()


def _failure(message: str) -> dg.Failure:
    return dg.Failure(message, allow_retries=False)
