"""`atlas pii scan`: report the personal data in files, and the plan of each column."""

from pathlib import Path
from typing import Any

import typer

from atlas_pipeline.cli.output import print_json, print_table, progress
from atlas_pipeline.cli.pii.files import Survey, failures, policy_of, survey

_TOTALS = ("rows", "missing", "distinct")
_SHOWN = 3


def run(files: list[Path], policy_file: Path | None, rows: int, json: bool) -> int:
    """Print the plan of each column of each file.

    Args:
        files: The files.
        policy_file: The policy; None for an empty one.
        rows: Sample size for the profile of a file.
        json: Print one JSON document instead of text.

    Returns:
        The exit code: 1 when a file cannot be read. The others are still printed.
    """
    documents = []
    code = 0
    with failures():
        policy = policy_of(policy_file)
    with progress("reading") as show:
        for path in files:
            try:
                with failures(f"atlas pii scan: {path}"):
                    documents.append(_document(path, survey(path, policy, rows, show)))
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
            [
                *(column["name"], column["class"], column["entity"] or "", f"{column['confidence']:.2f}"),
                *(column["action"], _counts(column)),
            ]
            for column in document["columns"]
        ]
        print_table(f"{document['file']}, {document['rows']:,} rows", headings | {"evidence": "left"}, lines)
    return code


def _document(path: Path, surveyed: Survey) -> dict[str, Any]:
    return {
        "file": str(path),
        "rows": surveyed.rows,
        "rejected": sum(surveyed.rejected.values()),
        "columns": [
            {
                "name": plan.name,
                "class": plan.column_class,
                "entity": plan.entity,
                "confidence": round(plan.confidence, 4),
                "evidence": dict(plan.evidence),
                "action": plan.action,
            }
            for plan in surveyed.plans
        ],
    }


def _counts(column: dict[str, Any]) -> str:
    """The three most important counts of the evidence; a clean column has its number of distinct values instead."""
    evidence = column["evidence"]
    if column["class"] == "clean":
        return f"distinct {evidence.get('distinct', 0):,}"
    counts = {name: count for name, count in evidence.items() if name not in _TOTALS}
    first = {column["entity"], "header", "embedded", *(name for name in counts if name.startswith("swept_"))}
    shown = sorted(counts.items(), key=lambda item: (item[0] not in first, -item[1]))[:_SHOWN]
    return ", ".join(f"{name} {count:,}" for name, count in shown)
