"""A backup that somebody else put into the store, or changed, is named and not believed."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from atlas_pipeline.backup.catalogue import Catalogue, NoSuchBackup
from atlas_pipeline.backup.manifest import DatabaseState, Manifest
from atlas_pipeline.backup.signing import KeyFault, signing
from atlas_pipeline.backup.store.folder import FolderStore

NOW = datetime(2026, 11, 22, 2, tzinfo=UTC)
OWN, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def pem(key: Ed25519PrivateKey | rsa.RSAPrivateKey) -> bytes:
    formats = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, *formats)


def public(key: Ed25519PrivateKey | rsa.RSAPrivateKey) -> str:
    formats = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_key().public_bytes(*formats)).decode()


def catalogue(place: Path, key: Ed25519PrivateKey | None, believed: str = "") -> Catalogue:
    return Catalogue(FolderStore(place), signing=signing(pem(key) if key else None, "here", believed))


def written(into: Catalogue) -> Manifest:
    made = Manifest(
        id=into.new_id("app", "daily", NOW),
        database="app",
        backup_class="daily",
        started_at=NOW,
        finished_at=NOW,
        expires_at=NOW + timedelta(days=1),
        engine="pg_dump",
        server_version="18.4",
        tool_version="18.4",
        compression="zstd",
        recipients=(),
        excluded=(),
        objects=(),
        state=DatabaseState({}, {}, (0, ""), {}, {}, {}, {}),
    )
    into.write_manifest(made)
    return made


def test_only_what_is_signed_by_a_known_key_is_believed(tmp_path: Path) -> None:
    own = catalogue(tmp_path, OWN)
    signed, unsigned, foreign = (written(catalogue(tmp_path, key)) for key in (OWN, None, OTHER))
    contents = own.read()
    assert [backup.manifest for backup in contents.backups] == [signed]
    problems = {fault.place.split("/")[-2]: fault.problem for fault in contents.faults}
    assert problems[unsigned.id].startswith("it is not signed")
    assert "a key that ATLAS_BACKUP_SIGNERS does not name" in problems[foreign.id]
    with pytest.raises(NoSuchBackup, match="it is not signed"):
        own.get(unsigned.id, "app")
    reader = catalogue(tmp_path, None, f" {public(OWN)}, {public(OTHER)}")
    assert {backup.manifest.id for backup in reader.backups()} == {signed.id, foreign.id}
    assert len(catalogue(tmp_path, None).backups()) == 3
    own.delete(contents.backups[0])
    assert not list(tmp_path.glob(f"app/{signed.id}/*"))


@pytest.mark.parametrize("signature", [None, b"", b"{}", b"[]", b'{"key": "x"}'])
def test_a_changed_manifest_or_signature_is_not_believed(tmp_path: Path, signature: bytes | None) -> None:
    own = catalogue(tmp_path, OWN)
    folder = tmp_path / own.folder(written(own))
    if signature is None:
        path = folder / "manifest.json"
        path.write_bytes(path.read_bytes().replace(b'"daily"', b'"weekly"'))
    else:
        (folder / "manifest.json.sig").write_bytes(signature)
    assert own.backups() == []
    [fault] = own.read().faults
    assert "changed after it was signed" in fault.problem or "its signature cannot be read" in fault.problem


def test_keys_that_cannot_be_used_are_refused_without_being_quoted() -> None:
    other_kind = rsa.generate_private_key(65537, 2048)
    for key, signers in ((b"no key", ""), (pem(other_kind), ""), (None, "bm8gRGVy"), (None, public(other_kind))):
        with pytest.raises(KeyFault) as caught:
            signing(key, "here", signers)
        assert "bm8g" not in str(caught.value)
    assert signing(None, "here", " ") is None
