"""Generalise values: a date to its year, a postcode to its front, an age to a band, an address to its network, a
coordinate to one decimal.

Belongs here: one function of a value's text for each generaliser. Each is idempotent, and returns None for what it
cannot generalise. Does not belong here: which kind is generalised how (`kinds.py`).
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.pii.kinds import Generaliser

_YEAR = r"(1[89]\d\d|2[01]\d\d)"
_REST = r"(?:[T ,].*)?"
_FULL_DATES = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        rf"{_YEAR}(?:\.0+)?",
        rf"{_YEAR}[-/. ]\d{{1,2}}(?:[-/. ]\d{{1,2}}\.?)?{_REST}",
        rf"\d{{1,2}}[-/. ]\s?(?:\d{{1,2}}[-/. ]\s?)?{_YEAR}{_REST}",
        rf"{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:T?\d{{4,6}}Z?)?(?:\.0+)?",
        rf"{_YEAR}年.*",
    )
)
_SHORT_DATE = re.compile(rf"\d{{1,2}}[-/. ]\d{{1,2}}[-/. ](\d\d){_REST}")
_WORDY_DATE = re.compile(r"[^\W\d_]{3,}")
_WORDY_YEAR = re.compile(rf"(?<!\d){_YEAR}(?!\d)")
_WORDY_SHORT_YEAR = re.compile(r"[-/. ']\s?'?(\d\d)$")
_MONTH = re.compile(
    "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez|ene|abr|ago|dic|fév|fev|avr|jui|aoû|déc|set|gen|mag|"
    "giu|lug|ott|out|mei|mrt",
    re.IGNORECASE,
)

_UK = re.compile(r"([A-Z]{1,2}\d[A-Z\d]?)(?:\d[A-Z]{2})?")
_POSTCODE = re.compile(r"[A-Z\d](?:[A-Z\d -]{0,10}[A-Z\d])?")
_POSTCODE_KEPT = 3
_AGE = re.compile(r"(\d{1,3})(?:\.\d+)?(?:\s*(?:y|yo|yr|yrs|years?)\b.*)?", re.IGNORECASE)
_BAND = re.compile(r"[1-8]?0-[1-8]?9|90\+")
_OLDEST_BAND = 90
_OLDEST = 130
_V4 = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?::\d{1,5})?")
_NUMBER = r"[+-]?\d{1,3}(?:\.\d*)?(?:[eE][+-]?\d{1,2})?"
_PLACE = re.compile(rf"(?:POINT\s*)?[(\[]?\s*{_NUMBER}(?:\s*[,; ]\s*{_NUMBER}){{0,2}}\s*[)\]]?", re.IGNORECASE)
_NUMBERS = re.compile(_NUMBER)
_MOST_DEGREES = 180
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PLAIN_V4 = rf"^{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}$"
_PLAIN_PLACE = r"^-?[0-9]{1,2}\.[0-9]{1,12}$"


def year(value: str) -> str | None:
    """The year of a date in one of many formats, with or without a time."""
    text = value.strip()
    for pattern in _FULL_DATES:
        if match := pattern.fullmatch(text):
            return match[1]
    if match := _SHORT_DATE.fullmatch(text):
        return _century(match[1])
    if any(_MONTH.match(word) for word in _WORDY_DATE.findall(text)):
        years = _WORDY_YEAR.findall(text)
        if len(years) == 1:
            return str(years[0])
        if not years and (short := _WORDY_SHORT_YEAR.search(text)):
            return _century(short[1])
    return None


def postcode(value: str) -> str | None:
    """The outward code of a British postcode, else the first half without spaces, at most three characters: `902`
    of `90210`."""
    text = re.sub(r"\.0+$", "", value.strip().upper())
    if not _POSTCODE.fullmatch(text):
        return None
    bare = text.replace(" ", "").replace("-", "")
    if match := _UK.fullmatch(bare):
        return match[1]
    if len(bare) <= _POSTCODE_KEPT:
        return bare
    if not any(character.isdigit() for character in bare):
        return None
    return bare[: min(_POSTCODE_KEPT, (len(bare) + 1) // 2)]


def age(value: str) -> str | None:
    """The band of ten years that an age is in, `40-49`; `90+` from ninety."""
    text = value.strip()
    if _BAND.fullmatch(text):
        return text
    match = _AGE.fullmatch(text)
    if match is None or int(match[1]) > _OLDEST:
        return None
    years = int(match[1])
    decade = years // 10 * 10
    return f"{_OLDEST_BAND}+" if years >= _OLDEST_BAND else f"{decade}-{decade + 9}"


def network(value: str) -> str | None:
    """The network of an address in CIDR notation: /24 of IPv4, /48 of IPv6. A wider network is kept."""
    text = value.strip()
    if match := _V4.fullmatch(text):
        parts = [int(part) for part in match.groups()]
        return f"{parts[0]}.{parts[1]}.{parts[2]}.0/24" if max(parts) <= 255 else None
    try:
        subnet = ipaddress.ip_network(text.split("%")[0].strip("[]"), strict=False)
    except ValueError:
        return None
    if isinstance(subnet, ipaddress.IPv6Network):
        mapped = subnet.network_address.ipv4_mapped
        if mapped is not None:
            return network(str(mapped))
    length = min(subnet.prefixlen, 24 if subnet.version == 4 else 48)
    return str(subnet.supernet(new_prefix=length))


def place(value: str) -> str | None:
    """One to three coordinates in degrees, rounded to one decimal: about 11 km of latitude."""
    text = value.strip()
    if not _PLACE.fullmatch(text):
        return None
    if any(abs(float(number)) > _MOST_DEGREES for number in _NUMBERS.findall(text)):
        return None
    return _NUMBERS.sub(lambda number: f"{round(float(number[0]), 1) + 0.0:.1f}", text)


WAYS: dict[Generaliser, Callable[[str], str | None]] = {
    "date": year,
    "postcode": postcode,
    "age": age,
    "ip": network,
    "geo": place,
}


def generalise(values: pa.Array, way: Generaliser) -> pa.Array:
    """Generalise a column. Plain IPv4 addresses and coordinates are computed by Arrow, the rest value by value.

    Args:
        values: Strings without nulls.
        way: The generaliser.

    Returns:
        An array of the length and type of `values`, null where a value cannot be generalised.
    """
    if way == "ip":
        plain = pc.match_substring_regex(values, _PLAIN_V4)
        generalised = pc.replace_substring_regex(values, r"[0-9]+$", "0/24")
    elif way == "geo":
        plain = pc.match_substring_regex(values, _PLAIN_PLACE)
        generalised = _rounded(pc.if_else(plain, values, pa.scalar("0", values.type))).cast(values.type)
    else:
        return pa.array([WAYS[way](value) for value in values.to_pylist()], values.type)
    rest = pc.invert(plain)
    singly = [WAYS[way](value) for value in values.filter(rest).to_pylist()]
    return pc.replace_with_mask(generalised, rest, pa.array(singly, values.type))


def _rounded(values: pa.Array) -> pa.Array:
    text = pc.add(pc.round(values.cast(pa.float64()), 1), 0.0).cast(pa.string())
    return pc.if_else(pc.match_substring(text, "."), text, pc.binary_join_element_wise(text, ".0", ""))


def _century(digits: str) -> str:
    """The latest year with these last two digits that is not in the future."""
    now = date.today().year
    candidate = now // 100 * 100 + int(digits)
    return str(candidate if candidate <= now else candidate - 100)
