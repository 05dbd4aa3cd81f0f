"""`atlas pii scan`: what is personal in files."""

from pathlib import Path
from typing import Any

import typer

from atlas_pipeline.cli.output import print_json, print_table, progress
from atlas_pipeline.cli.pii.files import Seen, failures, look_at, policy_of

_TOTALS = ("rows", "missing", "distinct")
_SHOWN = 3


def run(files: list[Path], policy_file: Path | None, rows: int, json: bool) -> int:
    """Print what is personal in each file. Returns 1 when a file cannot be read; the others are printed."""
    documents = []
    code = 0
    with failures():
        policy = policy_of(policy_file)
    with progress("reading") as show:
        for path in files:
            try:
                with failures(f"atlas pii scan: {path}"):
                    documents.append(_document(path, look_at(path, policy, rows, show)))
            except typer.Exit as stopped:
                code = stopped.exit_code
    if json:
        if len(files) > 1:
            print_json({"files": documents})
        elif documents:
            print_json(documents[0])
        return code
    headings = {"column": "left", "class": "left", "kind": "left", "confidence": "right", "action": "left"}
    for document in documents:
        lines = [
            [one["name"], one["class"], one["entity"] or "", f"{one['confidence']:.2f}", one["action"], _counts(one)]
            for one in document["columns"]
        ]
        print_table(f"{document['file']}, {document['rows']:,} rows", headings | {"evidence": "left"}, lines)
    return code


def _document(path: Path, seen: Seen) -> dict[str, Any]:
    return {
        "file": str(path),
        "rows": seen.rows,
        "rejected": sum(seen.rejected.values()),
        "columns": [
            {
                "name": plan.name,
                "class": plan.column_class,
                "entity": plan.entity,
                "confidence": round(plan.confidence, 4),
                "evidence": dict(plan.evidence),
                "action": plan.action,
            }
            for plan in seen.plans
        ],
    }


def _counts(column: dict[str, Any]) -> str:
    """The evidence that weighs most; all of it is in the JSON document. A clean column has its number of values."""
    evidence = column["evidence"]
    if column["class"] == "clean":
        return f"distinct {evidence.get('distinct', 0):,}"
    found = {name: count for name, count in evidence.items() if name not in _TOTALS}
    first = {column["entity"], "header", "embedded", *(name for name in found if name.startswith("swept_"))}
    shown = sorted(found.items(), key=lambda item: (item[0] not in first, -item[1]))[:_SHOWN]
    return ", ".join(f"{name} {count:,}" for name, count in shown)
