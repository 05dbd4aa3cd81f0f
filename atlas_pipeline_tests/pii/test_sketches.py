"""Sketches of columns: values in common are seen whatever their spelling, and no value is in them."""

import random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.pii.keys import Keys
from atlas_pipeline.pii.sketches import SIZE, Sketch, Sketching, plain_forms
from atlas_pipeline.settings import Settings

KEYS = Keys(Settings(pii_hash_key="a key of the tests"))


def sketch(values: list[str | None], keys: Keys = KEYS) -> Sketch:
    sketching = Sketching(["c"], keys)
    sketching.add(pa.table({"c": pa.array(values, pa.string())}))
    return sketching.sketches().get("c", Sketch(()))


@pytest.mark.parametrize(
    "spellings",
    [
        ("Anna.K@Example.com", "anna.k@example.com ", "mailto:anna.k@example.com", "Anna <anna.k@example.com>"),
        ("+49 30 5550123", "+49305550123", "0049 30 5550123", "tel:+49-30-5550123"),
        ("DE89 3704 0044 0532 0130 00", "DE89370400440532013000", "de89-3704-0044-0532-0130-00"),
        ("8C:72:60:45:53:6C", "8c-72-60-45-53-6c", "8c72.6045.536c"),
        ("{6D92078A-8246-4BA4-AE5B-76104861E7DC}", "6d92078a-8246-4ba4-ae5b-76104861e7dc"),
    ],
)
def test_spellings_of_a_value_are_one(spellings: tuple[str, ...]) -> None:
    assert len(plain_forms(pa.array(spellings))) == 1


def test_values_are_in_no_sketch_and_another_key_makes_another_one() -> None:
    values = [f"user{at}" for at in range(50)]
    other = Keys(Settings(pii_hash_key="another key"))
    assert len(sketch(values).hashes) == 50
    assert sketch(values).common(sketch(values, other))[0] == 0


def test_the_share_in_common_is_measured_on_large_columns() -> None:
    chance = random.Random(7)
    people = [f"user{at}" for at in range(40_000)]
    some = chance.sample(people, 10_000) + [f"guest{at}" for at in range(10_000)]
    both, share = sketch(people).common(sketch(some))
    assert both > 50
    assert 0.35 < share < 0.65


def test_counters_are_told() -> None:
    assert sketch([str(at) for at in range(10, 90)]).counters
    assert not sketch([f"a{at}" for at in range(10, 90)]).counters


@given(st.lists(st.text(), max_size=40), st.lists(st.text(), max_size=40))
def test_merged_is_what_all_rows_at_once_give(first: list[str], second: list[str]) -> None:
    merged = sketch(first).merged(sketch(second))
    assert merged.hashes == sketch([*first, *second]).hashes
    assert len(merged.hashes) <= SIZE


def test_nothing_is_made_of_missing_values_flags_and_prose() -> None:
    assert sketch([None, "", "x", "y", "word " * 100]).hashes == ()
