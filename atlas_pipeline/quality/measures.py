"""`atlas.table_measures`: what was measured of each publication, so that the next one can be compared with it.

Belongs here: every statement on that table, and measuring a staged one. Does not belong here: the comparison
(`anomalies.py`). It holds numbers about many rows, never a value.

Measuring reads no row: Postgres's own statistics, of the sample of 30,000 rows that `ANALYZE` took when the table was
staged, say how many values of a column are null, how many are different, and how large numbers are. Their size is the
mean of their logarithms, which a change of unit moves by the same in each table.
"""

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Literal

import psycopg

from atlas_pipeline.quality.anomalies import DISTINCT, GAP, LEVEL, MOST_POINTS, NULLS, Point, of_column

Scope = Literal["new rows", "whole table"]
_LEAST_VALUES, _LEAST_DISTINCT, _IDENTIFIERS = 20, 10, 0.9

_SHARES = """
SELECT s.attname, s.null_frac, CASE WHEN s.n_distinct < 0 THEN -s.n_distinct
    ELSE least(s.n_distinct / greatest(c.reltuples, 1), 1) END, greatest(c.reltuples, 0), t.typcategory = 'N'
FROM pg_stats s JOIN pg_namespace n ON n.nspname = s.schemaname
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.tablename
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = s.attname JOIN pg_type t ON t.oid = a.atttypid
WHERE s.schemaname = %s AND s.tablename = %s AND s.attname = ANY(%s)
"""
_LEVELS = """
SELECT s.attname, sum(v.weight * ln(abs(v.value))) / nullif(sum(v.weight), 0)
FROM pg_stats s CROSS JOIN LATERAL (
    SELECT unnest(s.most_common_vals::text::text[])::float8 AS value, unnest(s.most_common_freqs) AS weight
    UNION ALL
    SELECT unnest(s.histogram_bounds::text::text[])::float8,
        greatest(1 - s.null_frac - coalesce((SELECT sum(f) FROM unnest(s.most_common_freqs) f), 0), 0)
        / cardinality(s.histogram_bounds::text::text[])
) v
WHERE s.schemaname = %s AND s.tablename = %s AND s.attname = ANY(%s)
    AND v.value <> 0 AND abs(v.value) < 'Infinity'
GROUP BY s.attname
"""


def measure_columns(
    connection: psycopg.Connection, schema: str, table: str, columns: Collection[str]
) -> dict[str, float]:
    """Null shares, distinct shares and sizes of the columns of a table, by name of the number.

    Args:
        connection: may be read only.
        schema: that it is in.
        table: its name there, that was analysed; not that of a view.
        columns: to measure.
    """
    numbers: dict[str, float] = {}
    sizes = []
    for column, nulls, distinct, rows, numeric in connection.execute(_SHARES, [schema, table, list(columns)]):
        numbers[of_column(NULLS, column)] = float(nulls)
        numbers[of_column(DISTINCT, column)] = float(distinct)
        many = rows * (1 - nulls) >= _LEAST_VALUES and rows * distinct >= _LEAST_DISTINCT
        if numeric and many and distinct < _IDENTIFIERS:
            sizes.append(column)
    for column, level in connection.execute(_LEVELS, [schema, table, sizes]) if sizes else ():
        if level is not None:
            numbers[of_column(LEVEL, column)] = float(level)
    return numbers


def record_measures(
    connection: psycopg.Connection,
    layer: str,
    name: str,
    run: str,
    scope: Scope,
    about: datetime | None,
    numbers: Mapping[str, float],
    *,
    keep_days: int = 400,
) -> None:
    """Write down what was measured of a publication; it is not committed here.

    Args:
        connection: to the warehouse.
        layer: silver or gold.
        name: of the table.
        run: that published it.
        scope: what was measured: the rows that came, or the table.
        about: the day that its rows are of; null for now.
        numbers: by name.
        keep_days: age at which measures of this table are deleted.
    """
    connection.execute(
        "INSERT INTO atlas.table_measures (layer, name, run, scope, about, numbers)"
        " VALUES (%s, %s, %s, %s, coalesce(%s, clock_timestamp()), %s)",
        [layer, name, run, scope, about, json.dumps(dict(numbers))],
    )
    connection.execute(
        "DELETE FROM atlas.table_measures WHERE layer = %s AND name = %s"
        " AND measured_at < clock_timestamp() - make_interval(days => %s)",
        [layer, name, keep_days],
    )


def recorded_measures(
    connection: psycopg.Connection, layer: str, name: str, timezone: str = "UTC"
) -> tuple[list[Point], Point] | None:
    """The newest publication that was measured, and those before it with the same scope; null without any.

    Each has how many hours it came after the one before it.

    Args:
        connection: may be read only.
        layer: silver or gold.
        name: of the table.
        timezone: in which its days begin.
    """
    rows = connection.execute(
        "SELECT about AT TIME ZONE %(zone)s, numbers, extract(epoch FROM measured_at - before) / 3600 FROM ("
        " SELECT *, lag(measured_at) OVER (PARTITION BY layer, name ORDER BY measured_at) AS before,"
        " last_value(scope) OVER (PARTITION BY layer, name ORDER BY measured_at"
        " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS newest"
        " FROM atlas.table_measures WHERE layer = %(layer)s AND name = %(name)s) all_of"
        " WHERE scope = newest ORDER BY measured_at DESC LIMIT %(most)s",
        {"zone": timezone, "layer": layer, "name": name, "most": MOST_POINTS + 1},
    ).fetchall()
    points = [Point(at, numbers | ({} if gap is None else {GAP: float(gap)})) for at, numbers, gap in rows]
    if not points:
        return None
    now, before = points[0], sorted(points[1:], key=lambda point: point.at)
    return before, now
