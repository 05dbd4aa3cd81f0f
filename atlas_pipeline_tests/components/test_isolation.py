"""A declaration that is wrong takes out its own table, visibly, and nothing else."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import dagster as dg
import pytest
from dagster.components.testing import DefsFolderSandbox

from atlas_pipeline import labels
from atlas_pipeline.components.isolation import load_leniently
from atlas_pipeline.orchestration.tables.invalid import Invalid, invalid_definitions
from atlas_pipeline.orchestration.warehouse import with_warehouse
from atlas_pipeline_tests.projects import write

DATASET = "type: atlas_pipeline.components.Dataset\nattributes:\n  source: {name}/*.csv\n  key: id\n  columns:\n"
DATASET += "    - {{name: id, type: integer}}\n    - {{name: city}}\n"
PEOPLE, SHOPS = DATASET.format(name="people"), DATASET.format(name="shops")
VISITS = DATASET.format(name="visits").replace("{name: city}", "{name: person, type: integer, references: people}")
MODEL = "type: atlas_pipeline.components.GoldModel\nattributes:\n  description: Counts.\n"
PROJECT = {
    "datasets/people/defs.yaml": PEOPLE,
    "datasets/shops/defs.yaml": SHOPS,
    "datasets/visits/defs.yaml": VISITS,
    "gold/by_city/defs.yaml": MODEL,
    "gold/by_city/model.sql": "SELECT city, count(*) AS people FROM silver.people GROUP BY city",
    "gold/cities/defs.yaml": MODEL,
    "gold/cities/model.sql": "SELECT city FROM gold.by_city",
}
ALL = {"bronze/people", "silver/people", "bronze/shops", "silver/shops", "bronze/visits", "silver/visits"}
ALL |= {"gold/by_city", "gold/cities"}

Lenient = Callable[[Mapping[str, str]], tuple[dg.Definitions, list[Invalid]]]


@pytest.fixture
def lenient(sandbox: DefsFolderSandbox, atlas_env: Path) -> Iterator[Lenient]:
    """Load a project as `definitions.py` does."""

    def run(files: Mapping[str, str]) -> tuple[dg.Definitions, list[Invalid]]:
        write(sandbox, {**PROJECT, **files})
        with sandbox.build_component_tree() as tree:
            _, loaded, invalid = load_leniently(
                lambda: dg.ComponentTree(defs_module=tree.defs_module, project_root=tree.project_root)
            )
        loaded = with_warehouse(loaded)
        taken = loaded.resolve_asset_graph().materializable_asset_keys
        return dg.Definitions.merge(loaded, invalid_definitions(invalid, taken)), invalid

    yield run  # noqa: PT022 — a fixture of a function, like its neighbours


def keys(definitions: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}


def kinds(definitions: dg.Definitions) -> set[str]:
    graph = definitions.resolve_asset_graph()
    return {
        key.to_user_string()
        for key in graph.get_all_asset_keys()
        if f"dagster/kind/{labels.INVALID_KIND}" in graph.get(key).tags
    }


WRONG = [
    ("datasets/people/defs.yaml", "type: [\n  x: {", "silver/people", "defs.yaml"),
    ("datasets/people/defs.yaml", "", "silver/people", ""),
    ("datasets/people/defs.yaml", PEOPLE.replace("Dataset", "Datset"), "silver/people", "Datset"),
    ("datasets/people/defs.yaml", PEOPLE + "  colour: red\n", "silver/people", "colour"),
    ("datasets/people/defs.yaml", PEOPLE.replace("type: integer", "type: nteger"), "silver/people", "defs.yaml"),
    ("datasets/people/defs.yaml", PEOPLE.replace("key: id", "key: idd"), "silver/people", "defs.yaml:4"),
    ("datasets/people/contract.yml", "dataset: a/b/silver/people\ncolumns:\n  - name: nme\n", "silver/people", "nme"),
    ("datasets/people/contract.yml", "dataset: [\n", "silver/people", "contract.yml"),
    ("datasets/people/contract.yaml", "columns: []\n", "silver/people", "contract.yaml"),
    ("gold/by_city/model.sql", "SELECT FROM WHERE silver.people", "gold/by_city", "model.sql:1"),
    ("gold/by_city/model.sql", "SELECT citty FROM silver.people", "gold/by_city", "model.sql:1"),
    ("gold/by_city/model.sql", "SELECT city FROM silver.peple", "gold/by_city", "silver.peple"),
    ("gold/by_city/contract.yml", "dataset: a/b/gold/by_city\ncolumns:\n  - name: nme\n", "gold/by_city", "nme"),
]


@pytest.mark.parametrize(("name", "text", "table", "said"), WRONG, ids=range(len(WRONG)))
def test_only_its_own_table_is_taken_out(lenient: Lenient, name: str, text: str, table: str, said: str) -> None:
    definitions, invalid = lenient({name: text})
    assert ["/".join(one.key) for one in invalid] == [table]
    assert said in invalid[0].reason
    assert keys(definitions) - {"silver/peple"} == ALL
    assert kinds(definitions) == {table, table.replace("silver", "bronze")}
    graph = definitions.resolve_asset_graph()
    assert graph.get(dg.AssetKey(["gold", "cities"])).parent_keys == {dg.AssetKey(["gold", "by_city"])}
    assert dg.AssetKey(["silver", "people"]) in graph.get(dg.AssetKey(["gold", "by_city"])).parent_keys or (
        "peple" in text
    )


def test_several_that_are_wrong_are_all_told(lenient: Lenient) -> None:
    definitions, invalid = lenient(
        {
            "datasets/people/defs.yaml": "type: [",
            "datasets/shops/contract.yml": "columns: 3\n",
            "gold/cities/model.sql": "SELECT 1, FROM",
        }
    )
    assert {"/".join(one.key) for one in invalid} == {"silver/people", "silver/shops", "gold/cities"}
    assert keys(definitions) == ALL


def test_the_second_declaration_of_a_table_is_taken_out(lenient: Lenient) -> None:
    definitions, invalid = lenient({"datasets/zz/defs.yaml": PEOPLE + "  name: people\n"})
    assert [one.folder.name for one in invalid] == ["zz"]
    assert keys(definitions) == ALL | {"bronze/people_not_loaded", "silver/people_not_loaded"}
    assert kinds(definitions) == {"bronze/people_not_loaded", "silver/people_not_loaded"}


def test_a_project_without_faults_is_loaded_as_it_is(lenient: Lenient) -> None:
    definitions, invalid = lenient({})
    assert invalid == []
    assert keys(definitions) == ALL
    assert kinds(definitions) == set()


def test_a_table_that_is_not_loaded_fails_with_the_reason_and_others_run(
    lenient: Lenient, land: Callable[[str, str], Path]
) -> None:
    land("shops/a.csv", "id,city\n1,Bern\n")
    definitions, invalid = lenient({"datasets/people/contract.yml": "columns: 3\n"})
    job = definitions.resolve_implicit_global_asset_job_def()
    shops = [dg.AssetKey(["bronze", "shops"]), dg.AssetKey(["silver", "shops"])]
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance, asset_selection=shops).success
        failed = job.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(["silver", "people"])], raise_on_error=False
        )
    assert not failed.success
    (check,) = failed.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.description) == (labels.DECLARATION_CHECK, False, invalid[0].reason)


def test_the_sensor_reports_once_and_again_when_it_is_right(lenient: Lenient) -> None:
    wrong, invalid = lenient({"datasets/people/contract.yml": "columns: 3\n"})
    right = invalid_definitions([], ())
    key = dg.AssetCheckKey(dg.AssetKey(["silver", "people"]), labels.DECLARATION_CHECK)
    with dg.DagsterInstance.ephemeral() as instance:

        def look(definitions: dg.Definitions, cursor: str | None) -> tuple[str | None, list[bool]]:
            sensor = definitions.resolve_sensor_def("declarations")
            with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
                result = sensor(context)
            history = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
            evaluations = [one.event.dagster_event.asset_check_evaluation_data for one in history if one.event]
            return result.cursor, [one.passed for one in evaluations]  # type: ignore[union-attr]

        cursor, said = look(wrong, None)
        assert said == [False]
        cursor, said = look(wrong, cursor)
        assert said == [False]
        _, said = look(right, cursor)
        assert said == [True, False]
    assert "contract.yml" in invalid[0].reason
