"""A contract's file as Soda reads it: YAML 1.2 with variables, and the line of everything in it.

Belongs here: from bytes to plain data, and what is no YAML, or more than a person writes. Does not belong here: what a
contract may say (`contract_faults.py`). The grammar is ruamel's, with which Soda reads; lines come from its nodes.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from atlas_pipeline.documents.faults import DocumentError, Place, shown
from atlas_pipeline.documents.located import Document, Kind, read

_VARIABLE = re.compile(r"\$\{ *([a-z]+)\.([a-zA-Z_][a-zA-Z_0-9]*) *\}")
_OF_SODA = {"NOW": "2000-01-01T00:00:00+00:00", "DATA_TIMESTAMP": "2000-01-01T00:00:00+00:00"}
_AS_WRITTEN = {"variables", "description", "scopes", "soda_runner", "soda_agent"}


class ContractError(DocumentError):
    """A contract that cannot be used; the message begins with file and line."""


KIND = Kind(name="a contract", error=ContractError, most_bytes=1 << 20, most_values=200_000, deepest=40)


def read_file(path: Path) -> Document:
    """A contract's data with its variables resolved as Soda resolves them.

    Raises ContractError for what cannot be read, is not YAML, has a key twice, or uses a variable that has no value.
    """
    file = read(path, KIND)
    file.refuse()
    if isinstance(file.data, dict):
        values = _variables(file)
        for key in file.data.keys() - _AS_WRITTEN:
            file.data[key] = _resolved(file, file.data[key], values, (key,))
    return file


def _variables(file: Document) -> dict[str, Any]:
    """The value of each declared variable: its default, as Atlas provides none."""
    declared = file.data.get("variables")
    if declared is None:
        return {}
    if not isinstance(declared, dict):
        raise file.error("`variables`: expected a mapping of names to `default: <value>`", ("variables",))
    values = {name: body.get("default") if isinstance(body, dict) else None for name, body in declared.items()}
    for name, value in values.items():
        place: Place = ("variables", name, "default")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise file.error(f"variable {shown(name)}: expected `default: <text or number>`", place)
        if isinstance(value, str) and any(found[1] == "env" for found in _VARIABLE.finditer(value)):
            raise file.error(f"variable {shown(name)}: Soda takes no `${{env.…}}` here", place)
    for name in values:
        values[name] = _resolved(file, values[name], values, ("variables", name, "default"))
    if "NOW" in values and not _is_time(values["NOW"]):
        raise file.error("variable 'NOW': expected a time such as 2030-01-31T00:00:00+00:00", ("variables", "NOW"))
    return values


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value) is not None
    except ValueError:
        return False


def _resolved(file: Document, value: Any, values: Mapping[str, Any], place: Place) -> Any:
    """`value` with `${var.X}` and `${soda.X}` replaced; what the environment may say stays as it is."""
    if isinstance(value, dict):
        return {
            key: inner if key == "scope" else _resolved(file, inner, values, (*place, key))
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_resolved(file, inner, values, (*place, index)) for index, inner in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def replacement(found: re.Match[str]) -> Any:
        space, name = found[1], found[2]
        known = {"var": values, "soda": _OF_SODA}.get(space)
        if known is None or (space, name) == ("soda", "PAGINATION"):
            return found[0]
        if name not in known:
            raise file.error(f"variable {name!r} is used, and not declared under `variables`", place)
        return known[name]

    whole = _VARIABLE.fullmatch(value)
    return replacement(whole) if whole else _VARIABLE.sub(lambda found: str(replacement(found)), value)
