"""The commands of `atlas backup`.

Belongs here: prompts, output, exit codes. Does not belong here: arguments, which `__init__.py` describes, and the work
(`backup/`). Each command returns its exit code; `json` prints one JSON document in place of text.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import typer

from atlas_pipeline.backup.catalogue import LATEST, NoMatch, NoSuchBackup
from atlas_pipeline.backup.configured import Database, backups, dagsters_own, databases, drill_url, names
from atlas_pipeline.backup.drill import drill as run_drill
from atlas_pipeline.backup.engine import BackupFailed, RestoreFailed
from atlas_pipeline.backup.lock import AlreadyRunning
from atlas_pipeline.backup.manifest import Backup, ManifestError, Proof, UnknownClass, class_of, why_undrilled
from atlas_pipeline.backup.rights import refuse_missing_rights
from atlas_pipeline.backup.sealing import SealError
from atlas_pipeline.backup.service import Backups
from atlas_pipeline.backup.store import StoreError
from atlas_pipeline.backup.swap import drop_copy, former, old_copies
from atlas_pipeline.backup.swap import undo as undo_swap
from atlas_pipeline.cli.output import ERR, OUT, failures_as_messages, print_json, print_table, progress
from atlas_pipeline.settings import Settings, load_settings

_MIB = 1 << 20
_FAILURES = (BackupFailed, RestoreFailed, AlreadyRunning, StoreError, SealError, NoSuchBackup, ManifestError)


def run(database: str | None, backup_class: str, json: bool) -> int:
    """Back up and verify.

    Args:
        database: its name; null for all.
        backup_class: how long it is kept.
        json: print JSON.

    Returns:
        1 when a backup or its verification failed, 2 when the class is not known.
    """
    try:
        class_ = class_of(backup_class)
    except UnknownClass as error:
        _say(str(error))
        return 2
    completed: list[Backup] = []
    failed = False
    with _reporting("looking for databases") as show:
        settings = load_settings()
        service = backups(settings)
        for target in _chosen(settings, database):
            try:
                target.refuse_unless_set_up()
                completed.append(service.run(target.name, target.url, class_, show))
                for text in completed[-1].manifest.unrestorable:
                    _say(f"{target.name}: a restore will lack {text}")
            except (BackupFailed, AlreadyRunning, StoreError, SealError) as error:
                failed = failed or not isinstance(error, AlreadyRunning)
                _say(f"{target.name}: {error}")
    _print(completed, json)
    return 1 if failed or any(not backup.verified for backup in completed) else 0


def list_backups(database: str | None, json: bool) -> int:
    """Print the catalogue.

    Args:
        database: its name; null for all.
        json: print JSON.

    Returns:
        1 when a manifest cannot be read.
    """
    with _reporting("reading the manifests"):
        contents = backups(load_settings()).catalogue.read(database)
    _print(contents.backups, json, contents.others)
    for fault in contents.faults:
        _say(f"{fault.place}: {fault.problem}")
    return 1 if contents.faults else 0


def show(backup: str, database: str | None, source: str | None, json: bool) -> int:
    """Print one backup of each database, table by table.

    Args:
        backup: its id, the beginning of its id, or `latest`.
        database: its name; null for all that have such a backup.
        source: the installation whose backup; null for this one.
        json: print JSON.
    """
    with _reporting("reading the manifest"):
        settings = load_settings()
        matches, missing = _matching(backups(settings).of(source, database), settings, backup, database)
    if json:
        print_json({"backups": [_document(match, tables=True) for match in matches], "missing": missing})
        return 0
    for match in matches:
        title = f"{match.manifest.database} {match.manifest.id}"
        print_table(title, {"": "left", " ": "left"}, _facts(match))
        tables = match.manifest.state.tables.items()
        rows = [[name, rows, digest[:16]] for name, (rows, digest) in tables]
        print_table("Tables", {"table": "left", "rows": "right", "content": "left"}, rows)
    return 0


def verify(backup: str, database: str | None, source: str | None, json: bool) -> int:
    """Verify one backup of each database.

    Args:
        backup: its id, the beginning of its id, or `latest`.
        database: its name; null for all that have such a backup.
        source: the installation whose backup; null for this one.
        json: print JSON.

    Returns:
        1 when something differs.
    """
    with _reporting("reading the manifest") as show:
        settings = load_settings()
        service = backups(settings).of(source, database)
        matches, missing = _matching(service, settings, backup, database)
        proofs = [(match, service.verify(match, show)) for match in matches]
    return _print_proofs(proofs, missing, json)


def drill(database: str | None, json: bool) -> int:
    """Test the restore of the newest backup of each database.

    Args:
        database: its name; null for all that have a backup.
        json: print JSON.

    Returns:
        1 when one does not restore.
    """
    with _reporting("reading the manifests") as show:
        settings = load_settings()
        service = backups(settings)
        matches, missing = _matching(service, settings, LATEST, database)
        folder, url = settings.home_path / "drills", drill_url(settings)
        proofs = [(match, run_drill(service, match, folder, show, url=url)) for match in matches]
    return _print_proofs(proofs, missing, json)


def _matching(
    service: Backups, settings: Settings, wanted: str, database: str | None
) -> tuple[list[Backup], list[str]]:
    """The matching backup of each database, and the databases without one, which are no error unless they are all.

    Raises NoSuchBackup when none matches, several of one database do, or one that may match cannot be read.
    """
    if database is not None:
        return [service.catalogue.get(wanted, database)], []
    matches: list[Backup] = []
    missing: dict[str, str] = {}
    for name in names(settings):
        try:
            matches.append(service.catalogue.get(wanted, name))
        except NoMatch as error:
            missing[name] = str(error)
    if not matches:
        raise NoSuchBackup("; ".join(missing.values()))
    if wanted == LATEST:
        for name in missing:
            _say(f"{name} was never backed up: `atlas backup run --database {name}` does")
    return matches, list(missing)


def restore(
    backup: str,
    database: str | None,
    source: str | None,
    *,
    accept: Sequence[str],
    yes: bool,
    dry_run: bool,
    undo: bool,
    json: bool,
) -> int:
    """Restore a backup or undo a restore, after a prompt.

    Args:
        backup: its id, the beginning of its id, or `latest`.
        database: its name.
        source: the installation whose backup; null for this one.
        accept: differences from the manifest, word for word, in spite of which it is put in place.
        yes: do not prompt.
        dry_run: print the plan only.
        undo: put back the database that the last restore replaced.
        json: print JSON.

    Returns:
        2 when the database is not known, or its name was not typed.
    """
    with _reporting("looking for the database"):
        settings = load_settings()
        known = databases(settings)
        if database is None or database not in known:
            _say(f"say which database by --database: expected one of {', '.join(known)}")
            return 2
        target, service = known[database], backups(settings).of(source, database)
        wanted = None if undo else service.catalogue.get(backup, database)
        refuse_missing_rights(target.admin_url, database, wanted.manifest.state if wanted else None)
        plan = _plan(target, wanted)
    if dry_run or not yes:
        for line in plan:
            (ERR if json else OUT).print(line, markup=False, highlight=False)
    if dry_run:
        return 0
    if not yes and typer.prompt(f"Type {database} to go on", err=True) != database:
        _say("that is another name: nothing was done")
        return 2
    with _reporting("beginning") as show:
        if wanted is None:
            copy, seconds = undo_swap(target.admin_url, database, datetime.now(UTC)), None
        else:
            proof, copy = service.restore(wanted, target.admin_url, datetime.now(UTC), show, accept=accept)
            seconds = proof.seconds
            for text in proof.detail.get("beside", ()):
                _say(f"the database is whole, but a file beside it is not: {text}")
    if database == dagsters_own(settings):
        _end_lost_runs(settings, "the backup was made" if wanted else "this database was put aside")
    if json:
        print_json({"database": database, "kept_as": copy, "seconds": seconds})
    else:
        OUT.print(f"{database} is in place; what was there is kept as {copy}" if copy else f"{database} is in place")
    return 0


def list_copies(database: str | None, json: bool) -> int:
    """Print the databases that restores replaced.

    Args:
        database: only copies of this one; null for all.
        json: print JSON.
    """
    with _reporting("looking for copies"):
        copies = [
            (origin.name, copy)
            for origin in _chosen(load_settings(), database)
            for copy in old_copies(origin.admin_url, origin.name)
        ]
    if json:
        rows = [
            {"database": name, "name": copy.name, "kind": copy.kind, "at": copy.at.isoformat(), "bytes": copy.bytes}
            for name, copy in copies
        ]
        print_json({"copies": rows})
        return 0
    kinds = {"before": "from before a restore", "undone": "from before an undo"}
    lines = [
        [name, copy.name, kinds[copy.kind], f"{copy.at:%Y-%m-%d %H:%M}", f"{(copy.bytes or 0) / _MIB:,.1f}"]
        for name, copy in copies
    ]
    columns = {"database": "left", "copy": "left", "what": "left", "put aside": "left", "MiB": "right"}
    print_table("Copies", columns, lines, optional=["put aside"])
    return 0


def drop(name: str, database: str | None, *, yes: bool, json: bool) -> int:
    """Drop a database that a restore replaced, after a prompt.

    Args:
        name: of the copy.
        database: that it is a copy of; null to look among all.
        yes: do not prompt.
        json: print JSON.

    Returns:
        2 when the name was not typed.
    """
    with _reporting("looking for the copy"):
        known = _chosen(load_settings(), database)
        origins = [db for db in known if name in {copy.name for copy in old_copies(db.admin_url, db.name)}]
        if not origins:
            raise ValueError(f"{name} is not a database that a restore put aside: `atlas backup copies` lists those")
    if not yes and typer.prompt(f"Type {name} to drop it for good", err=True) != name:
        _say("that is another name: nothing was done")
        return 2
    with _reporting(f"dropping {name}"):
        drop_copy(origins[0].admin_url, name)
    if json:
        print_json({"dropped": name})
    else:
        OUT.print(f"{name} is dropped", markup=False, highlight=False)
    return 0


def prune(source: str | None, dry_run: bool, confirm: bool, json: bool) -> int:
    """Delete expired backups.

    Args:
        source: the installation whose backups; null for this one.
        dry_run: print the decision only.
        confirm: delete also what retention refuses.
        json: print JSON.

    Returns:
        1 when something was refused.
    """
    with _reporting("reading the manifests"):
        decision = backups(load_settings()).of(source).prune(datetime.now(UTC), dry_run=dry_run, confirmed=confirm)
    if json:
        print_json({"deleted": _ids(decision.delete), "kept": _ids(decision.keep), "refused": decision.refused})
    else:
        rows = [
            [*backup.key, "kept" if backup in decision.keep else "deleted", decision.reasons.get(backup.key, "")]
            for backup in (*decision.delete, *decision.keep)
        ]
        columns = {"database": "left", "backup": "left", "": "left", "why": "left"}
        print_table("Prune" + (" (nothing is deleted)" if dry_run else ""), columns, rows)
    if decision.refused:
        _say(decision.refused)
    return 1 if decision.refused else 0


def _ids(found: Sequence[Backup]) -> list[list[str]]:
    return [list(backup.key) for backup in found]


def _end_lost_runs(settings: Settings, moment: str) -> None:
    """The restore stays good when Dagster cannot get at its database yet, as before its role has a password."""
    from atlas_pipeline.cli.backup.lost_runs import end_lost_runs

    try:
        with progress("looking for runs that were going on"):
            ended = end_lost_runs(settings, moment)
    except Exception as error:  # noqa: BLE001 — whatever the driver raises, which may quote the URL
        _say(
            f"runs that were going on when {moment} could not be marked as failed ({type(error).__name__}): once"
            " Dagster gets at its database, cancel them in the UI"
        )
        return
    if ended:
        _say(f"going on when {moment}, now marked as failed: {ended} runs")


def _plan(database: Database, wanted: Backup | None) -> list[str]:
    if wanted is None:
        return [f"{former(database.admin_url, database.name)} takes the place of {database.name}"]
    state = wanted.manifest.state
    return [
        f"{wanted.manifest.id} of {wanted.manifest.finished_at:%Y-%m-%d %H:%M} UTC: {len(state.tables)} tables, "
        f"{state.rows:,} rows, {wanted.manifest.raw_bytes / _MIB:,.0f} MiB",
        f"1. a new database beside {database.name}; roles and grants, then tables",
        "2. its rows, hashes and definitions are compared with the manifest",
        f"3. its sessions are ended, it is renamed to {database.name}__before_…, and the new one takes its name",
        f"The way back: atlas backup restore --undo --database {database.name}",
    ]


def _chosen(settings: Settings, database: str | None) -> list[Database]:
    known = databases(settings)
    if database is None:
        return list(known.values())
    if database not in known:
        raise ValueError(f"there is no database {database} here: expected one of {', '.join(known)}")
    return [known[database]]


def _print_proofs(proofs: Sequence[tuple[Backup, Proof]], missing: Sequence[str], json: bool) -> int:
    """Print the proofs. Returns 1 when one of them failed."""
    ok = all(proof.problem is None for _, proof in proofs)
    if json:
        rows = [
            {
                "database": backup.manifest.database,
                "id": backup.manifest.id,
                "kind": proof.kind,
                "seconds": proof.seconds,
                "problem": proof.problem,
                "undrilled": why_undrilled(proof),
            }
            for backup, proof in proofs
        ]
        print_json({"ok": ok, "proofs": rows, "missing": list(missing)})
    else:
        for backup, proof in proofs:
            why = why_undrilled(proof)
            result = proof.problem or (f"cannot be drilled here: {why}" if why else None)
            result = result or f"{proof.kind} in {proof.seconds:.1f} s"
            OUT.print(f"{' '.join(backup.key)}: {result}", markup=False, highlight=False)
    return 0 if ok else 1


def _print(found: Sequence[Backup], json: bool, others: Sequence[Backup] = ()) -> None:
    if json:
        document = {"backups": [_document(backup) for backup in found]}
        print_json(document | ({"others": [_document(backup) for backup in others]} if others else {}))
        return
    columns = {"database": "left", "backup": "left", "class": "left", "made": "left", "expires": "left"}
    columns |= {"rows": "right", "MiB": "right", "raw MiB": "right", "proven": "left"}
    rows = []
    if others:
        columns["of"] = "left"
    for backup in (*found, *others):
        manifest = backup.manifest
        proof = backup.newest
        proven = "no" if proof is None else f"{proof.kind} {proof.at:%Y-%m-%d}" if not proof.problem else "FAILED"
        sizes = (f"{manifest.bytes / _MIB:,.1f}", f"{manifest.raw_bytes / _MIB:,.1f}")
        times = (f"{manifest.finished_at:%Y-%m-%d %H:%M}", f"{manifest.expires_at:%Y-%m-%d}")
        of = ["this" if backup in found else f"another, {manifest.installation}"] if others else []
        rows.append([*backup.key, manifest.backup_class, *times, manifest.state.rows, *sizes, proven, *of])
    print_table("Backups", columns, rows, optional=["class", "made", "raw MiB", "rows", "expires"])


def _facts(backup: Backup) -> list[list[str]]:
    manifest = backup.manifest
    raw_mib = manifest.raw_bytes / _MIB
    facts = [
        ["class", manifest.backup_class],
        ["installation", manifest.installation or "not named"],
        ["made", f"{manifest.started_at:%Y-%m-%d %H:%M:%S} to {manifest.finished_at:%H:%M:%S} UTC"],
        ["expires", f"{manifest.expires_at:%Y-%m-%d %H:%M} UTC"],
        ["size", f"{manifest.bytes / _MIB:,.1f} MiB in {len(manifest.objects)} objects, of {raw_mib:,.1f} MiB"],
        ["encrypted to", ", ".join(manifest.recipients) or "nobody: not encrypted"],
        ["left out", ", ".join(manifest.excluded) or "nothing"],
        ["a restore lacks", "; ".join(manifest.unrestorable) or "nothing"],
        ["versions", f"server {manifest.server_version}, {manifest.engine} {manifest.tool_version}"],
    ]
    return facts + [
        [f"{proof.kind} {proof.at:%Y-%m-%d %H:%M}", proof.problem or f"held, in {proof.seconds:.1f} s"]
        for proof in backup.proofs
    ]


def _document(backup: Backup, *, tables: bool = False) -> dict[str, Any]:
    manifest = backup.manifest
    document: dict[str, Any] = {
        "id": manifest.id,
        "database": manifest.database,
        "class": manifest.backup_class,
        "installation": manifest.installation,
        "started_at": manifest.started_at.isoformat(),
        "finished_at": manifest.finished_at.isoformat(),
        "expires_at": manifest.expires_at.isoformat(),
        "bytes": manifest.bytes,
        "raw_bytes": manifest.raw_bytes,
        "rows": manifest.state.rows,
        "unrestorable": list(manifest.unrestorable),
        "verified": backup.verified,
        "proofs": [
            {"kind": proof.kind, "at": proof.at.isoformat(), "seconds": proof.seconds, "problem": proof.problem}
            for proof in backup.proofs
        ],
    }
    if tables:
        state = manifest.state.tables.items()
        document["tables"] = {name: {"rows": rows, "hash": digest} for name, (rows, digest) in state}
    return document


@contextmanager
def _reporting(message: str) -> Iterator[Callable[[str], None]]:
    """Progress, and failures of backups as messages."""
    with failures_as_messages(), progress(message) as show:
        try:
            yield show
        except _FAILURES as error:
            raise ValueError(str(error)) from None


def _say(message: str) -> None:
    ERR.print(f"atlas: {message}", markup=False, highlight=False)
    sys.stderr.flush()
