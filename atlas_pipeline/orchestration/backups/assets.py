"""Backups in Dagster: an asset for each database, whose run makes, verifies, drills and prunes backups.

Belongs here: the steps of a run and their order. Does not belong here: what Dagster is told (`observations.py`), the
checks (`checks.py`), jobs and schedules (`jobs.py`, `defs/backups/`), and the work itself (`backup/`).
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from atlas_pipeline import labels
from atlas_pipeline.backup.configured import backups, databases, drill_url
from atlas_pipeline.backup.drill import drill
from atlas_pipeline.backup.engine import BackupFailed
from atlas_pipeline.backup.lock import AlreadyRunning
from atlas_pipeline.backup.manifest import UnknownClass, class_of
from atlas_pipeline.backup.sealing import SealError
from atlas_pipeline.backup.service import Backups
from atlas_pipeline.backup.store import StoreError
from atlas_pipeline.orchestration.backups import checks
from atlas_pipeline.orchestration.backups.observations import (
    DELETED,
    asset_key,
    facts,
    observation,
    unobserved,
)
from atlas_pipeline.orchestration.backups.s3 import BackupS3Resource
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.connect import WarehouseError
from atlas_pipeline.warehouse.embedded import ServerError

FAILURES = (BackupFailed, StoreError, SealError, WarehouseError, ServerError, UnknownClass)


class BackupConfig(dg.Config):
    """What a run does with the databases that were chosen."""

    backup_class: str = Field("manual", description="daily, weekly, monthly, staging or manual: how long it is kept.")
    drill: bool = Field(False, description="Restore the newest backup into a scratch server before the checks.")


def step_of(database: str) -> str:
    """Name of the step that backs a database up."""
    return "backup__" + re.sub(r"[^A-Za-z0-9_]", "_", database)


def backup_asset(database: str, stale_after: timedelta | None) -> dg.AssetsDefinition:
    """The asset backups/<database>: materializing it makes a backup and verifies it. Its checks can be run alone.

    Args:
        database: name of the database to back up.
        stale_after: age after which the newest verified backup is too old; null where no schedule is on.
    """
    key = asset_key(database)
    spec = dg.AssetSpec(
        key=key,
        group_name=labels.BACKUPS,
        description=f"Backups of the database {database}, in the store that ATLAS_BACKUP_PLACE names.",
        kinds={"postgres"},
        owners=["team:data-engineering"],
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=stale_after) if stale_after else None,
    )

    @dg.multi_asset(
        name=step_of(database),
        specs=[spec],
        check_specs=checks.specs(database),
        can_subset=True,
        pool=step_of(database),
    )
    def back_up(
        context: dg.AssetExecutionContext, config: BackupConfig, s3: BackupS3Resource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        making = key in context.selected_asset_keys
        wanted = {check.name for check in context.selected_asset_check_keys}
        try:
            made = backups(load_settings(), s3.get_client)
            if making:
                try:
                    yield _make(context, made, database, config.backup_class)
                except AlreadyRunning as error:
                    context.log.warning(f"skipped: {error}")
                    return
                _prune(context, made)
            if config.drill:
                _drill(context, made, database)
            if checks.COMPLETE in wanted and not making:
                _verify_newest(made, database)
            yield from checks.results(
                database, made.catalogue.backups(database), wanted, datetime.now(UTC), stale_after
            )
            _observe(context, made, database)
        except FAILURES as error:
            raise dg.Failure(f"{database}: {error}", allow_retries=False) from None

    return back_up


def _make(context: dg.AssetExecutionContext, made: Backups, database: str, backup_class: str) -> dg.MaterializeResult:
    source = databases(load_settings())[database]
    source.refuse_unless_set_up()
    backup = made.run(database, source.url, class_of(backup_class), context.log.info)
    _observe(context, made, database)
    return dg.MaterializeResult(asset_key=asset_key(database), metadata=facts(made, backup))


def _observe(context: dg.AssetExecutionContext, made: Backups, database: str) -> None:
    for event in unobserved(made, database, context.instance):
        context.log_event(event)


def _prune(context: dg.AssetExecutionContext, made: Backups) -> None:
    decision = made.prune(datetime.now(UTC))
    for backup in decision.delete:
        reason = decision.reasons[backup.manifest.database, backup.manifest.id]
        context.log_event(observation(made, DELETED, backup, reason=reason))
    if decision.refused:
        context.log.warning(f"nothing was deleted: {decision.refused}")


def _drill(context: dg.AssetExecutionContext, made: Backups, database: str) -> None:
    found = made.catalogue.backups(database)
    if found:
        settings = load_settings()
        drill(made, found[0], settings.home_path / "drills", context.log.info, url=drill_url(settings))


def _verify_newest(made: Backups, database: str) -> None:
    """Where a check runs alone: what it says is of now, and not of when the backup was made."""
    found = made.catalogue.backups(database)
    if found:
        made.verify(found[0])
