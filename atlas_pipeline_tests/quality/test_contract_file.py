"""What is wrong with a contract is said with its file and line when it is read, and it is what Soda says too."""

import os
import random
import time
from collections.abc import Callable, Collection
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from atlas_pipeline.quality.contract import ContractError, read_contract
from atlas_pipeline.quality.outcome import Check
from atlas_pipeline.settings import PROJECT_ROOT

HEAD = "dataset: atlas/atlas/silver/things\n"
NO_COLUMNS = HEAD + "columns: []\n"
COLUMNS = ("id", "mood", "amount", "day", "Odd Name", "owner")

Soda = Callable[[str], tuple[list[str], list[str]]]


def of_table(*lines: str) -> str:
    """A contract with checks of the table; the first of `lines` is its line 4."""
    return NO_COLUMNS + "checks:\n" + "".join(f"  {line}\n" for line in lines)


def of_column(*lines: str) -> str:
    """A contract with checks of one column; the first of `lines` is its line 5."""
    return HEAD + "columns:\n  - name: amount\n    checks:\n" + "".join(f"      {line}\n" for line in lines)


def read(
    folder: Path, text: str | bytes, columns: Collection[str] | None = COLUMNS, table: tuple[str, str] | None = None
) -> list[Check]:
    """The checks of a contract with this text."""
    path = folder / "contract.yml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read_contract(path, columns, table).checks)


def complaint(folder: Path, text: str | bytes, table: tuple[str, str] | None = None) -> str:
    """What is said of a contract: line and message."""
    with pytest.raises(ContractError) as caught:
        read(folder, text, table=table)
    said = str(caught.value)
    assert said.startswith(f"{folder / 'contract.yml'}:")
    assert "\n" not in said
    return said.removeprefix(f"{folder / 'contract.yml'}:")


# What is no contract at all.

UNREADABLE: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "1: expected a Soda contract"),
    "only a comment": ("# nothing\n", "1: expected a Soda contract"),
    "a list": ("- a\n", "1: expected a Soda contract"),
    "a word": ("contract\n", "1: expected a Soda contract"),
    "no dataset": ("columns: []\n", "1: expected a Soda contract"),
    "binary": (b"\x00\x01\x02\xff", "1: not valid YAML: byte 0xff is not UTF-8"),
    "nul": (b"dataset: a\x00b\n", "1: not valid YAML"),
    "latin-1": (NO_COLUMNS.encode() + "# caf\xe9\n".encode("latin-1"), "3: not valid YAML: byte 0xe9 is not UTF-8"),
    "utf-16": (NO_COLUMNS.encode("utf-16"), "1: not valid YAML: byte 0xff is not UTF-8"),
    "tab": (HEAD + "columns:\n\t- name: id\n", "3: not valid YAML: found a tab, expected spaces"),
    "open bracket": (HEAD + "columns: [\n", "3: not valid YAML"),
    "two documents": (
        NO_COLUMNS + "---\n" + NO_COLUMNS,
        "3: not valid YAML: expected a single document in the stream, but found another",
    ),
    "a key twice": (NO_COLUMNS + "columns: []\n", "3: duplicate key 'columns': expected it once"),
    "a key of a check twice": (
        of_table("- row_count:", "    name: a", "    name: b"),
        "6: duplicate key 'name': expected",
    ),
    "a list as key": (HEAD + "? [a]\n: b\n", "2: not valid YAML: expected a key of one word"),
    "no such date": (HEAD + "description: 2024-13-45\n", "2: not valid YAML: this cannot be read as timestamp"),
    "a long number": (HEAD + f"description: {'1' * 5000}\n", "2: not valid YAML: this cannot be read as int"),
    "a tag": (HEAD + "description: !odd x\n", "2: not valid YAML: the tag !odd has no meaning here"),
    "a tagged mapping": (HEAD + "columns: !odd {}\n", "2: not valid YAML: the tag !odd has no meaning here"),
    "unknown alias": (HEAD + "columns: *a\n", "2: not valid YAML: found undefined alias"),
    "an alias in itself": (HEAD + "columns: &a [*a]\n", "2: too many values, or nested too deep"),
    "aliases of aliases": (
        HEAD + "a: &a [1,1,1,1,1,1,1,1]\n" + "".join(f"{n}: &{n} [{f'*{o},' * 8}]\n" for o, n in pairwise("abcdefg")),
        "2: too many values, or nested too deep",
    ),
    "deep": (HEAD + "columns: " + "[" * 300_000, "2: nested too deep: this is not a contract"),
    "deep lists": ("- " * 100_000, "1: nested too deep: this is not a contract"),
    "deep list": (HEAD + "- " * 100_000, "2: not valid YAML"),
    "merge of a word": (HEAD + "<<: a\n", "2: not valid YAML: `<<` takes mappings"),
    "another YAML": ("%YAML 1.1\n---\n" + NO_COLUMNS, "1: remove the line %YAML: a contract is YAML 1.2"),
    "huge": (NO_COLUMNS + "#" * (1 << 20), "1: more than 1,024 KiB: this is not a contract"),
}


@pytest.mark.parametrize(("text", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_contract_is_said_to_be_none(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert complaint(tmp_path, text).startswith(said)


def test_a_folder_and_a_missing_file_are_no_contracts(tmp_path: Path) -> None:
    for path, said in ((tmp_path, "not a regular file"), (tmp_path / "no.yml", "No such file or directory")):
        with pytest.raises(ContractError, match=f":1: cannot be read: {said}$"):
            read_contract(path)


# What Soda calls an error, or does not evaluate.

THRESHOLD = "    threshold: {must_be: 1}"
WRONG: dict[str, tuple[str, str]] = {
    "no columns": (HEAD, "1: 'columns' is missing"),
    "columns null": (HEAD + "columns:\n", "1: 'columns' is missing"),
    "columns a word": (HEAD + "columns: a\n", "2: `columns`: expected a list of `- name: <column>`"),
    "column a word": (HEAD + "columns:\n  - id\n", "3: each entry of `columns` needs a `name`"),
    "column without name": (HEAD + "columns:\n  - data_type: text\n", "3: each entry of `columns` needs a `name`"),
    "column twice": (HEAD + "columns:\n  - name: id\n  - name: id\n", "4: the column 'id' is there twice"),
    "name a number": (
        HEAD + "columns:\n  - name: 1\n",
        "3: columns.1: `name`: found 1, expected text; put it in quotes",
    ),
    "checks a mapping": (NO_COLUMNS + "checks:\n  row_count:\n", "3: checks: expected a list of `- <check type>: …`"),
    "no checks": (NO_COLUMNS + "checks: []\n", "3: checks: expected at least one check"),
    "two types": (of_table("- schema:", "  row_count:"), "4: checks: expected `- <check type>: …`, one type per entry"),
    "no colon": (of_table("- row_count"), "4: checks: expected `- <check type>: …`: write a colon behind 'row_count'"),
    "a list as check": (of_table("- []"), "4: checks: expected `- <check type>: …`, one type per entry"),
    "unknown type": (
        of_column("- mising:"),
        "5: unknown check 'mising': did you mean 'missing'? Expected one of missing",
    ),
    "body a number": (of_column("- missing: 5"), "5: columns.amount.checks.missing: found 5, expected a mapping"),
    "freshness of a column": (
        of_column("- freshness:", "    column: day", "    threshold: {must_be_less_than: 1}"),
        "5: columns.amount.checks: freshness cannot stand here, but under `checks` of the contract",
    ),
    "aggregate without threshold": (
        of_column("- aggregate:", "    function: avg"),
        "5: columns.amount.checks.aggregate: 'threshold' is missing",
    ),
    "aggregate without function": (
        of_column("- aggregate:", THRESHOLD),
        "5: columns.amount.checks.aggregate: 'function' is missing",
    ),
    "aggregate null": (of_column("- aggregate:"), "5: columns.amount.checks.aggregate: 'function' is missing"),
    "unknown function": (
        of_column("- aggregate:", "    function: agv", THRESHOLD),
        "6: columns.amount.checks.aggregate: unknown function 'agv': did you mean 'avg'?",
    ),
    "metric without threshold": (of_table("- metric:", "    expression: avg(amount)"), "4: checks.metric: 'threshold'"),
    "metric without expression": (
        of_table("- metric:", THRESHOLD),
        "4: checks.metric: one of expression, query is missing",
    ),
    "freshness without threshold": (
        of_table("- freshness: {column: day}"),
        "4: checks.freshness: 'threshold' is missing",
    ),
    "freshness without column": (of_table("- freshness:", THRESHOLD), "4: checks.freshness: 'column' is missing"),
    "freshness unit": (
        of_table("- freshness:", "    column: day", "    threshold: {must_be: 1, unit: hours}"),
        "6: checks.freshness: `threshold.unit`: found 'hours': did you mean 'hour'? Expected one of minute, hour, day",
    ),
    "only a level": (
        of_table("- metric: {expression: avg(amount), threshold: {level: warn}}"),
        "4: checks.metric: the threshold has no comparison",
    ),
    "two comparisons": (
        of_column("- missing:", "    threshold:", "      must_be: 0", "      must_be_less_than: 5"),
        "8: columns.amount.checks.missing: `must_be` and `must_be_less_than`: a threshold has one comparison",
    ),
    "one side": (
        of_column("- missing:", "    threshold:", "      must_be_between: {greater_than: 1}"),
        "7: columns.amount.checks.missing: `must_be_between`: expected either `less_than` or `less_than_or_equal`",
    ),
    "a side twice": (
        of_column(
            "- missing:",
            "    threshold:",
            "      must_be_between:",
            "        greater_than: 1",
            "        greater_than_or_equal: 1",
            "        less_than: 3",
        ),
        "9: columns.amount.checks.missing: `must_be_between`: expected either `greater_than` or",
    ),
    "nothing between": (
        of_table("- row_count: {threshold: {must_be_between: {greater_than: 3, less_than: 1}}}"),
        "4: checks.row_count: `must_be_between`: nothing is greater than 3 and less than 1",
    ),
    "not between nothing": (
        of_table("- row_count: {threshold: {must_be_not_between: {greater_than: 1, less_than: 3}}}"),
        "4: checks.row_count: `must_be_not_between`: expected `greater_than` above `less_than`",
    ),
    "a list as range": (
        of_table("- row_count: {threshold: {must_be_between: [1, 3]}}"),
        "4: checks.row_count: `threshold.must_be_between`: found a list, expected a mapping",
    ),
    "text as number": (
        of_table("- row_count:", "    threshold:", "      must_be: 'many'"),
        "6: checks.row_count: `threshold.must_be`: found 'many', expected a number",
    ),
    "YAML 1.2": (
        of_table("- row_count:", "    store_failed_rows: no"),
        "5: checks.row_count: `store_failed_rows`: found 'no', expected true or false",
    ),
    "sexagesimal": (
        of_column("- invalid:", "    valid_min: 1:30"),
        "6: columns.amount.checks.invalid: `valid_min`: found '1:30', expected a number",
    ),
    "date as number": (
        of_column("- invalid:", "    valid_min: 2024-01-31"),
        "6: columns.amount.checks.invalid: `valid_min`: found 2024-01-31, expected a number",
    ),
    "level of both": (
        of_table("- row_count:", "    threshold:", "      must_be: 1", "      additional: {must_be: 2}"),
        "7: checks.row_count: the additional threshold has level fail too: expected the other one",
    ),
    "level of both, warn": (
        of_table(
            "- row_count:",
            "    threshold:",
            "      must_be: 1",
            "      level: warn",
            "      additional: {must_be: 2, level: WARN}",
        ),
        "8: checks.row_count: the additional threshold has level warn too",
    ),
    "additional alone": (
        of_table("- row_count:", "    threshold:", "      additional: {must_be: 2, level: warn}"),
        "5: checks.row_count: the threshold has no comparison",
    ),
    "additional without comparison": (
        of_table("- row_count:", "    threshold:", "      must_be: 1", "      additional: {level: warn}"),
        "7: checks.row_count: the threshold has no comparison",
    ),
    "additional null": (
        of_table("- row_count:", "    threshold:", "      must_be: 1", "      additional:"),
        "7: checks.row_count: `threshold.additional`: found nothing, expected a mapping",
    ),
    "additional in additional": (
        of_table(
            "- row_count:",
            "    threshold:",
            "      must_be: 1",
            "      additional:",
            "        metric: percent",
            "        must_be: 2",
            "        level: warn",
        ),
        "8: checks.row_count: `threshold.additional`: unknown key 'metric'",
    ),
    "null in additional": (
        of_table("- row_count: {threshold: {must_be: 1, additional: {must_be: 2, level: warn, metric: }}}"),
        "4: checks.row_count: `threshold.additional`: unknown key 'metric'",
    ),
    "unknown metric": (
        of_column("- missing:", "    threshold: {metric: percentage, must_be: 0}"),
        "6: columns.amount.checks.missing: `threshold.metric`: found 'percentage': did you mean 'percent'?",
    ),
    "metric of rows": (
        of_table("- row_count:", "    threshold: {metric: percent, must_be: 0}"),
        "5: checks.row_count: `threshold`: unknown key 'metric'",
    ),
    "level null": (
        of_table("- row_count: {threshold: {must_be: 1, level: }}"),
        "4: checks.row_count: `threshold.level`: found nothing, expected text",
    ),
    "attributes null": (
        of_table("- row_count:", "    attributes:"),
        "5: checks.row_count: `attributes`: found nothing",
    ),
    "check_attributes null": (
        NO_COLUMNS + "check_attributes:\n",
        "3: `check_attributes`: found nothing, expected a mapping",
    ),
    "threshold a number": (of_table("- row_count: {threshold: 5}"), "4: checks.row_count: `threshold`: found 5"),
    "nothing is invalid": (of_column("- invalid:"), "5: columns.amount.checks.invalid: expected what is valid, or not"),
    "nothing is invalid but missing": (
        of_column("- invalid:", "    missing_values: [a]"),
        "5: columns.amount.checks.invalid: expected what is valid, or not",
    ),
    "values no list": (
        of_column("- invalid:", "    valid_values: a"),
        "6: columns.amount.checks.invalid: `valid_values`: found 'a', expected a list",
    ),
    "regex without name": (
        of_column("- invalid:", "    valid_format:", "      regex: a"),
        "6: columns.amount.checks.invalid: `valid_format`: 'name' is missing",
    ),
    "reference without column": (
        of_column("- invalid:", "    valid_reference_data: {dataset: a/b}"),
        "6: columns.amount.checks.invalid: `valid_reference_data`: 'column' is missing",
    ),
    "reference to a word": (
        of_column("- invalid:", "    valid_reference_data: {dataset: a, column: b}"),
        "6: columns.amount.checks.invalid: `valid_reference_data`: `dataset` is 'a', expected <source>/",
    ),
    "duplicate without columns": (of_table("- duplicate:"), "4: checks.duplicate: 'columns' is missing"),
    "duplicate of numbers": (
        of_table("- duplicate: {columns: [1]}"),
        "4: checks.duplicate: `columns`: found 1, expected text; put it in quotes",
    ),
    "failed rows of nothing": (
        of_table("- failed_rows:"),
        "4: checks.failed_rows: one of expression, query, keys_query",
    ),
    "failed rows of space": (of_table("- failed_rows: {query: ''}"), "4: checks.failed_rows: one of expression"),
    "failed rows of two": (
        of_table("- failed_rows:", "    expression: id > 1", "    query: SELECT 1"),
        "6: checks.failed_rows: `expression` and `query`: expected one of them",
    ),
    "percent of a query": (
        of_table("- failed_rows:", "    query: SELECT 1", "    threshold: {metric: percent, must_be: 0}"),
        "4: checks.failed_rows: a percentage of a query needs `rows_tested_query`",
    ),
    "key mapping to a number": (
        of_table("- failed_rows: {keys_query: SELECT 1, key_column_mapping: {a: 1}}"),
        "4: checks.failed_rows: `key_column_mapping.a`: found 1, expected text",
    ),
    "length of a number": (
        HEAD + "columns:\n  - name: id\n    data_type: integer\n    character_maximum_length: 3\n",
        "5: columns.id: `character_maximum_length` says nothing of the type integer",
    ),
    "scale of a text": (
        HEAD + "columns:\n  - name: id\n    data_type: varchar(3)\n    numeric_scale: 3\n",
        "5: columns.id: `numeric_scale` says nothing of the type varchar",
    ),
    "kind": ("kind: standard\n" + NO_COLUMNS, "1: `kind`: found 'standard', expected 'contract'"),
    "filter a number": (NO_COLUMNS + "filter: 3\n", "3: `filter`: found 3, expected text; put it in quotes"),
    "scope undeclared": (
        of_table("- row_count: {scope: eu}"),
        "4: checks.row_count: a check in a scope is never evaluated",
    ),
    "scopes null": (NO_COLUMNS + "scopes:\n", "3: `scopes`: found nothing, expected a mapping"),
    "scope without name": (NO_COLUMNS + "scopes:\n  eu: {}\n", "4: `scopes.eu`: 'name' is missing"),
    "scope in capitals": (NO_COLUMNS + "scopes:\n  EU: {name: a}\n", "4: `scopes`: 'EU' cannot stand here"),
    "variable undeclared": (
        of_table("- row_count:", "    filter: id > ${var.least}"),
        "5: variable 'least' is used, and not declared under `variables`",
    ),
    "variable of Soda unknown": (of_table("- row_count: {filter: 'day > ${soda.THEN}'}"), "4: variable 'THEN' is used"),
    "variable without value": ("variables:\n  least:\n" + NO_COLUMNS, "2: variable 'least': expected `default:"),
    "variable a list": ("variables:\n  least: {default: []}\n" + NO_COLUMNS, "2: variable 'least': expected `default:"),
    "variable of the environment": (
        "variables:\n  least: {default: '${env.LEAST}'}\n" + NO_COLUMNS,
        "2: variable 'least': Soda takes no `${env.…}` here",
    ),
    "variable NOW": ("variables:\n  NOW: {default: noon}\n" + NO_COLUMNS, "2: variable 'NOW': expected a time"),
    "variable as number": (
        "variables: {n: {default: many}}\n" + of_table("- row_count: {threshold: {must_be: '${var.n}'}}"),
        "5: checks.row_count: `threshold.must_be`: found 'many', expected a number",
    ),
    "the same twice": (
        of_column("- missing:", "- duplicate:", "- missing:"),
        "7: columns.amount.checks.missing is there twice: give each a `qualifier: <word>` of its own",
    ),
    "the same qualifier": (
        of_column("- missing: {qualifier: 1}", "- missing: {qualifier: '1'}"),
        "6: columns.amount.checks.missing.1 is there twice",
    ),
}
"""Contracts that Soda refuses, or has checks in them that it does not evaluate."""

STRICTER: dict[str, tuple[str, str]] = {
    # Soda passes over keys that it does not know.
    "unknown key": (NO_COLUMNS + "colums: []\n", "3: unknown key 'colums': did you mean 'columns'?"),
    "unknown key of a column": (
        HEAD + "columns:\n  - name: id\n    datatype: text\n",
        "4: columns.id: unknown key 'datatype': did you mean 'data_type'?",
    ),
    "unknown key of a check": (
        of_column("- missing:", "    treshold: {must_be: 0}"),
        "6: columns.amount.checks.missing: unknown key 'treshold': did you mean 'threshold'?",
    ),
    "unknown key of a threshold": (
        of_column("- missing:", "    threshold:", "      must_be_les_than: 5"),
        "7: columns.amount.checks.missing: `threshold`: unknown key 'must_be_les_than': did you mean 'must_be_less_",
    ),
    "unknown key without value": (
        of_column("- missing: {treshold: }"),
        "5: columns.amount.checks.missing: unknown key",
    ),
    "unknown key of a range": (
        of_table("- row_count: {threshold: {must_be_between: {more_than: 1, greater_than: 1, less_than: 3}}}"),
        "4: checks.row_count: `threshold.must_be_between`: unknown key 'more_than'",
    ),
    "key of another check": (
        of_column("- missing: {valid_value: [a]}"),
        "5: columns.amount.checks.missing: unknown key",
    ),
    "columns of a column": (
        of_column("- duplicate: {columns: [id]}"),
        "5: columns.amount.checks.duplicate: unknown key",
    ),
    # Soda takes each of these for something that nobody means.
    "unknown level": (
        of_table("- row_count:", "    threshold:", "      must_be: 1", "      level: warning"),
        "7: checks.row_count: level is 'warning', expected fail or warn",
    ),
    "comparison beside a range": (
        of_table("- row_count:", "    threshold: {must_be_between: {greater_than: 1, less_than: 3}, must_be: 2}"),
        "5: checks.row_count: `must_be_between` and `must_be`: a threshold has one comparison",
    ),
    "metric of freshness": (
        of_table("- freshness: {column: day, threshold: {must_be: 1, metric: count}}"),
        "4: checks.freshness: `threshold`: unknown key 'metric'",
    ),
    "freshness of nothing": (
        of_table("- freshness: {column: , threshold: {must_be: 1}}"),
        "4: checks.freshness: 'column' is missing",
    ),
    "threshold of a schema": (
        of_table("- schema:", "    threshold: {level: warn}"),
        "5: checks.schema: unknown key 'threshold'",
    ),
    "a boolean as number": (
        of_table("- row_count: {threshold: {must_be: true}}"),
        "4: checks.row_count: `threshold.must_be`: found true, expected a number",
    ),
    "half a character": (
        of_column("- invalid:", "    valid_length: 2.5"),
        "6: columns.amount.checks.invalid: `valid_length`: found 2.5, expected a whole number",
    ),
    "a whole number as fraction": (
        of_column("- invalid:", "    valid_length: 2.0"),
        "6: columns.amount.checks.invalid: `valid_length`: found 2.0, expected a whole number",
    ),
    "regex null": (
        of_column("- missing:", "    missing_format: {regex: , name: a}"),
        "6: columns.amount.checks.missing: `missing_format.regex`: found nothing, expected text",
    ),
    "column without a name": (HEAD + "columns:\n  - name:\n", "3: each entry of `columns` needs a `name`"),
    "qualifier a list": (of_table("- row_count: {qualifier: [a]}"), "4: checks.row_count: `qualifier`: a list cannot"),
    # Soda would find these out only with the table, or not at all.
    "duplicates of nothing": (
        of_table("- duplicate: {columns: []}"),
        "4: checks.duplicate: `columns`: expected at least",
    ),
    "missing in the table": (of_table("- missing:"), "4: checks.missing: missing is about a column"),
    "schema of a column": (of_column("- schema:"), "5: columns.amount.checks: schema cannot stand here, but under"),
    "regex": (
        of_column("- invalid:", "    valid_format:", "      name: a", "      regex: '(a|b'"),
        "8: columns.amount.checks.invalid: `valid_format`: the regex does not compile: missing ), unterminated",
    ),
    "regex of a column": (
        HEAD + "columns:\n  - name: id\n    missing_format: {name: a, regex: '[a'}\n",
        "4: columns.id: `missing_format`: the regex does not compile: unterminated character set",
    ),
    "quote": (HEAD + "columns:\n  - name: 'a\" b'\n", "3: Soda cannot check a column with a double quote in its name"),
    "scope": (
        NO_COLUMNS + "scopes:\n  eu: {name: EU}\nchecks:\n  - row_count:\n      scope: eu\n",
        "7: checks.row_count: a check in a scope is never evaluated, as only Soda's paid extension activates scopes",
    ),
    # Atlas's own.
    "dimension": (
        of_table("- row_count:", "    attributes:", "      dimension: timelyness"),
        "6: checks.row_count: dimension 'timelyness': did you mean 'timeliness'? Expected one of completeness,",
    ),
    "dimension a list": (
        of_table("- row_count: {attributes: {dimension: [a]}}"),
        "4: checks.row_count: dimension a list",
    ),
    "dimension of all": (
        NO_COLUMNS + "check_attributes:\n  dimension: odd\n",
        "4: dimension 'odd': expected one of completeness, uniqueness, validity, accuracy, consistency, timeliness",
    ),
    "three parts": (
        "dataset: atlas/silver/things\ncolumns: []\n",
        "1: `dataset` is 'atlas/silver/things', expected atlas/",
    ),
    "an empty part": ("dataset: atlas/atlas//things\ncolumns: []\n", "1: `dataset` is 'atlas/atlas//things', expected"),
    "dataset in quotes": (
        "columns: []\n'dataset': a/b/silver/c\n",
        "2: expected `dataset: atlas/<database>/<layer>/<table>`",
    ),
    "dataset in a block": ("columns: []\ndataset: >-\n  a/b/silver/c\n", "2: expected `dataset: atlas/"),
    "dataset below": ("dataset:\n  a/b/silver/c\ncolumns: []\n", "1: expected `dataset: atlas/"),
    "dataset on one line with all": ("{dataset: a/b/silver/c, columns: []}\n", "1: expected `dataset: atlas/"),
}
"""Contracts that Soda reads, and Atlas does not."""


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_soda_refuses_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert complaint(tmp_path, text).startswith(said)


@pytest.mark.parametrize(("text", "said"), STRICTER.values(), ids=STRICTER)
def test_what_soda_passes_over_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert complaint(tmp_path, text).startswith(said)


# Columns.

UNKNOWN_COLUMNS: dict[str, tuple[str, str]] = {
    "without checks": (
        HEAD + "columns:\n  - data_type: text\n    name: ammount\n",
        "4: the table has no column 'ammount': did you mean 'amount'? Expected one of id, mood, amount, day, Odd Name",
    ),
    "another case": (HEAD + "columns:\n  - name: Id\n", "3: the table has no column 'Id': did you mean 'id'?"),
    "duplicate": (
        of_table("- duplicate:", "    columns:", "      - id", "      - moood"),
        "7: the table has no column 'moood': did you mean 'mood'?",
    ),
    "freshness": (
        of_table("- freshness:", "    column: days", "    threshold: {must_be_less_than: 1}"),
        "5: the table has no column 'days': did you mean 'day'?",
    ),
    "expression": (
        of_table("- failed_rows:", "    expression: amount < 0 AND lower(mod) = 'x'"),
        "5: the table has no column 'mod': did you mean 'mood'?",
    ),
    "metric": (
        of_column("- metric:", "    threshold: {must_be: 1}", "    expression: avg(amont)"),
        "7: the table has no column 'amont': did you mean 'amount'?",
    ),
    "folded": (of_table("- failed_rows: {expression: ID > 0 OR AMONT > 0}"), "4: the table has no column 'amont'"),
    "not folded": (of_table("- failed_rows:", """    expression: '"ID" > 0'"""), "5: the table has no column 'ID'"),
    "filter of a check": (of_column("- missing:", "    filter: owned = 'a'"), "6: the table has no column 'owned'"),
    "filter of all": (NO_COLUMNS + "filter: dy > now()\n", "3: the table has no column 'dy': did you mean 'day'?"),
    "expression of a column": (
        HEAD + "columns:\n  - name: amount\n    column_expression: amunt::int\n",
        "4: the table has no column 'amunt': did you mean 'amount'?",
    ),
    "expression of a check": (
        of_column("- missing:", "    column_expression: amunt::int"),
        "6: the table has no column 'amunt': did you mean 'amount'?",
    ),
}
KNOWN_COLUMNS: dict[str, str] = {
    "a query nested": "amount > (SELECT max(high) FROM silver.limits WHERE kind = mood)",
    "exists": "NOT EXISTS (SELECT FROM silver.people WHERE person = owner)",
    "qualified": "things.other > 1",
    "named argument": "make_interval(days => id) > amount",
    "a function": "date_trunc('day', day) < CURRENT_DATE - INTERVAL '1 day' AND extract(epoch FROM day) > 0",
    "words of Postgres": "owner = CURRENT_USER OR owner = session_user OR owner = current_role OR owner = user",
    "columns of Postgres": "ctid IS NULL OR tableoid = 0 OR xmin IS NULL",
    "lineage": "_atlas_line > 0",
    "a quoted name": '"Odd Name" IS NULL',
    "not SQL": "amount >",
    "not an expression": "SELECT other FROM things",
    "a cast": "amount::numeric(3, 1) > 2 AND inet '10.0.0.0/8' >> mood::inet",
    "what sqlglot misreads": "mood IS NFC NORMALIZED",
    "a variable of the environment": "amount > ${env.LEAST}",
    "a template": "day < '${soda.NOW}'",
}


@pytest.mark.parametrize(("text", "said"), UNKNOWN_COLUMNS.values(), ids=UNKNOWN_COLUMNS)
def test_a_column_that_the_table_does_not_have_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    assert complaint(tmp_path, text).startswith(said)
    assert read(tmp_path, text, columns=None) is not None


@pytest.mark.parametrize("expression", KNOWN_COLUMNS.values(), ids=KNOWN_COLUMNS)
def test_what_is_no_column_of_the_table_is_left_alone(tmp_path: Path, expression: str) -> None:
    text = of_table("- failed_rows:", "    expression: |-", f"      {expression}")
    assert [check.path for check in read(tmp_path, text)] == ["checks.failed_rows"]


# What a contract says.


def test_a_contract_of_another_table_is_an_error(tmp_path: Path) -> None:
    assert read(tmp_path, NO_COLUMNS, table=("silver", "things")) == []
    assert read(tmp_path, NO_COLUMNS.replace("atlas/atlas", "x/y"), table=("silver", "things")) == []
    for table in (("gold", "things"), ("silver", "orders")):
        assert complaint(tmp_path, "# Copied.\n" + NO_COLUMNS, table).startswith(
            f"2: the contract is of silver/things, and lies beside {'/'.join(table)}: `dataset` names another table"
        )


def test_a_dimension_is_of_the_check_before_that_of_the_contract(tmp_path: Path) -> None:
    text = NO_COLUMNS + (
        "check_attributes: {dimension: consistency, team: a}\n"
        "checks:\n  - row_count:\n  - schema: {attributes: {dimension: accuracy}}\n"
        "  - metric: {expression: avg(id), attributes: {dimension: }, threshold: {must_be: 1}}\n"
    )
    assert [check.dimension for check in read(tmp_path, text)] == ["consistency", "accuracy", "accuracy"]


def test_checks_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    columns = "columns:\n  - name: id\n    checks:\n      - missing:\n"
    table = "checks:\n  - row_count:\n"
    found = [[check.path for check in read(tmp_path, HEAD + text)] for text in (columns + table, table + columns)]
    assert found == [
        ["columns.id.checks.missing", "checks.row_count"],
        ["checks.row_count", "columns.id.checks.missing"],
    ]


def test_severity_is_the_gravest_that_a_check_can_come_to(tmp_path: Path) -> None:
    thresholds = {
        "{must_be: 1}": "error",
        "{must_be: 1, level: warn}": "warn",
        "{must_be: 1, level: Warn}": "warn",
        "{must_be: 1, level: warn, additional: {must_be: 2}}": "error",
        "{must_be: 1, additional: {must_be: 2, level: warn}}": "error",
    }
    for threshold, severity in thresholds.items():
        assert read(tmp_path, of_table(f"- row_count: {{threshold: {threshold}}}"))[0].severity == severity


ACCEPTED: dict[str, str] = {
    "nothing": NO_COLUMNS,
    "nothing under checks": NO_COLUMNS + "checks:\n",
    "Windows": of_table("- row_count:").replace("\n", "\r\n"),
    "comments": "# a\n\n" + HEAD + "# b\n\ncolumns: []  # c\n",
    "all nulls": of_column("- missing: {name: , filter: , qualifier: , threshold: }"),
    "nulls in a threshold": of_column("- missing: {threshold: {must_be: , metric: , must_be_less_than: 5}}"),
    "anchors": of_column("- missing: {threshold: &low {must_be: 0}}", "- duplicate: {threshold: *low}"),
    "merge": of_column(
        "- missing: {threshold: &low {must_be: 0, level: warn}}", "- duplicate: {threshold: {<<: *low, level: fail}}"
    ),
    "all of a column": HEAD
    + (
        "columns:\n  - name: id\n    description: a\n    data_type: numeric\n    numeric_precision: 3\n"
        "    numeric_scale: 1\n    column_expression: id::text\n    missing_values: [1, no, 1.5]\n    valid_min: 3\n"
        "    valid_format: {regex: '^[[:alpha:](]+$', name: a}\n    checks:\n      - invalid:\n      - missing:\n"
    ),
    "length of text": HEAD + "columns:\n  - {name: id, data_type: TEXT, character_maximum_length: 3}\n",
    "length of an unknown type": HEAD + "columns:\n  - {name: id, data_type: mood, character_maximum_length: 3}\n",
    "precision of a time": HEAD + "columns:\n  - {name: id, data_type: timestamp(3), datetime_precision: 3}\n",
    "values of all kinds": of_column(
        "- invalid: {valid_values: [a, 1, 1.5, true, null, 2024-01-31], invalid_values: []}"
    ),
    "formats": of_column(
        "- invalid:", "    valid_format: {regex: '***:(', name: a}", "    invalid_format: {regex: 'a{3', name: b}"
    ),
    "reference": of_column("- invalid: {valid_reference_data: {dataset: atlas/atlas/silver/moods, column: mood}}"),
    "lengths": of_column(
        "- invalid: {valid_min_length: 1, valid_max_length: 3}", "- invalid: {qualifier: b, valid_length: 0}"
    ),
    "functions": of_column(
        *(
            f"- aggregate: {{function: {f}, qualifier: {f}, threshold: {{must_be: 1}}}}"
            for f in ("avg", "SUM", "min", "max", "minLength", "max_length", "avgLength")
        )
    ),
    "aggregate of valid rows": of_column("- aggregate: {function: avg, missing_values: [0], threshold: {must_be: 1}}"),
    "column check of rows": of_column("- row_count:"),
    "expression in the table": of_table("- invalid: {column_expression: lower(mood), valid_values: [a]}"),
    "freshness": of_table("- freshness: {column: day, threshold: {unit: day, must_be_less_than: 3}}"),
    "freshness from a variable": "variables:\n  then: {default: '2024-01-31T00:00:00+00:00'}\n"
    + of_table("- freshness: {column: day, now_variable: then, threshold: {must_be_less_than: 3}}"),
    "duplicates": of_table("- duplicate: {columns: [id, mood], threshold: {metric: percent, must_be_less_than: 3}}"),
    "schema": of_table("- schema: {allow_extra_columns: true, allow_other_column_order: false}"),
    "rows by query": of_table(
        "- failed_rows:",
        "    query: SELECT 1",
        "    rows_tested_query: SELECT 1",
        "    threshold: {metric: percent, must_be: 0}",
        "    attributes: {dimension: accuracy}",
        "    filter: id > 1",
    ),
    "keys by query": of_table("- failed_rows: {keys_query: SELECT 1, key_column_mapping: {id: key}}"),
    "mapping without keys": of_table("- failed_rows: {query: SELECT 1, key_column_mapping: {id: key}}"),
    "metric of both": of_table("- metric: {expression: avg(id), query: SELECT 1, threshold: {must_be: 1}}"),
    "metric of a column": of_column("- metric: {query: SELECT 1, threshold: {must_be_greater_than: 1.5}}"),
    "ranges": of_table(
        "- row_count: {threshold: {must_be_between: {greater_than: 1, less_than_or_equal: 3}}}",
        "- row_count: {qualifier: b, threshold: {must_be_not_between: {greater_than_or_equal: 3, less_than: 1}}}",
    ),
    "two levels": of_table("- row_count: {threshold: {must_be: 1, additional: {must_be_less_than: 3, level: warn}}}"),
    "qualifiers": of_column(
        "- missing: {qualifier: 1}",
        "- missing: {qualifier: a.b}",
        "- missing: {qualifier: true}",
        "- missing: {qualifier: 0}",
        "- missing: {qualifier: ''}",
    ),
    "numbers": of_table(
        "- row_count: {threshold: {must_be_less_than: 1_000}}",
        "- row_count: {qualifier: 0o17, threshold: {must_be_less_than: 0x1F}}",
    ),
    "stored": of_column("- missing: {store_failed_rows: true}"),
    "variables": (
        "variables:\n  least: {default: 3}\n  name: {default: 'more than ${var.least}'}\n"
        + of_table(
            "- row_count:",
            "    name: ${var.name}",
            "    filter: id > ${ var.least } AND day < '${soda.NOW}'",
            "    threshold: {must_be_greater_than: '${var.least}'}",
        )
    ),
    "an undeclared variable in a description": "description: ${var.a}\n" + NO_COLUMNS,
    "variable in the dataset": "variables: {db: {default: a}}\ndataset: atlas/${var.db}/silver/things\ncolumns: []\n",
    "all of the root": (
        "kind: contract\ndescription: a\nfilter: id > 1\ncheck_attributes: {team: a}\nscopes: {eu: {name: EU}}\n"
        "soda_runner: {checks_schedule: {cron: '* * * * *', timezone: UTC}}\n" + NO_COLUMNS
    ),
}


CHECKS: dict[str, str] = {
    "Windows": "checks.row_count",
    "all nulls": "columns.amount.checks.missing",
    "nulls in a threshold": "columns.amount.checks.missing",
    "anchors": "columns.amount.checks.missing columns.amount.checks.duplicate",
    "merge": "columns.amount.checks.missing columns.amount.checks.duplicate",
    "all of a column": "columns.id.checks.invalid columns.id.checks.missing",
    "values of all kinds": "columns.amount.checks.invalid",
    "formats": "columns.amount.checks.invalid",
    "reference": "columns.amount.checks.invalid",
    "lengths": "columns.amount.checks.invalid columns.amount.checks.invalid.b",
    "functions": (
        "columns.amount.checks.aggregate.avg columns.amount.checks.aggregate.SUM columns.amount.checks.aggregate.min"
        " columns.amount.checks.aggregate.max columns.amount.checks.aggregate.minLength"
        " columns.amount.checks.aggregate.max_length columns.amount.checks.aggregate.avgLength"
    ),
    "aggregate of valid rows": "columns.amount.checks.aggregate",
    "column check of rows": "columns.amount.checks.row_count",
    "expression in the table": "checks.invalid",
    "freshness": "checks.freshness",
    "freshness from a variable": "checks.freshness",
    "duplicates": "checks.duplicate",
    "schema": "checks.schema",
    "rows by query": "checks.failed_rows",
    "keys by query": "checks.failed_rows",
    "mapping without keys": "checks.failed_rows",
    "metric of both": "checks.metric",
    "metric of a column": "columns.amount.checks.metric",
    "ranges": "checks.row_count checks.row_count.b",
    "two levels": "checks.row_count",
    "qualifiers": (
        "columns.amount.checks.missing.1 columns.amount.checks.missing.a.b columns.amount.checks.missing.True"
        " columns.amount.checks.missing.0 columns.amount.checks.missing"
    ),
    "numbers": "checks.row_count checks.row_count.15",
    "stored": "columns.amount.checks.missing",
    "variables": "checks.row_count",
}
"""The checks of those that have any."""


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_soda_reads_is_read(tmp_path: Path, name: str) -> None:
    assert [check.path for check in read(tmp_path, ACCEPTED[name])] == CHECKS.get(name, "").split()


# The same as Soda.


@pytest.fixture(scope="module")
def soda() -> Soda:
    """What Soda says of a text that it only validates: its errors, and the paths of its checks."""
    os.environ["SODA_CORE_TELEMETRY_ENABLED"] = "false"
    from soda_core.common.logs import Logs
    from soda_core.common.yaml import ContractYamlSource
    from soda_core.contracts.contract_verification import ContractVerificationSession
    from soda_core.contracts.impl.contract_verification_impl import ContractImpl
    from soda_core.contracts.impl.contract_yaml import ContractYaml

    def say(text: str) -> tuple[list[str], list[str]]:
        source = ContractYamlSource.from_str
        try:
            session = ContractVerificationSession.execute([source(text)], only_validate_without_execute=True)
            results = session.contract_verification_results
            idle = [one for result in results for one in result.get_warnings() if "not evaluated" in one]
            contract = ContractImpl(
                yaml=ContractYaml.parse(source(text)),
                data_source_impl=None,
                only_validate_without_execute=True,
                logs=Logs(),
            )
            return session.get_errors() + idle, [check.relative_path for check in contract.all_check_impls]
        except Exception as error:  # noqa: BLE001 — Soda stops with whatever went wrong inside it
            return [repr(error)], []

    return say


ONLY_WITH_A_TABLE = {"unknown function": "whether a function exists is asked of the data source"}
"""Contracts that are wrong, and of which Soda says so only when it is connected."""


@pytest.mark.parametrize("name", WRONG)
def test_soda_refuses_it_too(soda: Soda, name: str) -> None:
    errors, _ = soda(WRONG[name][0])
    assert bool(errors) != (name in ONLY_WITH_A_TABLE)


@pytest.mark.parametrize("name", STRICTER)
def test_soda_would_read_what_only_atlas_refuses(soda: Soda, name: str) -> None:
    errors, _ = soda(STRICTER[name][0])
    assert not errors


@pytest.mark.parametrize("name", ACCEPTED)
def test_soda_reads_it_too_and_has_the_same_checks(soda: Soda, tmp_path: Path, name: str) -> None:
    errors, paths = soda(ACCEPTED[name])
    assert not errors
    assert [check.path for check in read(tmp_path, ACCEPTED[name], columns=None)] == paths


# Any input.

VALID = [*ACCEPTED.values(), *(path.read_text() for path in (PROJECT_ROOT / "atlas_pipeline").rglob("contract.yml"))]
PIECES = [
    "- ",
    ": ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "<<: ",
    "!",
    "'",
    "|",
    "#",
    "~",
    "0",
    "true",
    "a/b/c/d",
]
PIECES += ["${var.x}", "\t", "must_be", "threshold", "columns", "checks", "name", "missing", "null", "%", "\x00", "é"]


def only_contract_errors(folder: Path, text: str | bytes) -> None:
    """Reads it, whatever it is."""
    try:
        read(folder, text, table=("silver", "things"))
    except ContractError as error:
        if not str(error).startswith(f"{folder / 'contract.yml'}:"):
            raise AssertionError(f"no place in {error}") from error


any_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)


@any_folder
@given(
    text=st.text(max_size=300) | st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.binary(max_size=300)
)
@example(text="dataset: &a {<<: *a}\ncolumns: []")
def test_any_text_is_read_or_refused(tmp_path: Path, text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    only_contract_errors(tmp_path, data)


@any_folder
@given(base=st.sampled_from(VALID), seed=st.integers(0, 1 << 32), changes=st.integers(1, 4))
def test_a_damaged_contract_is_read_or_refused(tmp_path: Path, base: str, seed: int, changes: int) -> None:
    chance = random.Random(seed)
    text = base
    for _ in range(changes):
        at = chance.randrange(len(text) + 1)
        words = text.split(" ")
        if chance.random() < 0.5 and len(words) > 1:
            words[chance.randrange(len(words))] = chance.choice(PIECES + words)
            text = " ".join(words)
        else:
            text = text[:at] + chance.choice(PIECES) + text[at + chance.randrange(4) :]
    only_contract_errors(tmp_path, text)


def test_two_hundred_checks_are_read_at_once(tmp_path: Path) -> None:
    columns = [f"c{number}" for number in range(100)]
    entry = (
        "  - name: {0}\n    checks:\n      - missing: {{threshold: {{must_be: 0, level: warn}}}}\n      - invalid:\n"
    )
    entry += "          valid_values: [a, b]\n          filter: {0} > 3\n"
    text = HEAD + "columns:\n" + "".join(entry.format(name) for name in columns)
    assert len(read(tmp_path, text, columns)) == 200
    start = time.perf_counter()
    read(tmp_path, text, columns)
    assert time.perf_counter() - start < 1
