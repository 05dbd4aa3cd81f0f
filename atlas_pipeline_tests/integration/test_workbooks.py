"""Workbooks from file to silver, and what the scaffold and the scan make of them."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from dagster.components.component_scaffolding import scaffold_object
from dagster.components.testing import DefsFolderSandbox
from typer.testing import CliRunner

from atlas_pipeline.cli import app
from atlas_pipeline.components.scaffold.dataset import ScaffoldError
from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.readers import CsvOptions, ReadOptions
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.settings import load_settings
from atlas_pipeline_tests.ingest.workbooks import ods, xls, xlsx
from atlas_pipeline_tests.integration.conftest import Feed

COLUMNS = (Column("id", "integer"), Column("code"), Column("price", "decimal"), Column("day", "date"))
ROWS: list[list[Any]] = [
    ["Prices of March"],
    [None],
    ["id", "code", "price", "day"],
    [1, "007", 1.5, dt.date(2024, 1, 2)],
    [2, "1e5", 20, dt.date(2024, 1, 3)],
    ["x", "3", 1, dt.date(2024, 1, 4)],
    ["Total", None, 22.5, None],
]


@pytest.fixture
def feed(warehouse: psycopg.Connection, warehouse_url: str, tmp_path: Path) -> Callable[..., Feed]:
    """A dataset of workbooks."""

    def make(**options: Any) -> Feed:
        intake = Intake(ReadOptions(CsvOptions(skip_lines=2, footer=1), **options))
        dataset = Dataset("prices", FileSource("prices/*"), COLUMNS, intake=intake)
        return Feed(warehouse, warehouse_url, tmp_path, dataset)

    return make


@pytest.mark.parametrize(("name", "written"), [("a.xlsx", xlsx), ("a.xls", xls), ("a.ods", ods)])
def test_a_workbook_becomes_typed_rows(feed: Callable[..., Feed], name: str, written: Any) -> None:
    one = feed()
    one.land(f"prices/{name}", written({"Data": ROWS}))
    one.run()
    found = one.rows(columns=["id", "code", "price", "day"])
    assert [(id, code, float(price), day) for id, code, price, day in found] == [
        (1, "007", 1.5, dt.date(2024, 1, 2)),
        (2, "1e5", 20.0, dt.date(2024, 1, 3)),
    ]
    assert one.quarantine() == [(f"prices/{name}", 6, "wrong_type")]


def test_another_sheet_is_read_when_the_declaration_names_it(feed: Callable[..., Feed]) -> None:
    one = feed()
    other = [*ROWS[:3], [7, "b", 1, None], ["Total"]]
    one.land("prices/a.xlsx", xlsx({"Data": ROWS, "New": other}))
    one.run()
    one.dataset = replace(one.dataset, intake=Intake(replace(one.dataset.intake.reading, sheet="New")))
    one.run()
    assert one.rows(columns=["id", "code"]) == [(7, "b")]


def test_a_protected_or_damaged_workbook_is_refused_by_rule_and_the_others_load(feed: Callable[..., Feed]) -> None:
    one = feed()
    good = xlsx({"Data": ROWS})
    one.land("prices/a.xlsx", good)
    one.land("prices/b.xlsx", good[:-300])
    one.land("prices/c.xlsx", b"id,code\n1,2\n")
    result = one.load()
    assert [file.rule for file in result.refused] == ["corrupt", "wrong_format"]
    assert result.total_rows == 3


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder and no database."""
    monkeypatch.setenv("ATLAS_HOME", str(tmp_path / "home"))
    load_settings.cache_clear()
    return tmp_path


def test_the_scaffold_finds_the_table_and_says_which_sheets_there_are(
    here: Path, sandbox: DefsFolderSandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    path = here / "prices.xlsx"
    path.write_bytes(xlsx({"Data": [*ROWS[:5], *([i, f"{i:03d}", 2.5, dt.date(2024, 2, 1)] for i in range(3, 30)),
                                    ROWS[-1]], "Notes": [["a"], [1]]}))  # fmt: skip
    folder = sandbox.defs_folder_path / "prices"
    scaffold_object(folder, "atlas_pipeline.components.Dataset", json.dumps({"source": str(path)}), "yaml",
                    sandbox.project_root)  # fmt: skip
    said = capsys.readouterr().out
    assert "2 sheets: 'Data', 'Notes'" in said
    declared = yaml.safe_load((folder / "defs.yaml").read_text())["attributes"]
    assert (declared["skip_lines"], declared["footer"]) == (2, 1)
    assert [(one["name"], one["type"]) for one in declared["columns"]] == [
        ("id", "integer"), ("code", "text"), ("price", "decimal"), ("day", "date")
    ]  # fmt: skip
    other = sandbox.defs_folder_path / "notes"
    wrong = json.dumps({"source": str(path), "sheet": "Nowhere"})
    with pytest.raises(ScaffoldError, match="2 sheets"):
        scaffold_object(other, "atlas_pipeline.components.Dataset", wrong, "yaml", sandbox.project_root)
    right = json.dumps({"source": str(path), "sheet": "Notes"})
    scaffold_object(other, "atlas_pipeline.components.Dataset", right, "yaml", sandbox.project_root)
    assert yaml.safe_load((other / "defs.yaml").read_text())["attributes"]["sheet"] == "Notes"


def test_the_scan_looks_into_workbooks_and_copies_are_not_written_as_such(here: Path) -> None:
    path = here / "people.xlsx"
    people = [["id", "mail"], *([i, f"ann{i}@example.com"] for i in range(50))]
    path.write_bytes(xlsx({"People": people, "More": [["a"], [1]]}))
    done = CliRunner().invoke(app, ["pii", "scan", str(path), "--json"])
    assert done.exit_code == 0
    found = {column["name"]: column["entity"] for column in json.loads(done.stdout)["columns"]}
    assert found == {"id": None, "mail": "EMAIL_ADDRESS"}
    refused = CliRunner().invoke(app, ["pii", "mask", str(path), "--out", str(here / "copy.xlsx")])
    assert refused.exit_code == 1
    copied = CliRunner().invoke(app, ["pii", "mask", str(path), "--out", str(here / "copy.csv")])
    assert copied.exit_code == 0
    assert "@" not in (here / "copy.csv").read_text()
