"""The keys and types that a contract may have: Soda's own JSON schema, amended to what Soda actually reads.

Belongs here: the schema and its amendments. Does not belong here: what no schema can say (`contract_faults.py`). The
schema is found beside Soda's code without importing it, which takes more than a second.
"""

import copy
import importlib.util
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from atlas_pipeline.documents.faults import Fault
from atlas_pipeline.documents.schemas import schema_faults

TABLE, COLUMN = "table", "column"
_SCHEMA = "contracts/soda_data_contract_json_schema_1_0_0.json"
_ROOT: dict[str, Any] = {"check_attributes": {"type": "object"}, "kind": {"const": "contract"}}
_FORMAT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["regex", "name"],
    "properties": {"regex": {"type": "string"}, "name": {"type": "string"}},
}
_SCALARS = {"type": "array", "items": {"not": {"type": ["array", "object"]}}}
_MISSING = {"missing_values": _SCALARS, "missing_format": _FORMAT}
_VALID = {
    "valid_values": _SCALARS,
    "invalid_values": _SCALARS,
    "valid_format": _FORMAT,
    "invalid_format": _FORMAT,
    **{key: {"type": "number"} for key in ("valid_min", "valid_max")},
    **{key: {"type": "integer"} for key in ("valid_length", "valid_min_length", "valid_max_length")},
}
VALIDITY = (*_VALID, "valid_reference_data")
"""The keys that say what is valid."""
TYPE_PARAMETERS = ("character_maximum_length", "numeric_precision", "numeric_scale", "datetime_precision")
_OF_EVERY_CHECK: dict[str, Any] = {
    "qualifier": {"not": {"type": ["array", "object"]}},
    "scope": {},
    "filter": {"type": "string"},
    "store_failed_rows": {"type": "boolean"},
    "attributes": {"type": "object"},
    "column_expression": {"type": "string"},
}
_OF_COLUMNS = {
    **{key: {"type": "number"} for key in TYPE_PARAMETERS},
    "column_expression": {"type": "string"},
    **_MISSING,
    **_VALID,
}
_TAKES_MISSING_AND_VALID = {"missing", "invalid", "aggregate", "freshness", "metric", (COLUMN, "duplicate")}
_NULL_IS_WRONG = {"attributes", "check_attributes", "store_failed_rows", "level", "scope", "scopes", "additional"}
_NULLS_WITHIN = {"threshold", "additional", "must_be_between", "must_be_not_between"}


def kinds(where: str) -> list[str]:
    """The types of checks that a table, or a column, can have."""
    return [kind for place, kind in _bodies() if place == where]


def root_faults(contract: Mapping[Any, Any]) -> Iterator[Fault]:
    """What the schema says of the contract itself, columns and checks left out."""
    outer = {key: value for key, value in contract.items() if key not in ("columns", "checks")}
    yield from _faults("root", outer)


def column_faults(column: Mapping[Any, Any]) -> Iterator[Fault]:
    """What the schema says of an entry of `columns`, its checks left out."""
    yield from _faults("column", {key: value for key, value in column.items() if key != "checks"})


def check_faults(where: str, kind: str, body: Mapping[Any, Any]) -> Iterator[Fault]:
    """What the schema says of the body of a check.

    Args:
        where: `TABLE` or `COLUMN`.
        kind: a type of check that can stand there.
        body: its keys and values.
    """
    yield from _faults((where, kind), body)


def _without_nulls(value: Mapping[Any, Any]) -> dict[Any, Any]:
    """To Soda a key without a value is a key that is not there, save some."""
    return {
        key: _without_nulls(inner) if key in _NULLS_WITHIN and isinstance(inner, dict) else inner
        for key, inner in value.items()
        if inner is not None or key in _NULL_IS_WRONG
    }


def _faults(part: Any, instance: Mapping[Any, Any]) -> Iterator[Fault]:
    validator, bare = _validators()[part], _without_nulls(instance)
    errors = list(validator.iter_errors(bare))
    if bare != instance:
        errors += (error for error in validator.iter_errors(instance) if error.validator == "additionalProperties")
    yield from schema_faults(errors)


@cache
def _schema() -> dict[str, Any]:
    spec = importlib.util.find_spec("soda_core")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("soda_core is not installed")
    return json.loads((Path(spec.submodule_search_locations[0]) / _SCHEMA).read_text(encoding="utf-8"))


@cache
def _bodies() -> dict[tuple[str, str], dict[str, Any]]:
    """The body of each type of check, by where it can stand; amended."""
    schema = _schema()
    items = {
        COLUMN: schema["properties"]["columns"]["items"]["allOf"][0]["properties"]["checks"]["items"],
        TABLE: schema["properties"]["checks"]["items"],
    }
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for where, alternatives in items.items():
        for branch in alternatives["anyOf"]:
            for kind, either in branch["properties"].items():
                found[where, kind] = next(one for one in either["oneOf"] if one["type"] == "object")
    for where, other, moved in ((COLUMN, TABLE, ["row_count"]), (TABLE, COLUMN, ["missing", "invalid", "aggregate"])):
        found |= {(where, kind): found[other, kind] for kind in moved}
    return {key: _amended(*key, body) for key, body in found.items()}


def _amended(where: str, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    properties = {**body["properties"], **_OF_EVERY_CHECK}
    if {kind, (where, kind)} & _TAKES_MISSING_AND_VALID:
        properties |= {**_MISSING, **_VALID, "valid_reference_data": _reference()}
    if kind == "freshness":
        properties["now_variable"] = {"type": "string"}
    if kind == "aggregate":
        properties["function"] = {"type": "string"}
    if kind == "schema":
        del properties["threshold"]
    elif kind == "row_count":
        properties["threshold"] = {"$ref": "#/$defs/threshold_without_metric"}
    required = [name for name in body.get("required", []) if name != "threshold"]
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": required}


def _reference() -> dict[str, Any]:
    column = _schema()["properties"]["columns"]["items"]["allOf"][0]["properties"]
    return column["checks"]["items"]["anyOf"][0]["properties"]["invalid"]["oneOf"][0]["properties"][
        "valid_reference_data"
    ]


@cache
def _definitions() -> dict[str, Any]:
    """Soda's definitions, without the rules that `contract_faults.py` explains better."""
    definitions = copy.deepcopy(_schema()["$defs"])
    for name, definition in definitions.items():
        if name.startswith("threshold") and "properties" in definition:
            for rule in ("allOf", "oneOf", "required"):
                definition.pop(rule, None)
            for key, value in definition["properties"].items():
                if name == "threshold_between" or (key.startswith("must_") and "type" in value):
                    definition["properties"][key] = {"type": "number"}
                elif key == "level":
                    definition["properties"][key] = {"type": "string"}
    bare = copy.deepcopy(definitions["threshold"])
    del bare["properties"]["metric"]
    return {**definitions, "threshold_without_metric": bare}


@cache
def _validators() -> dict[Any, Any]:
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    schema = _schema()
    column = schema["properties"]["columns"]["items"]["allOf"][0]
    root = {**schema["properties"], **_ROOT}
    of_columns = {**column["properties"], **_OF_COLUMNS, "valid_reference_data": _reference()}
    closed = {"type": "object", "additionalProperties": False}
    parts: dict[Any, dict[str, Any]] = {
        "root": {**closed, "properties": root, "required": ["dataset"]},
        "column": {**closed, "properties": of_columns, "required": ["name"]},
        **_bodies(),
    }
    return {key: Draft202012Validator({**part, "$defs": _definitions()}) for key, part in parts.items()}
