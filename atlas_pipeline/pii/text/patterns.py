"""Atlas's own patterns for prose: numbers, dates and secrets by their form or by the word before them.

Belongs here: patterns, their gates (what a text must hold before one is tried), and the validation of a match. Does
not belong here: names (`names.py`), places (`places.py`), Presidio's recognisers (`recognizers.py`), and which of two
results wins (`scanner.py`).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from atlas_pipeline.pii.checks import calendar_date, credit_card, digits_of, iban, ipv4, ipv6, nir, social_security
from atlas_pipeline.pii.gazetteer import fold
from atlas_pipeline.pii.secrets import RANDOM_NEAR_CUE, SECRET_CUES, SECRET_FORMS, random_looking, secret_value
from atlas_pipeline.pii.text.gates import (
    AT_SIGN,
    BRACKETED_AT,
    COLON_AA,
    COLONS,
    DIGIT,
    DIGITS_4,
    DIGITS_7,
    DIGITS_9,
    DIGITS_12,
    DOLLAR,
    LINK,
    word_gate,
)
from atlas_pipeline.pii.text.words import is_common

Result = tuple[int, int, str, float]


@dataclass(frozen=True)
class Pattern:
    """One pattern. Its span is the group `v` if there is one, else the whole match.

    It is tried only if all of its `gates` are open. A match counts only if `accepts` is true of its span, and if the 40
    characters before it do not match `not_after`.
    """

    kind: str
    regex: re.Pattern[str]
    score: float = 0.8
    gates: int = DIGIT
    accepts: Callable[[str], bool] = bool
    not_after: re.Pattern[str] | None = None


def pattern_results(text: str, gates: int) -> Iterator[Result]:
    """Run the patterns whose gates are open.

    Args:
        text: Clean text; see `normalise.clean`.
        gates: The open gates; see `gates.open_gates`.

    Yields:
        Start, end, kind and score of each result.
    """
    for pattern in _PATTERNS:
        if pattern.gates & gates == pattern.gates:
            yield from _matches(text, pattern)
    if gates & _SECRET_GATES:
        for pattern, gate in _SECRETS:
            if gate.search(text) is not None:
                yield from _matches(text, pattern)


def _matches(text: str, pattern: Pattern) -> Iterator[Result]:
    group = "v" if "v" in pattern.regex.groupindex else 0
    for match in pattern.regex.finditer(text):
        before = text[max(0, match.start(group) - 40) : match.start(group)]
        if pattern.accepts(match[group]) and not (pattern.not_after and pattern.not_after.search(before)):
            yield *match.span(group), pattern.kind, pattern.score


def phones_after_names(text: str, results: Sequence[Result]) -> Iterator[Result]:
    """Bare numbers of ten digits, as North America has them, that follow a person's name: start, end, kind, score.

    Args:
        text: Clean text; see `normalise.clean`.
        results: What the other recognisers found in it.
    """
    for _, end, kind, _ in results:
        if kind == "PERSON" and (match := _NUMBER_AHEAD.match(text, end)) is not None:
            yield *match.span("v"), "PHONE_NUMBER", 0.6


_NUMBER_AHEAD = re.compile(r"[ ,;:|(\t]{1,3}(?P<v>1?[2-9]\d{2}[2-9]\d{6})(?![\w%]|[.,-]\d)")


def _is_phone_number(text: str) -> bool:
    number = _EXTENSION.split(text.strip())[0]
    digits, groups = digits_of(number), re.findall(r"\d+", number)
    if not 7 <= len(digits) <= 16 or len(set(digits)) < 2 or _DATE_LIKE.fullmatch(number) or _is_time_range(groups):
        return False
    return number.startswith(("+", "(", "00")) or not _is_arithmetic_series(groups)


def _is_time_range(groups: list[str]) -> bool:
    """Whether it is a span of time such as 0900-1700."""
    return len(groups) == 2 and all(
        len(group) == 4 and int(group[:2]) <= 24 and group[2:] in ("00", "15", "30", "45") for group in groups
    )


def _is_arithmetic_series(groups: list[str]) -> bool:
    """Whether the numbers are a list with even steps, such as 100 200 300."""
    if len(groups) < 4:
        return False
    steps = {int(right) - int(left) for left, right in pairwise(groups)}
    return len(steps) == 1 and steps != {0}


def _has_card_length(text: str) -> bool:
    return 12 <= len(digits_of(text)) <= 19


_EXTENSION = re.compile(r"(?i)\s?(?:x|ext\.?)\s?(?=\d{1,6}$)")
_VERSION_CONTEXT = re.compile(
    r"(?i)(?:\b(?:version|versión|versione|ver|v|rv|rev|revision|firmware|release|build|sdk|section|chapter|clause"
    r"|kapitel"
    r"|abschnitt|artikel|article|step|rule)s?\b\.?[ :=#]*(?:\w+ )?|§ ?|[a-z]/)$"
)
_ISSUE_CONTEXT = re.compile(
    r"(?i)\b(?:tokens?|jeton|keys?|schlüssel|clave|clé|chiave|certificates?|zertifikat|certificado|certificato"
    r"|certificat|licen[sc]es?|lizenz|releases?|versions?|versión|versione|build|schema|model|index|image|backup"
    r"|release"
    r"|snapshot|package|paket|branch|tag|policy|contract|secret|cache|dataset|table|report)\b (?:(?:was|were|is|wurde"
    r"|ist|a été|fue|è stato|id|nr) )?(?:[^\W\d_]+(?:ed|et|ert|llt|elt|elé|ado|ido|ato|uto|esso|é|és|es|is|ires"
    r"|until|on|from|of) ){1,2}(?:on |am |le |el |il )?$"
)
_SHARED_HOMES = (
    "public|default|shared|all users|guest|app|apps|user|users|ubuntu|debian|ec2-user|root|admin|administrator|runner"
    "|runneradmin|node|www|www-data|git|jenkins|docker|vagrant|deploy|service|data|airflow|dagster|postgres|linuxbrew"
)
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
_WEEKDAY = r"(?:\b(?:mon|tues?|wednes|thurs?|fri|satur|sun)day,? )?"
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
_BIRTH_CUE = (
    r"(?i:\bborn|\bbirth\w*|\bd\.?o\.?b\b|\bb-?day|geboren|geburt\w*|\bgeb\.|\bné[e]?\b|naissance|nacid[oa]"
    r"|nacimiento|\bnat[oa]\b|nascit[ao]|urodz\w+|geboorte\w*|nascimento)"
)

_BIRTH_GATE = word_gate(
    "born birth dob =d =b bday geboren geburt geb né naissance nacid nacimiento nat nascit urodz geboorte nascimento"
)

_CUE_LINK = (
    r"(?:\s*(?:(?:number|no\.?|num(?:ber)?|nr\.?|nummer|numero|número|numéro|id|code|card|is|ist|es|est|was|of)(?!\w)"
    r"|[#:=–-]|\\?[\"'])){0,4}\s*\\?[\"']?"
)


def _after_cue(words: str, value: str) -> re.Pattern[str]:
    return re.compile(rf"(?i:\b(?:{words})(?!\w)){'(?i:' + _CUE_LINK + ')'}(?<!\w)(?P<v>{value})")


_KEY_STEMS = (
    "pass pwd kennwort mot contraseña palabra parola wachtwoord hasło senha secret api access client private"
    " auth signing"
    " encryption token =pin cvv cvc otp"
)
_CODE_STEMS = (
    "otp one verification security confirmation login auth access =fa mfa sms best sicherheits freigabe zugangs einmal"
    " tan mtan =m code código codice cvv cvc cvn your ihr dein votre ton su tu seu =il"
)
_MONTH_STEMS = (
    "jan feb fév mar mär maa apr avr abr may mai mei mag jun jui jul giu lug aug aoû aou ago sep set oct okt"
    " out ott nov"
    " dec dez déc dic des ene fev gen sty lut kwi maj cze lip sie wrz paź lis gru"
)

_PATTERNS = (
    Pattern(
        "EMAIL_ADDRESS",
        re.compile(
            r"(?<![\w.+&-])(?<!\w')[^\W_](?:[\w.+'&-]|%2[Bb]){0,80}(?:@|%40)(?:[\w-]+(?:\.[\w-]+)+|localhost\b)"
        ),
        1.0,
        AT_SIGN,
    ),
    Pattern(
        "EMAIL_ADDRESS",
        re.compile(r"\b[\w.+-]+ ?(?:\(at\)|\[at\]| at ) ?[\w-]+ ?(?:\(dot\)|\[dot\]| dot ) ?\w{2,6}\b", re.I),
        0.7,
        word_gate("=dot"),
    ),
    Pattern(
        "EMAIL_ADDRESS",
        re.compile(r"(?i)(?<![\w.+-])[a-z0-9][\w.+-]{0,80} ?[\[({]at[\])}] ?(?:[\w-]+\.)+[a-z]{2,24}\b"),
        0.7,
        BRACKETED_AT,
    ),
    Pattern("USERNAME", re.compile(r"(?<![A-Za-z0-9_@.%/\u00a4])@[A-Za-z_][\w.]{2,30}\b"), 0.6, AT_SIGN),
    Pattern(
        "URL",
        re.compile(r"\b(?:https?|ftp)://[^\s<>\"'）」]+[^\s<>\"'.,;:!?)\]]|\bwww\.[\w-]+\.[^\s<>\"']+[\w/]"),
        0.6,
        LINK,
    ),
    Pattern(
        "IBAN_CODE",
        re.compile(
            r"(?<![A-Za-z0-9_-])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}"
            r"(?:[ -]?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9_-])"
        ),
        1.0,
        DIGITS_7,
        iban,
    ),
    Pattern(
        "IBAN_CODE",
        _after_cue("iban|konto(?:nummer)?", r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}"),
        0.8,
        DIGIT | word_gate("iban konto"),
    ),
    Pattern(
        "CREDIT_CARD",
        re.compile(r"(?<![A-Za-z0-9_.-])\d(?:[ -]?\d){11,18}(?![A-Za-z0-9_-])"),
        1.0,
        DIGITS_12,
        credit_card,
    ),
    Pattern(
        "CREDIT_CARD",
        _after_cue(
            r"(?:credit|debit|payment)?\s*card|cc|visa|mastercard|amex|discover|kreditkarte|carte|tarjeta",
            r"\d(?:[ -]?\d){11,18}",
        ),
        0.8,
        DIGITS_12,
        _has_card_length,
    ),
    Pattern(
        "US_SSN",
        re.compile(r"(?<![A-Za-z0-9_.–-])\d{3}[–\- ]\d{2}[–\- ]\d{4}(?![A-Za-z0-9_–-])"),
        0.9,
        DIGITS_9,
        social_security,
    ),
    Pattern(
        "US_SSN",
        _after_cue(r"ssn|social security(?: number)?|social", r"\d{3}[–\- ]?\d{2}[–\- ]?\d{4}\b"),
        0.9,
        DIGITS_9 | word_gate("ssn social"),
    ),
    Pattern(
        "NATIONAL_ID",
        re.compile(r"(?<![A-Za-z0-9_.-])[12] ?\d\d ?\d\d ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d(?![A-Za-z0-9_-])"),
        1.0,
        DIGITS_12,
        nir,
    ),
    Pattern(
        "IP_ADDRESS",
        re.compile(r"(?<![A-Za-z0-9_.-])\d{1,3}(?:\.\d{1,3}){3}(?![A-Za-z0-9_-]|\.\d)"),
        0.9,
        DIGITS_4,
        ipv4,
        not_after=_VERSION_CONTEXT,
    ),
    Pattern(
        "IP_ADDRESS",
        re.compile(r"(?<![A-Za-z0-9_.:-])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){3,7}(?![A-Za-z0-9_:])"),
        0.9,
        COLONS,
        ipv6,
    ),
    Pattern(
        "MAC_ADDRESS",
        re.compile(r"(?<![A-Za-z0-9_:-])[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4}(?![A-Za-z0-9_:-])"),
        0.9,
    ),
    Pattern(
        "MAC_ADDRESS",
        re.compile(
            r"(?<![A-Za-z0-9_.:-])(?=[\d.]{0,13}[A-Fa-f])[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2}"
            r"(?![A-Za-z0-9_]|[.:-][0-9A-Za-z])"
        ),
        0.9,
    ),
    Pattern(
        "DATE_OF_BIRTH",
        re.compile(rf"{_BIRTH_CUE}\D{{0,40}}?(?P<v>{_NUMERIC_DATE}|(?i:{_WORDED_DATE}))"),
        0.9,
        DIGIT | _BIRTH_GATE,
    ),
    Pattern(
        "DATE_OF_BIRTH",
        re.compile(rf"(?P<v>{_NUMERIC_DATE}|(?i:{_WORDED_DATE})) (?:geboren|born)"),
        0.9,
        DIGIT | word_gate("=geboren =born"),
    ),
    Pattern(
        "DATE_TIME",
        re.compile(rf"{_NUMERIC_DATE}(?![A-Za-z0-9_/-]|\.\d)(?:{_TIME})|(?<!^){_NUMERIC_DATE}T\d\d:\d\d[\d:.+Z-]*"),
        0.6,
        DIGITS_4,
        calendar_date,
        not_after=_ISSUE_CONTEXT,
    ),
    Pattern("DATE_TIME", re.compile(rf"(?i:{_WEEKDAY}\b{_WORDED_DATE}{_TIME})"), 0.6, DIGIT | word_gate(_MONTH_STEMS)),
    Pattern(
        "AGE",
        re.compile(
            r"(?i)(?<!is )(?<!are )\b\d{1,3}[ -]?months?[ -]old\b|\b\d{1,3}[ -]?(?:years?|yrs?)[ -]old\b"
            r"|\b\d{1,3} ?(?:y/o|yo|y\.o\.)(?!\w)"
            r"|\b\d{1,3} (?:jahre alt|jaar oud)\b"
        ),
        0.7,
        DIGIT | word_gate("=old =yo =y =o =jahre =jaar"),
    ),
    Pattern(
        "AGE",
        re.compile(
            r"(?i)\b(?:aged?(?: of)?|turn(?:ed|s|ing)?|age:|alter:?|edad:?|âge:?|he's|she's|i'm"
            r"|i am)\s+(?P<v>\d{1,3})\b(?!\s*(?:%|[a-z]))(?![.,]\d)"
        ),
        0.7,
    ),
    Pattern(
        "AGE",
        re.compile(
            r"(?:^|, |(?i:\b(?:tiene|tengo|tenía|cumpl\w+|âgée?s? de|j'ai|il a|elle a|avait|a|ai|ho|ha|aveva|mam|ma|di"
            r"|(?:man|woman|hombre|mujer|niñ[oa]|chic[oa]|homme|femme|fille|garçon|uomo|donna|ragazz[oa]|bambin[oa]"
            r"|pacientes?|patiente?|paziente) d[ei]) ))(?P<v>\d{1,3} (?:ans|años|anni|lat))\b"
        ),
        0.7,
        DIGIT | word_gate("=ans =años =anni =lat"),
    ),
    Pattern("AGE", re.compile(r"(?i)\b(?:when|since) \w+ (?:was|were) (?P<v>\d{1,2})\b(?! ?%)"), 0.6),
    Pattern(
        "PHONE_NUMBER",
        re.compile(
            r"(?<![A-Za-z0-9_.@#/:=+*-])(?:\+|00(?!\d{12,}))\d{1,3}(?:[ ./-]{0,2}\(?\d{1,5}\)?){2,6}(?:\s?(?:x"
            r"|ext\.?)\s?\d{1,6})?(?![A-Za-z0-9_@*])"
        ),
        0.9,
        DIGITS_7,
        _is_phone_number,
    ),
    Pattern(
        "PHONE_NUMBER",
        re.compile(
            r"(?<![A-Za-z0-9_.@#/=+*-])(?:\d{1,3}[ .-])?\(0?\d{1,5}\)[ ./-]?\d{2,5}"
            r"(?:[ ./-]?\d{2,5}){1,4}(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?![A-Za-z0-9_@*])"
        ),
        0.9,
        DIGITS_7,
        _is_phone_number,
    ),
    Pattern(
        "PHONE_NUMBER",
        re.compile(
            r"(?<![A-Za-z0-9_.@#/:=+*,-])(?:0\d{1,5}|\d{3})(?:[ ./-]\d{2,5}){2,5}(?:\s?(?:x"
            r"|ext\.?)\s?\d{1,6})?(?![A-Za-z0-9_@*]|[-/:.,]\d)"
        ),
        0.75,
        DIGITS_7,
        _is_phone_number,
    ),
    Pattern(
        "PHONE_NUMBER",
        re.compile(
            r"(?<![A-Za-z0-9_.@#/:=+*,-])0\d{2,4}[-/ ]\d{5,8}(?![A-Za-z0-9_@*]|[-/:.,]\d)"
            r"|(?<![A-Za-z0-9_.@#/:=+*,-])\d{3}[.-]\d{4}(?:\s?x\s?\d+)?(?![A-Za-z0-9_-]|[.,]\d)"
        ),
        0.65,
        DIGITS_7,
        _is_phone_number,
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
        DIGITS_7,
        _is_phone_number,
    ),
    Pattern(
        "PHONE_NUMBER",
        re.compile(
            r"(?i:\b(?:calling|call(?: me)?(?: (?:at|on))?|reach(?:ed)?(?: \w+)? (?:at|on)|answering at"
            r"|messages? to|texting|"
            r"dial|registered|unter|au|al)) (?P<v>\d[\d ()/-]{5,16}\d)(?![A-Za-z0-9_*]|[.,:]\d)"
        ),
        0.6,
        DIGITS_7,
        _is_phone_number,
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
        DIGITS_7,
        _is_phone_number,
    ),
    Pattern(
        "PHONE_NUMBER",
        re.compile(r"(?m:^|(?<=\())\d{2,4}[ -]\d[\d -]{3,12}\d(?=[ \t]*(?m:$)|\))"),
        0.6,
        DIGITS_7,
        _is_phone_number,
    ),
    Pattern(
        "ZIPCODE",
        _after_cue(
            r"zip(?: ?code)?|post(?:al)? ?code|plz|postleitzahl|code postal|cap|código postal",
            r"[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}\b|[A-Z]\d[A-Z] ?\d[A-Z]\d\b|\d{4,6}(?:-\d{3,4})?\b|\d{4} ?[A-Z]{2}\b",
        ),
        0.8,
        DIGIT | word_gate("zip post plz code cap código"),
    ),
    Pattern(
        "ZIPCODE",
        re.compile(
            r"\b(?:GIR 0AA|[A-PR-UWYZ][A-HK-Y]?\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{2})\b"
            r"|\b[ABCEGHJ-NPRSTVXY]\d[A-Z] \d[A-Z]\d\b"
        ),
        0.7,
    ),
    Pattern(
        "GEO_COORDINATES",
        re.compile(
            r"(?<![A-Za-z0-9_.])-?\d{1,2}\.\d{3,},\s*-?\d{1,3}\.\d{3,}|\d{1,2}°\d{1,2}['′][\d.]*[\"″]?[NS],?"
            r" \d{1,3}°\d{1,2}['′][\d.]*[\"″]?[EW]"
        ),
        0.7,
    ),
    Pattern(
        "GEO_COORDINATES",
        re.compile(
            r"(?i:(?<![^\W_])(?:lat(?:itude)?|lon(?:gitude)?|lng|long|breitengrad|längengrad|latitud|longitud))"
            r"\\?[\"']?\s*[:=]\s*\\?[\"']?(?P<v>[+-]?\d{1,3}\.\d{2,})(?![\w.])"
        ),
        0.8,
        DIGIT | word_gate("lat lon lng breitengrad längengrad"),
    ),
    Pattern(
        "GEO_COORDINATES",
        re.compile(
            r"(?i:(?<![^\W_])(?:coordinates?|coords?|koordinaten|coordenadas|coordonnées|coordinate|latlng|lnglat"
            r"|geo(?:_?point)?|gps|position|location|standort|ubicaci[oó]n))"
            r"\\?[\"']?\s*[:=]\s*[\s\[(\\\"']*(?P<v>[+-]?\d{1,3}\.\d{3,}(?:\s*[,;]\s*[+-]?\d{1,3}\.\d{3,}){0,2})(?![\w.])"
        ),
        0.8,
        DIGIT | word_gate("coord geo gps latlng lnglat position location koordinaten standort ubicaci"),
    ),
    Pattern(
        "GEO_COORDINATES",
        re.compile(r"(?i:\bpoint ?z? ?)\((?P<v>-?\d{1,3}\.\d+ -?\d{1,3}\.\d+[\d. -]*)\)"),
        0.8,
        DIGIT | word_gate("point"),
    ),
    Pattern(
        "PHONE_NUMBER",
        re.compile(r"(?<=[=:&?/])(?P<v>(?:%2[Bb]|\+)\d(?:%20|[-. ])?(?:\d(?:%20|[-. ])?){6,14})(?![\w%])"),
        0.9,
        DIGITS_7,
    ),
    Pattern(
        "USERNAME",
        re.compile(
            rf"(?i:(?<![\w.])/home|/users|\b[a-z]:\\{{1,4}}users)(?:/"
            rf"|\\{{1,4}})(?P<v>(?!(?i:{_SHARED_HOMES})\b)[\w.-]{{2,32}})"
        ),
        0.7,
        word_gate("=home =users"),
        lambda value: not is_common(fold(value)),
    ),
    Pattern("CRYPTO", re.compile(r"\b0x[0-9a-fA-F]{40}\b|\bbc1[a-z0-9]{25,60}\b"), 0.9, DIGITS_4),
    Pattern("SECRET", SECRET_CUES[0], 0.8, word_gate(_KEY_STEMS), secret_value),
    Pattern(
        "SECRET",
        RANDOM_NEAR_CUE,
        0.6,
        word_gate(_KEY_STEMS + " key credential schlüssel clave clé chiave"),
        random_looking,
    ),
    Pattern("SECRET", SECRET_CUES[1], 0.8, DIGIT | word_gate(_CODE_STEMS), secret_value),
    Pattern("AGE", re.compile(r"(?<=[^\W\d_]), (?P<v>\d{2})(?=, (?:of|from|an?|the|who|was|is|has|and)\b)"), 0.6),
    Pattern(
        "EMAIL_ADDRESS",
        re.compile(r"(?i:\b[\w.+-]{2,60}@(?:gmail|yahoo|hotmail|outlook|icloud|aol|gmx|proton|live|web)\b(?!\.\w))"),
        0.7,
        AT_SIGN,
    ),
)
_SECRETS = tuple((Pattern("SECRET", form, 1.0), gate) for form, gate in SECRET_FORMS)
_SECRET_GATES = (
    LINK
    | DOLLAR
    | COLON_AA
    | word_gate(
        "akia asia agpa aida aroa gh glpat =sk =rk =pk sk whsec aiza gocspx ya xo =hooks npm pypi =hf =sg dop shp ey"
        " private bearer basic password pwd aws"
    )
)
