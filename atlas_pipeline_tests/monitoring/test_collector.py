"""The collector's file and Loki's: that they fit each other, the compose files, and lines as they are written."""

import re
from typing import Any

import psycopg
import pytest
import yaml

from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline_tests.monitoring.collector import collected, configuration, matches, stages
from atlas_pipeline_tests.monitoring.compose import everything, services
from atlas_pipeline_tests.monitoring.expressions import MONITORING

LABELS = {"service", "kind", "level"}
KNOWN = {
    "stage.json", "stage.regex", "stage.template", "stage.drop", "stage.timestamp", "stage.output",
    "stage.static_labels", "stage.labels", "stage.label_drop", "stage.match", "stage.structured_metadata",
    "stage.multiline",
}  # fmt: skip
PLATFORM = list(everything()["services"])


def test_parts_are_joined_to_each_other() -> None:
    parts = {f"{one.name}.{one.label}": one for one in configuration().blocks}
    assert set(parts) == {
        "local.file_match.containers",
        "loki.source.file.containers",
        "loki.process.lines",
        "loki.write.loki",
    }
    assert parts["loki.source.file.containers"].values["targets"] == "local.file_match.containers.targets"
    assert parts["loki.source.file.containers"].values["forward_to"] == ["loki.process.lines.receiver"]
    assert parts["loki.process.lines"].values["forward_to"] == ["loki.write.loki.receiver"]
    [endpoint] = parts["loki.write.loki"].blocks
    port = yaml.safe_load((MONITORING / "loki" / "loki.yml").read_text())["server"]["http_listen_port"]
    assert endpoint.values["url"] == f"http://loki:{port}/loki/api/v1/push"


def test_the_engines_files_are_what_is_mounted_and_its_socket_is_not() -> None:
    [path] = next(one for one in configuration().blocks if one.name == "local.file_match").values["path_targets"]
    mounted = {one["target"]: one for one in services()["alloy"]["volumes"]}
    folder = path["__path__"].removesuffix("/*/*-json.log")
    assert mounted[folder]["read_only"]
    assert not [one for one in mounted if "sock" in one]


def test_stages_are_known_and_labels_few() -> None:
    used = [one for stage in stages() for one in stage.all()]
    assert {one.name for one in used} <= KNOWN
    given = [one for one in used if one.name in ("stage.labels", "stage.static_labels")]
    assert {name for one in given for name in one.values["values"]} == LABELS
    limits = yaml.safe_load((MONITORING / "loki" / "loki.yml").read_text())["limits_config"]
    assert limits["max_label_names_per_series"] >= len(LABELS)


def test_what_is_kept_was_looked_for() -> None:
    for stage in stages():
        for block in (one for one in stage.all() if one.name == "stage.match"):
            looked = {name for one in block.blocks if one.name == "stage.json" for name in one.values["expressions"]}
            kept = {name for one in block.blocks if "metadata" in one.name for name in one.values["values"]}
            assert kept <= looked


@pytest.mark.parametrize("service", PLATFORM)
def test_a_service_is_known_by_its_containers_name_and_read_in_one_way(service: str) -> None:
    for name in (f"atlas-{service}-1", f"atlas-{service}-run-0fe1d2c3b4a5"):
        assert collected(name, "anything").labels == {"service": service, "kind": "log"}
    ways = [one for one in stages() if one.name == "stage.match"]
    assert len([one for one in ways if matches(one.values["selector"], {"service": service})]) == 1


def test_containers_of_others_are_not_ours() -> None:
    assert "service" not in collected("shop-postgres-1", "anything").labels


def test_every_expression_can_be_compiled() -> None:
    for stage in stages():
        for one in stage.all():
            for said in (one.values.get("expression"), one.values.get("firstline")):
                re.compile(said or "")


def test_a_line_of_postgres(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres.url("nowhere", SUPERUSER))
    line = next(one for one in reversed(postgres.log.read_text().splitlines()) if '"nowhere"' in one)
    assert collected("atlas-postgres-1", line).labels == {"service": "postgres", "kind": "log", "level": "FATAL"}
    [multiline] = [one for stage in stages() for one in stage.all() if one.name == "stage.multiline"]
    assert re.search(multiline.values["firstline"], line)
    assert not re.search(multiline.values["firstline"], "\tDETAIL of it")


@pytest.mark.parametrize(
    ("line", "labels", "metadata"),
    [
        (
            '{"log":"access","request_id":"a1","client":"203.0.113.7","user":"vera","role":"viewer","status":200}',
            {"kind": "access"},
            {"correlation_id": "a1", "user": "vera", "role": "viewer"},
        ),
        (
            '{"log":"audit","request_id":"a1","user":"vera","role":"viewer","outcome":"refused"}',
            {"kind": "audit"},
            {"correlation_id": "a1", "user": "vera", "role": "viewer", "outcome": "refused"},
        ),
        ("2026/01/31 08:57:31 [notice] 7#7: start worker process 9", {"kind": "log", "level": "notice"}, {}),
    ],
)
def test_lines_of_the_gateway_are_told_apart(line: str, labels: dict[str, str], metadata: dict[str, Any]) -> None:
    kept = collected("atlas-gateway-1", line)
    assert kept.labels == {"service": "gateway", **labels}
    assert kept.metadata == metadata


def test_logs_are_kept_for_thirty_days() -> None:
    loki = yaml.safe_load((MONITORING / "loki" / "loki.yml").read_text())
    assert loki["limits_config"]["retention_period"] == "30d"
    assert loki["compactor"]["retention_enabled"]
    assert loki["compactor"]["delete_request_store"] == loki["schema_config"]["configs"][-1]["object_store"]
    assert loki["schema_config"]["configs"][-1]["index"]["period"] == "24h", "retention takes a day's index"
    assert loki["limits_config"]["allow_structured_metadata"]
    assert loki["common"]["path_prefix"] in [one["target"] for one in services()["loki"]["volumes"]]
