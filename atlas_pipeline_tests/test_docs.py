"""The documentation against the code: what is undocumented, stale, or points nowhere fails here."""

import ast
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
from typer.main import get_command

from atlas_pipeline.cli import app
from atlas_pipeline.components import connectors
from atlas_pipeline.components.dataset import Column, Dataset, PiiPolicy, SourceTable
from atlas_pipeline.components.freshness import Freshness
from atlas_pipeline.components.gold_model import GoldModel
from atlas_pipeline.ingest import typing_rows
from atlas_pipeline.ingest.types import COLUMN_TYPES, Rule
from atlas_pipeline.pii.kinds import ACTIONS, KINDS
from atlas_pipeline.settings import PREFIX, PROJECT_ROOT, Settings

DOCS = PROJECT_ROOT / "docs"
README = PROJECT_ROOT / "README.md"
READERS = PROJECT_ROOT / "atlas_pipeline" / "ingest" / "readers"
PAGES = sorted([*PROJECT_ROOT.glob("*.md"), *DOCS.rglob("*.md")])
RULE = re.compile(r"[a-z]+(?:_[a-z0-9]+)*")


def load_generate() -> ModuleType:
    """docs/generate.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = load_generate()
COMMANDS: dict[str, Any] = GENERATE.flat_commands(get_command(app))


def text_of(name: str) -> str:
    """A page, by its path in the project."""
    return (PROJECT_ROOT / name).read_text(encoding="utf-8")


def rows_of(page: str, part: str) -> set[str]:
    """What the first column of a generated table names."""
    found = re.search(rf"<!-- {part}:begin -->(.*?)<!-- {part}:end -->", text_of(page), re.DOTALL)
    assert found, f"{page} has no part {part}"
    return set(re.findall(r"(?m)^\| `([^`]+)` \|", found[1]))


def fenced(page: Path, *languages: str) -> Iterator[str]:
    """The lines of the page's code blocks in one of the languages, continued ones joined."""
    text = page.read_text(encoding="utf-8")
    for language, body in re.findall(r"(?ms)^ *```(\w*)\n(.*?)^ *```", text):
        if language in languages:
            yield from body.replace("\\\n", " ").splitlines()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))
def test_generated_parts_are_as_the_code_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert GENERATE.render(text) == text, "run `make docs`"


def test_a_stale_part_is_found_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- actions:begin -->\nold\n<!-- actions:end -->\nafter\n")
    monkeypatch.setattr(GENERATE, "ROOT", tmp_path)
    monkeypatch.setattr(GENERATE, "pages", lambda: [page])
    monkeypatch.setattr(GENERATE, "ENVIRONMENTS", {})
    assert GENERATE.main(["--check"]) == 1
    assert "page.md" in capsys.readouterr().err
    assert "old" in page.read_text()
    assert GENERATE.main([]) == 0
    assert "| `redact` |" in page.read_text()
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("after\n")
    assert GENERATE.main(["--check"]) == 0


@pytest.mark.parametrize("environment", GENERATE.ENVIRONMENTS)
def test_the_example_of_an_environment_is_as_the_code_says(environment: str) -> None:
    """Every setting and every variable of compose.yaml once, but for what compose.yaml sets itself."""
    text = GENERATE.env_file(environment).read_text(encoding="utf-8")
    assert GENERATE.env_example(environment) == text, "run `make docs`"
    offered = re.findall(r"(?m)^(?:# )?([A-Z0-9_]+)=", text)
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    own = {name if name in settings else name.removesuffix("_FILE") for name in GENERATE.set_by_compose()}
    assert own <= settings
    assert len(offered) == len(set(offered))
    assert set(offered) == settings - own | set(GENERATE.COMPOSE) | set(GENERATE.STORES)


def test_every_variable_of_compose_is_in_the_examples() -> None:
    """But for those that `make docker-build` sets."""
    texts = [text_of(name) for name in ("docker/compose.yaml", "docker/compose.monitoring.yaml")]
    found = dict(re.findall(r"\$\{([A-Z0-9_]+):-(.*?)\}", "\n".join(texts)))
    assert {name: default for name, default in found.items() if not name.startswith("BUILD_")} == {
        name: default for name, (default, _) in GENERATE.COMPOSE.items()
    }


@pytest.mark.parametrize("part", GENERATE.PARTS)
def test_every_generated_part_is_on_a_page(part: str) -> None:
    assert any(f"<!-- {part}:begin -->" in page.read_text(encoding="utf-8") for page in PAGES)


def test_every_setting_is_documented() -> None:
    assert rows_of("docs/configuration.md", "settings") == {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


def test_every_setting_says_what_it_means() -> None:
    assert not [name for name, field in Settings.model_fields.items() if not field.description]


@pytest.mark.parametrize(
    ("part", "model"),
    [
        ("dataset", Dataset),
        ("column", Column),
        ("source-table", SourceTable),
        ("pii-policy", PiiPolicy),
        ("freshness", Freshness),
        ("gold-model", GoldModel),
    ],
)
def test_every_yaml_field_is_documented(part: str, model: Any) -> None:
    assert rows_of("docs/datasets.md", part) == set(model.model_fields)
    assert not [name for name, field in model.model_fields.items() if not field.description]


@pytest.mark.parametrize(
    ("part", "model"),
    [
        ("sql-database", connectors.SqlDatabaseFields),
        ("rest-api", connectors.RestApiFields),
        ("pages", connectors.PagesFields),
        ("auth", connectors.AuthFields),
        ("cursor", connectors.CursorFields),
        ("filesystem", connectors.FilesystemFields),
        ("file-cursor", connectors.FileCursorFields),
    ],
)
def test_every_field_of_a_connector_is_documented(part: str, model: Any) -> None:
    assert rows_of("docs/connectors.md", part) == {field.alias or name for name, field in model.model_fields.items()}
    assert not [name for name, field in model.model_fields.items() if not field.description]


def test_every_type_and_action_is_documented() -> None:
    assert rows_of("docs/datasets.md", "types") == set(COLUMN_TYPES)
    assert rows_of("docs/datasets.md", "actions") == set(ACTIONS)
    assert rows_of("docs/pii.md", "kinds") == set(KINDS)


def test_every_command_and_option_is_documented() -> None:
    text = text_of("docs/commands.md")
    assert rows_of("docs/commands.md", "commands") == set(COMMANDS)
    for name, command in COMMANDS.items():
        section = text.split(f"| `{name}` |")[1].split("| `atlas ")[0].split("<!--")[0]
        for option in command.params:
            shown = option.opts[0] if option.param_type_name == "option" else option.metavar or option.name.upper()
            assert f"`{shown}`" in section, f"{name} {shown}"


def make_targets() -> set[str]:
    """The targets of the Makefile, save files that it makes."""
    return set(re.findall(r"(?m)^([a-z][a-z-]*):(?!=)", text_of("Makefile")))


def test_every_make_target_is_documented() -> None:
    assert rows_of("docs/commands.md", "make") == {f"make {name}" for name in make_targets()}


def test_every_dependency_is_documented() -> None:
    import tomllib

    project = tomllib.loads(text_of("pyproject.toml"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    wanted += [text for texts in project["project"]["optional-dependencies"].values() for text in texts]
    assert rows_of("docs/dependencies.md", "dependencies") == {re.split(r"[^\w.-]", text)[0] for text in wanted}


def _strings(node: ast.AST | None) -> list[str]:
    """The rule names that an expression can stand for."""
    if isinstance(node, ast.IfExp):
        return _strings(node.body) + _strings(node.orelse)
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and RULE.fullmatch(node.value):
        return [node.value]
    return []


def test_every_file_rule_is_documented() -> None:
    """Rules of the whole file: what FileRefused is raised with, what names of columns break, what bronze notes."""
    found: set[str] = set()
    others = ("bronze.py", "copying.py", "limits.py", "sources/folders.py")
    for path in [*READERS.glob("*.py"), *(READERS.parent / name for name in others)]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                if isinstance(node.func, ast.Name) and node.func.id in ("FileRefused", "Problem"):
                    found.update(_strings(node.args[0]))
                for keyword in node.keywords:
                    found.update(_strings(keyword.value) if keyword.arg == "rule" else [])
            elif isinstance(node, ast.FunctionDef) and node.name == "name_fault":
                returned = [one.value for one in ast.walk(node) if isinstance(one, ast.Return)]
                found.update(rule for one in returned if isinstance(one, ast.Tuple) for rule in _strings(one.elts[0]))
    assert {"unknown_format", "reserved_column_name", "row_too_wide"} <= found, "the search itself has gone blind"
    assert rows_of("docs/bad-input.md", "file-rules") == found


def test_every_row_rule_is_documented() -> None:
    """Rules of single rows: of the readers, wherever they say (rule, reason), and of typing."""
    found = set(get_args(Rule)) | {value for name, value in vars(typing_rows).items() if _is_rule(name, value)}
    for path in READERS.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                position = {"_Rejected": 0, "Reject": 1}.get(node.func.id)
                if position is not None and len(node.args) > position:
                    found.update(_strings(node.args[position]))
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple) and len(node.value.elts) == 2:
                rule, reason = node.value.elts
                if isinstance(reason, ast.Constant) and str(reason.value).endswith("."):
                    found.update(_strings(rule))
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found.update(_strings(node.value) if node.targets[0].id == "rule" else [])
    assert {"stray_quote", "too_few_fields", "nul_byte", "not_json", "line_too_long"} <= found, "the search is blind"
    assert rows_of("docs/bad-input.md", "row-rules") == found


def _is_rule(name: str, value: object) -> bool:
    return name.isupper() and not name.startswith("_") and isinstance(value, str) and name.lower() == value


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))
def test_links_point_somewhere(page: Path) -> None:
    text = re.sub(r"(?ms)^ *```.*?^ *```", "", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        assert to.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"(?m)^#+ (.*)$", to.read_text(encoding="utf-8"))
            assert anchor in map(slug, headings), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))
def test_commands_in_code_blocks_exist(page: Path) -> None:
    for line in fenced(page, "sh", "bash"):
        words = shlex.split(line, comments=True) if re.match(r"\s*(make|(\.venv/bin/)?atlas)\b", line) else []
        if not words:
            continue
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= make_targets(), line
            continue
        name = next(
            (" ".join(["atlas", *words[1:n]]) for n in (2, 3) if " ".join(["atlas", *words[1:n]]) in COMMANDS), ""
        )
        assert name, line
        options = {text for option in COMMANDS[name].params for text in option.opts}
        assert {word.split("=")[0] for word in words[2:] if word.startswith("--")} <= options | {"--help"}, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))
def test_commands_in_running_text_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"`make ([a-z-]+)`", text)) <= make_targets()
    for words in re.findall(r"`(?:\.venv/bin/)?atlas ([a-z]+(?: [a-z]+)?)", text):
        assert any(
            f"atlas {words} ".startswith(f"{name} ") or name.startswith(f"atlas {words}") for name in COMMANDS
        ), words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))
def test_settings_in_the_text_exist(page: Path) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    deliberately_wrong = {"ATLAS_PORTT"}
    found = set(re.findall(r"\bATLAS_[A-Z0-9_]*[A-Z0-9]\b", page.read_text(encoding="utf-8")))
    found = {name if name in known else name.removesuffix("_FILE") for name in found}
    assert found <= known | deliberately_wrong


def test_the_readme_is_read_in_one_go() -> None:
    """Short, the two commands on its first screen, the index on its second, and every page in the index."""
    text = text_of("README.md")
    lines = text.splitlines()
    assert len(lines) <= 250
    assert [line.split("#")[0].strip() for line in fenced(README, "sh")][:2] == [
        "make up",
        "make test",
    ]
    assert lines.index("## Documentation") < 40
    index = text.split("## Documentation")[1].split("\n## ")[0]
    linked = {(PROJECT_ROOT / target).resolve() for target in re.findall(r"\]\(([^)#]+)\)", index)}
    assert {page for page in PAGES if page.parent != DOCS / "adr"} - linked == {PROJECT_ROOT / "README.md"}
    assert DOCS / "adr" / "README.md" in linked


def test_every_decision_is_in_their_index() -> None:
    text = text_of("docs/adr/README.md")
    for record in (DOCS / "adr").glob("[0-9]*.md"):
        title = record.read_text(encoding="utf-8").splitlines()[0]
        assert title.startswith(f"# {int(record.name[:4])}. ")
        assert f"| [{record.name[:4]}]({record.name}) | {title.partition('. ')[2]} |" in text


@pytest.mark.slow
def test_the_site_is_built_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    """Strict: a link or an anchor that leads nowhere, or a page outside the navigation, fails the build."""
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=PROJECT_ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=True,
    )
    pages = {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")
    }
    names = {page.relative_to(DOCS if DOCS in page.parents else PROJECT_ROOT).with_suffix(".html") for page in PAGES}
    assert {name.as_posix().replace("README", "index") for name in names} <= set(pages)
    for name, text in pages.items():
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"?(?:https?:)?//[^\s>]+", text)
        assert not loaded, name
        assert "```" not in text, f"{name}: a code block that the site does not see"
    for style in tmp_path.rglob("*.css"):
        assert not re.findall(r"url\(\s*[\"']?(?:https?:)?//", style.read_text(encoding="utf-8")), style.name


def test_pictures_are_small_and_shown() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for picture in [*(DOCS / "images").glob("*.png"), *(DOCS / "images").glob("*.svg")]:
        assert picture.stat().st_size < 300_000
        assert picture.name in text
