"""Tokens in place of values: keyed hashes, which join, and encryption, which the key reverses.

Belongs here: the canonical form of a value, both kinds of token, and how Atlas recognises its own tokens. Does not
belong here: keys (`keys.py`), columns and missing values (`apply.py`). No message holds a value or a key.
"""

import base64
import binascii
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable, Iterable
from decimal import Decimal
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.pii.keys import Keys, Master

_HASH_BYTES = 28
_TAG_BYTES = 4
_NONCE_BYTES = 12
_GCM_TAG_BYTES = 16
_PREFIX = "enc:"
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
# A mantissa with a point, or an exponent with its sign: an identifier in hex such as 1234e5 is not a number.
_MANGLED = r"^[+-]?(\d+\.0+|\d\.\d+[eE]\+?\d{1,2}|\d[eE]\+\d{1,2})$"
_TOKEN = re.compile(r"enc:([0-9a-f]{8}):([^:\s]*):([A-Za-z0-9_-]+={0,2})")


class TokenError(Exception):
    """A token that cannot be revealed."""


class WrongKey(TokenError):
    """The token was made under a key that this installation does not have."""


class TokenDamaged(TokenError):
    """The token was changed or truncated, or the text is not a token."""


def canonical(values: pa.Array, entity: str | None) -> pa.Array:
    """Canonicalise values, so that different spellings of one value have the same token.

    Unicode NFKC without invisible characters, trimmed; numbers that a spreadsheet or a float column mangled
    (`123.0`, `1.23e9`) as their integer; an e-mail address in lower case; a phone number as its digits and a leading +.

    Args:
        values: Strings, with or without nulls.
        entity: The column's kind; EMAIL_ADDRESS and PHONE_NUMBER have rules of their own.

    Returns:
        An array of the length and type of `values`.
    """
    foreign = pc.invert(pc.fill_null(pc.string_is_ascii(values), True))
    values = _each(values, foreign, lambda value: _INVISIBLE.sub("", unicodedata.normalize("NFKC", value)))
    values = pc.utf8_trim_whitespace(values)
    values = unmangled(values)
    if entity == "EMAIL_ADDRESS":
        return pc.utf8_lower(values)
    if entity == "PHONE_NUMBER":
        digits = pc.replace_substring_regex(values, r"[^0-9+]", "")
        digits = pc.replace_substring_regex(digits, r"([0-9])\++", r"\1")
        return pc.if_else(pc.match_substring_regex(digits, "[0-9]"), digits, values)
    return values


def unmangled(values: pa.Array) -> pa.Array:
    """Restore whole numbers that were written as floats: `123.0` is `123`, `1.23e9` is `1230000000`."""
    return _each(values, pc.fill_null(pc.match_substring_regex(values, _MANGLED), False), _integer)


def hash_values(values: pa.Array, entity: str | None, domain: str, keys: Keys) -> pa.Array:
    """Replace each value by a token of 64 hex characters: HMAC-SHA256 (RFC 2104) of its canonical form.

    Equal values have equal tokens within a domain, in every table and run. The HMAC is truncated to 28 bytes; the last
    4 bytes are a truncated HMAC of these under another key, by which a token of the same key and domain is recognised
    and kept.

    Args:
        values: Strings without nulls.
        entity: The column's kind, for `canonical`.
        domain: Selects the key derived from the hash master.
        keys: The keys of the installation.

    Returns:
        An array of the length and type of `values`.

    Raises:
        KeyMissing: The hash key is not set, and this installation may not generate one.
    """
    key, tag_key = keys.hash_key(domain), keys.hash_master.derive("hash tag", domain)
    hashed = pa.array(_tokens(canonical(values, entity).to_pylist(), key, tag_key), values.type)
    candidates = pc.match_substring_regex(values, r"^[0-9a-f]{64}$")
    tag = _hmac_sha256(tag_key)
    if not pc.any(candidates).as_py():
        return hashed
    own = [bool(candidate) and _is_own(value, tag) for value, candidate in _pairs(values, candidates)]
    return pc.if_else(pa.array(own, pa.bool_()), values, hashed)


def encrypt_values(values: pa.Array, domain: str, keys: Keys) -> pa.Array:
    """Replace each value by `enc:<key id>:<domain>:<base64url>`: AES-256-GCM (NIST SP 800-38D) under the domain's key.

    Encryption is deterministic, so that a rebuild gives the same tokens: the nonce is synthetic, the first 12 bytes of
    HMAC-SHA256 of the value under a separate key. This is the idea of SIV (RFC 5297) with standard GCM; it is not
    AES-GCM-SIV (RFC 8452). Tokens show which values of a domain are equal, and their length. The domain is
    authenticated as associated data. A token that authenticates under a current or former key is kept.

    Args:
        values: Strings without nulls.
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
        if value.startswith(_PREFIX) and _reveals(value, keys):
            return value
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


def _is_own(value: str, tag: Callable[[bytes], bytes]) -> bool:
    raw = bytes.fromhex(value)
    return hmac.compare_digest(tag(raw[:_HASH_BYTES])[:_TAG_BYTES], raw[_HASH_BYTES:])


def _tokens(values: Iterable[str], key: bytes, tag_key: bytes) -> list[str]:
    """The token of each value. It is the inner loop of a build, so that both HMACs are written out in it."""
    inner, outer = _hmac_states(key)
    tag_inner, tag_outer = _hmac_states(tag_key)
    raw = []
    for value in values:
        first, second = inner(), outer()
        first.update(value.encode())
        second.update(first.digest())
        body = second.digest()[:_HASH_BYTES]
        first, second = tag_inner(), tag_outer()
        first.update(body)
        second.update(first.digest())
        raw.append(body + second.digest()[:_TAG_BYTES])
    return b"".join(raw).hex("\n", _HASH_BYTES + _TAG_BYTES).split()


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


def _integer(value: str) -> str:
    number = Decimal(value)
    return str(int(number)) if number == number.to_integral_value() else value


def _each(values: pa.Array, where: pa.Array, function: Callable[[str], str]) -> pa.Array:
    """Values with `function` applied to those where `where` is true."""
    if not pc.any(where).as_py():
        return values
    changed = pa.array([function(value) for value in values.filter(where).to_pylist()], values.type)
    return pc.replace_with_mask(values, where, changed)


def _pairs(values: pa.Array, masks: pa.Array) -> Iterable[tuple[str, bool]]:
    return zip(values.to_pylist(), masks.to_pylist(), strict=True)
