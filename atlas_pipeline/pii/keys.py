"""The keys of `hash` and `encrypt`: from settings, or generated once and kept under `ATLAS_HOME`.

Belongs here: where master keys come from, and the keys derived from them. Does not belong here: what keys are used for
(`actions/`).
"""

import contextlib
import os
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from atlas_pipeline.pii.kinds import KEYED_ACTIONS, Action
from atlas_pipeline.settings import Settings

_ID_BYTES = 4


class KeyMissing(Exception):
    """There is no key, and this installation may not generate one."""


@dataclass(frozen=True)
class Master:
    """A master key, from which HKDF-SHA256 (RFC 5869) derives a key for each purpose and domain. Never printed."""

    secret: bytes = field(repr=False)

    def derive(self, purpose: str, domain: str = "") -> bytes:
        """Derive a key of 32 bytes.

        Args:
            purpose: What the key is for, such as `hash`; part of HKDF's info.
            domain: Keys of different domains are independent, so their tokens do not join.
        """
        return _derived(self.secret, purpose, domain)

    @property
    def id(self) -> str:
        """A key id of eight hex characters, itself derived by HKDF, so that it does not reveal the key."""
        return self.derive("id")[:_ID_BYTES].hex()


@dataclass(frozen=True)
class Keys:
    """The keys of an installation, each read when it is first needed. Its `repr` shows none."""

    settings: Settings = field(repr=False)

    @cached_property
    def hash_master(self) -> Master:
        """The key behind every hash. Raises KeyMissing in production when none is set."""
        return Master(_secret(self.settings, "pii_hash_key", "hashing"))

    @cached_property
    def encrypt_master(self) -> Master:
        """The key behind every encryption. Raises KeyMissing in production when none is set."""
        return Master(_secret(self.settings, "pii_encrypt_key", "encrypting"))

    @cached_property
    def old_encrypt_masters(self) -> tuple[Master, ...]:
        """The former keys, which only decrypt."""
        old = self.settings.pii_old_encrypt_keys
        parts = old.get_secret_value().split(",") if old else []
        return tuple(Master(part.strip().encode()) for part in parts if part.strip())

    def hash_key(self, domain: str) -> bytes:
        """The key of the `hash` action in a domain. Raises KeyMissing."""
        return self.hash_master.derive("hash", domain)

    def encrypt_key(self, domain: str) -> bytes:
        """The key of the `encrypt` action in a domain. Raises KeyMissing."""
        return self.encrypt_master.derive("encrypt", domain)

    def fingerprint(self, actions: Collection[Action] = KEYED_ACTIONS) -> str:
        """Identify the keys that `actions` use, without revealing them. It is "" where none of them has a key.

        Only the keys of these actions are read. Raises KeyMissing.
        """
        ids = []
        if "hash" in actions:
            ids.append(f"hash:{self.hash_master.id}")
        if "encrypt" in actions:
            ids.append(f"encrypt:{self.encrypt_master.id}")
        return ",".join(ids)


def load_keys(settings: Settings) -> Keys:
    """The keys of an installation. Nothing is read or generated until a key is needed."""
    return Keys(settings)


def _secret(settings: Settings, name: str, doing: str) -> bytes:
    value = getattr(settings, name)
    if value and (secret := str(value.get_secret_value()).strip()):
        return secret.encode()
    if settings.environment == "production":
        setting = f"ATLAS_{name.upper()}"
        raise KeyMissing(
            f"{doing} personal data needs {setting} in production: set it to a long random secret, such as "
            "`openssl rand -hex 32` prints, and keep a copy in a safe place"
        )
    return _generated(settings.home_path / "keys" / name)


def _generated(path: Path) -> bytes:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        with contextlib.suppress(FileExistsError):  # another process was first: use its key
            os.link(draft, path)
        draft.unlink()
    secret = path.read_text().strip().encode()
    if not secret:
        raise KeyMissing(f"{path} is empty: restore it from a copy, since existing tokens were made with that key")
    return secret


@lru_cache(maxsize=1024)
def _derived(secret: bytes, purpose: str, domain: str) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = b"\0".join((b"atlas pii", purpose.encode(), domain.encode()))
    return HKDF(SHA256(), 32, salt=None, info=info).derive(secret)
