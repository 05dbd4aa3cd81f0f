"""Soda's own command line, on the same file and table, comes to the same outcomes; where Atlas differs on purpose."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import conninfo

from atlas_pipeline.quality.contract import read_contract
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.quality.verification import verify

pytestmark = pytest.mark.slow

THINGS = """
CREATE TABLE silver.moods AS SELECT * FROM (VALUES ('good'), ('bad')) v (mood);
CREATE TABLE silver.things (id int, mood text, amount numeric(9, 2), code varchar(9), at timestamptz, day date,
    ok boolean);
INSERT INTO silver.things VALUES
    (1, 'good', 10, 'AB1', '2030-01-01 00:00+00', '2030-01-01', true),
    (2, 'good', 20, 'AB2', '2030-01-01 06:00+00', '2030-01-01', true),
    (3, 'bad', 20, 'x', '2030-01-01 12:00+00', '2030-01-01', false),
    (4, NULL, NULL, NULL, NULL, NULL, NULL),
    (5, 'it''s', -2, 'AB1', '2030-01-01 18:00+00', '2030-01-02', true),
    (6, '', 0.5, '', '2029-01-01 18:00+00', '2029-01-02', true);
"""
BROAD = """\
dataset: atlas/DATABASE/silver/things
variables:
  when: {default: "2030-01-02T00:00:00+00:00"}
  word: {default: good}
check_attributes: {dimension: accuracy}
filter: id < 100
checks:
  - schema: {allow_extra_columns: true}
  - row_count:
  - row_count: {qualifier: many, threshold: {must_be_greater_than: 10}}
  - row_count: {qualifier: some, filter: amount > 1, threshold: {must_be: 3}}
  - row_count: {qualifier: between, threshold: {must_be_between: {greater_than: 1, less_than_or_equal: 6}}}
  - row_count: {qualifier: outside, threshold: {must_be_not_between: {less_than: 1, greater_than: 9}, level: warn}}
  - duplicate: {columns: [amount, day]}
  - duplicate: {qualifier: one, columns: [mood]}
  - duplicate: {qualifier: percent, columns: [day, at], filter: id < 4, threshold: {metric: percent, must_be: 0}}
  - failed_rows: {expression: amount < 0}
  - failed_rows: {qualifier: percent, expression: ok, threshold: {metric: percent, must_be_less_than: 50}}
  - failed_rows: {qualifier: none, expression: id > 6}
  - failed_rows: {qualifier: filtered, expression: id > 1, filter: id < 4, threshold: {must_be: 2}}
  - failed_rows: {qualifier: query, query: SELECT * FROM silver.things WHERE mood IS NULL}
  - failed_rows: {qualifier: keys, keys_query: SELECT id FROM silver.things WHERE id > 4, threshold: {must_be: 2}}
  - failed_rows:
      qualifier: of
      query: SELECT * FROM silver.things WHERE id > 4
      rows_tested_query: SELECT count(*) FROM silver.things
      threshold: {metric: percent, must_be_less_than: 30, additional: {level: warn, must_be_less_than: 10}}
  - failed_rows: {qualifier: semicolon, query: SELECT 1 AS id;}
  - metric: {expression: sum(amount), threshold: {must_be: 48.5}}
  - metric: {qualifier: ratio, expression: sum(amount) / count(*), threshold: {must_be_less_than: 8, level: warn}}
  - metric: {qualifier: query, query: SELECT max(id) FROM silver.things, threshold: {must_not_be: 6}}
  - metric: {qualifier: rows, query: SELECT 7 WHERE false, threshold: {must_be: 7}}
  - metric: {qualifier: text, query: SELECT '7', threshold: {must_be: 7}}
  - metric: {qualifier: "null", expression: sum(amount) FILTER (WHERE id > 99), threshold: {must_be: 0}}
  - metric: {qualifier: nan, expression: "max('NaN'::numeric)", threshold: {must_be: 0}}
  - freshness: {column: at, now_variable: when, threshold: {must_be_less_than: 12}}
  - freshness: {qualifier: m, column: at, now_variable: when, threshold: {unit: minute, must_be: 9, level: warn}}
  - freshness: {qualifier: d, column: day, now_variable: when, threshold: {unit: day, must_be: 0}}
  - freshness: {qualifier: f, column: at, now_variable: when, filter: id > 99, threshold: {must_be: 0}}
columns:
  - name: id
    data_type: integer
    checks:
      - missing:
      - duplicate:
      - aggregate: {function: max, threshold: {must_be: 6}}
      - aggregate: {qualifier: avg, function: avg, threshold: {must_be_less_than: 3}}
      - invalid: {valid_min: 2}
      - invalid: {qualifier: warns, valid_max: 3, threshold: {must_be: 0, level: warn}}
      - invalid: {qualifier: values, valid_values: [1, 2, 3, 4, 5, 6]}
  - name: mood
    data_type: integer
    missing_values: [""]
    checks:
      - missing:
      - missing: {qualifier: own, missing_values: [bad, "it's"]}
      - missing: {qualifier: percent, threshold: {metric: percent, must_be_less_than: 50}}
      - missing: {qualifier: filtered, filter: id > 4, threshold: {must_be: 1}}
      - missing: {qualifier: two, threshold: {must_be_less_than: 5, additional: {level: warn, must_be: 0}}}
      - invalid: {valid_values: ["${var.word}", bad]}
      - invalid: {qualifier: not, invalid_values: ["it's"]}
      - invalid: {qualifier: none, valid_values: []}
      - invalid: {qualifier: reference, valid_reference_data: {dataset: atlas/DATABASE/silver/moods, column: mood}}
      - invalid:
          qualifier: all
          filter: id < 4
          valid_reference_data: {dataset: atlas/DATABASE/silver/moods, column: mood}
      - duplicate:
      - duplicate: {qualifier: percent, threshold: {metric: percent, must_be_less_than: 30}}
      - duplicate: {qualifier: filtered, filter: id > 2}
      - aggregate: {function: max_length, threshold: {must_be: 4}}
  - name: code
    data_type: character varying
    character_maximum_length: 9
    checks:
      - missing: {missing_format: {regex: "^x?$", name: x}, threshold: {must_be: 3}}
      - invalid: {valid_format: {regex: "^[A-Z]+[0-9]$", name: code}}
      - invalid: {qualifier: back, invalid_format: {regex: "\\\\d", name: digit}}
      - invalid: {qualifier: length, valid_length: 3}
      - invalid: {qualifier: both, valid_min_length: 1, valid_max_length: 3, threshold: {metric: percent, must_be: 0}}
      - aggregate: {function: min_length, threshold: {must_be: 0}}
      - aggregate: {qualifier: avg, function: avg_length, threshold: {must_be_greater_than: 2}}
  - name: amount
    column_expression: amount::numeric * 2
    checks:
      - missing:
      - duplicate:
      - invalid: {valid_min: 0, valid_max: 40}
      - aggregate: {function: sum, threshold: {must_be: 97}}
      - aggregate: {qualifier: filtered, function: min, filter: amount > 0, threshold: {must_be: 1}}
  - name: nowhere
"""
SESSION = """
import json, sys
from soda_core.common.yaml import ContractYamlSource, DataSourceYamlSource
from soda_core.contracts.contract_verification import ContractVerificationSession
contract, source = sys.argv[1:]
result = ContractVerificationSession.execute(
    contract_yaml_sources=[ContractYamlSource.from_file_path(contract)],
    data_source_yaml_sources=[DataSourceYamlSource.from_file_path(source)],
)
found = {}
for one in result.contract_verification_results[0].check_results:
    values = {k: None if v is None else float(v) for k, v in (one.diagnostic_metric_values or {}).items()}
    value = None if one.threshold_value is None else float(one.threshold_value)
    found[one.check.relative_path] = [one.outcome.name, value, values]
print("RESULT" + json.dumps(found))
"""
STATUS = {"PASSED": "passed", "WARN": "warned", "FAILED": "failed", "NOT_EVALUATED": "not evaluated"}


@pytest.fixture
def things(warehouse: psycopg.Connection) -> psycopg.Connection:
    warehouse.execute(THINGS)
    warehouse.commit()
    return warehouse


def soda(url: str, contract: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the contract and a file that says to Soda where the database is."""
    parts = conninfo.conninfo_to_dict(url)
    connection = {"host": parts["host"], "user": parts["user"], "password": "none", "database": parts["dbname"]}
    source = contract.parent / "datasource.yml"
    source.write_text(yaml.safe_dump({"type": "postgres", "name": "atlas", "connection": connection}))
    arguments = [{"CONTRACT": str(contract), "SOURCE": str(source)}.get(one, one) for one in command]
    environment = {**os.environ, "SODA_CORE_TELEMETRY_ENABLED": "false", "NO_COLOR": "1", "PGTZ": "UTC"}
    return subprocess.run(arguments, capture_output=True, text=True, env=environment, check=False)


def by_command_line(url: str, contract: Path) -> tuple[int, list[tuple[str, str, str]]]:
    """The exit code of `soda contract verify`, and column, name and outcome from the table that it prints, sorted."""
    tool = str(Path(sys.executable).parent / "soda")
    done = soda(url, contract, tool, "contract", "verify", "-c", "CONTRACT", "-ds", "SOURCE")
    rows, column = [], ""
    for line in done.stdout.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("| ") else []
        if len(cells) == 5 and cells[3].split(" ")[-1] in STATUS:
            column = cells[0] or column
            rows.append((column, cells[1], STATUS[cells[3].split(" ")[-1]]))
    return done.returncode, sorted(rows)


def by_session(url: str, contract: Path) -> dict[str, tuple[str, float | None, dict[str, float | None]]]:
    done = soda(url, contract, sys.executable, "-c", SESSION, "CONTRACT", "SOURCE")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    return {path: (STATUS[one[0]], one[1], one[2]) for path, one in json.loads(line.removeprefix("RESULT")).items()}


def by_atlas(url: str, contract: Path) -> dict[str, Outcome]:
    return {one.check.path: one for one in verify(read_contract(contract), url, "silver", "things")}


def write(path: Path, url: str, text: str) -> Path:
    contract = path / "contract.yml"
    contract.write_text(text.replace("DATABASE", str(conninfo.conninfo_to_dict(url)["dbname"])))
    return contract


def table(outcomes: dict[str, Outcome], names: dict[str, str]) -> list[tuple[str, str, str]]:
    """What `by_command_line` would print of outcomes; `names` are Soda's for checks by type."""
    return sorted(
        (one.check.column or "[dataset-level]", names[one.check.type], one.status) for one in outcomes.values()
    )


NAMES = {
    "schema": "Schema matches expected structure",
    "row_count": "Row count meets expected threshold",
    "freshness": "Data is fresh",
    "missing": "No missing values",
    "invalid": "No invalid values",
    "duplicate": "No duplicate values",
    "aggregate": "Metric function meets threshold",
    "metric": "Metric meets threshold",
    "failed_rows": "No rows violating the condition",
}


def test_outcomes_and_measured_values_are_those_of_soda(things: Any, warehouse_url: str, tmp_path: Path) -> None:
    contract = write(tmp_path, warehouse_url, BROAD)
    as_written = contract.read_bytes()
    ours, theirs = by_atlas(warehouse_url, contract), by_session(warehouse_url, contract)
    assert list(ours) == list(theirs)
    assert {path: (one.status, one.measured) for path, one in ours.items() if one.status != "not evaluated"} == {
        path: (status, value if value is None else pytest.approx(value))
        for path, (status, value, _) in theirs.items()
        if status != "not evaluated"
    }
    assert {path for path, one in ours.items() if one.status == "not evaluated"} == {
        path for path, (status, _, _) in theirs.items() if status == "not evaluated"
    }
    for path, (_, _, values) in theirs.items():
        failed = values.get(f"{ours[path].check.type}_count")
        if ours[path].status != "not evaluated":
            assert ours[path].rows_failed == failed, path
            if failed is not None and values.get("check_rows_tested") is not None:
                assert ours[path].rows_tested == values["check_rows_tested"], path
    assert {one.status for one in ours.values()} == set(STATUS.values())
    code, printed = by_command_line(warehouse_url, contract)
    assert printed == table(ours, NAMES)
    assert code != 0
    assert contract.read_bytes() == as_written


ENDS = {
    "passes": ("id", 0, 0, "passed"),
    "fails": ("mood", 0, 1, "failed"),
    "refused": ("gone", 0, 3, "not evaluated"),
}


@pytest.mark.parametrize("case", ENDS.values(), ids=ENDS.keys())
def test_the_command_line_ends_as_atlas_does(
    case: tuple[str, int, int, str], things: Any, warehouse_url: str, tmp_path: Path
) -> None:
    column, must_be, code, status = case
    checks = [{"missing": {"threshold": {"must_be": must_be}}}]
    text = yaml.safe_dump({"columns": [{"name": column, "checks": checks}]})
    contract = write(tmp_path, warehouse_url, f"dataset: atlas/DATABASE/silver/things\n{text}")
    ours = by_atlas(warehouse_url, contract)
    assert [one.status for one in ours.values()] == [status]
    assert by_command_line(warehouse_url, contract) == (code, table(ours, NAMES))
    assert any(one.blocks for one in ours.values()) == (code != 0)


def test_one_refused_expression_takes_all_counts_along_in_soda_and_none_in_atlas(
    things: Any, warehouse_url: str, tmp_path: Path
) -> None:
    text = """\
dataset: atlas/DATABASE/silver/things
checks:
  - row_count:
  - metric: {expression: sum(1 / (id - 1)), threshold: {must_be: 0}}
columns:
  - name: id
    checks: [{missing: }, {duplicate: }]
"""
    contract = write(tmp_path, warehouse_url, text)
    ours, theirs = by_atlas(warehouse_url, contract), by_session(warehouse_url, contract)
    assert {path: one.status for path, one in ours.items()} == {
        "checks.row_count": "passed",
        "checks.metric": "not evaluated",
        "columns.id.checks.missing": "passed",
        "columns.id.checks.duplicate": "passed",
    }
    assert {status for status, _, _ in theirs.values()} == {"not evaluated"}


def test_a_query_that_writes_is_run_by_soda_and_refused_by_atlas(
    things: Any, warehouse_url: str, tmp_path: Path
) -> None:
    text = """\
dataset: atlas/DATABASE/silver/things
checks:
  - metric: {query: INSERT INTO silver.moods VALUES ('ugly') RETURNING 1, threshold: {must_be: 1}}
columns: []
"""
    contract = write(tmp_path, warehouse_url, text)
    assert by_atlas(warehouse_url, contract)["checks.metric"].status == "not evaluated"
    assert by_session(warehouse_url, contract)["checks.metric"][0] == "passed"
