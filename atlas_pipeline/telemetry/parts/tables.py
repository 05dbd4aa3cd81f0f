"""Metrics from Atlas's own tables: rows, sizes, quality, personal data, landing files, alerts.

Belongs here: statements on the schema `atlas` and the sizes of tables. Does not belong here: what is counted from the
event log (`totals.py`). Labels are names of tables, columns' kinds and statuses, never a value or a file.
"""

from collections.abc import Collection, Iterator

from atlas_pipeline.telemetry.parts.asking import Database
from atlas_pipeline.telemetry.sample import Sample
from atlas_pipeline.warehouse.bootstrap import LAYERS

FILE_STATUSES = ("loaded", "duplicate", "refused")
SEVERITIES = ("error", "warn")
_FILES = """
SELECT dataset, status, count(*), sum(bytes), sum(rows), sum(rejected),
    to_regclass(format('bronze.%I', dataset)) IS NOT NULL
FROM atlas.files GROUP BY dataset, status ORDER BY dataset, status
"""
_PUBLICATIONS = "SELECT layer, name, rows, quarantined FROM atlas.publications ORDER BY layer, name"
_SIZES = """
SELECT n.nspname, c.relname, pg_total_relation_size(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(%s) AND c.relkind = 'r' ORDER BY n.nspname, c.relname
"""
# A table that was published and is gone since is left out; one that never could be published is not.
_NEWEST = """
WITH newest AS (
    SELECT layer, name, run, measured_at FROM (
        SELECT DISTINCT ON (layer, name) layer, name, run, measured_at, published
        FROM atlas.quality_scores WHERE dimension = 'overall' ORDER BY layer, name, measured_at DESC, run
    ) one
    WHERE NOT published OR to_regclass(format('%I.%I', layer, name)) IS NOT NULL
)
"""
_SCORES = (
    _NEWEST
    + """
SELECT layer, name, dimension, score FROM newest JOIN atlas.quality_scores USING (layer, name, run, measured_at)
ORDER BY layer, name, dimension
"""
)
_FAILING = (
    _NEWEST
    + """
SELECT layer, name, severity, count(*) FILTER (WHERE status <> 'passed')
FROM newest JOIN atlas.check_outcomes USING (layer, name, run, measured_at)
GROUP BY layer, name, severity ORDER BY layer, name, severity
"""
)
_PERSONAL = """
SELECT layer, name, entity, action, count(*), max(confidence) FROM atlas.column_plans
WHERE entity IS NOT NULL GROUP BY layer, name, entity, action ORDER BY layer, name, entity, action
"""
_ALERTS = """
SELECT severity, CASE WHEN status = 'firing' AND document ->> 'silenced_by' IS NOT NULL THEN 'silenced' ELSE status END,
    count(*)
FROM atlas.alerts WHERE status <> 'resolved' GROUP BY 1, 2
"""
_MESSAGES = """
SELECT channel, sum(delivered)::bigint, sum(given_up)::bigint, sum(waiting)::bigint FROM (
    SELECT channel, count(*) FILTER (WHERE delivered_at IS NOT NULL) AS delivered,
        count(*) FILTER (WHERE given_up_at IS NOT NULL) AS given_up,
        count(*) FILTER (WHERE delivered_at IS NULL AND given_up_at IS NULL) AS waiting
    FROM atlas.alert_messages GROUP BY channel
    UNION ALL SELECT channel, delivered, given_up, 0 FROM atlas.alert_messages_deleted
) AS counted GROUP BY channel ORDER BY channel
"""
_CHANNELS = "SELECT channel, coalesce(open_until > clock_timestamp(), false) FROM atlas.alert_channels ORDER BY channel"

_CONNECTOR_COUNTERS = ("rows", "bytes", "requests", "retries", "extract_seconds")
_CONNECTORS = """
SELECT dataset, extracts, failed, rows, bytes, requests, retries, seconds, last_seconds,
    extract(epoch FROM succeeded_at)::float8, coalesce(open_until > clock_timestamp(), false)
FROM atlas.connectors ORDER BY dataset
"""


def samples(warehouse: Database, channels: Collection[str] = ()) -> Iterator[Sample]:
    """Gauges and counters of Atlas's own tables.

    Args:
        warehouse: the database.
        channels: names of the configured alert channels, which have samples before their first message.

    Raises:
        Away: the warehouse does not answer.
    """
    yield from _files(warehouse)
    yield from _published(warehouse)
    yield from _quality(warehouse)
    yield from _personal(warehouse)
    yield from _alerting(warehouse, channels)
    yield from _connectors(warehouse)


def _connectors(warehouse: Database) -> Iterator[Sample]:
    for connector, made, failed, *counted, seconds, at, is_open in warehouse.rows(_CONNECTORS):
        labels = {"connector": connector}
        yield Sample("atlas_connector_extracts_total", {**labels, "status": "success"}, made)
        yield Sample("atlas_connector_extracts_total", {**labels, "status": "failure"}, failed)
        for name, amount in zip(_CONNECTOR_COUNTERS, counted, strict=True):
            yield Sample(f"atlas_connector_{name}_total", labels, amount)
        if at is not None:
            yield Sample("atlas_connector_last_extract_seconds", labels, seconds)
            yield Sample("atlas_connector_last_success_timestamp_seconds", labels, at)
        yield Sample("atlas_connector_circuit_open", labels, float(is_open))


def _files(warehouse: Database) -> Iterator[Sample]:
    counts: dict[str, dict[str, tuple[float, ...]]] = {}
    tables = set()
    for dataset, status, *amounts, is_table in warehouse.rows(_FILES):
        counts.setdefault(dataset, {})[status] = tuple(float(amount) for amount in amounts)
        tables |= {dataset} if is_table else set()
    nothing = (0.0, 0.0, 0.0, 0.0)
    for dataset, by_status in counts.items():
        labels = {"dataset": dataset}
        for status in FILE_STATUSES:
            number = by_status.get(status, nothing)[0]
            yield Sample("atlas_landing_files_total", {**labels, "status": status}, number)
        _, octets, rows, _ = by_status.get("loaded", nothing)
        rejected = sum(amounts[3] for amounts in by_status.values())
        yield Sample("atlas_landing_bytes_total", labels, octets)
        yield Sample("atlas_landing_rows_total", labels, rows)
        yield Sample("atlas_landing_rejected_lines_total", labels, rejected)
        if dataset in tables:
            yield Sample("atlas_asset_rows", {"asset": f"bronze/{dataset}"}, rows)


def _published(warehouse: Database) -> Iterator[Sample]:
    assets = set()
    for layer, name, rows, quarantined in warehouse.rows(_PUBLICATIONS):
        assets |= {(layer, name), ("bronze", name)}
        yield Sample("atlas_asset_rows", {"asset": f"{layer}/{name}"}, rows)
        if layer == "silver":
            yield Sample("atlas_quarantined_rows", {"dataset": name}, quarantined)
    sizes = dict.fromkeys(LAYERS, 0)
    for layer, name, octets in warehouse.rows(_SIZES, [list(LAYERS)]):
        sizes[layer] += octets
        if (layer, name) in assets:
            yield Sample("atlas_storage_table_bytes", {"asset": f"{layer}/{name}"}, octets)
    for layer, octets in sizes.items():
        yield Sample("atlas_storage_bytes", {"layer": layer}, octets)


def _quality(warehouse: Database) -> Iterator[Sample]:
    for layer, name, dimension, score in warehouse.rows(_SCORES):
        yield Sample("atlas_quality_score", {"asset": f"{layer}/{name}", "dimension": dimension}, score)
    failing: dict[str, dict[str, int]] = {}
    for layer, name, severity, number in warehouse.rows(_FAILING):
        failing.setdefault(f"{layer}/{name}", dict.fromkeys(SEVERITIES, 0))[severity] = number
    for asset, by_severity in failing.items():
        for severity, number in by_severity.items():
            yield Sample("atlas_quality_checks_failing", {"asset": asset, "severity": severity}, number)


def _personal(warehouse: Database) -> Iterator[Sample]:
    surest: dict[tuple[str, str], float] = {}
    for layer, name, kind, action, number, confidence in warehouse.rows(_PERSONAL):
        asset = f"{layer}/{name}"
        surest[asset, kind] = max(surest.get((asset, kind), 0.0), confidence)
        yield Sample("atlas_pii_columns", {"asset": asset, "kind": kind, "action": action}, number)
    for (asset, kind), confidence in surest.items():
        yield Sample("atlas_pii_confidence", {"asset": asset, "kind": kind}, confidence)


def _alerting(warehouse: Database, channels: Collection[str]) -> Iterator[Sample]:
    lasting = {(severity, status): number for severity, status, number in warehouse.rows(_ALERTS)}
    for severity in ("critical", "warning"):
        for status in ("firing", "silenced", "pending"):
            number = lasting.get((severity, status), 0)
            yield Sample("atlas_alerts", {"severity": severity, "status": status}, number)
    messages = dict.fromkeys(channels, (0, 0, 0))
    messages |= {channel: (delivered, *others) for channel, delivered, *others in warehouse.rows(_MESSAGES)}
    is_open = dict.fromkeys(messages, False) | dict(warehouse.rows(_CHANNELS))
    for channel, (delivered, given_up, waiting) in messages.items():
        for outcome, number in (("delivered", delivered), ("given_up", given_up)):
            yield Sample("atlas_alert_messages_total", {"channel": channel, "outcome": outcome}, number)
        yield Sample("atlas_alert_messages_waiting", {"channel": channel}, waiting)
    for channel, left_alone in is_open.items():
        yield Sample("atlas_alert_channel_open", {"channel": channel}, left_alone)
