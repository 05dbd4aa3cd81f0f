"""Tokens in place of values: keyed hashes, which join, and encryption, which the key reverses.

Belongs here: both kinds of token, and revealing them. Does not belong here: the canonical form of a value (`forms.py`),
keys (`keys.py`), columns and missing values (`apply.py`). No message holds a value or a key.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa

from atlas_pipeline.pii.keys import Keys, Master

_HASH_BYTES = 28
_TAG_BYTES = 4
_NONCE_BYTES = 12
_GCM_TAG_BYTES = 16
_PREFIX = "enc:"
_TOKEN_HEX = re.compile("[0-9a-f]{64}")
_TOKEN = re.compile(r"enc:([0-9a-f]{8}):([^:\s]*):([A-Za-z0-9_-]+={0,2})")


class TokenError(Exception):
    """A token that cannot be revealed."""


class WrongKey(TokenError):
    """The token was made under a key that this installation does not have."""


class TokenDamaged(TokenError):
    """The token was changed or truncated, or the text is not a token."""


def hash_values(values: pa.Array, domain: str, keys: Keys) -> pa.Array:
    """Replace each value by a token of 64 hex characters: HMAC-SHA256 (RFC 2104).

    Equal values have equal tokens within a domain, in every table and run. The HMAC is truncated to 28 bytes; the last
    4 bytes are a truncated HMAC of these under another key. A token among the values is hashed like any other value, so
    that nobody can pose as another by sending their token; `own_hashes` tells those of this key and domain.

    Args:
        values: Strings without nulls, in their canonical form (`forms.canonical`).
        domain: Selects the key derived from the hash master.
        keys: The keys of the installation.

    Returns:
        An array of the length and type of `values`.

    Raises:
        KeyMissing: The hash key is not set, and this installation may not generate one.
    """
    key, tag_key = keys.hash_key(domain), keys.hash_master.derive("hash tag", domain)
    tokens = _tokens(values.cast(pa.binary()).to_pylist(), key, tag_key)
    width = 2 * (_HASH_BYTES + _TAG_BYTES)
    offsets = np.arange(len(values) + 1, dtype=np.int64) * width
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(tokens)]
    return pa.Array.from_buffers(pa.large_string(), len(values), buffers).cast(values.type)


def encrypt_values(values: pa.Array, domain: str, keys: Keys) -> pa.Array:
    """Replace each value by `enc:<key id>:<domain>:<base64url>`: AES-256-GCM (NIST SP 800-38D) under the domain's key.

    Encryption is deterministic, so that a rebuild gives the same tokens: the nonce is synthetic, the first 12 bytes of
    HMAC-SHA256 of the value under a separate key. This is the idea of SIV (RFC 5297) with standard GCM; it is not
    AES-GCM-SIV (RFC 8452). Tokens show which values of a domain are equal, and their length. The domain is
    authenticated as associated data. A token among the values is encrypted like any other value.

    Args:
        values: Strings without nulls, in their canonical form (`forms.canonical`).
        domain: Selects the key derived from the encryption master, and is part of the token.
        keys: The keys of the installation.

    Returns:
        An array of the length and type of `values`.

    Raises:
        KeyMissing: The encryption key is not set, and this installation may not generate one.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    master = keys.encrypt_master
    cipher, nonces = AESGCM(keys.encrypt_key(domain)), _hmac_sha256(master.derive("encrypt nonce", domain))
    head, aad = f"{_PREFIX}{master.id}:{_written(domain)}:", domain.encode()

    def token(value: str) -> str:
        data = value.encode()
        nonce = nonces(data)[:_NONCE_BYTES]
        return head + base64.urlsafe_b64encode(nonce + cipher.encrypt(nonce, data, aad)).decode()

    return pa.array([token(value) for value in values.to_pylist()], values.type)


def reveal(token: str, keys: Keys) -> str:
    """Decrypt a token of the `encrypt` action with the current key or a former one.

    Args:
        token: `enc:<key id>:<domain>:<base64url>`; blanks around it are ignored.
        keys: The keys of the installation.

    Raises:
        WrongKey: The token names a key that this installation does not have.
        TokenDamaged: The token does not authenticate, or the text is not a token.
        KeyMissing: The encryption key is not set, and this installation may not generate one.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key_id, domain, data = _parts(token)
    masters = {master.id: master for master in reversed((keys.encrypt_master, *keys.old_encrypt_masters))}
    if key_id not in masters:
        raise WrongKey(_wrong_key(key_id, masters))
    try:
        cipher = AESGCM(masters[key_id].derive("encrypt", domain))
        return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], domain.encode()).decode()
    except InvalidTag:
        raise TokenDamaged(
            f"the token of domain {domain!r} names key {key_id} and does not authenticate under it: it was truncated "
            "or changed. Copy the whole token again."
        ) from None


def token_source(token: str) -> tuple[str, str]:
    """The key id and the domain that a token names. Raises TokenDamaged when the text is not a token."""
    key_id, domain, _ = _parts(token)
    return key_id, domain


def _wrong_key(key_id: str, masters: dict[str, Master]) -> str:
    return (
        f"the token was encrypted under key {key_id}, and this installation has {', '.join(reversed(masters))}: set "
        "ATLAS_PII_ENCRYPT_KEY to the key it was made with, or add that key to ATLAS_PII_OLD_ENCRYPT_KEYS"
    )


def _parts(token: str) -> tuple[str, str, bytes]:
    match = _TOKEN.fullmatch(token.strip())
    try:
        data = base64.b64decode(match[3], altchars=b"-_", validate=True) if match else b""
    except binascii.Error:
        data = b""
    if match is None or len(data) < _NONCE_BYTES + _GCM_TAG_BYTES:
        raise TokenDamaged(
            "this is not a token of the encrypt action, or it was truncated: expected enc:<key id>:<domain>:<base64url>"
        )
    return match[1], unquote(match[2].replace("=", "%")), data


def _written(domain: str) -> str:
    """The domain percent-encoded with `=` for `%`, so that it holds no colon or space: `=3A` is a colon."""
    return quote(domain, safe="").replace("%", "=")


def _reveals(token: str, keys: Keys) -> bool:
    try:
        reveal(token, keys)
    except TokenError:
        return False
    return True


def own_hashes(values: pa.Array, domain: str, keys: Keys) -> pa.Array:
    """Whether each value is a token that `hash_values` made under the same key and domain."""
    tag = _hmac_sha256(keys.hash_master.derive("hash tag", domain))
    return pa.array(
        [_TOKEN_HEX.fullmatch(value) is not None and _is_own(value, tag) for value in values.to_pylist()], pa.bool_()
    )


def own_encrypted(values: pa.Array, keys: Keys) -> pa.Array:
    """Whether each value is a token of `encrypt_values` that authenticates under a current or former key."""
    return pa.array([value.startswith(_PREFIX) and _reveals(value, keys) for value in values.to_pylist()], pa.bool_())


def _is_own(value: str, tag: Callable[[bytes], bytes]) -> bool:
    raw = bytes.fromhex(value)
    return hmac.compare_digest(tag(raw[:_HASH_BYTES])[:_TAG_BYTES], raw[_HASH_BYTES:])


def _tokens(values: Iterable[bytes], key: bytes, tag_key: bytes) -> bytes:
    """The tokens one after the other. It is the inner loop of a build, so that both HMACs are written out in it."""
    inner, outer = _hmac_states(key)
    tag_inner, tag_outer = _hmac_states(tag_key)
    raw: list[bytes] = []
    for value in values:
        first, second = inner(), outer()
        first.update(value)
        second.update(first.digest())
        body = second.digest()[:_HASH_BYTES]
        first, second = tag_inner(), tag_outer()
        first.update(body)
        second.update(first.digest())
        raw += (body, second.digest()[:_TAG_BYTES])
    return binascii.hexlify(b"".join(raw))


def _hmac_states(key: bytes) -> tuple[Callable[[], "hashlib._Hash"], Callable[[], "hashlib._Hash"]]:
    """HMAC-SHA256 (RFC 2104) under one key of at most 64 bytes: what makes the inner hash and the outer one, with the
    padded key's blocks hashed once for all messages."""
    block = key.ljust(64, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in block)) for pad in (0x36, 0x5C))
    return inner.copy, outer.copy


def _hmac_sha256(key: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA256 under one key."""
    inner, outer = _hmac_states(key)

    def digest(message: bytes) -> bytes:
        first, second = inner(), outer()
        first.update(message)
        second.update(first.digest())
        return second.digest()

    return digest
