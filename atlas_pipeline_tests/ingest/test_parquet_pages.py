"""Values that are stored as what they share with the one before them: how long they may be is told without them."""

import io
import random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_pipeline.ingest.batch import FileRefused
from atlas_pipeline.ingest.readers import read
from atlas_pipeline.ingest.readers.parquet_pages import longest_value

VALUES = st.lists(st.one_of(st.none(), st.text("ab\u00e9", max_size=40)), min_size=1, max_size=300)
STORED = st.fixed_dictionaries(
    {
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
        "compression": st.sampled_from(["none", "snappy", "gzip", "zstd", "brotli"]),
        "data_page_size": st.sampled_from([64, 1 << 20]),
        "write_statistics": st.booleans(),
    }
)


def written(texts: list[str | None], nullable: bool, **stored: Any) -> bytes:
    schema = pa.schema([pa.field("s", pa.string(), nullable=nullable)])
    out = io.BytesIO()
    encoding = {"s": "DELTA_BYTE_ARRAY"}
    pq.write_table(pa.table([texts], schema=schema), out, use_dictionary=False, column_encoding=encoding, **stored)
    return out.getvalue()


def longest(data: bytes, nullable: bool) -> int | None:
    chunk = pq.read_metadata(io.BytesIO(data)).row_group(0).column(0)
    return longest_value(io.BytesIO(data), chunk, nullable=nullable)


@settings(max_examples=100)
@given(VALUES, st.booleans(), STORED)
def test_no_value_is_longer_than_pages_tell_and_they_do_not_tell_far_more(
    texts: list[str | None], nullable: bool, stored: dict[str, Any]
) -> None:
    texts = texts if nullable else [text or "" for text in texts]
    most = max(len((text or "").encode()) for text in texts)
    found = longest(written(texts, nullable, **stored), nullable)
    assert found is not None
    assert most <= found <= 2 * most


@settings(max_examples=100)
@given(st.integers(0, 2**32), STORED)
def test_damaged_pages_tell_nothing_or_a_number(seed: int, stored: dict[str, Any]) -> None:
    chance = random.Random(seed)
    whole = written([f"thing {i}" for i in range(200)], True, **stored)
    chunk = pq.read_metadata(io.BytesIO(whole)).row_group(0).column(0)
    data = bytearray(whole)
    for _ in range(chance.randint(1, 5)):
        at = chunk.data_page_offset + chance.randrange(min(chunk.total_compressed_size, 200))
        data[at] = chance.randrange(256)
    found = longest_value(io.BytesIO(bytes(data)), chunk, nullable=True)
    assert found is None or found >= 0


@pytest.mark.parametrize("stored", ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY"])
def test_other_encodings_tell_nothing(stored: str) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"s": ["a", "b"]}), out, use_dictionary=False, column_encoding={"s": stored})
    assert longest(out.getvalue(), True) is None


def test_short_values_are_read_many_rows_at_a_time_and_long_ones_few() -> None:
    links = [f"https://example.org/things/{i:07d}" for i in range(60_000)]
    batches = list(read(io.BytesIO(written(list(links), True)), "f.parquet"))
    assert [text for batch in batches for text in batch.rows["s"].to_pylist()] == links
    assert len(batches) <= 4
    long = written(["x" * 3_000_000 + str(i) for i in range(8)], True)
    assert all(len(batch.lines) <= 2 for batch in read(io.BytesIO(long), "f.parquet"))


def test_a_page_that_is_damaged_is_refused_as_any_other() -> None:
    data = bytearray(written([f"thing {i}" for i in range(200)], True, compression="none"))
    data[40:80] = bytes(40)
    with pytest.raises(FileRefused) as caught:
        list(read(io.BytesIO(bytes(data)), "f.parquet"))
    assert caught.value.rule == "corrupt"
