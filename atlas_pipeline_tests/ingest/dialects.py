"""Sixty CSV files as people send them, and the reading options that are right for each.

Belongs here: the table. Does not belong here: what is asserted (`test_csv_sniffer.py`).
"""

from dataclasses import dataclass

from atlas_pipeline.ingest.readers.csv_options import CsvOptions

PEOPLE = [
    ["id", "name", "city", "joined", "amount"],
    ["1", "Ada Example", "Bern", "2024-01-02", "10.50"],
    ["2", "Bo Sample", "Köln", "2024-02-03", "1200.00"],
    ["3", "Cy Test", "São Paulo", "2024-03-04", "7.25"],
    ["4", "Di Probe", "Paris", "2024-04-05", "99.90"],
]
GERMAN = [
    ["Personalnummer", "Nachname", "Bruttogehalt", "Eintritt"],
    ["7", "Test", "6.731,07", "01.03.2019"],
    ["8", "Probe", "12,50", "15.11.2020"],
    ["9", "Müller", "1.002,00", "28.02.2021"],
]
SWISS = [["nr", "betrag"], ["1", "1'234.50"], ["2", "12'000.00"], ["3", "7.05"]]
FRENCH = [["code", "montant", "actif"], ["A1", "1 234,50", "oui"], ["A2", "12 000,00", "non"], ["B7", "3,20", "oui"]]
NOTES = [
    ["id", "note", "rating"],
    ["1", 'said "hello, you"', "5"],
    ["2", "plain", "4"],
    ["3", "one; two, three", "3"],
    ["4", "tab\there", "1"],
]
SENSORS = [
    ["sensor", "at", "celsius"],
    ["t-1", "2024-05-01T10:00:00Z", "-3.5"],
    ["t-2", "2024-05-01T10:05:00Z", "12.25"],
]
CODES = [
    ["sku", "ean", "stock"],
    ["AB-1", "4006381333931", "12"],
    ["AB-2", "4006381333948", "0"],
    ["AC-9", "5901234123457", "7"],
]
YEARS = [["country", "2019", "2020", "2021"], ["DE", "1.5", "2.5", "3.5"], ["FR", "1.25", "2.75", "3.0"]]
CONTACTS = [
    ["1", "ada.example@mail.example", "+49 30 55501000", "Ada Example"],
    ["2", "b.example@mail.example", "+49 30 55501001", "Bo Example"],
]
READINGS = [["1001", "17.5", "2024-01-01"], ["1002", "18.25", "2024-01-02"], ["1003", "16.0", "2024-01-03"]]
WORDS = [["kunde", "aktiv"], ["Meier", "ja"], ["Huber", "nein"], ["Moser", "ja"]]
RUSSIAN = [["номер", "имя", "город"], ["1", "Анна Петрова", "Москва"], ["2", "Иван Сидоров", "Казань"]] * 1
POLISH = [
    ["numer", "imię", "miasto"],
    ["1", "Łukasz Żak", "Łódź"],
    ["2", "Małgorzata Ćwik", "Gdańsk"],
    ["3", "Święta", "Kraków"],
]
ADDRESSES = [
    ["id", "street", "note"],
    ["1", "12 Main St, Flat 3", "left; door"],
    ["2", "7 High St", ""],
    ["3", "9 Low Rd, Unit 1", "ring twice"],
]


@dataclass(frozen=True)
class Case:
    """One file."""

    name: str
    data: bytes
    options: CsvOptions
    decimal: str = "."
    thousands: str = ""
    booleans: tuple[str, str] | None = None


def text(
    rows: list[list[str]],
    delimiter: str = ",",
    quote: str = '"',
    always: bool = False,
    end: str = "\n",
    before: str = "",
    after: str = "",
) -> str:
    """The rows as a file."""

    def cell(value: str) -> str:
        if always or any(mark in value for mark in (delimiter, quote, "\n", "\r")):
            return quote + value.replace(quote, quote * 2) + quote
        return value

    return before + "".join(delimiter.join(map(cell, row)) + end for row in rows) + after


def _case(
    name: str,
    rows: list[list[str]],
    delimiter: str = ",",
    encoding: str = "utf-8",
    written: dict | None = None,
    decimal: str = ".",
    thousands: str = "",
    booleans: tuple[str, str] | None = None,
    **options: object,
) -> Case:
    quote = str(options.get("quote", '"'))
    data = text(rows, delimiter, quote, **(written or {})).encode(encoding)
    return Case(name, data, CsvOptions(delimiter=delimiter, **options), decimal, thousands, booleans)  # type: ignore[arg-type]


_DELIMITED = [
    _case(f"people {label}", PEOPLE, mark)
    for label, mark in (
        ("comma", ","),
        ("semicolon", ";"),
        ("tab", "\t"),
        ("pipe", "|"),
        ("caret", "^"),
        ("tilde", "~"),
    )
]
_NOTES = [_case(f"notes {mark!r}", NOTES, mark) for mark in (",", ";", "\t", "|")]
_QUOTED = [_case(f"all quoted {mark!r}", PEOPLE, mark, written={"always": True}) for mark in (",", ";", "|", "\t")]
_APOSTROPHE = [
    _case(f"apostrophes as quotes {mark!r}", NOTES, mark, written={"always": True}, quote="'")
    for mark in (",", ";", "|")
]
_ENDS = [
    _case("CRLF", PEOPLE, ",", written={"end": "\r\n"}),
    _case("CRLF semicolon", GERMAN, ";", written={"end": "\r\n"}, decimal=",", thousands="."),
    _case("CR alone", PEOPLE, ",", written={"end": "\r"}),
]
_ENCODED = [
    _case("byte order mark", PEOPLE, ",", "utf-8-sig"),
    _case("byte order mark semicolon", GERMAN, ";", "utf-8-sig", decimal=",", thousands="."),
    _case("utf-16 with mark", PEOPLE, ",", "utf-16"),
    _case("utf-16 tab with mark", PEOPLE, "\t", "utf-16"),
    Case("utf-16-le without mark", text(PEOPLE).encode("utf-16-le"), CsvOptions(delimiter=",", encoding="utf-16-le")),
    Case(
        "cp1252 semicolon",
        text(GERMAN * 3, ";").encode("cp1252"),
        CsvOptions(delimiter=";", encoding="cp1252"),
        ",",
        ".",
    ),
    Case("cp1251", text(RUSSIAN * 5, ";").encode("cp1251"), CsvOptions(delimiter=";", encoding="cp1251")),
    Case("cp1250", text(POLISH * 5, ";").encode("cp1250"), CsvOptions(delimiter=";", encoding="cp1250")),
]
_NUMBERS = [
    _case("german numbers", GERMAN, ";", decimal=",", thousands="."),
    _case("german numbers tab", GERMAN, "\t", decimal=",", thousands="."),
    _case("german numbers pipe", GERMAN, "|", decimal=",", thousands="."),
    _case("german numbers quoted comma", GERMAN, ",", written={"always": True}, decimal=",", thousands="."),
    _case("swiss numbers", SWISS, ";", thousands="'"),
    _case("swiss numbers comma", SWISS, ",", thousands="'"),
    _case("french numbers", FRENCH, ";", decimal=",", thousands=" ", booleans=("oui", "non")),
    _case("french numbers tab", FRENCH, "\t", decimal=",", thousands=" ", booleans=("oui", "non")),
    _case("english thousands", [["a", "b"], ["1,234.50", "x"], ["12,000.25", "y"]], ";", thousands=","),
    _case("negative decimals", SENSORS, ","),
    _case("negative decimals semicolon", SENSORS, ";"),
    _case("long codes", CODES, ","),
    _case("long codes semicolon", CODES, ";"),
    _case("years as names", YEARS, ","),
    _case("years as names tab", YEARS, "\t"),
]
_BOOLEANS = [
    _case("ja and nein", WORDS, ";", booleans=("ja", "nein")),
    _case("sim and não", [["c", "ok"], ["a", "sim"], ["b", "não"]], ";", booleans=("sim", "não")),
]
_BEFORE = [
    _case("comment lines", PEOPLE, ",", written={"before": "# exported by a tool\n# two lines of it\n"}, comment="#"),
    _case("title line", PEOPLE, ",", written={"before": "Customers 2024\n"}, skip_lines=1),
    _case("title and blank line", PEOPLE, ";", written={"before": "Customers 2024\n\n"}, skip_lines=2),
    _case(
        "three lines before",
        GERMAN,
        ";",
        written={"before": "Firma Beispiel\nStand 2024\n\n"},
        skip_lines=3,
        decimal=",",
        thousands=".",
    ),
    _case("merged title", PEOPLE, ";", written={"before": "Customers;;;;\n"}, skip_lines=1),
    Case("sep line comma", ("sep=,\n" + text(PEOPLE)).encode(), CsvOptions(delimiter=",")),
    Case(
        "sep line semicolon",
        ("sep=;\r\n" + text(GERMAN, ";", end="\r\n")).encode(),
        CsvOptions(delimiter=";"),
        ",",
        ".",
    ),
]
_AFTER = [
    _case("total", [["id", "qty"], ["1", "10"], ["2", "20"], ["TOTAL", "30"]], ",", footer=1),
    _case(
        "summe", [["nr", "menge", "ort"], ["1", "10", "Bern"], ["2", "20", "Genf"], ["Summe", "30", ""]], ";", footer=1
    ),
    _case("row count", PEOPLE, ",", written={"after": "(4 rows)\n"}, footer=1),
    _case("total and note", PEOPLE, ";", written={"after": "Total;;;;1317.65\nend of report\n"}, footer=2),
]
_HEADLESS = [
    _case("contacts without header", CONTACTS, ",", names=tuple(f"column_{i}" for i in range(1, 5))),
    _case("contacts without header semicolon", CONTACTS, ";", names=tuple(f"column_{i}" for i in range(1, 5))),
    _case("readings without header", READINGS, ",", names=("column_1", "column_2", "column_3")),
    _case("readings without header tab", READINGS, "\t", names=("column_1", "column_2", "column_3")),
]
_ADDRESSES = [_case(f"addresses {mark!r}", ADDRESSES, mark) for mark in (",", ";", "|", "\t")]

CASES = [
    *_DELIMITED,
    *_NOTES,
    *_QUOTED,
    *_APOSTROPHE,
    *_ENDS,
    *_ENCODED,
    *_NUMBERS,
    *_BOOLEANS,
    *_BEFORE,
    *_AFTER,
    *_HEADLESS,
    *_ADDRESSES,
]
