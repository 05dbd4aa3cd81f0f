"""What a name is that could be a person's, a place's or an organisation's, by the words around it.

Belongs here: the words that decide between PERSON, LOCATION and ORGANIZATION for a span that was found. Does not belong
here: finding spans (`names.py`, `places.py`, `model.py`).
"""

import re

Result = tuple[int, int, str, float]

_REACH = 40
_PLACE_BEFORE = re.compile(
    r"(?:\b(?i:in|near|across|throughout|within|outside|around|via|towards?|downtown|visit(?:ed|ing|s)?|toured?|reached"
    r"|(?:liv|resid|locat|bas|hous|headquarter|situat|work|bor[en]|rais|held|hosted)\w* (?:in|at|near|outside)"
    r"|(?:move|travel|fl[ey]w?|fl(?:ies|ying)|went|go(?:es|ing)?|drove|driv|trip|ship|relocat|return|commut|sail|expand"
    r"|flight|train|road|way|journey|deliver|transfer|migrat|head|import|export|route|bound)\w*(?: \w+)? (?:to|from"
    r"|for)"
    r"|arriv\w* (?:in|at|from)|come from|came from|comes from|originally from|is from|am from|are from"
    r"|(?:north|south|east|west)(?:ern|east|west|ward)?(?: of)?|(?:city|state|town|country|province|region|republic"
    r"|capital|port|island|kingdom|county|district|border|coast|streets|outskirts|people|government|university|map"
    r"|suburbs?|part|parts|population|mayor|governor|citizens?|residents?) of"
    r"|(?:location|city|town|country|state|place|region|destination|branch|office|site|venue):?))"
    r" (?:(?:the|downtown|central|northern|southern|eastern|western|nearby|greater|rural|upstate|beautiful|old) ){0,2}$"
)
_PLACE_AFTER = re.compile(
    r",? ?(?:,? [A-Z]{2}\b(?!\.)|, (?:USA|UK|Canada|Australia|India|Germany|France|Spain|Italy|England|Ireland"
    r"|Scotland)"
    r"\b|(?:['’]s)? (?:(?:downtown|local|main|regional|annual|city|international|national|new) )?(?i:city|town|county|"
    r"airport|offices?|branch|region|area|plant|border|coast|river|valley|province|district|headquarters|suburbs?"
    r"|warehouse|facility|beach|bay|harbou?r|lake|island|mountains?|desert|economy|capital|population|government"
    r"|climate|weather|summit|marathon|metro|skyline|market|campus|station|museum|stadium|factory|site|state|store"
    r"|location|parliament|embassy|consulate|bridge|residents?|police|court|school district|time zone|train|flight"
    r"|real estate|housing|tourism|wine|cuisine)\b)"
)
_PERSON_BEFORE = re.compile(
    r"(?:\b(?i:mr|mrs|ms|miss|mx|dr|prof|sir|told|asked?|met|meet|thanks?|thank you|dear|hi|hello|hey|named|called|by"
    r"|with|say(?:s|ing)?|said|contact|email(?:ed)?|call|inform(?:ed)?|manager|director|colleague|nurse|doctor|patient"
    r"|employee|customer|client|agent|analyst|engineer|teacher|student|candidate|friend|brother|sister|mother|father"
    r"|daughter|son|wife|husband|aunt|uncle|cousin|grandmother|grandfather|neighbou?r|boss|captain|officer|judge"
    r"|senator|president|attorney|lawyer|professor|assistant|supervisor|coach|author|signed|approved by|assigned to"
    r"|reports? to|spoke (?:to|with)|talk(?:ed)? (?:to|with)|refer(?:red)? to|belongs to|according to|name:?)\.?"
    r"|\b[A-Z]\.) $"
)
_PERSON_AFTER = re.compile(
    r"(?:['’]s (?:e-?mail|phone|account|records?|appointment|birthday|wife|husband|mother|father|son|daughter|brother"
    r"|sister|manager|boss|team|desk|laptop|car|contract|salary|ssn|chart|file|application|claim|policy|card|resume"
    r"|report|presentation|proposal|review|feedback|work|address|order|request|flight|lab|test|blood|insurance)"
    r"| (?:also |has |have |had |will |would |can |could |should |is |was |just |then |recently |already |never "
    r"|really ){0,2}"
    r"(?:said|says|told|asked|asks|called|calls|wrote|writes|thinks|thought|wants|likes|loves|lives|lived|works|worked"
    r"|joined|left|sent|went|came|got|gave|made|took|saw|met|knows|knew|feels|felt|ate|bought|paid|spoke|led|leads"
    r"|born|hired|promoted|diagnosed|admitted|presenting|calling|waiting|going|coming|joining|working|speaking|handling"
    r"|submit|submitted|processed|presented|signed|reviewed|approved|completed|requested|reported|confirmed|scheduled"
    r"|filed|booked|ordered|received|needs|needed|explained|noted|agreed|mentioned|replied|responded|updated|finished"
    r"|prepared|attended|visited|complained|resigned|retired|graduated|married|played|scored|won|walked|ran|asking"
    r"|be|handle|review|present|join|call|send|help|take|make|contact|attend|lead|speak)\b"
    r"|,? (?:who|whose|whom)\b|, (?:our|my|his|her|the new|a senior|senior|chief|head|director|vp|\d\d)\b| and I\b)"
)
_ORGANISATION_AFTER = re.compile(
    r"(?:,? (?:Inc|LLC|Ltd|Limited|GmbH|AG|Corp|Corporation|PLC|plc|LLP|S\.?A|B\.?V|N\.?V|Pty|SE|KG|OHG|Oy|AB|ApS"
    r"|A/S|SpA"
    r"|S\.?r\.?l|SARL|SAS)\b\.?"
    r"| (?:& Co|& Sons?|and Sons?|& Partners|Group|Company|Holdings|Industries|Technologies|Systems|Solutions|Partners"
    r"|Associates|Consulting|Enterprises|Foundation|University|College|Institute|Hospital|Clinic|Bank|Insurance"
    r"|Airlines|Airways|Motors|Pharmaceuticals|Logistics|Capital|Ventures|Labs|Studios|Media|Records|Stores?"
    r"|Brothers|Bros|Chase|Stanley Bank)\b)"
)
_JOINED = re.compile(r" ?(?:&|and|und|et|y) [^\W\d_a-z][\w-]+(?:,? (?:Inc|LLC|Ltd|GmbH|Corp|Group|PLC|LLP|Partners)\b)")
_FIRM = 0.8


def disambiguated(text: str, result: Result) -> Result:
    """The result with the kind that the words around it speak for; unchanged where they say nothing.

    A name with a digit is an address, and keeps its kind. A full name that the lists prove stays a person's unless an
    organisation's suffix follows.
    """
    start, end, kind, score = result
    if kind not in ("PERSON", "LOCATION"):
        return result
    if _ORGANISATION_AFTER.match(text, end) or _JOINED.match(text, end):
        return start, end, "ORGANIZATION", score
    if (kind == "PERSON" and score >= _FIRM) or any(map(str.isdigit, text[start:end])):
        return result
    return start, end, kind_by_context(text, start, end) or kind, score


def kind_by_context(text: str, start: int, end: int) -> str | None:
    """PERSON or LOCATION, whichever the words around a name speak for alone; None where they speak for neither or both.

    Args:
        text: Clean text; see `normalise.clean`.
        start: Where the name begins.
        end: The position after it.
    """
    if _ORGANISATION_AFTER.match(text, end):
        return None
    before = text[max(0, start - _REACH) : start]
    person = _PERSON_BEFORE.search(before) is not None or _PERSON_AFTER.match(text, end) is not None
    place = _PLACE_BEFORE.search(before) is not None or _PLACE_AFTER.match(text, end) is not None
    if person == place:
        return None
    return "PERSON" if person else "LOCATION"
