"""Which keys of failed rows a verification hands back, and which it must not."""

from pathlib import Path
from typing import Any

import pytest

from atlas_pipeline_tests.quality.verifications import MOODS, PERCENT, Checks, run, write

SAMPLED: dict[str, tuple[str | None, str, dict[str, Any], list[str]]] = {
    "missing": ("mood", "missing", {}, ["4"]),
    "missing values": ("mood", "missing", {"missing_values": ["bad"]}, ["3", "4"]),
    "missing, percent": ("mood", "missing", PERCENT, ["4"]),
    "missing of some": ("mood", "missing", {"missing_values": ["bad"], "filter": "id < 4"}, ["3"]),
    "invalid": ("mood", "invalid", {"valid_values": ["good"]}, ["3", "5"]),
    "invalid of some": ("mood", "invalid", {"valid_values": ["good"], "filter": "id < 5"}, ["3"]),
    "reference": ("mood", "invalid", {"valid_reference_data": MOODS}, ["5"]),
    "reference of some": ("mood", "invalid", {"valid_reference_data": MOODS, "filter": "id > 4"}, ["5"]),
    "duplicate": ("code", "duplicate", {}, ["1", "5"]),
    "duplicate of some": ("mood", "duplicate", {"filter": "id <> 3"}, ["1", "2"]),
    "duplicate, some missing": ("mood", "duplicate", {"missing_values": ["bad"]}, ["1", "2"]),
    "duplicate of columns": (None, "duplicate", {"columns": ["amount", "day"]}, ["2", "3"]),
    "duplicate of columns of some": (None, "duplicate", {"columns": ["day"], "filter": "id > 2"}, ["3", "5"]),
    "duplicate with null": (None, "duplicate", {"columns": ["twice"]}, ["1", "2", "3", "4", "5"]),
    "expression": (None, "failed_rows", {"expression": "amount > 15"}, ["2", "3"]),
    "expression of some": (None, "failed_rows", {"expression": "amount > 15", "filter": "id = 3"}, ["3"]),
    "query": (None, "failed_rows", {"query": "SELECT * FROM silver.things WHERE id > 3"}, ["4", "5"]),
    "keys": (None, "failed_rows", {"keys_query": "SELECT mood, id FROM silver.things WHERE id > 3"}, ["4", "5"]),
    "query without keys": (None, "failed_rows", {"query": "SELECT mood FROM silver.things WHERE id > 3"}, []),
}


@pytest.mark.parametrize("case", SAMPLED.values(), ids=SAMPLED.keys())
def test_keys_of_failed_rows(case: tuple[str | None, str, dict[str, Any], list[str]], url: str, tmp_path: Path) -> None:
    column, kind, body, keys = case
    anything = {**body, "qualifier": "passes", "threshold": {**body.get("threshold", {}), "must_be_greater_than": 0}}
    checks: Checks = [{kind: body}, {kind: anything}]
    path = write(tmp_path, [] if column else checks, columns={column: checks} if column else {})
    fails, passes = run(path, url, key=["id"]).values()
    assert fails.status == "failed"
    assert sorted(row["id"] for row in fails.sample) == keys
    assert all(row.keys() == {"id"} for row in fails.sample)
    assert passes.passed
    assert passes.sample == ()
    assert run(path, url)[fails.check.path].sample == ()


def test_keys_are_few_and_may_be_null(things: Any, warehouse_url: str, tmp_path: Path) -> None:
    things.execute("INSERT INTO silver.things (id, code) SELECT n, 'z' FROM generate_series(6, 99) n")
    things.execute("INSERT INTO silver.things (id, mood) VALUES (NULL, 'ugly')")
    things.commit()
    checks: Checks = [
        {"failed_rows": {"expression": "id > 5"}},
        {"failed_rows": {"qualifier": "q", "query": "TABLE silver.things"}},
    ]
    mood: Checks = [{"missing": {}}, {"invalid": {"valid_values": ["good", "bad"]}}]
    columns = {"mood": mood, "code": [{"duplicate": {}}]}
    found = run(write(tmp_path, checks, columns=columns), warehouse_url, key=["id", "mood"])
    assert {path: len(one.sample) for path, one in found.items()} == {
        "checks.failed_rows": 20,
        "checks.failed_rows.q": 4,  # a query's rows are looked up in the table, where null is not found
        "columns.mood.checks.missing": 20,
        "columns.mood.checks.invalid": 2,
        "columns.code.checks.duplicate": 20,
    }
    assert {"id": "null", "mood": "ugly"} in found["columns.mood.checks.invalid"].sample
    assert found["columns.mood.checks.missing"].sample[0] == {"id": "4", "mood": "null"}


def test_a_query_cannot_pass_another_column_off_as_the_key(things: Any, warehouse_url: str, tmp_path: Path) -> None:
    things.execute("UPDATE silver.things SET code = 'canary' WHERE id = 1")
    things.commit()
    alias: Checks = [{"failed_rows": {"query": "SELECT code AS mood, id FROM silver.things"}}]
    found = run(write(tmp_path, alias), warehouse_url, key=["mood"])
    assert found["checks.failed_rows"].rows_failed
    assert found["checks.failed_rows"].sample == ()
