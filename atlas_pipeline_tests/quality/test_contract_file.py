"""What is wrong with a contract is said with its file and line when it is read."""

import time
from itertools import pairwise
from pathlib import Path

import pytest

from atlas_pipeline.quality.contract import ContractError, read_contract
from atlas_pipeline_tests.quality.contracts import (
    ACCEPTED,
    CHECKS,
    HEAD,
    NO_COLUMNS,
    STRICTER,
    WRONG,
    complaint,
    of_column,
    of_table,
    read,
)

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


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_soda_reads_is_read(tmp_path: Path, name: str) -> None:
    assert [check.path for check in read(tmp_path, ACCEPTED[name])] == CHECKS.get(name, "").split()


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
