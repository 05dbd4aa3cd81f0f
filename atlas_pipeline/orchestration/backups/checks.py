"""The checks of a database's backups: complete, fresh, restorable.

Belongs here: what each of them demands of the catalogue. Does not belong here: verifying and restoring, whose proofs
they read (`backup/service.py`), and when they run (`assets.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from atlas_pipeline import labels
from atlas_pipeline.backup.manifest import Backup, why_undrilled
from atlas_pipeline.orchestration.backups.observations import asset_key

DRILL_AGE = timedelta(days=8)
COMPLETE, FRESH, RESTORABLE = labels.BACKUP_COMPLETE, labels.BACKUP_FRESH, labels.BACKUP_RESTORABLE
_DESCRIPTIONS = {
    COMPLETE: "The newest backup is whole: its manifest and every object are there, with their SHA-256.",
    FRESH: "The newest verified backup is as young as the schedules promise.",
    RESTORABLE: "A restore into a scratch server gave what the manifest says, not long ago.",
}


def specs(database: str) -> list[dg.AssetCheckSpec]:
    """The checks of a database's backups."""
    return [
        dg.AssetCheckSpec(name, asset=asset_key(database), description=text) for name, text in _DESCRIPTIONS.items()
    ]


def results(
    database: str, backups: Sequence[Backup], wanted: set[str], now: datetime, stale_after: timedelta | None
) -> Iterator[dg.AssetCheckResult]:
    """The results of the checks that were asked for.

    Args:
        database: whose backups.
        backups: all of them as the catalogue has them, newest first.
        wanted: names of checks.
        now: the moment that ages are counted to.
        stale_after: age that the newest verified backup may have; null for any.
    """
    if COMPLETE in wanted:
        yield _complete(database, backups)
    if FRESH in wanted:
        yield _fresh(database, backups, now, stale_after)
    if RESTORABLE in wanted:
        yield _restorable(database, backups, now)


def _complete(database: str, backups: Sequence[Backup]) -> dg.AssetCheckResult:
    if not backups:
        return _result(database, COMPLETE, "there is no backup")
    newest = backups[0]
    problem = newest.newest.problem if newest.newest else "it was not verified"
    more = {"backup": newest.manifest.id, "objects": len(newest.manifest.objects)}
    return _result(database, COMPLETE, problem, more)


def _fresh(
    database: str, backups: Sequence[Backup], now: datetime, stale_after: timedelta | None
) -> dg.AssetCheckResult:
    newest = next((backup for backup in backups if backup.verified), None)
    if newest is None:
        return _result(database, FRESH, "there is no verified backup")
    age = now - newest.manifest.started_at
    more: dict[str, Any] = {"data that would be lost (hours)": round(_hours(age), 2)}
    problem = None
    if stale_after is not None:
        more[labels.HOURS_ALLOWED] = _hours(stale_after)
        if age > stale_after:
            problem = f"the newest verified backup is {_hours(age):.1f} hours old, allowed {_hours(stale_after):.0f}"
    return _result(database, FRESH, problem, more)


def _restorable(database: str, backups: Sequence[Backup], now: datetime) -> dg.AssetCheckResult:
    drills = [(proof, backup) for backup in backups for proof in backup.proofs if proof.kind != "verified"]
    tests = [(proof, backup) for proof, backup in drills if proof.kind == "restored"]
    if drills and (why := why_undrilled(max(drills, key=lambda drill: drill[0].at)[0])):
        return _result(database, RESTORABLE, f"cannot be drilled here: {why}: set ATLAS_DRILL_URL", warn=True)
    if not tests:
        return _result(database, RESTORABLE, "no restore was tested yet", warn=True)
    proof, backup = max(tests, key=lambda test: test[0].at)
    days = (now - proof.at) / timedelta(days=1)
    late = f"the last restore test is {days:.0f} days old" if now - proof.at > DRILL_AGE else None
    more = {"backup": backup.manifest.id, "time to restore (s)": proof.seconds, "days since": round(days, 2)}
    return _result(database, RESTORABLE, proof.problem or late, more, warn=proof.problem is None)


def _result(
    database: str, name: str, problem: str | None, more: Mapping[str, Any] | None = None, *, warn: bool = False
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset_key(database),
        passed=problem is None,
        severity=dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR,
        description=problem,
        metadata=dict(more or {}),
    )


def _hours(span: timedelta) -> float:
    return span / timedelta(hours=1)
