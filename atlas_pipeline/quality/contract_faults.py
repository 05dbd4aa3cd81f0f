"""What is wrong with a contract, as far as it can be told without a table.

Belongs here: Soda's rules that no schema can say, and which would otherwise be an error, or a check that is never
evaluated, when the contract is verified. Does not belong here: keys and types (`contract_schema.py`), columns
(`contract_columns.py`).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from atlas_pipeline.documents.faults import Fault, Place, one_of, shown, unknown
from atlas_pipeline.quality.contract_schema import (
    COLUMN,
    TABLE,
    TYPE_PARAMETERS,
    VALIDITY,
    check_faults,
    column_faults,
    kinds,
    root_faults,
)
from atlas_pipeline.quality.outcome import DIMENSIONS

_MUST_BE = ("greater_than", "greater_than_or_equal", "less_than", "less_than_or_equal", "between", "not_between")
_COMPARISONS = ("must_be", "must_not_be", *(f"must_be_{one}" for one in _MUST_BE))
_NO_DEFAULT = {"aggregate", "metric", "freshness"}
_FUNCTIONS = ["avg", "sum", "min", "max", "minLength", "maxLength", "avgLength"]
_FORMATS = ("missing_format", "valid_format", "invalid_format")
_LENGTHS = ("valid_length", "valid_min_length", "valid_max_length")
_CHARACTER = {"varchar", "char", "character varying", "character", "text"}
_NUMERIC = {"numeric", "decimal"}
_TIMES = {"timestamp", "timestamp without time zone", "timestamptz", "timestamp with time zone", "timestamp_tz", "time"}
_OTHER_TYPES = {"bpchar", "smallint", "int2", "integer", "int", "int4", "bigint", "int8", "float", "real", "float4"}
_OTHER_TYPES |= {"double", "double precision", "float8", "date", "time without time zone", "boolean", "bool"}
_PARAMETERS_OF = dict(zip(TYPE_PARAMETERS, (_CHARACTER, _NUMERIC, _NUMERIC, _TIMES), strict=True))
_UNBALANCED = ("unterminated", "unbalanced", "bad escape (end", "nothing to repeat", "missing )")


def faults(contract: Any) -> Iterator[Fault]:
    """What is wrong with a contract. Only the first fault is reliable: the later ones may follow from it."""
    if not isinstance(contract, dict) or "dataset" not in contract:
        yield Fault("expected a Soda contract: `dataset: atlas/atlas/<layer>/<table>`, `columns`, …", ())
        return
    yield from root_faults(contract)
    yield from _dimension_faults(contract.get("check_attributes"), ("check_attributes",))
    yield from _checks_faults(contract, {}, "checks", TABLE, ())
    columns = contract.get("columns")
    if columns is None:
        yield Fault(
            "'columns' is missing: expected a list of `- name: <column>`, `[]` if there is nothing to say of any", ()
        )
        return
    if not isinstance(columns, list):
        yield Fault("`columns`: expected a list of `- name: <column>`", ("columns",))
        return
    names: set[str] = set()
    for index, column in enumerate(columns):
        place: Place = ("columns", index)
        if not isinstance(column, dict) or column.get("name") in (None, ""):
            yield Fault("each entry of `columns` needs a `name`", place)
            continue
        for message, inside in column_faults(column):
            yield Fault(f"columns.{shown(column['name']).strip(chr(39))}: {message}", (*place, *inside))
        name = column["name"]
        if '"' in name:
            yield Fault(f"Soda cannot check a column with a double quote in its name: {name}", (*place, "name"))
        if name in names:
            yield Fault(f"the column {name!r} is there twice: put its checks together", (*place, "name"))
        names.add(name)
        prefix = f"columns.{name}.checks"
        yield from _type_faults(column, f"columns.{name}", place)
        yield from _values_faults(column, f"columns.{name}", place)
        yield from _checks_faults(column, column, prefix, COLUMN, place)


def _checks_faults(
    holder: Mapping[Any, Any], column: Mapping[Any, Any], prefix: str, where: str, place: Place
) -> Iterator[Fault]:
    entries = holder.get("checks")
    place = (*place, "checks")
    if entries is None:
        return
    if not isinstance(entries, list):
        yield Fault(f"{prefix}: expected a list of `- <check type>: …`", place)
        return
    if not entries:
        yield Fault(f"{prefix}: expected at least one check: remove `checks` if there is none", place)
    for index, entry in enumerate(entries):
        inside = (*place, index)
        if isinstance(entry, str):
            yield Fault(f"{prefix}: expected `- <check type>: …`: write a colon behind {shown(entry)}", inside)
        elif not isinstance(entry, dict) or len(entry) != 1:
            yield Fault(f"{prefix}: expected `- <check type>: …`, one type per entry", inside)
        else:
            ((kind, body),) = entry.items()
            yield from _check_faults(kind, body, column, prefix, where, (*inside, kind))


def _check_faults(
    kind: Any, body: Any, column: Mapping[Any, Any], prefix: str, where: str, place: Place
) -> Iterator[Fault]:
    if kind not in kinds(where):
        if kind in kinds(COLUMN) + kinds(TABLE):
            other = "under `checks` of the contract" if where == COLUMN else "under `checks` of a column"
            yield Fault(f"{prefix}: {kind} cannot stand here, but {other}", place)
        else:
            yield Fault(unknown("check", kind, _known_kinds()), place)
        return
    said = f"{prefix}.{kind}"
    if body is not None and not isinstance(body, dict):
        yield Fault(f"{said}: found {shown(body)}, expected a mapping, or nothing", place)
        return
    body = body or {}
    for message, inside in check_faults(where, kind, body):
        yield Fault(f"{said}: {message}", (*place, *inside))
    if "scope" in body:
        message = "a check in a scope is never evaluated, as only Soda's paid extension activates scopes"
        yield Fault(f"{said}: {message}: remove `scope`, and use `filter`", (*place, "scope"))
    if where == TABLE and kind in ("missing", "invalid", "aggregate") and not body.get("column_expression"):
        yield Fault(f"{said}: {kind} is about a column: put it under `checks` of a column", place)
    yield from _dimension_faults(body.get("attributes"), (*place, "attributes"), f"{said}: ")
    yield from _threshold_faults(kind, body.get("threshold"), said, place)
    yield from _values_faults(body, said, place)
    if kind == "invalid" and all(one.get(key) is None for one in (body, column) for key in VALIDITY):
        yield Fault(f"{said}: expected what is valid, or not: one of {', '.join(VALIDITY)}", place)
    if kind == "aggregate" and str(body["function"]).lower().replace("_", "") not in map(str.lower, _FUNCTIONS):
        yield Fault(
            f"{said}: {unknown('function', body['function'], _FUNCTIONS)}",
            (*place, "function"),
        )
    if kind == "duplicate" and where == TABLE and not body["columns"]:
        yield Fault(f"{said}: `columns`: expected at least one column", (*place, "columns"))
    if kind in ("failed_rows", "metric"):
        yield from _query_faults(kind, body, said, place)


def _known_kinds() -> list[str]:
    """The types of checks, those of columns first."""
    return list(dict.fromkeys(["missing", "row_count", *kinds(COLUMN), *kinds(TABLE)]))


def _dimension_faults(attributes: Any, place: Place, said: str = "") -> Iterator[Fault]:
    dimension = attributes.get("dimension") if isinstance(attributes, dict) else None
    if dimension is not None and dimension not in DIMENSIONS:
        yield Fault(f"{said}dimension {shown(dimension)}: {one_of(dimension, DIMENSIONS)}", (*place, "dimension"))


def _threshold_faults(kind: str, threshold: Any, said: str, place: Place) -> Iterator[Fault]:
    if not threshold:
        if kind in _NO_DEFAULT:
            yield Fault(f"{said}: 'threshold' is missing: expected a comparison, such as `must_be_less_than: 5`", place)
        return
    place = (*place, "threshold")
    additional = threshold.get("additional")
    levels = [_level(one) for one in (threshold, additional) if one is not None]
    for one, inside in ((threshold, place), (additional, (*place, "additional"))):
        if one is None:
            continue
        if _level(one) not in ("fail", "warn"):
            yield Fault(f"{said}: level is {shown(one['level'])}, expected fail or warn", (*inside, "level"))
        used = [key for key in one if key in _COMPARISONS and one[key] is not None]
        if len(used) > 1:
            yield Fault(f"{said}: `{used[0]}` and `{used[1]}`: a threshold has one comparison", (*inside, used[1]))
        if not used and (additional is not None or kind in _NO_DEFAULT):
            yield Fault(f"{said}: the threshold has no comparison: expected one of {', '.join(_COMPARISONS)}", inside)
        for key in ("must_be_between", "must_be_not_between"):
            if one.get(key) is not None:
                yield from _range_faults(key, one[key], f"{said}: `{key}`", (*inside, key))
    if len(set(levels)) < len(levels):
        yield Fault(
            f"{said}: the additional threshold has level {levels[0]} too: expected the other one",
            (
                *place,
                "additional",
            ),
        )


def _level(threshold: Mapping[Any, Any]) -> str:
    return str(threshold.get("level", "fail")).lower()


def _range_faults(key: str, bounds: Mapping[Any, Any], said: str, place: Place) -> Iterator[Fault]:
    sides = {}
    for side in ("greater_than", "less_than"):
        given = [one for one in (side, f"{side}_or_equal") if bounds.get(one) is not None]
        if len(given) != 1:
            yield Fault(f"{said}: expected either `{side}` or `{side}_or_equal`", (*place, *given[1:]))
            return
        sides[side] = bounds[given[0]]
    if key == "must_be_between" and not sides["greater_than"] < sides["less_than"]:
        yield Fault(
            f"{said}: nothing is greater than {sides['greater_than']} and less than {sides['less_than']}", place
        )
    if key == "must_be_not_between" and not sides["greater_than"] > sides["less_than"]:
        yield Fault(f"{said}: expected `greater_than` above `less_than`: what passes is outside of them", place)


def _values_faults(holder: Mapping[Any, Any], said: str, place: Place) -> Iterator[Fault]:
    """What is wrong with the keys that say what is valid, or missing."""
    for key in _FORMATS:
        if holder.get(key) is not None and (problem := _regex_problem(holder[key]["regex"])):
            yield Fault(f"{said}: `{key}`: the regex does not compile: {problem}", (*place, key, "regex"))
    for key in _LENGTHS:
        if isinstance(holder.get(key), float):
            yield Fault(f"{said}: `{key}`: found {holder[key]}, expected a whole number", (*place, key))
    reference = holder.get("valid_reference_data")
    if reference is not None and "/" not in reference["dataset"]:
        said = f"{said}: `valid_reference_data`: `dataset` is {shown(reference['dataset'])}"
        yield Fault(
            f"{said}, expected <source>/<database>/<schema>/<table>", (*place, "valid_reference_data", "dataset")
        )


def _regex_problem(regex: str) -> str | None:
    """What no flavour of regular expressions takes; the rest is left to Postgres."""
    options = re.match(r"\(\?([a-z]+)\)", regex)
    if regex.startswith("***") or (options and set(options[1]) & set("bqex")):
        return None
    plain = re.sub(r"\[[:.=][^\[\]]*[:.=]\]", "a", regex[options.end() if options else 0 :])
    try:
        re.compile(plain)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error) if str(error).startswith(_UNBALANCED) else None
    return None


def _type_faults(column: Mapping[Any, Any], said: str, place: Place) -> Iterator[Fault]:
    declared = str(column.get("data_type") or "").split("(")[0].strip().lower()
    known = _OTHER_TYPES.union(*_PARAMETERS_OF.values())
    for key, types in _PARAMETERS_OF.items():
        if declared in known and column.get(key) is not None and declared not in types:
            yield Fault(f"{said}: `{key}` says nothing of the type {declared}", (*place, key))


def _query_faults(kind: str, body: Mapping[Any, Any], said: str, place: Place) -> Iterator[Fault]:
    forms = ("expression", "query", "keys_query") if kind == "failed_rows" else ("expression", "query")
    given = [form for form in forms if (body.get(form) or "").strip()]
    if not given:
        yield Fault(f"{said}: one of {', '.join(forms)} is missing", place)
    if kind == "failed_rows" and len(given) > 1:
        yield Fault(f"{said}: `{given[0]}` and `{given[1]}`: expected one of them", (*place, given[1]))
    percent = kind == "failed_rows" and (body.get("threshold") or {}).get("metric") == "percent"
    if percent and given != ["expression"] and not (body.get("rows_tested_query") or "").strip():
        yield Fault(f"{said}: a percentage of a query needs `rows_tested_query`, which counts all rows", place)
