"""What `atlas pii scan --compare` does: recorded plans beside those that this version would make.

Belongs here: the declarations, the connection and output. Does not belong here: planning (`ingest/planning.py`), and
dropping plans (`renew.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from atlas_pipeline.cli.output import ERR, OUT, failures_as_messages, print_json, print_table, progress
from atlas_pipeline.cli.project import load_components
from atlas_pipeline.ingest.planning import replanned
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.record import recorded_plans
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.location import warehouse_url


def run(names: Sequence[str], json: bool) -> int:
    """Print the columns whose plan would change if it were made anew. Nothing is changed.

    Args:
        names: The datasets; none for all that were built.
        json: Print one JSON document instead of text.

    Returns:
        The exit code: 1 when one of the datasets was never built.
    """
    with failures_as_messages():
        with progress("loading definitions"):
            declared = _declared()
        if unknown := sorted(set(names) - declared.keys()):
            raise ValueError(f"there is no dataset {unknown[0]}: expected one of {', '.join(sorted(declared))}")
        with connect(warehouse_url(load_settings())) as connection, progress("looking at bronze"):
            prepare_warehouse(connection)
            connection.commit()
            recorded = {name: recorded_plans(connection, "silver", name) for name in names or sorted(declared)}
            changes = {name: replanned(connection, declared[name], plans) for name, plans in recorded.items() if plans}
    if json:
        print_json({"datasets": {name: [_document(*pair) for pair in pairs] for name, pairs in changes.items()}})
    else:
        _show(changes)
    for name in recorded:
        if names and not recorded[name]:
            ERR.print(f"silver.{name} has no recorded plan: it was not built", highlight=False)
    return 1 if any(not recorded[name] for name in names) else 0


def _declared() -> dict[str, Any]:
    from atlas_pipeline.components import Dataset

    tree = load_components()
    return {component.table: component.declared for component in tree.get_all_components(Dataset)}


def _document(before: ColumnPlan, now: ColumnPlan) -> dict[str, Any]:
    def part(made: ColumnPlan) -> dict[str, Any]:
        decided = {"class": made.column_class, "entity": made.entity, "action": made.action}
        return decided | {"recognisers": made.recognisers}

    return {"column": before.name, "recorded": part(before), "today": part(now)}


def _show(changes: Mapping[str, Sequence[tuple[ColumnPlan, ColumnPlan]]]) -> None:
    headings = dict.fromkeys(("column", "recorded", "today"), "left")
    for name, pairs in changes.items():
        if pairs:
            lines = [[before.name, _words(before), _words(now)] for before, now in pairs]
            print_table(f"silver.{name}: atlas pii renew {name} would change", headings, lines)
        else:
            OUT.print(f"silver.{name}: nothing would change", highlight=False)


def _words(made: ColumnPlan) -> str:
    kind = made.entity or "nothing personal"
    return f"{made.column_class}, {kind}: {made.action} (recognisers {made.recognisers})"
