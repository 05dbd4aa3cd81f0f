"""`atlas quality`: how good each table was when it was last measured, and which checks do not pass.

Belongs here: what is shown, and how. Does not belong here: what a score is and what is kept of it (`quality/`).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from textwrap import wrap
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.markup import escape

from atlas_pipeline.cli.output import ERR, OUT, failures_as_messages, print_json, print_table, progress
from atlas_pipeline.quality.history import (
    RecordedOutcome,
    TableScores,
    latest_outcomes,
    latest_scores,
    score_history,
)
from atlas_pipeline.quality.outcome import DIMENSIONS
from atlas_pipeline.quality.score import OVERALL, shown
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.location import warehouse_url

_MOST = 20
_TITLE = 48
_NONE = "—"
_HEADINGS = dict(zip(DIMENSIONS, ("complete", "unique", "valid", "accurate", "consistent", "timely"), strict=True))
_SIX = tuple(_HEADINGS.values())
_TABLES = (
    ("table", *_SIX, "overall", "failed", "measured at"),
    ("table", *_SIX, "overall", "failed"),
    ("table", "overall", "lowest", "failed"),
)
_RUNS = (
    ("measured at", "run", "published", *_SIX, "overall", "failed"),
    ("measured at", "published", *_SIX, "overall"),
    ("measured at", "published", "overall", "lowest", "failed"),
)
_CHECKS = (
    ("check", "dimension", "severity", "status", "measured", "expected", "rows failed"),
    ("check", "status", "measured", "expected"),
    ("check", "status"),
)
"""Headings of each table: all of them, and fewer for narrower terminals."""


def run(table: str | None, history: int | None, failed: bool, json: bool) -> int:
    """Print what was measured. Returns 1 when something is wrong with what is shown, 2 when TABLE is none."""
    message = "reading what was measured"
    with failures_as_messages(), progress(message), connect(warehouse_url(load_settings())) as connection:
        prepare_warehouse(connection)
        measured = latest_scores(connection)
        tables = [one for one in measured if table in (None, _name(one), one.name)]
        names = {_name(one) for one in tables}
        checks = [one for one in latest_outcomes(connection) if _name(one) in names]
        runs = score_history(connection, tables[0].layer, tables[0].name, history) if history and tables else []
    if measured and table is not None and len(tables) != 1:
        ERR.print(_not_one(table, tables or measured), markup=False, highlight=False)
        return 2
    failing = sorted((one for one in checks if one.status != "passed"), key=lambda one: one.severity != "error")
    ok = all(one.published for one in tables) and not any(one.blocks for one in failing)
    if json:
        listed = failing if table is None or failed else checks
        document = {"ok": ok, "tables": list(map(_document, tables)), "checks": list(map(_check_document, listed))}
        print_json(document if history is None else document | {"history": list(map(_document, runs))})
    elif not measured:
        _say("Nothing was measured yet. Materializing a table with checks measures it: `atlas demo` does all of them.")
    elif history is not None:
        _print(f"{_name(tables[0])}, newest first", _RUNS, map(_row, runs))
    else:
        _print("Quality", _TABLES, map(_row, tables))
        if table is not None and not failed:
            _print("Checks", _CHECKS, map(_check_row, checks))
        _print_failing(tables, failing, len(failing) if failed or table is not None else _MOST)
    return 0 if ok else 1


def _name(one: TableScores | RecordedOutcome) -> str:
    return f"{one.layer}.{one.name}"


def _not_one(table: str, found: Sequence[TableScores]) -> str:
    names = ", ".join(map(_name, found))
    if all(one.name == table for one in found):
        return f"atlas: {table} may be any of {names}: give its layer too"
    return f"atlas: of {table} nothing was measured. There are {names}"


def _print_failing(tables: Sequence[TableScores], failing: Sequence[RecordedOutcome], most: int) -> None:
    for table in tables:
        if not table.published:
            _say(f"{_name(table)} was not published: readers see what was there before.")
    checks = sum(one.scores[-1].checks for one in tables)
    if not failing:
        _say(f"{checks:,} of {checks:,} checks pass.")
        return
    _say(f"{len(failing):,} of {checks:,} checks do not pass:")
    for one in failing[:most]:
        _say(f"{one.severity}, {one.status}: {_name(one)}: {_line(one.title)}", indent=2)
        _say(_problem(one), indent=6)
    if len(failing) > most:
        _say(f"and {len(failing) - most:,} more: --failed shows all of them.", indent=2)


def _problem(one: RecordedOutcome) -> str:
    """What is wrong, with the numbers where the words do not have them."""
    parts = [_line(one.problem or "")]
    if one.measured is not None and not parts[0].startswith("measured"):
        parts.append(f"measured {_number(one.measured)}, expected {_line(one.threshold)}")
    if one.rows_failed is not None and one.rows_tested is not None:
        parts.append(f"{one.rows_failed:,} of {one.rows_tested:,} rows failed")
    return "; ".join(filter(None, parts))


def _row(one: TableScores) -> dict[str, str]:
    *dimensions, overall = one.scores
    lowest = min(dimensions, key=lambda score: score.score)
    return {
        "table": _name(one),
        "run": one.run[:8],
        "published": "yes" if one.published else "no",
        **dict.fromkeys(_SIX, _NONE),
        **{_HEADINGS[score.dimension]: shown(score.score) for score in dimensions if score.dimension != OVERALL},
        "lowest": _NONE if lowest.score == 1 else f"{lowest.dimension} {shown(lowest.score)}",
        "overall": shown(overall.score),
        "failed": f"{overall.failed:,} of {overall.checks:,}",
        "measured at": _moment(one.measured_at),
    }


def _check_row(one: RecordedOutcome) -> dict[str, str]:
    return {
        "check": _cut(_line(one.title), _TITLE),
        "dimension": one.dimension,
        "severity": one.severity,
        "status": one.status,
        "measured": _NONE if one.measured is None else _number(one.measured),
        "expected": _line(one.threshold) or _NONE,
        "rows failed": _NONE if one.rows_failed is None else f"{one.rows_failed:,}",
    }


def _print(title: str, layouts: Sequence[Sequence[str]], lines: Iterable[Mapping[str, str]]) -> None:
    """A table in the first of the layouts that fits the terminal; when none does, its first column is cut."""
    rows = list(lines)
    width = {heading: max(cell_len(text) for text in (heading, *(row[heading] for row in rows))) for heading in rows[0]}
    room = [OUT.width - sum(width[heading] + 3 for heading in layout) + 1 for layout in layouts]
    headings, spare = next((pair for pair in zip(layouts, room, strict=True) if pair[1] >= 0), (layouts[-1], room[-1]))
    if spare < 0:
        first, least = headings[0], max(width[headings[0]] + spare, 12)
        rows = [{**row, first: _cut(row[first], least)} for row in rows]
    right = {*_SIX, "overall", "failed", "measured", "rows failed"}
    columns = {heading: "right" if heading in right else "left" for heading in headings}
    print_table(title, columns, [[escape(row[heading]) for heading in headings] for row in rows])


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def _say(text: str, indent: int = 0) -> None:
    """Words for people, wrapped within their indentation."""
    margin = " " * indent
    lines = wrap(text, OUT.width - indent, break_long_words=False, break_on_hyphens=False)
    OUT.print("\n".join(margin + line for line in lines), markup=False, highlight=False)


def _line(text: str) -> str:
    return " ".join(text.split())


def _number(value: float) -> str:
    return f"{int(value):,}" if value.is_integer() else f"{value:,.6g}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _document(one: TableScores) -> dict[str, Any]:
    *dimensions, overall = one.scores
    return {
        "layer": one.layer,
        "name": one.name,
        "run": one.run,
        "measured_at": one.measured_at.isoformat(),
        "published": one.published,
        "checks": overall.checks,
        "failed": overall.failed,
        "overall": overall.score,
        "dimensions": dict.fromkeys(DIMENSIONS, None) | {score.dimension: score.score for score in dimensions},
    }


def _check_document(one: RecordedOutcome) -> dict[str, Any]:
    left_out = ("run", "measured_at")
    return {name: value for name, value in vars(one).items() if name not in left_out}
