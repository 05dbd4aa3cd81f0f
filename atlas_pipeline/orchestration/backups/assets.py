"""Backups in Dagster: an asset for each database, its checks, and what is observed of it.

Belongs here: steps, metadata, results. Does not belong here: jobs and schedules (`defs/backups/`), and the work
(`backup/`). The manifests are the catalogue; what Dagster knows is drawn from them.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import dagster as dg
from pydantic import Field

from atlas_pipeline import labels
from atlas_pipeline.backup.configured import backups, databases
from atlas_pipeline.backup.drill import drill
from atlas_pipeline.backup.engine import BackupFailed
from atlas_pipeline.backup.lock import AlreadyRunning
from atlas_pipeline.backup.manifest import Backup, Proof, UnknownClass, class_of
from atlas_pipeline.backup.sealing import SealError
from atlas_pipeline.backup.service import Backups
from atlas_pipeline.backup.store import StoreError
from atlas_pipeline.orchestration.backups.s3 import BackupS3Resource
from atlas_pipeline.settings import Settings, load_settings
from atlas_pipeline.warehouse.connect import WarehouseError
from atlas_pipeline.warehouse.embedded import ServerError

DRILL_AGE = timedelta(days=8)
COMPLETE, FRESH, RESTORABLE = labels.BACKUP_COMPLETE, labels.BACKUP_FRESH, labels.BACKUP_RESTORABLE
FAILURES = (BackupFailed, StoreError, SealError, WarehouseError, ServerError, UnknownClass)
DELETED, GONE = "deleted", "gone"
"""Events at the end of a backup: Dagster deleted it, or somebody else did."""
_PAGE = 1000


class BackupConfig(dg.Config):
    """What a run does with the databases that were chosen."""

    backup_class: str = Field("manual", description="daily, weekly, monthly, staging or manual: how long it is kept.")
    drill: bool = Field(False, description="Restore the newest backup into a scratch server before the checks.")


def step_of(database: str) -> str:
    """Name of the step that backs a database up."""
    return "backup__" + re.sub(r"[^A-Za-z0-9_]", "_", database)


def backup_asset(database: str, stale_after: timedelta | None) -> dg.AssetsDefinition:
    """backups/<database>: materializing it makes a backup and verifies it. Its checks can also be run alone."""
    key = dg.AssetKey([labels.BACKUPS, database])
    policy = dg.FreshnessPolicy.time_window(fail_window=stale_after) if stale_after else None
    texts = {
        COMPLETE: "The newest backup is whole: its manifest and every object are there, with their SHA-256.",
        FRESH: "The newest verified backup is as young as the schedules promise.",
        RESTORABLE: "A restore into a scratch server gave what the manifest says, not long ago.",
    }

    @dg.multi_asset(
        name=step_of(database),
        specs=[
            dg.AssetSpec(
                key=key,
                group_name=labels.BACKUPS,
                description=f"Backups of the database {database}, in the store that ATLAS_BACKUP_PLACE names.",
                kinds={"postgres"},
                owners=["team:data-engineering"],
                freshness_policy=policy,
            )
        ],
        check_specs=[dg.AssetCheckSpec(name, asset=key, description=text) for name, text in texts.items()],
        can_subset=True,
        pool=step_of(database),
    )
    def back_up(
        context: dg.AssetExecutionContext, config: BackupConfig, s3: BackupS3Resource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        settings = load_settings()
        made = backups(settings, s3.get_client)
        steps = _Steps(context, made, key, database)
        try:
            if key in context.selected_asset_keys:
                one = databases(settings)[database]
                try:
                    backup = made.run(database, one.url, class_of(config.backup_class), context.log.info)
                except AlreadyRunning as error:
                    context.log.warning(f"skipped: {error}")
                    return
                steps.catch_up()
                yield dg.MaterializeResult(asset_key=key, metadata=facts(made, backup))
                steps.prune()
            if config.drill:
                steps.drill(settings)
            names = {check.name for check in context.selected_asset_check_keys}
            yield from steps.checks(names, stale_after)
            steps.catch_up()
        except FAILURES as error:
            raise dg.Failure(f"{database}: {error}", allow_retries=False) from None

    return back_up


class _Steps:
    """What a step does besides backing up, and what it says of it."""

    def __init__(self, context: dg.AssetExecutionContext, made: Backups, key: dg.AssetKey, database: str):
        self.context = context
        self.made = made
        self.key = key
        self.database = database

    def observe(self, event: str, backup: Backup, **more: Any) -> None:
        """One observation on the asset of the backup's database."""
        self.context.log_event(observation(self.made, event, backup, **more))

    def observe_proof(self, backup: Backup, proof: Proof) -> None:
        """What was verified or restored for a test."""
        more: dict[str, Any] = {"proof seconds": proof.seconds, "held": proof.problem is None} | marks(proof)
        if proof.problem:
            more["problem"] = proof.problem
        if proof.kind == "restored":
            more["time to restore (s)"] = proof.seconds
        self.observe(proof.kind, backup, **more)

    def catch_up(self) -> None:
        """Observe what is in the store and Dagster does not know of: what this run did, what the command line did, and
        everything after a restore of Dagster's own database."""
        contents = self.made.catalogue.read(self.database)
        events, proofs, places = self._known()
        for backup in reversed(contents.backups):
            name = backup.manifest.id
            if events.get(name, GONE) in (GONE, DELETED):
                self.observe("backup", backup)
            for proof in backup.proofs:
                if (name, proof.kind, proof.at.timestamp()) not in proofs:
                    self.observe_proof(backup, proof)
        there = {backup.manifest.id for backup in contents.backups}
        for name, place in places.items():
            moved = not place.startswith(f"{self.made.store.place}/")
            unreadable = any(fault.place.startswith(f"{place}/") for fault in contents.faults)
            if name not in there and events[name] not in (GONE, DELETED) and not moved and not unreadable:
                metadata = {"event": GONE, "backup": name, "location": place}
                self.context.log_event(dg.AssetObservation(self.key, metadata=metadata))

    def _known(self) -> tuple[dict[str, str], set[tuple[str, str, float]], dict[str, str]]:
        """Of each backup that was observed the newest event, its proofs by kind and moment, and its place."""
        events: dict[str, str] = {}
        proofs: set[tuple[str, str, float]] = set()
        places: dict[str, str] = {}
        cursor: str | None = None
        while True:
            page = self.context.instance.fetch_observations(self.key, _PAGE, cursor=cursor)
            for record in page.records:
                seen = record.asset_observation.metadata if record.asset_observation else {}
                if "backup" in seen and "location" in seen:
                    name = str(seen["backup"].value)
                    events.setdefault(name, str(seen["event"].value))
                    places.setdefault(name, str(seen["location"].value))
                    if "proof at" in seen:
                        proofs.add((name, str(seen["proof"].value), cast("float", seen["proof at"].value)))
            if not page.has_more:
                return events, proofs, places
            cursor = page.cursor

    def prune(self) -> None:
        """Let retention delete, and observe what went."""
        decision = self.made.prune(datetime.now(UTC))
        for backup in decision.delete:
            self.observe(DELETED, backup, reason=decision.reasons[backup.manifest.database, backup.manifest.id])
        if decision.refused:
            self.context.log.warning(f"nothing was deleted: {decision.refused}")

    def drill(self, settings: Settings) -> None:
        """Restore the newest backup into a scratch server."""
        found = self.made.catalogue.backups(self.database)
        if found:
            drill(self.made, found[0], settings.home_path / "drills", self.context.log.info)

    def checks(self, names: set[str], stale_after: timedelta | None) -> Iterator[dg.AssetCheckResult]:
        """The checks that were asked for."""
        if COMPLETE in names:
            yield self._complete(self.made.catalogue.backups(self.database))
        found, now = self.made.catalogue.backups(self.database), datetime.now(UTC)
        if FRESH in names:
            yield self._fresh(found, now, stale_after)
        if RESTORABLE in names:
            yield self._restorable(found, now)

    def _complete(self, found: list[Backup]) -> dg.AssetCheckResult:
        if not found:
            return self._result(COMPLETE, "there is no backup")
        newest = found[0]
        alone = self.key not in self.context.selected_asset_keys
        proof = self.made.verify(newest) if alone else newest.proofs[-1] if newest.proofs else None
        problem = "it was not verified" if proof is None else proof.problem
        more = {"backup": newest.manifest.id, "objects": len(newest.manifest.objects)}
        return self._result(COMPLETE, problem, more)

    def _fresh(self, found: list[Backup], now: datetime, stale_after: timedelta | None) -> dg.AssetCheckResult:
        verified = [one for one in found if one.verified]
        if not verified:
            return self._result(FRESH, "there is no verified backup")
        age = now - verified[0].manifest.started_at
        late = stale_after is not None and age > stale_after
        allowed = _hours(stale_after) if stale_after else None
        problem = f"the newest verified backup is {_hours(age):.1f} hours old, allowed {allowed:.0f}" if late else None
        more: dict[str, Any] = {"data that would be lost (hours)": round(_hours(age), 2)}
        if allowed is not None:
            more[labels.HOURS_ALLOWED] = allowed
        return self._result(FRESH, problem, more)

    def _restorable(self, found: list[Backup], now: datetime) -> dg.AssetCheckResult:
        tests = [(proof, one) for one in found for proof in one.proofs if proof.kind == "restored"]
        if not tests:
            return self._result(RESTORABLE, "no restore was tested yet", warn=True)
        proof, backup = max(tests, key=lambda test: test[0].at)
        days = (now - proof.at) / timedelta(days=1)
        late = f"the last restore test is {days:.0f} days old" if now - proof.at > DRILL_AGE else None
        more = {"backup": backup.manifest.id, "time to restore (s)": proof.seconds, "days since": round(days, 2)}
        return self._result(RESTORABLE, proof.problem or late, more, warn=proof.problem is None)

    def _result(
        self, name: str, problem: str | None, more: Mapping[str, Any] | None = None, *, warn: bool = False
    ) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            check_name=name,
            asset_key=self.key,
            passed=problem is None,
            severity=dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR,
            description=problem,
            metadata=dict(more or {}),
        )


def observation(made: Backups, event: str, backup: Backup, **more: Any) -> dg.AssetObservation:
    """What happened to a backup, as an observation on the asset of its database."""
    key = dg.AssetKey([labels.BACKUPS, backup.manifest.database])
    return dg.AssetObservation(key, metadata={"event": event, **facts(made, backup), **more})


def marks(proof: Proof) -> dict[str, Any]:
    """What tells a proof from others of its backup."""
    return {"proof": proof.kind, "proof at": dg.MetadataValue.timestamp(proof.at)}


def facts(made: Backups, backup: Backup) -> dict[str, Any]:
    """What is shown of a backup: counts, sizes, names, moments."""
    one = backup.manifest
    digest = one.objects[0].sha256 if len(one.objects) == 1 else f"{len(one.objects)} objects, in the manifest"
    return {
        "backup": one.id,
        "class": one.backup_class,
        "expires": dg.MetadataValue.timestamp(one.expires_at),
        "location": f"{made.store.place}/{made.catalogue.folder(one)}",
        "bytes": one.bytes,
        "bytes before compression": one.raw_bytes,
        "compression": one.compression,
        "encrypted": bool(one.recipients),
        "rows": one.state.rows,
        "tables": len(one.state.tables),
        "left out": list(one.excluded),
        "seconds": round((one.finished_at - one.started_at).total_seconds(), 3),
        "sha256": digest,
        "server version": one.server_version,
        "tool": f"{one.engine} {one.tool_version}",
        "verified": backup.verified,
    }


def _hours(span: timedelta) -> float:
    return span / timedelta(hours=1)
