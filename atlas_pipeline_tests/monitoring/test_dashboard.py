"""Grafana's dashboards: shape, what they show, and that Prometheus can read every expression."""

import json
from pathlib import Path

import pytest
import yaml

from atlas_pipeline_tests.monitoring.expressions import (
    DASHBOARDS,
    MONITORING,
    Expression,
    dashboard_expressions,
    panels,
)
from atlas_pipeline_tests.monitoring.stack import run

GRAFANA = MONITORING / "grafana"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_shape(path: Path) -> None:
    board = json.loads(path.read_text(encoding="utf-8"))
    assert board["uid"] == f"atlas-{path.stem}"
    assert board["schemaVersion"] >= 39
    assert [one["type"] for one in board["templating"]["list"]] == ["datasource"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not taken & cells, f"{panel['title']} lies over another panel"
        taken |= cells


def test_every_panel_asks_the_data_source_that_was_chosen() -> None:
    for place, panel in panels():
        for asked in (panel, *panel["targets"]):
            assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, place


def test_overview_shows_what_it_must() -> None:
    shown = {place.partition(": ")[2] for place, _ in panels() if place.startswith("overview")}
    assert shown >= {
        "Request rate", "Error rate", "Latency", "Rows per second", "Quality by dimension", "Personal data by type",
        "Query times", "Connections", "Queue", "Processors", "Memory of Atlas", "Disk used",
        "Runs that ended, per hour",
        "Age of assets", "Age of the newest", "Alerts that fire",
    }  # fmt: skip


def test_latency_shows_three_quantiles() -> None:
    latency = next(panel for place, panel in panels() if place.endswith(": Latency"))
    assert [target["legendFormat"] for target in latency["targets"]] == ["p50", "p95", "p99"]


def test_every_expression_can_be_read(tmp_path: Path) -> None:
    asked: list[Expression] = list(dashboard_expressions())
    listed = [{"record": f"panel:{number}", "expr": one.text} for number, one in enumerate(asked)]
    rules = tmp_path / "panels.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": listed}]}))
    assert f"{len(asked)} rules found" in run("promtool", "check", "rules", str(rules))


def test_dashboards_and_data_source_are_provisioned() -> None:
    source = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yaml").read_text())
    assert [(one["type"], one["isDefault"]) for one in source["datasources"]] == [("prometheus", True)]
    boards = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "atlas.yaml").read_text())
    assert [(one["type"], one["options"]["path"]) for one in boards["providers"]] == [
        ("file", "/etc/grafana/dashboards")
    ]
