"""`cued_numbers(text)`: numbers of registers in text, each beside a word for its register and with a valid check digit.

Belongs here: the words, and where a number ends. Does not belong here: the registers (`known.py`), and what a whole
column proves (`proof.py`).
"""

import re
from collections.abc import Iterator
from functools import cache

from atlas_pipeline.pii.registers.known import REGISTERS, Register

_CUES = (
    ("nipt", "Albania NIPT"),
    ("cuit|cuil", "Argentina CUIT"),
    ("cbu", "Argentina CBU"),
    ("tfn|tax file", "Australia TFN"),
    ("medicare", "Australia Medicare|United States MBI"),
    ("svnr|sozialversicherungsnummer|sv-nr", "Austria SVNR|Germany pension insurance|Switzerland AHV"),
    ("rijksregisternummer|numéro national|registre national|insz|niss", "Belgium national number"),
    ("cpf", "Brazil CPF"),
    ("cnpj", "Brazil CNPJ"),
    ("pis|pasep", "Brazil PIS"),
    ("egn|егн", "Bulgaria EGN"),
    ("social insurance", "Canada SIN"),
    ("phn|personal health", "Canada BC health number"),
    ("rut", "Chile RUT|Uruguay"),
    ("身份证|身份證|居民身份证|citizen id|resident identity", "China identity number"),
    ("oib", "Croatia OIB"),
    ("rodné číslo|rodne cislo|rodného čísla|r\\.č", "Czech or Slovak birth number"),
    ("cpr", "Denmark CPR"),
    ("cédula|cedula", "Dominican Republic cédula|Ecuador CI|Uruguay"),
    ("isikukood", "Estonia"),
    ("henkilötunnus|hetu", "Finland HETU"),
    ("nir|sécurité sociale|securite sociale|n° sécu|sécu", "France NIR"),
    ("numéro fiscal|spi|identifiant fiscal", "France tax number"),
    ("steuer-?id|steueridentifikationsnummer|identifikationsnummer|idnr|tin", "Germany tax id"),
    ("krankenversichertennummer|versichertennummer|kvnr|kv-nummer", "Germany health insurance"),
    ("rentenversicherungsnummer|rvnr", "Germany pension insurance"),
    ("personalausweis|ausweisnummer|ausweis", "Germany identity card"),
    ("amka|αμκα", "Greece AMKA"),
    ("afm|αφμ", "Greece AFM"),
    ("hkid|hong kong id", "Hong Kong"),
    ("taj", "Hungary TAJ"),
    ("adóazonosító", "Hungary tax number"),
    ("kennitala", "Iceland kennitala"),
    ("aadhaar|aadhar|uidai", "India Aadhaar"),
    ("pan", "India PAN"),
    ("voter id|epic", "India voter"),
    ("gstin|gst", "India GSTIN"),
    ("nik|ktp", "Indonesia NIK"),
    ("pps|ppsn", "Ireland PPS"),
    ("teudat zehut|תעודת זהות|israeli id", "Israel identity number"),
    ("codice fiscale|c\\.f", "Italy codice fiscale"),
    ("partita iva|p\\.? ?iva", "Italy VAT of a trader"),
    ("my number|マイナンバー|個人番号", "Japan My Number"),
    ("iin|жсн|иин", "Kazakhstan IIN"),
    ("kra|kra pin", "Kenya PIN"),
    ("personas kods", "Latvia"),
    ("asmens kodas", "Lithuania"),
    ("nric|mykad", "Malaysia NRIC|Singapore"),
    ("curp", "Mexico CURP"),
    ("rfc", "Mexico RFC"),
    ("clabe", "Mexico CLABE"),
    ("bsn|burgerservicenummer|sofinummer", "Netherlands BSN"),
    ("ird", "New Zealand IRD"),
    ("nhi", "New Zealand NHI"),
    ("fødselsnummer|fodselsnummer|personnummer|fnr", "Norway|Sweden"),
    ("cnic", "Pakistan CNIC"),
    ("pesel", "Poland PESEL"),
    ("nip", "Poland NIP"),
    ("dowód osobisty|dowodu", "Poland identity card"),
    ("contribuinte|nif", "Portugal NIF|Spain DNI and NIE"),
    ("cartão de cidadão", "Portugal citizen card"),
    ("cnp|cod numeric personal", "Romania CNP"),
    ("инн", "Russia INN of a person"),
    ("снилс|snils", "Russia SNILS"),
    ("jmbg|emšo|emso", "Former Yugoslavia JMBG"),
    ("id number|identity number|sa id|id no", "South Africa|Turkey|Taiwan"),
    ("주민등록번호|resident registration", "South Korea"),
    ("dni|nie", "Spain DNI and NIE"),
    ("personnr|samordningsnummer", "Sweden"),
    ("ahv|avs|oasi", "Switzerland AHV"),
    ("身分證|統一編號", "Taiwan"),
    ("บัตรประชาชน|thai id", "Thailand"),
    ("t\\.?c\\.? kimlik|kimlik|tckn", "Turkey"),
    ("рнокпп|rntrc|іпн", "Ukraine RNTRC"),
    ("nhs", "United Kingdom NHS"),
    ("nino|national insurance|ni number", "United Kingdom NINO"),
    ("driving licence|driver number", "United Kingdom driving licence"),
    ("npi", "United States NPI"),
    ("mbi", "United States MBI"),
    ("dea", "United States DEA"),
    ("itin", "United States ITIN"),
    ("rif", "Venezuela RIF"),
    ("imei", "IMEI"),
    ("iccid|sim card", "SIM card"),
)
_WORDS = "|".join(sorted((words for words, _ in _CUES), key=len, reverse=True))
_LINK = (
    r"(?:[^\w\n]{0,3}(?:numbers?|num|no|nr|nº|n°|nummer|numero|número|numéro|num[eé]r|číslo|id|card|is|was|são|é|es|est|è|ist"
    r"|jest|er|är|of|de|del|von|van|da|für|for|号码|号|番号|は|是|번호|는|:)(?![^\W\d_]{2})){0,4}[^\w\n]{0,4}"
)
PREFILTER = rf"(?i:(?:^|[^A-Za-z])(?:{_WORDS})(?:[^A-Za-z][^\n]*)?[0-9])"
"""Matches, in RE2, all texts in which something is found, and others."""
_GROUPS = 7
_VALUE = re.compile(
    rf"(?=[^\n]{{0,12}}\d)[^\W_][\w()+-]*(?:[./-][\w()+-]+)*(?: (?=\S{{0,8}}\d)[\w()./+-]+){{0,{_GROUPS}}}"
)


@cache
def _cue() -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-zÀ-ÿ0-9])(?:{_WORDS})(?![A-Za-zÀ-ÿ]){_LINK}(?=[\w(])", re.IGNORECASE)


@cache
def _registers() -> tuple[tuple[re.Pattern[str], tuple[Register, ...]], ...]:
    by_name = {register.name: register for register in REGISTERS}
    return tuple(
        (re.compile(rf"(?:{words})", re.IGNORECASE), tuple(by_name[name] for name in names.split("|")))
        for words, names in _CUES
    )


def cued_numbers(text: str) -> Iterator[tuple[int, int, str]]:
    """Find numbers of registers beside a word for their register.

    Args:
        text: Clean text; see `normalise.clean`.

    Yields:
        Start, end and kind of each.
    """
    for cue in _cue().finditer(text):
        value = _VALUE.match(text, cue.end())
        if value is None:
            continue
        named = [registers for words, registers in _registers() if words.match(cue[0])]
        found = _longest(value[0], [register for registers in named for register in registers])
        if found:
            yield value.start(), value.start() + found[0], found[1]


def _longest(value: str, registers: list[Register]) -> tuple[int, str] | None:
    """How many of the groups make a number of one of the registers, as a length, and its kind."""
    ends = [match.start() for match in re.finditer(" ", value)] + [len(value)]
    for end in reversed(ends):
        written = value[:end].rstrip(".-/")
        plain = re.sub(r"[ ./-]", "", written)
        for register in registers:
            if register.passes(plain, written):
                return len(written), register.kind
    return None
