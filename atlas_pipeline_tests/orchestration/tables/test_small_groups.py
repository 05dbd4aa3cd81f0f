"""Aggregates of few persons through the pipeline: refused, withheld, exempted; persons follow references."""

from typing import Any

import dagster as dg
import psycopg
import pytest

from atlas_pipeline.settings import load_settings
from atlas_pipeline_tests.projects import Load, complaint

pytestmark = pytest.mark.slow

DATASET = "type: atlas_pipeline.components.Dataset\nattributes:\n"
GOLD = "type: atlas_pipeline.components.GoldModel\nattributes:\n"
PEOPLE = DATASET + (
    "  source: people/*.csv\n  key: person_id\n  columns:\n"
    "    - {name: person_id, type: integer}\n    - {name: name, pii: PERSON}\n    - {name: team}\n"
)
VISITS = DATASET + (
    "  source: visits/*.csv\n  key: visit_id\n  columns:\n    - {name: visit_id, type: integer}\n"
    "    - {name: person_id, type: integer}\n    - {name: cause}\n"
)
BY_TEAM = "SELECT team, count(*) AS people FROM silver.people GROUP BY team"
BY_CAUSE = "SELECT cause, count(*) AS visits FROM silver.visits GROUP BY cause"
TEAMS = ("north",) * 9 + ("south",) * 7 + ("west",) * 2


def people(teams: tuple[str, ...] = TEAMS) -> str:
    return "person_id,name,team\n" + "".join(f"{n},Anna Nowak,{team}\n" for n, team in enumerate(teams))


def project(sql: str, attributes: str = "  description: totals\n", people: str = PEOPLE) -> dict[str, str]:
    return {
        "datasets/people/defs.yaml": people,
        "datasets/visits/defs.yaml": VISITS,
        "gold/totals/defs.yaml": GOLD + attributes,
        "gold/totals/model.sql": sql,
    }


def run(definitions: dg.Definitions) -> dg.ExecuteInProcessResult:
    return definitions.resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)


def rows(statement: str) -> list[tuple]:
    settings = load_settings()
    assert settings.database_url
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        return connection.execute(statement).fetchall()


def check(result: dg.ExecuteInProcessResult) -> Any:
    (found,) = [each for each in result.get_asset_check_evaluations() if each.check_name == "small_groups"]
    return found


@pytest.fixture
def landed(land: Any) -> None:
    land("people/1.csv", people())
    visits = [(n, n % 8, "cold") for n in range(40)] + [(50 + n, 3, "burn") for n in range(30)]
    land("visits/1.csv", "visit_id,person_id,cause\n" + "".join(f"{v},{p},{cause}\n" for v, p, cause in visits))


@pytest.mark.usefixtures("landed")
def test_groups_of_few_persons_are_not_published(load_files: Load) -> None:
    result = run(load_files(project(BY_TEAM)))
    assert not result.success
    assert not check(result).passed
    assert check(result).severity == dg.AssetCheckSeverity.ERROR
    assert "1 of 3 groups are of fewer than 5 persons" in check(result).description
    assert "west" not in check(result).description
    assert rows("SELECT to_regclass('gold.totals')") == [(None,)]
    assert rows("SELECT * FROM staging.gold__totals__small") == [("west", 2)]
    assert rows(
        "SELECT passed, published, numbers->>'small' FROM atlas.privacy_measures WHERE measure = 'small_groups'"
    ) == [(False, False, "1")]


@pytest.mark.usefixtures("landed")
def test_many_rows_of_one_person_are_a_small_group(load_files: Load) -> None:
    result = run(load_files(project(BY_CAUSE)))
    assert not result.success, "30 burns of one person: visits refer to people, so persons are counted, not visits"
    assert rows("SELECT * FROM staging.gold__totals__small") == [("burn", 1)]


@pytest.mark.usefixtures("landed")
def test_suppressed_groups_are_gone_and_so_is_what_gives_them_away(load_files: Load) -> None:
    result = run(load_files(project(BY_TEAM, "  cells: {on_small: suppress}\n")))
    assert result.success
    assert check(result).passed
    assert rows("SELECT * FROM gold.totals") == [("north", 9)], "9 + 7 + 2: the total of all would tell"
    assert "2 of 3 groups were withheld, 1 of them" in check(result).description
    (made,) = result.asset_materializations_for_node("gold__totals")
    assert made.metadata["rows published"].value == 1


@pytest.mark.usefixtures("landed")
@pytest.mark.parametrize(
    ("attributes", "shown"),
    [
        ("  cells: {at_least: 2}\n", 3),
        ("  cells: {exempt: teams publish these numbers}\n", 3),
        ("  cells: {of: person_id, at_least: 10, on_small: suppress}\n", 0),
    ],
)
def test_a_model_says_what_holds_for_it(load_files: Load, attributes: str, shown: int) -> None:
    result = run(load_files(project(BY_TEAM, attributes)))
    assert result.success
    assert rows("SELECT count(*) FROM gold.totals") == [(shown,)]
    if "exempt" in attributes:
        assert check(result).metadata["exempt"].value == "teams publish these numbers"


@pytest.mark.usefixtures("landed")
def test_a_project_may_only_be_warned(load_files: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_CELLS_ON_SMALL", "warn")
    load_settings.cache_clear()
    result = run(load_files(project(BY_TEAM)))
    assert result.success
    assert not check(result).passed
    assert check(result).severity == dg.AssetCheckSeverity.WARN


def test_groups_that_grew_by_one_are_told_of(land: Any, load_files: Load) -> None:
    land("people/1.csv", people(TEAMS[:16]))
    definitions = load_files(project(BY_TEAM))
    assert "groups is of 5 persons or more" in check(run(definitions)).description
    land("people/2.csv", "person_id,name,team\n99,Peter Brown,north\n")
    assert "1 groups differ from the publication before" in check(run(definitions)).description


def test_what_cannot_be_counted_is_refused(land: Any, load_files: Load) -> None:
    land("people/1.csv", people())
    result = run(load_files(project("SELECT DISTINCT team FROM silver.people")))
    assert not result.success
    assert "write GROUP BY" in check(result).description


def test_a_table_of_single_persons_is_none_of_groups(land: Any, load_files: Load) -> None:
    land("people/1.csv", people())
    result = run(load_files(project("SELECT person_id, team FROM silver.people")))
    assert result.success
    assert check(result).description == "rows are no groups of persons"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (project(BY_TEAM, "  cells: {of: shoe}\n"), "none of silver.people has"),
        (project(BY_TEAM, people=PEOPLE + "  subject: shoe\n"), "subject names 'shoe'"),
        (project(BY_TEAM, people=PEOPLE + "  subject: name\n"), "is not told apart any more after 'redact'"),
    ],
)
def test_subjects_that_are_no_columns_are_refused(load_files: Load, files: dict[str, str], said: str) -> None:
    assert said in complaint(load_files, files)


ASKED = "  quasi: [team]\n  sensitive: [name]\n"


def risk(result: dg.ExecuteInProcessResult, table: str) -> Any:
    found = result.get_asset_check_evaluations()
    (one,) = [e for e in found if e.check_name == "reidentification" and e.asset_key.to_user_string() == table]
    return one


def test_rows_that_are_alone_are_counted_in_silver_and_gold(land: Any, load_files: Load) -> None:
    land("people/1.csv", people())
    result = run(
        load_files(project("SELECT person_id, team FROM silver.people", "  quasi: [team]\n", people=PEOPLE + ASKED))
    )
    assert result.success
    for table in ("silver/people", "gold/totals"):
        assert risk(result, table).passed
        assert risk(result, table).metadata["k"].value == 2
    assert risk(result, "silver/people").metadata["l of name"].value == 1
    measured = "SELECT layer, numbers->>'k' FROM atlas.privacy_measures WHERE measure = 'reidentification' ORDER BY 1"
    assert rows(measured) == [("gold", "2"), ("silver", "2")]


@pytest.mark.parametrize(("limit", "published"), [("warn_below: 3", True), ("fail_below: 3", False)])
def test_below_a_threshold_silver_is_warned_of_or_not_published(
    land: Any, load_files: Load, limit: str, published: bool
) -> None:
    land("people/1.csv", people())
    files = project("SELECT person_id FROM silver.people", people=PEOPLE + ASKED + f"  anonymity: {{{limit}}}\n")
    result = run(load_files(files))
    assert not risk(result, "silver/people").passed
    assert "k is 2" in risk(result, "silver/people").description
    assert (rows("SELECT to_regclass('silver.people') IS NOT NULL") == [(True,)]) == published
    assert result.success == published
