"""The guess at how a CSV file is written, over the table of dialects and over any bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.ingest.readers.csv_sniffer import sniff
from atlas_pipeline_tests.ingest.dialects import CASES, Case


def test_the_table_has_sixty_dialects() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_options_are_found(case: Case) -> None:
    found = sniff(case.data, whole=True)
    assert found.options == case.options
    assert (found.decimal, found.thousands, found.booleans) == (case.decimal, case.thousands, case.booleans)


@given(st.binary(max_size=400))
def test_any_bytes_give_a_guess(data: bytes) -> None:
    sniff(data, whole=True)
    sniff(data, whole=False)
