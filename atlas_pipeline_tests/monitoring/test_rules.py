"""The rules of Prometheus: that they are complete, over metrics that exist, documented, and tested by promtool."""

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from atlas_pipeline.alerting.policy import TEAMS
from atlas_pipeline.settings import PROJECT_ROOT
from atlas_pipeline.telemetry.families import families
from atlas_pipeline_tests.monitoring.expressions import (
    MONITORING,
    RULE_FILES,
    RULE_TESTS,
    Expression,
    alerts,
    expressions,
    grouping,
    labels_of_metrics,
    rules,
    selectors,
)
from atlas_pipeline_tests.monitoring.stack import run

ALERTS = alerts()
EXPRESSIONS = list(expressions())
RUNBOOKS = PROJECT_ROOT / "docs" / "runbooks.md"


def test_there_are_rules_enough() -> None:
    assert len(ALERTS) >= 40
    assert len(ALERTS) == sum("alert" in rule for _, rule in rules()), "a name is used twice"


def test_prometheus_accepts_its_configuration() -> None:
    said = run("promtool", "check", "config", "prometheus.yml")
    assert "FAILED" not in said
    assert all(path.name in said for path in RULE_FILES)


@pytest.mark.parametrize("folder", ["targets", "targets.compose"])
def test_targets_of_every_job_are_given(folder: str) -> None:
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    wanted = {file for job in config["scrape_configs"] for one in job["file_sd_configs"] for file in one["files"]}
    assert {job["job_name"] for job in config["scrape_configs"]} >= {
        "atlas", "postgres", "redis", "node", "containers", "blackbox"
    }  # fmt: skip
    assert {f"targets/{path.name}" for path in (MONITORING / folder).glob("*.yml")} == wanted
    modules = yaml.safe_load((MONITORING / "blackbox.yml").read_text())["modules"]
    for entry in yaml.safe_load((MONITORING / folder / "blackbox.yml").read_text()):
        assert entry["labels"]["__param_module"] in modules


def test_blackbox_exporter_accepts_its_modules() -> None:
    run("prometheus-blackbox-exporter", "--config.file=blackbox.yml", "--config.check")
    modules = yaml.safe_load((MONITORING / "blackbox.yml").read_text())["modules"]
    assert {module["prober"] for module in modules.values()} == {"http", "tcp", "dns", "icmp"}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_whose_how_grave_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert re.fullmatch(r"(?:[A-Z][a-z0-9]+){2,}", name)
    assert set(rule["labels"]) == {"severity", "team", "component"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["labels"]["team"] in TEAMS
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert "$value" in rule["annotations"]["description"]
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#{name.lower()}"


def test_every_rule_has_its_runbook_and_every_runbook_its_rule() -> None:
    text = RUNBOOKS.read_text(encoding="utf-8")
    assert set(re.findall(r"(?m)^### (\w+)$", text)) == set(ALERTS)
    for name, body in re.findall(r"(?ms)^### (\w+)\n\n(.*?)(?=^#|\Z)", text):
        assert len(body.split()) >= 25, f"{name}: what it means, how to look, what to do"


@pytest.mark.parametrize("one", EXPRESSIONS, ids=lambda one: one.place)
def test_metrics_and_labels_exist(one: Expression) -> None:
    known = labels_of_metrics()
    found = list(selectors(one.text))
    assert found, "the search itself has gone blind"
    for name, labels in found:
        assert name in known, f"{name} is not in families.yaml"
        assert labels <= known[name], f"{name} has no such label"
    assert grouping(one.text) <= frozenset().union(*(known[name] for name, _ in found))


@pytest.mark.parametrize("name", ALERTS)
def test_annotations_use_labels_that_the_expression_leaves(name: str) -> None:
    rule = ALERTS[name]
    known = labels_of_metrics()
    used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    first, _ = next(selectors(rule["expr"]))
    left = grouping(rule["expr"]) if re.search(r"\b(sum|min|max|count|avg)\b", rule["expr"]) else known[first]
    assert used <= left


def test_every_counter_and_histogram_is_read_as_one() -> None:
    """A counter's value means nothing by itself: it is asked for through rate, increase, or where a series is new."""
    counters = {name for name, family in families().items() if family.kind == "counter"}
    for one in EXPRESSIONS:
        for name in counters & {name for name, _ in selectors(one.text)}:
            assert re.search(rf"\b(rate|increase)\({name}\b", one.text), one.place


@pytest.mark.parametrize("name", [name for name, rule in ALERTS.items() if " / " in rule["expr"]])
def test_ratios_of_counts_have_a_minimum_volume(name: str) -> None:
    text = ALERTS[name]["expr"]
    assert re.search(r"\band\b", text) or name == "RuleEvaluationSlow"


@functools.cache
def evaluations() -> dict[str, list[tuple[str, list[tuple[float, bool]]]]]:
    """For each alert, the groups that test it: name, and what is evaluated in the order of time: when, does it fire."""
    found: dict[str, list[tuple[str, list[tuple[float, bool]]]]] = {}
    for path in RULE_TESTS:
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            looks: dict[str, list[tuple[float, bool]]] = {}
            for case in group["alert_rule_test"]:
                at = float(case["eval_time"].removesuffix("m"))
                looks.setdefault(case["alertname"], []).append((at, bool(case.get("exp_alerts"))))
            for name, seen in looks.items():
                found.setdefault(name, []).append((group["name"], sorted(seen)))
    return found


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_is_shown_not_to_fire_to_fire_and_to_end(name: str) -> None:
    whole = [[fires for _, fires in seen] for _, seen in evaluations()[name]]
    assert [False, True, False] in whole


def _is_gated(rule: dict[str, Any]) -> bool:
    return bool(re.search(r"\band\b.*(>=? *[\d.e]+)\s*$", rule["expr"], re.DOTALL))


@pytest.mark.parametrize("name", [name for name, rule in ALERTS.items() if _is_gated(rule)])
def test_every_gate_is_shown_to_hold(name: str) -> None:
    assert any(not any(fires for _, fires in seen) for _, seen in evaluations()[name])


def test_unit_tests_test_nothing_else() -> None:
    assert set(evaluations()) == set(ALERTS)


@pytest.mark.slow
@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_promtool_agrees(path: Path) -> None:
    assert "SUCCESS" in run("promtool", "test", "rules", path.name, folder=path.parent)
