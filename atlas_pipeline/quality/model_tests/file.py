"""`tests/*.yaml` beside a `model.sql`: unit tests as dbt writes them, with tables instead of references.

Belongs here: from files to tests, and what is wrong with a file. Does not belong here: running tests (`running.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from atlas_pipeline.documents.faults import DocumentError, Fault, unknown
from atlas_pipeline.documents.located import Document, Kind, read
from atlas_pipeline.documents.schemas import schema_faults

Row = Mapping[str, Any]
_CELL = {"type": ["string", "number", "boolean", "null", "array", "object"]}
_ROWS = {
    "type": "array",
    "title": "a list of rows, each a mapping of columns to values",
    "items": {"type": "object", "additionalProperties": _CELL, "title": "a row: columns and their values"},
}
_TEST = {
    "type": "object",
    "title": "a test with name, given and expect",
    "additionalProperties": False,
    "required": ["name", "expect"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 100, "title": "a name"},
        "description": {"type": "string", "title": "text"},
        "given": {
            "type": "array",
            "title": "a list of tables and their rows",
            "items": {
                "type": "object",
                "title": "a table and its rows",
                "additionalProperties": False,
                "required": ["input", "rows"],
                "properties": {"input": {"type": "string", "title": "a table such as silver.orders"}, "rows": _ROWS},
            },
        },
        "expect": {
            "type": "object",
            "title": "the rows that must come out",
            "additionalProperties": False,
            "required": ["rows"],
            "properties": {"rows": _ROWS},
        },
    },
}
SCHEMA = {
    "type": "object",
    "title": "unit_tests: a list of tests",
    "additionalProperties": False,
    "required": ["unit_tests"],
    "properties": {"unit_tests": {"type": "array", "minItems": 1, "title": "a list of tests", "items": _TEST}},
}


class ModelTestError(DocumentError):
    """A file of tests that cannot be used; the message begins with file and line."""


KIND = Kind(
    name="a file of unit tests", error=ModelTestError, most_bytes=4 << 20, most_values=400_000, deepest=20, dates=False
)


@dataclass(frozen=True)
class UnitTest:
    """One test.

    Attributes:
        name: unique for its model.
        path: of the file.
        line: where it begins.
        given: rows by table (layer, name); tables that are not here are empty.
        expected: the rows that must come out, in any order; columns that no row names are not looked at.
    """

    name: str
    path: Path
    line: int
    given: Mapping[tuple[str, str], Sequence[Row]]
    expected: Sequence[Row]

    @property
    def columns(self) -> list[str]:
        """The columns that are looked at."""
        return list(dict.fromkeys(column for row in self.expected for column in row))


def read_tests(folder: Path, columns: Mapping[tuple[str, str], Sequence[str]], output: Sequence[str]) -> list[UnitTest]:
    """The tests of a model, in the order of files and lines.

    Args:
        folder: that `model.sql` is in.
        columns: of each table that the model reads.
        output: the columns that the model selects.

    Raises:
        ModelTestError: a file cannot be read, or names what is not there.
    """
    found: list[UnitTest] = []
    for path in sorted([*(folder / "tests").glob("*.yaml"), *(folder / "tests").glob("*.yml")]):
        document = read(path, KIND)
        document.refuse(schema_faults(_validator().iter_errors(document.data)))
        document.refuse(_faults(document, columns, output, {test.name for test in found}))
        found += [_test(document, index, entry) for index, entry in enumerate(document.data["unit_tests"])]
    return found


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    return Draft202012Validator(SCHEMA)


def _test(document: Document, index: int, entry: Mapping[str, Any]) -> UnitTest:
    given: dict[tuple[str, str], Sequence[Row]] = {}
    for table in entry.get("given") or []:
        layer, _, name = table["input"].partition(".")
        given[layer, name] = table["rows"]
    line = document.line(("unit_tests", index))
    return UnitTest(entry["name"], document.path, line, given, entry["expect"]["rows"])


def _faults(
    document: Document, columns: Mapping[tuple[str, str], Sequence[str]], output: Sequence[str], taken: set[str]
) -> Iterator[Fault]:
    """What names tables, columns or tests that cannot be."""
    tables = {f"{layer}.{name}": known for (layer, name), known in columns.items()}
    for index, test in enumerate(document.data["unit_tests"]):
        place = ("unit_tests", index)
        if test["name"] in taken:
            yield Fault(f"a second test {test['name']!r}: expected another name", (*place, "name"))
        taken.add(test["name"])
        for number, table in enumerate(test.get("given") or []):
            here = (*place, "given", number)
            if table["input"] not in tables:
                yield Fault(unknown("table", table["input"], list(tables)), (*here, "input"))
                continue
            yield from _unknown_columns(table["rows"], tables[table["input"]], (*here, "rows"))
        yield from _unknown_columns(test["expect"]["rows"], output, (*place, "expect", "rows"))


def _unknown_columns(rows: Sequence[Row], known: Sequence[str], place: tuple[Any, ...]) -> Iterator[Fault]:
    for number, row in enumerate(rows):
        for column in row:
            if column not in known:
                yield Fault(unknown("column", column, list(known)), (*place, number, column))
