"""silver/<name>_history in Dagster: an asset with metadata and checks, read by gold, masked like silver."""

from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from atlas_pipeline_tests.projects import complaint

DATASET = "type: atlas_pipeline.components.Dataset\nattributes:\n"
PEOPLE = DATASET + (
    "  source: people/*.csv\n  key: id\n  mode: snapshot\n  history: true\n  deleted_by: op = 'D'\n  columns:\n"
    "    - {name: id, type: integer}\n    - {name: email, pii: EMAIL_ADDRESS, action: hash}\n"
    "    - {name: op, action: drop}\n"
)
GOLD = "type: atlas_pipeline.components.GoldModel\nattributes: {}\n"
MODEL = "SELECT id, email, count(*) AS versions, max(valid_to) AS ended FROM silver.people_history GROUP BY id, email\n"
HISTORY = dg.AssetKey(["silver", "people_history"])

Load = Callable[[Mapping[str, str]], dg.Definitions]


@pytest.mark.slow
def test_history_is_an_asset_beside_silver(
    load_files: Load, land: Callable[[str, str], Path], warehouse: psycopg.Connection
) -> None:
    project = {"people/defs.yaml": PEOPLE, "moves/defs.yaml": GOLD, "moves/model.sql": MODEL}
    job = load_files(project).resolve_implicit_global_asset_job_def()
    land("people/a.csv", "id,email,op\n1,ada@mail.example,\n2,bob@mail.example,\n")
    assert job.execute_in_process().success
    land("people/a.csv", "id,email,op\n1,eva@mail.example,\n2,bob@mail.example,D\n")
    done = job.execute_in_process()
    assert done.success
    [made] = done.asset_materializations_for_node("silver__people")[1:]
    assert made.asset_key == HISTORY
    assert made.metadata["dagster/row_count"].value == 3
    columns = made.metadata["dagster/column_schema"].value.columns
    assert [column.name for column in columns] == ["id", "email", "valid_from", "valid_to"]
    checks = {e.check_name: e.passed for e in done.get_asset_check_evaluations() if e.asset_key == HISTORY}
    assert checks == {"leak_check": True, "history_consistent": True}
    rows = warehouse.execute("SELECT id, email, versions, ended IS NULL FROM gold.moves ORDER BY id, ended").fetchall()
    assert [(i, versions, holds) for i, _, versions, holds in rows] == [(1, 1, False), (1, 1, True), (2, 1, False)]
    assert "mail.example" not in str(rows)
    warehouse.execute("UPDATE silver.people_history SET id = 7 WHERE valid_to IS NULL")
    warehouse.commit()
    job = load_files(project).resolve_job_def("__ASSET_JOB")
    keys = {dg.AssetCheckKey(HISTORY, name) for name in checks}
    alone = job.get_subset(asset_selection=set(), asset_check_selection=keys).execute_in_process()
    checked = {e.check_name: e.passed for e in alone.get_asset_check_evaluations()}
    assert checked == {"leak_check": True, "history_consistent": False}, "the open version was changed by hand"


@pytest.mark.slow
def test_silver_and_its_history_may_be_asked_for_alone(
    load_files: Load, land: Callable[[str, str], Path], warehouse: psycopg.Connection
) -> None:
    """Both are built; what was not asked for is not said to be."""
    job = load_files({"people/defs.yaml": PEOPLE}).resolve_implicit_global_asset_job_def()
    land("people/a.csv", "id,email,op\n1,ada@mail.example,\n")
    assert job.execute_in_process(asset_selection=[dg.AssetKey(["bronze", "people"])]).success
    for key in (dg.AssetKey(["silver", "people"]), HISTORY):
        done = job.execute_in_process(asset_selection=[key])
        assert done.success
        assert [made.asset_key for made in done.asset_materializations_for_node("silver__people")] == [key]
    assert warehouse.execute("SELECT count(*) FROM silver.people_history").fetchone() == (1,)


def test_a_dataset_of_the_name_of_a_history_is_refused(load_files: Load) -> None:
    other = DATASET + "  source: a/*.csv\n  columns: [{name: id}]\n"
    said = complaint(load_files, {"people/defs.yaml": PEOPLE, "people_history/defs.yaml": other})
    assert "people/defs.yaml:6: history makes silver.people_history, which is a dataset already" in said
