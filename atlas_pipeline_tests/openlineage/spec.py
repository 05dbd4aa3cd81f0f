"""Events held against the classes that OpenLineage generates from its specification, in `openlineage-python`.

Belongs here: whether an event is one of the specification: names and types of fields, required ones, addresses of
schemas, formats. Does not belong here: what is in it.
"""

import importlib
import pkgutil
import types
import typing
from typing import Any, get_args, get_origin

import attrs
from openlineage.client import generated
from openlineage.client.generated import base


def _facets() -> dict[str, type]:
    """Classes of facets by the address of their schema."""
    found: dict[str, type] = {}
    for module in pkgutil.iter_modules(generated.__path__):
        for one in vars(importlib.import_module(f"{generated.__name__}.{module.name}")).values():
            if isinstance(one, type) and issubclass(one, base.BaseFacet):
                found[one._get_schema()] = one
    return found


FACETS = _facets()
_KINDS = {
    "facets": {
        base.Run: base.RunFacet,
        base.Job: base.JobFacet,
        base.InputDataset: base.DatasetFacet,
        base.OutputDataset: base.DatasetFacet,
    },
    "inputFacets": {base.InputDataset: base.InputDatasetFacet},
    "outputFacets": {base.OutputDataset: base.OutputDatasetFacet},
}


def conforms(event: dict[str, Any]) -> None:
    """Fail where an event is not one of the specification."""
    assert event["schemaURL"] == base.RunEvent._get_schema()
    _made(base.RunEvent, event)


def _made(kind: type, value: dict[str, Any]) -> Any:
    """The value as an instance: unknown and missing fields, and wrong formats, raise."""
    hints = typing.get_type_hints(kind)
    names = {field.name.lstrip("_"): field.name for field in attrs.fields(kind)}
    by_class = {field.name for field in attrs.fields(kind) if not field.init}
    given: dict[str, Any] = {}
    for name, part in value.items():
        plain = name.lstrip("_")
        assert plain in names, f"{kind.__name__} has no field {name}"
        if names[plain] in by_class:
            continue  # the address of the schema, by which the class was chosen
        if name in _KINDS and kind in _KINDS[name]:
            part = {key: _facet(_KINDS[name][kind], one) for key, one in part.items()}
        else:
            part = _typed(hints[names[plain]], part, f"{kind.__name__}.{name}")
        given[plain] = part
    return kind(**given)


def _facet(kind: type, value: dict[str, Any]) -> Any:
    """A facet by the address of its schema, where facets of that kind may stand."""
    found = FACETS[value["_schemaURL"]]
    assert issubclass(found, kind), f"{found.__name__} is not a {kind.__name__}"
    return _made(found, value)


def _typed(hint: Any, value: Any, place: str) -> Any:
    if get_origin(hint) in (typing.Union, types.UnionType):
        kinds = [one for one in get_args(hint) if one is not type(None)]
        assert value is not None, f"{place}: absent instead of null"
        return _typed(kinds[0], value, place)
    if get_origin(hint) is list:
        assert isinstance(value, list), place
        return [_typed(get_args(hint)[0], one, place) for one in value]
    if get_origin(hint) is dict:
        assert isinstance(value, dict), place
        return {key: _typed(get_args(hint)[1], one, place) for key, one in value.items()}
    if isinstance(hint, type) and attrs.has(hint):
        return _made(hint, value)
    if hint is base.EventType:
        return base.EventType(value)
    if isinstance(hint, type):
        allowed = (int, float) if hint is float else hint
        assert isinstance(value, allowed), f"{place}: {value!r} is not of {hint}"
        assert hint is bool or not isinstance(value, bool), place
    return value
