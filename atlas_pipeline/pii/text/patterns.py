"""Atlas's own patterns for prose: numbers, dates and secrets by their form or by the word before them.

Belongs here: patterns, their gates (what a text must hold before one is tried), and the validation of a match. Does
not belong here: names (`names.py`), places (`places.py`), Presidio's recognisers (`recognizers.py`), and which of two
results wins (`scanner.py`).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from atlas_pipeline.pii.checks import calendar_date, credit_card, digits_of, iban, ipv4, ipv6, social_security

_DIGIT = re.compile(r"\d")
_AT = re.compile(r"@|%40")
_SPELT = re.compile(r"(?i)\bdot\b")
_ANY = re.compile("")


@dataclass(frozen=True)
class Pattern:
    """One pattern. Its span is the group `v` if there is one, else the whole match.

    It is tried only if `gate` is found in the text, and a match counts only if `holds` is true of its span.
    """

    kind: str
    regex: re.Pattern[str]
    score: float = 0.8
    gate: re.Pattern[str] = _DIGIT
    holds: Callable[[str], bool] = bool


def pattern_results(text: str) -> Iterator[tuple[int, int, str, float]]:
    """Run the patterns whose gate is found in the text: start, end, kind, score."""
    open_gates = {gate for gate in _GATES if gate.search(text) is not None}
    for pattern in _PATTERNS:
        if pattern.gate not in open_gates:
            continue
        group = "v" if "v" in pattern.regex.groupindex else 0
        for match in pattern.regex.finditer(text):
            if pattern.holds(match[group]):
                yield *match.span(group), pattern.kind, pattern.score


def _phone(text: str) -> bool:
    digits = digits_of(text)
    if not 7 <= len(digits) <= 16 or len(set(digits)) < 2:
        return False
    return not (re.fullmatch(r"\s*\d{4}[-./]\d{1,2}[-./]\d{1,2}\s*", text) or _DATE_LIKE.fullmatch(text.strip()))


def _bare_card(text: str) -> bool:
    return 12 <= len(digits_of(text)) <= 19


_MONTHS = (
    "jan(?:uary|uar|vier|uari|uary)?|feb(?:ruary|ruar|ruari)?|f[ée]vrier|m[äa]rz|mar(?:ch|s|zo|t|ço)?|maart"
    "|apr(?:il|ile)?"
    "|avril|abril|may|mai|mei|mayo|maggio|maio|june?|juni|juin|junio|giugno|junho|july?|juli|juillet|julio|luglio"
    "|julho"
    "|aug(?:ust|ustus)?|ao[ûu]t|agosto|sep(?:t|tember|tembre|tiembre)?|settembre|setembro|o[ck]t(?:ober|obre)?|octubre"
    "|ottobre|outubro|nov(?:ember|embre|iembre)?|novembro|de[cz](?:ember)?|d[ée]cembre|diciembre|dicembre|dezembro"
    "|enero|febrero|gennaio|febbraio|janeiro|fevereiro|stycznia|lutego|marca|kwietnia|maja|czerwca|lipca|sierpnia"
    "|września|października|listopada|grudnia"
)
_DATE_LIKE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})|\d{4}[./-]\d{1,2}[./-]\d{1,2}")
_TIME = r"(?:,? ?(?:at )?[T ]?\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp]\.?[Mm]\b\.?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
_DAY = r"(?:\b(?:mon|tues?|wednes|thurs?|fri|satur|sun)day,? )?"
_ORDINAL = r"\d{1,2}(?:st|nd|rd|th|er|\.)?"
_NUMERIC_DATE = (
    r"(?<![A-Za-z0-9_./:-])(?:\d{4}-\d{1,2}-\d{1,2}|\d{4}/\d{1,2}/\d{1,2}|\d{4}\.\d{1,2}\.\d{1,2}"
    r"|\d{1,2}-\d{1,2}-(?:\d{4}|\d{2})"
    r"|\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})|\d{1,2}\.\d{1,2}\.\d{4}|\d\d\.\d\d\.\d\d)"
)
_WORDED_DATE = (
    rf"(?:{_ORDINAL}[ -](?:of |de |di )?(?:{_MONTHS})\b(?:\.(?=,? ?\d))?(?:,? ?(?:de |of |del )?-?(?:\d{{4}}"
    rf"|'\d\d|\d\d(?!\d|:)))?"
    rf"|(?:{_MONTHS})\b\.? \d{{1,2}}(?:st|nd|rd|th)?\b(?:,? \d{{4}})?|(?:{_MONTHS})\b\.?,? (?:of )?(?:19|20)\d\d)"
)
_BORN = (
    r"(?i:\bborn|\bbirth\w*|\bd\.?o\.?b\b|\bb-?day|geboren|geburt\w*|\bgeb\.|\bné[e]?\b|naissance|nacid[oa]"
    r"|nacimiento|\bnat[oa]\b|nascit[ao]|urodz\w+|geboorte\w*|nascimento)"
)

_CUE_LINK = (
    r"(?:\s*(?:number|no\.?|num(?:ber)?|nr\.?|nummer|numero|número|numéro|id|code|#|card|is|ist|es|est"
    r"|was|of|:|=|-|–|\"|')){0,4}\s*[\"']?"
)


def _cued(words: str, value: str) -> re.Pattern[str]:
    return re.compile(rf"(?i:\b(?:{words})){'(?i:' + _CUE_LINK + ')'}(?P<v>{value})")


_LOGIN = r"[a-z][a-z._-]{1,20}\d[a-z0-9._-]{0,20}\b"
_ID_VALUE = r"(?=[\w./ -]{0,14}\d)[A-Za-z0-9](?:[A-Za-z0-9]|[-./](?=[A-Za-z0-9])| (?=\d)){3,24}"
_PATTERNS = (
    Pattern(
        "EMAIL_ADDRESS",
        re.compile(
            r"(?<![\w.+'&-])[^\W_](?:[\w.+'&-]|%2[Bb]){0,80}(?:@|%40)(?:[\w-]+(?:\.[\w-]+)+|localhost\b)", re.UNICODE
        ),
        1.0,
        _AT,
    ),
    Pattern(
        "EMAIL_ADDRESS",
        re.compile(r"\b[\w.+-]+ ?(?:\(at\)|\[at\]| at ) ?[\w-]+ ?(?:\(dot\)|\[dot\]| dot ) ?\w{2,6}\b", re.I),
        0.7,
        _SPELT,
    ),
    Pattern("USERNAME", re.compile(r"(?<![A-Za-z0-9_@.%/])@[A-Za-z_][\w.]{2,30}\b"), 0.6, _AT),
    Pattern(
        "URL",
        re.compile(r"\b(?:https?|ftp)://[^\s<>\"'）」]+[^\s<>\"'.,;:!?)\]]|\bwww\.[\w-]+\.[^\s<>\"']+[\w/]"),
        0.6,
        _ANY,
    ),
    Pattern(
        "IBAN_CODE",
        re.compile(
            r"(?<![A-Za-z0-9_-])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}"
            r"(?:[ -]?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9_-])"
        ),
        1.0,
        holds=iban,
    ),
    Pattern("IBAN_CODE", _cued("iban|konto(?:nummer)?", r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}"), 0.8),
    Pattern(
        "CREDIT_CARD", re.compile(r"(?<![A-Za-z0-9_.-])\d(?:[ -]?\d){11,18}(?![A-Za-z0-9_-])"), 1.0, holds=credit_card
    ),
    Pattern(
        "CREDIT_CARD",
        _cued(
            r"(?:credit|debit|payment)?\s*card|cc|visa|mastercard|amex|discover|kreditkarte|carte|tarjeta",
            r"\d(?:[ -]?\d){11,18}",
        ),
        0.8,
        holds=_bare_card,
    ),
    Pattern(
        "US_SSN", re.compile(r"(?<![A-Za-z0-9_.-])\d{3}[- ]\d{2}[- ]\d{4}(?![A-Za-z0-9_-])"), 0.9, holds=social_security
    ),
    Pattern("US_SSN", _cued(r"ssn|social security(?: number)?|social", r"\d{3}[- ]?\d{2}[- ]?\d{4}\b"), 0.9),
    Pattern(
        "IP_ADDRESS",
        re.compile(
            r"(?<![A-Za-z0-9_.-])(?<!version )(?<!firmware )(?<!release )"
            r"(?<!build )\d{1,3}(?:\.\d{1,3}){3}(?![A-Za-z0-9_-]|\.\d)"
        ),
        0.9,
        holds=ipv4,
    ),
    Pattern(
        "IP_ADDRESS",
        re.compile(r"(?<![A-Za-z0-9_.:-])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){3,7}(?![A-Za-z0-9_:])"),
        0.9,
        holds=ipv6,
    ),
    Pattern(
        "MAC_ADDRESS",
        re.compile(r"(?<![A-Za-z0-9_:-])[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4}(?![A-Za-z0-9_:-])"),
        0.9,
    ),
    Pattern("DATE_OF_BIRTH", re.compile(rf"{_BORN}\D{{0,40}}?(?P<v>{_NUMERIC_DATE}|(?i:{_WORDED_DATE}))"), 0.9),
    Pattern("DATE_OF_BIRTH", re.compile(rf"(?P<v>{_NUMERIC_DATE}|(?i:{_WORDED_DATE})) (?:geboren|born)"), 0.9),
    Pattern(
        "DATE_TIME",
        re.compile(rf"{_NUMERIC_DATE}(?![A-Za-z0-9_/-]|\.\d)(?:{_TIME})|(?<!^){_NUMERIC_DATE}T\d\d:\d\d[\d:.+Z-]*"),
        0.6,
        holds=calendar_date,
    ),
    Pattern("DATE_TIME", re.compile(rf"(?i:{_DAY}\b{_WORDED_DATE}{_TIME})"), 0.6),
    Pattern(
        "AGE",
        re.compile(
            r"(?i)\b\d{1,3}[ -]?(?:years?|yrs?|months?)[ -]old\b|\b\d{1,3} ?(?:y/o|yo|y\.o\.)(?!\w)"
            r"|\b\d{1,3} (?:jahre alt|ans\b|años|anni\b|jaar oud|lat\b)"
        ),
        0.7,
    ),
    Pattern(
        "AGE",
        re.compile(
            r"(?i)\b(?:aged?(?: of)?|turn(?:ed|s|ing)?|age:|alter:?|edad:?|âge:?|he's|she's|i'm"
            r"|i am)\s+(?P<v>\d{1,3})\b(?!\s*(?:%|[a-z]))(?![.,]\d)"
        ),
        0.7,
    ),
    Pattern("AGE", re.compile(r"(?i)\b(?:when|since) \w+ (?:was|were) (?P<v>\d{1,2})\b(?! ?%)"), 0.6),
    Pattern(
        "PHONE_NUMBER",
        re.compile(
            r"(?<![A-Za-z0-9_.@#/:=+*-])(?:\+|00(?!\d{12,}))\d{1,3}(?:[ ./-]{0,2}\(?\d{1,5}\)?){2,6}(?:\s?(?:x"
            r"|ext\.?)\s?\d{1,6})?(?![A-Za-z0-9_@*])"
        ),
        0.9,
        holds=_phone,
    ),
    Pattern(
        "PHONE_NUMBER",
        re.compile(
            r"(?<![A-Za-z0-9_.@#/=+*-])(?:\d{1,3}[ .-])?\(0?\d{1,5}\)[ ./-]?\d{2,5}"
            r"(?:[ ./-]?\d{2,5}){1,4}(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?![A-Za-z0-9_@*])"
        ),
        0.9,
        holds=_phone,
    ),
    Pattern(
        "PHONE_NUMBER",
        re.compile(
            r"(?<![A-Za-z0-9_.@#/:=+*,-])(?:0\d{1,5}|\d{3})(?:[ ./-]\d{2,5}){2,5}(?:\s?(?:x"
            r"|ext\.?)\s?\d{1,6})?(?![A-Za-z0-9_@*]|[-/:.,]\d)"
        ),
        0.75,
        holds=_phone,
    ),
    Pattern(
        "PHONE_NUMBER",
        re.compile(
            r"(?<![A-Za-z0-9_.@#/:=+*,-])0\d{2,4}[-/ ]\d{5,8}(?![A-Za-z0-9_@*]|[-/:.,]\d)"
            r"|(?<![A-Za-z0-9_.@#/:=+*,-])\d{3}[.-]\d{4}(?:\s?x\s?\d+)?(?![A-Za-z0-9_-]|[.,]\d)"
        ),
        0.65,
        holds=_phone,
    ),
    Pattern(
        "PHONE_NUMBER",
        re.compile(
            r"(?i:\b(?:phone|tel|telephone|telefon\w*|téléphone|teléfono|telefono|mobile?|mob|cell(?:phone)?"
            r"|handy|call|text|sms|fax|whatsapp|ring|desk|(?:contact|my|new|old|his|her|their|our|home|work"
            r"|office) (?:number|no\.|nr\.?|numero|numéro|número|nummer))\b)\.?[^\d\n+(.\u00a4]{0,30}"
            r"(?<![A-Za-z0-9-])(?P<v>[+(]?\d[\d ()./-]{5,18}\d(?:\s?(?:x|ext\.?)\s?\d{1,6})?)(?![A-Za-z0-9_*])"
        ),
        0.7,
        holds=_phone,
    ),
    Pattern(
        "PHONE_NUMBER",
        re.compile(
            r"(?i:\b(?:calling|call(?: me)?(?: (?:at|on))?|reach(?:ed)?(?: \w+)? (?:at|on)|answering at"
            r"|messages? to|texting|"
            r"dial|registered|unter|au|al)) (?P<v>\d[\d ()/-]{5,16}\d)(?![A-Za-z0-9_*]|[.,:]\d)"
        ),
        0.6,
        holds=_phone,
    ),
    Pattern(
        "PHONE_NUMBER",
        re.compile(
            r"(?<![A-Za-z0-9_.@#/:=+*,$€£-])(?<![$€£] )(?:\d{2} \d{3} \d{3,4}(?: \d{2,4})?|\d{2}(?: \d{2,3}){3}"
            r"|\d{2} \d{6}"
            r"|\d{3} \d{4}|\d{2}-\d{3}-\d{2,4}(?:-\d{2})?)"
            r"(?![A-Za-z0-9_@*]|[-/:.,]\d| \d|(?i: ?(?:[€$£%]|eur|usd|gbp|pln|sek|kr|zł|km|kg|ml|mg|units?|rows"
            r"|people|users)\b))"
        ),
        0.55,
        holds=_phone,
    ),
    Pattern(
        "PHONE_NUMBER",
        re.compile(r"(?m:^|(?<=\())\d{2,4}[ -]\d[\d -]{3,12}\d(?=[ \t]*(?m:$)|\))"),
        0.6,
        holds=_phone,
    ),
    Pattern(
        "ZIPCODE",
        _cued(
            r"zip(?: ?code)?|post(?:al)? ?code|plz|postleitzahl|code postal|cap|código postal",
            r"[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}\b|[A-Z]\d[A-Z] ?\d[A-Z]\d\b|\d{4,6}(?:-\d{3,4})?\b|\d{4} ?[A-Z]{2}\b",
        ),
        0.8,
    ),
    Pattern(
        "ZIPCODE",
        re.compile(
            r"\b(?:GIR 0AA|[A-PR-UWYZ][A-HK-Y]?\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{2})\b"
            r"|\b[ABCEGHJ-NPRSTVXY]\d[A-Z] \d[A-Z]\d\b"
        ),
        0.7,
    ),
    Pattern("PASSPORT", _cued("passport|reisepass|passeport|pasaporte|passaporto|paszport", _ID_VALUE), 0.8),
    Pattern(
        "DRIVER_LICENSE",
        _cued(
            r"driv(?:er|ers|er's|er’s|ing)[' ]*licen[sc]e|dl|führerschein|permis(?: de conduire)?|licen[sc]e", _ID_VALUE
        ),
        0.8,
    ),
    Pattern(
        "NATIONAL_ID",
        _cued(
            r"national (?:id|insurance)|nino|personalausweis|aadhaar|pesel|nif|nie|dni|bsn|personnummer"
            r"|identity card|id card|employee|student|staff|badge",
            _ID_VALUE,
        ),
        0.7,
    ),
    Pattern(
        "HEALTH_ID",
        _cued(
            r"mrn|medical record|patient(?: id)|nhs|medicare|medicaid|health (?:plan|card|insurance)|insurance"
            r"|member(?:ship)?(?: id)|beneficiary|policy",
            _ID_VALUE,
        ),
        0.7,
    ),
    Pattern("TAX_ID", _cued(r"tax|tin|itin|ein|steuer-?id|steuernummer|codice fiscale|vat", _ID_VALUE), 0.7),
    Pattern(
        "ACCOUNT_NUMBER",
        _cued(
            r"account|acct|a/c|routing|sort code|konto|bank account|compte|cuenta|conto|swift|bic",
            r"(?=[\w./ -]{0,14}\d)[A-Za-z0-9](?:[A-Za-z0-9]|[-./ ](?=\d)){4,24}",
        ),
        0.7,
    ),
    Pattern(
        "VEHICLE_ID",
        _cued(
            r"vin|license plate|licence plate|number plate|plate|kennzeichen|registration",
            r"(?=[\w -]{0,8}\d)[A-Z0-9](?:[A-Z0-9]|[- ](?=[A-Z0-9])){3,17}",
        ),
        0.7,
    ),
    Pattern("DEVICE_ID", _cued(r"imei|serial|device id|meid", _ID_VALUE), 0.7),
    Pattern(
        "GEO_COORDINATES",
        re.compile(
            r"(?<![A-Za-z0-9_.])-?\d{1,2}\.\d{3,},\s*-?\d{1,3}\.\d{3,}|\d{1,2}°\d{1,2}['′][\d.]*[\"″]?[NS],?"
            r" \d{1,3}°\d{1,2}['′][\d.]*[\"″]?[EW]"
        ),
        0.7,
    ),
    Pattern("CRYPTO", re.compile(r"\b0x[0-9a-fA-F]{40}\b|\bbc1[a-z0-9]{25,60}\b"), 0.9),
    Pattern(
        "SECRET",
        re.compile(
            r"(?i:\b(?:password|passwd|passcode|pwd|passwort|mot de passe|contraseña|secret|api[ _-]?key|token"
            r"|pin|cvv|cvc|otp))(?i:\s*(?:code|is|ist|:|=|\"|')){1,4}\s*[\"']?(?P<v>(?=\S*[\d!@#$%^&*])[^\s\"',;<"
            r">]{3,64})"
        ),
        0.8,
        _ANY,
    ),
    Pattern(
        "SECRET",
        re.compile(
            r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}|sk-[\w-]{16,}|xox[bap]-[\w-]{10,}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]+)"
        ),
        0.9,
    ),
    Pattern("AGE", re.compile(r"(?<=[^\W\d_]), (?P<v>\d{2})(?=, (?:of|from|an?|the|who|was|is|has|and)\b)"), 0.6),
    Pattern("USERNAME", re.compile(r"(?i:\b(?:user|usr|uid|login|username))=(?P<v>[\w.@-]{3,40})"), 0.6, _ANY),
    Pattern("USERNAME", re.compile(rf"(?i:\b(?:user|login|account|logged in as)) (?P<v>{_LOGIN})"), 0.6),
    Pattern("USERNAME", re.compile(rf"\b(?:for|by|as) (?P<v>{_LOGIN}) (?:from|logged|failed)\b"), 0.6),
    Pattern(
        "EMAIL_ADDRESS",
        re.compile(r"(?i:\b[\w.+-]{2,60}@(?:gmail|yahoo|hotmail|outlook|icloud|aol|gmx|proton|live|web)\b(?!\.\w))"),
        0.7,
        _AT,
    ),
    Pattern(
        "USERNAME",
        re.compile(
            r"(?i:\b(?:user ?name|user ?id|login|benutzername|nom d'utilisateur|usuario|screen name|handle"
            r"|nickname)\b)(?i:\s*(?:is|ist|:|=|\"|')){1,3}\s*[\"']?(?P<v>[\w.@-]{3,40})"
        ),
        0.7,
        _ANY,
    ),
)
_GATES = {pattern.gate for pattern in _PATTERNS}
