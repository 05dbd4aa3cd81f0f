"""The manifest of a backup, and the proofs from verifications and restore tests.

Belongs here: plain data, and its JSON. Does not belong here: where it is kept (`store/`), how a database gets into it
(`engine.py`), and which ones stay (`retention.py`).

A backup is a folder `<database>/<id>/` of a store. Its `manifest.json` is written last and never changed: without one
there is no backup. What is proven later lies beside it, as `proof-<moment>-<kind>.json`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

FORMAT = 2
_READABLE = (1, 2)
"""Format 1 names no installation."""
MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"

BackupClass = Literal["daily", "weekly", "monthly", "staging", "manual"]
ProofKind = Literal["verified", "restored", "undrilled"]
"""`verified`: every object is there with its SHA-256. `restored`: a restore equals the state in the manifest.
`undrilled`: the scratch server lacks what the database needs, so nothing is proven; `detail` says why."""


class UnknownClass(ValueError):
    """There is no such class of backups."""


def class_of(text: str) -> BackupClass:
    """The class of that name. Raises UnknownClass, which says what is expected."""
    classes: tuple[BackupClass, ...] = get_args(BackupClass)
    for name in classes:
        if name == text:
            return name
    raise UnknownClass(f"the class {text!r} is not known: expected one of {', '.join(classes)}")


class ManifestError(Exception):
    """A manifest that cannot be read; the message says which and why."""


@dataclass(frozen=True)
class StoredObject:
    """One object of a backup: name within the backup, size and SHA-256 as stored.

    `files` are the names of the dump's files in it, with their sizes before compression, in order: one big file, or
    many small ones.
    """

    name: str
    bytes: int
    sha256: str
    files: Mapping[str, int]


@dataclass(frozen=True)
class DatabaseState:
    """The state of a database in the snapshot of the backup; databases with equal states are equal.

    `tables` has rows and content hash by quoted name; the rest has text by name: definitions, owners, grants, values.
    """

    tables: Mapping[str, tuple[int, str]]
    sequences: Mapping[str, str]
    large_objects: tuple[int, str]
    objects: Mapping[str, str]
    roles: Mapping[str, str]
    extensions: Mapping[str, str]
    settings: Mapping[str, str]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(rows for rows, _ in self.tables.values())


@dataclass(frozen=True)
class Manifest:
    """The manifest. Times are UTC, sizes in bytes; it has no password, host name or value of a row.

    `hash_key` is the key of the hashes in `state`, encrypted to the recipients; null where they have none.
    `unrestorable` names what the database had and the backup has not, and why. `installation` is whose backup it is;
    null in those of a version of Atlas that did not tell installations apart.
    """

    id: str
    database: str
    backup_class: BackupClass
    started_at: datetime
    finished_at: datetime
    expires_at: datetime
    engine: str
    server_version: str
    tool_version: str
    compression: str
    recipients: tuple[str, ...]
    excluded: tuple[str, ...]
    objects: tuple[StoredObject, ...]
    state: DatabaseState
    format: int = FORMAT
    installation: str | None = None
    unrestorable: tuple[str, ...] = ()
    hash_key: str | None = None

    @property
    def bytes(self) -> int:
        """Size in the store."""
        return sum(stored.bytes for stored in self.objects)

    @property
    def raw_bytes(self) -> int:
        """Size before compression."""
        return sum(sum(stored.files.values()) for stored in self.objects)


@dataclass(frozen=True)
class Proof:
    """The result of a verification or a restore test; `problem` is null when it passed."""

    kind: ProofKind
    at: datetime
    seconds: float
    problem: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Backup:
    """A manifest and its proofs, oldest first."""

    manifest: Manifest
    proofs: tuple[Proof, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Database and id: unique in a store."""
        return self.manifest.database, self.manifest.id

    @property
    def verified(self) -> bool:
        """Whether something was proven, and the newest proof passed."""
        return self.newest is not None and self.newest.problem is None

    @property
    def newest(self) -> Proof | None:
        """The newest proof that proves something, good or bad."""
        return next((proof for proof in reversed(self.proofs) if proof.kind != "undrilled"), None)


def why_undrilled(proof: Proof) -> str | None:
    """Why a backup could not be drilled; null for another proof."""
    return "; ".join(proof.detail.get("why", ())) if proof.kind == "undrilled" else None


def to_json(value: Manifest | Proof) -> bytes:
    """A manifest or proof as JSON, the same bytes for the same value."""
    return json.dumps(asdict(value), default=_text, sort_keys=True, ensure_ascii=False, indent=1).encode()


def manifest_from(data: bytes, place: str) -> Manifest:
    """Parse a manifest.

    Args:
        data: JSON as `to_json` writes it.
        place: where it came from, for messages.

    Raises:
        ManifestError: it is not a manifest, or of a format that this version does not know.
    """
    try:
        read = json.loads(data)
        if read["format"] not in _READABLE:
            raise ManifestError(f"{place}: format {read['format']!r} is not known: a newer Atlas wrote it")
        values: dict[str, Any] = dict(read)
        state = values.pop("state")
        state["tables"] = {name: (int(rows), str(digest)) for name, (rows, digest) in state["tables"].items()}
        state["large_objects"] = tuple(state["large_objects"])
        values["objects"] = tuple(StoredObject(**item) for item in values["objects"])
        values |= {name: datetime.fromisoformat(values[name]) for name in ("started_at", "finished_at", "expires_at")}
        values |= {name: tuple(values.get(name, ())) for name in ("recipients", "excluded", "unrestorable")}
        return Manifest(**values | {"state": DatabaseState(**state)})
    except ManifestError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ManifestError(f"{place} is not a manifest ({type(error).__name__})") from None


def proof_from(data: bytes, place: str) -> Proof:
    """Parse a proof.

    Args:
        data: JSON as `to_json` writes it.
        place: where it came from, for messages.

    Raises:
        ManifestError: it is not a proof.
    """
    try:
        read = json.loads(data)
        return Proof(**{**read, "at": datetime.fromisoformat(read["at"])})
    except (ValueError, TypeError, KeyError) as error:
        raise ManifestError(f"{place} is not a proof ({type(error).__name__})") from None


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON")
