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

from atlas_pipeline.backup.catalogue import NoSuchBackup
from atlas_pipeline.backup.configured import Database, backups, dagsters_own, databases, names
from atlas_pipeline.backup.drill import drill as run_drill
from atlas_pipeline.backup.engine import BackupFailed, RestoreFailed
from atlas_pipeline.backup.lock import AlreadyRunning
from atlas_pipeline.backup.manifest import Backup, ManifestError, Proof, UnknownClass, class_of
from atlas_pipeline.backup.rights import refuse_missing_rights
from atlas_pipeline.backup.sealing import SealError
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
        kept_as = class_of(backup_class)
    except UnknownClass as error:
        _say(str(error))
        return 2
    done: list[Backup] = []
    failed = False
    with _reporting("looking for databases") as show:
        settings = load_settings()
        made = backups(settings)
        for one in _chosen(settings, database):
            try:
                done.append(made.run(one.name, one.url, kept_as, show))
            except (BackupFailed, AlreadyRunning, StoreError, SealError) as error:
                failed = failed or not isinstance(error, AlreadyRunning)
                _say(f"{one.name}: {error}")
    _print(done, json)
    return 1 if failed or any(not one.verified for one in done) else 0


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
    _print(contents.backups, json)
    for fault in contents.faults:
        _say(f"{fault.place}: {fault.problem}")
    return 1 if contents.faults else 0


def show(backup: str, database: str | None, json: bool) -> int:
    """Print one backup of each database, table by table.

    Args:
        backup: its id, the beginning of its id, or `latest`.
        database: its name; null for all.
        json: print JSON.
    """
    with _reporting("reading the manifest"):
        settings = load_settings()
        made = backups(settings)
        found = [made.catalogue.get(backup, name) for name in _named(settings, database)]
    if json:
        print_json({"backups": [_document(one, tables=True) for one in found]})
        return 0
    for one in found:
        print_table(f"{one.manifest.database} {one.manifest.id}", {"": "left", " ": "left"}, _facts(one))
        tables = one.manifest.state.tables.items()
        rows = [[name, rows, digest[:16]] for name, (rows, digest) in tables]
        print_table("Tables", {"table": "left", "rows": "right", "content": "left"}, rows)
    return 0


def verify(backup: str, database: str | None, json: bool) -> int:
    """Verify one backup of each database.

    Args:
        backup: its id, the beginning of its id, or `latest`.
        database: its name; null for all.
        json: print JSON.

    Returns:
        1 when something differs.
    """
    with _reporting("reading the manifest") as progress_:
        settings = load_settings()
        made = backups(settings)
        found = [made.catalogue.get(backup, name) for name in _named(settings, database)]
        proofs = [(one, made.verify(one, progress_)) for one in found]
    return _told(proofs, json)


def drill(database: str | None, json: bool) -> int:
    """Test the restore of the newest backup of each database.

    Args:
        database: its name; null for all.
        json: print JSON.

    Returns:
        1 when one does not restore.
    """
    with _reporting("reading the manifests") as progress_:
        settings = load_settings()
        made = backups(settings)
        found = [made.catalogue.get("latest", name) for name in _named(settings, database)]
        proofs = [(one, run_drill(made, one, settings.home_path / "drills", progress_)) for one in found]
    return _told(proofs, json)


def restore(backup: str, database: str | None, *, yes: bool, dry_run: bool, undo: bool, json: bool) -> int:
    """Restore a backup or undo a restore, after a prompt.

    Args:
        backup: its id, the beginning of its id, or `latest`.
        database: its name.
        yes: do not prompt.
        dry_run: print the plan only.
        undo: put back the database that the last restore replaced.
        json: print JSON.

    Returns:
        2 when the database is not known, or its name was not typed.
    """
    with _reporting("looking for the database") as progress_:
        settings = load_settings()
        known = databases(settings)
        if database is None or database not in known:
            _say(f"say which database by --database: expected one of {', '.join(known)}")
            return 2
        one, made = known[database], backups(settings)
        wanted = None if undo else made.catalogue.get(backup, database)
        refuse_missing_rights(one.admin_url, database, wanted.manifest.state if wanted else None)
        plan = _plan(one, wanted)
    now = datetime.now(UTC)
    if dry_run or not yes:
        for line in plan:
            (ERR if json else OUT).print(line, markup=False, highlight=False)
    if dry_run:
        return 0
    if not yes and typer.prompt(f"Type {database} to go on", err=True) != database:
        _say("that is another name: nothing was done")
        return 2
    with _reporting("beginning") as progress_:
        if wanted is None:
            kept = undo_swap(one.admin_url, database, now)
            seconds = None
        else:
            proof, kept = made.restore(wanted, one.admin_url, now, progress_)
            seconds = proof.seconds
    if database == dagsters_own(settings):
        _end_lost_runs(settings, "the backup was made" if wanted else "this database was put aside")
    if json:
        print_json({"database": database, "kept_as": kept, "seconds": seconds})
    else:
        OUT.print(f"{database} is in place; what was there is kept as {kept}" if kept else f"{database} is in place")
    return 0


def copies(database: str | None, json: bool) -> int:
    """Print the databases that restores replaced.

    Args:
        database: only copies of this one; null for all.
        json: print JSON.
    """
    with _reporting("looking for copies"):
        found = [
            (one.name, copy)
            for one in _chosen(load_settings(), database)
            for copy in old_copies(one.admin_url, one.name)
        ]
    if json:
        rows = [
            {"database": name, "name": copy.name, "kind": copy.kind, "at": copy.at.isoformat(), "bytes": copy.bytes}
            for name, copy in found
        ]
        print_json({"copies": rows})
        return 0
    kinds = {"before": "from before a restore", "undone": "from before an undo"}
    lines = [
        [name, copy.name, kinds[copy.kind], f"{copy.at:%Y-%m-%d %H:%M}", f"{(copy.bytes or 0) / _MIB:,.1f}"]
        for name, copy in found
    ]
    columns = {"database": "left", "copy": "left", "what": "left", "put aside": "left", "MiB": "right"}
    print_table("Copies", columns, lines)
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
        places = [one for one in known if name in {copy.name for copy in old_copies(one.admin_url, one.name)}]
        if not places:
            raise ValueError(f"{name} is not a database that a restore put aside: `atlas backup copies` lists those")
    if not yes and typer.prompt(f"Type {name} to drop it for good", err=True) != name:
        _say("that is another name: nothing was done")
        return 2
    with _reporting(f"dropping {name}"):
        drop_copy(places[0].admin_url, name)
    if json:
        print_json({"dropped": name})
    else:
        OUT.print(f"{name} is dropped", markup=False, highlight=False)
    return 0


def prune(dry_run: bool, confirm: bool, json: bool) -> int:
    """Delete expired backups.

    Args:
        dry_run: print the decision only.
        confirm: delete also what retention refuses.
        json: print JSON.

    Returns:
        1 when something was refused.
    """
    with _reporting("reading the manifests"):
        decision = backups(load_settings()).prune(datetime.now(UTC), dry_run=dry_run, confirmed=confirm)
    if json:
        print_json({"deleted": _ids(decision.delete), "kept": _ids(decision.keep), "refused": decision.refused})
    else:
        rows = [
            [one.manifest.database, one.manifest.id, "stays" if one in decision.keep else "goes", reason]
            for one in (*decision.delete, *decision.keep)
            for reason in [decision.reasons.get((one.manifest.database, one.manifest.id), "")]
        ]
        columns = {"database": "left", "backup": "left", "": "left", "why": "left"}
        print_table("Prune" + (" (nothing is deleted)" if dry_run else ""), columns, rows)
    if decision.refused:
        _say(decision.refused)
    return 1 if decision.refused else 0


def _ids(found: Sequence[Backup]) -> list[list[str]]:
    return [[one.manifest.database, one.manifest.id] for one in found]


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


def _named(settings: Settings, database: str | None) -> list[str]:
    return [database] if database else names(settings)


def _chosen(settings: Settings, database: str | None) -> list[Database]:
    known = databases(settings)
    if database is None:
        return list(known.values())
    if database not in known:
        raise ValueError(f"there is no database {database} here: expected one of {', '.join(known)}")
    return [known[database]]


def _told(proofs: Sequence[tuple[Backup, Proof]], json: bool) -> int:
    if json:
        rows = [
            {"database": one.manifest.database, "id": one.manifest.id, "kind": proof.kind, "seconds": proof.seconds}
            | {"problem": proof.problem}
            for one, proof in proofs
        ]
        print_json({"ok": all(proof.problem is None for _, proof in proofs), "proofs": rows})
    else:
        for one, proof in proofs:
            said = proof.problem or f"{proof.kind} in {proof.seconds:.1f} s"
            OUT.print(f"{one.manifest.database} {one.manifest.id}: {said}", markup=False, highlight=False)
    return 0 if all(proof.problem is None for _, proof in proofs) else 1


def _print(found: Sequence[Backup], json: bool) -> None:
    if json:
        print_json({"backups": [_document(one) for one in found]})
        return
    columns = {"database": "left", "backup": "left", "class": "left", "made": "left", "expires": "left"}
    columns |= {"rows": "right", "MiB": "right", "of": "right", "proven": "left"}
    rows = []
    for one in found:
        made = one.manifest
        proof = one.proofs[-1] if one.proofs else None
        proven = "no" if proof is None else f"{proof.kind} {proof.at:%Y-%m-%d}" if not proof.problem else "FAILED"
        sizes = (f"{made.bytes / _MIB:,.1f}", f"{made.raw_bytes / _MIB:,.1f}")
        times = (f"{made.finished_at:%Y-%m-%d %H:%M}", f"{made.expires_at:%Y-%m-%d}")
        rows.append([made.database, made.id, made.backup_class, *times, made.state.rows, *sizes, proven])
    print_table("Backups", columns, rows)


def _facts(one: Backup) -> list[list[str]]:
    made = one.manifest
    facts = [
        ["class", made.backup_class],
        ["made", f"{made.started_at:%Y-%m-%d %H:%M:%S} to {made.finished_at:%H:%M:%S} UTC"],
        ["expires", f"{made.expires_at:%Y-%m-%d %H:%M} UTC"],
        ["size", f"{made.bytes / _MIB:,.1f} MiB in {len(made.objects)} objects, of {made.raw_bytes / _MIB:,.1f} MiB"],
        ["encrypted to", ", ".join(made.recipients) or "nobody: not encrypted"],
        ["left out", ", ".join(made.excluded) or "nothing"],
        ["versions", f"server {made.server_version}, {made.engine} {made.tool_version}"],
    ]
    return facts + [
        [f"{proof.kind} {proof.at:%Y-%m-%d %H:%M}", proof.problem or f"held, in {proof.seconds:.1f} s"]
        for proof in one.proofs
    ]


def _document(one: Backup, *, tables: bool = False) -> dict[str, Any]:
    made = one.manifest
    document: dict[str, Any] = {
        "id": made.id,
        "database": made.database,
        "class": made.backup_class,
        "started_at": made.started_at.isoformat(),
        "finished_at": made.finished_at.isoformat(),
        "expires_at": made.expires_at.isoformat(),
        "bytes": made.bytes,
        "raw_bytes": made.raw_bytes,
        "rows": made.state.rows,
        "verified": one.verified,
        "proofs": [
            {"kind": proof.kind, "at": proof.at.isoformat(), "seconds": proof.seconds, "problem": proof.problem}
            for proof in one.proofs
        ],
    }
    if tables:
        state = made.state.tables.items()
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
