"""The catalogue of a project that was built: what Postgres, plans and scores know of it, and no value of its rows."""

import re
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from dagster.components.testing import DefsFolderSandbox
from psycopg import conninfo

from atlas_pipeline.catalog.site.building import build_site
from atlas_pipeline.catalog.site.declared import Table
from atlas_pipeline.catalog.site.pages import check_rows, table_page
from atlas_pipeline.catalog.site.recorded import read_recorded
from atlas_pipeline.cli.docs.build import tables_of
from atlas_pipeline.components.isolation import load_leniently
from atlas_pipeline.orchestration.tables.catalogue import source_shown
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline_tests.catalog.site.sites import site_of
from atlas_pipeline_tests.pay import CONTRACT, SALARY
from atlas_pipeline_tests.projects import Load, load, write

pytestmark = pytest.mark.slow

PEOPLE = """\
type: atlas_pipeline.components.Dataset
attributes:
  source: people/*.csv
  key: id
  description: Who buys.
  owners: [team:sales]
  purpose: Selling.
  recipients: [the courier]
  columns:
    - {name: id, type: integer}
    - {name: email, pii: EMAIL_ADDRESS, action: hash, description: How we write.}
    - {name: nickname, pii: none}
    - {name: salary, type: decimal, pii: none}
    - {name: secret, pii: PERSON, action: drop}
"""
FILES = {
    "datasets/people/defs.yaml": PEOPLE,
    "datasets/people/contract.yml": CONTRACT.replace("LEVEL", "warn"),
    "gold/words/defs.yaml": "type: atlas_pipeline.components.GoldModel\nattributes: {description: Words., key: id}\n",
    "gold/words/model.sql": "SELECT id, email AS reach, nickname AS word FROM silver.people",
}
ROWS = "id,email,nickname,salary,secret\n" + "".join(
    f"{7_000_000 + n},person{n}@mail.example,zanzibar{n},{SALARY + n},Xaver Yon{n}\n" for n in range(30)
)
VALUES = re.compile(r"70000[0-2][0-9]|mail\.example|zanzibar|7310[0-2][0-9]|731,0|Xaver")


@pytest.fixture
def declared(sandbox: DefsFolderSandbox) -> Callable[[dict[str, str]], dict[str, Table]]:
    """The tables of a project that consists of these files."""

    def run(files: dict[str, str]) -> dict[str, Table]:
        write(sandbox, files)
        with sandbox.build_component_tree() as tree:
            found = load_leniently(
                lambda: dg.ComponentTree(defs_module=tree.defs_module, project_root=tree.project_root)
            )
            return tables_of(*found, sandbox.project_root)

    return run


@pytest.fixture
def built(
    sandbox: DefsFolderSandbox, warehouse: psycopg.Connection, land: Callable[[str, str], Path]
) -> psycopg.Connection:
    """The project, built twice from a file of 30 people; the warehouse it is in."""
    land("people/one.csv", ROWS)
    write(sandbox, FILES)
    job = load(sandbox).resolve_implicit_global_asset_job_def()
    for _ in range(2):
        assert job.execute_in_process(raise_on_error=False).success
    warehouse.execute("CREATE SCHEMA own; CREATE VIEW own.names AS SELECT word FROM gold.words")
    warehouse.commit()
    return warehouse


def test_all_that_is_known_and_no_value(
    built: psycopg.Connection, declared: Callable[[dict[str, str]], dict[str, Table]], tmp_path: Path
) -> None:
    site = site_of(declared(FILES), read_recorded(built))
    assert list(site.tables) == ["gold.words", "silver.people", "bronze.people"]
    people, words = table_page(site, "silver.people"), table_page(site, "gold.words")
    columns = {column["name"]: column for column in people["columns"]}
    assert list(columns) == ["id", "email", "nickname", "salary"]
    assert (columns["email"]["plan"].entity, columns["email"]["plan"].action) == ("EMAIL_ADDRESS", "hash")
    assert columns["email"]["description"] == "How we write."
    assert people["dropped"] == ["secret"]
    assert [column["type"] for column in words["columns"]] == ["bigint", "text", "text"]
    assert words["columns"][1]["plan"].entity == "EMAIL_ADDRESS"
    rows = {row["name"]: row for row in check_rows(site.tables["silver.people"], site.of("silver.people"))}
    assert rows["salary_aggregate"]["status"] == "warned"
    assert rows["salary_aggregate"]["measured"] is None, "it is the greatest salary"
    assert rows["salary_missing"]["rows_tested"] == 30
    assert str(rows["salary_missing"]["bars"]).count("<rect") == 2
    assert rows["leak_check"]["status"] == "passed"
    assert ("granted", ["atlas_analyst"]) in words["readers"]
    assert ("reads all data", ["atlas_backup"]) in words["readers"]
    assert words["recorded"].views == [("own.names", "atlas_owner")]
    assert people["recorded"].row_counts[-1] == 30
    assert people["table"].facts["Purpose"] == "Selling."
    assert site.states["silver.people"] == ("warned", "1 check warns")

    folder = build_site(site, tmp_path / "site").folder
    files = {path.name: path.read_text() for path in folder.iterdir()}
    assert not {name: found[0] for name, text in files.items() if (found := VALUES.search(text))}
    assert "How we write." in files["silver.people.html"], "the search itself has gone blind"


def test_a_role_reads_by_membership_or_by_columns(
    built: psycopg.Connection, warehouse_url: str, postgres: EmbeddedPostgres
) -> None:
    """Nothing is committed, so that other tests do not find these roles."""
    database = conninfo.conninfo_to_dict(warehouse_url)["dbname"]
    with psycopg.connect(postgres.url(str(database), SUPERUSER)) as connection:
        connection.execute(
            "CREATE ROLE site_clerk LOGIN IN ROLE atlas_analyst; CREATE ROLE site_guest;"
            "GRANT USAGE ON SCHEMA gold TO site_guest; GRANT SELECT (word) ON gold.words TO site_guest"
        )
        readers = dict(read_recorded(connection)["gold.words"].readers)
        connection.rollback()
    assert readers["site_clerk"] == "member of atlas_analyst"
    assert readers["site_guest"] == "granted some columns"
    assert readers["atlas_owner"] == "owns it"


def test_a_declaration_that_is_wrong_is_said_and_others_are_shown(
    declared: Callable[[dict[str, str]], dict[str, Table]], atlas_env: Path, tmp_path: Path
) -> None:
    tables = declared(FILES | {"gold/words/model.sql": "SELECT nothing FROM silver.people"})
    assert "model.sql:1" in (tables["gold.words"].invalid or "")
    assert not (tables["gold.words"].invalid or "").startswith("/"), "paths are those of the project"
    assert tables["silver.people"].invalid is None
    folder = build_site(site_of(tables), tmp_path / "site").folder
    assert "1 declaration is wrong</strong>" in (folder / "index.html").read_text()
    assert "The declaration is wrong" in (folder / "gold.words.html").read_text()


def test_each_asset_links_to_its_page(load_files: Load, atlas_env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from atlas_pipeline.settings import load_settings

    monkeypatch.setenv("ATLAS_CATALOGUE_URL", "https://data.example/catalogue/")
    load_settings.cache_clear()
    graph = load_files(FILES).resolve_asset_graph()
    links = {key.to_user_string(): graph.get(key).metadata["catalogue"].value for key in graph.get_all_asset_keys()}
    assert links == {
        name: f"https://data.example/catalogue/{name.replace('/', '.')}.html"
        for name in ("bronze/people", "silver/people", "gold/words")
    }


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_nothing_links_to_this_machine_where_others_look(environment: str) -> None:
    from atlas_pipeline.settings import Settings

    assert Settings(environment=environment).catalogue_address is None
    assert Settings(environment="development").catalogue_address == "http://127.0.0.1:3001"


def test_a_source_is_shown_without_its_password() -> None:
    assert source_shown("sftp://me:secret@files.example/in/*.csv") == "sftp://files.example/in/*.csv"
    assert source_shown("people/*.csv") == "people/*.csv"
