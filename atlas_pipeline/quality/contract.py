"""Reading a contract's checks from its file, without a database and without Soda.

Belongs here: the checks that a `contract.yml` declares, and all that can be wrong with the file. Does not belong here:
measuring them (`verification.py`). A contract names its dataset as `atlas/<database>/<layer>/<table>`.
"""

import difflib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from atlas_pipeline.quality.outcome import DIMENSIONS, Check, Dimension

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


class ContractError(Exception):
    """A contract that cannot be read; the message begins with file and line."""


def read_checks(path: Path, table_columns: Collection[str] | None = None) -> list[Check]:
    """The checks of a contract, in the order of the file; no database and no Soda needed.

    Raises ContractError, naming file and line, when the file is no contract, a check is not `- <type>: …` of a known
    type, two checks cannot be told apart, or a column that has checks is not among `table_columns`.
    """
    text = path.read_text(encoding="utf-8")
    try:
        document, root = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise ContractError(f"{path}:{line}: not valid YAML: {getattr(error, 'problem', error)}") from None
    lines = _Lines(path, root)
    if not isinstance(document, dict) or not DATASET_LINE.search(text):
        raise ContractError(f"{path}:1: expected a Soda contract: `dataset: atlas/atlas/<layer>/<table>`, `columns`, …")
    checks = _checks_of(lines, document.get("checks"), ("checks",), "checks", None)
    columns = document.get("columns") or []
    if not isinstance(columns, list):
        raise lines.error("`columns`: expected a list of `- name: <column>`", "columns")
    for index, column in enumerate(columns):
        if not isinstance(column, dict) or "name" not in column:
            raise lines.error("each entry of `columns` needs a `name`", "columns", index)
        name = str(column["name"])
        if '"' in name:
            raise lines.error(f"Soda cannot check a column with a double quote in its name: {name}", "columns", index)
        found = _checks_of(lines, column.get("checks"), ("columns", index, "checks"), f"columns.{name}.checks", name)
        if found and table_columns is not None and name not in table_columns:
            near = difflib.get_close_matches(name, table_columns, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            known = ", ".join(table_columns)
            raise lines.error(f"the table has no column {name!r}: {hint}Expected one of {known}", "columns", index)
        checks += found
    paths = [check.path for check in checks]
    for number, check in enumerate(checks):
        if check.path in paths[:number]:
            raise ContractError(f"{path}:1: {check.path} is there twice: give each a `qualifier: <word>` of its own")
    return checks


class _Lines:
    """Where things stand in a contract."""

    def __init__(self, path: Path, root: yaml.Node | None):
        self._path = path
        self._root = root

    def error(self, message: str, *place: str | int) -> ContractError:
        """An error about what is at `place`, with the line of it or of the nearest thing above it."""
        node, line = self._root, 1
        for step in place:
            if isinstance(node, yaml.MappingNode):
                pair = next(((key, value) for key, value in node.value if key.value == step), None)
                if pair is None:
                    break
                line, node = pair[0].start_mark.line + 1, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
        return ContractError(f"{self._path}:{line}: {message}")


def _checks_of(
    lines: _Lines, entries: Any, place: tuple[str | int, ...], prefix: str, column: str | None
) -> list[Check]:
    if entries is not None and not isinstance(entries, list):
        raise lines.error(f"{prefix}: expected a list of `- <check type>: …`", *place)
    found = []
    for index, entry in enumerate(entries or []):
        if not isinstance(entry, dict) or len(entry) != 1:
            raise lines.error(f"{prefix}: expected `- <check type>: …`, one type per entry", *place, index)
        ((kind, body),) = entry.items()
        if kind not in _DIMENSION:
            near = difflib.get_close_matches(str(kind), _DIMENSION, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise lines.error(f"unknown check {kind!r}: {hint}Expected one of {', '.join(_DIMENSION)}", *place, index)
        if body is not None and not isinstance(body, dict):
            raise lines.error(f"{prefix}.{kind}: expected a mapping, or nothing", *place, index)
        body = body or {}
        qualifier = body.get("qualifier")
        threshold, attributes = (body.get(part) or {} for part in ("threshold", "attributes"))
        if not isinstance(threshold, dict) or not isinstance(attributes, dict):
            raise lines.error(f"{prefix}.{kind}: `threshold` and `attributes` are mappings", *place, index)
        level = str(threshold.get("level", "fail")).lower()
        if level not in ("fail", "warn"):
            raise lines.error(f"{prefix}.{kind}: level is {level!r}, expected fail or warn", *place, index)
        dimension = attributes.get("dimension") or _DIMENSION[kind]
        if dimension not in DIMENSIONS:
            expected = ", ".join(DIMENSIONS)
            raise lines.error(f"{prefix}.{kind}: dimension {dimension!r}: expected one of {expected}", *place, index)
        found.append(
            Check(
                path=f"{prefix}.{kind}" + (f".{qualifier}" if qualifier else ""),
                type=kind,
                column=column,
                title=str(body.get("name") or f"{kind.replace('_', ' ')} of {column or 'the table'}"),
                severity="warn" if level == "warn" and "additional" not in threshold else "error",
                dimension=dimension,
            )
        )
    return found
