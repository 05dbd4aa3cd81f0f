"""CSV with a backslash before special characters, as MySQL and Postgres export it."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.readers import CsvOptions, ReadOptions, read
from atlas_pipeline.ingest.readers.csv_sniffer import sniff


def load(data: bytes, **options: object) -> tuple[list[tuple[str | None, ...]], list[int], list[tuple[int, str]]]:
    """Rows, their lines, and the lines and rules of rejects."""
    reading = ReadOptions(CsvOptions(escape="\\", **options))  # type: ignore[arg-type]
    blocks = list(read(io.BytesIO(data), "a.csv", options=reading, block_bytes=16))
    rows = [tuple(row.values()) for block in blocks for row in block.rows.to_pylist()]
    lines = [line for block in blocks for line in block.lines.to_pylist()]
    return rows, lines, [(reject.line, reject.rule) for block in blocks for reject in block.rejects]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (rb'"say \"hi\""', 'say "hi"'),
        (rb'"say ""hi"""', 'say "hi"'),
        (rb"\N", None),
        (rb'"\N"', "N"),
        (rb"", None),
        (rb'""', ""),
        (rb"C:\\temp", r"C:\temp"),
        (rb"a\tb", "a\tb"),
        (rb"a\,b", "a,b"),
        (rb"a\nb", "a\nb"),
        (b"a\\\nb", "a\nb"),
        (b'"a\\\nb"', "a\nb"),
        (b'"a\nb"', "a\nb"),
        (rb"5\" disk", '5" disk'),
        (rb"\"x", '"x'),
        (rb'"ends \\"', "ends \\"),
        (b"\\\xc3\xa4", "ä"),
    ],
)
def test_fields(field: bytes, value: str | None) -> None:
    rows, _, rejects = load(b"id,v,w\n1," + field + b",x\n2,y,z\n")
    assert rows == [("1", value, "x"), ("2", "y", "z")]
    assert rejects == []


def test_lines_are_those_of_the_file() -> None:
    rows, lines, rejects = load(b'id,v\n1,a\\nb\n2,a\\\nb\n3,c\n4,"a\\nb"\n5,d\n6\n')
    assert [row[1] for row in rows] == ["a\nb", "a\nb", "c", "a\nb", "d"]
    assert lines == [2, 3, 5, 6, 7]
    assert rejects == [(8, "too_few_fields")]


def test_a_quote_that_is_not_closed_costs_its_line_only() -> None:
    rows, _, rejects = load(b'id,v\n1,"a\n2,b\\tc\n3,d\n')
    assert rows == [("2", "b\tc"), ("3", "d")]
    assert rejects == [(2, "unterminated_quote")]


def test_a_nul_is_none_of_text() -> None:
    assert load(b"id,v\n1,a\\0b\n2,c\n")[2] == [(2, "nul_byte")]


def test_the_last_line_needs_no_end() -> None:
    assert load(rb"id,v" + b"\n" + rb"1,\N")[0] == [("1", None)]
    assert load(b"id;v\n1;a\\;b", delimiter=";")[0] == [("1", "a;b")]


def exported(value: str | None) -> str:
    """As `SELECT … INTO OUTFILE … FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '"'` writes a text."""
    if value is None:
        return r"\N"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\\n") + '"'


TEXT = st.text(st.sampled_from('ab\\",\n\tN ;0'), max_size=8)


@given(st.lists(st.tuples(TEXT, st.none() | TEXT), min_size=1, max_size=5))
def test_what_mysql_exports_is_read_as_it_was(rows: list[tuple[str, str | None]]) -> None:
    data = "a,b\n" + "".join(",".join(map(exported, row)) + "\n" for row in rows)
    assert load(data.encode()) == (rows, load(data.encode())[1], [])


@pytest.mark.parametrize(
    ("text", "escape"),
    [
        ('id,note\n1,"say \\"hi\\" now"\n2,\\N\n', "\\"),
        ("id\tnote\tn\n1\ta\\tb\t\\N\n2\tc\td\n", "\\"),
        ('id,note\n1,"a \\"b\\" c"\n', "\\"),
        ('id,folder\n1,"C:\\new\\table"\n2,"D:\\"\n', None),
        ("id,folder\n1,C:\\New\n2,C:\\Temp\\\n", None),
        ('id,note\n1,"say ""hi"""\n', None),
    ],
)
def test_escapes_are_found_where_nothing_else_explains_them(text: str, escape: str | None) -> None:
    assert sniff(text.encode(), whole=True).options.escape == escape


def test_another_character_is_no_escape() -> None:
    with pytest.raises(ValueError, match="expected a backslash"):
        CsvOptions(escape="^")


def test_files_that_were_loaded_before_there_were_escapes_are_known() -> None:
    """The hash is in the ledgers of installations."""
    options = CsvOptions(delimiter=";"), CsvOptions(delimiter=";", escape="\\"), CsvOptions(delimiter=";", skip_below=1)
    plain, escaped, units = (Intake(reading=ReadOptions(one)).fingerprint("a.csv") for one in options)
    assert plain == "6e01bdc3dafe7955"
    assert plain not in (escaped, units)
