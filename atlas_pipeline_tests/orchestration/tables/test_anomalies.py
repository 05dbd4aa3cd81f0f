"""The check `anomalies` through the pipeline: measured at each publication, compared, off by one line."""

from datetime import date, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest

from atlas_pipeline.settings import load_settings
from atlas_pipeline_tests.projects import Load

pytestmark = pytest.mark.slow

SALES = """type: atlas_pipeline.components.Dataset
attributes:
  source: sales/*.csv
  columns:
    - {name: sold_on, type: date}
    - {name: shop}
    - {name: amount, type: decimal}
"""
TOTALS = "type: atlas_pipeline.components.GoldModel\nattributes:\n  description: totals\n"
FILES = {
    "datasets/sales/defs.yaml": SALES,
    "gold/totals/defs.yaml": TOTALS,
    "gold/totals/model.sql": "SELECT sold_on, sum(amount) AS total FROM silver.sales GROUP BY sold_on",
}
FIRST = date(2025, 1, 6)


def day(number: int, *, rows: int = 100, factor: int = 1, shopless: bool = False) -> str:
    on = FIRST + timedelta(days=number)
    lines = [f"{on},{'' if shopless and n % 2 else f'shop {n % 7}'},{(10 + n % 30) * factor}.50" for n in range(rows)]
    return "\n".join(["sold_on,shop,amount", *lines]) + "\n"


def run(definitions: dg.Definitions) -> dict[str, Any]:
    job = definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(raise_on_error=False)
    assert result.success
    found = [each for each in result.get_asset_check_evaluations() if each.check_name == "anomalies"]
    return {each.asset_key.to_user_string(): each for each in found}


def execute(statement: str) -> list[tuple]:
    settings = load_settings()
    assert settings.database_url
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


BEFORE = """
INSERT INTO atlas.table_measures (layer, name, measured_at, run, scope, about, numbers)
SELECT layer, name, measured_at - make_interval(days => n), run, 'new rows', about - make_interval(days => n),
    numbers || '{"files": 1}'
FROM atlas.table_measures, generate_series(1, 20) n WHERE layer = 'silver'
"""
"""Twenty days on each of which one file came that was like the first."""


def test_a_load_that_is_unlike_those_before_is_warned_of(land: Any, load_files: Load) -> None:
    definitions = load_files(FILES)
    land("sales/1.csv", day(0))
    first = run(definitions)
    assert set(first) == {"silver/sales", "gold/totals"}
    assert all(each.passed for each in first.values())
    assert "it takes 14 publications" in first["silver/sales"].description
    execute(BEFORE)
    land("sales/2.csv", day(1))
    usual = run(definitions)["silver/sales"]
    assert usual.description == "nothing is unusual beside 20 publications before"
    assert usual.passed
    land("sales/3.csv", day(2, rows=80, factor=100, shopless=True))
    unusual = run(definitions)["silver/sales"]
    assert not unusual.passed
    assert unusual.severity == dg.AssetCheckSeverity.WARN
    for words in ("80 rows, usually about 100", "shop: 50.0% are null, usually about 0.0%", "amount: values are 9"):
        assert words in unusual.description
    assert "times as large as usual" in unusual.description
    assert execute("SELECT count(*) FROM silver.sales") == [(280,)], "it is published all the same"


def test_numbers_of_columns_are_kept_and_no_values(land: Any, load_files: Load) -> None:
    definitions = load_files(FILES)
    land("sales/1.csv", day(0))
    run(definitions)
    [(numbers, scope)] = execute("SELECT numbers, scope FROM atlas.table_measures WHERE layer = 'silver'")
    assert scope == "whole table"
    assert numbers["rows"] == 100
    assert numbers["nulls:shop"] == 0
    assert numbers["distinct:shop"] == pytest.approx(0.07)
    assert 3 < numbers["level:amount"] < 3.5, "the logarithm of some 25"
    assert {type(each) for each in numbers.values()} <= {int, float}
    run(definitions)
    assert execute("SELECT layer, count(*) FROM atlas.table_measures GROUP BY 1 ORDER BY 1") == [
        ("gold", 2),
        ("silver", 1),
    ]


def test_one_line_switches_it_off(land: Any, load_files: Load) -> None:
    land("sales/1.csv", day(0))
    off = {
        "datasets/sales/defs.yaml": SALES + "  anomalies: false\n",
        "gold/totals/defs.yaml": TOTALS + "  anomalies: false\n",
    }
    assert run(load_files(FILES | off)) == {}
    assert execute("SELECT count(*) FROM atlas.table_measures") == [(0,)]
