"""CSV and TSV at the outside: what `read` gives for a file's bytes."""

import csv
import io
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_pipeline.ingest.batch import FileRefused, Reject
from atlas_pipeline.ingest.readers import CsvOptions, ReadOptions, read, text

Row = tuple[str | None, ...]
SMALL_BLOCKS = [1, 7, 64, 4 << 20]


def load(data: bytes, name: str = "f.csv", **options: Any) -> tuple[list[str], list[Row], list[int], list[Reject]]:
    names: list[str] = []
    rows: list[Row] = []
    lines: list[int] = []
    rejects: list[Reject] = []
    for batch in read(io.BytesIO(data), name, **options):
        names = batch.rows.column_names
        rows += list(zip(*(column.to_pylist() for column in batch.rows.columns), strict=True))
        lines += batch.lines.to_pylist()
        rejects += batch.rejects
    assert len(rows) == len(lines)
    return names, rows, lines, rejects


def refused(data: bytes, name: str = "f.csv", **options: Any) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        load(data, name, **options)
    assert caught.value.reason
    return caught.value


def rules(rejects: list[Reject]) -> list[tuple[int, str]]:
    return [(reject.line, reject.rule) for reject in rejects]


def test_values_are_as_written() -> None:
    names, rows, lines, rejects = load(b"id, name ,note\n1, a ,1.10\n2,007,\n")
    assert names == ["id", "name", "note"]
    assert rows == [("1", " a ", "1.10"), ("2", "007", None)]
    assert lines == [2, 3]
    assert rejects == []


def test_null_is_an_empty_field_and_quotes_make_it_an_empty_string() -> None:
    assert load(b'a,b\n,""\n"NULL",NA\n')[1] == [(None, ""), ("NULL", "NA")]


@pytest.mark.parametrize("block_bytes", SMALL_BLOCKS)
def test_quoted_fields_keep_delimiters_quotes_and_line_breaks(block_bytes: int) -> None:
    data = b'a,b\r\n"x,1","say ""hi"""\r\n"two\r\nlines",2\r\n3,"a\n\nb"\r\n4,5\r\n'
    _, rows, lines, rejects = load(data, block_bytes=block_bytes)
    assert rows == [("x,1", 'say "hi"'), ("two\r\nlines", "2"), ("3", "a\n\nb"), ("4", "5")]
    assert lines == [2, 3, 5, 8]
    assert rejects == []


@pytest.mark.parametrize("data", [b"a,b\n1,2", b"a,b\r\n1,2\r\n", b"\n \r\na,b\n\n1,2\n\n", b'"a","b"\n"1","2"'])
def test_line_ends_and_blank_lines(data: bytes) -> None:
    assert load(data)[:2] == (["a", "b"], [("1", "2")])


def test_blank_lines_are_counted() -> None:
    _, rows, lines, _ = load(b"\na,b\n\n1,2\n\r\n\n3,4\n")
    assert rows == [("1", "2"), ("3", "4")]
    assert lines == [4, 7]


def test_tsv_and_other_delimiters() -> None:
    assert load(b"a\tb\n1,5\t2\n", "f.tsv")[1] == [("1,5", "2")]
    assert load(b"a;b\n1,5;2\n", options=ReadOptions(CsvOptions(";")))[1] == [("1,5", "2")]
    assert load(b'a|b\n"x|y"|2\n', options=ReadOptions(CsvOptions("|")))[1] == [("x|y", "2")]
    with pytest.raises(ValueError, match="delimiter"):
        load(b"a\n1\n", options=ReadOptions(CsvOptions('"')))


def test_one_column() -> None:
    assert load(b'a\n1\n\n""\n2\n')[1:3] == ([("1",), ("",), ("2",)], [2, 4, 5])


@pytest.mark.parametrize("block_bytes", SMALL_BLOCKS)
def test_wrong_number_of_fields_costs_the_line_alone(block_bytes: int) -> None:
    _, rows, lines, rejects = load(b"a,b\n1,2\n3\n4,5,6\r\n7,8\n", block_bytes=block_bytes)
    assert rows == [("1", "2"), ("7", "8")]
    assert lines == [2, 5]
    assert rules(rejects) == [(3, "too_few_fields"), (4, "too_many_fields")]
    assert [reject.raw for reject in rejects] == [b"3", b"4,5,6"]


@pytest.mark.parametrize("block_bytes", SMALL_BLOCKS)
def test_nul_and_invalid_utf8_cost_the_line_alone(block_bytes: int) -> None:
    data = b'a,b\n1,x\0y\n2,caf\xe9\n3,"\xff\n"\n4,\xc3\xa9\n\xff\xff\xff,9\n'
    _, rows, lines, rejects = load(data, block_bytes=block_bytes)
    assert rows == [("4", "é")]
    assert lines == [6]
    assert rules(rejects) == [(2, "nul_byte"), (3, "encoding"), (4, "encoding"), (7, "encoding")]
    assert rejects[2].raw == b'3,"\xff\n"'


def test_a_file_in_another_encoding_is_rejected_row_by_row() -> None:
    data = b"a,b\n" + b"".join(b"%d,\xe9\n%d,e\n" % (i, i) for i in range(3000))
    _, rows, _, rejects = load(data)
    assert len(rows) == 3000
    assert rules(rejects) == [(line, "encoding") for line in range(2, 6002, 2)]


@pytest.mark.parametrize("block_bytes", SMALL_BLOCKS)
@pytest.mark.parametrize("broken", [b'1,"open', b'"open,1', b'1,"a ""quoted""', b'"', b'1,"x', b'x,"""'])
def test_a_stray_quote_costs_its_own_line(broken: bytes, block_bytes: int) -> None:
    tail = b'5,6\n7,"8"\n"9","a\nb"\n' + b"c,d\n" * 20
    _, rows, _, rejects = load(b"a,b\n1,2\n" + broken + b"\n" + tail, block_bytes=block_bytes)
    assert rules(rejects) == [(3, "unterminated_quote")]
    assert rejects[0].raw == broken
    assert rows == [("1", "2"), ("5", "6"), ("7", "8"), ("9", "a\nb")] + [("c", "d")] * 20


def test_a_quote_open_beyond_the_bound_costs_its_own_line() -> None:
    clean = b"2,some text here\n" * 200_000
    _, rows, lines, rejects = load(b'a,b\n1,"x\n' + clean + b'3,"y"\n', block_bytes=1 << 18)
    assert rules(rejects) == [(2, "unterminated_quote")]
    assert len(rows) == 200_001
    assert (lines[0], lines[-1], rows[-1]) == (3, 200_003, ("3", "y"))


@pytest.mark.parametrize("block_bytes", [1 << 16, 8 << 20])
def test_a_record_over_lines_is_bounded_but_a_long_line_is_not(block_bytes: int) -> None:
    long = b"x" * (3 << 20)
    over_lines = b"line of text\n" * 100_000
    data = b'a,b\n1,"' + long + b'"\n2,"' + over_lines + b'"\n3,4\n'
    _, rows, _, rejects = load(data, block_bytes=block_bytes)
    assert [len(value or "") for _, value in rows] == [3 << 20, 1]
    assert rules(rejects)[0] == (3, "unterminated_quote")
    assert {rule for _, rule in rules(rejects)[1:-1]} == {"too_few_fields"}
    assert rules(rejects)[-1] == (100_003, "unterminated_quote")


def test_nul_and_invalid_utf8_in_a_record_over_too_many_lines() -> None:
    data = b'a,b\n1,"' + b"line of text\n" * 100_000 + b'x,\0\ny,\xff\nz,1\n"\n3,4\n'
    _, rows, _, rejects = load(data, block_bytes=8 << 20)
    assert rows == [("z", "1"), ("3", "4")]
    assert rules(rejects)[-3:] == [(100_002, "nul_byte"), (100_003, "encoding"), (100_005, "unterminated_quote")]


@pytest.mark.parametrize("block_bytes", SMALL_BLOCKS)
def test_lines_swallowed_by_two_stray_quotes_come_back(block_bytes: int) -> None:
    _, rows, lines, rejects = load(b'a,b\n1,"x\n2,3\n4,5\n6,y",7\n8,9\n', block_bytes=block_bytes)
    assert rows == [("2", "3"), ("4", "5"), ("8", "9")]
    assert lines == [3, 4, 6]
    assert rules(rejects) == [(2, "unterminated_quote"), (5, "too_many_fields")]


@pytest.mark.parametrize("block_bytes", SMALL_BLOCKS)
def test_quotes_within_unquoted_values_are_data(block_bytes: int) -> None:
    data = b'a,b\n5" pipe,1\n2,6" and 7" pipe\nx"y,"multi\nline"\n,z"\n'
    _, rows, lines, rejects = load(data, block_bytes=block_bytes)
    assert rows == [('5" pipe', "1"), ("2", '6" and 7" pipe'), ('x"y', "multi\nline"), (None, 'z"')]
    assert lines == [2, 3, 4, 6]
    assert rejects == []


def test_text_after_a_closing_quote_is_rejected() -> None:
    _, rows, _, rejects = load(b'a,b\n"John "Jack" Smith",1\n"x"y,2\n3,4\n')
    assert rows == [("3", "4")]
    assert rules(rejects) == [(2, "stray_quote"), (3, "stray_quote")]


@pytest.mark.parametrize("block_bytes", SMALL_BLOCKS)
def test_a_lone_carriage_return_is_data(block_bytes: int) -> None:
    _, rows, lines, _ = load(b'a,b\r\nx\ry,"p\rq"\r\n1,2\r\r\n3,4\r\n', block_bytes=block_bytes)
    assert rows == [("x\ry", "p\rq"), ("1", "2\r"), ("3", "4")]
    assert lines == [2, 3, 4]


@pytest.mark.parametrize("block_bytes", SMALL_BLOCKS)
def test_a_file_with_carriage_returns_alone_has_them_as_line_ends(block_bytes: int) -> None:
    _, rows, lines, rejects = load(b'a,b\r1,2\r3\r"x\ry",4\r5,6', block_bytes=block_bytes)
    assert rows == [("1", "2"), ("x\ry", "4"), ("5", "6")]
    assert lines == [2, 4, 6]
    assert [(reject.line, reject.raw) for reject in rejects] == [(3, b"3")]


def test_a_line_feed_late_in_such_a_file_is_data() -> None:
    data = b"a,b\r" + b"1,2\r" * 20_000 + b'x\ny,"p\nq\r"\r'
    _, rows, lines, _ = load(data)
    assert (len(rows), rows[-1], lines[-1]) == (20_001, ("x\ny", "p\nq\r"), 20_002)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("block_bytes", SMALL_BLOCKS)
def test_byte_order_marks(encoding: str, block_bytes: int) -> None:
    names, rows, _, _ = load("näme,b\né,😀\n".encode(encoding), block_bytes=block_bytes)
    assert (names, rows) == (["näme", "b"], [("é", "😀")])


def test_utf16_with_half_a_surrogate_pair_costs_the_line() -> None:
    data = "a,b\n1,\ud800\n2,3\n".encode("utf-16", errors="surrogatepass")
    _, rows, _, rejects = load(data)
    assert (rows, rules(rejects)) == ([("2", "3")], [(2, "encoding")])


def test_cut_utf16_is_refused() -> None:
    assert refused("a,b\n1,2\n".encode("utf-16")[:-1]).rule == "encoding"


@pytest.mark.parametrize(
    ("header", "rule"),
    [
        (b"a,,c", "empty_column_name"),
        (b"a,  ,c", "empty_column_name"),
        (b"a,b,a", "duplicate_columns"),
        (b"a, a", "duplicate_columns"),
        (b"a," + b"x" * 64, "column_name_too_long"),
        ("é".encode() * 32, "column_name_too_long"),
        (b"a,_atlas_run", "reserved_column_name"),
        (b",".join(b"c%d" % i for i in range(1501)), "too_many_columns"),
        (b"a,b\0", "wrong_format"),
        (b"a,caf\xe9", "encoding"),
        (b'a,"b', "bad_header"),
        (b"a\rb,c", "bad_header"),
        (b"x" * 200_000, "bad_header"),
        (b"x" * 2_000_000, "bad_header"),
    ],
)
def test_headers_that_are_refused(header: bytes, rule: str) -> None:
    assert refused(header + b"\n1,2,3\n").rule == rule


def test_a_quoted_header_over_lines() -> None:
    assert load(b'"two\nlines", "b" \n1,2\n')[:3] == (["two\nlines", '"b"'], [("1", "2")], [3])


def test_names_at_the_bounds() -> None:
    header = [f"c{i}" for i in range(1499)] + ["x" * 63]
    data = (",".join(header) + "\n" + "," * 1499 + "\n").encode()
    names, rows, _, _ = load(data)
    assert names == header
    assert rows == [(None,) * 1500]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"  \r\n\t\n ", b"\xef\xbb\xbf"])
def test_empty_files(data: bytes) -> None:
    assert refused(data).rule == "empty"


@pytest.mark.parametrize("data", [b"a,b", b"a,b\n", b"a,b\r\n\r\n\n"])
def test_a_header_alone(data: bytes) -> None:
    assert refused(data).rule == "header_only"


def test_rejects_alone_are_no_reason_to_refuse() -> None:
    _, rows, _, rejects = load(b"a,b\n1\n2\n")
    assert (rows, len(rejects)) == ([], 2)


def test_a_line_without_end_is_rejected_and_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_LINE_BYTES", 1000)
    _, rows, lines, rejects = load(b"a,b\n1,2\n" + b"x" * 5000 + b"\n3,4\n", block_bytes=100)
    assert (rows, lines, rules(rejects)) == ([("1", "2"), ("3", "4")], [2, 4], [(3, "line_too_long")])
    _, rows, _, rejects = load(b"a,b\n1,2\n" + b"x" * 5000, block_bytes=100)
    assert (rows, rules(rejects)) == ([("1", "2")], [(3, "line_too_long")])


def test_memory_does_not_grow_with_the_file() -> None:
    class Endless(io.RawIOBase):
        """8 MiB of rows, made as they are read."""

        left = 8 << 20

        def read(self, size: int = -1) -> bytes:
            size = min(size, self.left) // 4 * 4
            self.left -= size
            return b"a,b\n" * (size // 4)

    tracemalloc.start()
    try:
        rows = sum(batch.rows.num_rows for batch in read(Endless(), "f.csv", block_bytes=1 << 16))  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == (2 << 20) - 1
    assert peak < 4 << 20


def test_batches_are_bounded() -> None:
    body = b'1,2\n3\n"4\n5",6\n7,"\n' * 50_000
    found = list(read(io.BytesIO(b"a,b\n" + body), "f.csv"))
    assert max(batch.rows.num_rows + len(batch.rejects) for batch in found) <= 1 << 16
    lines = [line for batch in found for line in batch.lines.to_pylist()]
    assert lines == [line for i in range(50_000) for line in (2 + 5 * i, 4 + 5 * i)]
    rejected = [rule for batch in found for rule in rules(batch.rejects)]
    wanted = [((3 + 5 * i, "too_few_fields"), (6 + 5 * i, "unterminated_quote")) for i in range(50_000)]
    assert rejected == [rule for both in wanted for rule in both]


def test_reasons_never_quote_values() -> None:
    data = b'a,b\nsecret\nsecret,2,3\n1,secret\xff\nsecret,\0\n1,"secret\n"x"secret,1\n'
    rejects = load(data)[3]
    assert len(rejects) == 6
    assert not [reject for reject in rejects if "secret" in reject.reason]


values = st.text(
    st.characters(exclude_characters="\0\r", exclude_categories=("Cs",)) | st.sampled_from('",\n" '), max_size=8
)
cells = values.map(lambda value: value.replace("\n", "\r\n")) | values
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1))


def written(rows: list[list[str]], **options: Any) -> list[bytes]:
    """Return each row as Python's csv module writes it."""
    parts = []
    for row in rows:
        with io.StringIO(newline="") as out:
            csv.writer(out, **options).writerow(row)
            parts.append(out.getvalue().encode())
    return parts


def expected(rows: list[list[str]], parts: list[bytes], first: int = 2) -> tuple[list[Row], list[int]]:
    lines = []
    for part in parts:
        lines.append(first)
        first += part.count(b"\n")
    return [tuple(row) for row in rows], lines


@settings(max_examples=200, derandomize=True)
@given(tables, st.sampled_from([1, 16, 64, 4 << 20]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_what_csv_writes_is_read_back(rows: list[list[str]], block_bytes: int, end: str, quote_all: bool) -> None:
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    parts = written(rows, lineterminator=end, quoting=quoting)
    header = ",".join(f"c{i}" for i in range(len(rows[0]))).encode() + b"\n"
    _, found, lines, rejects = load(header + b"".join(parts), block_bytes=block_bytes)
    wanted, wanted_lines = expected(rows, parts)
    if not quote_all:
        wanted = [tuple(value or None for value in row) if len(row) > 1 else row for row in wanted]
    assert (found, lines, rejects) == (wanted, wanted_lines, [])


@settings(max_examples=200, derandomize=True)
@given(
    st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=8),
    st.sampled_from(
        [b"1\n", b"1,2,3\n", b'1,"x\n', b'"x,1\n', b"1,\0\n", b"\xff,1\n", b'"a"b,1\n', b'"\n', b'1,"a""\n']
    ),
    st.integers(0, 8),
    st.sampled_from([1, 16, 4 << 20]),
)
def test_a_broken_line_loses_no_other_row(rows: list[list[str]], broken: bytes, at: int, block_bytes: int) -> None:
    parts = written(rows, lineterminator="\n", quoting=csv.QUOTE_ALL)
    at = min(at, len(parts))
    parts.insert(at, broken)
    wanted, wanted_lines = expected([*rows[:at], ["", ""], *rows[at:]], parts)
    _, found, lines, rejects = load(b"a,b\n" + b"".join(parts), block_bytes=block_bytes)
    assert found == wanted[:at] + wanted[at + 1 :]
    assert lines == wanted_lines[:at] + wanted_lines[at + 1 :]
    assert [(reject.line, reject.raw + b"\n") for reject in rejects] == [(wanted_lines[at], broken)]


@settings(max_examples=300, derandomize=True)
@given(st.lists(st.sampled_from([b'"', b",", b"\n", b"x", b"\r\n", b'""', b"1,2\n"]), max_size=40).map(b"".join))
def test_the_block_size_changes_nothing_and_no_line_is_lost(body: bytes) -> None:
    data = b"a,b\n" + body + b"\n1,2\n"
    whole = load(data)
    assert load(data, block_bytes=1) == whole
    assert load(data, block_bytes=13) == whole
    starts = whole[2] + [reject.line for reject in whole[3]]
    assert len(set(starts)) == len(starts)
