"""Tokens in place of values: hashes that join, and encryption that can be undone with the key.

Belongs here: the canonical form of a value, both kinds of token, and how one's own are recognised. Does not belong
here: keys (`keys.py`), columns and missing values (`apply.py`). No message holds a value or a key.
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
# A mantissa with a point, or an exponent with its sign: an identifier in hex such as 1234e5 is no number.
_MANGLED = r"^[+-]?(\d+\.0+|\d\.\d+[eE]\+?\d{1,2}|\d[eE]\+\d{1,2})$"
_TOKEN = re.compile(r"enc:([0-9a-f]{8}):([^:\s]*):([A-Za-z0-9_-]+={0,2})")


class TokenError(Exception):
    """A token that cannot be revealed."""


class WrongKey(TokenError):
    """The token was made under a key that this installation does not have."""


class TokenDamaged(TokenError):
    """The token is not as it was made, or is none."""


def canonical(values: pa.Array, entity: str | None) -> pa.Array:
    """Values in the form in which equal ones are equal; of strings, without nulls or with.

    Unicode NFKC without invisible characters, trimmed; numbers that a spreadsheet or a float column mangled
    (`123.0`, `1.23e9`) as their integer; an e-mail address in lower case; a phone number as its digits and a leading +.
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
    """Values with whole numbers that became `123.0` or `1.23e9` on their way written as `123` and `1230000000`."""
    return _each(values, pc.fill_null(pc.match_substring_regex(values, _MANGLED), False), _integer)


def hash_values(values: pa.Array, entity: str | None, domain: str, keys: Keys) -> pa.Array:
    """A token of 64 hex characters for each value, without nulls: HMAC-SHA256 of its canonical form.

    The key is the domain's: equal values have equal tokens within a domain, in every table and run. The last 4 bytes
    are an HMAC of the first 28 under another key, by which a token of the same key and domain is known and left as it
    is. Raises KeyMissing.
    """
    key, tag_key = keys.hash_key(domain), keys.hash_master.derive("hash tag", domain)
    digest, tag = _hmac_sha256(key), _hmac_sha256(tag_key)

    def token(value: str) -> str:
        body = digest(value.encode())[:_HASH_BYTES]
        return (body + tag(body)[:_TAG_BYTES]).hex()

    candidates = pc.match_substring_regex(values, r"^[0-9a-f]{64}$")
    done = pa.array([token(value) for value in canonical(values, entity).to_pylist()], values.type)
    if not pc.any(candidates).as_py():
        return done
    own = [bool(candidate) and _is_own(value, tag) for value, candidate in _pairs(values, candidates)]
    return pc.if_else(pa.array(own, pa.bool_()), values, done)


def encrypt_values(values: pa.Array, domain: str, keys: Keys) -> pa.Array:
    """`enc:<key id>:<domain>:<base64url>` for each value, without nulls: AES-256-GCM under the domain's key.

    The nonce is an HMAC of the value under a key of its own, so that a rebuild gives the same tokens: equal values in
    a domain have equal tokens, and that they are equal is all that a token shows. The domain is authenticated with
    it. A token that authenticates under a key of this installation, also a former one, is left as it is. Raises
    KeyMissing.
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
    """The value behind a token of the `encrypt` action, under the current key or a former one.

    Raises WrongKey when it was made under another, TokenDamaged when it is not as it was made, KeyMissing.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key_id, domain, data = _parts(token)
    known = {master.id: master for master in reversed((keys.encrypt_master, *keys.old_encrypt_masters))}
    if key_id not in known:
        raise WrongKey(_wrong_key(key_id, known))
    try:
        cipher = AESGCM(known[key_id].derive("encrypt", domain))
        return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], domain.encode()).decode()
    except InvalidTag:
        raise TokenDamaged(
            f"the token of domain {domain!r} says key {key_id} and does not authenticate under it: it was cut or "
            "changed. Copy the whole token again."
        ) from None


def token_source(token: str) -> tuple[str, str]:
    """The key id and the domain that a token names. Raises TokenDamaged when it is none."""
    key_id, domain, _ = _parts(token)
    return key_id, domain


def _wrong_key(key_id: str, known: dict[str, Master]) -> str:
    return (
        f"the token was encrypted under key {key_id}, and this installation has {', '.join(reversed(known))}: set "
        "ATLAS_PII_ENCRYPT_KEY to the key it was made with, or add that key to ATLAS_PII_OLD_ENCRYPT_KEYS"
    )


def _parts(token: str) -> tuple[str, str, bytes]:
    found = _TOKEN.fullmatch(token.strip())
    try:
        data = base64.b64decode(found[3], altchars=b"-_", validate=True) if found else b""
    except binascii.Error:
        data = b""
    if found is None or len(data) < _NONCE_BYTES + _GCM_TAG_BYTES:
        raise TokenDamaged(
            "this is no token of the encrypt action, or it was cut: expected enc:<key id>:<domain>:<base64url>"
        )
    return found[1], unquote(found[2].replace("=", "%")), data


def _written(domain: str) -> str:
    """A domain without colons and spaces: `=3A` is a colon."""
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


def _hmac_sha256(key: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA256 under one key, with the key's part of the work done once."""
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block)).copy
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block)).copy

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
