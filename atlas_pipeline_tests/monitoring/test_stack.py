"""Rules and dashboards in a real Prometheus, and an alert on its whole way: it fires, is told, and is over."""

from collections.abc import Iterator
from typing import Any

import pytest

from atlas_pipeline_tests.alerting.receivers import Receiver, receiver
from atlas_pipeline_tests.monitoring.expressions import (
    ELSEWHERE,
    Expression,
    ask,
    expressions,
    rules,
    without_data,
)
from atlas_pipeline_tests.monitoring.stack import Exporter, Stack, eventually, exporter, monitored

pytestmark = pytest.mark.slow
LABELS = {"alertname": "BackupRestoreTestFailed", "severity": "critical", "team": "database", "database": "warehouse"}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Exporter, Stack, Receiver]]:
    """An exporter of every family, scraped some times, both servers, and who is told."""
    with (
        exporter() as scraped,
        receiver() as people,
        monitored(scraped.url, tmp_path_factory.mktemp("stack"), people.address) as stack,
    ):
        eventually(lambda: scraped.scrapes > 3, "Prometheus scrapes")
        eventually(lambda: all(rule["health"] != "unknown" for rule in stack.rules()), "rules are evaluated")
        yield scraped, stack, people


def test_every_target_is_up(parts: tuple[Exporter, Stack, Receiver]) -> None:
    _, stack, _ = parts
    assert {one["labels"]["job"] for one in stack.targets()} == {"atlas", "prometheus", "alertmanager"}
    eventually(lambda: all(one["health"] == "up" for one in stack.targets()), "all targets are up")


def test_every_rule_is_loaded_and_evaluates(parts: tuple[Exporter, Stack, Receiver]) -> None:
    _, stack, _ = parts
    loaded = stack.rules()
    assert {one["name"] for one in loaded} == {rule.get("alert") or rule["record"] for _, rule in rules()}
    assert not [(one["name"], one["lastError"]) for one in loaded if one["health"] != "ok"]


@pytest.mark.parametrize("one", list(expressions()), ids=lambda one: one.place)
def test_every_expression_is_answered(parts: tuple[Exporter, Stack, Receiver], one: Expression) -> None:
    ask(parts[1].prometheus, one.text)


def test_every_expression_has_data(parts: tuple[Exporter, Stack, Receiver]) -> None:
    """All but those of exporters, none of which stands here, and what Alertmanager has failed at, which is nothing."""
    _, stack, _ = parts
    eventually(lambda: not without_data(stack.prometheus, ELSEWHERE), "every expression has data")


def told(people: Receiver, status: str) -> list[tuple[str, dict[str, Any]]]:
    """Path and alert of what the receiver was told of the alert under test."""
    return [
        (one.path, alert)
        for one in people.got
        for alert in one.json["alerts"]
        if alert["labels"]["alertname"] == LABELS["alertname"] and alert["status"] == status
    ]


def test_an_alert_fires_is_told_to_its_team_and_is_over(parts: tuple[Exporter, Stack, Receiver]) -> None:
    scraped, stack, people = parts

    def held() -> list[dict[str, Any]]:
        return [one for one in stack.alerts() if one["labels"]["alertname"] == LABELS["alertname"]]

    assert not held()
    scraped.set("atlas_backup_restore_test_ok", 0, database="warehouse")
    [alert] = eventually(held, "Alertmanager holds the alert")
    assert alert["labels"].items() >= LABELS.items()
    assert alert["annotations"]["runbook_url"] == "docs/runbooks.md#backuprestoretestfailed"
    assert alert["receivers"] == [{"name": "database"}]
    [(path, first), *_] = eventually(lambda: told(people, "firing"), "the team is told")
    assert path == "/database"
    assert first["labels"].items() >= LABELS.items()
    scraped.set("atlas_backup_restore_test_ok", 1, database="warehouse")
    [(path, last), *_] = eventually(lambda: told(people, "resolved"), "the team is told that it is over")
    assert path == "/database"
    assert last["labels"] == first["labels"]
    eventually(lambda: not held(), "Alertmanager holds it no more")
