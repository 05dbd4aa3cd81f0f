"""`word_votes(cell)`: whether the words of a cell look like a person's name, a street address, an organisation, prose.

Belongs here: tests on words, with the lists of names and the words for streets. Does not belong here: numbers and
formats (`cells.py`), and what a column is.
"""

import re
from collections.abc import Iterator

from atlas_pipeline.pii.gazetteer import family_names, fold, given_names, listed, places, short_family_names

_TITLES = listed(
    "mr mrs ms miss mx dr prof sir dame rev fr sr jr ii iii iv md phd mba esq dds dvm herr frau dipl ing hr mme mlle "
    "m mgr bc judr mudr phdr sig sra srta don dona drs ir mw dhr lord lady capt hon univ pan pani dott dra fru fr "
    "bapak ibu bay bayan"
)
_PARTICLES = listed(
    "de del della der den di da do dos das du van von vom zu zur zum la le el al bin ibn binti y e ter ten af av san "
    "st abu ben mac mc o d l s"
)
_NOT_NAMES = listed(
    "inc ltd llc gmbh co corp corporation company group plc ag sa bv nv oy ab kg ohg sarl srl spa pty limited holdings "
    "sons and und et the of for in on with to by or dept department division center centre school university college "
    "hospital bank church club street road avenue park city county state team project product order item service "
    "services system model type class new old true false yes no none test male female user admin unknown other "
    "red blue green silver gold black white brown gray grey orange pink purple yellow apple table chair lamp alpha "
    "beta gamma delta north south east west pro max mini plus ultra small medium large price open closed active "
    "january february march april may june july august monday tuesday wednesday thursday friday saturday sunday "
    "english french german hindi spanish italian chinese arabic american european asian african high low normal "
    "home office work store shop online standard premium basic default trial general common single double "
    "christian jewish muslim catholic hindu buddhist island bay lake river hotel restaurant cafe"
)
_STREET_WORDS = listed(
    "street st avenue ave av road rd lane ln drive dr boulevard blvd court ct place pl square sq terrace ter parkway "
    "pkwy highway hwy way circle cir trail trl alley apt suite ste floor unit po box crescent close mews plaza loop "
    "ridge hollow extension track row crossing turnpike expressway causeway mount springs estate gardens grove "
    "heights hill junction landing manor meadow mill motorway oval parade pass path pike point port ranch rapid rest "
    "route run shoal shore spur stravenue stream summit throughway trace trafficway tunnel turn union valley viaduct "
    "view village ville vista walk well lock lodge locks knoll knolls key keys isle island inlet harbor haven green "
    "glen gateway gardens garden garages fork ford forge forest flat fields field ferry fall falls expressway estates "
    "drives dam dale curve creek cove corner common cliff centers center cape canyon camp bypass burg brooks brook "
    "branch bridge bottom bluff bend beach bayou arcade annex plain plains orchard mountain mountains mission mall "
    "light radial prairie rue chemin impasse allee quai cours faubourg place route calle avenida avda paseo carrer "
    "plaza camino cuesta ronda glorieta pasaje via viale piazza corso vicolo strada borgo contrada rua travessa largo "
    "alameda praca rodovia estrada fazenda vila weg platz ring ul ulica aleja aleje os plac jl jalan gang cad caddesi "
    "sokak sok mahallesi gatan vagen veien gate gata vej gade katu tie utca ter ulice namesti nabrezi blok rt rw kv "
    "pr prospekt ulitsa ulya пер ул пр просп проспект улица переулок бульвар наб ш шоссе вул вулиця prolongacion "
    "callejon privada calz calzada circuito boulevard cerrada retorno corredor diagonal viaducto andador eje peatonal "
    "ampliacion retorno c cl cra carrera transversal autopista urbanizacion piso puerta pisos jr jiron psje no"
)
_STREET_WORD = re.compile(
    rf"(?:^|[\s,.;])(?:{'|'.join(sorted(_STREET_WORDS, key=lambda word: (-len(word), word)))})(?=[\s,.;]|$)|"
    r"[\w-](?:stra(?:ß|ss)e|str\.?|weg|platz|gasse|allee|ring|damm|ufer|straat|laan|plein|gracht|dijk|kade|gatan|vägen|"
    r"veien|gata|vej|gade|allé|katu|tie|utca|backe|gränd|stígur|pad|dreef|hof|singel|steeg|baan|park|berg|graben|"
    r"markt|chaussee|stieg|twiete|promenade|torget|bakken|lien|svingen|stranden|stien)(?=[\s,.;\d]|$)|丁目|番|号|路|街|로|길|번지",
    re.IGNORECASE,
)
_EAST_ASIAN_PART = re.compile(
    r"(?<=[\u3400-\u9fff\u3040-\u30ff])[省市区县縣郡町村街路巷弄号號室楼都道府県]|丁目|番地?|(?<=[\uac00-\ud7af])(?:시|도|구|군|읍|면|동|로|길)(?=[\s\d]|$)"
)
"""What ends the name of a province, city, district or street in Chinese, Japanese and Korean addresses."""
_NUMBER_FIRST = re.compile(
    r"(?:#|no\.? ?)?\d{1,6}[a-z]?(?:[-/]\d+[a-z]?)?,? +(?:[^\W\d_]|\d+(?:st|nd|rd|th)\b)", re.IGNORECASE
)
_NUMBER_LAST = re.compile(r"[^\W\d_][^\d]{3,60}[ ,.]+(?:n[o°º]?\.? ?)?\d{1,5}(?: ?[a-z])?(?:[ ,/-].*)?", re.IGNORECASE)
_NAME = re.compile(r"[^\W\d_][^\d_@/\\|#$%^&*+=<>{}\[\]:;!?\"~©®]*")
_PLACE = re.compile(r"[^\W_][^_@\\|<>{}=:;!?]*")
_SENTENCE = re.compile(
    r"\b(?:the|and|is|was|were|with|that|this|have|has|not|und|ist|nicht|mit|est|sont|avec|pero|con|het|niet|sono)\b",
    re.IGNORECASE,
)
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]{14,}")
"""A run of Thai, Japanese or Chinese that is longer than a name or a place."""
_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[^\W\d_]")
_SPLIT = re.compile(r"[\s,]+")
_ORGANIZATION = re.compile(
    r"\b(?:inc|ltd|llc|gmbh|corp|plc|ag|s\.?a\.?r?\.?l?|b\.?v|n\.?v|oyj?|kg|ohg|s\.?r\.?[lo]|s\.?p\.?a|pty|limited|holdings?|"
    r"company|group|university|institute|foundation|hospital|bank|consulting|solutions|technologies|e\.?v|kgaa|mbh)\b\.?",
    re.IGNORECASE,
)
_ADDRESSING = listed("mr mrs ms miss dr prof herr frau mme mlle monsieur madame senor senora signor signora")
_CJK = re.compile(r"[\u3400-\u9fff\uac00-\ud7af]{2,5}")


def word_votes(cell: str) -> Iterator[str]:
    """Classify a cell by its words. Upper case: kinds that it proves. Lower case: shapes that need a header."""
    spaces = cell.count(" ")
    digits = _DIGIT.search(cell) is not None
    if _ORGANIZATION.search(cell):
        yield "organization"
    if len(cell) <= 200:
        yield from _street(cell, digits)
    if not digits and len(cell) <= 60:
        yield from _name(cell)
    if spaces >= 7 or (spaces >= 4 and len(cell) > 30) or _UNSPACED.search(cell):
        yield "prose"
    if spaces >= 2 or (spaces and len(cell) > 20):
        yield "words"
    if _LETTER.search(cell):
        yield "letters"
        if not digits and len(cell) <= 60 and _PLACE.fullmatch(cell):
            yield "place"


def _street(cell: str, digits: bool) -> Iterator[str]:
    if not _LETTER.search(cell) or (cell.count(" ") >= 4 and _SENTENCE.search(cell)):
        return
    if digits and len(set(_EAST_ASIAN_PART.findall(cell))) >= 2:
        yield "STREET_ADDRESS"
        return
    word = _STREET_WORD.search(cell)
    if word and digits and (_NUMBER_FIRST.match(cell) or _NUMBER_LAST.fullmatch(cell) or "," in cell):
        yield "STREET_ADDRESS"
    elif digits and " " in cell and (_NUMBER_FIRST.match(cell) or _NUMBER_LAST.fullmatch(cell)):
        yield "numbered"
    elif word:
        yield "street_name"


def _name(cell: str) -> Iterator[str]:
    if _CJK.fullmatch(cell):
        yield from _unspaced_name(cell)
        return
    if not _NAME.fullmatch(cell) or cell.count(",") > 1:
        return
    words = [word.strip(".'’`()") for word in _SPLIT.split(cell.replace("-", " ").replace("‐", " "))]
    tokens = [fold(word) for word in words if word]
    if len(cell.strip(".")) == 1:
        yield "initial"
        return
    if not 1 <= len(tokens) <= 7 or any(token in _NOT_NAMES for token in tokens):
        if len(tokens) > 1 or not tokens:
            return
        yield "plain_word"
    if not _cased(cell) and tokens[0] not in _PARTICLES | _TITLES:
        return
    yield "name"
    core = [token for token in tokens if token not in _TITLES and token not in _PARTICLES and len(token) > 1]
    if not core or tokens[0] in _NOT_NAMES:
        return
    if tokens[0] in _ADDRESSING:
        yield "titled"
    yield from _known(core, fold(cell), len(tokens) != len(core) or any(len(token) == 1 for token in tokens))


def _cased(cell: str) -> bool:
    first = cell[0]
    return first.isupper() or not first.islower() or cell.islower()


def _known(core: list[str], joined: str, extras: bool) -> Iterator[str]:
    given_list, family = given_names(), family_names()
    if len(core) == 1:
        if core[0] in given_list or joined in given_list:
            yield "given_name"
        if core[0] in family or joined in family:
            yield "family_name"
        if extras and (core[0] in given_list or core[0] in family):
            yield "part_name"
        if (joined in given_list or joined in family) and joined in places():
            yield "known_place"
        return
    if joined in given_list:
        yield "given_name"
    if joined in family:
        yield "family_name"
    hits = sum(token in given_list or token in family for token in core)
    if hits >= 2 and any(token in given_list for token in core):
        yield "full_name"
    elif hits:
        yield "part_name"
    if core[0] in given_list or core[-1] in given_list:
        yield "given_and_more"


def _unspaced_name(cell: str) -> Iterator[str]:
    """A name in Chinese, Japanese or Korean: the given name follows the family name without a blank."""
    given_list, family, short = given_names(), family_names(), short_family_names()
    yield "name"
    if fold(cell) in given_list:
        yield "given_name"
    elif fold(cell) in family:
        yield "family_name"
    elif any(
        (cell[:cut] in short or fold(cell[:cut]) in family) and fold(cell[cut:]) in given_list
        for cut in range(1, min(4, len(cell)))
    ):
        yield "full_name"
    elif len(cell) <= 4 and cell[0] in short:
        yield "part_name"
    if len(cell) <= 4 and (cell[0] in short or cell[:2] in short):
        yield "unspaced_name"
