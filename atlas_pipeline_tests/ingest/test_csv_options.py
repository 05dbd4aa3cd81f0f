"""CSV in other dialects, read: what each option leaves out, line numbers, quotes, encodings."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.ingest.batch import FileRefused
from atlas_pipeline.ingest.readers import CsvOptions, ReadOptions, read
from atlas_pipeline.ingest.readers.csv_sniffer import sniff


def load(data: bytes, **options: Any) -> tuple[list[str], list[tuple], list[int]]:
    blocks = list(read(io.BytesIO(data), "a.csv", options=ReadOptions(CsvOptions(**options))))
    rows = [tuple(row.values()) for block in blocks for row in block.rows.to_pylist()]
    return list(blocks[0].columns), rows, [line for block in blocks for line in block.lines.to_pylist()]


def test_lines_that_are_left_out_keep_the_numbers_of_the_others() -> None:
    data = b"title\n\n# note\nid,v\n1,a\n# note\n2,b\nTOTAL,2\n"
    names, rows, lines = load(data, skip_lines=2, comment="#", footer=1)
    assert (names, rows, lines) == (["id", "v"], [("1", "a"), ("2", "b")], [5, 7])


def test_a_comment_mark_inside_quotes_is_data() -> None:
    assert load(b'id,v\n1,"a\n#b"\n2,c\n', comment="#")[1] == [("1", "a\n#b"), ("2", "c")]


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b'id,v\n1,5" disk\n# note\n2,b\n', [("1", '5" disk'), ("2", "b")]),
        (b'id,v\n1,"a ""x"" b"\n# note\n2,b"\n# note\n3,c\n', [("1", 'a "x" b'), ("2", 'b"'), ("3", "c")]),
        (b'id,v\n1,"a\n# in"\n# note\n2,b\n', [("1", "a\n# in"), ("2", "b")]),
        (b'id,v\n"1","a\n# in ""q""\nb"\n# note\n"2","b"\n', [("1", 'a\n# in "q"\nb'), ("2", "b")]),
    ],
)
def test_a_quote_within_a_value_hides_no_comment(data: bytes, rows: list[tuple[str, str]]) -> None:
    assert load(data, comment="#")[1] == rows


def test_a_footer_is_the_last_lines_that_are_not_blank() -> None:
    assert load(b"id,v\n1,a\n2,b\nend\n\n\n", footer=1)[1] == [("1", "a"), ("2", "b")]


@pytest.mark.parametrize("data", [b"sep=;\nid;v\n1;a,b\n", b"SEP=;\r\nid;v\r\n1;a,b\r\n"])
def test_a_line_that_names_the_separator_is_understood(data: bytes) -> None:
    assert load(data)[:2] == (["id", "v"], [("1", "a,b")])


def test_apostrophes_as_quotes() -> None:
    data = b"id,'it''s'\n1,'a,b'\n2,'say \"x\"'\n3,plain \"y\"\n"
    assert load(data, quote="'")[:2] == (["id", "it's"], [("1", "a,b"), ("2", 'say "x"'), ("3", 'plain "y"')])


def test_a_file_without_a_header_has_the_names_it_is_given() -> None:
    assert load(b"1,a\n2,b\n", names=("id", "v")) == (["id", "v"], [("1", "a"), ("2", "b")], [1, 2])


def test_other_encodings() -> None:
    text = "id,name\n1,Köln\n2,Łódź\n"
    assert load(text.encode("utf-16-le"), encoding="utf-16-le")[1] == [("1", "Köln"), ("2", "Łódź")]
    assert load("id,name\n1,Köln\n".encode("cp1252"), encoding="cp1252")[1] == [("1", "Köln")]
    with pytest.raises(FileRefused) as caught:
        load(b"id,name\n1,\x81\n", encoding="cp1252")
    assert caught.value.rule == "encoding"


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": ";;"},
        {"quote": "`"},
        {"delimiter": '"'},
        {"encoding": "nope"},
        {"skip_lines": -1},
        {"footer": 101},
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected|must be|is also"):
        CsvOptions(**options)


CELLS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=6)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8), st.sampled_from(";|\t"), st.sampled_from("\"'"))
def test_what_is_written_in_a_dialect_is_read_back(rows: list[tuple[str, str]], delimiter: str, quote: str) -> None:
    def cell(text: str) -> str:
        return quote + text.replace(quote, quote * 2) + quote

    lines = ["title", "# note", delimiter.join(("a", "b")), *(delimiter.join(map(cell, row)) for row in rows), "total"]
    data = ("\n".join(lines) + "\n").encode()
    assert load(data, delimiter=delimiter, quote=quote, skip_lines=2, footer=1)[1] == rows


def test_lines_below_the_header_are_left_out_and_counted() -> None:
    names, rows, lines = load(b"title\nid,v\n\n[-],[kg]\n1,2\n3,4\n", skip_lines=1, skip_below=1)
    assert (names, rows, lines) == (["id", "v"], [("1", "2"), ("3", "4")], [5, 6])


def test_a_file_of_a_header_and_units_has_no_rows() -> None:
    with pytest.raises(FileRefused) as refused:
        load(b"id,v\n[-],[kg]", skip_below=1)
    assert refused.value.rule == "header_only"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("t,m\n[s],[kg]\n1,2.5\n2,3.5\n", 1),
        ("probe,m\n,kg\na,2.5\nb,3.5\n", 1),
        ("item,price\n,EUR\ntea,2.5\ncup,3.5\n", 1),
        ("from,to\nDE,FR\nFR,IT\nIT,DE\n", 0),
        ("code,n\nkg,1\ng,2\nt,3\n", 0),
        ("item,price\nEUR,n/a\ntea,2.5\ncup,3.5\n", 0),
        ("id,v\n1,2\n2,3\n3,4\n", 0),
    ],
)
def test_a_line_of_units_is_one_above_numbers(text: str, lines: int) -> None:
    assert sniff(text.encode(), whole=True).options.skip_below == lines
