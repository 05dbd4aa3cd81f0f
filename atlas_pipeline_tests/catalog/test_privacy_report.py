"""The record of processing activities: what it says of each table, what it lists as missing, and its page."""

from typing import Any

import psycopg
import pytest

from atlas_pipeline.catalog.privacy_page import privacy_page
from atlas_pipeline.catalog.privacy_report import Declared, Surroundings, privacy_report
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.privacy_record import record_measure
from atlas_pipeline.pii.processing import Processing
from atlas_pipeline.pii.record import record_plans
from atlas_pipeline.warehouse.publish import record

PEOPLE, TOTALS, PARTS = ("silver", "people"), ("gold", "totals"), ("silver", "parts")
SALES = Processing("selling <shoes>", "contract", ("the courier",))
NOBODY = Processing()


@pytest.fixture
def report(warehouse: psycopg.Connection) -> dict[str, Any]:
    """Of a table of people with a plan and k, totals of it that are exempt, and a table without persons."""
    warehouse.execute("CREATE TABLE silver.people (id int, name text); CREATE TABLE gold.totals (n int)")
    warehouse.execute("GRANT SELECT ON silver.people TO atlas_analyst")
    plans = [
        ColumnPlan("id", "clean", None, 1.0, {}, "keep"),
        ColumnPlan("name", "typed", "PERSON", 1.0, {}, "redact", declared=True),
    ]
    record_plans(warehouse, "silver", "people", plans, "")
    record(warehouse, "silver", "people", "", "run", 2)
    record_measure(warehouse, *PEOPLE, "reidentification", "run", {"k": 3}, passed=True, published=True)
    record_measure(warehouse, *PEOPLE, "reidentification", "run", {"k": 1}, passed=False, published=False)
    few = {"small": 4, "rule": {"exempt": "the press has them"}}
    record_measure(warehouse, *TOTALS, "small_groups", "run", few, passed=True, published=True)
    tables = {
        PEOPLE: Declared("who buys", ["team:sales"], SALES, ["people/*.csv"]),
        PARTS: Declared(None, [], NOBODY, ["parts.csv"]),
        TOTALS: Declared(None, [], NOBODY, ["silver.people"], [PEOPLE]),
    }
    return privacy_report(warehouse, tables, {PEOPLE: ("id", "people")}, Surroundings(["ops"], "backups (daily)"))


def test_it_says_who_is_in_a_table_and_who_sees_it(report: dict[str, Any]) -> None:
    people = report["tables"][0]
    assert people["table"] == "silver.people"
    assert people["subjects"] == {"persons": "people", "column": "id"}
    assert people["kinds"] == [{"column": "name", "kind": "PERSON", "action": "redact", "declared": True}]
    assert people["recipients"]["roles"] == ["atlas_analyst", "atlas_backup"]
    assert people["recipients"]["declared"] == ["the courier"]
    assert people["sources"] == ["people/*.csv"]
    assert people["k"] == 3, "what was not published is seen by nobody"
    assert people["last_leak_check"]


def test_what_is_missing_is_listed_and_models_are_for_what_their_tables_are_for(report: dict[str, Any]) -> None:
    assert [entry["table"] for entry in report["tables"]] == ["silver.people", "gold.totals"]
    people, totals = report["tables"]
    assert people["missing"] == ["retention"]
    assert (totals["purpose"], totals["basis"]) == ("selling <shoes>", "contract")
    assert totals["groups"] == {"small": 4, "exempt": "the press has them"}
    assert totals["missing"] == ["owners", "retention", "last_leak_check"]
    assert not report["complete"]


def test_the_page_stands_alone_and_quotes_what_it_shows(report: dict[str, Any]) -> None:
    page = privacy_page(report)
    assert "selling &lt;shoes&gt;" in page
    assert "<shoes>" not in page
    assert "http" not in page.replace("GDPR", ""), "it needs no network"
    assert page.count("<section>") == 2
    assert "exempt: the press has them" in page
