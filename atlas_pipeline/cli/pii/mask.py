"""`atlas pii mask`: a copy of a file with its personal data masked, block by block."""

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
from atlas_pipeline.cli.pii.files import Seen, Show, batches, failures, look_at, policy_of
from atlas_pipeline.cli.pii.originals import JsonObjects, ParquetRows
from atlas_pipeline.cli.pii.write import Block, written
from atlas_pipeline.ingest.batch import Batch
from atlas_pipeline.ingest.readers import detect
from atlas_pipeline.pii.apply import apply_column
from atlas_pipeline.pii.keys import Keys, load_keys
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.settings import load_settings


def run(file: Path, out: Path, policy_file: Path | None, rows: int, json: bool) -> int:
    """Write the copy and say what was done. Returns 1, with nothing written, when it cannot be."""
    with failures(), progress("reading") as show:
        _check(file, out)
        policy = policy_of(policy_file)
        seen = look_at(file, policy, rows, show)
        changed = _Masking(seen, load_keys(load_settings()), policy.rules).copy(file, out, show)
    if seen.rejected:
        found = ", ".join(f"{count:,} {rule}" for rule, count in sorted(seen.rejected.items()))
        ERR.print(f"atlas pii mask: left out {sum(seen.rejected.values()):,} lines: {found}", markup=False)
    columns = [
        {"name": plan.name, "class": plan.column_class, "entity": plan.entity, "action": plan.action}
        | {"masked": changed.get(plan.name, 0)}
        for plan in seen.plans
    ]
    if json:
        rejected = sum(seen.rejected.values())
        print_json({"file": str(file), "out": str(out), "rows": seen.rows, "rejected": rejected, "columns": columns})
        return 0
    headings = {"column": "left", "class": "left", "kind": "left", "action": "left", "masked": "right"}
    print_table(f"{out}, {seen.rows:,} rows", headings, [[value or "" for value in one.values()] for one in columns])
    return 0


def _check(file: Path, out: Path) -> None:
    """Raises FileRefused for a format there is not, OSError; ends the command when `out` is the file itself."""
    detect(out.name)
    file.stat()
    if not out.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(out.parent))
    if out.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(out))
    if out.exists() and out.samefile(file):
        ERR.print("atlas pii mask: the copy would replace the file itself: give --out another name", markup=False)
        raise typer.Exit(1)


class _Masking:
    def __init__(self, seen: Seen, keys: Keys, rules: Rules):
        self._plans = [plan for plan in seen.plans if plan.action != "drop"]
        self._treated = {plan.name: plan for plan in self._plans if plan.action != "keep"}
        self._keys, self._rules = keys, rules
        self._changed = {plan.name: seen.rows for plan in seen.plans if plan.action == "drop"}

    def copy(self, file: Path, out: Path, show: Show) -> Mapping[str, int]:
        """Write the copy; the number of values that are not as they were, by column."""
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
        masked = apply_column(values, plan, self._keys, self._rules)
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
    """Masked text, as JSON where the value was a list or an object and the text still is one."""
    if masked is not None and isinstance(value, list | dict):
        try:
            return jsonlib.loads(masked)
        except ValueError:
            return masked
    return masked
