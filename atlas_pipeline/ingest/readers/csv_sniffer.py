"""A guess at how a CSV file departs from RFC 4180, from its first 64 KiB, for a person to check.

Belongs here: delimiter, quote, encoding, lines before and after the data, header, and how numbers and booleans are
written. Does not belong here: reading with these options (`csv_options.py`), types of columns (`infer.py`).

The delimiter and quote are those under which most records have one number of fields and most fields look like values
of a known kind, after van den Burg, Nazábal and Sutton, "Wrangling messy CSV files by detecting row and type
patterns", Data Mining and Knowledge Discovery 33 (2019).
"""

import codecs
import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from atlas_pipeline.ingest.column_names import names_person, seems_value
from atlas_pipeline.ingest.readers.csv_escapes import has_escapes, without_escapes
from atlas_pipeline.ingest.readers.csv_options import QUOTES, CsvOptions, separator_line
from atlas_pipeline.ingest.types import Notation

HEAD_BYTES = 1 << 16
DELIMITERS = (",", ";", "\t", "|", ":", "^", "~", " ", "\x01", "\x1f")
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SINGLE_BYTE = ("cp1252", "cp1250", "cp1251", "cp1253", "koi8-r")
_WINDOWS = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257")
_COMMON = (*_WINDOWS, "koi8-r", "shift_jis", "cp932", "euc_jp", "gb18030", "big5", "cp949")
_MOST_RECORDS = 500
_MOST_PREAMBLE = 50
_MOST_FOOTER = 5
_NEARLY_ALL = 0.9

BOOLEAN_WORDS = (
    ("ja", "nein"),
    ("oui", "non"),
    ("si", "no"),
    ("sí", "no"),
    ("sim", "não"),
    ("ja", "nee"),
    ("ja", "nej"),
    ("tak", "nie"),
    ("ano", "ne"),
    ("да", "нет"),
    ("wahr", "falsch"),
    ("vrai", "faux"),
    ("on", "off"),
)
"""Pairs of words for true and false that the type boolean does not take by itself."""

_NUMBER = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:[.,'’ \u00a0\u202f]\d{3})+)(?:[.,]\d+)?(?:[eE][+-]?\d+)?")
_MONEY = re.compile(r"(?:[$€£¥]\s?[+-]?[\d.,]+|[+-]?[\d.,]+\s?(?:[$€£¥%]|EUR|USD|CHF|GBP))")
_MOMENT = re.compile(
    r"\d{4}-\d\d?-\d\d?(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"
    r"|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}(?: \d\d:\d\d(?::\d\d)?)?|\d{1,2}:\d\d(?::\d\d)?"
)
_MAIL = re.compile(r"[^@\s,;|\"']+@[^@\s,;|\"']+\.[A-Za-z]{2,}")
_PHONE = re.compile(r"\+\d[\d ()/-]{6,18}\d")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+")
_CODE = re.compile(r"[A-Za-z0-9]+(?:[-_./][A-Za-z0-9]+)*")
_WORDS = re.compile(r"[^\W\d_][\w'’.&()/-]*(?: [\w'’.&()/,-]+){0,12}[.!?]?")
_TOTAL = re.compile(
    r"(?:grand|sub|sous|total|sum)?[ _-]?(?:totals?|totale?s?|sums?|sum total|total (?:general|général|geral|generale)"
    r"|(?:zwischen|gesamt|end)?summe|gesamt(?:betrag|ergebnis)?|summe gesamt|endbetrag|somme|summa|suma|totaal|totaux"
    r"|average|avg|mean|mittelwert|durchschnitt|moyenne|promedio|gemiddelde|średnia|среднее|平均"
    r"|i alt|yhteensä|összesen|toplam|итого|всего|celkem|razem|合计|合計):?\Z"
    r"|\(?\d+ (?:rows?|records?|lines?|zeilen|lignes)\b|(?:end of (?:file|report)|records?:|rows?:|# )",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sniffed:
    """What a file seems to be; no value of it.

    `decimal` and `thousands` are the marks in its numbers, `thousands` empty without one. `booleans` are the words for
    true and false, None unless a column consists of such a pair. `fields` is the number of columns. `header_in_doubt`
    says that the first row may be names or values, `marks_in_doubt` that one mark before three digits may be either.
    """

    options: CsvOptions
    decimal: str = "."
    thousands: str = ""
    booleans: tuple[str, str] | None = None
    fields: int = 0
    header_in_doubt: bool = False
    marks_in_doubt: bool = False

    @property
    def notation(self) -> Notation:
        """How numbers and booleans are written."""
        return Notation(self.decimal, self.thousands, self.booleans)


def sniff(head: bytes, *, whole: bool) -> Sniffed:
    """Guess from the beginning of a file.

    Args:
        head: the first bytes, decompressed; 64 KiB are enough.
        whole: whether that is the whole file, so that its last lines are known.
    """
    encoding = guess_encoding(head)
    text = _text(head, encoding, whole)
    escape = "\\" if has_escapes(text) else None
    text = without_escapes(text) if escape else text
    named = separator_line(text.encode()[:16])
    if named:
        text = text.split("\n", 1)[1] if "\n" in text else ""
    best = _best_reading(text, (named,) if named else DELIMITERS)
    if best is None:
        header = _has_header([[line] for line in text.split("\n")[:_MOST_RECORDS] if line.strip()])
        alone = CsvOptions(named, encoding=encoding, names=("column_1",) if header is False else (), escape=escape)
        return Sniffed(alone, fields=1, header_in_doubt=header is None)
    records = best.records
    footer = _footer(best) if whole else 0
    data = records[best.first : len(records) - footer]
    header = _has_header(data)
    names = tuple(f"column_{i}" for i in range(1, best.fields + 1)) if header is False else ()
    lines = text.split("\n")[: best.lines[best.first] - 1]
    filled = [line for line in lines if line.strip()]
    comment = "#" if filled and all(line.startswith("#") for line in filled) else None
    units = 1 if not names and _holds_units(data) else 0
    body = data if names else data[1 + units :]
    booleans = _booleans(body)
    decimal, thousands, in_doubt = _number_marks(
        body, comma_is_free=best.delimiter != ",", continental=booleans is not None or _is_continental(data)
    )
    options = CsvOptions(
        delimiter=best.delimiter,
        quote=best.quote,
        encoding=encoding,
        skip_lines=0 if comment or not filled else len(lines) + bool(named),
        comment=comment,
        footer=footer,
        names=names,
        escape=escape,
        skip_below=units,
    )
    return Sniffed(options, decimal, thousands, booleans, best.fields, header is None, in_doubt)


@dataclass(frozen=True)
class Arrangement:
    """Where the table is in the rows of a sheet.

    `first` is the index of the header, or of the first row where there is no `header`; `footer` the number of rows at
    the end that are no data. `booleans` are the words for true and false, None unless a column consists of such a pair.
    """

    first: int
    header: bool
    footer: int
    booleans: tuple[str, str] | None = None


def sniff_rows(rows: list[list[str]], numbers: list[int], *, whole: bool) -> Arrangement:
    """Guess from the first rows of a sheet, which all have as many cells; at least one.

    Args:
        rows: the cells as text, blank rows left out.
        numbers: of the rows in the sheet.
        whole: whether these are all rows, so that the last ones are known.
    """
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    counts = Counter(filled[len(filled) // 2 :])
    width = max(counts, key=lambda n: (counts[n], n))
    first = next((i for i, count in enumerate(filled[:_MOST_PREAMBLE]) if count * 2 > width), 0)
    footer = 0
    while whole and footer < _MOST_FOOTER and len(rows) - footer > first + 2:
        cells = [cell for cell in rows[-1 - footer] if cell.strip()]
        note = len(cells) == 1 and width > 1 and numbers[-1 - footer] > numbers[-2 - footer] + 1
        total = _TOTAL.match(cells[0].strip()) and all(_kind(cell) in ("number", "money") for cell in cells[1:])
        if not note and not total:
            break
        footer += 1
    data = rows[first : len(rows) - footer]
    header = _has_header(data) is not False
    return Arrangement(first, header, footer, _booleans(data[1:] if header else data))


_WESTERN = frozenset("äöüÄÖÜßáéíóúÁÉÍÓÚñÑ°")
_PUNCTUATION = re.compile(
    r"(?<![^\W\d_])[€£§©®°±²³µ¼½¾™\xa0](?![^\W\d_])|°(?=[CF]\b)|µ(?=[mglsA]\b)|(?<!\w)[“„‘‚«‹¿¡](?=\w)|(?<=[\w.,!?])[”“’»›…](?!\w)|(?<=[a-zA-Z])’(?=[a-z])"
    r"|(?<=\s)[–—•](?=\s)"
)
"""Signs of Windows-1252 where they are written: an ä of another codec stands between letters."""
_FRENCH = frozenset("àâçèêëîïôùûÀÂÇÈÊËÎÏÔÙÛ")


def guess_encoding(head: bytes) -> str | None:
    """The codec of text, None for UTF-8 and for what a byte order mark says."""
    if head.startswith(_MARKS):
        return None
    if head[:2000].count(0) > len(head[:2000]) // 4:
        return "utf-16-le" if head[1:2000:2].count(0) > head[0:2000:2].count(0) else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=False)
    except UnicodeDecodeError:
        return _detected(head) or max(_SINGLE_BYTE, key=lambda name: _plausibility(head.decode(name, "replace")))
    return None


def _is_western(head: bytes) -> bool:
    """Whether as Windows-1252 all accents are German, Spanish or French: a few of them fit many codecs about as well.

    The letter ñ alone may be a Polish ń, and è a Slovene č: each needs a letter beside it that the other lacks.
    """
    letters = {char for char in _PUNCTUATION.sub("", head.decode("cp1252", "replace")) if not char.isascii()}
    polish = "ñ" in letters and letters.isdisjoint("áéíú")
    slovene = not letters.isdisjoint(_FRENCH) and letters.isdisjoint("éÉ")
    return not polish and not slovene and letters <= _WESTERN | _FRENCH


def _detected(head: bytes) -> str | None:
    """The codec that chardet finds, under the common name of those that read the same text; None if there is none."""
    import chardet

    if _is_western(head):
        return "cp1252"
    found = chardet.detect(head)["encoding"]
    try:
        text = head.decode(found, "replace") if found else None
    except LookupError:
        return None
    if found is None or text is None:
        return None
    return next((name for name in _COMMON if head.decode(name, "replace") == text), codecs.lookup(found).name)


def _plausibility(text: str) -> float:
    """The share of the words with other than ASCII letters that a language could have: of one script, no symbols."""
    words = [word for word in re.findall(r"[^\s,;|\t\"]+", text) if not word.isascii()]
    return sum(_is_plausible(word) for word in words) / max(len(words), 1)


def _is_plausible(word: str) -> bool:
    letters = [char for char in word if char.isalpha()]
    high = [char for char in word if not char.isascii()]
    if not all(char.isalpha() for char in high):
        return False
    scripts = {unicodedata.name(char, "?").split()[0] for char in letters}
    return len(scripts) == 1 and ("LATIN" not in scripts or len(high) * 2 <= len(letters))


def _text(head: bytes, encoding: str | None, whole: bool) -> str:
    if encoding is None:
        marks = {"utf-8-sig": _MARKS[:1], "utf-32": _MARKS[1:3], "utf-16": _MARKS[3:]}
        encoding = next((name for name, some in marks.items() if head.startswith(some)), "utf-8")
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head, final=whole)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if whole or "\n" not in text else text[: text.rindex("\n") + 1]


class _Reading(NamedTuple):
    """The text under one delimiter and quote. `first` is the index of the header or first row; `lines` are 1-based."""

    delimiter: str
    quote: str
    fields: int
    first: int
    records: list[list[str]]
    lines: list[int]
    score: float


def _best_reading(text: str, delimiters: Sequence[str | None]) -> _Reading | None:
    readings = (_reading(text, one, quote) for one in delimiters if one for quote in QUOTES)
    found = [one for one in readings if one is not None]
    return max(found, key=lambda one: one.score, default=None)


def _reading(text: str, delimiter: str, quote: str) -> _Reading | None:
    if delimiter not in text or (quote != '"' and quote not in text):
        return None
    rows = csv.reader(text.split("\n"), delimiter=delimiter, quotechar=quote, skipinitialspace=False)
    records: list[list[str]] = []
    lines: list[int] = []
    try:
        before = 0
        for row in rows:
            if any(cell.strip() for cell in row):
                records.append(row)
                lines.append(before + 1)
            before = rows.line_num
            if len(records) >= _MOST_RECORDS:
                break
    except csv.Error:
        return None
    counts = Counter(len(row) for row in records[-max(len(records) - _MOST_PREAMBLE, len(records) // 2, 1) :])
    fields = max(counts, key=lambda n: (counts[n] * (n > 1), n), default=1)
    if fields < 2:
        return None
    first = _first(records, lines, fields)
    kept = [row for row in records[first:] if len(row) == fields]
    if delimiter == " " and not any(_kind(cell) in _TYPED for row in kept for cell in row):
        return None  # words of a text
    body = records[first : max(len(records) - _MOST_FOOTER, first + 1)] if len(records) - first > 20 else kept
    steady = len([row for row in body if len(row) == fields]) / max(len(records[first:]), len(body), 1)
    known = sum(_kind(cell) != "" for row in kept for cell in row) / max(len(kept) * fields, 1)
    quoted = (
        0.02
        if quote != '"'
        and not re.search(rf"(?m)(?:^|{re.escape(delimiter)})'[^'\n]*'(?:{re.escape(delimiter)}|$)", text)
        else 0.0
    )
    spread = 0.05 if delimiter == " " else 0.0
    share = len(kept) / max(len(records), 1)
    score = steady**2 * share * (fields - 0.5) / fields * known - quoted - spread - 0.01 * QUOTES.index(quote)
    return _Reading(delimiter, quote, fields, first, records, lines, score)


def _first(records: list[list[str]], lines: list[int], fields: int) -> int:
    """Index of the header or first row: titles and notes above it have other numbers of fields, or mostly none."""
    for index, row in enumerate(records[:_MOST_PREAMBLE]):
        after = records[index + 1 : index + 3]
        if len(row) != fields or (row[0].lstrip().startswith("#") and not _named_below(records, index, [])):
            continue
        title = sum(bool(cell.strip()) for cell in row) * 2 < fields
        if title and any(sum(bool(cell.strip()) for cell in one) * 2 >= fields for one in after):
            continue
        if _is_above_names(records[index : index + _MOST_TITLES + 4], fields):
            continue
        return _after_break(records, lines, index, fields)
    return 0


_MOST_TITLES = 6


def _after_break(records: list[list[str]], lines: list[int], first: int, fields: int) -> int:
    """Index of a row of names below a blank line or a line of another number of fields, where what is above it has no
    values of the kinds below it; else `first`."""
    for index in range(first + 1, min(first + 1 + _MOST_TITLES, len(records))):
        broken = len(records[index - 1]) != fields or lines[index] - lines[index - 1] > 1
        if broken and len(records[index]) == fields and _named_below(records, index, records[first:index]):
            return index
    return first


def _named_below(records: list[list[str]], index: int, above: list[list[str]]) -> bool:
    """Whether a record names columns: some column has values of typed kinds below it, and none of these kinds above."""
    names = [cell.strip() for cell in records[index]]
    below = records[index + 1 : index + 5]
    if not below or not all(names) or len(set(names)) < len(names) or any(_kind(name) in _TYPED for name in names):
        return False
    for i in range(len(names)):
        kinds, kinds_above = ({_kind(row[i]) if i < len(row) else "" for row in rows} for rows in (below, above))
        if kinds <= _TYPED and kinds.isdisjoint(kinds_above):
            return True
    return False


def _is_above_names(records: list[list[str]], fields: int) -> bool:
    """Whether the first record is a title that was filled up with empty fields: a row of names, all filled, follows
    with values of another kind below it."""
    rows = [[cell.strip() for cell in row] for row in records if len(row) == fields]
    at = next((i for i, row in enumerate(rows) if all(row)), 0)
    below = rows[at + 1 : at + 4]
    if not 0 < at <= _MOST_TITLES or not below or len({cell.lower() for cell in rows[at]}) < fields:
        return False
    if any(_kind(cell) in _TYPED for cell in rows[at]):
        return False
    return any(all(_kind(row[i]) in _TYPED for row in below) for i in range(fields))


_KINDS = (
    ("number", _NUMBER),
    ("moment", _MOMENT),
    ("phone", _PHONE),
    ("mail", _MAIL),
    ("url", _URL),
    ("money", _MONEY),
    ("code", _CODE),
    ("words", _WORDS),
)
_TYPED = {"number", "moment", "mail", "phone", "url", "money"}


def _kind(cell: str) -> str:
    """The kind of value that a cell looks like; `empty` for none, an empty string for an unknown one."""
    cell = cell.strip()
    if not cell:
        return "empty"
    return next((name for name, pattern in _KINDS if pattern.fullmatch(cell)), "")


_HEADER_WORD = re.compile(
    r"(?:^|[^a-z])(?:id|no|nr|num|key|code|date|day|month|year|time|at|on|from|to|first|last|city|town|ort|land|country|state"
    r"|status|street|mail|e-?mail|phone|tel|mobile|title|type|typ|kind|note|notes|text|unit|author|autor|genre|subject|fach"
    r"|grade|class|group|team|product|item|colou?r|size|gender|sex|job|role|company|currency|language|region|district|field"
    r"|column|label|value|count|total|sum|nom|pr[eé]nom|ville|pays|nombre|apellido|ciudad|pa[ií]s|naam|plaats|imi[eę]"
    r"|nazwisko|miasto|artist|album|species|brand|model|message|url|link|file|path|source|target|reason|user|owner"
    r"|customer|supplier|category|description|comment|remark|address|department|position|level|priority|name|names)"
    r"(?:$|[^a-z])|(?:name|nummer|stadt|datum|straße|strasse|wert|preis|betrag|menge|art|gruppe|klasse|farbe|beruf|firma"
    r"|abteilung|kategorie|bezeichnung|beschreibung|bemerkung|adresse|sprache|marke|zeit|jahr|monat|tag|kunde|artikel"
    r"|produkt|einheit|status|land|ort)$",
    re.IGNORECASE,
)
"""Words that columns are named with, in some languages."""
_FEWEST_BELOW = 2


def _has_header(data: list[list[str]]) -> bool | None:
    """Whether the first row names columns: it does not look like the values below it. Null when nothing tells."""
    if not data:
        return True
    first, rest = data[0], data[1:]
    kinds = [_kind(cell) for cell in first]
    if any(kind in ("mail", "phone", "url", "moment") for kind in kinds) or any(map(seems_value, first)):
        return False
    if len({cell.strip().lower() for cell in first if cell.strip()}) < len([cell for cell in first if cell.strip()]):
        return not any(kind == "number" for kind in kinds)
    numbers = [i for i, kind in enumerate(kinds) if kind == "number"]
    if not numbers:
        named = _text_has_header(first, rest)
        return None if named and any(map(names_person, first)) else named
    if all(re.fullmatch(r"(?:19|20|21)\d\d", first[i].strip()) for i in numbers) and len(numbers) < len(first):
        return True  # years as the names of columns
    below = [Counter(_kind(row[i]) for row in rest if i < len(row)).most_common(1) for i in numbers]
    return not any(kind and kind[0][0] in ("number", "empty") for kind in below)


def _text_has_header(first: list[str], rest: list[list[str]]) -> bool | None:
    """Whether a first row of words names columns of which some, or all, are words, too."""
    if any(_HEADER_WORD.search(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cell.strip())) for cell in first):
        return True
    columns = [[row[i].strip() for row in rest if i < len(row) and row[i].strip()] for i in range(len(first))]
    if len(rest) < _FEWEST_BELOW or not all(columns):
        return True
    if any(_kind(cell) in _TYPED for column in columns for cell in column[:5]):
        return True
    heads = [cell.strip() for cell in first]
    if any(head in column for head, column in zip(heads, columns, strict=True)):
        return False
    shapes = [_shape(head) for head in heads]
    alike = [all(_shape(cell) == shape for cell in column) for shape, column in zip(shapes, columns, strict=True)]
    if any(same and (re.search("[0-9]", shape) or shape.isupper()) for same, shape in zip(alike, shapes, strict=True)):
        return False  # AB-12 above CD-34; DE above FR
    names = all(re.match(r"[^\W\d_]", head) and head[0].isupper() and not head.isupper() for head in heads)
    values = all(cell[:1].isupper() for column in columns for cell in column)
    return None if names and values else True


def _shape(text: str) -> str:
    """A text with each digit as 0, each capital as A and each other letter as a."""
    text = re.sub(r"\d", "0", text)
    return "".join("A" if char.isupper() else "a" if char.isalpha() else char for char in text)


_CONTINENTAL = re.compile(
    r"betrag|menge|preis|umsatz|datum|nummer|stück|gehalt|anzahl|größe|straße|montant|prix|quantité|fecha|importe|precio"
    r"|cantidad|importo|prezzo|bedrag|prijs|aantal|kwota|cena|ilość|stadt|kunde|monat|jahr",
    re.IGNORECASE,
)


def _is_continental(data: list[list[str]]) -> bool:
    """Whether dates as 31.12.2024 or the words of the header tell of a language whose decimal mark is a comma."""
    dates = any(re.fullmatch(r"\d{1,2}\.\d{1,2}\.\d{4}", cell.strip()) for row in data[1:50] for cell in row)
    return dates or any(_CONTINENTAL.search(cell) for cell in data[0] if data)


def _footer(reading: _Reading) -> int:
    """The number of records at the end that are no data: other numbers of fields, or words for a total."""
    records, count = reading.records, 0
    for index in range(len(records) - 1, reading.first + 1, -1):
        row = records[index]
        text = next((cell.strip() for cell in row if cell.strip()), "")
        filled = [cell for cell in row if cell.strip()]
        short = len(row) != reading.fields and len(filled) <= 1
        total = _TOTAL.match(text) and all(_kind(cell) in ("number", "money") for cell in filled[1:])
        sums = count == 0 and _holds_sums(row, records[reading.first + 1 : -1], reading.delimiter)
        trailer = count == 0 and _counts_rows(filled, index - reading.first)
        if count < _MOST_FOOTER and (short or total or sums or trailer):
            count += 1
        else:
            return count
    return count


_TRAILER = re.compile(r"t|trl?|trlr|trailer|eof|footer|ftr", re.IGNORECASE)


def _counts_rows(filled: list[str], rows: int) -> bool:
    """Whether a record is a trailer, as `T,3` below three rows: a mark, and how many records there are."""
    counts = {str(rows - 1), str(rows), str(rows + 1)}
    marked = len(filled) > 1 and _TRAILER.fullmatch(filled[0].strip())
    return bool(marked) and any((cell.strip().lstrip("0") or "0") in counts for cell in filled[1:])


_UNIT = re.compile(
    r"\[[^\[\]]{0,20}\]|\([^()]{1,20}\)|[-–—/%‰°€$£¥]|[a-zµΩ°]{1,3}[²³23]?(?:/[a-z]{1,3}[²³23]?)?|[A-Z]{3}|[kMG]?(?:Wh?|V|A|Hz|Pa)"
    r"|pcs|stk|stück|tage|days?|hours?|years?|°?[CFK]|[ΩNJ]"
)


def _holds_units(data: list[list[str]]) -> bool:
    """Whether the row below the header says in which units the columns are, as `[kg]` or `EUR`, above numbers."""
    below = data[2:6]
    if len(below) < _FEWEST_BELOW or any(len(row) != len(data[0]) for row in (data[1], *below)):
        return False
    cells = [cell.strip() for cell in data[1]]
    numbers = [i for i in range(len(cells)) if all(_kind(row[i]) in ("number", "money") for row in below)]
    filled = [cell for cell in cells if cell]
    measured = [i for i in numbers if cells[i]]
    marked = all(cell.startswith(("[", "(")) for cell in filled) or len(measured) == len(filled)
    return bool(measured) and marked and all(map(_UNIT.fullmatch, filled))


def _holds_sums(row: list[str], above: list[list[str]], delimiter: str) -> bool:
    """Whether a row without a name is nothing but the sums of the columns above it."""
    filled = [i for i, cell in enumerate(row) if cell.strip()]
    if not filled or filled[0] == 0 or len(above) < _FEWEST_BELOW or any(len(one) != len(row) for one in above):
        return False
    for i in filled:
        numbers = [_amount(one[i], delimiter) for one in [*above, row]]
        if None in numbers or sum(filter(None, numbers[:-1])) != numbers[-1] or not numbers[-1]:
            return False
    return True


def _amount(cell: str, delimiter: str) -> Decimal | None:
    """The number in a cell, its last point or comma the decimal mark; None if it is no number."""
    if not _NUMBER.fullmatch(cell.strip()):
        return None
    cell = cell.strip()
    mark = max(".,", key=cell.rfind) if delimiter != "," or "." in cell else "."
    whole, _, rest = cell.rpartition(mark) if mark in cell else (cell, "", "")
    try:
        return Decimal(re.sub(r"[.,'’ \u00a0\u202f]", "", whole) + (f".{rest}" if rest else ""))
    except InvalidOperation:
        return None


_LONE_POINT, _LONE_COMMA = (re.compile(rf"[+-]?[1-9]\d{{0,2}}[{mark}]\d{{3}}") for mark in ".,")


def _number_marks(rows: list[list[str]], *, comma_is_free: bool, continental: bool) -> tuple[str, str, bool]:
    """The decimal mark, the thousands mark, and whether numbers such as 1.234 stay in doubt.

    Args:
        rows: without the header.
        comma_is_free: it does not part fields, as it seldom does where it is the decimal mark.
        continental: the language writes a decimal comma.

    Returns:
        A point, none, and false where nothing tells of another way.
    """
    votes: Counter[tuple[str, str]] = Counter()
    for row in rows:
        for cell in row:
            votes.update(_marks_of(cell.strip().strip("€$£ ")))
    points = [(mark, votes["decimal", mark]) for mark in ".,"]
    decimal = max(points, key=lambda one: one[1])[0] if votes else "."
    if not any(count for _, count in points) and votes["thousands", "."]:
        decimal = ","
    grouping = [(mark, votes["thousands", mark]) for mark in ".,'’ \u00a0\u202f" if mark != decimal]
    thousands, seen = max(grouping, key=lambda one: one[1])
    if seen:
        return decimal, thousands, False
    cells = [cell.strip() for row in rows for cell in row]
    lone = {mark: any(map(one.fullmatch, cells)) for mark, one in ((".", _LONE_POINT), (",", _LONE_COMMA))}
    told = any(count for _, count in points)
    if told:
        other = "." if decimal == "," else ","
        return decimal, other if lone[other] else "", False
    if lone["."] and not lone[","] and comma_is_free:
        return (",", ".", False) if continental else (".", "", True)
    if lone[","] and not lone["."] and comma_is_free and continental:
        return ",", "", False
    return decimal, "", False


def _marks_of(cell: str) -> list[tuple[str, str]]:
    """What one cell shows beyond doubt: `1.234` alone may be either."""
    if found := re.fullmatch(r"[+-]?\d{1,3}(?:([.,'’ \u00a0\u202f])\d{3})(?:\1\d{3})*([.,])\d+", cell):
        return [("thousands", found[1]), ("decimal", found[2])] if found[1] != found[2] else []
    if found := re.fullmatch(r"[+-]?\d{1,3}(?:([.,'’ \u00a0\u202f])\d{3})(?:\1\d{3})+", cell):
        return [("thousands", found[1])]
    if found := re.fullmatch(r"[+-]?[1-9]\d{0,2}(?:(['’\u00a0\u202f])\d{3})", cell):
        return [("thousands", found[1])]
    if found := re.fullmatch(r"[+-]?\d+([.,])(?:\d{1,2}|\d{4,})", cell):
        return [("decimal", found[1])]
    if found := re.fullmatch(r"[+-]?(?:0|\d{4,})([.,])\d{3}", cell):
        return [("decimal", found[1])]
    return []


def _booleans(rows: list[list[str]]) -> tuple[str, str] | None:
    width = max(map(len, rows), default=0)
    for i in range(width):
        cells = {row[i].strip().lower() for row in rows if i < len(row)}
        for yes, no in BOOLEAN_WORDS:
            if cells - {""} == {yes, no} and len(rows) > 1:
                return yes, no
    return None
