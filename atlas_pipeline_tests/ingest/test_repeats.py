"""Rows that share a key are found among rows on their way to staging, whatever the key and the blocks."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.ingest import repeats
from atlas_pipeline.ingest.copying import FILE_ID, LINE
from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.repeats import KeyNumbers, Repeated, text_numbers
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.ingest.types import ColumnType

KEYS = st.lists(st.tuples(st.integers(-3, 9).map(str), st.text(max_size=2)), max_size=30)


def looked_at(keys: list[tuple[str, str]], cut: int, types: tuple[ColumnType, ColumnType]) -> Repeated | None:
    columns = tuple(Column(name, type) for name, type in zip("ab", types, strict=True))
    numbers = KeyNumbers(Dataset("things", FileSource(str(Path("things.csv"))), columns, key=("a", "b")))
    rows = pa.table(
        {
            "a": pa.array([a for a, _ in keys], pa.string()),
            "b": pa.array([b for _, b in keys], pa.string()),
            FILE_ID: pa.array([7] * len(keys), pa.int64()),
            LINE: pa.array(range(len(keys)), pa.int64()),
        }
    )
    for block in (rows.slice(0, cut), rows.slice(cut)):
        numbers.add(block)
    return numbers.repeated()


@given(KEYS, st.integers(0, 30))
def test_rows_with_the_key_of_another_row_are_found_in_whatever_block_they_are(
    keys: list[tuple[str, str]], cut: int
) -> None:
    found = looked_at(keys, cut, ("integer", "text"))
    counts = Counter(keys)
    assert found is not None
    assert found.lines == [line for line, key in enumerate(keys) if counts[key] > 1]
    assert found.file_ids == [7] * len(found.lines)
    assert (found.surplus, found.rows) == (len(keys) - len(counts), len(keys))


@given(st.lists(st.text(), unique=True), st.integers(0, 5))
def test_texts_that_differ_have_different_numbers_wherever_they_lie(texts: list[str], start: int) -> None:
    numbers = text_numbers(pa.array(texts, pa.string()))
    assert len(set(numbers.tolist())) == len(texts)
    assert text_numbers(pa.array(texts, pa.string()).slice(start)).tolist() == numbers.tolist()[start:]


def test_postgres_looks_where_texts_do_not_tell_what_is_equal_or_rows_are_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = [("1", "1.0"), ("1", "1.00")]
    assert looked_at(keys, 1, ("integer", "decimal")) is None
    assert looked_at(keys, 1, ("integer", "text")) == Repeated([], [], 0, 2)
    monkeypatch.setattr(repeats, "_MOST_ROWS", 1)
    assert looked_at(keys, 1, ("integer", "text")) is None
    monkeypatch.undo()
    monkeypatch.setattr(repeats, "_MOST_REPEATED", 1)
    assert looked_at([*keys, *keys], 1, ("integer", "text")) is None
