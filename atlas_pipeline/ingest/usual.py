"""What a column's name tells of its values, beyond the sample: ranges that end, signs, closed lists, order in time.

Belongs here: words, in some languages, and the bounds that follow from what they mean. Does not belong here: what the
data holds (`infer.py`), and the checks that follow (`components/scaffold/contract.py`).
"""

import re
from decimal import Decimal
from typing import NamedTuple

from atlas_pipeline.ingest.identifiers import snake


class Span(NamedTuple):
    """A range that no value can leave, and what it is the range of."""

    low: int
    high: int
    of: str


def _named(*words: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|_)(?:{'|'.join(words)})(?:_|$)")


_SPANS = (
    (_named("percent", "percentage", "pct", "prozent", "humidity", "feuchte", "soc"), Span(0, 100, "percentages")),
    (_named("share", "ratio", "fraction", "probability", "anteil"), Span(0, 1, "parts of one")),
    (_named("lat", "latitude", "breite", "breitengrad"), Span(-90, 90, "latitudes")),
    (_named("lon", "lng", "long", "longitude", "laengengrad", "längengrad"), Span(-180, 180, "longitudes")),
    (re.compile(r"^(?:.*_)?(?:year|yr|jahr|annee|année|ano|año|anno)$|jahr$"), Span(1900, 2100, "years")),
    (re.compile(r"^(?:month|monat|mois|mes|mese)(?:_no|_nr|_number)?$"), Span(1, 12, "months")),
    (re.compile(r"^(?:quarter|quartal|qtr)$"), Span(1, 4, "quarters")),
    (re.compile(r"^(?:week|kw|iso_week|week_no|calendar_week)$"), Span(1, 53, "weeks of a year")),
    (re.compile(r"^(?:day|day_of_month|dom|tag)$"), Span(1, 31, "days of a month")),
    (re.compile(r"^(?:weekday|dow|day_of_week|wochentag)$"), Span(0, 7, "days of a week")),
    (re.compile(r"^(?:hour|hr|stunde|heure|hora)$"), Span(0, 24, "hours of a day")),
    (re.compile(r"^(?:minute|second|sekunde)$"), Span(0, 60, "parts of an hour or minute")),
    (_named("ph", "ph_value"), Span(0, 14, "pH")),
)

_SIGNED = re.compile(
    r"(?:^|_)(?:amount|balance|saldo|betrag|montant|importe|importo|bedrag|kwota|temp|temperature|temperatur|delta|change"
    r"|diff|difference|deviation|delay|verspaetung|verspätung|profit|loss|gain|margin|net|netto|result|ergebnis|altitude"
    r"|elevation|alt|offset|score|growth|adjustment|correction|discount|rabatt|tz|dewp|dew_point|power|current|flow"
    r"|position|x|y|z|value|wert|valeur|valor)(?:_|$)|(?:betrag|saldo|temperatur|wert)$"
)
"""Words for what may be below zero another day."""

_CLOSED = re.compile(
    r"(?:^|_)(?:status|state|type|typ|kind|art|category|kategorie|class|klasse|currency|waehrung|währung|devise|moneda|gender"
    r"|sex|geschlecht|level|priority|prioritaet|priorität|severity|channel|kanal|unit|einheit|method|mode|tier|segment"
    r"|weekday|wochentag|quarter|language|lang|sprache|size|flag|result|outcome|direction|richtung|stage|phase|grade|shift"
    r"|schicht|side|quality|payment|zahlungsart|fuel|position_type|tariff|tarif)(?:_|$)|(?:status|type|typ|art|klasse|class)$"
)
_OPEN = re.compile(
    r"(?:^|_)(?:name|names|title|titel|text|note|notes|comment|comments|remark|bemerkung|reason|grund|description"
    r"|beschreibung|subject|betreff|message|city|town|ort|stadt|ville|ciudad|country|land|pays|pais|region|district|bezirk"
    r"|street|strasse|straße|address|adresse|place|location|standort|site|store|shop|filiale|branch|room|raum|sensor|device"
    r"|geraet|gerät|meter|zaehler|zähler|station|user|customer|kunde|client|product|produkt|item|model|modell|brand|marke"
    r"|supplier|lieferant|vendor|publisher|verlag|author|autor|teacher|lehrer|doctor|arzt|physician|employee|driver|course"
    r"|kurs|team|party|partei|candidate|kandidat|ward|department|dept|abteilung|carrier|airline|host|server|ip|url|path"
    r"|file|account|konto|payee|counterparty|hotel|school|schule|job|role|beruf|diagnosis|diagnose|tag|tags|keyword"
    r"|purpose|zweck|merchant|version|browser|agent|source|origin|destination|dest)(?:_|$)|(?:name|ort|nummer)$"
)
"""Words for what gets new values as time goes on."""

_PLANNED = re.compile(
    r"(?:^|_)(?:due|faellig|fällig|valid|gueltig|gültig|expires|expiry|expiration|expire|until|bis|to|end|ends|ende|planned"
    r"|plan|scheduled|schedule|next|naechste|nächste|deadline|delivery|deliver|arrival|departure|check_in|check_out|checkin"
    r"|checkout|start|starts|begin|from|von|ab|effective|forecast|target|maturity|appointment|termin|event|return|value_date"
    r"|valuta|booking_for|renewal|term|semester)(?:_|$)"
)
"""Words for moments that may lie ahead."""

_ENDS = re.compile(
    r"(?:^|_)(?:closed?|resolved|shipped|delivered|completed?|finished|discharged?|returned|left|terminated|paid|cancelled"
    r"|canceled|refunded|deleted|ended|end|ende|bis|until|to|check_?out|entlassung|austritt|died|deceased|expired)(?:_|$)"
)
"""Words for what comes last, and is not there before."""

_ATTRIBUTE = re.compile(
    r"(?:^|_)(?:birth|birthday|born|dob|geboren|hired?|joined|since|seit|created|registered|registration|founded|signup"
    r"|signed_up|updated?|modified|changed|valid|gueltig|gültig|expires|expiry|opened)(?:_|$)|geburt|eintritt|birth"
)
"""Words for moments that something has once: rows with them are things, not events."""

_ORDERED = (
    (r"start(?:s|ed)?|begin|from|von", r"end(?:s|ed)?|ende|to|until|bis"),
    (r"admitted|admission|aufnahme", r"discharged?|entlassung"),
    (r"check_?in|arrival|anreise", r"check_?out|departure|abreise"),
    (r"opened|created|ordered|requested|submitted", r"closed|resolved|shipped|delivered|completed|finished"),
    (r"borrowed|loaned|lent|issued|checked_out", r"returned|due"),
    (r"valid_from", r"valid_to|valid_until"),
    (r"hired|joined", r"left|terminated"),
)


def span_of(name: str, least: Decimal, greatest: Decimal) -> Span | None:
    """The range that a name means, if the values seen are in it."""
    found = next((span for pattern, span in _SPANS if pattern.search(snake(name))), None)
    return found if found and found.low <= least and greatest <= found.high else None


def may_be_negative(name: str) -> bool:
    """Whether numbers of this name may be below zero, though none of the sample is."""
    return bool(_SIGNED.search(snake(name)))


def has_closed_list(name: str) -> bool | None:
    """Whether a column of this name has a list of values that is closed; null when the name does not tell."""
    plain = snake(name)
    if _CLOSED.search(plain):
        return True
    return False if _OPEN.search(plain) else None


def may_be_open(name: str) -> bool:
    """Whether a value of this name comes later than its row."""
    return bool(_ENDS.search(snake(name)))


def is_attribute(name: str) -> bool:
    """Whether a moment of this name belongs to a thing, as a birthday does, and is not that of an event."""
    return bool(_ATTRIBUTE.search(snake(name)))


def may_lie_ahead(name: str) -> bool:
    """Whether a moment of this name may be in the future."""
    return bool(_PLANNED.search(snake(name)))


def in_order(first: str, second: str) -> bool:
    """Whether by their names one moment does not come after another: admitted and discharged, start and end."""
    before, after = snake(first), snake(second)
    return any(
        _stem(before, start) == _stem(after, end) is not None
        for start, end in _ORDERED
        if _stem(before, start) is not None
    )


def _stem(name: str, words: str) -> str | None:
    """What is left of a name without one of the words; null when it has none."""
    found = re.search(rf"(?:^|_)(?:{words})(?=_|$)", name)
    if not found:
        return None
    rest = name[: found.start()] + name[found.end() :]
    return re.sub(r"(?:^|_)(?:at|on|date|time|datum|day|ts|timestamp)(?=_|$)", "", rest).strip("_")
