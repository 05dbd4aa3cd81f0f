"""What each page of the catalogue shows: from what is declared and what was recorded to what templates fill in.

Belongs here: the content of pages. Does not belong here: how it looks (`templates/`), pictures (`graphs.py`,
`sparklines.py`) and files (`building.py`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from markupsafe import Markup

from atlas_pipeline import labels
from atlas_pipeline.catalog.site.addresses import anchor_of, file_of
from atlas_pipeline.catalog.site.declared import Check, Column, Table
from atlas_pipeline.catalog.site.graphs import Lineage, Node, column_graph, near, near_columns, table_graph, written
from atlas_pipeline.catalog.site.recorded import Recorded, may_be_a_value
from atlas_pipeline.catalog.site.sparklines import number_line, outcome_bars
from atlas_pipeline.catalog.site.sql_text import highlighted
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.quality.score import OVERALL, shown

_NEAR, _NEAR_COLUMNS = 40, 24
_AT_PUBLICATION = (labels.LEAK_CHECK, labels.UNIT_TESTS)
"""Checks without which nothing is published: of what is published they passed."""
_WORST = ("failed", "not evaluated", "warned", "passed")
_SAID = {"failed": "fails", "not evaluated": "could not be evaluated", "warned": "warns"}
_SAID_OF_MANY = {"failed": "fail", "not evaluated": "could not be evaluated", "warned": "warn"}


@dataclass(frozen=True)
class Site:
    """All that the catalogue is made from.

    Attributes:
        tables: as declared, by key, in the order in which they are listed.
        recorded: by key; null when the database was not asked.
        built_at: when.
        ui: address of the Dagster UI, for links.
        version: of Atlas.
    """

    tables: Mapping[str, Table]
    recorded: Mapping[str, Recorded] | None
    built_at: datetime
    ui: str
    version: str

    def of(self, key: str) -> Recorded:
        """What is known of a table; nothing of one that was never built."""
        return (self.recorded or {}).get(key) or Recorded()

    @cached_property
    def lineage(self) -> Lineage:
        """Which table is made from which."""
        return Lineage(
            [(source, key) for key, table in self.tables.items() for source in table.reads if source in self.tables]
        )

    @cached_property
    def column_lineage(self) -> Lineage:
        """Which column is made from which."""
        return Lineage(
            [
                (written(*source), written(key, column.name))
                for key, table in self.tables.items()
                for column in table.columns
                for source in column.sources
                if source[0] in self.tables
            ]
        )

    def columns(self, key: str) -> list[Column]:
        """The columns of a table as declared, with those types that only Postgres knows; else as they are there."""
        types = self.of(key).types
        declared = self.tables[key].columns
        if not declared:
            return [Column(name, kind) for name, kind in types.items()]
        return [
            Column(one.name, one.type or types.get(one.name), one.description, one.tags, one.sources)
            for one in declared
        ]

    @cached_property
    def checks(self) -> dict[str, list[dict[str, Any]]]:
        """The checks of each table with what came of them, those that do not pass first."""
        return {key: check_rows(table, self.of(key)) for key, table in self.tables.items()}

    @cached_property
    def states(self) -> dict[str, tuple[str, str]]:
        """How each table is: a class of the style, and words."""
        return {key: self._state(key) for key in self.tables}

    def _state(self, key: str) -> tuple[str, str]:
        table, recorded = self.tables[key], self.of(key)
        if table.invalid:
            return "failed", "declaration is wrong"
        if self.recorded is None:
            return "unknown", "not measured"
        counted = Counter(check["status"] for check in self.checks[key])
        worst = next((status for status in _WORST if counted[status]), None)
        if recorded.scores and not recorded.scores[-1].published:
            return "failed", "last build was not published"
        if recorded.rows is None:
            return "unknown", "not built yet"
        if worst is None:
            return "unknown", "no check was measured"
        if worst == "passed":
            return "passed", "all checks pass"
        number = counted[worst]
        said = _SAID[worst] if number == 1 else _SAID_OF_MANY[worst]
        return worst.replace(" ", "-"), f"{number} {'check' if number == 1 else 'checks'} {said}"

    def nodes(self, keys: Sequence[str]) -> dict[str, Node]:
        """Tables as boxes of a picture."""
        return {
            key: Node(key, self.tables[key].layer, self.tables[key].name, file_of(key), *self.states[key])
            for key in keys
        }


def index_page(site: Site) -> dict[str, Any]:
    """The page of all tables."""
    rows = [_listed(site, key) for key in site.tables]
    personal = [row for row in rows if row["personal"]]
    attention = [row for row in rows if row["state"] in ("failed", "not-evaluated")]
    scores = [score for key in site.tables if (score := _score(site.of(key))) is not None]
    return {
        "rows": rows,
        "layers": list(Counter(table.layer for table in site.tables.values()).items()),
        "columns": sum(len(site.columns(key)) for key in site.tables),
        "personal_tables": len(personal),
        "personal_columns": sum(row["personal"] for row in rows),
        "attention": attention,
        "warned": sum(row["state"] == "warned" for row in rows),
        "score": shown(sum(scores) / len(scores)) if scores else None,
        "without_owner": [row for row in rows if not row["owners"]],
        "without_words": [row for row in rows if not row["description"]],
    }


def _listed(site: Site, key: str) -> dict[str, Any]:
    """A table as a line of a list."""
    table, recorded = site.tables[key], site.of(key)
    state, said = site.states[key]
    score = _score(recorded)
    return {
        "key": key,
        "href": file_of(key),
        "layer": table.layer,
        "name": table.name,
        "description": table.description,
        "owners": table.owners,
        "state": state,
        "said": said,
        "score": None if score is None else shown(score),
        "personal": sum(plan.personal for plan in recorded.plans.values()),
        "rows": recorded.rows,
        "published_at": recorded.published_at,
        "invalid": table.invalid,
    }


def _score(recorded: Recorded) -> float | None:
    """The overall score when last measured."""
    if not recorded.scores:
        return None
    return next((one.score for one in recorded.scores[-1].scores if one.dimension == OVERALL), None)


def table_page(site: Site, key: str) -> dict[str, Any]:
    """The page of one table."""
    table, recorded = site.tables[key], site.of(key)
    columns = [_column(site, key, column) for column in site.columns(key)]
    overall = [one.score for scores in recorded.scores for one in scores.scores if one.dimension == OVERALL]
    newest = recorded.scores[-1].scores if recorded.scores else ()
    risk = recorded.measures.get(labels.REIDENTIFICATION, ())
    return {
        "table": table,
        "recorded": recorded,
        "state": site.states[key],
        "columns": columns,
        "described": any(column["description"] or column["tags"] for column in columns),
        "one_source": len(table.reads) == 1,
        "traced": not _as_named(site.columns(key)),
        "planned": any(column["plan"] for column in columns),
        "dropped": [name for name, plan in recorded.plans.items() if plan.action == "drop"],
        "checks": site.checks[key],
        "no_contract": any(check.name == labels.NO_CONTRACT for check in table.checks),
        "score": shown(overall[-1]) if overall else None,
        "score_line": number_line(overall, "Quality score", 0),
        "dimensions": [(one.dimension, shown(one.score)) for one in newest if one.dimension != OVERALL],
        "rows_line": number_line(recorded.row_counts, "Rows of each publication"),
        "refused": bool(recorded.scores) and not recorded.scores[-1].published,
        "k": risk[-1].numbers.get("k") if risk else None,
        "sql": highlighted(table.sql, site.tables) if table.sql else None,
        "reads": [site.nodes([source])[source] for source in table.reads if source in site.tables],
        "unknown_reads": [source for source in table.reads if source not in site.tables],
        "readers": _readers(recorded),
        "read_by": [site.nodes([other])[other] for other in site.lineage.after.get(key, ())],
        "dagster": f"{site.ui}/assets/{'/'.join(key.split('.'))}",
        **_pictures(site, key),
    }


def _as_named(columns: Sequence[Column]) -> bool:
    """Whether each column is made from one of the same name, all of one table, or nothing is known."""
    sources = [(column.name, source) for column in columns for source in column.sources]
    return len({table for _, (table, _) in sources}) <= 1 and all(name == other for name, (_, other) in sources)


def _column(site: Site, key: str, column: Column) -> dict[str, Any]:
    plan: ColumnPlan | None = site.of(key).plans.get(column.name)
    return {
        "name": column.name,
        "anchor": anchor_of(column.name),
        "type": column.type,
        "description": column.description,
        "tags": {name: value for name, value in column.tags.items() if name not in (labels.PII_TAG, labels.ACTION_TAG)},
        "plan": plan if plan is not None and plan.entity is not None else None,
        "sources": [
            (source, f"{file_of(source)}#{anchor_of(name)}", name)
            for source, name in column.sources
            if source in site.tables
        ],
        "states": _of_column(site, key, column.name),
    }


def _of_column(site: Site, key: str, column: str) -> list[dict[str, Any]]:
    """Checks of the contract that are about a column."""
    inside = f"columns.{column}.checks."
    return [check for check in site.checks[key] if (check["path"] or "").startswith(inside)]


def check_rows(table: Table, recorded: Recorded) -> list[dict[str, Any]]:
    """The checks of a table with what came of them, those that do not pass first."""
    rows = [_check(check, recorded) for check in table.checks if check.name != labels.NO_CONTRACT]
    order = {status: place for place, status in enumerate(_WORST)}
    return sorted(rows, key=lambda row: order.get(row["status"], len(order)))


def _check(check: Check, recorded: Recorded) -> dict[str, Any]:
    history = recorded.outcomes.get(check.path or "", [])
    statuses: list[str] = [outcome.status for outcome in history]
    tested, failed, measured, expected = None, None, None, ""
    if history:
        newest = history[-1]
        tested, failed, expected = newest.rows_tested, newest.rows_failed, newest.threshold
        measured = None if may_be_a_value(newest.path) else newest.measured
    elif check.name in recorded.measures:
        statuses = ["passed" if one.passed else "failed" for one in recorded.measures[check.name]]
    elif check.name in _AT_PUBLICATION and recorded.rows is not None:
        statuses = ["passed"]
    return {
        "name": check.name,
        "path": check.path,
        "title": check.title,
        "dimension": check.dimension,
        "blocking": check.blocking,
        "status": statuses[-1] if statuses else "not measured",
        "kept": bool(history) or check.name in recorded.measures,
        "bars": outcome_bars(statuses),
        "rows_tested": tested,
        "rows_failed": failed,
        "measured": measured,
        "expected": expected,
        "at": history[-1].measured_at if history else None,
    }


def _readers(recorded: Recorded) -> list[tuple[str, list[str]]]:
    """Roles that may read a table, by why they may."""
    found: dict[str, list[str]] = {}
    for role, how in recorded.readers:
        found.setdefault(how, []).append(role)
    return sorted(found.items(), key=lambda pair: (pair[0] in ("owns it", "superuser"), pair[0]))


def _pictures(site: Site, key: str) -> dict[str, Any]:
    tables = near(key, site.lineage, _NEAR)
    columns = near_columns(key, [column.name for column in site.columns(key)], site.column_lineage, _NEAR_COLUMNS)
    graph = columns_of_graph = Markup()
    if len(tables.keys) > 1:
        graph = table_graph(site.nodes(tables.keys), tables.edges, key, f"Lineage of {key}")
    if columns.edges:
        names = {other: _known_columns(site, other) for other in columns.keys}
        columns_of_graph = column_graph(
            site.nodes(columns.keys), columns.edges, key, names, f"Lineage of the columns of {key}"
        )
    return {
        "graph": graph,
        "graph_left_out": tables.left_out,
        "column_graph": columns_of_graph,
        "column_graph_left_out": columns.left_out,
    }


def _known_columns(site: Site, key: str) -> list[str]:
    """The columns of a table, with those that others say they are made from."""
    names = [column.name for column in site.columns(key)]
    start = written(key, "")
    used = [end.removeprefix(start) for end in site.column_lineage.after if end.startswith(start)]
    return [*names, *(name for name in sorted(used) if name not in names)]


def lineage_page(site: Site) -> dict[str, Any]:
    """The page with the lineage of all tables."""
    graph = table_graph(site.nodes(list(site.tables)), site.lineage.edges, None, "Lineage of all tables")
    return {"graph": graph, "tables": len(site.tables)}


def personal_page(site: Site) -> dict[str, Any]:
    """The page of personal data: where each kind is, and what is done with it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for key, column, plan in _personal(site):
        found.setdefault(plan.entity or "", []).append(
            {
                "key": key,
                "layer": site.tables[key].layer,
                "name": column,
                "href": f"{file_of(key)}#{anchor_of(column)}",
                "action": plan.action,
                "declared": plan.declared,
            }
        )
    kept = sum(one["action"] == "keep" for columns in found.values() for one in columns)
    return {"kinds": sorted(found.items()), "columns": sum(map(len, found.values())), "kept": kept}


def _personal(site: Site) -> Iterator[tuple[str, str, ColumnPlan]]:
    for key in site.tables:
        for column, plan in site.of(key).plans.items():
            if plan.personal:
                yield key, column, plan


def search_entries(site: Site) -> list[list[Any]]:
    """What can be searched for: of each table its file, key, words, and columns with their kinds of personal data."""
    entries: list[list[Any]] = []
    for key, table in site.tables.items():
        plans = site.of(key).plans
        columns = [
            [
                column.name,
                "" if anchor_of(column.name) == f"c-{column.name}" else anchor_of(column.name),
                (plan.entity or "") if (plan := plans.get(column.name)) is not None and plan.personal else "",
                (column.description or "")[:120],
            ]
            for column in site.columns(key)
        ]
        words = " ".join([(table.description or "")[:200], *table.owners, *table.tags])
        entries.append([file_of(key), key, table.layer, words, columns])
    return entries
