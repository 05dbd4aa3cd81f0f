"""What the rules and dashboards of docker/monitoring ask of Prometheus: each expression, and the metrics in it.

Belongs here: reading those files, the syntax that tests need of an expression, and asking a Prometheus for each.
Does not belong here: starting one (`stack.py`).
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import yaml

from atlas_pipeline.settings import PROJECT_ROOT
from atlas_pipeline.telemetry.families import families

MONITORING = PROJECT_ROOT / "docker" / "monitoring"
RULE_FILES = sorted((MONITORING / "rules").glob("*.yml"))
RULE_TESTS = sorted((MONITORING / "rules" / "tests").glob("*.yml"))
DASHBOARDS = sorted((MONITORING / "grafana" / "dashboards").glob("*.json"))
RANGE = "5m"
"""What stands for Grafana's `$__rate_interval`."""

EXPORTERS: Mapping[str, frozenset[str]] = {
    name: frozenset(labels)
    for name, labels in {
        "pg_up": (),
        "pg_stat_database_temp_bytes": ("datname",),
        "pg_settings_max_connections": (),
        "pg_database_size_bytes": ("datname",),
        "pg_stat_database_numbackends": ("datname",),
        "pg_stat_database_xact_commit": ("datname",),
        "pg_stat_database_xact_rollback": ("datname",),
        "pg_stat_database_blks_hit": ("datname",),
        "pg_stat_database_blks_read": ("datname",),
        "pg_stat_database_tup_inserted": ("datname",),
        "pg_stat_database_tup_updated": ("datname",),
        "pg_stat_database_tup_deleted": ("datname",),
        "redis_up": (),
        "redis_memory_used_bytes": (),
        "redis_memory_max_bytes": (),
        "redis_keyspace_hits_total": (),
        "redis_keyspace_misses_total": (),
        "redis_rejected_connections_total": (),
        "redis_rdb_last_bgsave_status": (),
        "redis_aof_last_write_status": (),
        "redis_db_keys": ("db",),
        "redis_commands_processed_total": (),
        "redis_connected_clients": (),
        "redis_blocked_clients": (),
        "redis_rdb_changes_since_last_save": (),
        "node_load5": (),
        "node_cpu_seconds_total": ("cpu", "mode"),
        "node_memory_MemTotal_bytes": (),
        "node_memory_MemAvailable_bytes": (),
        "node_disk_read_bytes_total": ("device",),
        "node_disk_written_bytes_total": ("device",),
        "node_disk_io_time_seconds_total": ("device",),
        "node_filesystem_size_bytes": ("mountpoint", "fstype"),
        "node_filesystem_avail_bytes": ("mountpoint", "fstype"),
        "node_filesystem_files": ("mountpoint", "fstype"),
        "node_filesystem_files_free": ("mountpoint", "fstype"),
        "node_vmstat_oom_kill": (),
        "probe_success": ("module",),
        "probe_duration_seconds": ("module",),
        "probe_ssl_earliest_cert_expiry": (),
    }.items()
}
"""Metrics of the exporters that the tests start: of Postgres, Redis, the machine, and of probes."""

CONTAINERS: Mapping[str, frozenset[str]] = {
    name: frozenset({"container", "name"})
    for name in (
        "container_last_seen",
        "container_start_time_seconds",
        "container_memory_working_set_bytes",
        "container_spec_memory_limit_bytes",
        "container_oom_events_total",
        "container_cpu_usage_seconds_total",
        "container_cpu_cfs_periods_total",
        "container_cpu_cfs_throttled_periods_total",
    )
}
"""Metrics of cAdvisor, which takes an engine to look at."""

GATEWAY: Mapping[str, frozenset[str]] = {
    name: frozenset(labels)
    for name, labels in {
        "atlas_gateway_sign_ins_total": ("result",),
        "atlas_gateway_rate_limited_total": ("limit",),
        "atlas_gateway_refused_total": ("reason",),
        "atlas_gateway_mutations_total": ("role", "outcome"),
        "atlas_gateway_upstream_failures_total": ("upstream",),
        "atlas_gateway_errors_total": (),
        "atlas_gateway_websockets_open": (),
        "atlas_gateway_response_bytes_total": ("path",),
    }.items()
}
"""Metrics of the gateway alone; those of HTTP have the names and labels that `atlas ops` has."""

ELSEWHERE = frozenset({*EXPORTERS, *CONTAINERS, *GATEWAY, "gateway"})
"""What has no data where Atlas alone is scraped: metrics of others, and the job of the gateway."""

OTHERS: Mapping[str, frozenset[str]] = {
    name: frozenset(labels)
    for name, labels in {
        "up": (),
        "scrape_duration_seconds": (),
        "ALERTS": ("alertname", "alertstate", "severity"),
        "prometheus_rule_group_last_duration_seconds": ("rule_group",),
        "prometheus_rule_group_interval_seconds": ("rule_group",),
        "prometheus_rule_evaluation_failures_total": ("rule_group",),
        "prometheus_notifications_alertmanagers_discovered": (),
        "prometheus_notifications_errors_total": ("alertmanager",),
        "alertmanager_notifications_failed_total": ("integration",),
    }.items()
}
"""Metrics of Prometheus and Alertmanager themselves."""

_TARGET_LABELS = {"job", "instance"}
_WORDS = {"and", "or", "unless", "offset", "bool", "by", "on", "without", "ignoring", "group_left", "group_right"}
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"(?<![\w:.$])([a-zA-Z_:][\w:]*)(?![\w:]*\s*\()\s*(?:\{([^}]*)\})?")


@dataclass(frozen=True)
class Expression:
    """One expression, and where it is: file, then rule or panel."""

    place: str
    text: str


@cache
def rules() -> Sequence[tuple[str, dict[str, Any]]]:
    """Every rule, recording ones too, with its place."""
    return [
        (f"{path.name}: {rule.get('alert') or rule['record']}", rule)
        for path in RULE_FILES
        for group in yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)["groups"]
        for rule in group["rules"]
    ]


def alerts() -> dict[str, dict[str, Any]]:
    """Every alert rule by its name."""
    return {rule["alert"]: rule for _, rule in rules() if "alert" in rule}


@cache
def panels() -> Sequence[tuple[str, dict[str, Any]]]:
    """Every panel of every dashboard that shows something, with its place."""
    return [
        (f"{path.name}: {panel['title']}", panel)
        for path in DASHBOARDS
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]
        if panel["type"] != "row"
    ]


def dashboard_expressions() -> Iterator[Expression]:
    """What the panels ask, with Grafana's variables filled in."""
    for place, panel in panels():
        for target in panel["targets"]:
            yield Expression(f"{place} {target['refId']}", target["expr"].replace("$__rate_interval", RANGE))


def expressions() -> Iterator[Expression]:
    """All of them: rules as they stand, then dashboards."""
    yield from (Expression(place, rule["expr"]) for place, rule in rules())
    yield from dashboard_expressions()


def selectors(text: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Each metric that an expression selects, with the labels that it is selected by."""
    bare = _GROUPING.sub(" ", re.sub(r'"(?:[^"\\]|\\.)*"', '""', text))
    for name, matchers in _SELECTOR.findall(bare):
        if name not in _WORDS:
            yield name, frozenset(re.findall(r"(\w+)\s*[=!]", matchers))


def grouping(text: str) -> frozenset[str]:
    """The labels that an expression groups or matches by."""
    return frozenset(label.strip() for found in _GROUPING.findall(text) for label in found.split(",") if label.strip())


@cache
def labels_of_metrics() -> Mapping[str, frozenset[str]]:
    """The labels of each name that may stand in an expression: families as they are exposed, records, others."""
    known: dict[str, frozenset[str]] = {
        name: labels | _TARGET_LABELS for name, labels in (EXPORTERS | CONTAINERS | GATEWAY | OTHERS).items()
    }
    for name, family in families().items():
        own = frozenset(family.labels) | _TARGET_LABELS
        if family.kind == "histogram":
            known |= {f"{name}_bucket": own | {"le"}, f"{name}_sum": own, f"{name}_count": own}
        else:
            known[name] = own
    known |= {rule["record"]: grouping(rule["expr"]) for _, rule in rules() if "record" in rule}
    return known


@cache
def _client() -> httpx.Client:
    """One for all: making one costs more than a question."""
    return httpx.Client(timeout=30)


def ask(prometheus: str, text: str) -> list[dict[str, Any]]:
    """The series that an expression gives now, of a Prometheus at that URL. Raises AssertionError if it is refused."""
    answer = _client().get(f"{prometheus}/api/v1/query", params={"query": text}).json()
    assert answer["status"] == "success", f"{answer.get('error')}: {text}"
    result = answer["data"]["result"]
    return result if answer["data"]["resultType"] == "vector" else [result]


def without_data(prometheus: str, but: Iterable[str] = ()) -> list[str]:
    """Where a Prometheus has no data for: panels whose expression gives nothing, and rules over metrics it lacks.

    An alert rule rightly gives nothing while all is well, so for rules each metric in it is asked for. What asks for a
    metric or job named in `but`, which is not scraped there, is left out.
    """
    absent = set(but)
    recorded = {rule["record"]: rule["expr"] for _, rule in rules() if "record" in rule}

    def asked_for(text: str) -> set[str]:
        names = {name for name, _ in selectors(text)}.union(re.findall(r'\bjob="(\w+)"', text))
        return names.union(*(asked_for(recorded[name]) for name in names & recorded.keys()))

    missing = [
        one.place
        for one in dashboard_expressions()
        if not absent & asked_for(one.text) and not ask(prometheus, one.text)
    ]
    for place, rule in rules():
        ask(prometheus, rule["expr"])
        if not absent & asked_for(rule["expr"]):
            names = {name for name, _ in selectors(rule["expr"])}
            missing += [f"{place}: {name}" for name in sorted(names) if not ask(prometheus, name)]
    return missing
