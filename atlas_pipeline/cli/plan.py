"""`atlas plan`: what the next run would do, shown without running it.

Belongs here: loading the project, choosing tables, git, and printing. Does not belong here: the steps
(`orchestration/tables/plan.py`).
"""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

import atlas_pipeline
from atlas_pipeline.catalog.plan import Step, columns_text, document, markdown, why
from atlas_pipeline.cli.output import ERR, OUT, failures_as_messages, print_json, print_table, progress
from atlas_pipeline.cli.project import load_project
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.location import warehouse_url

_DEFS = Path(atlas_pipeline.__file__).parent / "defs"
_LONGEST = 200


def run(tables: Sequence[str], json: bool, as_markdown: bool, since: str | None) -> int:
    """Print the plan.

    Args:
        tables: names such as silver.orders; none for all.
        json: print one JSON document instead of text.
        as_markdown: print a comment for a pull request.
        since: a git revision; only what was declared otherwise there, and what reads it, is shown.

    Returns:
        The exit code: 2 where something breaks, or a name is no table.
    """
    with failures_as_messages(), progress("loading definitions"):
        steps, reads = _steps()
        if since is not None:
            steps = _since(steps, reads, since)
    unknown = [name for name in tables if name not in {step.table for step in steps}]
    if unknown:
        expected = ", ".join(step.table for step in steps) or "nothing, as nothing was changed"
        ERR.print(f"atlas: no table {unknown[0]}: expected {expected}", markup=False, highlight=False)
        return 2
    steps = [step for step in steps if not tables or step.table in tables]
    if json:
        print_json(document(steps))
    elif as_markdown:
        OUT.print(markdown(steps), markup=False, highlight=False, end="")
    else:
        _show(steps)
    return 2 if any(step.action == "breaks" for step in steps) else 0


def _steps() -> tuple[list[Step], dict[str, set[str]]]:
    """The plan of all tables, and which tables each reads."""

    from atlas_pipeline.components import Dataset
    from atlas_pipeline.orchestration.tables.plan import plan_steps
    from atlas_pipeline.orchestration.warehouse import with_warehouse

    tree, loaded, invalid = load_project()
    definitions = with_warehouse(loaded)
    graph = definitions.resolve_asset_graph()
    found = tree.get_all_components(Dataset)
    settings = load_settings()
    with connect(warehouse_url(settings)) as connection:
        prepare_warehouse(connection)
        steps = plan_steps(connection, settings, definitions, [each.declared for each in found], invalid)
    reads = {
        ".".join(key.path): {".".join(parent.path) for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    return steps, reads


def _since(steps: Sequence[Step], reads: Mapping[str, set[str]], revision: str) -> list[Step]:
    """The steps of tables that were declared otherwise at a revision, and of those that read them."""
    fields: dict[str, list[str]] = {}
    for path in _git("diff", "--name-only", "--relative", revision, "--", ".").splitlines():
        parts = Path(path).parts
        if len(parts) >= 3 and parts[0] in ("datasets", "gold"):
            layer = "silver" if parts[0] == "datasets" else "gold"
            changed = _fields(path, revision) if path.endswith("defs.yaml") else [Path(*parts[2:]).as_posix()]
            fields.setdefault(f"{layer}.{parts[1]}", []).extend(changed)
    concerned, more = set(fields), True
    while more:
        found = {table for table, read in reads.items() if read & concerned} - concerned
        concerned, more = concerned | found, bool(found)
    return [replace(step, fields=fields.get(step.table, [])) for step in steps if step.table in concerned]


def _fields(path: str, revision: str) -> list[str]:
    """The attributes of a declaration that differ from those at a revision."""
    try:
        before = _attributes(_git("show", f"{revision}:./{path}"))
    except ValueError:
        return ["the whole declaration"]
    file = _DEFS / path
    after = _attributes(file.read_text(encoding="utf-8")) if file.exists() else {}
    return [name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]


def _attributes(text: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    attributes = document.get("attributes") if isinstance(document, dict) else None
    return attributes if isinstance(attributes, dict) else {}


def _git(*arguments: str) -> str:
    """What git says in the folder of declarations. Raises ValueError."""
    command = ["git", "-C", str(_DEFS), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"git {arguments[0]}: {done.stderr.strip() or 'failed'}")
    return done.stdout


def _show(steps: Sequence[Step]) -> None:
    columns = {"table": "left", "what": "left", "why": "left", "columns": "left", "rows": "right"}
    long = {step.table: why(step) for step in steps if len(why(step)) > _LONGEST}
    rows = [
        [
            step.table,
            step.action,
            "see below" if step.table in long else why(step),
            columns_text(step.columns),
            "" if step.rows is None else step.rows,
        ]
        for step in steps
    ]
    print_table("Plan", columns, rows)
    for table, words in long.items():
        OUT.print(f"{table}: {words}", markup=False, highlight=False)
