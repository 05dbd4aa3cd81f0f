"""Gold models as components: dependencies and columns as the SQL says, mistakes with file and line, many at once."""

from pathlib import Path

import dagster as dg
import pytest
from dagster.components.testing import DefsFolderSandbox

from atlas_pipeline.components import gold_model
from atlas_pipeline.sql.lineage import output_columns
from atlas_pipeline_tests.projects import Load, complaint

GOLD = "type: atlas_pipeline.components.GoldModel\nattributes:\n  description: What it answers.\n"
PEOPLE = (
    "type: atlas_pipeline.components.Dataset\nattributes:\n  source: people/*.csv\n  key: id\n  columns:\n"
    "    - {name: id, type: integer}\n    - {name: city}\n    - {name: ssn, pii: US_SSN, action: drop}\n"
)


@pytest.fixture
def load(load_files: Load) -> Load:
    """Load a project of one dataset and these models, given by their SQL."""

    def run(models: dict[str, str], extra: dict[str, str] | None = None) -> dg.Definitions:
        files = {"datasets/people/defs.yaml": PEOPLE} | (extra or {})
        for name, statement in models.items():
            files |= {f"gold/{name}/model.sql": statement}
            files.setdefault(f"gold/{name}/defs.yaml", GOLD)
        return load_files(files)

    return run


def test_dependencies_and_column_lineage(load: Load) -> None:
    found = load(
        {
            "by_city": "SELECT city, count(id) AS people FROM silver.people GROUP BY city",
            "cities": "SELECT city AS name FROM gold.by_city WHERE people > 1",
        }
    )
    graph = found.resolve_asset_graph()
    by_city, cities = dg.AssetKey(["gold", "by_city"]), dg.AssetKey(["gold", "cities"])
    assert graph.get(by_city).parent_keys == {dg.AssetKey(["silver", "people"])}
    assert graph.get(cities).parent_keys == {by_city}
    lineage = graph.get(by_city).metadata["dagster/column_lineage"].deps_by_column
    assert {name: [(d.asset_key.path[-1], d.column_name) for d in deps] for name, deps in lineage.items()} == {
        "city": [("people", "city")],
        "people": [("people", "id")],
    }


@pytest.mark.parametrize(
    ("statement", "place", "message"),
    [
        ("SELECT id\nFROM silver.peple", "model.sql:2", "silver.peple"),
        ("SELECT id FROM bronze.people", "model.sql:1", "bronze holds raw rows; read the silver table made from them"),
        ("SELECT id,\n  ssn FROM silver.people", "model.sql", "ssn"),
        ("DELETE FROM silver.people", "model.sql:1", "A model is one SELECT"),
        ("SELECT id FROM gold.loop", "model.sql", "loop"),
    ],
    ids=["unknown_table", "bronze", "dropped_column", "no_select", "cycle"],
)
def test_mistakes_in_the_sql(load: Load, sandbox: DefsFolderSandbox, statement: str, place: str, message: str) -> None:
    said = complaint(load, {"loop": statement})
    assert said.startswith(f"{sandbox.defs_folder_path}/gold/loop/{place}")
    assert message in said


def test_no_sql(load: Load, sandbox: DefsFolderSandbox) -> None:
    said = complaint(load, {}, {"gold/empty/defs.yaml": GOLD})
    assert (
        said
        == f"{sandbox.defs_folder_path}/gold/empty/defs.yaml:2: a gold model needs a model.sql beside its defs.yaml"
    )


def test_a_key_that_is_not_selected(load: Load, sandbox: DefsFolderSandbox) -> None:
    said = complaint(load, {"one": "SELECT id FROM silver.people"}, {"gold/one/defs.yaml": GOLD + "  key: city\n"})
    assert said == (
        f"{sandbox.defs_folder_path}/gold/one/defs.yaml:4: key names 'city', which the model does not select: id"
    )


FOLLOWS = GOLD + "  incremental:\n    unique_key: {}\n"


def test_an_incremental_model_has_its_unique_key_for_a_key(load: Load) -> None:
    found = load({"one": "SELECT id, city FROM silver.people"}, {"gold/one/defs.yaml": FOLLOWS.format("id")})
    assert dg.AssetKey(["gold", "one"]) in found.resolve_asset_graph().materializable_asset_keys


@pytest.mark.parametrize(
    ("statement", "declared", "place", "message"),
    [
        ("SELECT id, city FROM silver.people", "town", "gold/one/defs.yaml", "names 'town', which the model does not"),
        ("SELECT id, city FROM silver.people", "id\n  key: city", "gold/one/defs.yaml:5", "'id', which `key` does not"),
        ("SELECT city, count(*) AS n FROM silver.people GROUP BY city", "city", "gold/one/defs.yaml:5", "made of city"),
        ("SELECT id, city FROM silver.people LIMIT 3", "id", "gold/one/model.sql:1", "the model has LIMIT"),
        ("SELECT id FROM silver.flagged", "id", "gold/one/defs.yaml:4", "`on_missing: flag`"),
        ("SELECT id FROM silver.people_history", "id", "gold/one/defs.yaml:4", "follows the table of a dataset"),
    ],
    ids=["not_selected", "not_in_key", "may_change", "limit", "flagged", "history"],
)
def test_what_cannot_follow_new_rows(load: Load, statement: str, declared: str, place: str, message: str) -> None:
    flagged = PEOPLE.replace("people/*", "flagged/*") + "  mode: snapshot\n  on_missing: flag\n"
    files = {
        "gold/one/defs.yaml": FOLLOWS.format(declared),
        "datasets/people/defs.yaml": PEOPLE + "  history: true\n",
        "datasets/flagged/defs.yaml": flagged,
    }
    said = complaint(load, {"one": statement}, files)
    assert place in said
    assert message in said


def test_two_models_of_one_name(load: Load, sandbox: DefsFolderSandbox) -> None:
    statement = "SELECT id FROM silver.people"
    said = complaint(load, {"one": statement, "two": statement}, {"gold/two/defs.yaml": GOLD + "  name: one\n"})
    top = sandbox.defs_folder_path
    assert f"{top}/gold/one/defs.yaml:2" in said
    assert f"{top}/gold/two/defs.yaml:4" in said
    assert "the table gold.one is declared already" in said


def test_a_silver_and_a_gold_table_may_share_a_name(load: Load) -> None:
    found = load({"people": "SELECT id FROM silver.people"})
    assert dg.AssetKey(["gold", "people"]) in found.resolve_asset_graph().get_all_asset_keys()


@pytest.mark.slow
def test_each_model_is_read_once_however_many_there_are(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 datasets and 100 models, each reading the one before: the work grows with their number, not its square."""
    looked_up: list[Path] = []

    def counted(model: gold_model.Model, catalog: gold_model.Catalog) -> list[str]:
        looked_up.append(model.path)
        return output_columns(model, catalog)

    monkeypatch.setattr(gold_model, "output_columns", counted)
    number = 100
    datasets = {f"datasets/d{n}/defs.yaml": PEOPLE.replace("people/", f"d{n}/") for n in range(number)}
    models = {"m0": "SELECT id, city FROM silver.d0"} | {
        f"m{n}": f"SELECT a.id, b.city FROM silver.d{n} AS a JOIN gold.m{n - 1} AS b ON a.id = b.id"
        for n in range(1, number)
    }
    found = load(models, datasets)
    assert len(found.resolve_asset_graph().get_all_asset_keys()) == 2 * (number + 1) + number
    assert len(looked_up) == len(set(looked_up)) == number
