"""The rules of ARCHITECTURE.md, read off the syntax trees of the package."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest

from atlas_pipeline import labels
from atlas_pipeline.settings import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "atlas_pipeline"
MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in MODULES]
MOST_LINES = {"function": 60, "class": 250, "file": 700}
MOST_UNDOCUMENTED = 3
"""A public function with more parameters than this documents each of them, under `Args:` or in the command's help."""

MAY_IMPORT_DAGSTER = {"definitions", "components", "defs", "orchestration", "instance", "cli"}
DOMAINS = {
    "environment": set(),
    "documents": set(),
    "passwords": set(),
    "labels": set(),
    "settings": {"environment", "passwords"},
    "warehouse": {"settings"},
    "sql": set(),
    "s3": set(),
    "pii": {"documents", "settings", "warehouse"},
    "quality": {"documents", "labels", "sql", "warehouse"},
    "catalog": {"labels", "pii", "quality"},
    "openlineage": {"catalog", "event_log", "labels"},
    "sample": set(),
    "ingest": {"settings", "warehouse", "pii", "s3"},
    "backup": {"settings", "warehouse", "s3"},
    "event_log": {"labels"},
    "alerting": {"documents", "labels", "settings", "warehouse", "event_log"},
    "telemetry": {"labels", "settings", "warehouse", "pii", "event_log"},
    "ops": {"settings", "warehouse", "backup", "alerting", "event_log", "telemetry"},
    "resources": {"instance"},
}
"""Each domain, and what else of Atlas it may import."""
MAY_TOUCH_ENVIRONMENT = {
    "environment.py": "reads it, for all others",
    "cli/serve.py": "says where Dagster's home is, to Dagster in the same process",
    "cli/migrate.py": "as cli/serve.py",
    "cli/up.py": "hands a copy to the server that it starts",
    "quality/verification.py": "switches off Soda's telemetry and its reading of .env",
}
OVERRIDES = {
    "quality/soda/connection.py Connection.execute_query_one_by_one",
    "settings.py Settings.settings_customise_sources",
}
"""Methods whose parameters are those of a library's method that they override."""
SODA = "quality/soda/"
"""The one package that imports Soda, whose modules are themselves imported late by the others."""
HEAVY = {"dagster", "presidio_analyzer", "spacy", "soda_core", "boto3", "botocore", "pandas", "sqlglot", "pyarrow"}
HEAVY |= {
    "dlt",
    "requests",
    "pymysql",
    "pymssql",
    "numpy",
    "psycopg",
    "sqlalchemy",
    "pydantic_settings",
    "pyrage",
    "zstandard",
    "apprise",
    "httpx",
}


def room(path: Path) -> str:
    """The top-level package or module that a file is in."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[str, bool]]:
    """Each module that a file imports, and whether it does when it is itself imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    later = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _is_type_checking(node)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node not in later) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield node.module or "", node not in later
            if node.module == "atlas_pipeline":
                yield from ((f"atlas_pipeline.{alias.name}", node not in later) for alias in node.names)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def definitions(tree: ast.Module) -> Iterator[tuple[ast.AST, Definition]]:
    """Each class and function of a module, inner ones too, with the node whose body it stands in."""
    for owner in ast.walk(tree):
        for node in ast.iter_child_nodes(owner):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield owner, node


def is_public(owner: ast.AST, definition: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether other modules may call it: of a module or a public class, and without an underscore or `__init__`."""
    if isinstance(owner, ast.ClassDef) and owner.name.startswith("_"):
        return False
    named = definition.name == "__init__" or not definition.name.startswith("_")
    return named and isinstance(owner, ast.Module | ast.ClassDef)


def parameters_of(definition: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    """All parameters but `self` and `cls`."""
    arguments = definition.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return [argument for argument in every if argument is not None and argument.arg not in {"self", "cls"}]


def is_command(definition: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it is a command of typer's, whose docstring is its help and whose parameters have help of their own."""
    calls = (node.func for node in definition.decorator_list if isinstance(node, ast.Call))
    return any(isinstance(call, ast.Attribute) and call.attr == "command" for call in calls)


def documented_names(docstring: str) -> set[str]:
    """The parameters that a docstring's `Args:` section lists, each as `name: what it is` on a line of its own."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", docstring, re.MULTILINE)
    return set(re.findall(r"^ {4}\*{0,2}(\w+): ", section[1], re.MULTILINE)) if section else set()


def test_the_map_names_every_room() -> None:
    text = (PROJECT_ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    tree = text.split("```")[1]
    missing = (
        {room(path) for path in MODULES}
        - {"__init__"}
        - {line.split()[0].strip("/") for line in tree.splitlines() if line.strip()}
    )
    assert not {name for name in missing if f"{name}.py" not in tree}


def test_every_domain_is_ruled() -> None:
    assert {room(path) for path in MODULES} - MAY_IMPORT_DAGSTER - {"__init__"} == set(DOMAINS)


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_only_the_outer_rooms_import_dagster(path: Path) -> None:
    if room(path) not in MAY_IMPORT_DAGSTER:
        found = {name for name, _ in imported(path) if name.split(".")[0].startswith("dagster")}
        assert not found


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_domains_import_no_other_room(path: Path) -> None:
    own = room(path)
    if own in DOMAINS:
        parts = (name.split(".") for name, _ in imported(path))
        rooms = {part[1] for part in parts if part[0] == "atlas_pipeline" and len(part) > 1}
        assert rooms - {own} <= DOMAINS[own]


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_only_one_module_reads_the_environment(path: Path) -> None:
    if str(path.relative_to(PACKAGE)) in MAY_TOUCH_ENVIRONMENT:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert node.attr not in {"environ", "environb", "getenv", "getenvb", "putenv"}, f"line {node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            assert not {alias.name for alias in node.names} & {"environ", "getenv", "putenv"}, f"line {node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_every_module_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "a module begins with what belongs in it"


def test_functions_classes_and_files_are_short() -> None:
    too_long = set()
    for path, name in zip(MODULES, NAMES, strict=True):
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > MOST_LINES["file"]:
            too_long.add(name)
        for _, definition in definitions(ast.parse(text)):
            kind = "class" if isinstance(definition, ast.ClassDef) else "function"
            if (definition.end_lineno or 0) - definition.lineno + 1 > MOST_LINES[kind]:
                too_long.add(f"{name} {definition.name}")
    assert not too_long


def test_files_of_tests_are_short_too() -> None:
    tests = (PROJECT_ROOT / "atlas_pipeline_tests").rglob("*.py")
    too_long = {path.name for path in tests if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES["file"]}
    assert not too_long, "split it by subject"


def test_public_functions_document_their_parameters() -> None:
    undocumented = set()
    for path, name in zip(MODULES, NAMES, strict=True):
        for owner, definition in definitions(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(definition, ast.ClassDef) or not is_public(owner, definition):
                continue
            parameters = {parameter.arg for parameter in parameters_of(definition)}
            documented = documented_names(ast.get_docstring(definition) or "")
            label = definition.name
            if isinstance(owner, ast.ClassDef):
                label = f"{owner.name}.{label}"
                documented |= (
                    documented_names(ast.get_docstring(owner) or "") if definition.name == "__init__" else set()
                )
            if len(parameters) > MOST_UNDOCUMENTED and not is_command(definition) and parameters - documented:
                undocumented.add(f"{name} {label}")
    assert undocumented == OVERRIDES


def test_every_option_of_a_command_has_its_help() -> None:
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        shared = {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign) and "help=" in ast.unparse(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for _, definition in definitions(tree):
            if not isinstance(definition, ast.ClassDef) and is_command(definition):
                for parameter in parameters_of(definition):
                    annotation = ast.unparse(parameter.annotation) if parameter.annotation else ""
                    assert "help=" in annotation or annotation in shared, f"{path}: {definition.name}: {parameter.arg}"


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_what_rooms_write_for_others_is_named_in_labels(path: Path) -> None:
    """Labels of one word are left out, for they are ordinary words too; so are the headings that commands print."""
    if room(path) in ("labels", "cli"):
        return
    named = {value for name, value in vars(labels).items() if name.isupper() and not value.isalpha()}
    literals = {node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if is_text(node)}
    assert not literals & named


def is_text(node: ast.AST) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_libraries_that_load_slowly_are_imported_late(path: Path) -> None:
    late = {"soda_core", "soda_postgres", "boto3", "botocore", "presidio_analyzer", "spacy", "pyrage", "apprise"}
    inside = str(path.relative_to(PACKAGE)).startswith(SODA)
    if inside:
        late -= {"soda_core", "soda_postgres"}
    at_once = {name for name, at_once in imported(path) if at_once}
    assert not {name for name in at_once if name.split(".")[0] in late}
    assert inside or not {name for name in at_once if name.startswith("atlas_pipeline.quality.soda")}


def test_soda_is_imported_in_one_place() -> None:
    found = {
        str(path.relative_to(PACKAGE)) for path in MODULES for name, _ in imported(path) if name.startswith("soda")
    }
    assert found
    assert all(name.startswith(SODA) for name in found)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["demo", "--help"],
        ["up", "--help"],
        ["sample", "--help"],
        ["status", "--help"],
        ["ops", "--help"],
        ["serve", "--help"],
        ["health", "--help"],
        ["migrate", "--help"],
        ["quality", "--help"],
        ["backup", "--help"],
        ["backup", "run", "--help"],
    ],
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from atlas_pipeline.cli import app\n"
        f"app({arguments!r}, standalone_mode=False)\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout
    loaded = set(done.stderr.split())
    assert "typer" in loaded
    assert not loaded & HEAVY


def test_the_definitions_load_nothing_that_only_work_needs() -> None:
    """boto3, SQLAlchemy and numpy are not among it: Dagster's own registry of components and pyarrow import them."""
    late = {"pandas", "presidio_analyzer", "spacy", "soda_core", "apprise", "faker", "phonenumbers", "pyrage", "httpx"}
    late |= {"dlt", "pymysql", "pymssql"}
    code = (
        "import sys\n"
        "from atlas_pipeline.definitions import defs\n"
        "at_import = {name.split('.')[0] for name in sys.modules}\n"
        "defs().get_repository_def().load_all_definitions()\n"
        "print(*at_import & {'numpy', 'pyarrow', 'boto3', 'sqlalchemy', 'sqlglot'})\n"
        "print(*{name.split('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    at_import, evaluated = done.stdout.splitlines()
    assert not at_import
    assert "dagster" in evaluated.split()
    assert not late & {*evaluated.split()}
