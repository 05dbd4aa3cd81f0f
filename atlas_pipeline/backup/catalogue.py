"""The catalogue of backups, read from the manifests in a store; there is no second list to keep in sync.

Belongs here: the layout `<database>@<installation>/<id>/…` of a store, reading and writing manifests and proofs,
deleting a backup. Does not belong here: which ones are to go (`retention.py`), and the bytes (`store/`).

Several installations may share a store. A catalogue is of one of them: backups of others are listed apart, and touched
only where they are asked for by installation. Those without one were made by a version that had none, and are its own.
A folder without a manifest is not a backup: it is in progress, was interrupted, or was half deleted. One whose manifest
cannot be read is a fault, which is reported and never deleted by Atlas.
"""

import re
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import get_args

from atlas_pipeline.backup.manifest import (
    MANIFEST,
    SIGNATURE,
    Backup,
    BackupClass,
    Manifest,
    ManifestError,
    Proof,
    manifest_from,
    proof_from,
    to_json,
)
from atlas_pipeline.backup.signing import NotSigned, Signing
from atlas_pipeline.backup.store import AlreadyThere, Entry, Store, StoreError

LATEST = "latest"
_ID = re.compile(rf"\d{{8}}T\d{{6}}Z-({'|'.join(get_args(BackupClass))})-[0-9a-f]{{6}}")
_PROOF = re.compile(r"proof-(\d{8}T\d{6}\.\d{6})Z-(verified|restored|undrilled)\.json")
_OWNER = re.compile(r"^[^@/]*@?|/.*$")
_MOMENT = "%Y%m%dT%H%M%S.%f"
_READERS = 8
_ATTEMPTS = 10


class NoSuchBackup(Exception):
    """No backup matches, or several do; the message lists those there are."""


class NoMatch(NoSuchBackup):
    """No backup of the database matches, and all there are can be read."""


@dataclass(frozen=True)
class Fault:
    """A manifest or proof in the store that cannot be read."""

    place: str
    problem: str


@dataclass(frozen=True)
class Leftover:
    """A folder without a manifest: its key and objects, and when the newest was written."""

    folder: str
    keys: tuple[str, ...]
    bytes: int
    modified: datetime


@dataclass(frozen=True)
class Contents:
    """The backups of an installation, newest first, what cannot be read, and backups of other installations."""

    backups: tuple[Backup, ...]
    faults: tuple[Fault, ...]
    others: tuple[Backup, ...] = ()


class Catalogue:
    """The backups of one installation in a store.

    Args:
        store: where they are.
        installation: tells whose catalogue this is, when it is first read; null while that is not known, as on a
            new machine. Then the backups of every installation are listed.
        named_only: whether backups that name no installation are left out.
        signing: signs manifests, and says whose are believed; null for all.
    """

    def __init__(
        self,
        store: Store,
        installation: Callable[[], str | None] = lambda: None,
        *,
        named_only: bool = False,
        signing: Signing | None = None,
    ):
        self.store = store
        self._signing = signing
        self._named_only = named_only
        self._installation = installation

    @cached_property
    def installation(self) -> str | None:
        """Whose backups these are."""
        return self._installation()

    def of(self, installation: str, database: str | None = None) -> "Catalogue":
        """The catalogue of another installation in the same store.

        Args:
            installation: the beginning of its id.
            database: look among the backups of this one only; null for all.

        Raises:
            NoSuchBackup: none, or several, have backups there; the message lists them.
            StoreError: the store cannot be read.
        """
        match = _matching_installation(self.read(database), installation, self.store.place)
        return Catalogue(self.store, lambda: match, named_only=True, signing=self._signing)

    def read(self, database: str | None = None) -> Contents:
        """All backups, or those of one database, and what is wrong. Raises StoreError."""
        contents = self._read(self._folders(database))
        own: list[Backup] = []
        others: list[Backup] = []
        for backup in contents.backups:
            (own if self._owns(backup.manifest.installation) else others).append(backup)
        return replace(contents, backups=tuple(own), others=tuple(others))

    def _owns(self, installation: str | None) -> bool:
        if installation is None:
            return not self._named_only
        return self.installation in (None, installation)

    def _read(self, folders: dict[str, dict[str, Entry]]) -> Contents:
        complete = [folder for folder in sorted(folders) if MANIFEST in folders[folder]]
        with ThreadPoolExecutor(_READERS) as readers:
            contents = list(readers.map(lambda folder: self._backup(folder, folders[folder]), complete))
        backups = [backup for part in contents for backup in part.backups]
        backups.sort(key=lambda backup: (_utc(backup.manifest.started_at), backup.manifest.id), reverse=True)
        return Contents(tuple(backups), tuple(fault for part in contents for fault in part.faults))

    def backups(self, database: str | None = None) -> list[Backup]:
        """All backups, or those of one database, newest first. Raises StoreError."""
        return list(self.read(database).backups)

    def get(self, wanted: str, database: str) -> Backup:
        """One backup.

        Args:
            wanted: its id, the beginning of its id, or `latest`.
            database: whose backup.

        Raises:
            NoMatch: none matches.
            NoSuchBackup: several match, or it cannot be read.
            StoreError: the store cannot be read.
        """
        contents = self.read(database)
        _refuse_others(contents, self.installation, f"{self.store.place} holds", database)
        if not contents.backups:
            broken = "".join(f"; {fault.place}: {fault.problem}" for fault in contents.faults)
            error = NoSuchBackup if broken else NoMatch
            raise error(f"{self.store.place} holds no backup of {database}{broken}")
        if wanted == LATEST:
            return contents.backups[0]
        exact = [backup for backup in contents.backups if backup.manifest.id == wanted]
        matches = exact or [backup for backup in contents.backups if wanted and backup.manifest.id.startswith(wanted)]
        if len(matches) == 1:
            return matches[0]
        faults = [fault for fault in contents.faults if wanted and f"/{wanted}" in fault.place]
        if not matches and faults:
            raise NoSuchBackup(f"{faults[0].place}: {faults[0].problem}")
        listed = ", ".join(backup.manifest.id for backup in (matches or contents.backups)[:5])
        if matches:
            count = f"{len(matches)} backups of {database} begin with {wanted!r}"
            raise NoSuchBackup(f"{count}; the newest of them are {listed}")
        raise NoMatch(f"no backup of {database} begins with {wanted!r}; the newest of all are {listed}")

    def new_id(self, database: str, backup_class: BackupClass, now: datetime) -> str:
        """A new id, like 20261122T020000Z-daily-a1b2c3.

        Args:
            database: whose backup.
            backup_class: part of the id.
            now: when the backup starts; part of the id.
        """
        while True:
            name = f"{_utc(now):%Y%m%dT%H%M%S}Z-{backup_class}-{secrets.token_hex(3)}"
            if next(iter(self.store.list(f"{self.place(database, name)}/")), None) is None:
                return name

    def place(self, database: str, backup_id: str) -> str:
        """Key of the folder of a backup of this installation, without a `/` at the end."""
        return _place(database, backup_id, self.installation)

    def folder(self, manifest: Manifest) -> str:
        """Key of the folder of a backup of any installation."""
        return _place(manifest.database, manifest.id, manifest.installation)

    def write_manifest(self, manifest: Manifest) -> None:
        """Write the manifest, last of all: it makes the objects a backup. Raises AlreadyThere, StoreError."""
        data = to_json(manifest)
        if self._signing and (signature := self._signing.sign(data)):
            self.store.put_new(f"{self.folder(manifest)}/{SIGNATURE}", signature)
        self.store.put_new(f"{self.folder(manifest)}/{MANIFEST}", data)

    def add_proof(self, manifest: Manifest, proof: Proof) -> str:
        """Store a proof. Its timestamp is after those of existing proofs, whatever the clock says.

        Args:
            manifest: of the backup that was proven.
            proof: what was found.

        Returns:
            The key of the proof.

        Raises:
            StoreError: it was not stored.
        """
        folder = self.folder(manifest)
        for _ in range(_ATTEMPTS):
            matches = (_PROOF.fullmatch(entry.key.rpartition("/")[2]) for entry in self.store.list(f"{folder}/"))
            earlier = [datetime.strptime(match[1], _MOMENT).replace(tzinfo=UTC) for match in matches if match]
            moment = max([_utc(proof.at), *(at + timedelta(microseconds=1) for at in earlier)])
            key = f"{folder}/proof-{moment:%Y%m%dT%H%M%S.%f}Z-{proof.kind}.json"
            try:
                self.store.put_new(key, to_json(proof))
            except AlreadyThere:
                continue
            return key
        raise StoreError(f"{self.store.place}/{folder}: others keep writing proofs of the same moment; try again")

    def delete(self, backup: Backup) -> None:
        """Delete a backup, its manifest first, so that an interrupted deletion leaves no backup. Raises StoreError."""
        folder = self.folder(backup.manifest)
        self.store.delete([f"{folder}/{MANIFEST}"])
        self.store.delete([entry.key for entry in self.store.list(f"{folder}/")])

    def discard(self, database: str, backup_id: str) -> None:
        """Delete what an unfinished backup of this installation stored, unless it has a manifest.

        Args:
            database: whose backup.
            backup_id: as `new_id` gave it.

        Raises:
            StoreError: it could not be deleted.
        """
        keys = [entry.key for entry in self.store.list(f"{self.place(database, backup_id)}/")]
        if not any(key.endswith(f"/{MANIFEST}") for key in keys):
            self.store.delete(keys)

    def leftovers(self, older_than: datetime) -> list[Leftover]:
        """Folders without a manifest in which nothing was written since that moment. Raises StoreError.

        The moment should be further back than any object takes to be written, which is a backup's whole time at worst.
        """
        leftovers = []
        for folder, entries in sorted(self._folders(None).items()):
            if not self._owns(_OWNER.sub("", folder) or None):
                continue
            modified = max(_utc(entry.modified) for entry in entries.values())
            if MANIFEST not in entries and modified < _utc(older_than):
                keys = tuple(entry.key for entry in entries.values())
                leftovers.append(Leftover(folder, keys, sum(entry.bytes for entry in entries.values()), modified))
        return leftovers

    def sweep(self, older_than: datetime) -> int:
        """Delete leftovers and parts of broken uploads. Returns the number of leftovers. Raises StoreError."""
        deleted = 0
        for leftover in self.leftovers(older_than):
            # It may have become a backup by now.
            if not self._has(f"{leftover.folder}/{MANIFEST}"):
                self.store.delete(leftover.keys)
                deleted += 1
        self.store.sweep(older_than)
        return deleted

    def _folders(self, database: str | None) -> dict[str, dict[str, Entry]]:
        """Entries by folder and by name in it, of folders that are named like a backup's."""
        folders: dict[str, dict[str, Entry]] = {}
        for entry in self.store.list(""):
            parts = entry.key.split("/", 2)
            wanted = database is None or parts[0].partition("@")[0] == quoted(database)
            if wanted and len(parts) == 3 and _ID.fullmatch(parts[1]):
                folders.setdefault("/".join(parts[:2]), {})[parts[2]] = entry
        return folders

    def _backup(self, folder: str, names: Iterable[str]) -> Contents:
        place = f"{self.store.place}/{folder}"
        try:
            data = self._content(f"{folder}/{MANIFEST}")
            if data is None:
                return Contents((), ())
            if self._signing:
                self._signing.check(data, self._content(f"{folder}/{SIGNATURE}") if SIGNATURE in names else None)
            manifest = manifest_from(data, f"{place}/{MANIFEST}")
            if self.folder(manifest) != folder:
                raise ManifestError(f"it is the manifest of {self.folder(manifest)}: it was moved or copied")
        except (ManifestError, NotSigned) as error:
            return Contents((), (Fault(f"{place}/{MANIFEST}", str(error)),))
        proofs, faults = [], []
        for name in sorted(filter(_PROOF.fullmatch, names)):
            data = self._content(f"{folder}/{name}")
            if data is None:
                continue
            try:
                proofs.append(proof_from(data, f"{place}/{name}"))
            except ManifestError as error:
                # Whatever it said, it does not prove that the backup is good.
                proofs.append(Proof("verified", manifest.finished_at, 0.0, problem=str(error)))
                faults.append(Fault(f"{place}/{name}", str(error)))
        return Contents((Backup(manifest, tuple(proofs)),), tuple(faults))

    def _content(self, key: str) -> bytes | None:
        """A small object; null if it was deleted since it was listed."""
        try:
            return b"".join(self.store.get(key))
        except StoreError:
            if self._has(key):
                raise
            return None

    def _has(self, key: str) -> bool:
        return any(entry.key == key for entry in self.store.list(f"{key.rpartition('/')[0]}/"))


def _matching_installation(contents: Contents, beginning: str, place: str) -> str:
    """The one installation whose id begins so. Raises NoSuchBackup."""
    known = sorted({one.manifest.installation or "" for one in (*contents.backups, *contents.others)} - {""})
    matches = [one for one in known if beginning and one.startswith(beginning)]
    if len(matches) != 1:
        raise NoSuchBackup(
            f"{len(matches)} installations with backups in {place} begin with {beginning!r}: "
            f"expected one of {', '.join(known) or 'none'}"
        )
    return matches[0]


def _refuse_others(contents: Contents, installation: str | None, holds: str, database: str) -> None:
    """Raise NoSuchBackup where only another installation has backups, or it is not known which of several is this."""
    installations = sorted({one.manifest.installation or "" for one in contents.backups})
    if installation is None and len(installations) > 1:
        raise NoSuchBackup(
            f"{holds} backups of {database} of {len(installations)} installations, and it is not known which of them "
            f"is this: say whose by --from, one of {', '.join(filter(None, installations))}"
        )
    if not contents.backups and contents.others:
        theirs = min(str(one.manifest.installation) for one in contents.others)
        raise NoMatch(
            f"{holds} no backup of {database} of this installation, {installation}, but {len(contents.others)} of "
            f"others: --from {theirs} takes one of theirs"
        )


def _place(database: str, backup_id: str, installation: str | None) -> str:
    return f"{quoted(database)}{f'@{installation}' if installation else ''}/{backup_id}"


def quoted(database: str) -> str:
    """A database's name as a part of a key, unique on every file system.

    Percent-encoded, and capital letters too, since some disks hold `App` and `app` to be the same.
    """
    unreserved = re.compile(rb"[a-z0-9_.-]")
    octets = (bytes([octet]) for octet in database.encode())
    name = "".join(octet.decode() if unreserved.fullmatch(octet) else f"%{octet[0]:02x}" for octet in octets)
    return f"%2e{name[1:]}" if name.startswith(".") else name


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
