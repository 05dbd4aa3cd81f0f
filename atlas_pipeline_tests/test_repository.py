"""What engineers expect of a repository: declared dependencies, checks at each commit, a changelog of each version.

Belongs here: rules about files of the root. Does not belong here: documentation (`test_docs.py`), rules about modules
(`test_architecture.py`).
"""

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pre_commit.languages import pygrep

from atlas_pipeline.settings import PROJECT_ROOT

PROJECT: dict[str, Any] = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNTIME = {canonicalize_name(Requirement(text).name) for text in PROJECT["project"]["dependencies"]}
RUNTIME |= {
    canonicalize_name(Requirement(text).name)
    for texts in PROJECT["project"]["optional-dependencies"].values()
    for text in texts
}
CONFIG: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
DEVELOPMENT = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependency-groups"]["dev"]}


def imports(folder: Path) -> Iterator[tuple[str, Path]]:
    """The first name of every absolute import, those inside functions too, with its file."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((alias.name.partition(".")[0], path) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0], path


def undeclared(folder: str, declared: set[str]) -> set[str]:
    """Imports that no declared dependency provides, with the file that has them."""
    root = PROJECT_ROOT / folder
    own = {"atlas_pipeline", "atlas_pipeline_tests", *(path.stem for path in root.rglob("*.py"))}
    providers = importlib.metadata.packages_distributions()
    return {
        f"{name} ({path.relative_to(PROJECT_ROOT)})"
        for name, path in imports(root)
        if name not in sys.stdlib_module_names and name not in own
        if not declared & {canonicalize_name(package) for package in providers.get(name, ())}
    }


def test_every_import_of_the_package_is_a_declared_dependency() -> None:
    assert "dagster" in {name for name, _ in imports(PROJECT_ROOT / "atlas_pipeline")}, "the search is blind"
    assert undeclared("atlas_pipeline", RUNTIME) == set()


@pytest.mark.parametrize("folder", ["atlas_pipeline_tests", "benchmarks", "docs"])
def test_every_other_import_is_a_declared_dependency(folder: str) -> None:
    assert undeclared(folder, RUNTIME | DEVELOPMENT) == set()


def test_an_undeclared_import_is_found() -> None:
    found = undeclared("atlas_pipeline", RUNTIME - {"grpcio"})
    assert "grpc (atlas_pipeline/instance/code_server.py)" in found


def test_hooks_take_their_tools_from_the_lock_file() -> None:
    """No hook installs anything, so that `make lint` needs no network after `make setup`."""
    assert {repo["repo"] for repo in CONFIG["repos"]} == {"local"}
    for hook in (hook for repo in CONFIG["repos"] for hook in repo["hooks"]):
        assert hook["language"] in ("system", "pygrep"), hook["id"]
        assert hook["language"] == "pygrep" or (PROJECT_ROOT / hook["entry"].split()[0]).exists(), hook["id"]


@pytest.mark.parametrize(
    "message",
    [
        "Install test tools in the image only for the test target\n",
        "Show what compose complained of",
        "Show what compose complained of\n\nIts first line is in the error.\nThe rest is not.\n\nMore.\n",
        "Show what compose complained of\n\n# Please enter the commit message for your changes"
        + " word" * 30
        + "\n#\n",
        "Show it\n\nWhy.\n# ------------------------ >8 ------------------------\n# Below is\n+" + "x" * 200 + "\n",
        "S" * 72 + "\n",
        "…" * 72 + "\n\n" + "…" * 100 + "\n",
    ],
)
def test_commit_messages_that_are_taken(tmp_path: Path, message: str) -> None:
    assert takes(tmp_path, message)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "\n",
        "S" * 73 + "\n",
        "…" * 73 + "\n",
        "Show what compose complained of.\n",
        "Show what compose complained of \n",
        "show what compose complained of\n",
        "Show what compose complained of\nIts first line is in the error.\n",
        "Show what compose complained of\n\n" + "word " * 21 + "\n",
        "Show what compose complained of\n\nShort.\n" + "w" * 101,
    ],
)
def test_commit_messages_that_are_refused(tmp_path: Path, message: str) -> None:
    assert not takes(tmp_path, message)


def takes(folder: Path, message: str) -> bool:
    """Whether the hook takes a message: pre-commit's own search with the hook's pattern."""
    hooks = {hook["id"]: hook for repo in CONFIG["repos"] for hook in repo["hooks"]}
    file = folder / "COMMIT_EDITMSG"
    file.write_text(message, encoding="utf-8")
    hook = hooks["commit-message"]
    return pygrep.main([*hook["args"], hook["entry"], str(file)]) == 0


def test_the_changelog_has_this_version_and_what_comes_next() -> None:
    text = (PROJECT_ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"(?m)^## \[(.+?)\]", text)
    assert versions[0] == "Unreleased"
    assert PROJECT["project"]["version"] in versions
