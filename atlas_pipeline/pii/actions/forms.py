"""Canonical forms: one spelling for all spellings of a value, before it is hashed or encrypted.

Belongs here: the rule of each kind, and its versions. Does not belong here: keys and tokens (`tokens.py`), how a kind
is recognised. A new rule is a new version: tables that were planned under an earlier one keep their tokens.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.pii.plan import FORM

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
# A mantissa with a point, or an exponent with its sign: an identifier in hex such as 1234e5 is not a number.
_MANGLED = r"^[+-]?(\d+\.0+|\d\.\d+[eE]\+?\d{1,2}|\d[eE]\+\d{1,2})$"
_HYPHENS = re.compile("[\u2010-\u2015\u2212]")
_UUID = re.compile(
    r"(?i)(?:urn:uuid:)?\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?"
)
_MAC = re.compile(
    r"(?i)[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|[0-9a-f]{4}([.:-])[0-9a-f]{4}\2[0-9a-f]{4}|[0-9a-f]{12}"
)
_WALLET = re.compile(r"(?i)0x[0-9a-f]{40}|bc1[0-9a-z]{20,87}")
_MAILBOX = re.compile(r"[^<>]*<([^<>\s]+@[^<>\s]+)>\s*")
_EXTENSION = re.compile(r"(?i)[\s,;]*(?:x|ext\.?|extension)[\s.:]*(\d{1,6})$")
_TRUNK = re.compile(r"\(\s*0\s*\)")


@dataclass(frozen=True)
class Form:
    """The rule of some kinds. `text` says it for the documentation; `apply` takes a trimmed value and a region.

    `plain` (RE2) matches values that `apply` leaves as they are, in any region: most are, and are not looked at singly.
    """

    kinds: tuple[str, ...]
    text: str
    apply: Callable[[str, str], str]
    plain: str = ""


def _email(value: str, _region: str) -> str:
    if boxed := _MAILBOX.fullmatch(value):
        value = boxed[1]
    value = re.sub(r"(?i)^mailto:", "", value.strip("<> \"'")).split("?")[0]
    if "@" not in value and "%40" in value:
        value = unquote(value)
    return value.strip(" <>\"'.;,").lower()


def _phone(value: str, region: str) -> str:
    text = re.sub(r"(?i)^(?:tel|sms|fax|whatsapp):(?://)?", "", value).split(";")[0].strip()
    extension = _EXTENSION.search(text)
    number = _TRUNK.sub("", text[: extension.start()] if extension else text)
    number = re.sub(r"^\+?%2[Bb]", "+", number)
    digits = re.sub(r"\D", "", number)
    if not digits:
        return value
    if number.lstrip(" (").startswith("+"):
        digits = f"+{digits}"
    elif digits.startswith("00") and len(digits) > 9:
        digits = f"+{digits[2:]}"
    elif region:
        digits = _international(number, region) or digits
    return digits + (f"x{extension[1]}" if extension else "")


def _international(number: str, region: str) -> str:
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(parsed):
        return ""
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def _mac(value: str, _region: str) -> str:
    if not _MAC.fullmatch(value):
        return value
    digits = re.sub(r"[^0-9A-Fa-f]", "", value).lower()
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def _device(value: str, region: str) -> str:
    if match := _UUID.fullmatch(value):
        return "-".join(match.groups()).lower()
    if _MAC.fullmatch(value) and not value.isdigit():
        return _mac(value, region)
    return _identifier(value, region).lower()


def _wallet(value: str, _region: str) -> str:
    return value.lower() if _WALLET.fullmatch(value) else value


def _login(value: str, _region: str) -> str:
    return value.lstrip("@").casefold()


def _identifier(value: str, _region: str) -> str:
    return re.sub(r"[\s./-]", "", value).upper() or value


def _address(value: str, _region: str) -> str:
    try:
        address = ipaddress.ip_address(value.strip("[]").split("%")[0])
    except ValueError:
        return value
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


FORMS = (
    Form(
        ("EMAIL_ADDRESS",),
        "the address alone, without `mailto:`, the name before `<…>` and quotes, in lower case",
        _email,
        r"^[a-z0-9_+-][a-z0-9._+-]*@[a-z0-9.-]*[a-z0-9]$",
    ),
    Form(
        ("PHONE_NUMBER",),
        "digits after a `+`, which `00` also is, without `tel:` and `(0)`; a national number gets the country code of "
        "the `region`, if one is set; an extension as `x12`",
        _phone,
        r"^\+[0-9]+$",
    ),
    Form(("MAC_ADDRESS",), "pairs of hexadecimal digits with colons, in lower case", _mac),
    Form(
        ("DEVICE_ID",),
        "a UUID with hyphens, without braces; a MAC address as above; else without separators; in lower case",
        _device,
    ),
    Form(("CRYPTO",), "an address of hexadecimal digits or `bc1…` in lower case; others as they are", _wallet),
    Form(("USERNAME",), "without a leading `@`, in lower case", _login, r"^[a-z0-9._-]+$"),
    Form(("IP_ADDRESS",), "as RFC 5952 has it; an IPv4 address within IPv6 as IPv4", _address),
    Form(
        (
            "IBAN_CODE",
            "CREDIT_CARD",
            "ACCOUNT_NUMBER",
            "NATIONAL_ID",
            "US_SSN",
            "UK_NHS",
            "HEALTH_ID",
            "TAX_ID",
            "PASSPORT",
            "DRIVER_LICENSE",
            "VEHICLE_ID",
        ),
        "without blanks, hyphens, points and slashes, in upper case",
        _identifier,
        r"^[A-Z0-9]+$",
    ),
)
_BY_KIND = {kind: form for form in FORMS for kind in form.kinds}
_ANY = (
    r"(?i)^(?:mailto:|\{?[0-9a-f]{8}-|urn:uuid:|[0-9a-f]{2}[:-][0-9a-f]{2}[:-]|[0-9a-f]{4}\.[0-9a-f]{4}\."
    r"|0x[0-9a-f]{40}$)"
)


def canonical(values: pa.Array, entity: str | None, form: int = FORM, region: str = "") -> pa.Array:
    """Canonicalise values, so that different spellings of one value have the same token.

    Every kind: Unicode NFKC without invisible characters, trimmed; numbers that a spreadsheet or a float column mangled
    (`123.0`, `1.23e9`) as their integer; UUIDs, MAC addresses and wallets by their form. Then the rule of the kind in
    `FORMS`.

    Args:
        values: Strings, with or without nulls.
        entity: The column's kind.
        form: Version of the rules; 1 knows e-mail addresses in lower case and the digits of phone numbers only.
        region: Country of national phone numbers, such as `DE`; "" leaves them without a country code.

    Returns:
        An array of the length and type of `values`.
    """
    foreign = pc.invert(pc.fill_null(pc.string_is_ascii(values), True))
    values = _each(values, foreign, lambda value: _INVISIBLE.sub("", unicodedata.normalize("NFKC", value)))
    values = unmangled(pc.utf8_trim_whitespace(values))
    if form == 1:
        return _first(values, entity)
    values = _each(values, foreign, lambda value: _HYPHENS.sub("-", value))
    rule = _BY_KIND.get(entity or "")
    if rule is not None:
        other = pc.is_valid(values)
        if rule.plain:
            other = pc.fill_null(pc.invert(pc.match_substring_regex(values, rule.plain)), False)
        return _each(values, other, lambda value: rule.apply(value, region))
    return _each(values, pc.fill_null(pc.match_substring_regex(values, _ANY), False), _by_form)


def same_form(entity: str | None, other: str | None) -> bool:
    """Whether values of two kinds are brought into one form by the same rule."""
    return _BY_KIND.get(entity or "") is _BY_KIND.get(other or "")


def _by_form(value: str) -> str:
    """A value without a kind of its own, by the form that proves what it is."""
    if value.lower().startswith("mailto:"):
        return _email(value, "")
    if _UUID.fullmatch(value) or _MAC.fullmatch(value):
        return _device(value, "")
    return _wallet(value, "")


def _first(values: pa.Array, entity: str | None) -> pa.Array:
    """The forms of version 1."""
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


def _integer(value: str) -> str:
    number = Decimal(value)
    return str(int(number)) if number == number.to_integral_value() else value


def _each(values: pa.Array, where: pa.Array, function: Callable[[str], str]) -> pa.Array:
    """Values with `function` applied to those where `where` is true."""
    if not pc.any(where).as_py():
        return values
    changed = pa.array([function(value) for value in values.filter(where).to_pylist()], values.type)
    return pc.replace_with_mask(values, where, changed)
