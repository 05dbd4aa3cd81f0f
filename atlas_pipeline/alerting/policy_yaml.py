"""The file of policies as YAML 1.2: plain data, and the line of everything in it.

Belongs here: from bytes to plain data, and what is no YAML, or more than a person writes. Does not belong here: what
the file may say (`policy_schema.py`, `policy_file.py`). The grammar is ruamel's; lines come from its nodes.
"""

import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MOST_BYTES = 1 << 18
_MOST_VALUES = 20_000
_DEEPEST = 20
_LONGEST_NUMBER = 100
_SHOWN = 40
_TAG = "tag:yaml.org,2002:"
Place = tuple[Any, ...]
"""The way to a value, from the root of the document: keys, and indices of lists."""


class PolicyFileError(Exception):
    """A file of policies that cannot be used; each line of the message is `file:line: what, expected what`."""


@dataclass(frozen=True)
class PolicyYaml:
    """A file as plain data, where each part of it stands, and what is wrong already: lines, and what is said of them.

    Of a key that is there twice `data` has the first; what is at a place of `unread` is null.
    """

    data: Any
    lines: Mapping[Place, int]
    faults: tuple[tuple[int, str], ...]
    unread: Collection[Place]

    def line(self, place: Place) -> int:
        """The line of what is at `place`, or of the nearest thing above it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_yaml(path: Path) -> PolicyYaml | None:
    """The file's data; null when there is no file.

    Raises PolicyFileError for what cannot be read, and for what is no YAML.
    """
    text = _text(path)
    if text is None:
        return None
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        _check_shape(path, text)
        root = YAML(typ="safe").compose(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        said = (getattr(error, "context", None), getattr(error, "problem", None))
        problem = ", ".join(filter(None, said)) or str(error).splitlines()[0]
        if mark and "".join(text.split("\n")[mark.line : mark.line + 1])[mark.column :].startswith("\t"):
            problem = "a tab, expected blanks"
        raise _error(path, mark.line + 1 if mark else 1, f"not valid YAML: {problem}") from None
    reader = _Reader(path)
    data = reader.value(root, ()) if root is not None else None
    return PolicyYaml(data, reader.lines, tuple(reader.faults), reader.unread)


def shown(value: Any) -> str:
    """A value for a message, cut off; an address may hold a secret and is not shown."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"a {kind}" if value else f"an empty {kind}"
    text = repr(value) if isinstance(value, str) else str(value)
    if "://" in text:
        return "an address"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _error(path: Path, line: int, message: str) -> PolicyFileError:
    return PolicyFileError(f"{path}:{line}: {message}")


def _text(path: Path) -> str | None:
    """What the file holds; a link that leads nowhere is no missing file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _error(path, 1, "cannot be read: this is no file, expected YAML")
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise _error(path, 1, f"cannot be read: {error.strerror}") from None
        return None
    except (OSError, ValueError) as error:
        raise _error(path, 1, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > _MOST_BYTES:
        raise _error(path, 1, f"more than {_MOST_BYTES >> 10} KiB: this is no file of policies")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _error(path, line, f"not valid YAML: byte {raw[error.start]:#04x} is no UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _check_shape(path: Path, text: str) -> None:
    """Looks at the events alone: composing recurses in C, and thousands of open brackets would end the process."""
    from ruamel.yaml import YAML

    depth = 0
    for event in YAML(typ="safe").parse(text):
        kind = type(event).__name__
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if depth > _DEEPEST:
            raise _error(path, event.start_mark.line + 1, "nested too deep: this is no file of policies")
        if getattr(event, "version", None):
            raise _error(path, event.start_mark.line + 1, "remove the line %YAML: policies are YAML 1.2")


class _UnreadError(Exception):
    """A node that is neither word nor number."""


class _Reader:
    """Plain data from ruamel's nodes. Dates are text, as nothing here is a date."""

    def __init__(self, path: Path) -> None:
        from ruamel.yaml import YAML

        self._path = path
        self._constructor = YAML(typ="safe").constructor
        self._values = 0
        self.lines: dict[Place, int] = {}
        self.faults: list[tuple[int, str]] = []
        self.unread: set[Place] = set()

    def value(self, node: Any, place: Place) -> Any:
        """The value of a node. Aliases are followed each time, so their number and depth are limited."""
        self._values += 1
        if self._values > _MOST_VALUES or len(place) > _DEEPEST:
            message = "too many values, or nested too deep: this is no file of policies"
            raise _error(self._path, node.start_mark.line + 1, message)
        if node.id == "mapping" and node.tag == f"{_TAG}map":
            return self._mapping(node, place)
        if node.id == "sequence" and node.tag == f"{_TAG}seq":
            for index, item in enumerate(node.value):
                self.lines[(*place, index)] = item.start_mark.line + 1
            return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
        try:
            return self._scalar(node)
        except _UnreadError as error:
            self._fault(node, str(error))
            self.unread.add(place)
            return None

    def _mapping(self, node: Any, place: Place) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            try:
                key = self._scalar(key_node)
            except _UnreadError as error:
                self._fault(key_node, str(error))
                continue
            if key in found:
                self._fault(key_node, f"the key {shown(key)} is there twice, expected once")
                continue
            self.lines[(*place, key)] = key_node.start_mark.line + 1
            found[key] = self.value(value_node, (*place, key))
        return found

    def _scalar(self, node: Any) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if node.id != "scalar":
            raise _UnreadError("not valid YAML here: expected one word or number, and no tags")
        if kind in ("str", "timestamp", "merge"):
            return node.value
        if kind not in ("int", "float", "bool", "null"):
            raise _UnreadError(f"not valid YAML: the tag {node.tag} has no meaning here")
        try:
            if len(node.value) > _LONGEST_NUMBER:
                raise ValueError
            return self._constructor.construct_object(node, deep=True)
        except (ValueError, LookupError, ArithmeticError):
            raise _UnreadError(f"not valid YAML: this cannot be read as {kind}") from None

    def _fault(self, node: Any, message: str) -> None:
        self.faults.append((node.start_mark.line + 1, message))
