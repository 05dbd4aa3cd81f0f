"""JSON Lines at the outside: what `read` gives for a file's bytes."""

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_pipeline.ingest.batch import FileRefused, Reject
from atlas_pipeline.ingest.readers import read, text

Row = dict[str, str | None]
SMALL_BLOCKS = [1, 7, 64, 4 << 20]


def load(data: bytes, **options: Any) -> tuple[list[Row], list[int], list[Reject]]:
    rows: list[Row] = []
    lines: list[int] = []
    rejects: list[Reject] = []
    for batch in read(io.BytesIO(data), "f.jsonl", **options):
        rows += batch.rows.to_pylist()
        lines += batch.lines.to_pylist()
        rejects += batch.rejects
    assert len(rows) == len(lines)
    return rows, lines, rejects


def refused(data: bytes) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        load(data)
    assert caught.value.reason
    return caught.value


def rules(rejects: list[Reject]) -> list[tuple[int, str]]:
    return [(reject.line, reject.rule) for reject in rejects]


@pytest.mark.parametrize("number", ["1.10", "12345678901234567890", "-0", "1E+400", "0.1e-7", "3"])
def test_numbers_are_as_written(number: str) -> None:
    assert load(b'{"a": %b}\n' % number.encode())[0] == [{"a": number}]
    nested = b'{"a": {"b": [%b, "%b"]}}\n' % (number.encode(), number.encode())
    assert load(nested)[0] == [{"a": f'{{"b":[{number},"{number}"]}}'}]


def test_other_values() -> None:
    data = '{"t": true, "f": false, "n": null, "s": "true", "e": "", "o": {"k": [1, null, true, "é\\n"]}, "l": []}\n'
    assert load(data.encode())[0] == [
        {"t": "true", "f": "false", "n": None, "s": "true", "e": "", "o": '{"k":[1,null,true,"é\\n"]}', "l": "[]"}
    ]


def test_kinds_may_differ_from_row_to_row() -> None:
    data = b'{"a": 1}\n{"a": [1.0]}\n{"a": true}\n{"a": "x"}\n{"a": null}\n{"b": {}}\n'
    rows = load(data)[0]
    assert [row["a"] for row in rows] == ["1", "[1.0]", "true", "x", None, None]
    assert [row["b"] for row in rows] == [None] * 5 + ["{}"]


def test_columns_are_the_keys_of_the_batch_in_order_of_appearance() -> None:
    batch = next(read(io.BytesIO(b'{"b": 1}\n{"a": 2, "b": 3}\n{"c": 4}\n'), "f.ndjson"))
    assert batch.rows.column_names == ["b", "a", "c"]


def test_an_object_with_a_key_twice_is_rejected() -> None:
    rows, _, rejects = load(b'{"a": 1, "a": 2}\n{"a": [{"b": 1, "b": 2}]}\n{"a": 3}\n')
    assert rows == [{"a": "3"}]
    assert [reject.rule for reject in rejects] == ["duplicate_key"] * 2


@pytest.mark.parametrize("block_bytes", SMALL_BLOCKS)
def test_lines_are_physical_and_blank_ones_skipped(block_bytes: int) -> None:
    rows, lines, rejects = load(b'\n{"a": 1}\r\n \t\r\n\n  {"a": 2} \n{"a": 3}', block_bytes=block_bytes)
    assert rows == [{"a": "1"}, {"a": "2"}, {"a": "3"}]
    assert (lines, rejects) == ([2, 5, 6], [])


@pytest.mark.parametrize("block_bytes", SMALL_BLOCKS)
@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (b'{"a": 1', "not_json"),
        (b"{'a': 1}", "not_json"),
        (b'{"a": 1} x', "not_json"),
        (b'{"a": 1},{"a": 2}', "not_json"),
        (b'{"a": 1}{"a": 2}', "not_json"),
        (b'{"a": nan}', "not_json"),
        (b'{"a": 01}', "not_json"),
        (b'{"a": "tab\there"}', "not_json"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not_json"),
        (b"[1, 2]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"1", "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "empty_object"),
        (b'{"a": "x\0"}', "nul_byte"),
        (b'{"a": "x\\u0000"}', "nul_byte"),
        (b'{"a": {"b": ["\\u0000"]}}', "nul_byte"),
        (b'{"a": "\xff"}', "encoding"),
        (b'{"a": "\\ud800"}', "encoding"),
        (b'{"a": ["\\uDFFF"]}', "encoding"),
        (b'{"": 1}', "bad_column_name"),
        (b'{" ": 1}', "bad_column_name"),
        (b'{"%b": 1}' % (b"x" * 64), "bad_column_name"),
        (b'{"_atlas_run": 1}', "bad_column_name"),
    ],
)
def test_a_line_that_is_no_row_costs_itself_alone(line: bytes, rule: str, block_bytes: int) -> None:
    data = b'{"a": 1}\n{"a": 2}\n' + line + b'\n{"a": 3, "b": [4]}\n'
    rows, lines, rejects = load(data, block_bytes=block_bytes)
    assert [row["a"] for row in rows] == ["1", "2", "3"]
    assert rows[2]["b"] == "[4]"
    assert lines == [1, 2, 4]
    assert rules(rejects) == [(3, rule)]
    assert rejects[0].raw == line[:65536]
    assert "_atlas_run" not in rejects[0].reason


def test_lines_that_would_be_objects_together_are_not() -> None:
    data = b'{"x": [{"p": 1}\n{"q": 2}]}\n{"a": 1},{"a": 2}\n'
    rows, _, rejects = load(data + b'{"a": 3}\n')
    assert rows == [{"a": "3"}]
    assert rules(rejects) == [(1, "not_json"), (2, "not_json"), (3, "not_json")]


def test_escapes_of_all_kinds() -> None:
    data = b'{"a": "\\u00e9\\ud83d\\ude00\\\\u0000"}\n{"a": ["\\ud83d\\ude00"]}\n'
    assert load(data)[0] == [{"a": "é😀\\u0000"}, {"a": '["😀"]'}]


def test_too_many_columns_over_the_file() -> None:
    data = b"".join(b'{"c%d": 1}\n' % i for i in range(1500))
    assert len(load(data, block_bytes=100)[0]) == 1500
    assert refused(data + b'{"x": 1}\n').rule == "too_many_columns"


@pytest.mark.parametrize("data", [b"", b" \n\n", b"\xef\xbb\xbf\n"])
def test_empty_files(data: bytes) -> None:
    assert refused(data).rule == "empty"


@pytest.mark.parametrize("data", [b'[{"a": 1}]', b'[\n {"a": 1},\n {"a": 2}\n]\n', b' [{"a": 1},\n{"a": 2}]\n', b"[]"])
def test_a_json_array_is_refused(data: bytes) -> None:
    error = refused(data)
    assert error.rule == "wrong_format"
    assert "one object per line" in error.reason


def test_a_nul_in_the_first_line_costs_the_line() -> None:
    rows, _, rejects = load(b'{"a": "\0"}\n{"a": 1}\n')
    assert (rows, rules(rejects)) == ([{"a": "1"}], [(1, "nul_byte")])


def test_an_array_on_the_first_line_of_several_costs_itself_alone() -> None:
    rows, _, rejects = load(b'[1]\n{"a": 1}\n')
    assert (rows, rules(rejects)) == ([{"a": "1"}], [(1, "not_an_object")])


def test_rejects_alone_are_no_reason_to_refuse() -> None:
    assert rules(load(b"x\ny\n")[2]) == [(1, "not_json"), (2, "not_json")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(encoding: str) -> None:
    assert load('{"ä": "😀"}\n'.encode(encoding), block_bytes=7)[0] == [{"ä": "😀"}]


def test_carriage_returns_alone_end_lines() -> None:
    assert load(b'{"a": 1}\r{"a": 2}\r')[:2] == ([{"a": "1"}, {"a": "2"}], [1, 2])


def test_a_line_too_long_is_rejected_and_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_LINE_BYTES", 1000)
    data = b'{"a": 1}\n{"a": "' + b"x" * 5000 + b'"}\n{"a": 2}\n'
    rows, lines, rejects = load(data, block_bytes=100)
    assert (rows, lines, rules(rejects)) == ([{"a": "1"}, {"a": "2"}], [1, 3], [(2, "line_too_long")])


def test_batches_are_bounded() -> None:
    batches = list(read(io.BytesIO(b'{"a": 1}\n' * 120_000), "f.jsonl"))
    assert max(batch.rows.num_rows for batch in batches) <= 50_000
    assert [line for batch in batches for line in batch.lines.to_pylist()] == list(range(1, 120_001))


def test_reasons_never_quote_values() -> None:
    data = b'{"a": "secret\n{"a": "secret\\u0000"}\n{"a": "secret\xff"}\n"secret"\n{"_atlas_secret": 1}\n'
    rejects = load(data)[2]
    assert len(rejects) == 5
    assert not [reject for reject in rejects if "secret" in reject.reason]


strings = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalars = strings | numbers | st.booleans() | st.none()
nested = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3))
keys = st.sampled_from(["a", "b", "é", "x y"])
objects = st.lists(st.dictionaries(keys, nested, min_size=1, max_size=4), min_size=1, max_size=8)


def as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@settings(max_examples=200, derandomize=True)
@given(objects, st.sampled_from([1, 16, 4 << 20]), st.booleans(), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_what_json_writes_is_read_back(
    rows: list[dict[str, Any]], block_bytes: int, ascii_only: bool, end: str
) -> None:
    data = "".join(json.dumps(row, ensure_ascii=ascii_only) + end for row in rows).encode()
    found, lines, rejects = load(data, block_bytes=block_bytes)
    wanted = [{key: as_text(value) for key, value in row.items() if value is not None} for row in rows]
    assert [{key: value for key, value in row.items() if value is not None} for row in found] == wanted
    assert lines == [1 + i * end.count("\n") for i in range(len(rows))]
    assert rejects == []


@settings(max_examples=100, derandomize=True)
@given(
    objects,
    st.sampled_from([b"{", b'{"a": 1},{"a": 2}', b"[]", b'{"a": "\xff"}', b'{"a": "\\u0000"}', b'{"a": [{}', b"\0"]),
    st.integers(0, 8),
    st.sampled_from([1, 16, 4 << 20]),
)
def test_a_broken_line_loses_no_other_row(rows: list[dict[str, Any]], broken: bytes, at: int, block_bytes: int) -> None:
    parts = [json.dumps(row).encode() for row in rows]
    at = min(1 + at, len(parts))
    parts.insert(at, broken)
    found, lines, rejects = load(b"\n".join(parts), block_bytes=block_bytes)
    wanted = [{key: as_text(value) for key, value in row.items() if value is not None} for row in rows]
    assert [{key: value for key, value in row.items() if value is not None} for row in found] == wanted
    assert lines == [line for line in range(1, len(parts) + 1) if line != at + 1]
    assert [(reject.line, reject.raw) for reject in rejects] == [(at + 1, broken)]
