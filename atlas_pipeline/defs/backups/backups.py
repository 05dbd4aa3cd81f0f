"""Jobs and schedules of backups.

Belongs here: when which databases are backed up, when a restore is tested, and the S3 resource of such runs. Does not
belong here: what they do (`orchestration/backups/assets.py`).
"""

import zoneinfo
from datetime import timedelta

import dagster as dg

from atlas_pipeline import labels
from atlas_pipeline.backup.configured import names
from atlas_pipeline.orchestration.backups.assets import backup_asset, step_of
from atlas_pipeline.orchestration.backups.jobs import backup_prune, backup_restore
from atlas_pipeline.orchestration.backups.observations import asset_key
from atlas_pipeline.orchestration.backups.s3 import BackupS3Resource
from atlas_pipeline.settings import Settings, SettingsError, load_settings

CRON = {"daily": "0 2 * * *", "weekly": "0 3 * * 0", "monthly": "0 4 1 * *", "staging": "0 3 * * *"}
STALE_AFTER = {"daily": 26, "staging": 26, "weekly": 8 * 24, "monthly": 32 * 24}
"""Hours after which the newest backup is older than a schedule allows."""
DRILL_CRON = "0 5 * * 0"


@dg.definitions
def backups() -> dg.Definitions:
    """An asset for each database, and a job and a schedule for each class of backup, and for the restore test."""
    settings = load_settings()
    on = _schedules_on(settings)
    stale_after = timedelta(hours=min(STALE_AFTER[name] for name in on)) if on else None
    databases = names(settings)
    selection = dg.AssetSelection.groups(labels.BACKUPS)
    jobs = [
        dg.define_asset_job(
            f"backup_{name}",
            selection,
            config=_config(databases, backup_class=name),
            description=f"Backs up all databases, verifies what was stored, and deletes what has expired: {name}.",
        )
        for name in CRON
    ]
    checks = dg.AssetSelection.checks_for_assets(*(asset_key(name) for name in databases))
    verify = dg.define_asset_job(
        "backup_verify",
        checks,
        config=_config(databases),
        description="Reads the newest backup of each database again, and checks how all of them stand.",
    )
    drill = dg.define_asset_job(
        "backup_drill",
        checks,
        config=_config(databases, drill=True),
        description="Restores the newest backup of each database into a scratch server and compares it.",
    )
    status = dg.DefaultScheduleStatus
    schedules = [
        dg.ScheduleDefinition(
            name=f"{job.name}_schedule",
            job=job,
            cron_schedule=CRON[name],
            execution_timezone=settings.backup_timezone,
            default_status=status.RUNNING if name in on else status.STOPPED,
        )
        for name, job in zip(CRON, jobs, strict=True)
    ]
    schedules.append(
        dg.ScheduleDefinition(
            name="backup_drill_schedule",
            job=drill,
            cron_schedule=DRILL_CRON,
            execution_timezone=settings.backup_timezone,
            default_status=status.RUNNING if on and _can_restore(settings) else status.STOPPED,
        )
    )
    assets = [backup_asset(name, stale_after) for name in databases]
    return dg.Definitions(
        assets=assets,
        jobs=[*jobs, verify, drill, backup_restore, backup_prune],
        schedules=schedules,
        resources={"s3": BackupS3Resource.of(settings)},
    )


def _can_restore(settings: Settings) -> bool:
    """Whether backups can be decrypted here: a machine may have the public key only, which suffices to make them."""
    return not settings.backup_recipients or settings.backup_identity_file is not None


def _schedules_on(settings: Settings) -> list[str]:
    on = [name.strip() for name in settings.backup_schedules.split(",") if name.strip()]
    for name in on:
        if name not in CRON:
            raise SettingsError(f"ATLAS_BACKUP_SCHEDULES names {name!r}: expected some of {', '.join(CRON)}")
    try:
        zoneinfo.ZoneInfo(settings.backup_timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        zone = settings.backup_timezone
        raise SettingsError(f"ATLAS_BACKUP_TIMEZONE is {zone!r}: expected such as Europe/Paris") from None
    return on


def _config(databases: list[str], **values: object) -> dict[str, object]:
    return {"ops": {step_of(name): {"config": values} for name in databases}}
