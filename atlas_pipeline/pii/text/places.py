"""Places in prose: street addresses of many countries with their postcodes and towns, cities and countries, origins.

Belongs here: the forms of an address, where it ends, lists of places and of peoples. Does not belong here: people
(`names.py`), numbers (`patterns.py`).
"""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from atlas_pipeline.pii.gazetteer import fold, listed
from atlas_pipeline.pii.text.gates import DIGIT, LONG_NUMBER, word_gate
from atlas_pipeline.pii.text.names import NOT_NAMES
from atlas_pipeline.pii.text.words import is_common, is_inflected, is_ordinary

Result = tuple[int, int, str, float]

_CAP = r"(?:[A-Z][a-z]{0,2}\.(?= ?\w)|[^\W\d_a-zß-öø-ÿ][\w'’-]*)"
_CAPS = rf"{_CAP}(?: (?:(?:de|de la|del|la|di|da|do|dos|der|am|an der|upon|on|le|nad|og|i) )?{_CAP}){{0,3}}"
_TOWN_NAME = rf"(?:(?:da|do|das|dos|de|del|los|las|la|el) ){{0,2}}{_CAPS}(?: (?:los|las) (?:altos|bajos)\b)?"
_POSTCODE = (
    r"(?:[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}\b|[A-Z]\d[A-Z] ?\d[A-Z]\d\b|\d{4} ?[A-Z]{2}\b"
    r"|(?:(?:ΤΚ|TK|CEP|C\.?P\.?) )?(?:[A-Z]{1,2}-)?\d{3,6}(?:[ -]\d{2,4})?\b|\d{2}[-.]\d{3}(?:-\d{3})?\b|\d{5}-?\d{3}\b"
    r"|[A-Z]{2,3},? \d{4,6}(?:-\d{4})?\b)"
)
_ENGLISH_TYPES = (
    "street|str|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|way|square|sq|place|pl|terrace|ter"
    "|parkway|"
    "pkwy|circle|cir|trail|trl|highway|hwy|close|crescent|cres|gardens?|grove|mews|row|walk|hills?|park|plaza"
    "|alley|loop|"
    "path|pike|rise|view|green|quay|wharf|bypass|causeway|crossing|expressway|freeway|junction|turnpike|ridge|run"
    "|route|"
    "rte|common|manor|meadows?|mill|mount|mountain|oval|pass|pine|point|port|ranch|rapids?|shoals?|shores?|springs?|"
    "spurs?|station|stream|summit|trace|track|trafficway|tunnel|union|valleys?|viaduct|village|ville|vista|wells?|"
    "estates?|extensions?|falls?|ferry|fields?|flats?|fords?|forest|forges?|forks?|fort|garden|gateway|glens?"
    "|harbors?|"
    "haven|heights|hollow|inlet|islands?|isle|keys?|knolls?|lakes?|land|landing|lights?|locks?|lodge|mall|mission"
    "|motorway|"
    "neck|orchard|overpass|parks|plains?|prairie|radial|rest|rivers?|skyway|squares?|stravenue|throughway|bend"
    "|bluffs?|"
    "bottom|branch|bridge|brooks?|burgs?|camp|canyon|cape|center|centers|cliffs?|club|corners?|course|courts?"
    "|cove|creek|"
    "crest|crossroad|curve|dale|dam|divide|vale|brae|lees|quadrant|colonnade|esplanade|parade|promenade|strip|glade"
    "|grange|nook|outlook|wynd|gate|maltings|concourse|copse|arcade|chase|laneway|walkway"
)
_UNIT = (
    r"(?:,?\s+(?:(?i:apt|apartment|suite|ste|unit|flat|floor|room|bldg|building|studio)\b\.?\s*#?\s*[\w-]+|#\s*\d+))?"
)
_FRENCH_TYPES = r"(?i:rue|avenue|boulevard|place|chemin|allée|impasse|quai|route|cours|passage|square)"
_ROMANCE_TYPES = (
    r"(?:Via|Viale|Piazza|Corso|Calle|C/|Avenida|Av\.|Avda\.|Plaza|Paseo|Carrer|Carrera|Rua|R\.|Rúa|Travessa|Ctra\.|"
    r"Rue|Avenue|Boulevard|Place|Chemin|Largo|Strada|Stretto|Borgo|Contrada|Vicolo|Rotonda|Incrocio|Canale|Ronda"
    r"|Pasaje|"
    r"Camino|Cuesta|Glorieta|Rambla|Vial|Via|Callejón|Urbanización|Alameda|Pasadizo|"
    r"piazza|viale|corso|calle|avenida|paseo|rue|ul\.|ulica|aleja|al\.|os\.|pl\.|Ul\.|Al\.|Pl\.|plac|Plac)"
)
_GERMANIC_LONG_SUFFIXES = "straße|strasse|strat|allee|gasse|platz|laan|straat|gracht|plein|gatan|vägen|vænget|gürtel"
_GERMANIC_SUFFIXES = (
    f"{_GERMANIC_LONG_SUFFIXES}|str\\.|weg|ring|damm|ufer|kade|dijk|gade|vej|gata|veien|vegen|katu|tie|utca|braut"
    f"|stræde|hof|"
    "baan|steeg|singel|pad|stíg|gränd|torget|backen|stigen|stien"
)


def _street_words() -> Iterator[str]:
    """The words of `_ENGLISH_TYPES`, each with and without an `s` behind it."""
    for word in _ENGLISH_TYPES.split("|"):
        yield from (word.removesuffix("s?"), word.removesuffix("s?") + "s")


@dataclass(frozen=True)
class _AddressPattern:
    regex: re.Pattern[str]
    score: float = 0.9
    accepts: Callable[[re.Match[str]], bool] = bool
    gates: int = DIGIT


_STREET_GATE = word_gate(" ".join(f"={word}" for word in _street_words()))
_FRENCH_GATE = word_gate(
    "rue avenue boulevard place chemin allée impasse quai route cours passage square strada bulevardul aleea calea"
)
_ROMANCE_GATE = word_gate(
    "via viale piazza corso calle =c avenida =av avda plaza paseo carrer carrera rua =r rúa travessa ctra rue avenue"
    " boulevard place chemin largo strada stretto borgo contrada vicolo rotonda incrocio canale ronda pasaje camino"
    " cuesta glorieta rambla vial callejón urbanización alameda pasadizo ul aleja =al =os =pl plac"
)
_GERMANIC_GATE = word_gate(
    "*straße *strasse *strat *allee *gasse *platz *laan *straat *gracht *plein *gatan *vägen *vænget *gürtel *str *weg"
    " *ring *damm *ufer *kade *dijk *gade *vej *gata *veien *vegen *katu *tie *utca *braut *stræde *hof *baan *steeg"
    " *singel *pad *stíg *gränd *torget *backen *stigen *stien"
)
_TYPE_AFTER_NAME = (
    "utca|útja|út|tér|tere|sétány|köz|körút|krt|rakpart|ulica|cesta|trg|vijenac|nasip|náměstí|nám|třída|nábřeží|obala"
    "|put|prilaz|mýto|námestie|námestí|sokak|sokağı|sok|caddesi|cad|bulvarı|mahallesi|mah|puiestee|tänav|gatve|iela"
    "|ulitsa"
)
_TYPE_AFTER_NAME_GATE = word_gate(" ".join(f"={word}" for word in _TYPE_AFTER_NAME.split("|")))
_LOWER_WORD = r"[^\W\d_]{3,}"
_YEAR_LAST = re.compile(r"^[^\d,]+ (?:19|20)\d\d$")


def _has_uncommon_word(text: str) -> bool:
    """Whether one of the words is uncommon, as part of an address is; words and a year are not an address."""
    words = [fold(word) for word in re.findall(r"[^\W\d_]{2,}", text)]
    if _YEAR_LAST.search(text):
        return False
    return any(not is_common(word) and word not in NOT_NAMES for word in words)


def _matches_uncommon_word(match: re.Match[str]) -> bool:
    return _has_uncommon_word(match["v"] if "v" in match.re.groupindex else match[0])


def _is_address_line(match: re.Match[str]) -> bool:
    """Whether a line of a number and words is an address and not a sentence, which ends in a small word and a full
    stop."""
    return _matches_uncommon_word(match) and re.search(r" [a-zß-öø-ÿ]+\.$", match["v"]) is None


_USUAL_STREET = re.compile(
    r"(?i)\b(?:street|st|road|rd|avenue|ave|boulevard|blvd|lane|ln|drive|dr|court|ct|terrace|close|crescent|parkway"
    r"|pkwy"
    r"|highway|hwy)\b"
)
_TOWN_AHEAD = re.compile(rf"(?:, ?|,? ?\n ?){_CAP}")


def _is_street(match: re.Match[str]) -> bool:
    """Whether a number before capitalised words and, say, "Park" is an address: a usual word for a street, an uncommon
    name, a flat or a town says so."""
    return (
        _USUAL_STREET.search(match[0]) is not None
        or _has_uncommon_word(match[0])
        or len(re.findall(r"\d+", match[0])) > 1
        or _TOWN_AHEAD.match(match.string, match.end()) is not None
    )


def _is_named(match: re.Match[str]) -> bool:
    """Whether one of the words after the word for a street is capitalised or uncommon, as its name is."""
    words = re.findall(r"[^\W\d_]{2,}", match[0])[1:]
    return any(word[0].isupper() or not (is_common(fold(word)) or is_inflected(fold(word))) for word in words)


_ADDRESS_PATTERNS = (
    _AddressPattern(
        re.compile(
            rf"(?<![\w.-])\d{{1,6}}[A-Za-z]?(?:[-/]\d+)?,?\s+(?:[NSEW]{{1,2}}\.?\s+)?(?:{_CAP}\s+|\d+(?:st|nd|rd"
            rf"|th)\s+){{1,4}}"
            rf"(?i:{_ENGLISH_TYPES})s?\b\.?(?:\s+[NSEW]{{1,2}}\b)?{_UNIT}"
        ),
        accepts=_is_street,
        gates=DIGIT | _STREET_GATE,
    ),
    _AddressPattern(
        re.compile(
            r"(?<![\w.-])\d{1,5},? (?:[^\W\d_]+ ){1,2}(?:street|road|avenue|boulevard|lane|drive|crescent|terrace)\b"
        ),
        0.7,
        lambda match: (
            _has_uncommon_word(match[0])
            or re.search(r"(?i)\b(?:high|main|station|church|park|mill|school|king|queen)", match[0]) is not None
        ),
        DIGIT | word_gate("street road avenue boulevard lane drive crescent terrace"),
    ),
    _AddressPattern(
        re.compile(
            rf"(?<![\w.-])\d{{1,5}}(?: ?bis| ?ter)?,? {_FRENCH_TYPES} (?i:de la |de l['’]|des |du |de |d['’]|la |le "
            rf"|les )?"
            rf"[^\W\d_][\w'’.-]*(?:[ -]{_CAP}){{0,3}}"
        ),
        accepts=_is_named,
        gates=DIGIT | _FRENCH_GATE,
    ),
    _AddressPattern(
        re.compile(
            rf"(?i:\b(?:habit|demeur|résid)\w* (?:au |à la |à |dans la |sur la )?)(?P<v>{_FRENCH_TYPES} "
            rf"(?i:de la |de l['’]|des |du |de |d['’]|la |le |les )?{_CAP}(?:[ -]{_CAP}){{0,3}})"
        ),
        gates=_FRENCH_GATE | word_gate("habit demeur résid"),
    ),
    _AddressPattern(
        re.compile(
            rf"(?<!\w){_ROMANCE_TYPES}(?:\s+|(?<=[./])\s*)(?:(?:de la|de los|de las|de|del|della|dei|delle|da|do|dos|di"
            rf"|du|des|la|los|las)\s+)?"
            rf"[^\W\d_][\w'’.-]*(?:\s+(?:(?:de|del|della|di|y|i)\s+)?[^\W\d_][\w'’.-]*){{0,3}}?,?\s*(?:n[º°.]?\s*)?"
            rf"\d{{1,5}}[a-zA-Z]?\b(?:[/-]\d+)?"
        ),
        accepts=_is_named,
        gates=DIGIT | _ROMANCE_GATE,
    ),
    _AddressPattern(
        re.compile(
            rf"\b(?:[^\W\d_a-z][\w.-]*[ -]){{0,2}}(?:[^\W\d_a-z][\w-]*(?:{_GERMANIC_SUFFIXES})|(?:Straße|Strasse"
            rf"|Str\.|Weg"
            rf"|Platz|"
            rf"Gasse|Allee|Ring|Damm|Gürtel|Laan))\s+\d{{1,4}}(?: ?[a-zA-Z]\b|\b)(?:[-/]\d+)?"
            rf"|\b[^\W\d_]\w+(?:{_GERMANIC_LONG_SUFFIXES}) \d{{1,4}}[a-z]?\b"
        ),
        gates=DIGIT | _GERMANIC_GATE,
    ),
    _AddressPattern(
        re.compile(
            r"(?i:\bp\.? ?o\.? ?box|\bpostbox|\bpostboks|postfach|apartado|\bPSC)\s+\d+(?:,? Box \d+)?"
            r"|\b(?:Unit|USNS|USNV|USS|USCGC) [\w ]{2,20}?(?: Box \d+)?[,\n ]+(?:DPO|FPO|APO),? A[AEP] \d{5}"
        ),
        gates=DIGIT | word_gate("box postbox postboks postfach apartado psc dpo fpo apo"),
    ),
    _AddressPattern(
        re.compile(
            rf"(?<![\w.-])(?:{_CAP}|{_LOWER_WORD})(?: (?:{_CAP}"
            rf"|{_LOWER_WORD})){{0,2}} (?i:{_TYPE_AFTER_NAME})\.? \d{{1,4}}[a-zA-Z]?\b"
            r"(?:/\d+[a-z]?)?\.?"
        ),
        gates=DIGIT | _TYPE_AFTER_NAME_GATE,
    ),
    _AddressPattern(
        re.compile(
            rf"(?<!\w)(?i:flat|studio|apt|apartment|unit|suite|room)\.? \d{{1,4}}[A-Za-z]?(?:,? ?\n|, "
            rf"| )(?:\d{{1,5}} )?"
            rf"{_CAP}(?: {_CAP}){{0,2}} (?i:{_ENGLISH_TYPES})s?\b"
        ),
        gates=DIGIT | _STREET_GATE | word_gate("flat studio apt apartment unit suite room"),
    ),
    _AddressPattern(
        re.compile(
            rf"(?<!\w)(?:{_FRENCH_TYPES}|Strada|Bulevardul|Aleea|Calea) (?i:de la |de l['’]|des |du |de |d['’]|la |le "
            rf"|les )?{_CAP}"
            rf"(?:[ -]{_CAP}){{0,3}}(?=(?:, ?|,? ?\n ?)(?:\d{{4,5}} {_CAP}|{_CAP}(?: {_CAP})?, \d{{5,6}}\b))"
        ),
        gates=LONG_NUMBER | _FRENCH_GATE,
    ),
    _AddressPattern(
        re.compile(
            rf"(?<!\w){_FRENCH_TYPES} (?i:de la |de l['’]|des |du |de |d['’]|la |le "
            rf"|les )?{_CAP}(?:[ -]{_CAP}){{0,3}},? \d{{1,4}}[a-z]?\b"
        ),
        accepts=_is_named,
        gates=DIGIT | _FRENCH_GATE,
    ),
    _AddressPattern(
        re.compile(
            r"(?<!\w)(?i:calle|carrera|transversal|diagonal|avenida|autopista|circular|cl|cr|cra|kr|av|tv|dg)\.? "
            r"[\w ª]{1,25}?#\s?\d{1,3}[A-Z]?(?: ?Bis)?(?: ?- ?\d{1,3}[A-Z]?)?(?: (?:Sur|Este|Norte|Oeste)\b)?"
        ),
        gates=DIGIT
        | word_gate("calle carrera transversal diagonal avenida autopista circular =cl =cr =cra =kr =av =tv =dg"),
    ),
    _AddressPattern(
        re.compile(
            rf"(?<!\w)(?:Praça|Praia|Travessa|Largo|Alameda|Avenida|Rua|R\.|Av\.|Estrada|Beco|Rodovia|Quinta"
            rf"|Urbanização"
            rf"|Lago|Lagoa|Jardim|Parque|Vila|Vereda|Ladeira|Bulevardul|Strada|Aleea|Calea|Intrarea|Privada|Cerrada"
            rf"|Andador|Prolongación|Circuito|Viaducto|Retorno|Πλατεία|Οδός|Λεωφόρος|Πάρ\.)"
            rf" (?:(?:de|da|do|dos|das|del|la) ){{0,2}}{_CAP}(?: (?:(?:de|da|do|dos|das|del"
            rf"|la) ){{0,2}}{_CAP}){{0,4}},?"
            rf" (?:[Nn][rº°o]?\.? ?)?(?:\d{{1,5}}[a-zA-Z]?(?:[-/]\d+)?\b|S/N)"
        ),
        gates=DIGIT
        | word_gate(
            "praça praia travessa largo alameda avenida rua =r =av estrada beco rodovia quinta urbanização lago"
            " jardim parque"
            " vila vereda ladeira bulevardul strada aleea calea intrarea privada cerrada andador prolongación circuito"
            " viaducto retorno πλατεία οδός λεωφόρος πάρ"
        ),
    ),
    _AddressPattern(
        re.compile(
            rf"(?<![\w.-])(?:(?i:h\.? ?no\.? ?|plot (?:no\.? ?)?"
            rf"|flat (?:no\.? ?)?)?\d{{1,5}}(?:/\d+)?,?[ \n]){_CAP}(?: {_CAP})? "
            r"(?:Nagar|Marg|Path|Ganj|Chowk|Zila|Vihar|Colony|Enclave|Bagh|Pura|Gali)\b"
        ),
        gates=DIGIT | word_gate("nagar marg path ganj chowk zila vihar colony enclave bagh pura gali"),
    ),
    _AddressPattern(re.compile(r"〒\s?\d{3}-\d{4}[^\n。、に]{0,40}")),
    _AddressPattern(
        re.compile(
            rf"(?:{_CAPS} \d{{1,5}}[a-zA-Z]?|\d{{1,5}}(?:/\d+)?,? {_CAPS})(?:,| -)?[ \n]\s*(?:{_POSTCODE} {_CAP}"
            rf"|{_CAPS},? {_POSTCODE})"
        ),
        0.8,
        _matches_uncommon_word,
    ),
    _AddressPattern(
        re.compile(
            rf"(?m)^[>? \t]*(?P<v>\d{{1,5}}[A-Za-z]?(?:/\d+)?,? {_CAP}(?: [\w.'’-]+){{0,3}}"
            rf"|{_CAP}(?: [\w.'’-]+){{0,3}} \d{{1,5}}[a-zA-Z]?)"
            r"[ \t]*,?$"
        ),
        0.5,
        _is_address_line,
    ),
    _AddressPattern(
        re.compile(
            rf"(?i:\b(?:address|anschrift|adresse|adres|dirección|indirizzo|at|on|to|outside|near|is|are|in))[: ]+"
            rf"(?P<v>\d{{1,5}}[A-Za-z]?(?:/\d+)? {_CAPS}|{_CAPS},? \d{{1,4}}[a-zA-Z]?(?![\w.:/%-]))"
        ),
        0.5,
        _matches_uncommon_word,
    ),
)
_TOWN = re.compile(
    rf"\b{_CAPS},? [A-Z]{{2}},? \d{{5}}(?:-\d{{4}})?\b|(?<![\w-])(?:[A-Z]{{1,2}}-)?\d{{5}} {_CAPS}"
    rf"|\b\d{{4}} ?[A-Z]{{2}} {_CAPS}"
)
_UNIT_WORDS = (
    r"(?:edif(?:icio)?|depto|departamento|app?artamento|dpto|piano|interno|int|scala|apt|appt|app|apto|ap|apartment"
    r"|puerta|piso|planta|bloque|bloco|bl|sc|et|nr|no|torre|local|oficina|casa|interior|bus|bte|boîte|box|stw|suite"
    r"|ste|unit|flat|floor|level|room|tür|stiege|top|lok|m|kat|daire|emelet|ajtó|sala|andar|lote)"
)
_CONTINUATION = re.compile(
    rf"(?P<more> ?/ ?[A-Z]{{2}}\b| \([A-Z]{{2}}\))"
    rf"|(?P<sep>\s*,+\s*(?:>\s*|\?+\s*)?|[ \t]*\n+[>? \t]*| - |,? (?:in|à|te|a|w) | )"
    rf"(?P<part>(?i:{_UNIT_WORDS})\.? ?#?\d{{1,4}}[A-Za-z]?(?![\w%])|\(?{_POSTCODE}\)?(?: {_TOWN_NAME})?"
    rf"|\(?{_TOWN_NAME}\)?"
    rf"|\d{{1,4}}[A-Za-z]?(?:/\d+)?(?=,[ \n])|S/N\b)"
)
_BEFORE_STREET = re.compile(
    rf"(?<![\w.-])(?:(?i:{_UNIT_WORDS}|studio|h\.? ?no|plot|block|house|c/o|#)\.? ?\d{{1,4}}[A-Za-z]?(?:/\d+)?"
    rf"|\d{{1,5}}[A-Za-z]?(?:/\d+)?)(?:,? ?\n|, | )$"
)
_TOWN_STARTS = listed(
    "san santa santo saint st são sao nueva nuevo vieja viejo villa vila new east west north south port lake"
)
_LONE_POSTCODE = re.compile(rf"(?:,? |,?[ \t]*\n[>? \t]*)\(?{_POSTCODE}\)?(?![\w.%:/-])")
_LABEL_AHEAD = re.compile(r"[\w -]{0,20}:")
_PLACE_CUE = re.compile(
    rf"(?:\b(?:[Ll]iv(?:e|es|ed|ing) in|based in|born in|moved (?:here )?(?:from|to)|originally from|(?:I am|I'm"
    rf"|is|are) from|"
    rf"travel(?:l?ing)? to|returned to|wohne in|wohnhaft in|wohnt in|habite à|vivo en|vive en|abito a|visit(?:ing"
    rf"|ed)?|"
    rf"grew up in|arrived (?:at|in)|City:|Town:|Country:|[Dd]elivery to|[Ll]ocation:|University of|city of"
    rf"|town of|near|"
    rf"(?<=[a-z,] )in|(?<=[a-z] )from))\s+(?P<v>{_CAP}(?:[ -]{_CAP}){{0,2}})"
)
_LOWER_PLACE_CUE = re.compile(
    r"(?i:\b(?:(?P<strong>liv(?:e|es|ed|ing) in|moved to|wohne in|habite à|vivo en|abito a)|from|in|near|at|to)) "
    r"(?P<v>[^\W\d_]{4,}(?: [^\W\d_]+)?)"
)
_PLACE_CUE_GATE = word_gate(
    "=live =lives =lived =living based born moved from travel returned wohn habite vivo vive abito visit grew"
    " arrived city"
    " town country delivery location university =near =in"
)
_LOWER_PLACE_CUE_GATE = word_gate("=live =lives =lived =living moved wohne habite vivo abito =from =in =near =at =to")
_CAPITALISED = re.compile(
    r"(?<![\w'’])[^\W\d_a-zß-öø-ÿ][\w'’-]*(?: (?:de|del|la|of|and the|el|am|am Main|upon) (?=[^\W\d_a-z]))?"
)
_NATIONALITIES = re.compile(
    r"(?i:\b(?:afghan|albanian|algerian|american|argentin(?:e|ian)|armenian|australian|austrian|azerbaijani|bahraini|"
    r"bangladeshi|belarusian|belgian|bolivian|bosnian|brazilian|british|bulgarian|cambodian|cameroonian|canadian"
    r"|chilean|"
    r"chinese|colombian|congolese|costa rican|croatian|cuban|cypriot|czech|danish|dutch|ecuadorian|egyptian|emirati|"
    r"estonian|ethiopian|filipino|finnish|french|georgian|german|ghanaian|greek|guatemalan|haitian|hungarian"
    r"|icelandic|"
    r"indian|indonesian|iranian|iraqi|irish|israeli|italian|ivorian|jamaican|japanese|jordanian|kazakh|kenyan|korean|"
    r"kuwaiti|latvian|lebanese|libyan|lithuanian|luxembourgish|macedonian|malaysian|maltese|mexican|moldovan"
    r"|mongolian|"
    r"moroccan|mozambican|namibian|nepal(?:i|ese)|nicaraguan|nigerian|norwegian|omani|pakistani|palestinian"
    r"|panamanian|"
    r"paraguayan|peruvian|polish|portuguese|qatari|romanian|russian|rwandan|salvadoran|saudi|scottish|senegalese"
    r"|serbian|"
    r"singaporean|slovak(?:ian)?|slovene|slovenian|somali|spanish|sri lankan|sudanese|swedish|swiss|syrian|taiwanese"
    r"|tanzanian|"
    r"thai|tunisian|turkish|ugandan|ukrainian|uruguayan|uzbek|venezuelan|vietnamese|welsh|yemeni|zambian|zimbabwean|"
    r"swede|dane|finn|pole|turk|greek|scot|spaniard|briton|"
    r"muslim|christian|catholic|protestant|jewish|jew|hindu|buddhist|sikh|atheist|mormon|lutheran|baptist)s?\b)"
)

_NATIONALITIES_GATE = word_gate(
    " ".join(
        re.split(
            r"\W+",
            re.sub(r"\([^)]*\)\??", "", _NATIONALITIES.pattern.removeprefix(r"(?i:\b(?:")).removesuffix(r")s?\b)"),
        )
    )
)


def place_results(text: str, gates: int) -> Iterator[Result]:
    """Addresses, places and peoples in the text.

    Args:
        text: Clean text; see `normalise.clean`.
        gates: The open gates; see `gates.open_gates`.

    Yields:
        Start, end, kind and score of each result.
    """
    if gates & DIGIT:
        for pattern in _ADDRESS_PATTERNS:
            if pattern.gates & gates != pattern.gates:
                continue
            group = "v" if "v" in pattern.regex.groupindex else 0
            for match in pattern.regex.finditer(text):
                if pattern.accepts(match):
                    start, end = match.span(group)
                    before = _BEFORE_STREET.search(text, max(0, start - 20), start)
                    yield (
                        before.start() if before else start,
                        _address_end(text, end),
                        "STREET_ADDRESS",
                        pattern.score,
                    )
        for match in _TOWN.finditer(text) if gates & LONG_NUMBER else ():
            if _has_uncommon_word(match[0]):
                yield *match.span(), "LOCATION", 0.6
    for match in _PLACE_CUE.finditer(text) if gates & _PLACE_CUE_GATE else ():
        first = match["v"].split()[0]
        if not is_ordinary(fold(first)) and not (first.isupper() and len(first) < 5):
            yield *match.span("v"), "LOCATION", 0.5
    for match in _LOWER_PLACE_CUE.finditer(text) if gates & _LOWER_PLACE_CUE_GATE else ():
        words = match["v"].split()
        if match["strong"] and words[0].islower() and not is_common(fold(words[0])):
            yield match.start("v"), match.start("v") + len(words[0]), "LOCATION", 0.5
        for length in range(len(words), 0, -1):
            if is_place([fold(word) for word in words[:length]]) and not is_ordinary(fold(words[0])):
                yield match.start("v"), match.start("v") + len(" ".join(words[:length])), "LOCATION", 0.5
                break
    yield from _places_in_list(text)
    for match in _NATIONALITIES.finditer(text) if gates & _NATIONALITIES_GATE else ():
        if match[0][0].isupper():
            yield *match.span(), "NRP", 0.6


def _address_end(text: str, end: int) -> int:
    """Where an address ends whose street ends at `end`: flats, towns, postcodes and countries that follow belong to
    it."""
    for _ in range(8):
        match = _CONTINUATION.match(text, end)
        if match is None:
            break
        if match["part"] is None:
            end = match.end()
            continue
        part = match["part"].strip("()")
        numbered = any(map(str.isdigit, part))
        if not numbered:
            first = fold(re.split(r"[ .'’-]", part, maxsplit=1)[0])
            follows = _LONE_POSTCODE.match(text, match.end()) is not None
            labelled = _LABEL_AHEAD.match(text, match.start("part")) is not None
            usual: Callable[[str], bool] = is_common if "\n" in match["sep"] else is_ordinary
            if labelled or (not follows and (match["sep"] == " " or (usual(first) and first not in _TOWN_STARTS))):
                break
        end = match.end()
    return end


def _places_in_list(text: str) -> Iterator[Result]:
    """Capitalised words, up to three, that are in the list of places."""
    place_names, heads = places(), _first_words()
    words = list(_CAPITALISED.finditer(text))
    index = 0
    while index < len(words):
        if fold(_HEAD.match(words[index][0])[0]) not in heads:  # type: ignore[index]
            index += 1
            continue
        for length in (3, 2, 1):
            chosen = words[index : index + length]
            span = text[chosen[0].start() : chosen[-1].end()]
            if len(chosen) < length or len(span) > 40:
                continue
            folded = fold(span.removesuffix("'s").removesuffix("’s"))
            if folded in place_names and not (length == 1 and is_ordinary(folded)):
                end = chosen[-1].end()
                postcode = _LONE_POSTCODE.match(text, end)
                score = 0.87 if length > 1 and " " in folded else 0.6
                yield chosen[0].start(), postcode.end() if postcode else end, "LOCATION", score
                index += length
                break
        else:
            index += 1


_HEAD = re.compile(r"[^\W\d_]*")


@cache
def _first_words() -> frozenset[str]:
    """The letters with which a place in the list begins."""
    return frozenset(fold(_HEAD.match(name)[0]) for name in places())  # type: ignore[index]


@cache
def places() -> frozenset[str]:
    """Countries, regions and cities, folded: Faker's lists, and the cities of the time zone database."""
    import zoneinfo

    import faker.providers.address as addresses

    names = {zone.rsplit("/", 1)[-1].replace("_", " ") for zone in zoneinfo.available_timezones() if "/" in zone}
    names |= {*_SHORT_PLACES, "England", "Scotland", "Wales", "Great Britain", "Türkiye", "Russia"}
    for module in pkgutil.iter_modules(addresses.__path__):
        provider = importlib.import_module(f"{addresses.__name__}.{module.name}").Provider
        for attribute in _PLACE_LISTS:
            entries = getattr(provider, attribute, ())
            for entry in entries if isinstance(entries, tuple | list) else ():
                names.update(part for part in ((entry,) if isinstance(entry, str) else entry) if isinstance(part, str))
    folded = {fold(name) for name in names if (len(name) > 3 or name in _SHORT_PLACES) and "{" not in name}
    return frozenset(name for name in folded if len(name) > 1 and not name.isdigit() and name not in _EXCLUDED_PLACES)


_PLACE_LISTS = (
    "countries",
    "cities",
    "city_names",
    "states",
    "counties",
    "departments",
    "regions",
    "provinces",
    "towns",
)
_SHORT_PLACES = frozenset(("USA", "UK", "UAE", "Rio", "Ulm", "Łódź"))
_EXCLUDED_PLACES = frozenset(
    ("center", "general", "eastern", "western", "central", "mountain", "same", "or", "in", "me")
)


def is_place(words: Sequence[str]) -> bool:
    """Whether these folded words are a listed place."""
    return " ".join(words) in places()
