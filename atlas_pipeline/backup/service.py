"""Operations on backups: run, verify, restore, prune.

Belongs here: the order of steps, and what is recorded after each. Does not belong here: dumping (`pg_dump/`), storage
(`store/`), the retention policy (`retention.py`), and presentation (`orchestration/backups/`, `cli/`).
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from atlas_pipeline.backup import configuration
from atlas_pipeline.backup.catalogue import Catalogue
from atlas_pipeline.backup.engine import BackupFailed, Engine, Progress, RestoreFailed
from atlas_pipeline.backup.keyed import keyed, new_key, opened_key
from atlas_pipeline.backup.lock import backup_lock
from atlas_pipeline.backup.manifest import FORMAT, Backup, BackupClass, DatabaseState, Manifest, Proof, ProofKind
from atlas_pipeline.backup.objects import ObjectSink, open_object, verify_objects
from atlas_pipeline.backup.pg_dump.catalog import SINCE_FORMAT_2
from atlas_pipeline.backup.pg_dump.restore import silent
from atlas_pipeline.backup.pg_dump.state import difference
from atlas_pipeline.backup.retention import KEEP_DAYS, Decision, expires_at, retain
from atlas_pipeline.backup.rights import refuse_missing_rights
from atlas_pipeline.backup.sealing import SealError
from atlas_pipeline.backup.signing import Signing
from atlas_pipeline.backup.store import Store, StoreError, StoreUnavailable
from atlas_pipeline.backup.swap import refuse_content, restoring, swap
from atlas_pipeline.warehouse.connect import WarehouseError, connect

LEFTOVER_AGE = timedelta(days=7)
BESIDE = frozenset({configuration.NAME})
"""Files of a backup that are not part of the dump."""
_CHANGED_ROLE = re.compile(r"role .* (?:has other attributes or memberships|is not expected)")
_REWORDED = re.compile(r"(?:view|materialized view|rule|function|policy) .* has another definition")
"""Another version of Postgres writes these from their parsed form in other words."""
LACKED = re.compile(
    r"[^;:]*(?:extension \"[^\"]*\" is not available|could not open extension control file|tablespace \"[^\"]*\" does "
    r"not exist|ICU is not supported|could not create locale|invalid (?:LC_\w+ )?locale name|could not access file "
    r"\"\$libdir)[^;]*"
)
"""What a server says that lacks what a database needs."""
_LAST_SEEN = "RETENTION/last-seen.json"
"""Capital letters are in no folder of a database."""


@dataclass(frozen=True)
class Options:
    """Options of backups: parallel jobs, excluded tables, recipients and identities.

    `beside` are further files of each backup, by name; a restore of the database ignores them. `installation` tells
    whose backups they are, when it is known; `signing` signs manifests and says whose are believed.
    """

    jobs: int = 2
    exclude: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    identities: tuple[Any, ...] = ()
    beside: Mapping[str, Callable[[], Iterator[bytes]]] = field(default_factory=dict)
    installation: Callable[[], str | None] = lambda: None
    signing: Signing | None = None


def quiet(message: str) -> None:
    """Ignore progress."""


class Backups:
    """The backups in one store, made by one engine."""

    def __init__(self, store: Store, engine: Engine, options: Options):
        self.store = store
        self.engine = engine
        self.options = options
        self.catalogue = Catalogue(store, options.installation, signing=options.signing)

    def of(self, installation: str | None, database: str | None = None) -> "Backups":
        """The backups of another installation in the same store, or these.

        Args:
            installation: the beginning of its id; null for these.
            database: look among the backups of this one only; null for all.

        Raises:
            NoSuchBackup: none, or several, have backups there.
            StoreError: the store cannot be read.
        """
        other = Backups(self.store, self.engine, self.options)
        other.catalogue = self.catalogue.of(installation, database) if installation else self.catalogue
        return other

    def run(self, database: str, url: str, backup_class: BackupClass, progress: Progress = quiet) -> Backup:
        """Back up one database and verify what was stored. A backup that fails is never listed.

        Args:
            database: its name, for the catalogue.
            url: connection URL of a role that reads all of it.
            backup_class: decides how long the backup is kept.
            progress: called with a message on the way.

        Raises:
            AlreadyRunning: another backup of the database is running.
            BackupFailed: the database or pg_dump failed.
            StoreError: the store did not take it.
            SealError: it cannot be encrypted to the recipients.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(backup_lock(url, database))
            except WarehouseError as error:
                raise BackupFailed(str(error)) from None
            progress(f"{database}: looking whether it can be backed up")
            self.engine.preflight(url)
            self.store.check()
            started = datetime.now(UTC)
            backup_id = self.catalogue.new_id(database, backup_class, started)
            sink = ObjectSink(self.store, self.catalogue.place(database, backup_id), self.options.recipients)
            stack.push(partial(self._discard_if_failed, database, backup_id))
            for name, content in self.options.beside.items():
                sink.put([name], content())
            dumped = self.engine.backup(
                url, sink, jobs=self.options.jobs, exclude=self.options.exclude, progress=progress
            )
            key, sealed_key = new_key(self.options.recipients)
            manifest = Manifest(
                id=backup_id,
                database=database,
                backup_class=backup_class,
                started_at=started,
                finished_at=datetime.now(UTC),
                expires_at=expires_at(backup_class, started, KEEP_DAYS),
                engine=self.engine.name,
                server_version=dumped.server_version,
                tool_version=dumped.tool_version,
                compression="zstd",
                recipients=self.options.recipients,
                excluded=self.options.exclude,
                objects=dumped.objects,
                state=keyed(dumped.state, key),
                hash_key=sealed_key,
                installation=self.catalogue.installation,
                unrestorable=dumped.unrestorable,
            )
            self.catalogue.write_manifest(manifest)
        return replace(Backup(manifest), proofs=(self.verify(Backup(manifest), progress),))

    def verify(self, backup: Backup, progress: Progress = quiet) -> Proof:
        """Read every object of a backup, compare it with the manifest, and store the proof beside it.

        Args:
            backup: as the catalogue has it.
            progress: called with a message on the way.

        Raises:
            StoreError: the objects cannot be listed, or the store does not answer, so nothing is proven.
        """
        manifest, started = backup.manifest, time.monotonic()
        progress(f"{manifest.database}: reading back {len(manifest.objects)} objects of {manifest.id}")
        problems = verify_objects(self.store, self.catalogue.folder(manifest), manifest.objects)
        return self._prove(manifest, "verified", started, problems)

    def restore_into(
        self,
        backup: Backup,
        url: str,
        progress: Progress = quiet,
        *,
        live: bool = False,
        scratch: bool = False,
        accept: Sequence[str] = (),
    ) -> Proof:
        """Restore a backup into an empty database, compare its content with the manifest, and store the proof.

        Args:
            backup: as the catalogue has it.
            url: connection URL of the empty database, as a role that may restore.
            progress: called with a message on the way.
            live: roles of the server may have changed since the backup; differences are noted and not a problem.
            scratch: the server may lack what the database needs, which is no fault of the backup.
            accept: differences, word for word, that are noted and not a problem.

        Returns:
            The proof, whose `problem` says what is wrong with the backup.

        Raises:
            RestoreFailed: the database is not empty.
            SealError: no identity opens the backup.
            StoreUnavailable: the store does not answer, so nothing is proven.
        """
        self._try_key(backup)
        refuse_content(url)
        manifest, started = backup.manifest, time.monotonic()
        folder, options = self.catalogue.folder(manifest), self.options

        def reader(index: int) -> Callable[[], Iterator[bytes]]:
            stored = manifest.objects[index]
            return lambda: open_object(self.store, folder, stored, options.identities, manifest.recipients)

        indexes = {name: index for index, problem in enumerate(manifest.objects) for name in problem.files}
        objects = {name: reader(index) for name, index in indexes.items() if name not in BESIDE}
        try:
            self.engine.restore(url, objects, jobs=options.jobs, progress=progress)
            progress(f"{manifest.database}: comparing what was restored with {manifest.id}")
            key = opened_key(manifest.hash_key, options.identities, manifest.recipients)
            problems = difference(*_comparable(manifest, keyed(self.engine.state(url), key)))
        except (RestoreFailed, BackupFailed, StoreError, SealError) as error:
            for cause in (error, error.__cause__):
                if isinstance(cause, StoreUnavailable):
                    raise cause from None
            problems = [str(error)]
        if scratch and (why := [match[0].strip() for text in problems if (match := LACKED.search(text))]):
            return self._prove(manifest, "undrilled", started, [], why=why)
        changed = [problem for problem in problems if live and _CHANGED_ROLE.fullmatch(problem)]
        reworded = _reworded(problems, manifest, url)
        damaged = _damage_beside(self.store, folder, manifest)
        problems += [] if live else damaged
        accepted = [problem for problem in problems if problem in accept]
        problems = [problem for problem in problems if problem not in changed + reworded + accepted]
        notes = {"roles": changed, "definitions": reworded, "accepted": accepted}
        notes["beside"] = damaged if live else []
        return self._prove(manifest, "restored", started, problems, **notes)

    def restore(
        self,
        backup: Backup,
        admin_url: str,
        now: datetime,
        progress: Progress = quiet,
        *,
        accept: Sequence[str] = (),
    ) -> tuple[Proof, str | None]:
        """Restore a backup beside the live database, compare it with the manifest, and swap the two.

        Args:
            backup: as the catalogue has it.
            admin_url: connection URL of another database of the same server, as a role that may restore.
            now: the moment that the name of the replaced database bears.
            progress: called with a message on the way.
            accept: differences, word for word, in spite of which it is put in place.

        Returns:
            The proof, and the name under which the replaced database is kept; null if there was none.

        Raises:
            RestoreFailed: the live database is as it was.
            AlreadyRunning: another restore of it is running.
            SealError: no identity opens the backup.
        """
        self._try_key(backup)
        manifest = backup.manifest
        refuse_missing_rights(admin_url, manifest.database, manifest.state)
        with restoring(admin_url, manifest.database, manifest.state.settings) as target:
            proof = self.restore_into(backup, target.url, progress, live=True, accept=accept)
            if proof.problem:
                raise RestoreFailed(
                    f"{manifest.id} does not restore: {proof.problem}. {manifest.database} is as it was"
                )
            progress(f"{manifest.database}: putting it in place")
            return proof, swap(admin_url, manifest.database, target.name, now)

    def _discard_if_failed(self, database: str, backup_id: str, failure: object, *_: object) -> None:
        """Delete what a failed backup stored, which may have filled the disk. After a kill, pruning does it."""
        if failure is not None:
            with suppress(StoreError):
                self.catalogue.discard(database, backup_id)

    def prune(self, now: datetime, *, dry_run: bool = False, confirmed: bool = False) -> Decision:
        """Delete expired backups of this installation and the remains of failed ones.

        While it is not known which one this is, only those without an installation.

        Args:
            now: the time to compare expiry with.
            dry_run: decide only.
            confirmed: delete also what retention refuses; the newest verified backup of a database always stays.

        Raises:
            StoreError: a backup could not be deleted.
        """
        backups = self.catalogue.backups()
        if self.catalogue.installation is None:
            backups = [backup for backup in backups if backup.manifest.installation is None]
        decision = retain(backups, now, _last_seen(self.store), confirmed=confirmed)
        if not dry_run:
            for backup in decision.delete:
                self.catalogue.delete(backup)
            if decision.refused is None:
                self.catalogue.sweep(now - LEFTOVER_AGE)
                self.store.put(_LAST_SEEN, [json.dumps({"at": now.isoformat()}).encode()])
        return decision

    def _try_key(self, backup: Backup) -> None:
        """Raise SealError if no identity opens the backup although it is undamaged."""
        manifest, folder = backup.manifest, self.catalogue.folder(backup.manifest)
        for stored in manifest.objects[:1]:
            opened = open_object(self.store, folder, stored, self.options.identities, manifest.recipients)
            try:
                with closing(opened):
                    next(opened, None)
            except StoreUnavailable:
                raise
            except StoreError:
                return  # damage, which the restore reports and records
            except SealError:
                if not verify_objects(self.store, folder, [stored]):
                    raise

    def _prove(
        self, manifest: Manifest, kind: ProofKind, started: float, problems: Sequence[str], **notes: Sequence[str]
    ) -> Proof:
        seconds = round(time.monotonic() - started, 3)
        detail = {name: list(texts) for name, texts in notes.items() if texts}
        problem = "; ".join(problems) or None
        proof = Proof(kind=kind, at=datetime.now(UTC), seconds=seconds, problem=problem, detail=detail)
        self.catalogue.add_proof(manifest, proof)
        return proof


def _comparable(manifest: Manifest, actual: DatabaseState) -> tuple[DatabaseState, DatabaseState]:
    """The expected and the actual state without what only one of the manifest's format and this one holds.

    Manifests of format 1 have the comments that extensions make themselves, too.
    """
    expected = manifest.state
    if manifest.format >= FORMAT:
        return expected, actual
    now = {name: text for name, text in actual.objects.items() if not name.startswith(SINCE_FORMAT_2)}
    before = {
        name: text for name, text in expected.objects.items() if name in now or not name.startswith("comment on ")
    }
    return replace(expected, objects=before), replace(actual, objects=now)


def _reworded(problems: Sequence[str], manifest: Manifest, url: str) -> list[str]:
    """Differences that are none on a server of another version than the backup's."""
    reworded = [problem for problem in problems if _REWORDED.fullmatch(problem)]
    if not reworded:
        return []
    with closing(connect(url, session=silent(url))) as connection:
        same = connection.info.server_version // 10000 == int(manifest.server_version.split(".")[0])
    return [] if same else reworded


def _damage_beside(store: Store, folder: str, manifest: Manifest) -> list[str]:
    """What is wrong with files of a backup that a restore of the database does not read."""
    return verify_objects(store, folder, [one for one in manifest.objects if BESIDE & one.files.keys()])


def _last_seen(store: Store) -> datetime | None:
    if not any(entry.key == _LAST_SEEN for entry in store.list(f"{_LAST_SEEN.partition('/')[0]}/")):
        return None
    return datetime.fromisoformat(json.loads(b"".join(store.get(_LAST_SEEN)))["at"])
