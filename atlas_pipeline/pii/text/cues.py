"""Identifiers by the word before them: passport, account, licence, membership, tax and other numbers, user names.

Belongs here: the cues in several languages, what links a cue to its value, and which values are identifiers rather than
years, amounts or ordinary words. Does not belong here: numbers that their own form proves (`patterns.py`), names.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from atlas_pipeline.pii.gazetteer import fold, listed
from atlas_pipeline.pii.text.gates import DIGIT, word_gate
from atlas_pipeline.pii.text.words import is_word

Result = tuple[int, int, str, float]

_NUMBER_WORDS = r"numbers?|no\.?|num\.?|nr\.?|nummer|numero|número|numéro|n°|nº|id|code|#"
_LINK = (
    r"(?P<link>(?:\s*(?:(?:numbers?|no|num|nr|nummer|numero|número|numéro|id|code|card|is|ist|es|est|è|é|was|of|ends in"
    r"|lautet)(?!\w)\.?|n[°º]|[#:=–\-]|\\?[\"'])){0,5}\s*\\?[\"']?)"
)
_COMPOUND = r"(?:[ _-]?(?:s?nummer|snr|number|num|nr|no|id|code))?"
_MARKED = re.compile(rf"(?i)(?<!\w)(?:{_NUMBER_WORDS})(?!\w)|#")
_ASSIGNED = re.compile(r"[:=#]|\\?[\"']\s*$")
_YEAR = re.compile(r"(?:19|20)\d\d(?:[-/.](?:19|20)?\d\d)?")
_AMOUNT = re.compile(r"\d{1,3}(?:[ .,]\d{3})*[.,]\d{1,2}|\d{1,3}(?:\.\d{1,3}){1,3}")
_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})|\d{4}[./-]\d{1,2}[./-]\d{1,2}(?:T.*)?")
_LETTER_RUN = re.compile(r"[a-zß-öø-ÿ]{4}")
_UNIT = re.compile(
    r"[ \u00a0-]?(?:[%°€$£]|(?i:"
    "eur|euros?|usd|gbp|chf|pln|dollars?|pounds?|percent|prozent|points?|punkte|puntos|punti|units?|stück|"
    "days?|hours?|hrs?|min|minutes?|sec|seconds?|weeks?|months?|years?|times|"
    "tagen?|stunden?|minuten?|sekunden?|wochen?|monaten?|jahren?|mal|"
    "jours?|heures?|secondes?|semaines?|mois|ans|fois|"
    "días?|horas?|minutos?|segundos?|semanas?|mes(?:es)?|años?|veces|"
    "giorn[io]|or[ae]|minut[io]|second[io]|settiman[ae]|mes[ei]|ann[io]|volte|"
    "rows?|columns?|lines?|entries|files?|records?|items?|requests?|tickets?|cases?|users?|people|persons?|customers?|"
    "members?|accounts?|employees?|patients?|students?|pages?|copies|"
    "zeilen?|spalten?|fällen?|personen|nutzer|kunden|mitglieder|seiten?|"
    "lignes?|colonnes?|cas|personnes?|utilisateurs?|clients?|membres?|pages?|"
    "filas?|columnas?|casos?|personas?|usuarios?|clientes?|miembros?|páginas?|dígitos?|"
    "righe|riga|colonne|casi|persone|utenti|clienti|membri|pagine|cifre|digits?|stellen|chiffres|"
    r"km|kg|cm|mm|ml|mb|gb|tb|kb|px|m|g|bits?|bytes?)(?!\w))"
)
_MEDICAL_CONTEXT = re.compile(
    r"(?i)(?<![^\W\d_])(?:patient|medical|hospital|clinic|doctor|nurse|diagnos|physician|treatment|surgery|ward|mrn)"
)
_STATUS_WORDS = listed(
    """required missing optional invalid empty unknown wrong failed locked blocked expired incorrect unavailable
    disabled enabled deleted mandatory null none true false undefined available broken loose value must short long
    fehlt fehlend erforderlich pflicht gesperrt ungültig leer unbekannt falsch abgelaufen gelöscht optional nötig
    obligatoire manquant manquante requis bloqué invalide vide inconnu incorrect expiré supprimé facultatif
    obligatorio obligatoria falta requerido bloqueado inválido vacío desconocido incorrecto caducado opcional erróneo
    obbligatorio obbligatoria mancante manca richiesto bloccato valido vuoto sconosciuto errato scaduto facoltativo
    required-field field text string input password username login account user name email"""
)


@dataclass(frozen=True)
class _IdentifierCue:
    kind: str
    regex: re.Pattern[str]
    score: float
    gates: int
    accepts: Callable[[re.Match[str]], bool]


def cued_results(text: str, gates: int) -> Iterator[Result]:
    """Identifiers that follow a cue.

    Args:
        text: Clean text; see `normalise.clean`.
        gates: The open gates; see `gates.open_gates`.

    Yields:
        Start, end, kind and score of each result.
    """
    for cue in _CUES:
        if cue.gates & gates == cue.gates:
            for match in cue.regex.finditer(text):
                if cue.accepts(match):
                    yield *match.span("v"), cue.kind, cue.score


def _is_identifier(match: re.Match[str]) -> bool:
    """Whether the value is an identifier: not a year, an amount, a date or a count, and long enough for its cue."""
    value, link = match["v"], match["link"]
    marked, digits = _MARKED.search(match[0][: -len(value)]) is not None, sum(map(str.isdigit, value))
    if _AMOUNT.fullmatch(value) or _DATE.fullmatch(value) or _UNIT.match(match.string, match.end("v")):
        return False
    if not marked and _YEAR.fullmatch(value):
        return False
    if marked or _ASSIGNED.search(link):
        return digits > 1
    return digits > 3 + value.isdigit() - value.isupper() and not _LETTER_RUN.search(value)


def _is_medical_record(match: re.Match[str]) -> bool:
    """Whether the number of a record is a patient's: the text speaks of medicine."""
    return _MEDICAL_CONTEXT.search(match.string) is not None and _is_identifier(match)


def _is_username(match: re.Match[str]) -> bool:
    """Whether the value is a user name: not an ordinary word, and with a digit or joint unless it is assigned."""
    value, folded = match["v"].strip("."), fold(match["v"].strip("."))
    if len(value) < 3 or value.lower() in _STATUS_WORDS or folded in _STATUS_WORDS or is_word(folded):
        return False
    if all(map(is_word, re.split(r"[._-]", folded))):
        return False
    return bool(re.search(r"\d|\w[._@-]\w", value)) or re.search(r"[:=]", match["link"]) is not None


def _is_login(match: re.Match[str]) -> bool:
    """Whether the value, which ends in digits, does not start with an ordinary word, as `page2` does."""
    letters = re.match(r"[a-z]*", match["v"])
    return letters is not None and not is_word(fold(letters[0])) and not _UNIT.match(match.string, match.end("v"))


_WORD = r"[A-Za-z0-9]+(?:[-./][A-Za-z0-9]+)*"
_FURTHER_GROUPS = (
    r"(?: \d{3,6}(?![\w%])| \d{2}(?= \d{2,4}(?!\w))| (?!\d\d?(?!\w))[A-Z0-9]{0,4}\d[A-Z0-9]{0,4}(?![\w%])){0,5}"
)
_ID = rf"(?:(?=[A-Za-z./-]{{0,14}}\d){_WORD}|[A-Z]{{1,3}} (?=\d){_WORD}){_FURTHER_GROUPS}"


def _identifier_cue(kind: str, stems: str, words: str, score: float = 0.7, value: str = _ID) -> _IdentifierCue:
    """A cue for an identifier that holds a digit.

    Args:
        kind: What follows the cue.
        stems: How the cue's words begin, as `word_gate` has it.
        words: The cue's words as a pattern.
        score: Confidence of a result.
        value: What an identifier looks like.
    """
    return _IdentifierCue(
        kind,
        re.compile(rf"(?i:(?<!\w)(?:{words}){_COMPOUND}(?!\w){_LINK})(?<!\w)(?P<v>{value})(?!\w)"),
        score,
        DIGIT | word_gate(stems),
        _is_identifier,
    )


_LOGIN = r"[a-z][a-z._-]{1,20}\d[a-z0-9._-]{0,20}\b"
_CUES = (
    _IdentifierCue(
        "USERNAME",
        re.compile(r"(?i:(?<!\w)(?:user|usr|uid|login|username))(?P<link>=)[\"']?(?P<v>[\w.@-]{3,40})"),
        0.6,
        word_gate("=user =usr =uid =login =username"),
        lambda match: match["v"].lower() not in _STATUS_WORDS,
    ),
    _IdentifierCue(
        "USERNAME",
        re.compile(
            r"(?i:(?<!\w)(?:user ?name|user ?id|login|benutzername|nom d['’]utilisateur|usuario|nome utente|utente"
            r"|screen name|handle|nickname))(?!\w)(?P<link>(?i:\s*(?:(?:is|ist|es|est|è)(?!\w)|[:=]|\\?[\"'])){1,3}"
            r"\s*\\?[\"']?)(?P<v>\w[\w.@-]{2,40})(?!\w)"
        ),
        0.7,
        word_gate("user login benutzername nom usuario nome utente screen handle nickname"),
        _is_username,
    ),
    _IdentifierCue(
        "USERNAME",
        re.compile(rf"(?i:\b(?:user|login|account|logged in as)) (?P<v>{_LOGIN})"),
        0.6,
        DIGIT | word_gate("*user *login *account =as"),
        _is_login,
    ),
    _IdentifierCue(
        "USERNAME",
        re.compile(rf"\b(?:for|by|as) (?P<v>{_LOGIN}) (?:from|logged|failed)\b"),
        0.6,
        DIGIT | word_gate("=from =logged =failed"),
        bool,
    ),
    _identifier_cue(
        "PASSPORT",
        "passport reisepass passeport pasaporte passaporto paszport",
        "passport|reisepass|passeport|pasaporte|passaporto|paszport",
        0.8,
    ),
    _identifier_cue(
        "DRIVER_LICENSE",
        "driv dl führerschein permis licen patente",
        r"driv(?:er|ers|er's|er’s|ing)[' ]*licen[sc]e|dl|führerschein|permis(?: de conduire)?|licen[sc]e|patente"
        "|permiso de conducir",
        0.8,
    ),
    _identifier_cue(
        "NATIONAL_ID",
        "national nino personalausweis aadhaar pesel nif nie dni bsn personnummer identity id employee"
        " student staff badge cpf curp rut nir ahv egn cnp jmbg",
        "national (?:id|insurance)|nino|personalausweis|aadhaar|pesel|nif|nie|dni|bsn|personnummer|identity card"
        "|id card|employee|student|staff|badge|cpf|curp|rut|nir|ahv|egn|cnp|jmbg",
    ),
    _identifier_cue(
        "HEALTH_ID",
        "mrn med patient nhs medicare medicaid health hospital clinical insurance member versicherten krankenkasse"
        " krankenversicherung",
        "mrn|(?:med(?:ical)?|patient|health|hospital|clinical) (?:rec(?:ord)?s?|chart|file)|patient(?:in)?(?: id)?|nhs"
        "|medicare|medicaid|health (?:plan|card|insurance)|insurance|member(?:ship)?(?: id)?|versicherten|krankenkasse"
        "|krankenversicherung",
    ),
    _IdentifierCue(
        "HEALTH_ID",
        re.compile(
            r"(?i:(?<!\w)(?:record|rec|chart|admission)\.? ?)(?P<link>(?i:(?:number|num|no|nr"
            r"|id)(?!\w)\.?|#)"
            rf"(?i:(?: is|[ :=#-]){{0,3}}))(?P<v>{_ID})(?!\w)"
        ),
        0.7,
        DIGIT | word_gate("patient medical hospital clinic doctor nurse diagnos physician treatment surgery ward mrn"),
        _is_medical_record,
    ),
    _identifier_cue("US_NPI", "npi national", "npi|national provider id(?:entifier|entification)?", 0.8),
    _identifier_cue(
        "TAX_ID",
        "tax tin itin ein steuer codice vat ust cnpj rfc",
        "tax|tin|itin|ein|steuer-?id|steuer|codice fiscale|vat|ust-?id|cnpj|rfc",
    ),
    _identifier_cue(
        "ACCOUNT_NUMBER",
        "account acct =a routing sort konto bank compte cuenta conto swift bic blz policy beneficiary",
        "policy|beneficiary|account|acct|a/c|routing|sort code|konto|bank account|compte|cuenta|conto|swift|bic|blz"
        "|bankleitzahl",
        value=rf"(?:(?=[A-Za-z./-]{{0,14}}\d){_WORD}){_FURTHER_GROUPS}",
    ),
    _identifier_cue(
        "VEHICLE_ID",
        "vin license licence number plate kennzeichen registration targa matrícula immatriculation",
        "vin|license plate|licence plate|number plate|plate|kennzeichen|registration|targa|matrícula|immatriculation",
        value=r"(?=[A-Z -]{0,8}\d)[A-Z0-9]+(?:[- ](?=[A-Z]{0,3}\d)[A-Z0-9]+|-[A-Z0-9]+| [A-Z]{2,3}(?= \d)| [A-Z]{3}"
        r"(?!\w))*|[A-Z]{1,3}[- ][A-Z]{1,2}[- ]?\d{1,4}",
    ),
    _identifier_cue("DEVICE_ID", "imei serial device meid seriennummer", "imei|serial|device id|meid|seriennummer"),
)
