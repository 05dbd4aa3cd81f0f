"""A contract's file as Soda reads it: YAML 1.2 with variables, and the line of everything in it.

Belongs here: from bytes to plain data, and what is no YAML, or more than a person writes. Does not belong here: what a
contract may say (`contract_faults.py`). The grammar is ruamel's, with which Soda reads; lines come from its nodes.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_MOST_BYTES = 1 << 20
_MOST_VALUES = 200_000
_DEEPEST = 40
_MERGE = "tag:yaml.org,2002:merge"
_VARIABLE = re.compile(r"\$\{ *([a-z]+)\.([a-zA-Z_][a-zA-Z_0-9]*) *\}")
_OF_SODA = {"NOW": "2000-01-01T00:00:00+00:00", "DATA_TIMESTAMP": "2000-01-01T00:00:00+00:00"}
_AS_WRITTEN = {"variables", "description", "scopes", "soda_runner", "soda_agent"}
Place = tuple[str | int, ...]
"""The way to a value, from the root of the document."""


class ContractError(Exception):
    """A contract that cannot be read; the message begins with file and line."""


@dataclass(frozen=True)
class ContractFile:
    """A contract as plain data, and where each part of it stands."""

    path: Path
    text: str
    data: Any
    lines: Mapping[Place, int]

    def error(self, message: str, place: Place = ()) -> ContractError:
        """An error about what is at `place`, with the line of it or of the nearest thing above it."""
        while place and place not in self.lines:
            place = place[:-1]
        return ContractError(f"{self.path}:{self.lines.get(place, 1)}: {message}")


def read_file(path: Path) -> ContractFile:
    """A contract's data with its variables resolved as Soda resolves them.

    Raises ContractError for what cannot be read, is no YAML, has a key twice, or uses a variable that has no value.
    """
    text = _text(path)
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        _check_shape(path, text)
        root = YAML(typ="safe").compose(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ContractError(f"{path}:{mark.line + 1 if mark else 1}: not valid YAML: {problem}") from None
    reader = _Reader(path)
    data = reader.value(root, ()) if root is not None else None
    file = ContractFile(path, text, data, reader.lines)
    if isinstance(data, dict):
        values = _variables(file)
        for key in data.keys() - _AS_WRITTEN:
            data[key] = _resolved(file, data[key], values, (key,))
    return file


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ContractError(f"{path}:1: more than {_MOST_BYTES >> 20} MiB: this is no contract")
        raw = path.read_bytes()
    except OSError as error:
        raise ContractError(f"{path}:1: cannot be read: {error.strerror}") from None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ContractError(f"{path}:{line}: not valid YAML: byte {raw[error.start]:#04x} is no UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _check_shape(path: Path, text: str) -> None:
    """Looks at the events alone: composing recurses in C, and thousands of open brackets would end the process."""
    from ruamel.yaml import YAML

    depth = 0
    for event in YAML(typ="safe").parse(text):
        kind = type(event).__name__
        line = event.start_mark.line + 1
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if depth > _DEEPEST:
            raise ContractError(f"{path}:{line}: nested too deep: this is no contract")
        if getattr(event, "version", None):
            raise ContractError(f"{path}:{line}: remove the line %YAML: contracts are YAML 1.2")


class _Reader:
    """Plain data from ruamel's nodes."""

    def __init__(self, path: Path) -> None:
        from ruamel.yaml import YAML

        self._path = path
        self._constructor = YAML(typ="safe").constructor
        self._values = 0
        self.lines: dict[Place, int] = {}

    def value(self, node: Any, place: Place) -> Any:
        """The value of a node. Aliases are followed each time, so their number and depth are limited."""
        self._values += 1
        if self._values > _MOST_VALUES or len(place) > _DEEPEST:
            raise self._error(node, "too many values, or nested too deep: this is no contract")
        kind = node.id
        if kind == "mapping" and node.tag.endswith(":map"):
            return self._mapping(node, place)
        if kind == "sequence" and node.tag.endswith(":seq"):
            for index, item in enumerate(node.value):
                self.lines[(*place, index)] = item.start_mark.line + 1
            return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
        if kind != "scalar":
            raise self._error(node, f"not valid YAML: the tag {node.tag} has no meaning here")
        return self._scalar(node)

    def _mapping(self, node: Any, place: Place) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag != _MERGE:
                key = self._key(key_node)
                if key in found:
                    raise self._error(key_node, f"{_shown(key)} is there twice")
                self.lines[(*place, key)] = key_node.start_mark.line + 1
                found[key] = self.value(value_node, (*place, key))
        for key_node, value_node in self._merged(node, 0):
            key = self._key(key_node)
            if key not in found:
                self.lines[(*place, key)] = key_node.start_mark.line + 1
                found[key] = self.value(value_node, (*place, key))
        return found

    def _merged(self, node: Any, depth: int) -> Iterator[tuple[Any, Any]]:
        """What `<<` brings in, the first of several mappings first."""
        if depth > _DEEPEST:
            raise self._error(node, "too many values, or nested too deep: this is no contract")
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                for source in value_node.value if value_node.id == "sequence" else [value_node]:
                    if source.id != "mapping":
                        raise self._error(value_node, "not valid YAML: `<<` takes mappings")
                    yield from ((key, value) for key, value in source.value if key.tag != _MERGE)
                    yield from self._merged(source, depth + 1)

    def _key(self, node: Any) -> Any:
        if node.id != "scalar":
            raise self._error(node, "not valid YAML: a key is one word")
        return self._scalar(node)

    def _scalar(self, node: Any) -> Any:
        from ruamel.yaml.error import YAMLError

        try:
            return self._constructor.construct_object(node, deep=True)
        except (YAMLError, ValueError, OverflowError) as error:
            problem = getattr(error, "problem", None) or f"cannot be read as {node.tag.rpartition(':')[2]}"
            raise self._error(node, f"not valid YAML: {problem}") from None

    def _error(self, node: Any, message: str) -> ContractError:
        return ContractError(f"{self._path}:{node.start_mark.line + 1}: {message}")


def _shown(key: Any) -> str:
    return repr(key) if isinstance(key, str) else str(key)


def _variables(file: ContractFile) -> dict[str, Any]:
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
            raise file.error(f"variable {_shown(name)}: expected `default: <text or number>`", place)
        if isinstance(value, str) and any(found[1] == "env" for found in _VARIABLE.finditer(value)):
            raise file.error(f"variable {_shown(name)}: Soda takes no `${{env.…}}` here", place)
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


def _resolved(file: ContractFile, value: Any, values: Mapping[str, Any], place: Place) -> Any:
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
