"""The faults that a JSON schema finds in a document, in words.

Belongs here: the one translation of jsonschema's errors. A schema's `title` is what is expected of a value. Does not
belong here: any schema, and what no schema can say.
"""

from collections.abc import Iterable, Iterator
from datetime import date, time
from typing import Any

from atlas_pipeline.documents.faults import Fault, Place, one_of, shown, unknown

_TYPES = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing",
}


def schema_faults(errors: Iterable[Any]) -> Iterator[Fault]:
    """What jsonschema's errors say; a missing key may come more than once.

    Args:
        errors: of `Validator.iter_errors`, in the order in which the faults are wanted.
    """
    for error in errors:
        place: Place = tuple(error.absolute_path)
        prefix = _prefix(place)
        if error.validator == "additionalProperties":
            known = list(error.schema["properties"])
            for key in (key for key in error.instance if key not in known):
                yield Fault(prefix + unknown("key", key, known), (*place, key))
        elif error.validator == "required":
            properties = error.schema.get("properties", {})
            for name in (name for name in error.validator_value if name not in error.instance):
                expected = _expected(properties.get(name, {}))
                yield Fault(f"{prefix}{name!r} is missing" + (f": {expected}" if expected else ""), place)
        elif "propertyNames" in error.absolute_schema_path:
            yield Fault(prefix + _wrong(error), (*place, error.instance))
        else:
            yield Fault(prefix + _wrong(error), place)


def _prefix(place: Place) -> str:
    """The keys that lead to a place from the innermost list of mappings; which of its entries, the line says."""
    keys: list[str] = []
    for step in reversed(place):
        if isinstance(step, str):
            keys.insert(0, shown(step).strip("'\""))
        elif keys:
            break
    return f"`{'.'.join(keys)}`: " if keys else ""


def _wrong(error: Any) -> str:
    """What is wrong with one value."""
    found, expected = shown(error.instance), _expected(error.schema)
    if error.validator == "enum":
        return f"found {found}: {one_of(error.instance, error.validator_value)}"
    if "title" in error.schema:
        return f"found {found}, {expected}"
    if error.validator in ("type", "const"):
        text = "string" in error.validator_value and isinstance(error.instance, bool | int | float | date | time)
        hint = "; put it in quotes" if error.validator == "type" and text else ""
        return f"found {found}, {expected}{hint}"
    if error.validator == "minItems":
        return "expected at least one entry"
    return f"{found} cannot stand here"


def _expected(schema: Any) -> str:
    """What a schema expects of a value, as far as it can be told."""
    if "enum" in schema:
        return one_of("", schema["enum"])
    if "title" in schema:
        return f"expected {schema['title']}"
    if "const" in schema:
        return f"expected {schema['const']!r}"
    types = schema.get("type", [])
    words = [_TYPES[name] for name in ([types] if isinstance(types, str) else types)]
    return f"expected {' or '.join(words)}" if words else ""
