"""Digits that name something and measure nothing: numbers of customers, articles, accounts, phones, postcodes.

Belongs here: what header and values tell of that. Does not belong here: the other guesses (`infer.py`), and what
becomes of personal data (`pii/`).

A number would lose their zeros and signs, and two of them would become one; so they are text.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.pii.checks import luhn

_ID = re.compile(r"^(?:id|key|uuid|guid)$|_(?:id|key|uuid|guid)$")
_NUMBER_OF = (
    r"no|nr|num|number|nbr|code|ref|reference|identifier|ident|numero|numéro|número|codigo|código|codice|numer|kod"
)
_NAMED = re.compile(
    rf"[a-z]_(?:{_NUMBER_OF})$|(?:nummer|kennung|kennzeichen|schluessel|schlüssel|(?<=[a-z])(?:nr|code|number|numero|no))$"
    rf"|^(?:code|ref|reference|ident|identifier|numéro|codice|codigo|código)(?:_|$)|^(?:no|nr|numero|numer|kod)_[a-z]"
)
"""Words whose last part says that they name something, in some languages: `order_no`, `Kundennummer`."""

_KINDS = re.compile(
    r"(?:^|_)(?:zip|zipcode|postal|postcode|post_code|plz|postleitzahl|psc|pincode|cedex|phone|mobile|telephone|tel"
    r"|telefon|handy|fax|iban|bic|swift|ssn|vat|vatin|ein|tin|nip|pesel|regon|siret|siren|dni|nif|cpf|cnpj|bsn|ean|gtin"
    r"|isbn|issn|upc|sku|barcode|imei|imsi|iccid|vin|serial|version|release|wkn"
    r"|account|konto|cuenta|compte|card|passport|licence|license|plate|badge|icd|icd10|cpt|hcpcs|ndc|loinc|naics|sic|fips"
    r"|geoid|nuts|lei|cusip|isin|sedol|mcc|pnr)(?:_|$)|(?:plz|telefon|iban|isbn)$"
)
"""Words for such a thing itself, anywhere in a name."""

_QUANTITY = re.compile(
    r"(?:^|_)(?:amount|price|cost|fee|total|sum|subtotal|count|counts|qty|quantity|balance|salary|wage|pay|net|gross|tax|rate"
    r"|share|pct|percent|percentage|ratio|score|points|age|year|years|month|months|week|weeks|day|days|hour|hours|minute"
    r"|minutes|min|mins|second|seconds|sec|secs|ms|us|ns|time|timestamp|ts|epoch|duration|size|bytes|kb|mb|length|width"
    r"|height|depth|weight|distance|km|kg|meters|miles|speed|temperature|temp|pressure|volume|level|reading|value"
    r"|values|stand|votes|population|pop|seats|units|items|pages|calls|views|clicks|revenue|turnover|profit|sales|budget"
    r"|income|eur|usd|gbp|chf|cents|latitude|longitude|lat|lon|lng|row|line|page|seq|sequence|rank|position|index|limit"
    r"|jahr|monat|tag|stunde|menge|anzahl|betrag|preis|summe|gehalt|lohn|saldo|umsatz|stimmen|gewicht|alter|wert"
    r"|annee|année|mois|jour|montant|prix|quantite|quantité|solde|salaire|ano|año|mes|dia|importe|precio|cantidad|sueldo"
    r"|anno|mese|giorno|importo|prezzo|quantita|quantità|bedrag|prijs|aantal|kwota|cena|ilosc|ilość)(?:_|$)"
    r"|(?:gehalt|lohn|betrag|preis|menge|anzahl|stand|summe|jahr|monat|umsatz|saldo|gewicht|kosten|stimmen|wert)$"
)
"""Words for what is counted, measured or in order, in a name."""

_ENTITY = re.compile(
    r"meter|zaehler|zähler|sensor|device|geraet|gerät|station|machine|maschine|vehicle|fahrzeug|patient|customer|kunde|client"
    r"|account|konto|student|schueler|schüler|member|mitglied|user|employee|mitarbeiter|personal|product|produkt|item|sku"
    r"|artikel|article|shop|store|room|precinct|host|server"
)

_ONE_LENGTH, _OF_MANY, _MANY = 7, 5, 20
_FEWEST_CHECKED, _SHORTEST_CHECKED = 5, 8
_GS1_LENGTHS = (8, 12, 13, 14)


def snake(name: str) -> str:
    """A name in lower case, its words parted by `_`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"\W+", "_", parted).lower()


def names_id(name: str) -> bool:
    """Whether a column is named as an id: `id`, `customer_id`, `OrderKey`."""
    return bool(_ID.search(snake(name)))


def names_number(name: str) -> bool:
    """Whether a column is named as a number or code that something has: `order_no`, `Kundennummer`, `code`."""
    plain = snake(name)
    return bool(_NAMED.search(plain)) and not _QUANTITY.search(plain)


def names_entity(name: str) -> bool:
    """Whether a name is of something that events happen to again and again: a meter, a patient, an account."""
    return bool(_ENTITY.search(snake(name)))


def names_quantity(name: str) -> bool:
    """Whether a column is named as what is counted, measured, or gives an order."""
    return bool(_QUANTITY.search(snake(name)))


def is_named(name: str) -> bool:
    """Whether a name says that the digits below it name something."""
    plain = snake(name)
    return names_id(name) or names_number(name) or (bool(_KINDS.search(plain)) and not _QUANTITY.search(plain))


def look_named(name: str, digits: pa.Array) -> bool:
    """Whether whole numbers look as if they named something: all of one length, or with a check digit.

    Args:
        name: of the column; one that names a quantity is believed, unless all numbers have a check digit.
        digits: the distinct texts, trimmed.
    """
    if not len(digits) or not pc.all(pc.match_substring_regex(digits, "^[0-9]+$")).as_py():
        return False
    if len(digits) >= _FEWEST_CHECKED and all(map(_has_check_digit, digits.to_pylist())):
        return True
    lengths = pc.min_max(pc.utf8_length(digits))
    length = lengths["min"].as_py()
    if length != lengths["max"].as_py() or names_quantity(name) or len(digits) < 2:
        return False
    return length >= (_OF_MANY if len(digits) >= _MANY else _ONE_LENGTH)


def _has_check_digit(text: str) -> bool:
    """Whether the last digit is that of a card or IMEI (Luhn, ISO/IEC 7812-1), or a GTIN (GS1, weights 3 and 1)."""
    if len(text) < _SHORTEST_CHECKED:
        return False
    if len(text) in _GS1_LENGTHS:
        weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(text)))
        if weighted % 10 == 0:
            return True
    return luhn(text)
