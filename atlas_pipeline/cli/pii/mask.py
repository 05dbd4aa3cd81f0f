"""`atlas pii mask`: copy a file block by block with the planned action applied to each column."""

import errno
import json as jsonlib
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import typer

from atlas_pipeline.cli.output import ERR, print_json, print_table, progress
from atlas_pipeline.cli.pii.files import Show, Survey, batches, failures, policy_of, survey
from atlas_pipeline.cli.pii.originals import JsonObjects, ParquetRows
from atlas_pipeline.cli.pii.write import WRITTEN, Block, written
from atlas_pipeline.ingest.batch import Batch, FileRefused
from atlas_pipeline.ingest.readers import detect
from atlas_pipeline.pii.apply import apply_column
from atlas_pipeline.pii.keys import Keys, load_keys
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.settings import load_settings


def run(file: Path, out: Path, policy_file: Path | None, rows: int, json: bool) -> int:
    """Write the copy, and print the action and the number of changed values of each column.

    Args:
        file: The file to copy.
        out: The copy; its name's ending sets format and compression. It appears whole or not at all.
        policy_file: The policy; None for an empty one.
        rows: Sample size for the profile.
        json: Print one JSON document instead of text.

    Returns:
        The exit code, 0; failures end the command with 1 and write nothing.
    """
    with failures(), progress("reading") as show:
        _check(file, out)
        policy = policy_of(policy_file)
        surveyed = survey(file, policy, rows, show)
        changed = _Masking(surveyed, load_keys(load_settings()), policy.rules).copy(file, out, show)
    rejected = sum(surveyed.rejected.values())
    if rejected:
        by_rule = ", ".join(f"{count:,} {rule}" for rule, count in sorted(surveyed.rejected.items()))
        ERR.print(f"atlas pii mask: left out {rejected:,} lines: {by_rule}", markup=False)
    columns = [
        {"name": plan.name, "class": plan.column_class, "entity": plan.entity, "action": plan.action}
        | {"masked": changed.get(plan.name, 0)}
        for plan in surveyed.plans
    ]
    if json:
        document = {"file": str(file), "out": str(out), "rows": surveyed.rows, "rejected": rejected}
        print_json({**document, "columns": columns})
        return 0
    headings = {"column": "left", "class": "left", "kind": "left", "action": "left", "masked": "right"}
    lines = [[value or "" for value in column.values()] for column in columns]
    print_table(f"{out}, {surveyed.rows:,} rows", headings, lines)
    return 0


def _check(file: Path, out: Path) -> None:
    """Raise FileRefused for an unknown format, OSError; end the command when `out` is the file itself."""
    if detect(out.name)[0] not in WRITTEN:
        raise FileRefused(
            "unknown_format",
            f"--out cannot be of the format {out.suffix}: expected one of {', '.join(WRITTEN)}. Name it so.",
        )
    file.stat()
    if not out.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(out.parent))
    if out.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(out))
    if out.exists() and out.samefile(file):
        ERR.print("atlas pii mask: --out is the input file itself: give the copy another name", markup=False)
        raise typer.Exit(1)


class _Masking:
    def __init__(self, surveyed: Survey, keys: Keys, rules: Rules):
        self._plans = [plan for plan in surveyed.plans if plan.action != "drop"]
        self._treated = {plan.name: plan for plan in self._plans if plan.action != "keep"}
        self._keys, self._rules = keys, rules
        self._changed = {plan.name: surveyed.rows for plan in surveyed.plans if plan.action == "drop"}

    def copy(self, file: Path, out: Path, show: Show) -> Mapping[str, int]:
        """Write the copy, and return the number of changed values by column."""
        rows = 0
        with ExitStack() as stack:
            originals = _originals(file, stack)
            schema = self._schema(originals.schema if isinstance(originals, ParquetRows) else None)
            writer = stack.enter_context(written(out, *detect(out.name), schema))
            for batch in batches(file):
                text = self._masked(batch)
                taken = originals.take(batch.lines) if originals else None
                if isinstance(taken, list):
                    writer.write(Block(text, objects=self._objects(taken, text)))
                else:
                    writer.write(Block(text, typed=self._typed(taken, text) if taken is not None else None))
                rows += batch.rows.num_rows
                show(f"{file.name}: masked {rows:,} rows")
        return self._changed

    def _schema(self, original: pa.Schema | None) -> pa.Schema:
        kept = {} if original is None else {field.name: field.type for field in original}
        return pa.schema(
            [
                (plan.name, pa.string() if plan.name in self._treated else kept.get(plan.name, pa.string()))
                for plan in self._plans
            ]
        )

    def _masked(self, batch: Batch) -> pa.Table:
        columns = {plan.name: self._column(batch, plan) for plan in self._plans}
        return pa.table(columns, schema=pa.schema([(name, pa.string()) for name in columns]))

    def _column(self, batch: Batch, plan: ColumnPlan) -> pa.Array:
        if plan.name not in batch.columns:
            return pa.nulls(batch.rows.num_rows, pa.string())
        values = batch.rows[plan.name].combine_chunks()
        if plan.action == "keep":
            return values
        masked = apply_column(values, plan, self._keys, self._rules, keep_tokens=True)
        changed = pc.sum(pc.not_equal(values, masked)).as_py() or 0
        self._changed[plan.name] = self._changed.get(plan.name, 0) + changed
        return masked

    def _typed(self, original: pa.Table, text: pa.Table) -> pa.Table:
        return pa.table({name: (text if name in self._treated else original)[name] for name in text.column_names})

    def _objects(self, originals: list[dict[str, Any]], text: pa.Table) -> list[dict[str, Any]]:
        names = {plan.name for plan in self._plans}
        masked = {name: text[name].to_pylist() for name in self._treated}
        return [
            {
                key: _like(value, masked[key][row]) if key in masked else value
                for key, value in original.items()
                if key in names
            }
            for row, original in enumerate(originals)
        ]


def _originals(file: Path, stack: ExitStack) -> JsonObjects | ParquetRows | None:
    format, compression = detect(file.name)
    if format == "jsonl":
        return JsonObjects(stack.enter_context(file.open("rb")), compression)
    if format == "parquet" and compression == "none":
        return ParquetRows(file)
    return None


def _like(value: Any, masked: str | None) -> Any:
    """The masked text, parsed where the value was a list or an object and the text is still valid JSON."""
    if masked is not None and isinstance(value, list | dict):
        try:
            return jsonlib.loads(masked)
        except ValueError:
            return masked
    return masked
