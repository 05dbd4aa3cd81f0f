"""`atlas connectors` on a project that has some: what is listed, what a test finds, exit codes."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from atlas_pipeline.settings import PROJECT_ROOT
from atlas_pipeline_tests.connectors.api import Api, serving

pytestmark = pytest.mark.slow

DEFS = "type: atlas_pipeline.components.Dataset\nattributes:\n  columns: [{name: id, type: integer}]\n  source:\n"
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def api() -> Iterator[Api]:
    """A server."""
    with serving() as one:
        one.rows = [{"id": 1, "at": "2024-01-01"}]
        yield one


@pytest.fixture
def command(api: Api, atlas_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`atlas`, in a copy of the project with two connectors."""
    project = tmp_path / "project"
    shutil.copytree(
        PROJECT_ROOT / "atlas_pipeline", project / "atlas_pipeline", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "workspace.yaml"):
        shutil.copy(PROJECT_ROOT / name, project)
    sources = {
        "lite": "    sql_database: {database: SHOP_DATABASE_URL, table: things, cursor: id}\n",
        "web": f"    rest_api: {{url: {api.url}, path: secret, pages: none, auth: {{bearer: SHOP_API_TOKEN}}}}\n",
    }
    for name, text in sources.items():
        folder = project / "atlas_pipeline" / "defs" / "datasets" / name
        folder.mkdir()
        (folder / "defs.yaml").write_text(DEFS + text)
    monkeypatch.setenv("SHOP_DATABASE_URL", f"sqlite:///{tmp_path}/shop.db")
    monkeypatch.setenv("SHOP_API_TOKEN", "hunter2")
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute("CREATE TABLE things (id integer)")
    connection.commit()
    connection.close()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "atlas_pipeline.cli", "connectors", *arguments]
        return subprocess.run(line, cwd=project, capture_output=True, text=True, check=False)

    return run


def said(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_list_test_and_reset(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = command("list", "--json")
    assert listed.returncode == 0
    assert said(listed)["connectors"] == [
        {"dataset": "lite", "kind": "sql_database", "cursor": True},
        {"dataset": "web", "kind": "rest_api", "cursor": False},
    ]
    tested = command("test", "--json")
    assert tested.returncode == 1
    lite, web = said(tested)["connectors"]
    assert (lite["ok"], lite["found"]) == (True, "sqlite by pysqlite, 1 columns")
    assert not web["ok"]
    assert "answered 401: are the credentials right" in web["found"]
    assert "hunter2" not in tested.stdout + tested.stderr
    assert command("test", "lite").returncode == 0
    monkeypatch.setenv("SHOP_DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    missing = command("test", "lite")
    assert missing.returncode == 1
    assert "the file that SHOP_DATABASE_URL names is not there" in missing.stdout
    wrong = command("test", "nothing")
    assert wrong.returncode == 1
    assert "no dataset nothing has a connector: expected one of lite, web" in wrong.stderr
    assert said(command("reset", "lite", "--json")) == {"dataset": "lite", "reset": False}


def test_help_has_an_example(command: Command) -> None:
    for name in ("list", "test", "reset"):
        assert "Example: atlas connectors" in command(name, "--help").stdout
