"""Columns of few values: checks are measured on their distinct values, and come to what all rows come to."""

from pathlib import Path
from typing import Any

import psycopg

from atlas_pipeline.quality.contract import read_contract
from atlas_pipeline.quality.verification import verify
from atlas_pipeline_tests.quality.verifications import Checks, run, write

ROWS = """
CREATE TABLE silver.{table} AS SELECT n AS id, (ARRAY['new', 'paid', '', 'it''s', NULL])[n % 5 + 1] AS state,
    n % 7 AS number, date '2030-01-01' + n % 11 AS day, n % 3 = 0 AS ok, (n % 4) * 1.5 AS amount
    FROM generate_series(1, 60000) n
"""


def invalid(name: str, **valid: Any) -> dict[str, Any]:
    return {"invalid": {"qualifier": name, "threshold": {"must_be_greater_than_or_equal": 0}, **valid}}


def failed(name: str, expression: str, **rest: Any) -> dict[str, Any]:
    body = {"qualifier": name, "expression": expression, "threshold": {"must_be_greater_than_or_equal": 0}, **rest}
    return {"failed_rows": body}


COLUMNS: dict[str, Checks] = {
    "state": [
        {"missing": {"threshold": {"metric": "percent", "must_be_less_than": 50}}},
        invalid("format", valid_format={"regex": "^[a-z]+$", "name": "word"}),
        invalid("length", valid_min_length=1, valid_max_length=4),
        invalid("some", valid_values=["new", "it's"]),
        invalid("filtered", valid_values=["new"], filter="id > 100"),
        failed("long", "length(state) > 3"),
        failed("random", "state = 'new' AND random() >= 0"),
    ],
    "number": [
        {"missing": {}},
        invalid("range", valid_min=1, valid_max=4),
        failed("even", "number % 2 = 0"),
        failed("above", "number > 3", filter="number < 6"),
        failed("beside", "number > 3 AND ok"),
    ],
    "day": [{"missing": {}}, failed("early", "day < '2030-01-05'"), failed("a", "day > '2030-01-02'")],
}
TABLE: Checks = [
    failed("across", "state = 'paid' AND number = 2"),
    failed("divided", "10 / number > 2"),
    *(
        {"metric": {"qualifier": f"n{n}", "expression": f"count(*) FILTER (WHERE number = {n})", "threshold": any_}}
        for n, any_ in ((number, {"must_be_greater_than_or_equal": 0}) for number in range(6))
    ),
    {
        "metric": {
            "qualifier": "two",
            "expression": "count(*) FILTER (WHERE number = 1) + count(*) FILTER (WHERE number = 2)",
            "threshold": {"must_be_greater_than_or_equal": 0},
        }
    },
]


def test_the_outcomes_are_those_of_all_rows(warehouse: psycopg.Connection, warehouse_url: str, tmp_path: Path) -> None:
    """Without statistics Postgres does not know that there are few values, and all rows are looked at."""
    path = write(tmp_path, TABLE, columns=COLUMNS)
    warehouse.execute(ROWS.format(table="things"))
    warehouse.commit()
    of_rows = run(path, warehouse_url)
    warehouse.execute("ANALYZE silver.things")
    warehouse.commit()
    of_values = run(path, warehouse_url)
    assert of_values == of_rows
    evaluated = {path for path, one in of_rows.items() if one.status != "not evaluated"}
    assert of_rows.keys() - evaluated == {"checks.failed_rows.divided"}, "a division by zero takes no other along"
    assert of_rows["columns.state.checks.failed_rows.random"].rows_failed == 12_000


def test_a_view_of_the_table_as_it_will_be(warehouse: psycopg.Connection, warehouse_url: str, tmp_path: Path) -> None:
    """What is published says which columns have few values and a unique key; the numbers are those of the view."""
    path = write(tmp_path, TABLE, columns={**COLUMNS, "id": [{"duplicate": {}}]})
    warehouse.execute(ROWS.format(table="things"))
    warehouse.execute("ALTER TABLE silver.things ADD PRIMARY KEY (id)")
    warehouse.execute("ANALYZE silver.things")
    union = "SELECT * FROM silver.things WHERE id > 9 UNION ALL SELECT n, 'odd', 9, '2031-01-01', true, 1"
    warehouse.execute(f"CREATE VIEW staging.silver__things AS {union} FROM generate_series(1, 9) n")
    warehouse.execute("CREATE TABLE staging.copy AS SELECT * FROM staging.silver__things")
    warehouse.commit()
    contract = read_contract(path)
    seen = verify(contract, warehouse_url, "staging", "silver__things", published=("silver", "things"))
    counted = verify(contract, warehouse_url, "staging", "copy", published=("silver", "things"))
    assert seen == counted
