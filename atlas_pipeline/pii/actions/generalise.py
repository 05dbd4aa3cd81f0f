"""Values made coarser: a date's year, the front of a postcode, a band of ages, a network, a rounded place.

Belongs here: one function for each way, of one value's text; each leaves what it made itself as it is, and answers None
for what it cannot make coarser. Does not belong here: which kind is generalised how (`kinds.py`).
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
    """A date, with or without a time, in any of many formats, as its year; a year stays."""
    text = value.strip()
    for pattern in _FULL_DATES:
        if found := pattern.fullmatch(text):
            return found[1]
    if found := _SHORT_DATE.fullmatch(text):
        return _century(found[1])
    if any(_MONTH.match(word) for word in _WORDY_DATE.findall(text)):
        years = _WORDY_YEAR.findall(text)
        if len(years) == 1:
            return str(years[0])
        if not years and (short := _WORDY_SHORT_YEAR.search(text)):
            return _century(short[1])
    return None


def postcode(value: str) -> str | None:
    """A British outward code, else the first half without spaces, at most three characters: 902 of 90210."""
    text = re.sub(r"\.0+$", "", value.strip().upper())
    if not _POSTCODE.fullmatch(text):
        return None
    bare = text.replace(" ", "").replace("-", "")
    if found := _UK.fullmatch(bare):
        return found[1]
    if len(bare) <= _POSTCODE_KEPT:
        return bare
    if not any(character.isdigit() for character in bare):
        return None
    return bare[: min(_POSTCODE_KEPT, (len(bare) + 1) // 2)]


def age(value: str) -> str | None:
    """An age as a band of ten years, `40-49`; `90+` from ninety."""
    text = value.strip()
    if _BAND.fullmatch(text):
        return text
    found = _AGE.fullmatch(text)
    if found is None or int(found[1]) > _OLDEST:
        return None
    years = int(found[1])
    decade = years // 10 * 10
    return f"{_OLDEST_BAND}+" if years >= _OLDEST_BAND else f"{decade}-{decade + 9}"


def network(value: str) -> str | None:
    """An address as its network: /24 of IPv4, /48 of IPv6; a network that is wider stays."""
    text = value.strip()
    if found := _V4.fullmatch(text):
        parts = [int(part) for part in found.groups()]
        return f"{parts[0]}.{parts[1]}.{parts[2]}.0/24" if max(parts) <= 255 else None
    try:
        found_network = ipaddress.ip_network(text.split("%")[0].strip("[]"), strict=False)
    except ValueError:
        return None
    if isinstance(found_network, ipaddress.IPv6Network):
        mapped = found_network.network_address.ipv4_mapped
        if mapped is not None:
            return network(str(mapped))
    length = min(found_network.prefixlen, 24 if found_network.version == 4 else 48)
    return str(found_network.supernet(new_prefix=length))


def place(value: str) -> str | None:
    """A coordinate, or two, with one decimal: about ten kilometres."""
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
    """Values without nulls made coarser, null where that cannot be; the plainest forms of the most distinct at once."""
    if way == "ip":
        plain = pc.match_substring_regex(values, _PLAIN_V4)
        done = pc.replace_substring_regex(values, r"[0-9]+$", "0/24")
    elif way == "geo":
        plain = pc.match_substring_regex(values, _PLAIN_PLACE)
        done = _rounded(pc.if_else(plain, values, pa.scalar("0", values.type))).cast(values.type)
    else:
        return pa.array([WAYS[way](value) for value in values.to_pylist()], values.type)
    rest = pc.invert(plain)
    coarser = [WAYS[way](value) for value in values.filter(rest).to_pylist()]
    return pc.replace_with_mask(done, rest, pa.array(coarser, values.type))


def _rounded(values: pa.Array) -> pa.Array:
    text = pc.add(pc.round(values.cast(pa.float64()), 1), 0.0).cast(pa.string())
    return pc.if_else(pc.match_substring(text, "."), text, pc.binary_join_element_wise(text, ".0", ""))


def _century(digits: str) -> str:
    """The year of two digits: not in the future."""
    now = date.today().year
    candidate = now // 100 * 100 + int(digits)
    return str(candidate if candidate <= now else candidate - 100)
