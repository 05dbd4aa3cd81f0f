"""Reading a contract's checks from its file, without a database and without importing Soda.

Belongs here: the checks that a `contract.yml` declares, and the one function that validates the file. Does
not belong here: the file itself (`contract_file.py`), each kind of fault (`contract_faults.py`, `contract_schema.py`,
`contract_columns.py`), and measuring checks (`verification.py`). A contract names its dataset as
`atlas/<database>/<layer>/<table>`.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atlas_pipeline.documents.faults import Place
from atlas_pipeline.documents.located import Document
from atlas_pipeline.quality.contract_columns import unknown_columns
from atlas_pipeline.quality.contract_faults import faults
from atlas_pipeline.quality.contract_file import ContractError, read_file
from atlas_pipeline.quality.outcome import Check, Dimension

__all__ = ["DATASET_LINE", "Contract", "ContractError", "read_contract"]

DATASET_LINE = re.compile(r"(?m)^dataset:.*$")

_DIMENSION: dict[str, Dimension] = {
    "missing": "completeness",
    "row_count": "completeness",
    "duplicate": "uniqueness",
    "invalid": "validity",
    "schema": "validity",
    "aggregate": "accuracy",
    "metric": "accuracy",
    "failed_rows": "consistency",
    "freshness": "timeliness",
}


@dataclass(frozen=True)
class Contract:
    """A contract as it was when it was read: its text, and its checks in the order of the file.

    This is what is verified, even when the file has changed since.
    """

    text: str
    checks: tuple[Check, ...]


def read_contract(
    path: Path, table_columns: Collection[str] | None = None, table: tuple[str, str] | None = None
) -> Contract:
    """Read and validate the contract at `path`.

    Args:
        path: the file.
        table_columns: names of the table's columns; null to accept any.
        table: layer and name that `dataset` must name; null to accept any.

    Raises:
        ContractError: names file and line of the first fault: what Soda would refuse or not evaluate, keys that it
            would ignore, two checks with one path, a column that is not in `table_columns`, another dataset than
            `table`.
    """
    file = read_file(path)
    for message, place in faults(file.data):
        raise file.error(message, place)
    _check_dataset(file, table)
    if table_columns is not None:
        for message, place in unknown_columns(file.data, table_columns):
            raise file.error(message, place)
    checks: dict[str, Check] = {}
    for check, place in _checks(file.data):
        if check.path in checks:
            raise file.error(f"{check.path} is there twice: give each a `qualifier: <word>` of its own", place)
        checks[check.path] = check
    return Contract(file.text, tuple(checks.values()))


def _check_dataset(file: Document, table: tuple[str, str] | None) -> None:
    dataset = file.data["dataset"]
    parts = dataset.split("/")
    line = DATASET_LINE.search(file.text)
    if len(parts) != 4 or not all(parts):
        raise file.error(f"`dataset` is {dataset!r}, expected atlas/<database>/<layer>/<table>", ("dataset",))
    if line is None or file.text.count("\n", 0, line.start()) + 1 != file.lines["dataset",] or _goes_on(file, line):
        raise file.error("expected `dataset: atlas/<database>/<layer>/<table>` on a line of its own", ("dataset",))
    if table is not None and (parts[2], parts[3]) != table:
        own, named = "/".join(table), "/".join(parts[2:])
        raise file.error(
            f"the contract is of {named}, and lies beside {own}: `dataset` names another table", ("dataset",)
        )


def _goes_on(file: Document, line: re.Match[str]) -> bool:
    """Whether the value of `dataset` goes on in the next line, which replacing one line would leave there."""
    written = line[0].partition(":")[2].strip()
    rest = file.text[line.end() + 1 :].split("\n")
    following = next((text for text in rest if text.strip() and not text.lstrip().startswith("#")), "")
    return not written or written[0] in ">|&*!" or following[:1] in (" ", "\t")


def _checks(contract: dict[Any, Any]) -> Iterator[tuple[Check, Place]]:
    attributes = contract.get("check_attributes") or {}
    for key in contract:
        if key == "checks":
            yield from _checks_of(contract, attributes, "checks", None, ())
        elif key == "columns":
            for index, column in enumerate(contract["columns"]):
                name = column["name"]
                yield from _checks_of(column, attributes, f"columns.{name}.checks", name, ("columns", index))


def _checks_of(
    holder: dict[Any, Any], attributes: dict[Any, Any], prefix: str, column: str | None, place: Place
) -> Iterator[tuple[Check, Place]]:
    for index, entry in enumerate(holder.get("checks") or []):
        ((kind, body),) = entry.items()
        body = body or {}
        qualifier = body.get("qualifier")
        threshold = body.get("threshold") or {}
        warns = str(threshold.get("level")).lower() == "warn" and threshold.get("additional") is None
        check = Check(
            path=f"{prefix}.{kind}" + (f".{qualifier}" if qualifier not in (None, "") else ""),
            type=kind,
            column=column,
            title=str(body.get("name") or _title(kind, body, column)),
            severity="warn" if warns else "error",
            dimension={**attributes, **(body.get("attributes") or {})}.get("dimension") or _DIMENSION[kind],
        )
        yield check, (*place, "checks", index, kind)


def _title(kind: str, body: dict[Any, Any], column: str | None) -> str:
    """What a check is about, for one that has no `name`."""
    what = {
        "schema": "Columns and their types",
        "row_count": "Number of rows",
        "missing": f"Missing values of {column}",
        "invalid": f"Invalid values of {column}",
        "duplicate": f"Duplicate values of {column or ', '.join(map(str, body.get('columns') or []))}",
        "aggregate": f"{body.get('function')} of {column}",
        "metric": f"Metric of {column or 'the table'}",
        "failed_rows": f"Rows that fail{f' by {column}' if column else ''}",
        "freshness": f"Age of the newest {body.get('column')}",
    }[kind]
    qualifier = body.get("qualifier")
    return what if qualifier in (None, "") else f"{what} ({qualifier})"
