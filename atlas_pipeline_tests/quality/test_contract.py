"""A contract's checks: read without a database as Soda names them, and what comes of each on a real table."""

from pathlib import Path
from typing import Any

import pytest

from atlas_pipeline.quality.contract import read_contract
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.quality.verification import verify

CONTRACT = """\
dataset: atlas/atlas/silver/things
checks:
  - schema:
      allow_extra_columns: true
      allow_other_column_order: true
  - row_count:
      threshold: {must_be_greater_than: 2}
columns:
  - name: id
    checks:
      - missing:
      - duplicate:
  - name: mood
    checks:
      - missing:
          threshold: {must_be: 0, level: warn}
      - invalid:
          valid_values: [good, bad]
          attributes: {dimension: accuracy}
      - missing:
          qualifier: few
          threshold: {metric: percent, must_be_less_than: 60}
"""


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    path = tmp_path / "contract.yml"
    path.write_text(CONTRACT)
    return path


def outcomes(contract: Path, url: str, schema: str = "silver", table: str = "things") -> dict[str, Outcome]:
    return {one.check.path: one for one in verify(read_contract(contract), url, schema, table)}


def test_checks_are_read_as_soda_names_them(contract: Path, warehouse: Any, warehouse_url: str) -> None:
    checks = {check.path: (check.severity, check.dimension) for check in read_contract(contract).checks}
    assert checks == {
        "checks.schema": ("error", "validity"),
        "checks.row_count": ("error", "completeness"),
        "columns.id.checks.missing": ("error", "completeness"),
        "columns.id.checks.duplicate": ("error", "uniqueness"),
        "columns.mood.checks.missing": ("warn", "completeness"),
        "columns.mood.checks.invalid": ("error", "accuracy"),
        "columns.mood.checks.missing.few": ("error", "completeness"),
    }
    warehouse.execute("CREATE TABLE silver.things AS SELECT n AS id, 'good' AS mood FROM generate_series(1, 3) n")
    warehouse.commit()
    found = outcomes(contract, warehouse_url)
    assert found.keys() == checks.keys()
    assert {path for path, one in found.items() if not one.passed} == set()
    assert found["checks.row_count"].measured == 3


def test_a_warning_does_not_block_and_an_error_does(contract: Path, warehouse: Any, warehouse_url: str) -> None:
    values = "(1, 'good'), (2, NULL), (2, 'odd')"
    warehouse.execute(f"CREATE TABLE silver.things AS SELECT * FROM (VALUES {values}) v (id, mood)")
    warehouse.commit()
    found = outcomes(contract, warehouse_url)
    assert {path for path, one in found.items() if not one.passed} == {
        "columns.id.checks.duplicate",
        "columns.mood.checks.missing",
        "columns.mood.checks.invalid",
    }
    assert {path for path, one in found.items() if one.blocks} == {
        "columns.id.checks.duplicate",
        "columns.mood.checks.invalid",
    }
    assert found["columns.mood.checks.missing"].measured == 1
    assert found["columns.mood.checks.invalid"].rows_tested == 3


def test_a_view_is_checked_as_a_table_is(contract: Path, warehouse: Any, warehouse_url: str) -> None:
    warehouse.execute(
        "CREATE VIEW staging.silver__things AS SELECT n AS id, 'sad' AS mood FROM generate_series(1, 3) n"
    )
    warehouse.commit()
    found = outcomes(contract, warehouse_url, "staging", "silver__things")
    assert {path for path, one in found.items() if not one.passed} == {"columns.mood.checks.invalid"}


def test_what_soda_could_not_evaluate_has_failed(contract: Path, warehouse_url: str) -> None:
    found = outcomes(contract, warehouse_url, "silver", "not_there")
    assert all(not one.passed and one.problem for one in found.values())
    assert found["columns.id.checks.missing"].blocks
