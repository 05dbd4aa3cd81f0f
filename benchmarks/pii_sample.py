"""Planning and masking the sample: Atlas against Presidio's own ways to process a table, on the same rows.

- atlas: profile, plan and apply every file of the sample, free text included; findings are compared with labels.
- per cell: `AnalyzerEngine.analyze` on every cell of a part of the rows, scaled to all cells.
- presidio-structured: `PandasAnalysisBuilder.generate_analysis` and `StructuredEngine.anonymize` on a part, scaled.

Recall is over pieces: a cell of a personal column, or a labelled span of free text, counts when at least half of its
characters were found. F1 is over columns: the right kind for a column that has one. `pii.py` runs this.
"""

import importlib
import json
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import harness
import pandas as pd
import pyarrow as pa
from pii_text import engine

from atlas_pipeline.ingest.readers import read
from atlas_pipeline.pii.apply import apply
from atlas_pipeline.pii.keys import Keys, load_keys
from atlas_pipeline.pii.plan import ColumnPlan, plan_all
from atlas_pipeline.pii.profile import profile
from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.pii.text.scanner import scanner
from atlas_pipeline.sample import generate
from atlas_pipeline.settings import Settings

FAMILY = {"STREET_ADDRESS": "LOCATION", "CITY": "LOCATION", "ZIPCODE": "LOCATION", "DATE_TIME": "DATE_OF_BIRTH"}
FASTER_THAN_CELLS, FASTER_THAN_STRUCTURED = 100, 10
_PACKAGES = ("presidio-structured==0.0.10", "presidio-anonymizer")


@dataclass
class Table:
    """One dataset of the sample: its text, the kind of each column, and the labelled spans of the first rows."""

    name: str
    frame: pd.DataFrame
    kinds: dict[str, str | None]
    free_text: set[str]
    spans: dict[tuple[int, str], list[tuple[int, int]]] = field(default_factory=dict)

    @property
    def cells(self) -> int:
        """Cells that hold a value."""
        return int(self.frame.notna().to_numpy().sum())


def tables(folder: Path, rows: int) -> list[Table]:
    """Write and read the sample of `rows` customers, five times as many orders and half as many tickets."""
    generate(folder, rows)
    labels = json.loads((folder / "labels" / "columns.json").read_text())
    spans: dict[str, dict[tuple[int, str], list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    with (folder / "labels" / "spans.jsonl").open() as lines:
        for line in lines:
            one = json.loads(line)
            spans[one["dataset"]][one["row"] - 1, one["column"]].append((one["start"], one["end"]))
    found = []
    for name, columns in labels.items():
        batches = []
        for path in sorted((folder / name).iterdir()):
            with path.open("rb") as stream:
                batches += [batch.rows for batch in read(stream, path.name)]
        frame = pa.concat_tables(batches, promote_options="default").to_pandas()
        kinds = {column: label["kind"] for column, label in columns.items()}
        texts = {column for column, label in columns.items() if label["free_text"]}
        found.append(Table(name, frame, kinds, texts, spans[name]))
    return found


def part(table: Table, rows: int) -> Table:
    """The first rows of a table."""
    return Table(table.name, table.frame.head(rows), table.kinds, table.free_text, table.spans)


def atlas_plans(table: Table) -> list[ColumnPlan]:
    """Atlas's plans of the table."""
    return plan_all(profile({str(name): table.frame[name] for name in table.frame}))


def recall(table: Table, found: dict[tuple[int, str], list[tuple[int, int]]]) -> tuple[int, int]:
    """Count labelled pieces of a table.

    Args:
        table: The table with its labels.
        found: The spans that were found, by row and column.

    Returns:
        The pieces found, by at least half of their characters, and all pieces.
    """
    hit = pieces = 0
    for column, kind in table.kinds.items():
        for row, value in enumerate(table.frame[column]):
            if not isinstance(value, str) or not value:
                continue
            wanted = table.spans.get((row, column), []) if column in table.free_text else [(0, len(value))]
            if column not in table.free_text and kind is None:
                continue
            for start, end in wanted:
                covered = {c for s, e in found.get((row, column), []) for c in range(max(s, start), min(e, end))}
                pieces += 1
                hit += 2 * len(covered) >= end - start
    return hit, pieces


def atlas_found(table: Table, plans: list[ColumnPlan]) -> dict[tuple[int, str], list[tuple[int, int]]]:
    """The spans that Atlas masks: whole cells of typed columns, spans of free text."""
    found: dict[tuple[int, str], list[tuple[int, int]]] = {}
    for plan in plans:
        if plan.action == "keep":
            continue
        texts = [value if isinstance(value, str) else "" for value in table.frame[plan.name]]
        if plan.column_class == "free_text":
            cells = [[(s.start, s.end) for s in spans] for spans in scanner(Rules()).spans(texts)]
        else:
            cells = [[(0, len(text))] for text in texts]
        found |= {(row, plan.name): spans for row, spans in enumerate(cells)}
    return found


def per_cell(table: Table, analyzer: Any) -> tuple[float, dict[tuple[int, str], list[tuple[int, int]]]]:
    """Seconds and spans of `AnalyzerEngine.analyze` on each cell."""
    found: dict[tuple[int, str], list[tuple[int, int]]] = {}
    started = time.perf_counter()
    for column in table.frame:
        for row, value in enumerate(table.frame[column]):
            if isinstance(value, str) and value:
                found[row, str(column)] = [(r.start, r.end) for r in analyzer.analyze(value, language="en")]
    return time.perf_counter() - started, found


def right(kind: str | None, entity: str | None) -> bool:
    """Whether the entity found is the labelled kind. Kinds of places count as one, and kinds of dates."""
    return kind is not None and FAMILY.get(entity or "", entity) == FAMILY.get(kind, kind)


def f1(verdicts: list[tuple[str | None, str | None]]) -> float:
    """F1 over columns of (labelled kind, reported kind): 2 TP / (labelled + reported)."""
    hits = sum(right(kind, entity) for kind, entity in verdicts)
    labelled = sum(kind is not None for kind, _ in verdicts)
    reported = sum(entity is not None for _, entity in verdicts)
    return 2 * hits / (labelled + reported) if labelled + reported else 0.0


def structured(folder: Path) -> Any:
    """Install presidio-structured into `folder`, which is not Atlas's environment, and import it."""
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "pip", "install", "-q", "--no-deps", "--target", folder, *_PACKAGES], check=True)
    sys.path.insert(0, str(folder))
    return importlib.import_module("presidio_structured")


def _mask(whole: list[Table], keys: Keys, report: harness.Report) -> tuple[float, dict[str, list[ColumnPlan]]]:
    """Plan and mask all tables with Atlas; returns the seconds, and the plans by table."""
    scanner(Rules()).spans(["Anna Kowalska was here."])
    total, plans = 0.0, {}
    for table in whole:
        harness.say(f"pii: atlas, {table.name}, {len(table.frame):,} rows")
        started = time.perf_counter()
        plans[table.name] = atlas_plans(table)
        apply(table.frame, plans[table.name], keys)
        seconds = time.perf_counter() - started
        report.notes.append(f"atlas, {table.name}: {len(table.frame):,} rows in {seconds:.1f} s")
        total += seconds
    return total, plans


def measure(report: harness.Report, rows: int, part_rows: int) -> None:
    """Run all three, and add a table and goals to the report.

    Args:
        report: The report.
        rows: Customers of the sample.
        part_rows: First rows of each table that Presidio's ways process; their times are scaled to all cells.
    """
    with harness.scratch() as folder:
        harness.say(f"pii: sample of {rows:,} customers")
        whole = tables(folder / "sample", rows)
        atlas_seconds, plans = _mask(whole, load_keys(Settings(home=folder / "home")), report)
        cells = sum(table.cells for table in whole)
        parts = [part(table, part_rows) for table in whole]
        atlas_hits = [recall(table, atlas_found(table, plans[table.name])) for table in parts]
        analyzer = engine()
        analyzer.analyze("Anna Kowalska was here.", language="en")
        cell_seconds, cell_hits = 0.0, []
        for first, table in zip(parts, whole, strict=True):
            harness.say(f"pii: per cell, {first.name}, {len(first.frame):,} rows")
            seconds, found = per_cell(first, analyzer)
            cell_seconds += seconds * table.cells / first.cells
            cell_hits.append(recall(first, found))
        package = structured(folder / "rivals")
        structured_seconds, verdicts = 0.0, []
        for first, table in zip(parts, whole, strict=True):
            harness.say(f"pii: presidio-structured, {first.name}, {len(first.frame):,} rows")
            frame = first.frame.fillna("").astype(str)
            started = time.perf_counter()
            analysis = package.PandasAnalysisBuilder(analyzer).generate_analysis(frame)
            package.StructuredEngine().anonymize(frame, analysis)
            structured_seconds += (time.perf_counter() - started) * table.cells / first.cells
            typed = [name for name in first.kinds if name not in first.free_text]
            verdicts += [(first.kinds[name], analysis.entity_mapping.get(name)) for name in typed]
    ours = [
        (table.kinds[plan.name], plan.entity if plan.personal else None)
        for table in whole
        for plan in plans[table.name]
        if plan.name not in table.free_text
    ]
    atlas_recall, cell_recall = (sum(h for h, _ in hits) / sum(n for _, n in hits) for hits in (atlas_hits, cell_hits))
    scaled = f"scaled from {part_rows} rows a table"
    report.table(
        f"{rows:,} customers, {cells:,} cells: plan and mask",
        ["way", "seconds", "cells/s", "recall", "F1 of columns"],
        [
            ["atlas", atlas_seconds, cells / atlas_seconds, atlas_recall, f1(ours)],
            [f"AnalyzerEngine per cell, {scaled}", cell_seconds, cells / cell_seconds, cell_recall, ""],
            [f"presidio-structured, {scaled}", structured_seconds, cells / structured_seconds, "", f1(verdicts)],
        ],
    )
    ratios = (cell_seconds / atlas_seconds, structured_seconds / atlas_seconds)
    report.goals += [
        harness.Goal("times as fast as AnalyzerEngine per cell", ratios[0], FASTER_THAN_CELLS, at_least=True),
        harness.Goal("recall less that of AnalyzerEngine", atlas_recall - cell_recall, 0, at_least=True),
        harness.Goal("times as fast as presidio-structured", ratios[1], FASTER_THAN_STRUCTURED, at_least=True),
        harness.Goal("F1 less that of presidio-structured", f1(ours) - f1(verdicts), 0, at_least=True),
    ]
