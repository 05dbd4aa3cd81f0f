"""`dg scaffold defs … Dataset`: what it writes of real files, that it holds on them, what it says when it cannot."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import dagster as dg
import psycopg
import pytest
import yaml
from dagster.components.component_scaffolding import scaffold_object
from dagster.components.testing import DefsFolderSandbox

from atlas_pipeline.components.scaffold.dataset import ScaffoldError
from atlas_pipeline.settings import PROJECT_ROOT, load_settings
from atlas_pipeline_tests import projects

DATASET = "atlas_pipeline.components.Dataset"
PEOPLE = "id,name,joined,updated_at\n1,Ann,2024-01-31,2024-02-01T10:00:00Z\n2,Bob,NA,2024-02-02T10:00:00Z\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home folder and no database: scaffolding needs none."""
    monkeypatch.setenv("ATLAS_HOME", str(tmp_path / "home"))
    load_settings.cache_clear()
    yield tmp_path / "home"
    load_settings.cache_clear()


Scaffold = Callable[..., Path]


@pytest.fixture
def scaffold(sandbox: DefsFolderSandbox) -> Scaffold:
    """What the command does once `dg` has read its options. Returns the folder."""

    def run(
        name: str, source: str | Path, key: str | None = None, format: str = "yaml", options: Mapping[str, Any] = {}
    ) -> Path:
        path = sandbox.defs_folder_path / name
        params = json.dumps({"source": str(source), **options} | ({"key": key} if key else {}))
        scaffold_object(path, DATASET, params, format, sandbox.project_root)
        return path

    return run


def attributes(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "defs.yaml").read_text())["attributes"]


def put(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_declaration_and_contract_of_a_file(
    here: Path, tmp_path: Path, scaffold: Scaffold, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = scaffold("people", put(tmp_path / "in" / "people.csv", PEOPLE))
    assert attributes(folder) == {
        "source": str(tmp_path / "in" / "people.csv"),
        "key": "id",
        "latest_by": "updated_at",
        "columns": [
            {"name": "id", "type": "text"},
            {"name": "name", "type": "text", "pii": "PERSON", "action": "redact"},
            {"name": "joined", "type": "date", "null_values": ["NA"]},
            {"name": "updated_at", "type": "timestamp"},
        ],
    }
    contract = yaml.safe_load((folder / "contract.yml").read_text())
    assert contract["dataset"] == "atlas/atlas/silver/people"
    checks = {column["name"]: column.get("checks", []) for column in contract["columns"]}
    assert [list(check) for check in checks["id"]] == [["missing"], ["duplicate"]]
    assert [list(check) for check in checks["joined"]] == [["failed_rows"]]
    assert checks["name"] == []
    out = capsys.readouterr().out
    assert "Read 2 rows of 1 file: 4 columns" in out
    assert "Personal data: name PERSON (redact)." in out
    assert "Key: id. No key is there twice. Of rows with the same key the greatest updated_at stays." in out
    assert "Contract: 6 checks, 4 that must hold and 2 that warn." in out
    assert f"Wrote {folder / 'defs.yaml'}" in out


def test_a_source_in_the_landing_folder_is_written_as_seen_from_there(
    here: Path, scaffold: Scaffold, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put(here / "landing" / "people" / "a.csv", PEOPLE)
    monkeypatch.chdir(tmp_path)
    assert attributes(scaffold("one", "people/*.csv"))["source"] == "people/*.csv"
    assert attributes(scaffold("two", "home/landing/people/*.csv"))["source"] == "people/*.csv"
    assert attributes(scaffold("three", here / "landing" / "people" / "*.csv"))["source"] == "people/*.csv"
    put(tmp_path / "elsewhere" / "a.csv", PEOPLE)
    assert attributes(scaffold("four", "x/../elsewhere/*.csv"))["source"] == f"{tmp_path}/elsewhere/*.csv"


def test_without_a_key_it_says_what_to_add(
    here: Path, tmp_path: Path, scaffold: Scaffold, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = scaffold("things", put(tmp_path / "things.csv", "a,b\n1,x\n1,y\n"))
    assert "key" not in attributes(folder)
    out = capsys.readouterr().out
    assert "No column looks like a key, so every row is kept." in out
    assert f"add `key: <column>` to {folder / 'defs.yaml'}" in out


def test_keys_of_ones_own(here: Path, tmp_path: Path, scaffold: Scaffold, capsys: pytest.CaptureFixture[str]) -> None:
    file = put(tmp_path / "things.csv", "a,b,changed_at\n1,x,2024-01-01\n1,y,2024-01-02\n")
    folder = scaffold("one", file, key="a")
    assert attributes(folder)["key"] == "a"
    assert attributes(folder)["latest_by"] == "changed_at"
    assert "A key may be there twice." in capsys.readouterr().out
    assert attributes(scaffold("two", file, key="a, b"))["key"] == ["a", "b"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["2024-02-01", "2024-01-31"], ("daily", "2024-01-31")),
        (["2024-02", "2023-12"], ("monthly", "2023-12")),
    ],
)
def test_partitions_as_the_names_of_the_files_say(
    here: Path, tmp_path: Path, scaffold: Scaffold, names: list[str], expected: tuple[str, str]
) -> None:
    for name in names:
        put(tmp_path / "feed" / f"people-{name}.csv", PEOPLE)
    written = attributes(scaffold("people", tmp_path / "feed" / "people-{partition}.csv"))
    assert written["source"].endswith("/people-{partition}.csv")
    assert (written["partitions"], str(written["partitions_start"])) == expected


def test_a_word_for_no_value_counts_everywhere_once_it_is_seen_among_numbers(
    here: Path, tmp_path: Path, scaffold: Scaffold, capsys: pytest.CaptureFixture[str]
) -> None:
    scaffold("one", put(tmp_path / "one.csv", "n,tail\n1,N1\nNA,NA\n3,N3\n"))
    assert "tail: NA means no value, as" in capsys.readouterr().out
    folder = scaffold("two", put(tmp_path / "two.csv", "n,country\n1,NA\n2,SE\n"))
    assert "null_values" not in attributes(folder)["columns"][1]
    assert "country: if NA means no value there, add `null_values: [NA]` to the column." in capsys.readouterr().out
    columns = attributes(folder.parent / "one")["columns"]
    assert columns == [
        {"name": "n", "type": "integer", "null_values": ["NA"]},
        {"name": "tail", "type": "text", "null_values": ["NA"]},
    ]


def test_texts_that_dagster_would_evaluate_stay_what_they_are(
    here: Path, tmp_path: Path, scaffold: Scaffold, sandbox: DefsFolderSandbox
) -> None:
    names = ["2024", "None", "'x'", '"y"', "1.0", "(1)", "a\nb"]
    rows = [dict.fromkeys(names, value) for value in ("1", "None", "3")]
    scaffold("years", put(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows)), key="2024")
    with sandbox.build_component_tree() as tree:
        tables = tree.build_defs().get_assets_def(dg.AssetKey(["silver", "years"]))
    (metadata,) = tables.metadata_by_key.values()
    assert [column.name for column in metadata["dagster/column_schema"].columns] == names


def test_personal_data_in_a_few_cells_is_declared(here: Path, tmp_path: Path, scaffold: Scaffold) -> None:
    rows = ["id,code\n", *(f"{n},{'ab'[n % 2]}\n" for n in range(100)), "100,ann@example.org\n"]
    folder = scaffold("codes", put(tmp_path / "a.csv", "".join(rows)))
    assert attributes(folder)["columns"][1] == {"name": "code", "type": "text", "pii": "FREE_TEXT", "action": "redact"}
    assert "example.org" not in (folder / "contract.yml").read_text()


IN_DOUBT = [
    ("Ada Example,London\nBo Example,Paris\n", "--header true or --header false"),
    ("id,name,\n1,x,\n2,y,\n", "if rows end in a delimiter"),
    ("1,x,12.50\n", "say --header false"),
]


@pytest.mark.parametrize(("text", "option"), IN_DOUBT, ids=["person", "delimiter", "one_row"])
def test_what_may_be_values_or_names_is_asked(
    here: Path, tmp_path: Path, scaffold: Scaffold, text: str, option: str
) -> None:
    file = put(tmp_path / "people.csv", text)
    with pytest.raises(ScaffoldError, match=option):
        scaffold("asked", file)


def test_a_first_row_of_a_person_is_taken_as_is_said(here: Path, tmp_path: Path, scaffold: Scaffold) -> None:
    file = put(tmp_path / "people.csv", "Ada Example,London\nBo Example,Paris\n")
    named = attributes(scaffold("named_so", file, options={"header": True}))
    assert [column["name"] for column in named["columns"]] == ["Ada Example", "London"]
    unnamed = attributes(scaffold("unnamed", file, options={"header": False}))
    assert [column["name"] for column in unnamed["columns"]] == ["column_1", "column_2"]


BAD = [
    ("nothing", "{tmp}/none/*.csv", None, "no files match {tmp}/none/*.csv: expected at least one file"),
    ("folder", "{tmp}/in", None, "{tmp}/in is a folder: try {tmp}/in/*"),
    ("key", "{tmp}/in/ok.csv", "idd", "--key names 'idd', which is not a column. The columns are: id, b"),
    ("binary", "{tmp}/in/binary.csv", None, "{tmp}/in/binary.csv cannot be read: "),
    ("ending", "{tmp}/in/page.html", None, "{tmp}/in/page.html cannot be read: The file's name ends in '.html'"),
    ("header", "{tmp}/in/header.csv", None, "no rows in 1 file"),
    ("Bad-Name", "{tmp}/in/ok.csv", None, "'Bad-Name' cannot be the name of a table: expected up to 40 of a-z"),
    ("rejected_lines", "{tmp}/in/ok.csv", None, "'rejected_lines' cannot be the name of a table"),
    ("week", "{tmp}/in/week-{{partition}}.csv", None, "stands for '2024-W05' in one file: expected days (2024-01-31)"),
    ("template", "{tmp}/in/template.csv", None, "which Dagster takes for a template"),
    ("empty", "", None, "--source is missing"),
    ("taken", "{tmp}/in/ok.csv", None, "there is a dataset taken already, in "),
    ("named", "{tmp}/in/ok.csv", None, "there is a dataset named already, in "),
    ("no_s3", "s3://", None, "expected s3://bucket/key-pattern"),
]


@pytest.mark.parametrize(("name", "source", "key", "message"), BAD, ids=[case[0] for case in BAD])
def test_what_cannot_be_scaffolded(
    here: Path, tmp_path: Path, scaffold: Scaffold, sandbox: DefsFolderSandbox, name: str, source: str, key: str | None,
    message: str,
) -> None:  # fmt: skip
    put(tmp_path / "in" / "ok.csv", "id,b\n1,x\n2,y\n")
    put(tmp_path / "in" / "binary.csv", bytes(range(256)) * 10)
    put(tmp_path / "in" / "page.html", "<p>")
    put(tmp_path / "in" / "header.csv", "id,b\n")
    put(tmp_path / "in" / "week-2024-W05.csv", "id,b\n1,x\n")
    put(tmp_path / "in" / "template.csv", "id,{{ env.HOME }}\n1,x\n")
    datasets = sandbox.defs_folder_path / "datasets"
    put(datasets / "taken" / "defs.yaml", f"type: {DATASET}\nattributes: {{source: a, columns: []}}\n")
    put(datasets / "other" / "defs.yaml", f"type: {DATASET}\nattributes: {{name: named, source: a, columns: []}}\n")
    before = sorted(sandbox.defs_folder_path.rglob("*"))
    with pytest.raises(ScaffoldError) as caught:
        scaffold(f"new/deep/{name}", source.format(tmp=tmp_path), key)
    assert message.format(tmp=tmp_path) in caught.value.message
    assert "\n" not in caught.value.message
    assert isinstance(caught.value, click.ClickException)  # so that `dg` prints it without a traceback
    assert sorted(sandbox.defs_folder_path.rglob("*")) == before


STATES = {"c_2026-01-01.csv": "1,a\n2,b\n3,c\n", "c_2026-01-02.csv": "1,a\n2,x\n4,d\n"}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (STATES, "`mode: snapshot` and `key: id`"),
        ({"c_2026-01-01.csv": "1,a\n2,b\n", "c_2026-01-02.csv": "3,c\n4,d\n"}, None),
        ({"north.csv": "1,a\n2,b\n", "south.csv": "1,a\n2,x\n"}, None),
        ({"c_2026-01-01.csv": "1,a\n2,b\n"}, None),
    ],
    ids=["states", "events", "two_things", "one_file"],
)
def test_files_that_look_like_states_of_one_table_are_hinted_at(
    scaffold: Scaffold,
    here: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, str],
    said: str | None,
) -> None:
    for name, rows in files.items():
        put(tmp_path / "in" / name, f"id,name_of\n{rows}")
    folder = scaffold("states", tmp_path / "in" / "*.csv")
    out = capsys.readouterr().out
    assert ("mode: snapshot" in out) == bool(said)
    assert (said or "") in out
    assert "mode" not in attributes(folder)


def test_a_time_zone_that_there_is_not_is_said(here: Path, tmp_path: Path, scaffold: Scaffold) -> None:
    put(tmp_path / "in" / "a.csv", "n,at\n1,2024-07-01 02:30\n")
    with pytest.raises(ScaffoldError, match="--timezone 'Berlin' is not an IANA time zone"):
        scaffold("moments", tmp_path / "in" / "a.csv", options={"timezone": "Berlin"})


def test_python_format_is_refused(here: Path, tmp_path: Path, scaffold: Scaffold) -> None:
    with pytest.raises(ScaffoldError, match="--format yaml"):
        scaffold("one", put(tmp_path / "ok.csv", PEOPLE), format="python")


NASTY = {
    "id": [str(n) for n in range(60)],
    'quo"te': ["x'y", 'a"b', "${env.HOME}"] * 20,
    "apostrophe's": ["x'y", "it''s", "\\'"] * 20,
    'a" IS NULL THEN 1/0 END) --': ["a", "b", "c"] * 20,
    "with space: and colon": ["yes", "no", "null"] * 20,
    "Ünï # yes": ["1e3", "~", "- a"] * 20,
    "null": ["{a: b}", "[c]", "%d"] * 20,
    "${var.x}": ["a", "b", "c"] * 20,
    "amount": [1.50, 2.25, None] * 20,
    "day": ["31/01/2024", "01/02/2024", "13/02/2024"] * 20,
    "json": [{"a": 1}, [1, 2], {"b": {}}] * 20,
    "flag": [True, False, None] * 20,
    "blank": ["  ", "a", ""] * 20,
    "mixed": ["12", "13", "14"] * 19 + ["1", "2", "oops"],
    "percent%s": ["100%", "50%", "0%"] * 20,
}


@pytest.mark.slow
def test_what_is_written_holds_on_the_data_it_was_written_from(
    atlas_env: Path, scaffold: Scaffold, sandbox: DefsFolderSandbox, warehouse: psycopg.Connection
) -> None:
    """Awkward names and values: both files are read by their own parsers, and every check passes."""
    records = [dict(zip(NASTY, row, strict=True)) for row in zip(*NASTY.values(), strict=True)]
    text = "".join(json.dumps(record) + "\n" for record in records)
    put(atlas_env / "landing" / "nasty" / "a.jsonl", text)
    scaffold("nasty", "nasty/*.jsonl")
    put(atlas_env / "landing" / "people" / "a.csv", PEOPLE)
    scaffold("people", "people/*.csv")
    job = projects.load(sandbox).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance)
    evaluations = result.get_asset_check_evaluations()
    assert {one.asset_key.to_user_string() for one in evaluations} >= {"silver/nasty", "silver/people"}
    assert [(one.check_name, one.description) for one in evaluations if not one.passed] == []
    assert len([one for one in evaluations if one.asset_key.path[-1] == "nasty"]) > 15
    assert warehouse.execute('SELECT count(*), count(amount), count("null") FROM silver.nasty').fetchone() == (
        60,
        40,
        60,
    )
    assert warehouse.execute("SELECT count(*), count(joined) FROM silver.people").fetchone() == (2, 1)


@pytest.mark.slow
def test_the_command_itself(here: Path, tmp_path: Path) -> None:
    """`dg` in a project: what is on its two outputs, and its exit code."""
    project = tmp_path / "project"
    for name in ("pyproject.toml", "dagster.yaml", "workspace.yaml"):
        project.mkdir(exist_ok=True)
        shutil.copy(PROJECT_ROOT / name, project / name)
    shutil.copytree(
        PROJECT_ROOT / "atlas_pipeline", project / "atlas_pipeline", ignore=shutil.ignore_patterns("__pycache__")
    )
    env = {**os.environ, "PYTHONPATH": str(project), "VIRTUAL_ENV": sys.prefix, "ATLAS_HOME": str(here)}
    file = put(tmp_path / "in" / "people.csv", PEOPLE)

    def run(name: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / "dg"), "scaffold", "defs", DATASET, name, *options]
        return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)

    done = run("datasets/people", "--source", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Read 2 rows of 1 file" in done.stdout
    folder = project / "atlas_pipeline" / "defs" / "datasets" / "people"
    assert sorted(path.name for path in folder.iterdir()) == ["contract.yml", "defs.yaml"]
    failed = run("customers", "--source", str(file))
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: there is a dataset customers already, in ")
    assert failed.stderr.count("\n") == 1
    assert not (project / "atlas_pipeline" / "defs" / "customers").exists()


def test_how_a_file_is_written_is_found_and_loads(
    scaffold: Scaffold, atlas_env: Path, sandbox: DefsFolderSandbox, warehouse: psycopg.Connection
) -> None:
    put(
        atlas_env / "landing" / "hr" / "a.csv",
        "\ufeffPersonalnummer;Betrag;Eintritt;aktiv\n7;6.731,07;01.03.2019;ja\n8;12,50;15.11.2020;nein\n",
    )
    found = attributes(scaffold("hr", "hr/*.csv", key="Personalnummer"))
    assert {name: found.get(name) for name in ("delimiter", "decimal", "thousands", "booleans")} == {
        "delimiter": ";",
        "decimal": ",",
        "thousands": ".",
        "booleans": ["ja", "nein"],
    }
    assert [column["type"] for column in found["columns"]] == ["text", "decimal", "date", "boolean"]
    (sandbox.defs_folder_path / "hr" / "contract.yml").unlink()
    job = projects.load(sandbox).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance).success
    rows = warehouse.execute(
        'SELECT "Personalnummer", "Betrag"::text, "Eintritt"::text, aktiv FROM silver.hr ORDER BY 1'
    )
    assert rows.fetchall() == [("7", "6731.07", "2019-03-01", True), ("8", "12.50", "2020-11-15", False)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# exported\n# by a tool\nid,name\n1,x\n2,y\n", {"comment": "#"}),
        ("sep=;\nid;name\n1;x\n2;y\n", {"delimiter": ";"}),
        ("id,qty\n1,10\n2,20\nTOTAL,30\n", {"footer": 1}),
        ("1,ada.example@mail.example\n2,b.example@mail.example\n", {"header": False}),
        ("id,name\n1,x\n2,y\n", {}),
    ],
    ids=["comment", "sep", "footer", "no header", "plain"],
)
def test_what_departs_from_plain_csv_is_written_down(
    scaffold: Scaffold, here: Path, text: str, expected: dict[str, Any]
) -> None:
    put(here / "landing" / "a.csv", text)
    found = attributes(scaffold("one", "a.csv"))
    assert {name: found[name] for name in found.keys() - {"source", "columns", "key", "latest_by"}} == expected
    assert not any("example" in column["name"] for column in found["columns"]), "a value never becomes a name"


def test_lines_that_are_all_rejected_are_counted_and_said_why(scaffold: Scaffold, here: Path) -> None:
    put(here / "landing" / "a.csv", "id|name\n1|a,b\n2|c,d\n")
    with pytest.raises(ScaffoldError, match=r"2 lines, all rejected: too_many_fields; is the delimiter right"):
        scaffold("one", "a.csv", options={"delimiter": ","})


def test_what_is_in_doubt_is_text_and_said(scaffold: Scaffold, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "n;day;v;at\n1;01/02/2024;1.234;2024-01-01 10:00\n2;03/04/2024;2.500;2024-01-01T10:00Z\n"
    put(here / "landing" / "a.csv", rows)
    columns = {column["name"]: column["type"] for column in attributes(scaffold("one", "a.csv"))["columns"]}
    assert columns == {"n": "integer", "day": "text", "v": "text", "at": "timestamp"}
    out = capsys.readouterr().out
    assert "day: day and month cannot be told apart, so it is text." in out
    assert "v: one point before three digits may part decimals or thousands, so it is text." in out
    assert "at: some times have no offset, and are taken for UTC." in out
    assert "01/02" not in out
    assert "1.234" not in out
    found = attributes(scaffold("two", "a.csv", options={"decimal": ",", "thousands": "."}))
    assert [column["type"] for column in found["columns"]] == ["integer", "text", "integer", "timestamp"]


def test_a_first_row_of_names_of_people_or_columns_is_asked_about(scaffold: Scaffold, here: Path) -> None:
    put(here / "landing" / "a.csv", "Ada Example,Berlin\nBo Example,Paris\nCy Example,Rome\n")
    with pytest.raises(ScaffoldError, match="Say --header true or --header false") as caught:
        scaffold("one", "a.csv")
    assert "Ada" not in caught.value.message
    found = attributes(scaffold("one", "a.csv", options={"header": False}))
    assert found["header"] is False
    assert [column["name"] for column in found["columns"]] == ["column_1", "column_2"]


def test_a_column_that_a_file_lacks_is_optional(scaffold: Scaffold, here: Path) -> None:
    put(here / "landing" / "x" / "1.csv", "id,qty\n1,5\n2,6\n")
    put(here / "landing" / "x" / "2.csv", "id,qty,coupon\n3,7,A\n4,8,B\n")
    columns = attributes(scaffold("one", "x/*.csv"))["columns"]
    assert [column["name"] for column in columns if column.get("optional")] == ["coupon"]
    put(here / "landing" / "y" / "1.jsonl", '{"id":1,"v":1}\n{"id":2}\n')
    columns = attributes(scaffold("two", "y/*.jsonl"))["columns"]
    assert columns == [{"name": "id", "type": "integer"}, {"name": "v", "type": "integer", "optional": True}]
