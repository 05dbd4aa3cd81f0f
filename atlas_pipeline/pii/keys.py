"""The keys that hashing personal data needs: from settings, or generated once and kept under `ATLAS_HOME`.

Belongs here: where keys come from. Does not belong here: what they are used for (`actions.py`).
"""

import contextlib
import os
import secrets

from atlas_pipeline.settings import Settings


class KeyMissing(Exception):
    """There is no key, and this installation may not make one."""


def hash_key(settings: Settings) -> bytes:
    """The key of the `hash` action. Raises KeyMissing in production when no key is set."""
    if settings.pii_hash_key:
        return settings.pii_hash_key.get_secret_value().encode()
    if settings.environment == "production":
        raise KeyMissing("hashing personal data needs ATLAS_PII_HASH_KEY in production: set it to a long random secret")
    path = settings.home_path / "keys" / "pii_hash_key"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        with contextlib.suppress(FileExistsError):  # another process was first: its key counts
            os.link(draft, path)
        draft.unlink()
    return path.read_text().strip().encode()
