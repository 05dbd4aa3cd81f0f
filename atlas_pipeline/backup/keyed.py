"""Keyed hashes: the plain manifest of an encrypted backup tells nothing about values to who has no key.

Belongs here: the key of a backup, and what it does to the state of a database. Does not belong here: how hashes are
made (`pg_dump/state.py`) and encryption (`sealing.py`).

Without a key, whoever reads a manifest could hash guesses, such as all numbers of telephones, and the difference of two
manifests would be the hash of the row that was added. So each hash in the manifest of an encrypted backup is an HMAC of
it, whose key is random for each backup and lies in the manifest, encrypted to the recipients.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from atlas_pipeline.backup.manifest import DatabaseState
from atlas_pipeline.backup.sealing import SealError, seal, unseal

_PLAIN_SETTINGS = {"encoding", "collate", "ctype", "provider", "locale", "icu_rules", "connections", "owner", "grants"}


def new_key(recipients: Sequence[str]) -> tuple[bytes | None, str | None]:
    """A key for one backup, plain and encrypted to the recipients as text; nulls where there are none."""
    if not recipients:
        return None, None
    key = secrets.token_bytes(32)
    return key, base64.b64encode(b"".join(seal([key], recipients))).decode()


def opened_key(sealed: str | None, identities: Sequence[Any], recipients: Sequence[str]) -> bytes | None:
    """The key of a backup; null where its hashes have none.

    Args:
        sealed: as `new_key` gives it.
        identities: secret keys of age.
        recipients: public keys that it was encrypted to, for messages.

    Raises:
        SealError: no identity fits, or it is damaged.
    """
    if sealed is None:
        return None
    try:
        return b"".join(unseal([base64.b64decode(sealed, validate=True)], identities, recipients))
    except binascii.Error:
        raise SealError("the key of the hashes in the manifest is damaged") from None


def keyed(state: DatabaseState, key: bytes | None) -> DatabaseState:
    """The state with an HMAC in place of each hash; as it is without a key.

    Args:
        state: of a database.
        key: as `new_key` or `opened_key` gives it.
    """
    if key is None:
        return state

    def hashed(name: str, digest: str) -> str:
        return hmac.new(key, f"{name}\0{digest}".encode(), hashlib.sha256).hexdigest()[:16]

    def definition(name: str, text: str) -> str:
        rest, separator, digest = text.rpartition("; ")
        return f"{rest}{separator}{hashed(name, digest)}"

    def attribute(name: str, text: str) -> str:
        *before, config = re.split(r"(?<==)(?=[0-9a-f]{16}$)", text)
        return "".join(before) + hashed(name, config) if before else text

    return replace(
        state,
        tables={name: (rows, hashed(f"table {name}", digest)) for name, (rows, digest) in state.tables.items()},
        large_objects=(state.large_objects[0], hashed("large objects", state.large_objects[1])),
        objects={name: definition(name, text) for name, text in state.objects.items()},
        roles={
            name: ", ".join(attribute(f"role {name}", part) for part in text.split(", "))
            for name, text in state.roles.items()
        },
        settings={
            name: text if name in _PLAIN_SETTINGS else hashed(f"setting {name}", text)
            for name, text in state.settings.items()
        },
    )
