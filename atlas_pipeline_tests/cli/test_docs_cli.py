"""`atlas docs build` and `serve`: where the site goes, exit codes, and what is said when it cannot be built."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atlas_pipeline.cli import app
from atlas_pipeline.settings import PROJECT_ROOT, load_settings
from atlas_pipeline_tests.catalog.site.sites import silver, site_of

pytestmark = pytest.mark.slow

DATASET = """\
type: atlas_pipeline.components.Dataset
attributes:
  source: people/*.csv
  columns:
    - {name: id, type: integer}
"""
MODEL = "type: atlas_pipeline.components.GoldModel\nattributes: {description: All of them.}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the package whose declarations are one dataset, and one model that is wrong."""
    package = tmp_path / "project" / "atlas_pipeline"
    ignored = shutil.ignore_patterns("__pycache__", "datasets", "gold")
    shutil.copytree(PROJECT_ROOT / "atlas_pipeline", package, ignore=ignored)
    for name in ("pyproject.toml", "workspace.yaml"):
        shutil.copy(PROJECT_ROOT / name, package.parent / name)
    for name, text in {
        "datasets/people/defs.yaml": DATASET,
        "gold/all_of_them/defs.yaml": MODEL,
        "gold/all_of_them/model.sql": "SELECT nothing FROM silver.people",
    }.items():
        path = package / "defs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package.parent


def environment(project: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(project)}


def test_it_is_built_though_a_declaration_is_wrong(project: Path, atlas_env: Path) -> None:
    command = [sys.executable, "-m", "atlas_pipeline.cli", "docs", "build", "--json"]
    done = subprocess.run(command, cwd=project, env=environment(project), capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    said = json.loads(done.stdout)
    folder = Path(said["output"])
    assert folder == atlas_env / "catalogue"
    assert said["tables"] == 3
    assert said["pages"] == len(list(folder.glob("*.html"))) == 6
    assert list(said["invalid"]) == ["gold.all_of_them"]
    assert "defs/gold/all_of_them/model.sql:1: " in said["invalid"]["gold.all_of_them"]
    assert "declaration is wrong" in (folder / "index.html").read_text()
    assert "Warning" not in done.stderr


def test_a_database_that_is_down_is_said_and_the_site_stays(
    atlas_env: Path, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from atlas_pipeline.catalog.site.building import build_site

    before = build_site(site_of({"silver.old": silver("old")}), atlas_env / "catalogue")
    monkeypatch.setenv("ATLAS_DATABASE_URL", "postgresql://me@127.0.0.1:1/atlas")
    load_settings.cache_clear()
    done = CliRunner().invoke(app, ["docs", "build"])
    assert done.exit_code == 1
    assert "atlas: the catalogue was not built, since cannot reach Postgres at 127.0.0.1:1/atlas" in done.stderr
    assert "`--declared-only`" in done.stderr
    assert "Traceback" not in done.stderr
    assert (before.folder / "silver.old.html").is_file()


def test_a_folder_of_something_else_is_refused(atlas_env: Path) -> None:
    (atlas_env / "mine").mkdir()
    (atlas_env / "mine" / "thesis.txt").touch()
    done = CliRunner().invoke(app, ["docs", "build", "--declared-only", "--output", str(atlas_env / "mine")])
    assert done.exit_code == 1
    assert "holds something else" in done.stderr


@pytest.fixture
def served(project: Path, atlas_env: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a server of the site, made without the database, and its process."""
    command = [sys.executable, "-m", "atlas_pipeline.cli", "docs", "serve", "--port", "0", "--declared-only", "--json"]
    process = subprocess.Popen(
        command, cwd=project, env=environment(project), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        said = ""
        while not said.rstrip().endswith("}"):
            line = process.stdout.readline()
            assert line, "it ended before it served"
            said += line
        yield json.loads(said)["url"], process
    finally:
        process.kill()
        process.wait()


def test_it_is_served_on_this_machine_until_a_signal(served: tuple[str, subprocess.Popen[str]]) -> None:
    url, process = served
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{url}/silver.people.html") as answer:
        assert answer.headers["Cache-Control"] == "no-cache"
        page = answer.read().decode()
    assert "Made from declarations alone" in page
    taken = CliRunner().invoke(app, ["docs", "serve", "--declared-only", "--port", url.rpartition(":")[2]])
    assert taken.exit_code == 1
    assert "is in use" in taken.stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
