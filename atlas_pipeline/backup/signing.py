"""Signatures of manifests: a backup that somebody else put into the store is not believed.

Belongs here: Ed25519 keys, signing and checking. Does not belong here: where signatures lie (`catalogue.py`).

A manifest holds the SHA-256 of each object, so its signature is one of the whole backup.
"""

import base64
import binascii
import json
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_PURPOSE = b"atlas backup manifest\0"


class KeyFault(Exception):
    """A key for signatures that cannot be used; the message quotes nothing of it."""


class NotSigned(Exception):
    """A manifest without a signature that is believed; the message says why and what was expected."""


@dataclass(frozen=True)
class Signing:
    """The key that signs manifests, if there is one, and the public keys, in DER, whose signatures are believed."""

    key: Ed25519PrivateKey | None
    believed: frozenset[bytes]

    def sign(self, manifest: bytes) -> bytes | None:
        """The signature of a manifest, as it is stored; null without a key."""
        if self.key is None:
            return None
        parts = {"key": _der(self.key.public_key()), "signature": self.key.sign(_PURPOSE + manifest)}
        return json.dumps({name: base64.b64encode(part).decode() for name, part in parts.items()}).encode()

    def check(self, manifest: bytes, signature: bytes | None) -> None:
        """Check the signature of a manifest.

        Args:
            manifest: as it is stored.
            signature: as `sign` gives it; null if there is none.

        Raises:
            NotSigned: there is none, it is of another key, or of other bytes.
        """
        if signature is None:
            raise NotSigned("it is not signed, and ATLAS_BACKUP_SIGNERS names whose backups are believed")
        try:
            parts = {name: base64.b64decode(text, validate=True) for name, text in json.loads(signature).items()}
            if parts["key"] not in self.believed:
                raise NotSigned("it is signed by a key that ATLAS_BACKUP_SIGNERS does not name")
            public = serialization.load_der_public_key(parts["key"])
            if not isinstance(public, Ed25519PublicKey):
                raise NotSigned("its signature is none of Ed25519")
            public.verify(parts["signature"], _PURPOSE + manifest)
        except InvalidSignature:
            raise NotSigned("its signature is of other content: it was changed after it was signed") from None
        except (ValueError, KeyError, AttributeError, TypeError, binascii.Error):
            raise NotSigned("its signature cannot be read") from None


def signing(pem: bytes | None, place: str, signers: str) -> Signing | None:
    """The keys; null where manifests are neither signed nor checked.

    Args:
        pem: the private key that signs, in PEM; null for none. Its own signatures are believed.
        place: where it came from, for messages.
        signers: public keys in DER as base64, comma-separated.

    Raises:
        KeyFault: one of them cannot be used.
    """
    if pem is None and not signers.strip():
        return None
    key = None
    if pem is not None:
        try:
            loaded = serialization.load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            loaded = None
        if not isinstance(loaded, Ed25519PrivateKey):
            raise KeyFault(f"{place} holds no private key of Ed25519 in PEM without passphrase")
        key = loaded
    believed = {_public(text.strip()) for text in signers.split(",") if text.strip()}
    return Signing(key, frozenset(believed | ({_der(key.public_key())} if key else set())))


def _public(text: str) -> bytes:
    try:
        public = serialization.load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        public = None
    if not isinstance(public, Ed25519PublicKey):
        raise KeyFault("ATLAS_BACKUP_SIGNERS: expected public keys of Ed25519 in DER as base64, comma-separated")
    return _der(public)


def _der(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
