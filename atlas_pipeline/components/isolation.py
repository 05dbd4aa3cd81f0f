"""Loading the project so that a declaration that is wrong takes out itself and nothing else.

Belongs here: which folder an error is about, the project without it, and what others may still know of its table. Does
not belong here: what stands in its place in the UI (`orchestration/tables/invalid.py`), and what is wrong with a
declaration (`dataset.py`, `gold_model.py`, `quality/contract.py`).

A project without faults is loaded once. An error names the file that it is about, or Dagster the component: the
project is then loaded again without that folder, until it loads. What no folder answers for is raised, as is an error
in Python.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster.components.core import decl
from dagster.components.core.component_tree import ComponentTreeException
from dagster.components.core.context import ComponentDeclLoadContext
from dagster.components.core.decl import ComponentDecl

from atlas_pipeline.components.declaration import is_table_name, without
from atlas_pipeline.orchestration.tables.invalid import Invalid
from atlas_pipeline.sql.lineage import read_model
from atlas_pipeline.sql.rules import ModelError

# Dagster passes this parameter itself for checks that are declared beside an asset, and warns of it at each load.
warnings.filterwarnings("ignore", "Parameter `execution_type` of function `AssetsDefinition", dg.BetaWarning)

_FILES = ("defs.yaml", "component.yaml")
_COMPONENT = re.compile(r"Error while (?:loading component|building definitions for) (.+?)(?:\[\d+\])?:\n")
_FOR_PROGRAMMERS = re.compile(
    r" \[type=\w+, input_value=.*\]$|\n +For further information visit \S+$|(?<=^  )Value error, ", re.MULTILINE
)
_KINDS = {"Dataset": "silver", "GoldModel": "gold"}


def load_leniently(
    tree: Callable[[], dg.ComponentTree],
) -> tuple[dg.ComponentTree, dg.Definitions, list[Invalid]]:
    """Load all declarations but those that are wrong.

    Args:
        tree: makes a tree of all components; called for each attempt.

    Returns:
        The tree without what was left out, its definitions, and what was left out.

    Raises:
        Exception: whatever is raised that is not about one declaration.
    """
    left_out: dict[Path, Invalid] = {}
    while True:
        attempt = tree()
        try:
            with (
                _without_beta_warnings(),
                _skipping(left_out),
                without(lambda: {one.key: one.columns for one in left_out.values()}),
            ):
                return attempt, attempt.build_defs(), list(left_out.values())
        except Exception as error:
            folder = _folder_of(error, attempt.defs_module_path, left_out)
            if folder is None:
                raise
            left_out[folder] = _invalid(folder, _reason(error))


@contextmanager
def _without_beta_warnings() -> Iterator[None]:
    """Have Dagster not warn of two classes that it uses itself, for each component of YAML."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Class `(LocalFileCodeReference|CodeReferencesMetadataValue)`", dg.BetaWarning
        )
        yield


@contextmanager
def _skipping(left_out: dict[Path, Invalid]) -> Iterator[None]:
    """Have Dagster pass over folders that are left out, and over those whose YAML cannot be read, which are added."""
    build = decl.build_filesystem_component_decl_from_context

    def build_or_skip(context: ComponentDeclLoadContext) -> ComponentDecl[Any] | None:
        path = context.path
        if path in left_out:
            return None
        try:
            return build(context)
        except Exception as error:
            if not any((path / name).is_file() for name in _FILES):
                raise
            left_out[path] = _invalid(path, _reason(error))
            return None

    decl.build_filesystem_component_decl_from_context = build_or_skip
    try:
        yield
    finally:
        decl.build_filesystem_component_decl_from_context = build


def _chain(error: BaseException) -> list[BaseException]:
    """The error and its causes, the innermost first."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    return chain[::-1]


def _reason(error: BaseException) -> str:
    """The innermost words, without what pydantic adds for programmers."""
    return _FOR_PROGRAMMERS.sub("", str(_chain(error)[0])).strip() or type(error).__name__


def _folder_of(error: Exception, root: Path, left_out: Mapping[Path, Invalid]) -> Path | None:
    """The folder of the declaration that an error is about: the one named first, else that of Dagster's component."""
    folders = sorted({path.parent for name in _FILES for path in root.rglob(name)} - left_out.keys(), reverse=True)
    chain = _chain(error)
    for one in chain:
        text = str(one)
        if not isinstance(one, ComponentTreeException):
            places = {folder: text.find(f"{folder}/") for folder in folders}
            named = [folder for folder in folders if places[folder] >= 0]
            if named:
                return min(named, key=lambda folder: (places[folder], -len(str(folder))))
        elif found := _COMPONENT.match(text):
            folder = root / found[1]
            return folder if folder in folders else None
    return None


def _invalid(folder: Path, reason: str) -> Invalid:
    """What can be told of a declaration that is wrong: the table's name and columns, and what it is made from."""
    attributes, kind = _attributes(folder)
    layer = _KINDS.get(kind, "gold" if (folder / "model.sql").exists() else "silver")
    name = attributes.get("name")
    table = name if isinstance(name, str) and is_table_name(name) else folder.name
    if layer == "gold":
        return Invalid(layer, table, folder, reason, _sources(folder))
    # What a wrong declaration says of columns is not held against those who read the table that was published.
    declared = attributes.get("columns") if f"{folder / 'contract.y'}" in reason else None
    columns = [
        str(column["name"])
        for column in (declared if isinstance(declared, list) else [])
        if isinstance(column, dict) and "name" in column and column.get("action") != "drop"
    ]
    return Invalid(layer, table, folder, reason, (("bronze", table),), tuple(columns))


def _attributes(folder: Path) -> tuple[dict[str, Any], str]:
    """The attributes of a declaration as far as they can be read, and the name of its type."""
    for name in _FILES:
        try:
            document = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError, yaml.YAMLError):
            continue
        if isinstance(document, dict):
            attributes = document.get("attributes")
            kind = str(document.get("type", "")).rpartition(".")[2]
            return attributes if isinstance(attributes, dict) else {}, kind
    return {}, ""


def _sources(folder: Path) -> tuple[tuple[str, str], ...]:
    """The tables that a model reads, as far as its SQL can be read."""
    path = folder / "model.sql"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ()
    try:
        return tuple((source.schema, source.name) for source in read_model(text, path).tables)
    except ModelError:
        words = re.findall(r"\b(silver|gold)\.([a-z][a-z0-9_]*)", text)
        return tuple(dict.fromkeys(words))
