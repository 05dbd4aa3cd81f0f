"""`position(cell)`: whether a cell as a whole is a place on earth, in any of its notations.

Belongs here: notations of coordinates. Does not belong here: two plain numbers (`cells.py`), and coordinates in prose
(`text/`).
"""

import re

_NUMBER = r"[+-]?\d{1,3}(?:\.\d+)?"
_FINE = r"[+-]?\d{1,3}\.\d{2,}"
_DEGREES = (
    r"[NSEWO]?\s*\d{1,3}\s*(?:°|º|deg\b)\s*(?:\d{1,2}(?:[.,]\d+)?\s*['′’]\s*)?(?:\d{1,2}(?:[.,]\d+)?\s*(?:\"|″|”|''|′′)\s*)?"
    r"[NSEWO]?"
)
_NOTATIONS = tuple(
    re.compile(notation, re.IGNORECASE)
    for notation in (
        rf"(?=.*['′’\"″NSEWO]){_DEGREES}(?:[\s,;/]*{_DEGREES})?",
        rf"[NSEWO]\s*{_FINE}°?[\s,;]*[NSEWO]\s*{_FINE}°?|{_FINE}°?\s*[NSEWO][\s,;]*{_FINE}°?\s*[NSEWO]",
        rf"(?:SRID=\d+;)?\s*(?:MULTI)?(?:POINT|LINESTRING|POLYGON)\s*(?:Z|M|ZM)?\s*\(+[\s(]*{_NUMBER}\s+{_NUMBER}[\d\s.,()+-]*\)",
        rf"geo:{_NUMBER},{_NUMBER}(?:[,;].*)?",
        r"[+-]\d{2}(?:\d{2}){0,2}\.\d+[+-]\d{3}(?:\d{2}){0,2}\.\d+(?:[+-]\d+(?:\.\d+)?)?(?:CRS.*)?/",
        r"(?=.{8,})[23456789CFGHJMPQRVWX]{4,8}\+[23456789CFGHJMPQRVWX]{2,7}",
        r"///[^\W\d_]+\.[^\W\d_]+\.[^\W\d_]+",
        r"\d{1,2}[C-HJ-NP-X]\s?[A-HJ-NP-Z][A-HJ-NP-V]\s?(?:\d{2}\s?\d{2}|\d{3}\s?\d{3}|\d{4}\s?\d{4}|\d{5}\s?\d{5})",
        r"0101000020E6100000[0-9A-F]{32}",
        rf"https?://\S*(?:maps|openstreetmap|goo\.gl)\S*[@=/]{_FINE}[,/]{_FINE}\S*",
    )
)
"""Degrees, minutes and seconds; decimal degrees with letters; WKT and EWKT (OGC 06-103r4); geo URI (RFC 5870);
ISO 6709; plus codes; what3words; MGRS; a point of PostGIS in hexadecimal; links to maps."""
_GATE = re.compile(r"[°º,(+/:]|deg|^[NSEWO]\s*[\d+-]|^\d{1,2}[C-X]\s?[A-Z]{2}\s?\d|^0101000020", re.IGNORECASE)
_MEMBERS = re.compile(
    r"[\"'](?:lat|latitude|lng|lon|long|longitude|y|x)[\"']\s*:\s*[\"']?-?\d{1,3}\.\d{2,}"
    r"|[\"'](?:coordinates?|coords?|koordinaten|coordenadas|coordonnées|latlng|lnglat|geo(?:_?point)?|gps|position"
    r"|location|standort|ubicaci[oó]n)[\"']\s*:\s*[\s\[\"']*-?\d{1,3}\.\d{2,}\s*[,;]\s*-?\d{1,3}\.\d{2,}",
    re.IGNORECASE,
)


def position(cell: str) -> bool:
    """Whether the cell as a whole is a position."""
    return _GATE.search(cell) is not None and any(notation.fullmatch(cell) for notation in _NOTATIONS)


def position_within(cell: str) -> bool:
    """Whether a JSON document has coordinates in it."""
    return _MEMBERS.search(cell) is not None
