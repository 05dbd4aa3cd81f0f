"""What a mistake in YAML says: the file, the line, and what was expected. Nothing is loaded from it."""

# ruff: noqa: E501 — a mistake and what is said about it stand in one line

import json
import subprocess
import sys
from pathlib import Path

import pytest
from dagster.components.testing import DefsFolderSandbox
from pydantic import BaseModel

from atlas_pipeline.components import Dataset, GoldModel
from atlas_pipeline.components.dataset import Column, SourceTable
from atlas_pipeline.components.declaration import NAME_EXPECTED
from atlas_pipeline.settings import PROJECT_ROOT
from atlas_pipeline_tests.projects import Load, complaint

DATASET = "type: atlas_pipeline.components.Dataset\n"
START = DATASET + "attributes:\n  source: a/*.csv\n"
COLUMNS = "  columns:\n    - {name: id, type: integer}\n    - {name: b}\n"
PARTED = DATASET + "attributes:\n  source: a-{partition}.csv\n"
CONTRACT = "dataset: atlas/atlas/silver/thing\n"


MISTAKES: dict[str, tuple[str, int, str]] = {
    "unknown_key": (START + "  kee: id\n" + COLUMNS, 4, "unknown key 'kee': did you mean 'key'? Expected one of delimiter,"),
    "unknown_key_of_a_column": (
        START + "  columns:\n    - name: id\n      typ: integer\n",
        6,
        "unknown key 'typ': did you mean 'type'? Expected one of name, type, format,",
    ),
    "unknown_key_of_a_table": (
        DATASET + "attributes:\n  source:\n    database: A_DATABASE_URL\n    tabel: t\n" + COLUMNS,
        5,
        "unknown key 'tabel': did you mean 'table'? Expected one of database, table",
    ),
    "unknown_key_of_the_file": (START + COLUMNS + "colums: []\n", 7, "colums"),
    "wrong_type": (START + "  columns: id\n", 4, "found 'id', expected a list"),
    "word_that_yaml_takes_for_false": (
        START + "  columns:\n    - name: id\n      null_values: [NA, NO]\n",
        6,
        "found false, expected text; put it in quotes",
    ),
    "wrong_type_of_source": (DATASET + "attributes:\n  source: [a]\n" + COLUMNS, 3, "expected text or a mapping"),
    "missing_key": (DATASET + "attributes:\n  source: a\n", 2, "'columns' is missing: expected The columns that silver"),
    "missing_key_of_a_table": (
        DATASET + "attributes:\n  source: {database: A_DATABASE_URL}\n" + COLUMNS,
        3,
        "'table' is missing: expected The table, as schema.table",
    ),
    "no_attributes": (DATASET, 1, "attributes are missing: expected at least source, columns"),
    "unknown_word": (
        START + "  columns:\n    - {name: id}\n    - {name: b, type: intger}\n",
        6,
        "found 'intger': did you mean 'integer'? Expected one of text, integer,",
    ),
    "unknown_partitions": (PARTED + "  partitions: weekly\n" + COLUMNS, 4, "found 'weekly': expected one of daily, monthly"),
    "deleted_by_a_text_column": (START + "  deleted_by: b\n" + COLUMNS, 4, "column 'b' is of type text: say which values mean it, such as b = 'D'"),
    "deleted_by_more_than_a_condition": (START + "  deleted_by: b = 'D'; DROP TABLE b\n" + COLUMNS, 4, "deleted_by: it is not one SQL expression: expected a condition"),
    "deleted_by_a_subquery": (START + "  deleted_by: b IN (SELECT id FROM gold.x)\n" + COLUMNS, 4, "deleted_by: IN is not allowed in it: expected a condition"),
    "deleted_by_an_unknown_column": (START + "  deleted_by: c = 'D'\n" + COLUMNS, 4, "'c' is not a declared column: id, b"),
    "deleted_by_what_is_masked": (START + "  deleted_by: b = 'D'\n  columns: [{name: id}, {name: b, pii: PERSON}]\n", 5, "deleted_by reads column 'b', which has the action"),
    "history_without_a_key": (START + "  history: true\n" + COLUMNS, 4, "history needs a `key`: it tells which rows are versions of one"),
    "history_of_a_column_valid_to": (START + "  history: true\n  key: id\n  columns: [{name: id}, {name: valid_to}]\n", 4, "history adds the column valid_to, which is declared already"),
    "flag_of_a_column_missing_since": (START + "  mode: snapshot\n  on_missing: flag\n  key: id\n  columns: [{name: id}, {name: missing_since}]\n", 5, "on_missing: flag adds the column missing_since, which is declared"),
    "flag_without_a_key": (START + "  mode: snapshot\n  on_missing: flag\n" + COLUMNS, 5, "on_missing is for mode snapshot, and `flag` needs a `key`"),
    "no_columns": (START + "  columns: []\n", 4, "a dataset needs at least one column"),
    "duplicate_column": (START + "  columns:\n    - {name: id}\n    - {name: id}\n", 6, "column 'id' is declared twice"),
    "column_of_ours": (START + "  columns:\n    - {name: _atlas_x}\n", 5, "begins with _atlas, which is reserved"),
    "column_of_postgres": (START + "  columns:\n    - {name: ctid}\n", 5, "is a name that every Postgres table has"),
    "long_column": (START + f"  columns:\n    - {{name: {'ü' * 32}}}\n", 5, "is longer than 63 bytes"),
    "key_no_column": (START + "  key: idd\n" + COLUMNS, 4, "key names 'idd', which is not a declared column: id, b"),
    "key_twice": (START + "  key: [id, id]\n" + COLUMNS, 4, "key names a column twice"),
    "latest_by_no_column": (START + "  key: id\n  latest_by: t\n" + COLUMNS, 5, "latest_by names 't', which is not a declared"),
    "latest_by_no_key": (START + "  latest_by: b\n" + COLUMNS, 4, "latest_by needs a `key`"),
    "masked_key": (START + "  key: b\n  columns:\n    - {name: b, action: mask}\n", 6, "key column 'b' cannot have the action mask"),
    "unknown_action": (START + "  columns:\n    - {name: b, action: hide}\n", 5, "found 'hide': expected one of keep, drop"),
    "pii": (START + "  columns:\n    - {name: b, pii: EMAIL_ADRESS}\n", 5, "did you mean 'EMAIL_ADDRESS'? Expected one of"),
    "generalise": (
        START + "  columns:\n    - {name: b, pii: PERSON, action: generalise}\n",
        5,
        "generalise needs a `pii` that can be generalised: ZIPCODE",
    ),
    "policy_of_no_kind": (START + "  pii: {actions: {EMAIL: hash}}\n" + COLUMNS, 4, "EMAIL"),
    "format_of_text": (START + "  columns:\n    - {name: b, format: '%d'}\n", 5, "format is for date, timestamp and time"),
    "unknown_format": (START + "  columns:\n    - {name: b, type: date, format: '%Q'}\n", 5, "%Q"),
    "no_placeholder": (START + "  partitions: daily\n  partitions_start: 2024-01-01\n" + COLUMNS, 3, "needs {partition} in its source"),
    "placeholder_alone": (PARTED + COLUMNS, 3, "source has {partition}: say `partitions: daily` or `monthly`"),
    "no_start": (PARTED + "  partitions: daily\n" + COLUMNS, 4, "partitions_start is missing: expected the first partition, such as 2024-01-31"),
    "wrong_start": (PARTED + "  partitions: monthly\n  partitions_start: 2024-01-31\n" + COLUMNS, 5, "is '2024-01-31': expected the first partition, such as 2024-01"),
    "start_alone": (START + "  partitions_start: 2024-01-31\n" + COLUMNS, 4, "partitions_start needs `partitions: daily` or"),
    "timezone": (START + "  timezone: Europe/Pari\n" + COLUMNS, 4, "'Europe/Pari' is not an IANA time zone such as Europe/Paris"),
    "delimiter": (START + "  delimiter: ;;\n" + COLUMNS, 4, "delimiter ';;': expected one ASCII character"),
    "name": (START + "  name: My-Table\n" + COLUMNS, 4, f"'My-Table' cannot be the name of a table: expected {NAME_EXPECTED}"),
    "variable": (DATASET + "attributes:\n  source:\n    database: HOME\n    table: t\n" + COLUMNS, 4, "ends in _DATABASE_URL, such as SHOP_DATABASE_URL"),
    "bucket": (DATASET + "attributes:\n  source: s3://bucket\n" + COLUMNS, 3, "expected s3://bucket/key-pattern"),
    "owner": (START + "  owners: [bob]\n" + COLUMNS, 4, "Owner must be an email address or a team name"),
    "tag": (START + "  tags: {a b: c}\n" + COLUMNS, 4, "invalid tag keys: ['a b']"),
    "syntax": (START + "  columns:\n    - {name: id\n  key: [\n", 6, "expected ',' or '}'"),
    "tab": (START + "  columns:\n\t- name: id\n", 5, "cannot start any token"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_in_a_dataset(
    load_files: Load, sandbox: DefsFolderSandbox, text: str, line: int, message: str
) -> None:
    said = complaint(load_files, {"thing/defs.yaml": text})
    path = sandbox.defs_folder_path / "thing" / "defs.yaml"
    assert f"{path}:{line}" in said or f'"{path}", line {line},' in said
    assert message in said


def test_a_correct_one_loads(load_files: Load) -> None:
    """What the mistakes were made in is no mistake itself."""
    found = load_files(
        {
            "thing/defs.yaml": START + COLUMNS,
            "parted/defs.yaml": PARTED + "  partitions: daily\n  partitions_start: 2024-01-31\n" + COLUMNS,
        }
    )
    keys = {key.to_user_string() for key in found.resolve_asset_graph().get_all_asset_keys()}
    assert keys == {"bronze/thing", "silver/thing", "bronze/parted", "silver/parted"}


def test_all_mistakes_of_a_file_at_once(load_files: Load) -> None:
    said = complaint(
        load_files, {"thing/defs.yaml": START + "  kee: id\n  columns:\n    - {name: id, typ: x}\n    - {}\n"}
    )
    assert [part in said for part in ("'kee'", "'typ'", "'name' is missing")] == [True] * 3


def test_two_documents_in_one_file(load_files: Load, sandbox: DefsFolderSandbox) -> None:
    files = {"all/defs.yaml": f"{START}  name: a\n{COLUMNS}---\n{START}  name: b\n  key: c\n{COLUMNS}"}
    assert f"{sandbox.defs_folder_path}/all/defs.yaml:13: key names 'c'" in complaint(load_files, files)


def test_two_datasets_of_one_name(load_files: Load, sandbox: DefsFolderSandbox) -> None:
    said = complaint(
        load_files, {"a/thing/defs.yaml": START + COLUMNS, "b/defs.yaml": START + "  name: thing\n" + COLUMNS}
    )
    top = sandbox.defs_folder_path
    assert said in (
        f"{top}/b/defs.yaml:4: the table silver.thing is declared already, in {top}/a/thing/defs.yaml:2",
        f"{top}/a/thing/defs.yaml:2: the table silver.thing is declared already, in {top}/b/defs.yaml:4",
    )


CONTRACT_MISTAKES: dict[str, tuple[str, int, str]] = {
    "no_mapping": ("- a\n", 1, "expected a Soda contract"),
    "no_dataset": ("columns: []\n", 1, "expected a Soda contract"),
    "syntax": (CONTRACT + "columns: [\n", 3, "not valid YAML"),
    "checks_no_list": (CONTRACT + "checks:\n  row_count:\n", 2, "checks: expected a list of `- <check type>: …`"),
    "columns_no_list": (CONTRACT + "columns: a\n", 2, "`columns`: expected a list"),
    "no_name": (CONTRACT + "columns:\n  - name: id\n  - nam: b\n", 4, "each entry of `columns` needs a `name`"),
    "unknown_check": (
        CONTRACT + "columns:\n  - name: id\n    checks:\n      - mising:\n",
        5,
        "unknown check 'mising': did you mean 'missing'? Expected one of missing, row_count,",
    ),
    "two_in_one": (CONTRACT + "checks:\n  - schema:\n    row_count:\n", 3, "one type per entry"),
    "unknown_column": (
        CONTRACT + "columns:\n  - name: idd\n    checks:\n      - missing:\n",
        3,
        "the table has no column 'idd': did you mean 'id'? Expected one of id, b",
    ),
    "quote": (CONTRACT + "columns:\n  - name: 'a\" or'\n", 3, "Soda cannot check a column with a double quote in its name"),
    "level": (
        CONTRACT + "checks:\n  - row_count:\n      threshold: {must_be_greater_than: 0, level: warning}\n",
        4,
        "level is 'warning', expected fail or warn",
    ),
    "twice": (
        CONTRACT + "columns:\n  - name: id\n    checks:\n      - missing:\n      - missing:\n",
        6,
        "columns.id.checks.missing is there twice: give each a `qualifier: <word>` of its own",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "message"), CONTRACT_MISTAKES.values(), ids=CONTRACT_MISTAKES)
def test_mistakes_in_a_contract(
    load_files: Load, sandbox: DefsFolderSandbox, text: str, line: int, message: str
) -> None:
    said = complaint(load_files, {"thing/defs.yaml": START + COLUMNS, "thing/contract.yml": text})
    assert said.startswith(f"{sandbox.defs_folder_path}/thing/contract.yml:{line}: ")
    assert message in said


def test_a_contract_under_another_name_is_not_passed_over(load_files: Load) -> None:
    said = complaint(load_files, {"thing/defs.yaml": START + COLUMNS, "thing/contract.yaml": CONTRACT})
    assert said.endswith("contract.yaml:1: this name is not read: expected contract.yml")


def descriptions(kind: type[BaseModel]) -> dict[str, str | None]:
    return {name: field.description for name, field in kind.model_fields.items()}


@pytest.mark.parametrize("component", [Dataset, GoldModel])
def test_the_schema_that_editors_complete_from(component: type[Dataset] | type[GoldModel]) -> None:
    """Every field with its description; unknown keys are marked as wrong."""
    schema = component.get_model_cls().model_json_schema()
    assert {name: field["description"] for name, field in schema["properties"].items()} == descriptions(component)
    assert None not in descriptions(component).values()
    assert schema["additionalProperties"] is False
    if component is Dataset:
        column, table = schema["$defs"]["ColumnModel"]["properties"], schema["$defs"]["SourceTableModel"]["properties"]
        assert {name: field["description"] for name, field in column.items()} == descriptions(Column)
        assert {name: field["description"] for name, field in table.items()} == descriptions(SourceTable)
        assert "integer" in column["type"]["anyOf"][0]["enum"]


@pytest.mark.slow
def test_the_command_that_writes_the_schema(tmp_path: Path) -> None:
    """What `dg utils configure-editor` installs, too."""
    path = tmp_path / "schema.json"
    command = [
        str(Path(sys.executable).parent / "dg"),
        "utils",
        "generate-component-schema",
        "--output-path",
        str(path),
    ]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = path.read_text()
    assert "atlas_pipeline.components.Dataset" in text
    found: dict[str, str] = {}

    def look(node: object) -> None:
        if isinstance(node, dict):
            for name, field in (node.get("properties") or {}).items():
                if isinstance(field, dict) and "description" in field:
                    found[field["description"]] = name
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else []:
            look(child)

    look(json.loads(text))
    for kind in (Dataset, GoldModel, Column, SourceTable):
        assert {str(text): name for name, text in descriptions(kind).items()}.items() <= found.items()


def test_words_for_no_value_are_said_once_for_all_columns(sandbox: DefsFolderSandbox) -> None:
    folder = sandbox.defs_folder_path / "thing"
    folder.mkdir()
    columns = "  columns:\n    - {name: id, type: integer}\n    - {name: b, null_values: [NA, x]}\n"
    (folder / "defs.yaml").write_text(START + "  null_values: ['-', NA]\n" + columns)
    with sandbox.load_component_and_build_defs(defs_path=folder) as (component, _):
        assert isinstance(component, Dataset)
        words = {column.name: column.null_values for column in component.declared.columns}
        assert words == {"id": ("-", "NA"), "b": ("-", "NA", "x")}
