"""The guess at how a CSV file is written, over the table of dialects and over any bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.ingest.readers.csv_options import CsvOptions
from atlas_pipeline.ingest.readers.csv_sniffer import guess_encoding, sniff
from atlas_pipeline_tests.ingest.dialects import CASES, Case


def test_the_table_has_sixty_dialects() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_options_are_found(case: Case) -> None:
    found = sniff(case.data, whole=True)
    assert found.options == case.options
    assert (found.decimal, found.thousands, found.booleans) == (case.decimal, case.thousands, case.booleans)


@given(st.binary(max_size=400))
def test_any_bytes_give_a_guess(data: bytes) -> None:
    for whole in (True, False):
        found = sniff(data, whole=whole)
        assert found.fields >= 1
        assert len(found.options.names) in (0, found.fields)


HEADERS = [
    ("name,city\nAda,Berlin\nBo,Paris\n", True),
    ("Vorname,Stadt\nAda,Berlin\nBo,Paris\n", True),
    ("firstName,homeTown\nAda,Berlin\nBo,Paris\n", True),
    ("a,b\nx,y\nz,w\n", True),
    ("kind,colour\nFrog,Green\nNewt,Green\n", True),
    ("alpha,beta\nOne,Two\nThree,Four\n", True),
    ("Berlin,Germany\nBonn,Germany\nParis,France\n", False),  # a value that is there again
    ("AB-12,ok\nCD-34,low\nEF-56,bad\n", False),  # of the shape of those below
    ("DE,Eins\nFR,Zwei\nIT,Drei\n", False),
    ("Ada Example,Berlin\nBo Example,Paris\nCy Example,Rome\n", None),
    ("Ada,Berlin\nBo,Paris\n", True),  # one row tells nothing
]


@pytest.mark.parametrize(("text", "header"), HEADERS)
def test_whether_words_name_columns(text: str, header: bool | None) -> None:
    found = sniff(text.encode(), whole=True)
    assert (not found.options.names, found.header_in_doubt) == (header is not False, header is None)


FOOTERS = [
    ("producto;cantidad\nte;1\ntaza;2\nTotal general;3\n", 1),
    ("Artikel;Menge\nTee;1\nTasse;2\nGesamtergebnis;3\n", 1),
    ("item,qty\ntea,1\ncup,2\nTotals,3\n", 1),
    ("produit;quantité\nthé;1\ntasse;2\nTotal général;3\n", 1),
    ("id,qty\n1,10\n2,20\n,30\n", 1),  # nothing but the sum
    ("id;a;b\n1;10,5;1\n2;20;2\n;30,5;3\n", 1),
    ("id,qty\n1,10\n2,20\n,31\n", 0),  # a row whose key is missing
    ("item,qty\ntea,1\ncup,2\nTotal war,3\n", 0),
    ("item,qty\ntea,0\ncup,0\n,0\n", 0),
    ("item,qty\ntea,10\ncup,20\nAverage,15\n", 1),
    ("Artikel;Menge\nTee;10\nTasse;20\nMittelwert;15\n", 1),
    ("id,qty\n1,10\n2,20\n3,30\nT,3\n", 1),  # a trailer: how many records there are
    ("id;n;x\n1;2;a\n2;3;b\nTRL;0000002;\n", 1),
    ("id,t\nA,3\nT,5\n", 0),
]


@pytest.mark.parametrize(("text", "footer"), FOOTERS)
def test_rows_of_totals_are_no_data(text: str, footer: int) -> None:
    assert sniff(text.encode(), whole=True).options.footer == footer


TITLES = [
    ("Report;Q1;;\nCreated;2024-01-01;;\nid;name;qty;price\n1;x;3;1,5\n2;y;4;2,5\n", 2),
    ("Sales,2024,\nitem,colour,qty\ntea,red,1\ncup,blue,2\n", 1),
    ("item,,qty\ntea,red,1\ncup,blue,2\n", 0),  # a name is missing; nothing else names columns
    ("tea,,1\ncup,blue,2\npot,red,3\n", 0),
    ("Erstellt am;01.02.2024\nBenutzer;Muster\n\nid;Betrag\n1;12,50\n2;3,20\n3;7,10\n", 3),
    ("Report, made by one, 2024\nSecond line, also\nid,qty,price\n1,10,2.5\n2,20,3.5\n", 2),
    ("id,v\n1,2\n\nid,v\n3,4\n5,6\n", 0),  # a table that goes on
    ("id,v\n1,a\n\n2,b\n", 0),
    ("#id,v\n1,2.5\n2,3.5\n", 0),
]


@pytest.mark.parametrize(("text", "skipped"), TITLES)
def test_titles_with_empty_fields_are_above_the_names(text: str, skipped: int) -> None:
    assert sniff(text.encode(), whole=True).options.skip_lines == skipped


MARKS = [
    ("id;Betrag\n1;1.234\n2;12.500\n", (",", ".", False)),
    ("id;am;v\n1;01.02.2024;1.234\n2;03.02.2024;2.500\n", (",", ".", False)),
    ("id;v;ok\n1;1.234;ja\n2;2.500;nein\n", (",", ".", False)),
    ("id;a;v\n1;12,50;1.234\n2;3,25;2.500\n", (",", ".", False)),
    ("id;v\n1;1.234\n2;2.500\n", (".", "", True)),  # nothing tells
    ("id;v\n1;21.375\n2;0.125\n", (".", "", False)),
    ("id;v\n1;1.234\n2;2.5\n", (".", "", False)),
    ("id;a;v\n1;12.50;1,234\n2;3.25;2,500\n", (".", ",", False)),
    ("id;Preis\n1;1,234\n2;2,500\n", (",", "", False)),
    ("id,v\n1,1.234\n2,2.500\n", (".", "", False)),  # commas part fields
]


@pytest.mark.parametrize(("text", "marks"), MARKS)
def test_one_mark_before_three_digits_is_read_as_the_file_tells(text: str, marks: tuple[str, str, bool]) -> None:
    found = sniff(text.encode(), whole=True)
    assert (found.decimal, found.thousands, found.marks_in_doubt) == marks


def test_a_mark_of_comments_may_begin_the_header() -> None:
    assert sniff(b"#id,v\n1,2.5\n2,3.5\n", whole=True).options == CsvOptions(delimiter=",")
    assert sniff(b"# a,b\nid,v\n1,2.5\n2,3.5\n", whole=True).options.comment == "#"


@pytest.mark.parametrize("mark", ["\x01", "\x1f"])
def test_control_characters_part_fields(mark: str) -> None:
    text = f"id{mark}v\n1{mark}a\n2{mark}b\n"
    assert sniff(text.encode(), whole=True).options.delimiter == mark


@pytest.mark.parametrize("text", ["12,50 €", "it’s “so” – yes", "20 °C, 5 µm", "Größe „L“", "§ 5 © 2024"])
def test_signs_of_windows_are_no_letters_of_another_codec(text: str) -> None:
    head = f"nr;text\n1;{text}\n2;x\n".encode("cp1252")
    assert head.decode(guess_encoding(head) or "utf-8") == head.decode("cp1252")
