"""JSON arrays, nested JSON and fixed positions at the outside: what `read` gives for a file's bytes."""

import io
import json
import tracemalloc
from typing import Any

import pytest

from atlas_pipeline.ingest.batch import Batch, FileRefused, Reject
from atlas_pipeline.ingest.readers import CsvOptions, ReadOptions, read
from atlas_pipeline.ingest.readers.json_shape import Shape

FLAT = ReadOptions(shape=Shape(flatten=True))


def batches(data: Any, name: str = "f.json", options: ReadOptions = ReadOptions()) -> list[Batch]:  # noqa: B008
    data = data if isinstance(data, bytes) else data.encode() if isinstance(data, str) else json.dumps(data).encode()
    return list(read(io.BytesIO(data), name, options=options, block_bytes=1 << 16))


def rows(*arguments: Any, **options: Any) -> list[dict[str, str | None]]:
    return [row for batch in batches(*arguments, **options) for row in batch.rows.to_pylist()]


def rejects(*arguments: Any, **options: Any) -> list[Reject]:
    return [reject for batch in batches(*arguments, **options) for reject in batch.rejects]


def refused(*arguments: Any, **options: Any) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        batches(*arguments, **options)
    return caught.value


@pytest.mark.parametrize(
    "text", ['[{"a":1.10,"b":"x"},{"a":1e5}]', '\ufeff [\n {"a" : 1.10,\r\n"b":"x"}\n,{"a":1e5}]\n']
)
def test_an_array_is_read_item_by_item_and_numbers_stay_as_written(text: str) -> None:
    (batch,) = batches(text)
    assert batch.rows.to_pylist() == [{"a": "1.10", "b": "x"}, {"a": "1e5", "b": None}]
    assert batch.lines.to_pylist() == [1, 2]


def test_what_is_no_row_is_rejected_and_the_others_stay() -> None:
    text = '[{"a":1}, 7, {"a":2,"a":3}, {"a":"\\u0000"}, {}, null, {"a":4}]'
    assert rows(text) == [{"a": "1"}, {"a": "4"}]
    found = [(one.line, one.rule) for one in rejects(text)]
    assert found == [
        (2, "not_an_object"),
        (3, "duplicate_key"),
        (4, "nul_byte"),
        (5, "empty_object"),
        (6, "not_an_object"),
    ]


def test_bytes_that_are_not_utf8_reject_their_item_only() -> None:
    (reject,) = rejects(b'[{"a":"\xff"},{"a":"b"}]')
    assert (reject.line, reject.rule) == (1, "encoding")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("[]", "empty"),
        ('{"a":1}', "wrong_format"),
        ("7", "wrong_format"),
        ("a,b\n1,2\n", "wrong_format"),
        ('[{"a":1}', "bad_json"),
        ('[{"a":1},', "bad_json"),
        ('[{"a":1} {"a":2}]', "bad_json"),
        ('[{"a":1},{"a":]', "bad_json"),
        ("[" * 200_000, "bad_json"),
    ],
)
def test_what_is_no_array_is_refused(text: str, rule: str) -> None:
    assert refused(text).rule == rule


def test_the_array_may_be_within_an_object() -> None:
    text = '{"meta": {"items": [1]}, "data": {"n": 2, "items": [{"a": 1}, {"a": 2}], "next": null}}'
    assert rows(text, options=ReadOptions(records="data.items")) == [{"a": "1"}, {"a": "2"}]
    for wrong in ("items", "data.rows", "data.n.x"):
        assert refused(text, options=ReadOptions(records=wrong)).rule == "wrong_format"


@pytest.mark.slow
def test_a_large_array_takes_little_memory() -> None:
    data = b"[" + b",\n".join(b'{"id": %d, "t": "%s"}' % (i, b"x" * 200) for i in range(100_000)) + b"]"
    tracemalloc.start()
    count = 0
    for batch in read(io.BytesIO(data), "f.json", block_bytes=1 << 20):
        count += batch.rows.num_rows
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 100_000
    assert peak < len(data) / 1.5


def test_nested_objects_become_columns() -> None:
    row = {
        "id": 1,
        "address": {"city": "Bonn", "geo": {"lat": 1.5, "tags": [1]}},
        "empty": {},
        "odd key": {"a-b": True},
    }
    (batch,) = batches([row], options=FLAT)
    assert batch.rows.to_pylist() == [
        {"id": "1", "address_city": "Bonn", "address_geo_lat": "1.5", "address_geo_tags": "[1]", "empty": "{}",
         "odd_key_a_b": "true"}
    ]  # fmt: skip
    assert batch.types["address_geo_tags"] == "json"
    assert rows([row])[0]["address"] == '{"city":"Bonn","geo":{"lat":1.5,"tags":[1]}}'


def test_fields_that_would_be_one_column_reject_their_row() -> None:
    data = [{"a_b": 1, "a": {"b": 2}}, {"a_b": 3}, {"a": {"b-c": 1, "b c": 2}}]
    assert rows(data, options=FLAT) == [{"a_b": "3"}]
    assert [(one.line, one.rule) for one in rejects(data, options=FLAT)] == [
        (1, "bad_column_name"),
        (3, "bad_column_name"),
    ]


def test_the_items_of_an_array_become_rows_keyed_to_the_parent() -> None:
    orders = [
        {"order_id": 1, "who": {"name": "Ann"}, "items": [{"sku": "a", "n": 2}, {"sku": "007"}]},
        {"order_id": 2, "items": []},
        {"order_id": 3},
        {"order_id": 4, "items": ["x"]},
        {"order_id": 5, "items": {"sku": "b"}},
    ]
    text = "\n".join(map(json.dumps, orders)) + "\n"
    options = ReadOptions(shape=Shape(flatten=True, explode="items"))
    (batch,) = batches(text, "f.jsonl", options)
    found = [{key: value for key, value in row.items() if value is not None} for row in batch.rows.to_pylist()]
    assert found == [
        {"order_id": "1", "who_name": "Ann", "items_index": "1", "items_sku": "a", "items_n": "2"},
        {"order_id": "1", "who_name": "Ann", "items_index": "2", "items_sku": "007"},
        {"order_id": "4", "items_index": "1", "items": "x"},
    ]
    assert batch.lines.to_pylist() == [1, 1, 4]
    assert [(one.line, one.rule) for one in batch.rejects] == [(5, "not_an_array")]
    assert rows(orders, options=options) == batch.rows.to_pylist()


FIXED = (("id", 1, 4), ("name", 5, 12), ("n", 15, 17))


def fixed(data: bytes, name: str = "f.txt", **csv: Any) -> list[Batch]:
    return batches(data, name, ReadOptions(CsvOptions(**csv), fixed_width=FIXED))


def test_fields_of_fixed_positions_are_cut_and_trimmed() -> None:
    data = "0001Ann         7\r\n\r\n  2 Zoë Krä\n3   Bob        99\n".encode()
    (batch,) = fixed(data)
    assert batch.rows.to_pylist() == [
        {"id": "0001", "name": "Ann", "n": "7"},
        {"id": "2", "name": "Zoë Krä", "n": None},
        {"id": "3", "name": "Bob", "n": "99"},
    ]
    assert batch.lines.to_pylist() == [1, 3, 4]


def test_lines_that_do_not_fit_their_positions_are_rejected() -> None:
    data = b"0001Ann         7  more\n0002\xff\n0003a\0b\n0004Eve\n"
    (batch,) = fixed(data)
    assert batch.rows["id"].to_pylist() == ["0004"]
    assert [(one.line, one.rule) for one in batch.rejects] == [
        (1, "too_many_fields"),
        (2, "encoding"),
        (3, "nul_byte"),
    ]
    assert "more" not in batch.rejects[0].reason


def test_fixed_positions_have_an_encoding_and_lines_that_are_left_out() -> None:
    data = "Kopf\n0001Zoë         7\n0002Müller\nSumme 2".encode("cp1252")
    (batch,) = fixed(data, "f.dat", encoding="cp1252", skip_lines=1, footer=1)
    assert batch.rows["name"].to_pylist() == ["Zoë", "Müller"]
    assert batch.lines.to_pylist() == [2, 3]
    with pytest.raises(FileRefused, match="empty"):
        fixed(b"\n\n")


def test_text_files_without_positions_are_csv() -> None:
    assert rows(b"a;b\n1;2\n", "f.txt", options=ReadOptions(CsvOptions(";"))) == [{"a": "1", "b": "2"}]
