"""What Dataset and GoldModel share: the folder they were declared in, and errors that name file and line.

Belongs here: reading back where in a YAML file a thing stands. Does not belong here: any asset.
"""

import re
from pathlib import Path
from typing import Any, Self

import dagster as dg
import yaml
from pydantic import BaseModel, PrivateAttr

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
RESERVED = {"rejected_lines"}


class DeclarationError(Exception):
    """A declaration that cannot be built; the message begins with file and line."""


class Declared(dg.Component, dg.Model, dg.Resolvable):
    """A component that knows the folder it was declared in."""

    _folder: Path = PrivateAttr(default=Path())

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Load the component and remember its folder."""
        component = super().load(attributes, context)
        component._folder = context.path if context.path.is_dir() else context.path.parent
        return component

    @property
    def folder(self) -> Path:
        """The folder that holds `defs.yaml`."""
        return self._folder

    @property
    def contract(self) -> Path | None:
        """The contract beside the declaration, if there is one."""
        path = self._folder / "contract.yml"
        return path if path.exists() else None

    def fail(self, message: str, *place: str | int) -> DeclarationError:
        """An error about the attribute at `place`, with the line where it stands."""
        path = self._folder / "defs.yaml"
        return DeclarationError(f"{path}:{_line(path, ('attributes', *place))}: {message}")

    def checked_name(self, name: str) -> str:
        """The name, if tables can have it. Raises DeclarationError."""
        if not NAME.fullmatch(name) or name in RESERVED or "__" in name:
            raise self.fail(
                f"{name!r} cannot be the name of a table: expected up to 40 of a-z, 0-9 and single _, beginning with "
                "a letter. Set `name:` or rename the folder",
                "name",
            )
        return name


def _line(path: Path, place: tuple[str | int, ...]) -> int:
    """The 1-based line of the node at `place`, or of the nearest one above it that is there."""
    node: Any = yaml.compose(path.read_text(encoding="utf-8")) if path.exists() else None
    line = 1
    for step in place:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == step), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = (node.value[step], node.value[step])
        if found is None:
            return line
        line, node = found[0].start_mark.line + 1, found[1]
    return line
