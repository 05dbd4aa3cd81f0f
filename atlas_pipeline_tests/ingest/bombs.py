"""Small files that turn into far more than they are, of each kind that is read: how they are made, and how many rows.

Does not belong here: what is right for them (`integration/test_bombs.py`), and figures (`benchmarks/bench_bombs.py`).
"""

import gzip
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from atlas_pipeline_tests.ingest.workbooks import ods, with_part, xlsx

_LONG = 100_000
_ROWS = 20_000


def _parquet(columns: dict[str, pa.Array], **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, **options)
    return out.getvalue()


def _gzip(head: bytes, line: bytes, rows: int) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb") as file:
        file.write(head)
        for first in range(0, rows, 100_000):
            file.write(line * min(100_000, rows - first))
    return out.getvalue()


def dictionary_parquet() -> bytes:
    """58 kB: 20,000 rows that refer to values of 100,000 letters in a dictionary, 1.3 GB as text."""
    long = pa.DictionaryArray.from_arrays(
        pa.array([i % 3 for i in range(_ROWS)], pa.int32()), pa.array(["x" * _LONG, "y" * _LONG, "z"])
    )
    return _parquet({"id": pa.array(range(_ROWS)), "s": long}, compression="zstd")


def dictionary_parquet_in_lists() -> bytes:
    """The same within lists, 5 to a row."""
    items = pa.array(["x" * 20_000] * _ROWS).dictionary_encode()
    lists = pa.ListArray.from_arrays(pa.array(range(0, _ROWS + 1, 5), pa.int32()), items)
    return _parquet({"id": pa.array(range(_ROWS // 5)), "s": lists})


def dictionary_parquet_in_structs() -> bytes:
    """The same within structs."""
    items = pa.StructArray.from_arrays([pa.array(["x" * _LONG] * _ROWS).dictionary_encode()], ["a"])
    return _parquet({"id": pa.array(range(_ROWS)), "s": items})


def front_coded_parquet() -> bytes:
    """Values that are stored as what they share with the one before them: all of it."""
    values = pa.array(["x" * _LONG] * 5000)
    encodings = {"id": "PLAIN", "s": "DELTA_BYTE_ARRAY"}
    return _parquet({"id": pa.array(range(5000)), "s": values}, use_dictionary=False, column_encoding=encodings)


def fixed_width_parquet() -> bytes:
    """Values of a fixed length of 50,000 bytes in a dictionary."""
    values = pa.array([b"x" * 50_000] * 10_000, pa.binary(50_000))
    return _parquet({"id": pa.array(range(10_000)), "s": values})


def one_long_list_parquet() -> bytes:
    """One row that is a list of 30,000,000 times the same number."""
    lists = pa.ListArray.from_arrays(pa.array([0, 30_000_000], pa.int32()), pa.repeat(pa.scalar(1), 30_000_000))
    return _parquet({"s": lists}, compression="zstd")


def many_rows_parquet() -> bytes:
    """20,000,000 rows of the same number."""
    return _parquet({"id": pa.repeat(pa.scalar(1), 20_000_000)}, compression="zstd")


def zeros_parquet() -> bytes:
    """One page of 400 MB of the same letter, compressed."""
    values = pa.array(["x" * 4_000_000] * 100)
    return _parquet(
        {"id": pa.array(range(100)), "s": values}, use_dictionary=False, compression="zstd", data_page_size=1 << 30
    )


def many_rows_csv_gz() -> bytes:
    """194 kB or less: 50,000,000 rows."""
    return _gzip(b"id\n", b"1\n", 50_000_000)


def blank_lines_csv_gz() -> bytes:
    """A row, and 400,000,000 blank lines."""
    return _gzip(b"id\n1\n", b"\n", 400_000_000)


def many_rows_jsonl_zst() -> bytes:
    """30,000,000 objects."""
    return zstandard.ZstdCompressor().compress(b'{"id":1}\n' * 30_000_000)


def long_cells_csv_gz() -> bytes:
    """Twelve rows of one value of 60 MB each."""
    return _gzip(b"id,s\n", b"1," + b"x" * 60_000_000 + b"\n", 12)


def long_cells_jsonl_zst() -> bytes:
    """The same as JSON Lines."""
    return zstandard.ZstdCompressor().compress((b'{"id":1,"s":"' + b"x" * 60_000_000 + b'"}\n') * 12)


def deep_jsonl() -> bytes:
    """A line of 10,000,000 lists in one another."""
    return b'{"id":1}\n{"id":' + b"[" * 10_000_000 + b"]" * 10_000_000 + b"}\n"


def sparse_jsonl() -> bytes:
    """1,400 keys, a different one on each of 60,000 lines."""
    return b'{"id":1}\n' + b"".join(json.dumps({f"k{i % 1400}": 1}).encode() + b"\n" for i in range(60_000))


def compressed_parquet_gz() -> bytes:
    """A Parquet file of 300 MB within gzip."""
    values = pa.array(["x" * 3_000_000] * 100)
    plain = _parquet({"id": pa.array(range(100)), "s": values}, use_dictionary=False, compression="none")
    return gzip.compress(plain)


def far_cells_xlsx() -> bytes:
    """Two cells in opposite corners of a sheet."""
    return xlsx({"S": [["a", "b"], [1, 2]]}, lambda book: book.get_worksheet_by_name("S").write("XFD1048576", 1))


def one_text_xlsx() -> bytes:
    """40,000 cells that refer to one text of 32,000 letters."""
    return xlsx({"S": [["a", "b"], *[["x" * 32_000] * 2] * 20_000]})


def some_of_one_text_xlsx() -> bytes:
    """6,000 such cells."""
    return xlsx({"S": [["a", "b"], *[["x" * 32_000] * 2] * 3_000]})


def padded_xlsx() -> bytes:
    """Two cells in opposite corners, and 60 MB of blanks in a sheet's XML."""
    far, sheet = far_cells_xlsx(), "xl/worksheets/sheet1.xml"
    return with_part(far, sheet, lambda part: part.replace(b"<sheetData>", b"<sheetData>" + b" " * 60_000_000))


def repeated_rows_ods() -> bytes:
    """A row of 900 cells that is said to be there a million times."""
    row = b'<table:table-row table:number-rows-repeated="1000000">'
    cell = b'<table:table-cell table:number-columns-repeated="900"'
    return with_part(
        ods({"S": [["a"], [1.0]]}),
        "content.xml",
        lambda part: part.replace(b"<table:table-row>", row).replace(b"<table:table-cell", cell),
    )


BOMBS: dict[str, Callable[[], bytes]] = {
    "dictionary.parquet": dictionary_parquet,
    "lists.parquet": dictionary_parquet_in_lists,
    "structs.parquet": dictionary_parquet_in_structs,
    "front.parquet": front_coded_parquet,
    "fixed.parquet": fixed_width_parquet,
    "one_list.parquet": one_long_list_parquet,
    "rows.parquet": many_rows_parquet,
    "zeros.parquet": zeros_parquet,
    "inner.parquet.gz": compressed_parquet_gz,
    "rows.csv.gz": many_rows_csv_gz,
    "blank.csv.gz": blank_lines_csv_gz,
    "rows.jsonl.zst": many_rows_jsonl_zst,
    "cells.csv.gz": long_cells_csv_gz,
    "cells.jsonl.zst": long_cells_jsonl_zst,
    "deep.jsonl": deep_jsonl,
    "sparse.jsonl": sparse_jsonl,
    "far.xlsx": far_cells_xlsx,
    "text.xlsx": one_text_xlsx,
    "texts.xlsx": some_of_one_text_xlsx,
    "padded.xlsx": padded_xlsx,
    "rows.ods": repeated_rows_ods,
}
"""Each bomb by the name of its file."""


def write(folder: Path) -> Iterator[Path]:
    """Write each bomb into a folder."""
    for name, make in BOMBS.items():
        path = folder / name
        path.write_bytes(make())
        yield path
