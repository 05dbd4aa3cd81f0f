"""What Atlas's record and Postgres know of each table: publications, plans, outcomes of checks over time, and readers.

Belongs here: collecting it, as plain data. Does not belong here: how it is shown (`pages.py`). Names, kinds and counts
are read, never a row: what a check measured is left out where that may be a value of one, as of a maximum.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import psycopg

from atlas_pipeline import labels
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.privacy_record import Measured, recent_measures
from atlas_pipeline.pii.record import recorded_by_table
from atlas_pipeline.quality.history import RecordedOutcome, TableScores, recent_outcomes, recent_scores

SHOWN = 30
"""Measurements of each table that are shown, the newest last."""
_SHORT = {"timestamp with time zone": "timestamptz", "timestamp without time zone": "timestamp"}
_VALUES = ("aggregate", "metric")
"""Types of checks whose measured number may be a value of a row."""
_PUBLICATIONS = """
SELECT layer || '.' || name, rows, quarantined, published_at FROM atlas.publications
UNION ALL
SELECT 'bronze.' || dataset, sum(rows)::bigint, sum(rejected)::bigint, max(loaded_at)
FROM atlas.files WHERE status = 'loaded' AND superseded_by IS NULL GROUP BY dataset
"""
_ROWS = """
SELECT key, rows FROM (
    SELECT layer || '.' || name AS key, rows, version,
        row_number() OVER (PARTITION BY layer, name ORDER BY version DESC) AS place
    FROM atlas.publication_history
) one WHERE place <= %s ORDER BY key, version
"""
_COLUMNS = """
SELECT n.nspname || '.' || c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE n.nspname IN ('bronze', 'silver', 'gold') AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0
    AND NOT a.attisdropped AND left(a.attname, 1) <> '_'
ORDER BY 1, a.attnum
"""
_READERS = """
SELECT n.nspname || '.' || c.relname, r.rolname,
    CASE
        WHEN r.oid = c.relowner THEN 'owns it'
        WHEN r.rolsuper THEN 'superuser'
        WHEN EXISTS (
            SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = r.oid AND a.privilege_type = 'SELECT'
        ) THEN 'granted'
        WHEN pg_has_role(r.oid, 'pg_read_all_data', 'USAGE') THEN 'reads all data'
        WHEN NOT has_table_privilege(r.oid, c.oid, 'SELECT') THEN 'granted some columns'
        WHEN pg_has_role(r.oid, c.relowner, 'USAGE') THEN 'member of ' || pg_get_userbyid(c.relowner)
        ELSE coalesce((
            SELECT 'member of ' || string_agg(pg_get_userbyid(a.grantee), ', ' ORDER BY pg_get_userbyid(a.grantee))
            FROM aclexplode(c.relacl) a
            WHERE a.privilege_type = 'SELECT' AND a.grantee <> 0 AND pg_has_role(r.oid, a.grantee, 'USAGE')
        ), 'granted to everyone')
    END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN pg_roles r
WHERE n.nspname IN ('silver', 'gold') AND c.relkind IN ('r', 'p', 'v') AND r.rolname !~ '^pg_'
    AND has_any_column_privilege(r.oid, c.oid, 'SELECT') AND has_schema_privilege(r.oid, n.oid, 'USAGE')
ORDER BY 1, 2
"""
_VIEWS = """
SELECT DISTINCT n.nspname || '.' || c.relname, vn.nspname || '.' || v.relname, pg_get_userbyid(v.relowner)
FROM pg_depend d JOIN pg_rewrite w ON w.oid = d.objid JOIN pg_class v ON v.oid = w.ev_class
JOIN pg_namespace vn ON vn.oid = v.relnamespace JOIN pg_class c ON c.oid = d.refobjid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND v.oid <> c.oid
    AND n.nspname IN ('silver', 'gold') AND vn.nspname NOT IN ('atlas', 'staging')
ORDER BY 1, 2
"""


@dataclass
class Recorded:
    """What is known of one table.

    Attributes:
        rows: of the table as readers see it; null when it was never published.
        quarantined: rows, or lines of bronze, that were set aside.
        published_at: when it was last published, bronze when it was last loaded.
        row_counts: of its publications, the oldest first.
        plans: what is done with personal data, by column.
        types: of Postgres, by column.
        outcomes: of each check by its path, the oldest first.
        scores: of its measurements, the oldest first.
        measures: of how well persons are hidden, by the name of the check, the oldest first.
        readers: roles that may read it, and why.
        views: that others made upon it, and whose they are.
    """

    rows: int | None = None
    quarantined: int = 0
    published_at: datetime | None = None
    row_counts: list[int] = field(default_factory=list)
    plans: Mapping[str, ColumnPlan] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, list[RecordedOutcome]] = field(default_factory=dict)
    scores: list[TableScores] = field(default_factory=list)
    measures: dict[str, Sequence[Measured]] = field(default_factory=dict)
    readers: list[tuple[str, str]] = field(default_factory=list)
    views: list[tuple[str, str]] = field(default_factory=list)


def read_recorded(connection: psycopg.Connection) -> dict[str, Recorded]:
    """What is known of each table, by layer and name: `silver.orders`."""
    found: dict[str, Recorded] = {}

    def of(key: str) -> Recorded:
        return found.setdefault(key, Recorded())

    for key, *published in connection.execute(_PUBLICATIONS):
        one = of(key)
        one.rows, one.quarantined, one.published_at = published
    for key, rows in connection.execute(_ROWS, [SHOWN]):
        of(key).row_counts.append(rows)
    for key, name, kind in connection.execute(_COLUMNS):
        of(key).types[name] = _SHORT.get(str(kind), str(kind))
    for layer in ("silver", "gold"):
        for name, plans in recorded_by_table(connection, layer).items():
            of(f"{layer}.{name}").plans = plans
    for scores in recent_scores(connection, SHOWN):
        of(f"{scores.layer}.{scores.name}").scores.append(scores)
    for outcome in recent_outcomes(connection, SHOWN):
        of(f"{outcome.layer}.{outcome.name}").outcomes.setdefault(outcome.path, []).append(outcome)
    for measure in (labels.REIDENTIFICATION, labels.SMALL_GROUPS):
        for (layer, name), measured in recent_measures(connection, measure, SHOWN).items():
            of(f"{layer}.{name}").measures[measure] = measured
    for key, role, how in connection.execute(_READERS):
        of(key).readers.append((role, how))
    for key, view, owner in connection.execute(_VIEWS):
        of(key).views.append((view, owner))
    return found


def may_be_a_value(path: str) -> bool:
    """Whether the number that a check measured may be a value of a row, as of a maximum."""
    _, _, below = f".{path}".partition(".checks.")
    return below.partition(".")[0] in _VALUES
