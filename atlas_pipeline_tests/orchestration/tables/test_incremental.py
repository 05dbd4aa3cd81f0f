"""An incremental model through the pipeline: its asset says whether new rows were computed, or all and why."""

from typing import Any

import dagster as dg
import psycopg

from atlas_pipeline.settings import load_settings
from atlas_pipeline_tests.projects import Load

FILES = {
    "datasets/lines/defs.yaml": "type: atlas_pipeline.components.Dataset\nattributes:\n  source: lines/*.csv\n"
    "  key: [part, line]\n  columns:\n    - {name: part, type: integer}\n    - {name: line, type: integer}\n"
    "    - {name: amount, type: integer}\n",
    "gold/parts/defs.yaml": "type: atlas_pipeline.components.GoldModel\nattributes:\n"
    "  incremental:\n    unique_key: part\n",
    "gold/parts/model.sql": "SELECT part, count(*) AS lines, sum(amount) AS amount FROM silver.lines GROUP BY part",
    "gold/parts/contract.yml": "dataset: atlas/atlas/gold/parts\ncolumns:\n  - name: part\n    checks:\n"
    "      - missing:\n      - duplicate:\n  - name: amount\n    checks:\n      - missing:\n"
    "      - invalid:\n          valid_max: 1000\n",
}


def run(definitions: dg.Definitions) -> dict[str, Any]:
    """Materialize everything; the metadata of the gold table."""
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)
    made = result.asset_materializations_for_node("gold__parts") if result.success else []
    return {name: value.value for one in made for name, value in one.metadata.items()}


def rows(statement: str) -> list[tuple]:
    settings = load_settings()
    assert settings.database_url
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        return connection.execute(statement).fetchall()


def test_new_rows_are_followed_and_a_failed_contract_keeps_the_table(load_files: Load, land: Any) -> None:
    land("lines/1.csv", "part,line,amount\n" + "".join(f"{n // 2},{n % 2},{n % 9}\n" for n in range(4000)))
    definitions = load_files(FILES)
    assert run(definitions)["built"] == "as a whole: it was never built"
    land("lines/2.csv", "part,line,amount\n7,1,90\n9000,0,1\n")
    made = run(definitions)
    assert (made["built"], made["keys computed"], made["rows replaced"]) == ("by new rows", 2, 1)
    assert made["dagster/row_count"] == 2001
    counted = "SELECT name, c.carried FROM atlas.check_counts c JOIN atlas.publications USING (layer, name, version)"
    assert rows(counted) == [("parts", 1)], "its contract was evaluated on what is new"
    whole = f"({FILES['gold/parts/model.sql']})"
    assert rows(f"SELECT count(*) FROM ({whole} EXCEPT TABLE gold.parts) d") == [(0,)]
    before = rows("SELECT * FROM gold.parts ORDER BY part")
    land("lines/3.csv", "part,line,amount\n8,1,2000\n")
    assert run(definitions) == {}, "the contract does not hold for the table as it would be"
    assert rows("SELECT * FROM gold.parts ORDER BY part") == before
    land("lines/4.csv", "part,line,amount\n8,1,1\n")
    assert run(definitions)["keys computed"] == 1
    assert rows(f"SELECT count(*) FROM ({whole} EXCEPT TABLE gold.parts) d") == [(0,)]
