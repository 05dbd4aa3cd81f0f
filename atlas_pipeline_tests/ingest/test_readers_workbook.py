"""Workbooks at the outside: what `read` gives for a file's bytes."""

import datetime as dt
import gzip
import io
import json
import subprocess
import sys
from contextlib import suppress
from typing import Any

import msoffcrypto
import pytest

from atlas_pipeline.ingest.batch import Batch, FileRefused
from atlas_pipeline.ingest.limits import Limits, Meter
from atlas_pipeline.ingest.readers import CsvOptions, ReadOptions, read
from atlas_pipeline_tests.ingest.workbooks import ods, with_part, xls, xlsx

SHEET = "xl/worksheets/sheet1.xml"


def batches(data: bytes, name: str = "f.xlsx", sheet: str | int | None = None, **csv: Any) -> list[Batch]:
    return list(read(io.BytesIO(data), name, options=ReadOptions(CsvOptions(**csv), sheet)))


def rows(data: bytes, name: str = "f.xlsx", **options: Any) -> list[dict[str, str | None]]:
    found: list[dict[str, str | None]] = []
    for batch in batches(data, name, **options):
        assert not batch.rejects
        found += batch.rows.to_pylist()
    return found


def refused(data: bytes, name: str = "f.xlsx", **options: Any) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        batches(data, name, **options)
    return caught.value


TABLE = [
    ["id", "code", "price", "day", "at", "paid"],
    [1, "007", 1.5, dt.date(2024, 1, 2), dt.datetime(2024, 1, 2, 3, 4, 5), True],
    [2, "1e5", 12345678901.25, dt.date(1999, 12, 31), dt.datetime(2024, 12, 31), False],
    [3, None, -0.1, None, None, None],
]
TEXTS = [
    ("1", "007", "1.5", "2024-01-02", "2024-01-02 03:04:05", "true"),
    ("2", "1e5", "12345678901.25", "1999-12-31", "2024-12-31", "false"),
    ("3", None, "-0.1", None, None, None),
]


@pytest.mark.parametrize(("name", "written"), [("f.xlsx", xlsx), ("f.xlsm", xlsx), ("f.XLS", xls), ("f.ods", ods)])
def test_cells_are_text_as_the_sheet_has_them(name: str, written: Any) -> None:
    (batch,) = batches(written({"Data": TABLE}), name)
    found = [tuple(row.values()) for row in batch.rows.to_pylist()]
    assert [tuple(text and text.removesuffix(" 00:00:00") for text in row) for row in found] == TEXTS
    assert batch.columns == ("id", "code", "price", "day", "at", "paid")
    assert batch.lines.to_pylist() == [2, 3, 4]
    types = ("integer", "text", "decimal", "date", "local_timestamp", "boolean")
    assert tuple(batch.types[name] for name in batch.columns) == types


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (123456789012345, "123456789012345"),
        (1e15, "1000000000000000"),
        (1e20, "100000000000000000000"),
        (1.5e-7, "0.00000015"),
        (1e300, "1e+300"),
        (dt.time(3, 4, 5), "03:04:05"),
        (dt.timedelta(hours=30, minutes=1), "30:01:00"),
        (dt.date(1900, 1, 15), "1900-01-15"),
        ("  x ", "  x "),
        ("é😀", "é😀"),
        ("two\nlines", "two\nlines"),
        ("=1+1", "=1+1"),
    ],
)
def test_values_are_written_plainly(value: Any, text: str) -> None:
    assert rows(xlsx({"S": [["id", "v"], [1, value]]})) == [{"id": "1", "v": text}]


def test_formulas_have_their_values_and_errors_their_names() -> None:
    def formulas(book: Any) -> None:
        sheet = book.get_worksheet_by_name("S")
        sheet.write_formula("A2", "=1+1", None, 2)
        sheet.write_formula("B2", '=A2&"x"', None, "2x")
        sheet.write_formula("A3", "=1/0", None, "#DIV/0!")
        sheet.write_formula("B4", "=NA()", None, "#N/A")

    data = xlsx({"S": [["n", "t"], [None, None], [None, "y"], [4, None]]}, formulas)
    assert rows(data) == [{"n": "2", "t": "2x"}, {"n": "#DIV/0!", "t": "y"}, {"n": "4", "t": "#N/A"}]


def test_a_number_shown_with_leading_zeros_keeps_them() -> None:
    def padded(book: Any) -> None:
        sheet = book.get_worksheet_by_name("S")
        sheet.write_number("A2", 1067, book.add_format({"num_format": "00000"}))
        sheet.write_number("A3", 80331, book.add_format({"num_format": "00000"}))
        sheet.write_number("B2", 7, book.add_format({"num_format": "0.00"}))

    data = xlsx({"S": [["zip", "n"], [None, None], [None, 2]]}, padded)
    (batch,) = batches(data)
    assert batch.rows.to_pylist() == [{"zip": "01067", "n": "7"}, {"zip": "80331", "n": "2"}]
    assert batch.types["zip"] == "text"


def test_titles_totals_and_empty_margins_are_not_the_table() -> None:
    table: list[list[Any]] = [
        ["Report of March"],
        [],
        [None, "id", "name", None, "n", None],
        [None, 1, "a", None, 10],
        [],
        [None, 2, "b", None, 20],
        [None, "Total", None, None, 30],
    ]

    def styled(book: Any) -> None:
        sheet = book.get_worksheet_by_name("S")
        sheet.merge_range("A1:F1", "Report of March")
        sheet.write_blank("Z50", None, book.add_format({"bold": True}))

    data = xlsx({"S": table}, styled)
    assert "`skip_lines`" in refused(data).reason
    (batch,) = batches(data, skip_lines=2, footer=1)
    assert batch.rows.to_pylist() == [{"id": "1", "name": "a", "n": "10"}, {"id": "2", "name": "b", "n": "20"}]
    assert batch.lines.to_pylist() == [4, 6]
    assert len(batches(data, skip_lines=3, names=tuple("abcdef"))[0].lines) == 3


def test_a_value_beside_the_table_rejects_its_row_only() -> None:
    (batch,) = batches(xlsx({"S": [["id", "n", None], [1, 2], [3, 4, "secret"], [5, 6]]}))
    assert batch.lines.to_pylist() == [2, 4]
    (reject,) = batch.rejects
    assert (reject.line, reject.rule) == (3, "too_many_fields")
    assert "secret" not in reject.reason
    assert json.loads(reject.raw) == ["3", "4", "secret"]


def test_the_sheet_is_chosen_by_name_or_number_and_hidden_ones_are_passed_over() -> None:
    def hide(book: Any) -> None:
        book.get_worksheet_by_name("Second").activate()
        book.get_worksheet_by_name("Second").set_first_sheet()
        book.get_worksheet_by_name("First").hide()

    data = xlsx({"First": [["a"], [1]], "Second": [["b"], [2]], "3": [["c"], [3]]}, hide)
    assert rows(data) == [{"b": "2"}]
    assert rows(data, sheet="First") == rows(data, sheet=1) == [{"a": "1"}]
    assert rows(data, sheet="3") == [{"c": "3"}]
    for wrong in ("Anna Karenina", 4, 0, -1):
        refusal = refused(data, sheet=wrong)
        assert refusal.rule == "no_such_sheet"
        assert "3 sheets" in refusal.reason
        assert "First" not in refusal.reason


@pytest.mark.parametrize("name", ["f.xlsx", "f.xls", "f.ods"])
def test_other_content_is_refused_by_rule(name: str) -> None:
    assert refused(b"", name).rule == "empty"
    assert refused(b"id,n\n1,2\n", name).rule == "wrong_format"
    assert refused(b"<html><table><tr><td>1</td></tr></table></html>", name).rule == "wrong_format"
    assert refused(b"PK\x03\x04" + bytes(200), name).rule == "corrupt"
    assert refused(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), name).rule == "corrupt"
    assert refused(xlsx({"S": []}), name).rule == "empty"
    assert refused(xlsx({"S": [["id", "n"]]}), name).rule == "header_only"
    assert refused(xlsx({"S": [["id", "id"], [1, 2]]}), name).rule == "duplicate_columns"


@pytest.mark.parametrize("written", [xlsx, xls, ods])
def test_a_cut_or_damaged_file_is_refused_and_never_ends_the_process(written: Any) -> None:
    data = written({"S": [[f"c{i}" for i in range(8)], *([[i, "x", 1.5, None] * 2 for i in range(20)])]})
    for cut in range(1, len(data), max(len(data) // 8, 1)):
        assert refused(data[:cut]).rule in ("corrupt", "empty", "wrong_format")
    for at in range(8, len(data), max(len(data) // 20, 1)):
        damaged = data[:at] + bytes([data[at] ^ 0xFF]) * 4 + data[at + 4 :]
        with suppress(FileRefused):
            batches(damaged)


def test_a_password_is_told_from_damage() -> None:
    plain, out = io.BytesIO(xlsx({"S": [["id"], [1]]})), io.BytesIO()
    msoffcrypto.OfficeFile(plain).encrypt("geheim", out)
    assert refused(out.getvalue()).rule == "password_protected"


@pytest.mark.slow
def test_two_cells_far_apart_do_not_end_the_process() -> None:
    """The rectangle between them does not fit into memory."""
    corners = xlsx({"S": [["a", "b"], [1, 2]]}, lambda book: book.get_worksheet_by_name("S").write("XFD1048576", 1))
    few = xlsx({"S": [["a", "b"], [1, 2]]})
    hidden = [
        (b'<c r="B2"', b"<c  s='0' r = 'XFD1048576'"),
        (b'<c r="B2"', b'<c r="B4294967295"'),
        (b'<c r="B2"', b'<c r="xfd900000"'),
    ]
    changed = [with_part(few, SHEET, lambda part, pair=pair: part.replace(*pair)) for pair in hidden]
    for data in (corners, *changed):
        code = (
            "import sys, resource\n"
            "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
            "from atlas_pipeline.ingest.readers import read\n"
            "from atlas_pipeline.ingest.batch import FileRefused\n"
            "try: list(read(sys.stdin.buffer, 'f.xlsx'))\n"
            "except FileRefused as refusal: print(refusal.rule)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=False)
        assert done.stdout.decode().strip() == "corrupt", done.stderr.decode()[-500:]


def test_what_stands_for_far_more_than_it_is_is_refused() -> None:
    bomb = with_part(xlsx({"S": [["a"], [1]]}), SHEET, lambda part: part + b" " * (100 << 20))
    with pytest.raises(FileRefused) as caught:
        list(read(io.BytesIO(bomb), "f.xlsx", meter=Meter(Limits(expansion=200), len(bomb))))
    assert caught.value.rule == "expands_too_much"
    lines = '<table:table-row table:number-rows-repeated="1000000">'
    cell = '<table:table-cell office:value-type="float" office:value="1" table:number-columns-repeated="900"'
    data = with_part(
        ods({"S": [[1.0]]}),
        "content.xml",
        lambda part: part.replace(b"<table:table-row>", lines.encode()).replace(
            b'<table:table-cell office:value-type="float" office:value="1.0"', cell.encode()
        ),
    )
    assert refused(data, "f.ods").rule == "corrupt"


def test_a_compressed_workbook_is_read() -> None:
    assert rows(gzip.compress(xlsx({"S": [["id"], [1]]})), "f.xlsx.gz") == [{"id": "1"}]


@pytest.mark.slow
def test_many_rows_come_in_batches_with_their_numbers() -> None:
    found = batches(xlsx({"S": [["id", "t", *"abcdef"], *([i, f"v{i}", *"123456"] for i in range(55_000))]}))
    assert len(found) > 1
    assert [number for batch in found for number in batch.lines.to_pylist()] == list(range(2, 55_002))
    assert found[-1].rows["t"].to_pylist()[-1] == "v54999"
