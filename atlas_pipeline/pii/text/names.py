"""People's names in prose: by the words around them, and by lists of names, in any script that the lists have.

Belongs here: titles, greetings, signatures and other cues, and which listed names are sure enough. Does not belong
here: the lists themselves (`gazetteer.py`), the model (`model.py`), places (`places.py`).
"""

import re
from collections.abc import Iterator

from atlas_pipeline.pii.gazetteer import family_names, fold, given_names, listed
from atlas_pipeline.pii.text.gates import word_gate
from atlas_pipeline.pii.text.words import is_common, is_foreign, is_word

Result = tuple[int, int, str, float]

_WORD = re.compile(r"(?<![\w@])[^\W\d_][^\W\d_'’]*(?:['’-][^\W\d_]{2,})*(?![\w@])")
_CAPITALISED = r"[^\W\d_a-zß-öø-ÿ][^\W\d_'’]*(?:['’-][^\W\d_]+)*"
_NAME = (
    rf"(?:[A-Z]\.|{_CAPITALISED})(?:[ -]?(?<=[ .-])(?:(?:van|von|de|der|den|da|di|del|della|la|le|al|bin|ter|ten|zu"
    rf"|dos|el)\s){{0,2}}(?:[A-Z]\.|{_CAPITALISED})){{0,3}}"
)
_TITLE = (
    r"(?:Mr|Mrs|Ms|Mx|Miss|Dr|Prof|Professor|Doctor|Sir|Madam|Lady|Lord|Herrn?|Frau|Fräulein|Monsieur|Madame"
    r"|Mlle|Mme|Señora?|Sra?|Srta|Don|Doña|Signora?|Sig|Sig\.ra|Dott|Dottor|Pan|Pani|Mevrouw|Meneer|Dhr|Mevr"
    r"|Rev|Father|Captain|Capt|Sgt|Officer|Nurse|Judge|Senator|President|Uncle|Aunt)"
)
TITLE_BEFORE = re.compile(
    r"(?<![\w@.-])(?:(?:Mr|Mrs|Ms|Mx|Miss|Dr|Prof|Professor|Doctor|Sir|Madam|Lady|Lord|Herrn?|Frau|Fräulein|Monsieur"
    r"|Madame|Mlle|Mme|Señora?|Sra?|Srta|Doña|Signora?|Dott|Mevrouw|Meneer|Dhr|Mevr|Rev)\b\.? ){1,2}$"
)
"""Titles at the end of what precedes a name; they are part of its span, since they tell the person's gender or rank."""
_SELF_INTRODUCTION = (
    r"my (?:full |first |last |maiden )?name(?: is|'s|:)|name(?: is|'s|:)|(?:i am|i'm|this is|it's"
    r"|its) (?:called )?|called|named"
    r"|mein name ist|ich hei(?:ß|ss)e|ich bin|je m'appelle|je suis|mon nom est|me llamo|mi nombre es|soy|mi chiamo"
    r"|sono|nazywam si[ęe]|mam na imi[ęe]|ik heet|mijn naam is|met|intestato a|meu nome é|me chamo|jag heter"
    r"|jeg hedder"
)
_LOWER = r"[^\W\d_]{2,}(?:['’-][^\W\d_]+)*"
_TITLE_STEMS = (
    "mr ms mx miss dr prof doctor sir madam lady lord herr frau fräulein monsieur mlle mme señor sr sra srta don doña"
    " signor sig dott pan mevr meneer dhr rev father capt sgt officer nurse judge senator president uncle aunt"
)
_PERSON_CUES = (
    (
        re.compile(rf"\b{_TITLE}\.?\s+(?P<v>(?:(?:de la|de|von der|von|van der|van|di|del) )?{_NAME})"),
        0.9,
        word_gate(_TITLE_STEMS),
    ),
    (
        re.compile(rf"(?i:\b(?:{_SELF_INTRODUCTION})):?\s+(?P<v>{_NAME})"),
        0.8,
        word_gate(
            "name =am =m this it its called named mein ich je mon me mi soy sono nazywam mam ik mijn met"
            " intestato meu jag jeg"
        ),
    ),
    (
        re.compile(
            rf"(?:^|[\n.!?>\"] ?)(?:Hi|Hello|Hey|Dear|Hallo|Lieber?|Sehr geehrter?|Bonjour|Salut|Hola|Ciao"
            rf"|Gentile|Chère?|"
            rf"Estimad[oa]|Car[oa]|Beste|Buongiorno|Guten Tag|Good (?:morning|afternoon|evening)|HI|DEAR"
            rf"|HELLO),? (?P<v>{_NAME})"
        ),
        0.8,
        word_gate(
            "hi hello hey dear hallo lieb sehr bonjour salut hola ciao gentile chèr estimad car beste"
            " buongiorno guten good"
        ),
    ),
    (
        re.compile(
            rf"(?i:\b(?:regards|thanks|thank you|thx|cheers|sincerely|best wishes|best|yours(?: truly"
            rf"| faithfully)?|love|"
            rf"grüße(?:n)?|gruß|gruss|saluti|saludos|cordialement|pozdrawiam|groeten|groet|merci|gracias|danke"
            rf"|xoxo|signed|from))"
            rf"[,.!:]?[ \n]+(?:[-–—] ?)?(?P<v>{_NAME})(?=\s*(?:$|\n|[.,(]))"
        ),
        0.8,
        word_gate(
            "regards thank thx cheers sincerely best yours love grüße gruß gruss saluti saludos cordialement"
            " pozdrawiam gro merci gracias danke xoxo signed from"
        ),
    ),
    (
        re.compile(
            r"(?i:\b(?:customer|client|patient|employee|user|contact|manager|agent|attn|attention|recipient|sender|"
            r"cardholder|account holder|beneficiary|guardian|spouse|wife|husband|son|daughter|brother|sister"
            r"|mother|father|"
            r"mom|dad|friend|colleague|boss|kunde|kundin|patientin|doctor|physician|signed by|cc|to|from|by"
            r"|name)(?: name)?)"
            rf"(?:: ?|, | )(?P<v>{_NAME})"
        ),
        0.6,
        word_gate(
            "customer client patient employee user contact manager agent attn attention recipient sender"
            " cardholder account beneficiary guardian spouse wife husband son daughter brother sister mother"
            " father mom dad friend colleague boss kund doctor physician signed =cc =to =from =by name"
        ),
    ),
    (
        re.compile(
            rf"(?:\b(?:said|says|asked|told|tell|asks|met|ask for|spoke (?:to|with)|talked (?:to|with)|between|named|"
            rf"remove|patient|applicant|guest|it's|its)) (?P<v>{_NAME})"
        ),
        0.7,
        word_gate(
            "=said =says =asked =told =tell =asks =met =ask =spoke =talked =between =named =remove =patient"
            " =applicant =guest =it =its"
        ),
    ),
    (re.compile(rf"(?m:^)(?P<v>{_CAPITALISED}, {_CAPITALISED}(?: [A-Z]\.)?)(?=\s*(?:$|\n|[\t;|(]))"), 0.6, ~0),
)
_STOP_WORDS = """
a account address again all an api april atm august avenue bank best black bonjour buongiorno ceo christmas ciao
city company cordialement corp country cto customer damen das date de dear december der des die dob dr du easter ein
eine el email english everyone faq february folks french friday german gmbh gmt god groeten groetjes gruß grüße
grüßen guten guys hallo hello her herren hi his hola hospital hr http iban ich id il inc it january json july june
la le les llc lo los ltd madam march may mobile monday mr mrs ms mvg my name nhs no november number october ok order
our pdf phone pin please pozdrawiam regards road saludos salut saluti saturday sent september service sie sir
januar februar märz mai juni juli oktober dezember janvier février mars avril juin juillet août enero febrero marzo
abril mayo junio agosto septiembre octubre noviembre diciembre gennaio febbraio aprile maggio giugno luglio
settembre ottobre dicembre
spanish sql ssn state street sunday support team thanks that the their there this thursday ticket tuesday un una und
university url utc vat wednesday wir yes your zip
"""
_PRODUCTS = """
safari jira kafka oracle alexa siri cortana excel chrome firefox edge outlook teams slack zoom trello asana gradle
ansible kotlin perl swift scala python django flask jupiter apollo nomad helm istio envoy cilium harbor traefik redis
mongo cassandra elastic kibana grafana prometheus splunk tableau hadoop trino druid dagster prefect lego ikea tesla
"""
_FORM_WORDS = """
adresse angabe angebot anlage anmeldung anrede anruf anrufe anschrift antrag antwort anzahl anzeige arbeit auftrag
ausgabe ausweis bank beitrag bericht bescheid bestellung betrag betreff beleg bild blatt brief buch buchung code datei
dateien daten datum dienst dienste dokument druck eingabe eintrag eintrage email ende ergebnis fach fahrt fall falle
fehler feld felder filiale firma formular frage frist gast gebiet gebuhr gerat gesetz gewicht gruppe grund gutschein
halle handel handy haus heft heim hilfe hinweis honorar inhalt jahr jahre kanal karte karten kasse kauf kennzeichen
klasse konten konto kopie kosten kreis kunde kunden lager land laufzeit leistung lieferung liste lohn mahnung maschine
meldung menge miete minuten mitarbeiter mitglied mitglieder monat monate muster nachricht name netz nummer nutzer ort
paket partner passwort person personen pflichtfeld pflichtfelder plan platz post preis produkt programm prozent
punkt punkte rabatt rate raum rechnung rechnungen regel reise rest richtlinie rolle runde schein schicht schluss schritt
schule seite seiten sekunden serie server sitz spalte sparte stand stelle stellen steuer steuern stück stunde stunden
system tag tage tarif teil termin test text titel tisch ton tor treffer umsatz unterlagen urlaub vertrag vertrage ware
waren wagen wechsel werk wert werte woche wochen zahl zahlen zahlung zeichen zeile zeilen zeit ziel zimmer zinsen zone
zugang zusatz conti conto carta carte casa caso cliente clienti codice corso costo dati fattura foglio fondo gruppo
libro mese modello negozio nome numero ordine ospite parte pezzo prezzo prodotto punto quota riga righe sconto scuola
servizio sezione socio stato tassa utente valore veuillez voie voiture facture dossier fichier client clients
commande cuenta cuentas factura fila filas fichero pedido precio producto tarjeta usuario kreditkarte
utilisateur adresse indirizzo direccion reinicie rellene espere revise loschung kontofuhrung versteuerung
 compruebe vuelva merci bitte
"""
NOT_NAMES = frozenset(fold(word) for word in (_STOP_WORDS + _PRODUCTS + _FORM_WORDS).split())
"""Capitalised words of letters and forms that are not names, though a list of names may hold them."""
_LOWER_CUE = re.compile(
    r"(?i:\b(?:my name is|my name's|name:|i am|i'm|im|this is|call me|mein name ist|ich heiße|ich bin|je m'appelle|"
    r"je suis|me llamo|soy|mi chiamo|sono|intestato a|nazywam się|ik heet|mijn naam is|hi|hello|hey|dear|thanks"
    r"|thx|cheers|"
    r"regards|grüßen|gruß|saluti|saludos|cordialement|pozdrawiam|groet(?:en)?|mr|mrs|ms|dr|herr|frau|with|ask for"
    r"|tell|ask|"
    r"birthday|account of|on behalf of|from|for|an|to))"
    rf"[,:!]?\s+(?P<v>{_LOWER}(?: {_LOWER}){{0,2}})"
)
_LOWER_CUE_GATE = word_gate(
    "=my name =am =m =im =this =call =mein =ich =je =me =soy =mi =sono intestato nazywam =ik =mijn hi hello"
    " hey dear thanks"
    "  thx cheers regards grüßen gruß saluti saludos cordialement pozdrawiam groet mr mrs ms dr herr frau"
    " =with =ask =tell"
    " =birthday =account =behalf =from =for =an =to"
)
_LOWER_PAIR = re.compile(rf"(?=(?<![\w.@/-])(?P<first>{_LOWER}) (?P<second>{_LOWER})(?![\w@/]|\.\w))")
_UNSPACED_CUE = re.compile(
    "(?:我叫|我是|姓名[:：]|名字是|名前は|私は|氏名[:：]|お名前[:：]|이름은|이름[:：])\\s*(?P<v>[\u3400-\u9fff\u3041-\u30ff\uac00-\ud7af]{2,4}?)"
    "(?=です|と|[，,。.、\\s]|$|입니다|이고)"
)
_UNSPACED = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\u3041-\u30ff\uac00-\ud7af]+")


def name_results(text: str, gates: int) -> Iterator[Result]:
    """People's names in the text.

    Args:
        text: Clean text; see `normalise.clean`.
        gates: The open gates; see `gates.open_gates`.

    Yields:
        Start, end, kind and score of each result.
    """
    yield from _names_after_cues(text, gates)
    yield from _names_in_lists(text)
    if gates & _PRONOUN_GATE:
        yield from _sentence_subjects(text)
    if not text.isascii():
        yield from _names_without_spaces(text)


def _names_after_cues(text: str, gates: int) -> Iterator[Result]:
    """Names after a cue such as a title, a greeting or "my name is"."""
    for pattern, score, gate in _PERSON_CUES:
        if not gates & gate:
            continue
        for match in pattern.finditer(text):
            start, end = match.span("v")
            first = fold(_WORD.match(text, start)[0]) if _WORD.match(text, start) else ""  # type: ignore[index]
            if first in NOT_NAMES or (score < 0.9 and is_common(first) and first not in given_names()):
                continue
            if score < 0.7 and not any(_is_listed_name(word[0]) for word in _WORD.finditer(text, start, end)):
                continue
            yield start, end, "PERSON", score
    for match in _LOWER_CUE.finditer(text) if gates & _LOWER_CUE_GATE else ():
        words = list(_WORD.finditer(text, *match.span("v")))
        known = 0
        while known < len(words) and _is_name_word(fold(words[known][0])):
            known += 1
        if known and known < len(words) and not is_common(fold(words[known][0])) and len(words[known][0]) > 2:
            known += 1
        if known and match["v"].islower():
            yield match.start("v"), words[known - 1].end(), "PERSON", 0.6
    for match in _LOWER_PAIR.finditer(text):
        first, second = fold(match["first"]), fold(match["second"])
        if match["first"].islower() and _is_given(first) and any(map(_is_name_word, re.split("['’-]", second))):
            yield match.start("first"), match.end("second"), "PERSON", 0.6


_PRONOUN_GATE = word_gate("=he =she =his =her =him =himself =herself")
_SUBJECT = re.compile(
    rf"(?:^|(?<=[.!?\n] )|(?<=\n))(?P<v>{_CAPITALISED}(?: {_CAPITALISED}){{0,2}})(?= [a-z]{{2,}}(?:ed|s|t|n|d|w|k|me"
    rf"|ve|de|te"
    rf"|re)\b[^.!?\n]{{0,120}}"
    r"\b(?:he|she|his|her|him|himself|herself)\b)"
)


def _sentence_subjects(text: str) -> Iterator[Result]:
    """Unknown words that begin a sentence and that "his" or "her" refers to."""
    for match in _SUBJECT.finditer(text):
        words = [fold(word) for word in re.split("[ '’-]", match["v"])]
        if not any(word in NOT_NAMES or is_word(word) for word in words):
            yield *match.span("v"), "PERSON", 0.55


def _is_listed_name(word: str) -> bool:
    folded = fold(word)
    return folded in given_names() or folded in family_names()


def begins_with_given_name(text: str) -> bool:
    """Whether the first word is a given name, and no ordinary word."""
    words = text.split()
    return bool(words) and _is_given(fold(words[0].strip(",.")))


def _is_name_word(folded: str) -> bool:
    return (
        len(folded) > 1
        and folded not in NOT_NAMES
        and not is_common(folded)
        and (folded in given_names() or folded in family_names())
    )


def _is_given(folded: str) -> bool:
    return len(folded) > 2 and folded in given_names() and not is_common(folded) and folded not in NOT_NAMES


def _names_in_lists(text: str) -> Iterator[Result]:
    """Runs of capitalised words that are in the lists of names."""
    given, family = given_names(), family_names()
    foreign = is_foreign(text)
    run: list[tuple[int, int, str]] = []
    runs: list[list[tuple[int, int, str]]] = []
    for match in _WORD.finditer(text):
        word = match[0]
        if word[0].islower():
            continue
        if run and not _NAME_SEPARATOR.fullmatch(text, run[-1][1], match.start()):
            runs.append(run)
            run = []
        run.append((match.start(), match.end(), fold(word)))
    if run:
        runs.append(run)
    for words in runs:
        index = 0
        while index < len(words):
            length, score = _name_at(words, index, given, family)
            if length == 1 and _is_doubtful_alone(
                text[words[index][0] : words[index][1]], words[index][2] in given, foreign
            ):
                index += 1
            elif length:
                initials = _INITIALS.search(text, max(0, words[index][0] - 9), words[index][0])
                yield initials.start() if initials else words[index][0], words[index + length - 1][1], "PERSON", score
                index += length
            else:
                index += 1


_INITIALS = re.compile(r"\b(?:[A-Z]\. ?){1,3}$")
_NAME_SEPARATOR = re.compile(
    r" (?:[A-Z]\. |(?:van|von|de|der|da|di|del|la|le|al|bin|ter|ten|van der|van den|de la) )?|, "
)


def _name_at(
    words: list[tuple[int, int, str]], index: int, given: frozenset[str], family: frozenset[str]
) -> tuple[int, float]:
    """How many words from `index` on are a name, and the score of that."""
    first = words[index][2]
    if len(first) < 2 or first in NOT_NAMES:
        return 0, 0.0
    if _is_pair_of_words(words, index):
        return 2, 0.7
    firm = first in given and not is_common(first)
    second = words[index + 1][2] if index + 1 < len(words) else ""
    if len(second) > 1 and second not in NOT_NAMES:
        likely = second in family or second in given
        if (firm and (likely or not is_common(second))) or (first in given and likely and not is_common(second)):
            third = words[index + 2][2] if index + 2 < len(words) else ""
            further = third in family and third not in NOT_NAMES and not is_common(third)
            return 3 if further else 2, 0.85 if likely else 0.75
        if first in family and second in given and not is_common(first) and not is_common(second):
            return 2, 0.75
    if firm and not is_word(first):
        return 1, 0.55
    if firm or (first in family and not is_word(first)):
        return 1, 0.5
    return 0, 0.0


_GIVEN_NAMES_THAT_ARE_WORDS = listed(
    """amber april art autumn bill bob buddy chase christian clay cliff crystal daisy dale dawn dean don drew earl
    eve faith forest frank gene ginger glen grace grant guy harry heather holly hope iris ivy jack joy june
    lance lily mark max miles nick olive pat peg penny ray rich rob rose ruby rusty sandy sonny stone sue
    summer victor violet wade will"""
)
_FAMILY_NAMES_THAT_ARE_WORDS = listed(
    """baker banks bell best bishop black brooks brown burns butler carter case cash chance church cole cook cooper
    crane cross day dean drake early field fields fisher fox frost glass golden good gray green grey head hill
    hope house hunt hunter just key king lamb lane little long love low major mason may miller moody moss
    myers nash nice noble page park parker pool poor porter potter price reed rice rich ring rivers rose rush
    sands savage sharp shepherd short singer slaughter small smith snow speed spring steel stone street strong
    sweet swift taylor turner walker wall ward waters weaver wells west white winter wise wolf wood woods
    worth wright young"""
)


def _is_doubtful_alone(word: str, given: bool, foreign: bool) -> bool:
    """Whether a listed name that stands alone is rather an acronym, or a noun of a language that capitalises nouns."""
    return (word.isupper() and word.isascii() and len(word) < 4) or (foreign and not given and word[0].isupper())


def _is_pair_of_words(words: list[tuple[int, int, str]], index: int) -> bool:
    """Whether two capitalised words that are both ordinary are a name all the same, such as Will Black: the first is a
    given name, the second a family name, and no third capitalised word follows."""
    return (
        index + 2 == len(words)
        and words[index][2] in _GIVEN_NAMES_THAT_ARE_WORDS
        and words[index + 1][2] in _FAMILY_NAMES_THAT_ARE_WORDS
        and words[index + 1][0] - words[index][1] == 1
    )


def _names_without_spaces(text: str) -> Iterator[Result]:
    """Names in scripts without blanks: a listed family name, then a listed given name."""
    yield from ((*match.span("v"), "PERSON", 0.7) for match in _UNSPACED_CUE.finditer(text))
    given, family = given_names(), family_names()
    for match in _UNSPACED.finditer(text):
        run, at = match[0], 0
        while at < len(run):
            for head in (3, 2, 1):
                tail = next(
                    (
                        size
                        for size in (3, 2, 1)
                        if run[at : at + head] in family and run[at + head : at + head + size] in given
                    ),
                    0,
                )
                if tail:
                    yield match.start() + at, match.start() + at + head + tail, "PERSON", 0.7
                    at += head + tail
                    break
            else:
                at += 1
