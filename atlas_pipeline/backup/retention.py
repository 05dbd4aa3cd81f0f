"""The retention policy: a pure function from manifests, proofs and the clock to a decision.

Belongs here: how long each class is kept, and the decision. Does not belong here: deleting (`catalogue.py`).

A backup may go when it has expired and its database has a newer one that is verified; so the newest verified backup of
a database never goes, and where nothing is verified nothing does. Databases are judged apart. Two things stop it all
the same, since they look more like a mistake than like time passing: a clock that jumped (for every database, as they
share it), and more than half of a database's backups at once (for that database; of one or two backups at most half
can go, as the newest verified one stays). All moments are compared in UTC; one without a zone is taken for UTC.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from atlas_pipeline.backup.manifest import Backup, BackupClass

KEEP_DAYS: Mapping[BackupClass, int] = {"daily": 30, "weekly": 90, "monthly": 365, "staging": 7, "manual": 30}
"""How long each class is kept unless the settings say otherwise. A day is 24 hours."""

CLOCK_BACK = timedelta(hours=1)
CLOCK_AHEAD = timedelta(days=45)
_MOST_DAYS = 36500

Reasons = Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class Decision:
    """What to keep and what to delete, by database and newest first.

    `reasons` says why for each, by database and id. `refused` says why expired backups are kept all the same, and what
    to do about it.
    """

    keep: tuple[Backup, ...]
    delete: tuple[Backup, ...]
    reasons: Reasons
    refused: str | None = None


def expires_at(
    backup_class: BackupClass, started_at: datetime, keep_days: Mapping[BackupClass, int] = KEEP_DAYS
) -> datetime:
    """When a backup expires.

    Args:
        backup_class: its class.
        started_at: when it started; without a zone it is UTC.
        keep_days: days of 24 hours by class.

    Raises:
        ValueError: the class is kept for less than a day or more than 100 years.
    """
    days = keep_days[backup_class]
    if not 1 <= days <= _MOST_DAYS:
        raise ValueError(f"{backup_class} backups cannot be kept for {days} days: 1 to {_MOST_DAYS} can be")
    return _utc(started_at) + timedelta(days=days)


def retain(
    backups: Collection[Backup], now: datetime, last_seen: datetime | None = None, *, confirmed: bool = False
) -> Decision:
    """Decide which backups to keep and which to delete.

    Args:
        backups: all backups of the store, so that the newest verified one of each database is among them.
        now: the moment of the decision.
        last_seen: when this was last decided and not refused; null takes the newest backup to judge the clock.
        confirmed: a person accepts what was refused; the newest verified backup of each database is kept even so.
    """
    now = _utc(now)
    jumped = _clock(backups, now, _utc(last_seen) if last_seen else None)
    keep: list[Backup] = []
    delete: list[Backup] = []
    reasons: dict[tuple[str, str], str] = {}
    refusals = [jumped] if jumped and not confirmed else []
    for database in sorted({backup.manifest.database for backup in backups}):
        own = sorted((backup for backup in backups if backup.manifest.database == database), key=_age, reverse=True)
        keep_own, expired_own = _judge(own, now, reasons)
        refusal = jumped or (
            _too_many(database, len(expired_own), len(own)) if 2 * len(expired_own) > len(own) else None
        )
        if expired_own and refusal and not confirmed:
            if not jumped:
                refusals.append(refusal)
            for backup in expired_own:
                reasons[_name(backup)] += "; kept, since deleting was refused"
            keep_own, expired_own = own, []
        keep += keep_own
        delete += expired_own
    return Decision(tuple(keep), tuple(delete), reasons, "\n".join(refusals) or None)


def _judge(
    newest_first: list[Backup], now: datetime, reasons: dict[tuple[str, str], str]
) -> tuple[list[Backup], list[Backup]]:
    keep: list[Backup] = []
    delete: list[Backup] = []
    verified: Backup | None = None
    for backup in newest_first:
        expires = _utc(backup.manifest.expires_at)
        deletable = expires <= now and verified is not None
        if verified is None and backup.verified:
            reason, verified = "the newest verified backup", backup
        elif expires > now:
            reason = f"kept until {expires:%Y-%m-%d %H:%M} UTC"
        elif verified is None:
            reason = "has expired, but no newer backup is verified"
        else:
            reason = f"expired {expires:%Y-%m-%d %H:%M} UTC, and {verified.manifest.id} is newer and verified"
        reasons[_name(backup)] = reason
        (delete if deletable else keep).append(backup)
    return keep, delete


def _clock(backups: Collection[Backup], now: datetime, last_seen: datetime | None) -> str | None:
    """Why `now` is implausible, or null."""
    if not backups:
        return None
    newest = max(backups, key=lambda backup: (_utc(backup.manifest.finished_at), _name(backup)))
    finished = _utc(newest.manifest.finished_at)
    last_known = max(finished, last_seen) if last_seen else finished
    if now < last_known - CLOCK_BACK:
        source = f"the backup {newest.manifest.id} was finished" if last_known == finished else "this last ran"
        return (
            f"no backup was deleted: {source} at {last_known:%Y-%m-%d %H:%M} UTC, which is after the clock's"
            f" {now:%Y-%m-%d %H:%M}. Set the clock right; if it was wrong then, delete that backup by its id"
        )
    last_known, source = (last_seen, "this last ran") if last_seen else (finished, "the newest backup was finished")
    if now > last_known + CLOCK_AHEAD:
        return (
            f"no backup was deleted: {source} {(now - last_known).days} days before the clock's"
            f" {now:%Y-%m-%d %H:%M} UTC."
            " If the clock is wrong, set it right; if it is right, confirm the deletion"
        )
    return None


def _too_many(database: str, going: int, total: int) -> str:
    return (
        f"no backup of {database} was deleted: {going} of {total} have expired, which is more than half at once. Look"
        " at the clock and at what made so few backups lately; if that is as it should be, confirm the deletion"
    )


def _age(backup: Backup) -> tuple[datetime, datetime, str]:
    # By the start: that is the moment whose data a backup holds.
    return _utc(backup.manifest.started_at), _utc(backup.manifest.finished_at), backup.manifest.id


def _name(backup: Backup) -> tuple[str, str]:
    return backup.manifest.database, backup.manifest.id


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
