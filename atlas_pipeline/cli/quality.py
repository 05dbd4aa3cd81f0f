"""`atlas quality`: the quality scores of each table when last measured, and the checks that do not pass.

Belongs here: what is shown, and how. Does not belong here: how scores are computed and stored (`quality/`).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from textwrap import wrap
from typing import Any

from rich.cells import cell_len, set_cell_size

from atlas_pipeline.cli.output import ERR, OUT, failures_as_messages, print_json, print_table, progress
from atlas_pipeline.quality.counts import forget_counts
from atlas_pipeline.quality.generated import is_generated
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
_NONE = "—"
_NO_CONTRACT = "no contract"
_HEADINGS = dict(zip(DIMENSIONS, ("complete", "unique", "valid", "accurate", "consistent", "timely"), strict=True))
_SIX = tuple(_HEADINGS.values())
_RIGHT = {*_SIX, "overall", "failed", "measured", "rows failed"}
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
"""Headings of each table, the widest layout first; narrower terminals get fewer columns."""
_CHECKS = ("check", "dimension", "severity", "status", "measured", "expected", "rows failed")
_CHECKS_OPTIONAL = ("rows failed", "dimension", "severity", "expected", "measured")


def run(table: str | None, history: int | None, failed: bool, json: bool, *, recount: bool) -> int:
    """Print scores and checks.

    Args:
        table: One table, with or without its layer; None for all.
        history: Print this many of the table's measurements, newest first, instead of its checks.
        failed: Print only checks that do not pass, and all of them.
        json: Print one JSON document instead of text.
        recount: Forget what was counted of the tables before, so that all of their rows are counted next time.

    Returns:
        The exit code: 1 when a table was not published or a check of severity error does not pass, 2 when `table`
        names no measured table, or several.
    """
    message = "reading quality scores"
    with failures_as_messages(), progress(message), connect(warehouse_url(load_settings())) as connection:
        prepare_warehouse(connection)
        measured = latest_scores(connection)
        tables = [scores for scores in measured if table in (None, _name(scores), scores.name)]
        names = {_name(scores) for scores in tables}
        checks = [check for check in latest_outcomes(connection) if _name(check) in names]
        runs = score_history(connection, tables[0].layer, tables[0].name, history) if history and tables else []
        if recount and (table is None or len(tables) == 1):
            for name in sorted(names):
                forget_counts(connection, *name.split(".", 1))
            connection.commit()
    if measured and table is not None and len(tables) != 1:
        ERR.print(_ambiguous_or_unknown(table, tables or measured), markup=False, highlight=False)
        return 2
    failing = sorted(
        (check for check in checks if check.status != "passed"), key=lambda check: check.severity != "error"
    )
    bare = _without_contract(checks)
    ok = all(scores.published for scores in tables) and not any(check.blocks for check in failing)
    if json:
        listed = failing if table is None or failed else checks
        described = [_document(scores) | {"contract": _name(scores) not in bare} for scores in tables]
        document = {"ok": ok, "tables": described, "checks": list(map(_check_document, listed))}
        print_json(document if history is None else document | {"history": list(map(_document, runs))})
    elif not measured:
        _say("Nothing was measured yet. Materialize a table that has checks, or all of them with `atlas demo`.")
    elif history is not None:
        _print(f"{_name(tables[0])}, newest first", _RUNS, map(_row, runs))
    else:
        rows = [_row(scores) | ({"overall": _NO_CONTRACT} if _name(scores) in bare else {}) for scores in tables]
        _print("Quality", _TABLES, rows)
        if table is not None and not failed:
            columns = {heading: "right" if heading in _RIGHT else "left" for heading in _CHECKS}
            print_table("Checks", columns, list(map(_check_row, checks)), optional=_CHECKS_OPTIONAL)
        _print_failing(tables, failing, len(failing) if failed or table is not None else _MOST)
    return 0 if ok else 1


def _name(measured: TableScores | RecordedOutcome) -> str:
    return f"{measured.layer}.{measured.name}"


def _without_contract(checks: Iterable[RecordedOutcome]) -> set[str]:
    """Tables of silver and gold that have checks, and none of a contract: what is measured says little of them."""
    generated: dict[str, bool] = {}
    for check in checks:
        if check.layer != "bronze":
            generated[_name(check)] = generated.get(_name(check), True) and is_generated(check.path)
    return {name for name, only in generated.items() if only}


def _ambiguous_or_unknown(table: str, candidates: Sequence[TableScores]) -> str:
    names = ", ".join(map(_name, candidates))
    if all(candidate.name == table for candidate in candidates):
        return f"atlas: {table} matches several tables: expected one of {names}"
    return f"atlas: {table} has no measurements: expected one of {names}"


def _print_failing(tables: Sequence[TableScores], failing: Sequence[RecordedOutcome], most: int) -> None:
    for table in tables:
        if not table.published:
            _say(f"{_name(table)} was not published: readers still see the previous version.")
    checks = sum(table.scores[-1].checks for table in tables)
    if not failing:
        _say(f"{checks:,} of {checks:,} checks pass.")
        return
    _say(f"{len(failing):,} of {checks:,} checks do not pass:")
    for check in failing[:most]:
        _say(f"{check.severity}, {check.status}: {_name(check)}: {_line(check.title)}", indent=2)
        _say(_problem(check), indent=6)
    if len(failing) > most:
        _say(f"and {len(failing) - most:,} more: --failed shows all of them.", indent=2)


def _problem(check: RecordedOutcome) -> str:
    """What is wrong, with the measured and expected values unless the problem's text has them."""
    parts = [_line(check.problem or "")]
    if check.measured is not None and not parts[0].startswith("measured"):
        parts.append(f"measured {_number(check.measured)}, expected {_line(check.threshold)}")
    if check.rows_failed is not None and check.rows_tested is not None:
        parts.append(f"{check.rows_failed:,} of {check.rows_tested:,} rows failed")
    return "; ".join(filter(None, parts))


def _row(scores: TableScores) -> dict[str, str]:
    *dimensions, overall = scores.scores
    lowest = min(dimensions, key=lambda score: score.score)
    return {
        "table": _name(scores),
        "run": scores.run[:8],
        "published": "yes" if scores.published else "no",
        **dict.fromkeys(_SIX, _NONE),
        **{_HEADINGS[score.dimension]: shown(score.score) for score in dimensions if score.dimension != OVERALL},
        "lowest": _NONE if lowest.score == 1 else f"{lowest.dimension} {shown(lowest.score)}",
        "overall": shown(overall.score),
        "failed": f"{overall.failed:,} of {overall.checks:,}",
        "measured at": _moment(scores.measured_at),
    }


def _check_row(check: RecordedOutcome) -> list[str]:
    return [
        _line(check.title),
        check.dimension,
        check.severity,
        check.status,
        _NONE if check.measured is None else _number(check.measured),
        _line(check.threshold) or _NONE,
        _NONE if check.rows_failed is None else f"{check.rows_failed:,}",
    ]


def _print(title: str, layouts: Sequence[Sequence[str]], lines: Iterable[Mapping[str, str]]) -> None:
    """Print a table in the first layout that fits the terminal; if none does, truncate the last one's first column."""
    rows = list(lines)
    width = {heading: max(cell_len(text) for text in (heading, *(row[heading] for row in rows))) for heading in rows[0]}
    room = [OUT.width - sum(width[heading] + 3 for heading in layout) + 1 for layout in layouts]
    headings, spare = next((pair for pair in zip(layouts, room, strict=True) if pair[1] >= 0), (layouts[-1], room[-1]))
    if spare < 0:
        first, least = headings[0], max(width[headings[0]] + spare, 12)
        rows = [{**row, first: _cut(row[first], least)} for row in rows]
    columns = {heading: "right" if heading in _RIGHT else "left" for heading in headings}
    print_table(title, columns, [[row[heading] for heading in headings] for row in rows])


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def _say(text: str, indent: int = 0) -> None:
    """Print text wrapped to the terminal, every line indented."""
    margin = " " * indent
    lines = wrap(text, OUT.width - indent, break_long_words=False, break_on_hyphens=False)
    OUT.print("\n".join(margin + line for line in lines), markup=False, highlight=False)


def _line(text: str) -> str:
    return " ".join(text.split())


def _number(value: float) -> str:
    return f"{int(value):,}" if value.is_integer() else f"{value:,.6g}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _document(scores: TableScores) -> dict[str, Any]:
    *dimensions, overall = scores.scores
    return {
        "layer": scores.layer,
        "name": scores.name,
        "run": scores.run,
        "measured_at": scores.measured_at.isoformat(),
        "published": scores.published,
        "checks": overall.checks,
        "failed": overall.failed,
        "overall": overall.score,
        "dimensions": dict.fromkeys(DIMENSIONS, None) | {score.dimension: score.score for score in dimensions},
    }


def _check_document(check: RecordedOutcome) -> dict[str, Any]:
    left_out = ("run", "measured_at")
    return {name: value for name, value in vars(check).items() if name not in left_out}
