"""YAML 1.2 with the line of every value: read by ruamel, without executing tags, within bounds.

Belongs here: from a file to plain data, and what is not YAML, or more than a person writes. Does not belong here: what
a document may say (`schemas.py`, and each reader).
"""

import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atlas_pipeline.documents.faults import DocumentError, Fault, Place, shown

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_LONGEST_NUMBER = 100
"""In characters. Python refuses to print longer ones, and takes quadratic time to read them."""


@dataclass(frozen=True)
class Kind:
    """A kind of document, and the most that a person writes in one.

    Attributes:
        name: how messages call it, such as `a contract`.
        error: what is raised for it.
        most_bytes: size of the file.
        most_values: number of values, those of aliases counted each time they are used.
        deepest: how deep mappings and lists may be nested.
        merges: whether `<<` merges mappings; otherwise it is a key like any other.
        dates: whether dates are read as such; otherwise they are text.
    """

    name: str
    error: type[DocumentError]
    most_bytes: int
    most_values: int
    deepest: int
    merges: bool = True
    dates: bool = True


@dataclass(frozen=True)
class Document:
    """A file as plain data, where each part of it stands, and what is wrong with it already.

    Of a duplicate key `data` has the first value; what could not be read is null there, and its place is in `unread`.
    """

    path: Path
    kind: Kind
    text: str
    data: Any
    lines: Mapping[Place, int]
    faults: tuple[tuple[int, str], ...]
    unread: Collection[Place]

    def line(self, place: Place) -> int:
        """The line of what is at `place`, or of the nearest thing above it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def error(self, message: str, place: Place = ()) -> DocumentError:
        """The error about what is at `place`."""
        return self.kind.error.at(self.path, self.line(place), message)

    def refuse(self, faults: Iterable[Fault] = ()) -> None:
        """Raise one error with these faults and those of reading; none when there are none.

        Args:
            faults: what a reader finds wrong. Those about what could not be read anyway are left out.

        Raises:
            DocumentError: of the class that `kind` names, when there is any fault.
        """
        found = [(self.line(place), message) for message, place in faults if place not in self.unread]
        if found or self.faults:
            raise self.kind.error.listing(self.path, [*self.faults, *found])


def read(path: Path, kind: Kind) -> Document:
    """Read a file, which must be there.

    Args:
        path: the file.
        kind: what it is read as.

    Raises:
        DocumentError: of the class that `kind` names, for a file that cannot be read or is not YAML.
    """
    document = read_if_any(path, kind)
    if document is None:
        raise kind.error.at(path, 1, "cannot be read: No such file or directory")
    return document


def read_if_any(path: Path, kind: Kind) -> Document | None:
    """Read a file; null when there is none. A link that leads nowhere cannot be read.

    Raises:
        DocumentError: as `read`.
    """
    text = _text(path, kind)
    if text is None:
        return None
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        _check_shape(path, kind, text)
        root = YAML(typ="safe").compose(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        reasons = (getattr(error, "context", None), getattr(error, "problem", None))
        problem = ", ".join(filter(None, reasons)) or str(error).splitlines()[0]
        if mark and "".join(text.split("\n")[mark.line : mark.line + 1])[mark.column :].startswith("\t"):
            problem = "found a tab, expected spaces"
        raise kind.error.at(path, mark.line + 1 if mark else 1, f"not valid YAML: {problem}") from None
    reader = _Reader(path, kind)
    data = reader.value(root, ()) if root is not None else None
    return Document(path, kind, text, data, reader.lines, tuple(reader.faults), reader.unread)


def _text(path: Path, kind: Kind) -> str | None:
    """The text of a file, with line feeds alone at the ends of lines."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise kind.error.at(path, 1, "cannot be read: not a regular file")
        with path.open("rb") as file:
            raw = file.read(kind.most_bytes + 1)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise kind.error.at(path, 1, f"cannot be read: {error.strerror}") from None
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise kind.error.at(path, 1, f"cannot be read: {reason}") from None
    if len(raw) > kind.most_bytes:
        raise kind.error.at(path, 1, f"more than {kind.most_bytes >> 10:,} KiB: this is not {kind.name}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"not valid YAML: byte {raw[error.start]:#04x} is not UTF-8"
        raise kind.error.at(path, line, message) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _check_shape(path: Path, kind: Kind, text: str) -> None:
    """Look at the events alone: composing recurses in C, and thousands of open brackets would end the process."""
    from ruamel.yaml import YAML

    depth = 0
    for event in YAML(typ="safe").parse(text):
        name = type(event).__name__
        depth += name.endswith("StartEvent") - name.endswith("EndEvent")
        if depth > kind.deepest:
            raise kind.error.at(path, event.start_mark.line + 1, f"nested too deep: this is not {kind.name}")
        if getattr(event, "version", None):
            message = f"remove the line %YAML: {kind.name} is YAML 1.2"
            raise kind.error.at(path, event.start_mark.line + 1, message)


class _UnreadError(Exception):
    """A node that has no value here."""


class _Reader:
    """Builds plain data from the nodes of a document."""

    def __init__(self, path: Path, kind: Kind) -> None:
        from ruamel.yaml import YAML

        self._path = path
        self._kind = kind
        self._constructor = YAML(typ="safe").constructor
        self._values = 0
        self.lines: dict[Place, int] = {}
        self.faults: list[tuple[int, str]] = []
        self.unread: set[Place] = set()

    def value(self, node: Any, place: Place) -> Any:
        """The value of a node. Aliases are followed each time, so their number and depth are limited."""
        self._count(node, len(place))
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
        for key_node, value_node, merged in self._entries(node, 0):
            try:
                key = self._scalar(key_node)
            except _UnreadError as error:
                self._fault(key_node, str(error))
                continue
            if key not in found:
                self.lines[(*place, key)] = key_node.start_mark.line + 1
                found[key] = self.value(value_node, (*place, key))
            elif not merged:
                self._fault(key_node, f"duplicate key {shown(key)}: expected it once")
        return found

    def _entries(self, node: Any, depth: int) -> Iterator[tuple[Any, Any, bool]]:
        """Key, value, and whether it is merged: a mapping's own entries, then what `<<` brings in, the first first."""
        self._count(node, depth)
        sources = []
        for key_node, value_node in node.value:
            if not self._kind.merges or key_node.tag != _MERGE:
                yield key_node, value_node, depth > 0
                continue
            for source in value_node.value if value_node.id == "sequence" else [value_node]:
                if source.id == "mapping":
                    sources.append(source)
                else:
                    self._fault(value_node, "not valid YAML: `<<` takes mappings")
        for source in sources:
            yield from self._entries(source, depth + 1)

    def _scalar(self, node: Any) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if node.id != "scalar" and kind in ("map", "seq"):
            raise _UnreadError("not valid YAML: expected a key of one word")
        if kind in ("str", "merge") or (kind == "timestamp" and not self._kind.dates):
            return node.value
        if node.id != "scalar" or kind not in ("int", "float", "bool", "null", "timestamp"):
            raise _UnreadError(f"not valid YAML: the tag {node.tag} has no meaning here")
        try:
            if len(node.value) > _LONGEST_NUMBER:
                raise ValueError
            return self._constructor.construct_object(node, deep=True)
        except (ValueError, LookupError, ArithmeticError):
            raise _UnreadError(f"not valid YAML: this cannot be read as {kind}") from None

    def _count(self, node: Any, depth: int) -> None:
        self._values += 1
        if self._values > self._kind.most_values or depth > self._kind.deepest:
            message = f"too many values, or nested too deep: this is not {self._kind.name}"
            raise self._kind.error.at(self._path, node.start_mark.line + 1, message)

    def _fault(self, node: Any, message: str) -> None:
        self.faults.append((node.start_mark.line + 1, message))
