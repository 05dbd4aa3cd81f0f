"""The plan of the next run: what is new, made anew, or breaks, and which columns change, without running it."""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster.components.testing import DefsFolderSandbox

from atlas_pipeline.catalog.plan import ColumnChanges, Step, changed_columns, document, markdown
from atlas_pipeline.components import Dataset
from atlas_pipeline.components.isolation import load_leniently
from atlas_pipeline.orchestration.tables.plan import plan_steps
from atlas_pipeline.orchestration.warehouse import with_warehouse
from atlas_pipeline.settings import load_settings
from atlas_pipeline_tests.projects import Load, write

SALES = (
    "type: atlas_pipeline.components.Dataset\nattributes:\n  source: sales/*.csv\n  key: id\n  columns:\n"
    "    - {name: id, type: integer}\n    - {name: shop, pii: none}\n    - {name: price, type: integer}\n"
)
FILES = {
    "datasets/sales/defs.yaml": SALES,
    "gold/totals/defs.yaml": "type: atlas_pipeline.components.GoldModel\nattributes:\n  description: totals\n",
    "gold/totals/model.sql": "SELECT shop, sum(price) AS total FROM silver.sales GROUP BY shop",
}
Plan = Callable[[Mapping[str, str]], dict[str, Step]]


@pytest.fixture
def plan(sandbox: DefsFolderSandbox) -> Plan:
    """The plan of a project of these files, by table."""

    def run(files: Mapping[str, str]) -> dict[str, Step]:
        write(sandbox, files)
        with sandbox.build_component_tree() as found:
            tree, loaded, invalid = load_leniently(
                lambda: dg.ComponentTree(defs_module=found.defs_module, project_root=found.project_root)
            )
            datasets = [each.declared for each in tree.get_all_components(Dataset)]
        definitions = with_warehouse(loaded)
        settings = load_settings()
        assert settings.database_url
        with psycopg.connect(settings.database_url.get_secret_value()) as connection:
            return {each.table: each for each in plan_steps(connection, settings, definitions, datasets, invalid)}

    return run


def actions(steps: Mapping[str, Step]) -> dict[str, str]:
    return {name: step.action for name, step in steps.items()}


def test_what_a_run_would_do_follows_the_declarations(land: Any, load_files: Load, plan: Plan) -> None:
    land("sales/1.csv", "id,shop,price\n1,north,3\n2,south,4\n")
    definitions = load_files(FILES)
    assert definitions.resolve_implicit_global_asset_job_def().execute_in_process().success
    assert actions(plan(FILES)) == {"silver.sales": "nothing", "gold.totals": "nothing"}

    land("sales/2.csv", "id,shop,price\n3,west,5\n")
    bronze = definitions.resolve_job_def("__ASSET_JOB").get_subset(asset_selection={dg.AssetKey(["bronze", "sales"])})
    assert bronze.execute_in_process().success
    steps = plan(FILES)
    assert (steps["silver.sales"].action, steps["silver.sales"].rows) == ("merge", 1)
    assert steps["gold.totals"].reasons == ("silver.sales will be newer",)

    other = SALES.replace("price, type: integer", "price, type: decimal") + "    - {name: day, type: date}\n"
    steps = plan(FILES | {"datasets/sales/defs.yaml": other})
    assert steps["silver.sales"].action == "rebuild"
    assert steps["silver.sales"].columns == ColumnChanges(["day"], [], ["price: bigint to numeric"])

    model = "SELECT shop, sum(price) AS paid FROM silver.sales GROUP BY shop"
    steps = plan({"datasets/sales/defs.yaml": SALES, "gold/totals/model.sql": model})
    assert steps["gold.totals"].action == "build"
    assert "its definition changed" in steps["gold.totals"].reasons
    assert steps["gold.totals"].columns == ColumnChanges(["paid"], ["total"], [])


def test_what_breaks_and_what_is_left_over_is_said(land: Any, load_files: Load, plan: Plan) -> None:
    land("sales/1.csv", "id,shop,price\n1,north,3\n")
    assert actions(plan(FILES)) == {"silver.sales": "new", "gold.totals": "new"}
    assert load_files(FILES).resolve_implicit_global_asset_job_def().execute_in_process().success
    steps = plan({"datasets/sales/defs.yaml": SALES.replace("name: price", "name: cost")})
    assert steps["gold.totals"].action == "breaks"
    assert "model.sql:1" in steps["gold.totals"].reasons[0]
    assert document(steps.values())["breaks"]
    steps = plan({"datasets/sales/defs.yaml": SALES + "  name: sold\n"})
    assert steps["silver.sales"].action == "left over"


def test_the_markdown_is_one_table_of_what_changes() -> None:
    steps = [
        Step(
            "silver.sales", "rebuild", ("a|b", "two\nlines"), changed_columns({"a": "text"}, {"b": None}), 1234, ["key"]
        ),
        Step("gold.same", "nothing"),
        Step("gold.bad", "breaks", ("no column",)),
    ]
    assert markdown(steps).splitlines() == [
        "### Plan: 2 of 3 tables change, 1 break",
        "",
        "| Table | What | Why | Columns | Rows |",
        "| --- | --- | --- | --- | ---: |",
        "| `silver.sales` | **rebuild** | a\\|b; two lines; changed: key | +b, -a | 1,234 |",
        "| `gold.bad` | **breaks** | no column |  |  |",
    ]
