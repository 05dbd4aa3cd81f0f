"""The keys that hashing and encrypting personal data need: from settings, or made once and kept under `ATLAS_HOME`.

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
    """There is no key, and this installation may not make one."""


@dataclass(frozen=True)
class Master:
    """A master key, from which each purpose and domain gets a key of its own by HKDF-SHA256. Never printed."""

    secret: bytes = field(repr=False)

    def derive(self, purpose: str, domain: str = "") -> bytes:
        """The 32 bytes for that purpose and domain."""
        return _derived(self.secret, purpose, domain)

    @property
    def id(self) -> str:
        """Eight hex characters that tell this key from others and say nothing of it."""
        return self.derive("id")[:_ID_BYTES].hex()


@dataclass(frozen=True)
class Keys:
    """The keys of an installation, each asked for only when something needs it. Holds no key in its `repr`."""

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
        """A short id, not secret, that changes with the keys of those of `actions` that have one; "" of none.

        Only the keys of these actions are asked for. Raises KeyMissing.
        """
        ids = []
        if "hash" in actions:
            ids.append(f"hash:{self.hash_master.id}")
        if "encrypt" in actions:
            ids.append(f"encrypt:{self.encrypt_master.id}")
        return ",".join(ids)


def load_keys(settings: Settings) -> Keys:
    """The keys of an installation. Nothing is read or made until a key is needed."""
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
        with contextlib.suppress(FileExistsError):  # another process was first: its key counts
            os.link(draft, path)
        draft.unlink()
    secret = path.read_text().strip().encode()
    if not secret:
        raise KeyMissing(f"{path} is empty: restore it from a copy, since what was made with it needs it")
    return secret


@lru_cache(maxsize=1024)
def _derived(secret: bytes, purpose: str, domain: str) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = b"\0".join((b"atlas pii", purpose.encode(), domain.encode()))
    return HKDF(SHA256(), 32, salt=None, info=info).derive(secret)
