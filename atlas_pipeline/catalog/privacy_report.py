"""The record of processing activities (GDPR Art. 30) of a project, as plain data: what of whom is where, and for what.

Belongs here: the report's content, and what is missing from it. Does not belong here: how it looks
(`privacy_page.py`). It has names, kinds and numbers, never a value of a row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from atlas_pipeline import labels
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.privacy_record import Measured, newest_measures
from atlas_pipeline.pii.processing import Processing
from atlas_pipeline.pii.record import recorded_by_table

Table = tuple[str, str]
_READERS = """
SELECT n.nspname, c.relname, coalesce(pg_get_userbyid(nullif(a.grantee, 0)), 'everyone')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
WHERE n.nspname IN ('silver', 'gold') AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
UNION
SELECT n.nspname, c.relname, pg_get_userbyid(m.member)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, pg_auth_members m
WHERE n.nspname IN ('silver', 'gold') AND c.relkind = 'r' AND m.roleid = 'pg_read_all_data'::regrole
ORDER BY 1, 2, 3
"""


@dataclass(frozen=True)
class Declared:
    """What a project says of a table.

    Attributes:
        description: what it is; null where it does not say.
        owners: who answers for it.
        processing: what it is for.
        sources: where its data comes from: files, servers, or tables that a model reads.
        reads: tables that a model reads.
    """

    description: str | None
    owners: Sequence[str]
    processing: Processing
    sources: Sequence[str]
    reads: Sequence[Table] = ()


@dataclass(frozen=True)
class Surroundings:
    """What holds for all tables: where alerts and backups go."""

    alert_channels: Sequence[str]
    backups: str


def privacy_report(
    connection: psycopg.Connection,
    tables: Mapping[Table, Declared],
    subjects: Mapping[Table, tuple[str, str]],
    surroundings: Surroundings,
) -> dict[str, Any]:
    """The report as a document.

    Args:
        connection: to the warehouse.
        tables: silver and gold tables as declared, each after those that it reads.
        subjects: the column that says whose data a row is, and a name for these persons, by table.
        surroundings: what holds for all of them.
    """
    plans = {
        (layer, name): columns
        for layer in ("silver", "gold")
        for name, columns in recorded_by_table(connection, layer).items()
    }
    published = {
        (layer, name): moment.isoformat()
        for layer, name, moment in connection.execute("SELECT layer, name, published_at FROM atlas.publications")
    }
    readers: dict[Table, list[str]] = {}
    for layer, name, role in connection.execute(_READERS):
        readers.setdefault((layer, name), []).append(role)
    risks, groups = (
        newest_measures(connection, labels.REIDENTIFICATION),
        newest_measures(connection, labels.SMALL_GROUPS),
    )
    entries: list[dict[str, Any]] = []
    purposes: dict[Table, Processing] = {}
    for table, declared in tables.items():
        purposes[table] = processing = _inherited(declared, purposes)
        kinds = _kinds(plans.get(table, {}))
        if not kinds and table not in subjects and table not in groups:
            continue
        entry = _entry(table, declared, processing) | {
            "kinds": kinds,
            "subjects": dict(zip(("column", "persons"), subjects.get(table, (None, None)), strict=True)),
            "recipients": {
                "roles": readers.get(table, []),
                "declared": list(processing.recipients),
                "alerts": list(surroundings.alert_channels),
                "backups": surroundings.backups,
            },
            "last_leak_check": published.get(table),
            "k": risks[table].numbers["k"] if table in risks else None,
            "groups": _few(groups.get(table)),
        }
        entries.append(entry | {"missing": _missing(entry)})
    return {"tables": entries, "complete": not any(entry["missing"] for entry in entries)}


def _entry(table: Table, declared: Declared, processing: Processing) -> dict[str, Any]:
    """What declarations say of a table."""
    return {
        "table": ".".join(table),
        "description": declared.description,
        "owners": list(declared.owners),
        "purpose": processing.purpose,
        "basis": processing.basis,
        "sources": list(declared.sources),
        "retention": None,
    }


def _few(measured: Measured | None) -> dict[str, Any] | None:
    """What was found of groups of few persons; null where rows are no groups."""
    if measured is None:
        return None
    return {"small": measured.numbers["small"], "exempt": measured.numbers["rule"]["exempt"]}


def _kinds(plans: Mapping[str, ColumnPlan]) -> list[dict[str, Any]]:
    return [
        {"column": name, "kind": plan.entity, "action": plan.action, "declared": plan.declared}
        for name, plan in plans.items()
        if plan.personal
    ]


def _inherited(declared: Declared, known: Mapping[Table, Processing]) -> Processing:
    """What a table is for; a model that does not say so is for what its tables are for, where these agree."""
    own = declared.processing
    read = [known[table] for table in declared.reads if table in known]

    def agreed(values: Sequence[str | None]) -> str | None:
        return values[0] if len(set(values)) == 1 else None

    return Processing(
        own.purpose or agreed([each.purpose for each in read]),
        own.basis or agreed([each.basis for each in read]),
        own.recipients,
    )


def _missing(entry: Mapping[str, Any]) -> list[str]:
    """What a data protection officer would ask for."""
    absent = [name for name in ("purpose", "basis", "owners", "retention", "last_leak_check") if not entry[name]]
    if entry["subjects"]["column"] is None and entry["groups"] is None:
        absent.append("subjects")
    return absent
