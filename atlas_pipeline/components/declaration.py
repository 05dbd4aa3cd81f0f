"""What Dataset and GoldModel share: where they were declared, and errors that name file, line and what was expected.

Belongs here: what is wrong with a YAML file, put for a person. Does not belong here: any asset.
"""

import contextvars
import copy
import functools
import re
import typing
import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import dagster as dg
from dagster.components.core.decl import YamlDecl
from dagster.components.resolved.base import derive_model_type
from dagster_shared.yaml_utils.source_position import SourcePositionTree
from pydantic import BaseModel, Field, PrivateAttr, ValidationError, create_model, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails

from atlas_pipeline.documents.faults import DocumentError, one_of, shown, unknown

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
NAME_EXPECTED = "up to 40 of a-z, 0-9 and single _, beginning with a letter"
_RESERVED = {"rejected_lines"}
_WANTED = {"string_type": "text", "list_type": "a list", "dict_type": "a mapping", "model_type": "a mapping"}
T = TypeVar("T")


class DeclarationError(DocumentError):
    """A declaration that cannot be built; the message begins with file and line."""


class Described(dg.Model, dg.Resolvable):
    """A part of a YAML file. Its fields' descriptions are in the schema that editors complete from."""

    @classmethod
    def model(cls) -> type[BaseModel]:
        """Dagster's model of this class, with the descriptions that Dagster leaves out of fields with a default."""
        return _described_model(cls)


class Declared(dg.Component, Described):
    """A component that knows the file it was declared in, and explains what is wrong with it."""

    _folder: Path = PrivateAttr(default=Path())
    _positions: SourcePositionTree | None = PrivateAttr(default=None)

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """What Dagster validates the YAML with: its own model of this class, with errors that say what was expected."""
        return _explaining(cls)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Load the component and remember where it was declared."""
        folder = context.path if context.path.is_dir() else context.path.parent
        decl = context.component_decl
        positions = decl.source_tree.source_position_tree if isinstance(decl, YamlDecl) and decl.source_tree else None
        required = [name for name, field in cls.model_fields.items() if field.is_required()]
        if attributes is None and required:
            place = _place(folder, positions, ("attributes",))
            raise DeclarationError(f"{place}: attributes are missing: expected at least {', '.join(required)}")
        component = super().load(attributes, context)
        component._folder, component._positions = folder, positions
        return component

    @property
    def folder(self) -> Path:
        """The folder that holds the declaration."""
        return self._folder

    @property
    def contract(self) -> Path | None:
        """The contract beside the declaration, if there is one."""
        path, wrong = self._folder / "contract.yml", self._folder / "contract.yaml"
        if wrong.exists():
            raise DeclarationError(f"{wrong}:1: this name is not read: expected contract.yml")
        return path if path.exists() else None

    def place(self, *place: str | int) -> str:
        """File and line of the attribute at `place`, or of the nearest one above it that is there."""
        return _place(self._folder, self._positions, ("attributes", *place))

    def fail(self, message: str, *place: str | int) -> DeclarationError:
        """An error about the attribute at `place`, with the line where it stands."""
        return DeclarationError(f"{self.place(*place)}: {message}")

    @contextmanager
    def naming_the_place(self) -> Iterator[None]:
        """Add file and line to what Dagster says about owners and tags."""
        try:
            yield
        except dg.DagsterInvalidDefinitionError as error:
            text = " ".join(str(error).split())
            field = next((field for field in ("owners", "tags") if field[:-1] in text.lower()), "description")
            raise self.fail(text, field) from None

    def checked_name(self, name: str) -> str:
        """The name, if tables can have it. Raises DeclarationError."""
        if not is_table_name(name):
            raise self.fail(
                f"{name!r} cannot be the name of a table: expected {NAME_EXPECTED}. Set `name:` or rename the folder",
                "name",
            )
        return name


class TableFields(Declared):
    """The fields that datasets and gold models have alike."""

    owners: list[str] = Field([], description="E-mail addresses, or team:<name>.")
    anomalies: bool = Field(
        True, description="Whether each publication is compared with those before it: the check `anomalies`, a warning."
    )


def is_table_name(name: str) -> bool:
    """Whether tables of all layers can have this name."""
    return _NAME.fullmatch(name) is not None and name not in _RESERVED and "__" not in name


def by_table(context: dg.ComponentLoadContext, kind: type[T], layer: str) -> dict[str, T]:
    """All components of one class in the project, by the name of their table.

    Args:
        context: of the component that asks.
        kind: the class, `Dataset` or `GoldModel`.
        layer: where their tables are, for the message.

    Raises:
        DeclarationError: names both files where two have the same table.
    """

    def collect() -> dict[str, T]:
        found: dict[str, Any] = {}
        for component in context.component_tree.get_all_components(typing.cast(Any, kind)):
            other = found.setdefault(component.table, component)
            if other is not component:
                message = f"the table {layer}.{component.table} is declared already, in {other.place('name')}"
                raise component.fail(message, "name")
        return found

    return memoize_per_tree(context.component_tree, ("by_table", kind), collect)


Tables = Mapping[tuple[str, str], Sequence[str]]
_absent: contextvars.ContextVar[Callable[[], Tables] | None] = contextvars.ContextVar("absent", default=None)


@contextmanager
def without(tables: Callable[[], Tables]) -> Iterator[None]:
    """Load the project while these tables, by layer and name, are not declared, since what declares them is wrong.

    Args:
        tables: gives their columns, none where they cannot be told.
    """
    token = _absent.set(tables)
    try:
        yield
    finally:
        _absent.reset(token)


def absent_tables() -> Tables:
    """The tables whose declaration is wrong. Those that were published are there, so that others may read them."""
    tables = _absent.get()
    return tables() if tables else {}


_known: weakref.WeakKeyDictionary[Any, dict[Hashable, Any]] = weakref.WeakKeyDictionary()


def memoize_per_tree(tree: dg.ComponentTree, what: Hashable, compute: Callable[[], T]) -> T:
    """Compute something about the whole project once, for every component that needs it.

    A tree cannot be referred to weakly; its state tracker, which it alone has, can.

    Args:
        tree: of all components.
        what: names the result.
        compute: called when the tree has none of that name yet.
    """
    known = _known.setdefault(tree.state_tracker, {})
    if what not in known:
        known[what] = compute()
    return typing.cast(T, known[what])


def _place(folder: Path, positions: SourcePositionTree | None, place: Sequence[str | int]) -> str:
    if positions is None:
        return f"{folder}:1"
    return str(positions.lookup_closest_and_path(place, None)[0])


@functools.cache
def _described_model(target: type[Described]) -> type[BaseModel]:
    model = derive_model_type(target)
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        described = copy.copy(field)
        described.description = target.model_fields[name].description
        fields[name] = (field.annotation, described)
    return create_model(model.__name__, __base__=model, __doc__=target.__doc__, **fields)


# What is wrong with the attributes, before Dagster resolves templates in them. Dagster adds file and line to each.


@functools.cache
def _explaining(target: type[Declared]) -> type[BaseModel]:
    model = target.model()

    def explain(cls: type[BaseModel], data: Any) -> Any:
        try:
            target.model_validate(data)
        except ValidationError as error:
            problems = list(_explained(target, data, error.errors(include_url=False)))
            if problems:
                raise ValidationError.from_exception_data(target.__name__, problems) from None
        return data

    validators: dict[str, Any] = {"explain": model_validator(mode="before")(explain)}
    return create_model(model.__name__, __base__=model, __doc__=target.__doc__, __validators__=validators)


def _explained(target: type[BaseModel], data: Any, errors: Iterable[ErrorDetails]) -> Iterable[InitErrorDetails]:
    """One error for each place; templates are left to Dagster."""
    found: dict[tuple[str | int, ...], list[ErrorDetails]] = {}
    for error in errors:
        if not (isinstance(error["input"], str) and "{{" in error["input"]):
            found.setdefault(_in_file(data, error), []).append(error)
    for place, several in found.items():
        deeper = any(other != place and other[: len(place)] == place for other in found)
        if not deeper:  # of several things that could stand here, the one that was tried is meant
            yield InitErrorDetails(
                type="value_error",
                loc=place,
                input=several[0]["input"],
                ctx={"error": ValueError(_message(target, place, several))},
            )


def _in_file(data: Any, error: ErrorDetails) -> tuple[str | int, ...]:
    """Where the error is in the file: pydantic's place without the names of alternatives."""
    place: list[str | int] = []
    for index, step in enumerate(error["loc"]):
        found = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if found or (isinstance(data, dict) and step in data):
            data = data[step]
        elif not (error["type"] == "missing" and index == len(error["loc"]) - 1):
            continue
        place.append(step)
    return tuple(place)


def _message(target: type[BaseModel], place: tuple[str | int, ...], errors: list[ErrorDetails]) -> str:
    """What is said of one place.

    Args:
        target: the model that the attributes are validated with.
        place: where the faults are; the last step is the key.
        errors: what pydantic found there: one for each alternative that the value could have been.
    """
    first, name = errors[0], str(place[-1]) if place else "attributes"
    fields = _fields_at(target, place[:-1])
    if first["type"] == "missing":
        return f"{name!r} is missing: expected {_described(fields, name)}"
    if first["type"] == "extra_forbidden":
        return unknown("key", name, fields)
    value = first["input"]
    meaning = f" ({_described(fields, name)})" if name in fields else ""
    if all(error["type"] in ("literal_error", "string_pattern_mismatch") for error in errors):
        several = [error for error in errors if error["type"] == "literal_error"]
        known = [word for error in several for word in re.findall(r"'(\w+)'", error["msg"])]
        return f"found {shown(value)}: {one_of(value, known)}{meaning}"
    wanted = list(dict.fromkeys(_WANTED.get(error["type"]) or _plain(error["msg"]) for error in errors))
    text = isinstance(value, bool | int | float) and any(error["type"] == "string_type" for error in errors)
    hint = "; put it in quotes" if text else ""
    return f"found {shown(value)}, expected {' or '.join(wanted)}{hint}{meaning}"


def _plain(message: str) -> str:
    return message.removeprefix("Input should be ")


def _described(fields: dict[str, str], name: str) -> str:
    return fields.get(name) or f"a value for {name}"


def _fields_at(target: type[BaseModel], place: Sequence[str | int]) -> dict[str, str]:
    """The keys that can stand at a place, and what each means."""
    for step in place:
        if isinstance(step, int):
            continue
        field = target.model_fields.get(step)
        inner = next(_models_in(field.annotation), None) if field else None
        if inner is None:
            return {}
        target = inner
    return {name: (field.description or "").rstrip(".") for name, field in target.model_fields.items()}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)
