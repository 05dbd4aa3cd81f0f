"""Texts of contracts, right and wrong, and what is said of each when it is read."""

from collections.abc import Collection
from pathlib import Path

import pytest

from atlas_pipeline.quality.contract import ContractError, read_contract
from atlas_pipeline.quality.outcome import Check

HEAD = "dataset: atlas/atlas/silver/things\n"
NO_COLUMNS = HEAD + "columns: []\n"
COLUMNS = ("id", "mood", "amount", "day", "Odd Name", "owner")


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
