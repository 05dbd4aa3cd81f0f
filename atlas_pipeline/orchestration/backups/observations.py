"""What Dagster is told of backups: observations on the asset of each database.

Belongs here: their metadata, and comparing what was observed with what the store holds. Does not belong here: what is
done to backups (`assets.py`, `jobs.py`). The manifests are the catalogue; observations only repeat what they say.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import dagster as dg

from atlas_pipeline import labels
from atlas_pipeline.backup.manifest import Backup, Proof
from atlas_pipeline.backup.service import Backups

DELETED, GONE = "deleted", "gone"
"""Last events of a backup: Dagster deleted it, or it vanished from the store otherwise."""
_PAGE = 1000


def asset_key(database: str) -> dg.AssetKey:
    """The asset of a database's backups."""
    return dg.AssetKey([labels.BACKUPS, database])


def observation(made: Backups, event: str, backup: Backup, **more: Any) -> dg.AssetObservation:
    """What happened to a backup, as an observation on the asset of its database.

    Args:
        made: the backups that it is one of.
        event: what happened: backup, verified, restored, restored in place, deleted or gone.
        backup: as the catalogue has it.
        more: metadata besides that of the backup.
    """
    metadata = {"event": event, **facts(made, backup), **more}
    return dg.AssetObservation(asset_key(backup.manifest.database), metadata=metadata)


def unobserved(made: Backups, database: str, instance: dg.DagsterInstance) -> Iterator[dg.AssetObservation]:
    """Observations that Dagster lacks, oldest first.

    They are what the current run and the command line did, and everything after a restore of Dagster's own database.

    Args:
        made: the store to look into.
        database: whose backups.
        instance: where observations were recorded.
    """
    contents = made.catalogue.read(database)
    known = _known(instance, database)
    for backup in reversed(contents.backups):
        name = backup.manifest.id
        if known.events.get(name, GONE) in (GONE, DELETED):
            yield observation(made, "backup", backup)
        for proof in backup.proofs:
            if (name, proof.kind, proof.at.timestamp()) not in known.proofs:
                yield _of_proof(made, backup, proof)
    stored = {backup.manifest.id for backup in (*contents.backups, *contents.others)}
    for name, location in known.locations.items():
        elsewhere = not location.startswith(f"{made.store.place}/")
        unreadable = any(fault.place.startswith(f"{location}/") for fault in contents.faults)
        if name not in stored and known.events[name] not in (GONE, DELETED) and not elsewhere and not unreadable:
            metadata = {"event": GONE, "backup": name, "location": location}
            yield dg.AssetObservation(asset_key(database), metadata=metadata)


@dataclass(frozen=True)
class _Known:
    """What was observed of backups, by their ids: the newest event and location, and proofs by kind and moment."""

    events: dict[str, str] = field(default_factory=dict)
    locations: dict[str, str] = field(default_factory=dict)
    proofs: set[tuple[str, str, float]] = field(default_factory=set)


def _known(instance: dg.DagsterInstance, database: str) -> _Known:
    known = _Known()
    cursor: str | None = None
    while True:
        page = instance.fetch_observations(asset_key(database), _PAGE, cursor=cursor)
        for record in page.records:
            metadata = record.asset_observation.metadata if record.asset_observation else {}
            if "backup" in metadata and "location" in metadata:
                name = str(metadata["backup"].value)
                known.events.setdefault(name, str(metadata["event"].value))
                known.locations.setdefault(name, str(metadata["location"].value))
                if "proof at" in metadata:
                    moment = cast("float", metadata["proof at"].value)
                    known.proofs.add((name, str(metadata["proof"].value), moment))
        if not page.has_more:
            return known
        cursor = page.cursor


def _of_proof(made: Backups, backup: Backup, proof: Proof) -> dg.AssetObservation:
    more: dict[str, Any] = {"proof seconds": proof.seconds, "held": proof.problem is None} | marks(proof)
    if proof.problem:
        more["problem"] = proof.problem
    if proof.kind == "restored":
        more["time to restore (s)"] = proof.seconds
    return observation(made, proof.kind, backup, **more)


def marks(proof: Proof) -> dict[str, Any]:
    """Metadata that tells a proof from others of its backup."""
    return {"proof": proof.kind, "proof at": dg.MetadataValue.timestamp(proof.at)}


def facts(made: Backups, backup: Backup) -> dict[str, Any]:
    """Metadata of a backup: counts, sizes, names, moments.

    Args:
        made: the backups that it is one of, for its location.
        backup: as the catalogue has it.
    """
    manifest = backup.manifest
    digest = (
        manifest.objects[0].sha256
        if len(manifest.objects) == 1
        else f"{len(manifest.objects)} objects, in the manifest"
    )
    return {
        "backup": manifest.id,
        "class": manifest.backup_class,
        "expires": dg.MetadataValue.timestamp(manifest.expires_at),
        "location": f"{made.store.place}/{made.catalogue.folder(manifest)}",
        "bytes": manifest.bytes,
        "bytes before compression": manifest.raw_bytes,
        "compression": manifest.compression,
        "encrypted": bool(manifest.recipients),
        "rows": manifest.state.rows,
        "tables": len(manifest.state.tables),
        "left out": list(manifest.excluded),
        "a restore lacks": list(manifest.unrestorable),
        "seconds": round((manifest.finished_at - manifest.started_at).total_seconds(), 3),
        "sha256": digest,
        "server version": manifest.server_version,
        "tool": f"{manifest.engine} {manifest.tool_version}",
        "verified": backup.verified,
    }
