"""Alertmanager's file: who is told and when, what hides what, and that no secret is in it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import yaml

from atlas_pipeline.alerting.policy import TEAMS
from atlas_pipeline_tests.monitoring.expressions import MONITORING, alerts
from atlas_pipeline_tests.monitoring.stack import Stack, exporter, monitored, run

CONFIG: dict[str, Any] = yaml.safe_load((MONITORING / "alertmanager.yml").read_text(encoding="utf-8"))
SECRETS = ("key", "token", "password", "secret", "credentials", "api_url", "url")


def test_alertmanager_accepts_its_file() -> None:
    assert "SUCCESS" in run("amtool", "check-config", "alertmanager.yml")


@pytest.mark.parametrize("team", TEAMS)
@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_a_team_gets_its_alerts(team: str, severity: str) -> None:
    said = run(
        "amtool", "config", "routes", "test", "--config.file=alertmanager.yml", f"--verify.receivers={team}",
        f"team={team}", f"severity={severity}",
    )  # fmt: skip
    assert said.splitlines()[0] == team


@pytest.mark.parametrize("labels", [["severity=critical"], ["severity=warning", "team=nobody"], ["team=database"]])
def test_what_nobody_owns_goes_to_default(labels: list[str]) -> None:
    said = run(
        "amtool", "config", "routes", "test", "--config.file=alertmanager.yml", "--verify.receivers=default", *labels
    )  # fmt: skip
    assert said.splitlines()[0] == "default"


def test_severities_have_their_times() -> None:
    times = {
        route["matchers"][0]: (route["group_wait"], route["repeat_interval"]) for route in CONFIG["route"]["routes"]
    }
    assert times == {'severity="critical"': ("5s", "1h"), 'severity="warning"': ("30s", "6h")}
    for route in CONFIG["route"]["routes"]:
        assert all(set(one) == {"matchers", "receiver"} for one in route["routes"]), "a team has no times of its own"


def keys(node: Any) -> Iterator[str]:
    """Every key of a document."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from keys(value)
    elif isinstance(node, list):
        for one in node:
            yield from keys(one)


def test_secrets_are_files() -> None:
    assert "slack_api_url_file" in set(keys(CONFIG))
    assert not [key for key in keys(CONFIG) if key.endswith(SECRETS)]


def test_parts_that_are_hidden_exist() -> None:
    components = {rule["labels"]["component"] for rule in alerts().values()}
    for rule in CONFIG["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            name, _, said = matcher.replace("=~", "=").partition("=")
            named = set(said.strip('"').split("|"))
            if name == "component" and named != {".+"}:
                assert named <= components
            if name == "alertname":
                assert named <= set(alerts()) | {"system_down", "queue_long", "stale", "tick_failed"}


def rule(name: str, **labels: str) -> dict[str, str]:
    """The labels of an alert of that rule."""
    return {"alertname": name, **alerts()[name]["labels"], **labels}


def own(condition: str, severity: str, team: str, **labels: str) -> dict[str, str]:
    """The labels of an alert that Atlas sends itself."""
    return {"alertname": condition, "severity": severity, "team": team, **labels}


ORDERS = {"asset": "silver/orders"}
HIDDEN = [
    (rule("AtlasDown", job="atlas"), rule("RunQueueStuck")),
    (rule("AtlasDown", job="atlas"), rule("DatabaseDown", database="warehouse")),
    (rule("DaemonSilent", daemon="SENSOR"), rule("SensorsSilent")),
    (rule("DatabaseDown", database="warehouse"), rule("PipelineFailureRateCritical")),
    (rule("DatabaseDown", database="warehouse"), rule("DatabaseQueriesSlow", database="warehouse")),
    (rule("PipelineFailureRateCritical"), rule("PipelineFailureRateHigh")),
    (rule("QualityScoreCritical", **ORDERS), rule("QualityScoreLow", **ORDERS)),
    (rule("AssetStale", **ORDERS), rule("AssetAging", **ORDERS)),
    (rule("DiskFull", place="home"), rule("DiskFilling", place="home")),
    (rule("BackupOld", database="warehouse"), rule("BackupSlow", database="warehouse")),
    (own("stale", "critical", "data-engineering", subject="silver/orders", **ORDERS), rule("AssetAging", **ORDERS)),
    (own("run_failed", "critical", "default", subject="job a"), own("stale", "warning", "default", subject="job a")),
    (own("system_down", "critical", "infrastructure", subject="daemon"), own("queue_long", "warning", "default")),
]
HEARD = [
    (rule("AtlasDown", job="atlas"), rule("DiskFull", place="home")),
    (rule("AtlasDown", job="atlas"), rule("PiiLeak", **ORDERS)),
    (rule("DaemonSilent", daemon="SENSOR"), rule("BackupOld", database="warehouse")),
    (rule("DaemonSilent", daemon="SENSOR"), rule("DatabaseDown", database="warehouse")),
    (rule("DiskFull", place="home"), rule("DiskFilling", place="backups")),
    (rule("QualityScoreCritical", **ORDERS), rule("QualityScoreLow", asset="silver/customers")),
    (rule("PiiLeak", **ORDERS), rule("QualityScoreLow", **ORDERS)),
    (rule("BackupOld", database="warehouse"), rule("DatabaseQueriesSlow", database="warehouse")),
    (rule("SystemMemoryExhausted"), rule("CpuHigh")),
    (rule("QualityScoreLow", **ORDERS), rule("QualityScoreCritical", **ORDERS)),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Both servers, of which only Alertmanager is asked."""
    with exporter() as scraped, monitored(scraped.url, tmp_path_factory.mktemp("stack")) as servers:
        yield servers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("graver", "lesser", "hidden"),
    [*((*pair, True) for pair in HIDDEN), *((*pair, False) for pair in HEARD)],
    ids=lambda one: one.get("alertname") if isinstance(one, dict) else ("hides" if one else "leaves"),
)
def test_what_hides_what(
    stack: Stack, graver: dict[str, str], lesser: dict[str, str], hidden: bool, request: pytest.FixtureRequest
) -> None:
    """Alertmanager itself says by what an alert is inhibited; each pair is told, asked for, and ended."""
    case = request.node.callspec.id
    now = datetime.now(UTC)

    def post(ends: datetime) -> None:
        told = [
            {"labels": {**labels, "case": case}, "startsAt": now.isoformat(), "endsAt": ends.isoformat()}
            for labels in (graver, lesser)
        ]
        httpx.post(f"{stack.alertmanager}/api/v2/alerts", json=told).raise_for_status()

    post(now + timedelta(minutes=10))
    both = {
        one["labels"]["alertname"]: (one["fingerprint"], one["status"]["inhibitedBy"])
        for one in stack.alerts()
        if one["labels"].get("case") == case
    }
    post(datetime.now(UTC))
    print_of_graver = both[graver["alertname"]][0]
    assert (print_of_graver in both[lesser["alertname"]][1]) is hidden
