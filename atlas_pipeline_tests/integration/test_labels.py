"""Names that one room writes and another reads: alerts and metrics find in the log what real assets wrote there.

What is written and what is read share the constants of `labels.py`; here they are literals, so that a name that is
changed on one side, or on both, fails. Dashboards, runbooks and the logs of existing installations hold them.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from atlas_pipeline import labels
from atlas_pipeline.alerting.policy import Policies, default_policies
from atlas_pipeline.alerting.store import alerts_of
from atlas_pipeline.backup.configured import names
from atlas_pipeline.cli.demo import Line, _collect
from atlas_pipeline.event_log.event import Event
from atlas_pipeline.event_log.reader import Position, read_events
from atlas_pipeline.orchestration.alerts.tick import log_of, look, project_of
from atlas_pipeline.orchestration.backups.assets import backup_asset
from atlas_pipeline.orchestration.backups.s3 import BackupS3Resource
from atlas_pipeline.orchestration.tables.invalid import Invalid, invalid_definitions
from atlas_pipeline.settings import load_settings
from atlas_pipeline_tests.ops.runs import dagster_at, follow, values
from atlas_pipeline_tests.projects import Load

PEOPLE = (
    "type: atlas_pipeline.components.Dataset\nattributes:\n  source: people/*.csv\n  key: id\n  columns:\n"
    "    - {name: id, type: integer}\n    - {name: email, pii: EMAIL_ADDRESS, action: hash}\n"
    "    - {name: amount, type: decimal, pii: none}\n"
)
CONTRACT = """\
dataset: atlas/atlas/{table}
columns:
  - name: amount
    checks:
      - missing:
          threshold: {{must_be: 0, level: warn}}
"""
GOLD = "type: atlas_pipeline.components.GoldModel\nattributes:\n  description: Of people.\n"
FILES = {
    "people/defs.yaml": PEOPLE,
    "people/contract.yml": CONTRACT.format(table="silver/people"),
    "amounts/defs.yaml": GOLD,
    "amounts/contract.yml": CONTRACT.format(table="gold/amounts"),
    "amounts/model.sql": "SELECT id, email, amount FROM silver.people",
    "guessed/defs.yaml": GOLD,
    "guessed/model.sql": "SELECT 'anna.miller' || id || '@mail.example' AS reach FROM silver.people",
}
ROWS = "".join(f"{number},p{number}@mail.example,{'1.5' if number == 0 else ''}\n" for number in range(40)) + "no,,\n"


@pytest.fixture
def instance(atlas_env: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster over Postgres, as Atlas runs it."""
    with dagster_at(atlas_env) as one:
        yield one


def run(
    definitions: dg.Definitions, instance: dg.DagsterInstance, assets: Collection[dg.AssetKey] | None = None
) -> dg.ExecuteInProcessResult:
    job = definitions.resolve_implicit_global_asset_job_def()
    chosen = list(assets) if assets is not None else None
    return job.execute_in_process(instance=instance, asset_selection=chosen, raise_on_error=False)


def look_at(definitions: dg.Definitions, instance: dg.DagsterInstance, warehouse: psycopg.Connection) -> None:
    """One look of the alert sensor."""
    policies = Policies(default_policies(), ("hook",))
    project = project_of(definitions.get_repository_def(), policies, lambda selection: frozenset())
    look(instance, warehouse, project, datetime.now(UTC))
    warehouse.commit()


def checks(instance: dg.DagsterInstance) -> dict[tuple[str, str | None], Event]:
    """The last evaluation of each check, by asset and name."""
    with log_of(instance) as log:
        page = read_events(log, Position(0), ["check"], 10_000)
    return {(event.assets[0], event.check): event for event in page.entries}


def test_names_are_those_that_installations_know() -> None:
    assert {name: value for name, value in vars(labels).items() if name.isupper()} == {
        "QUALITY_SCORE": "quality score",
        "PERSONAL_DATA_PLAN": "personal-data plan",
        "PLAN_ENTITY": "entity",
        "PERSONAL_DATA_COLUMNS": "personal-data columns",
        "ROWS_IN": "rows in",
        "ROWS_PUBLISHED": "rows published",
        "ROWS_QUARANTINED": "rows quarantined",
        "LINES_REJECTED": "lines rejected",
        "SECONDS": "seconds",
        "DIMENSION": "dimension",
        "CHECK_PATH": "path",
        "MEASURED": "measured",
        "THRESHOLD": "threshold",
        "ROWS_TESTED": "rows tested",
        "ROWS_FAILED": "rows failed",
        "HOURS_ALLOWED": "hours allowed",
        "LEAK_CHECK": "leak_check",
        "ROWS_FIT": "rows_fit",
        "UP_TO_DATE": "up_to_date",
        "UNIT_TESTS": "model_tests",
        "SMALL_GROUPS": "small_groups",
        "REIDENTIFICATION": "reidentification",
        "ANOMALIES": "anomalies",
        "DATASET_TAG": "atlas/dataset",
        "DECLARATION_CHECK": "declaration",
        "INVALID_KIND": "invalid",
        "INVALID_REASON": "what is wrong",
        "NO_CONTRACT": "contract",
        "BACKUP_COMPLETE": "complete",
        "BACKUP_FRESH": "fresh",
        "BACKUP_RESTORABLE": "restorable",
        "BACKUPS": "backups",
        "ALERTS": "alerts",
        "PII_TAG": "pii",
        "ACTION_TAG": "action",
    }


def test_a_declaration_that_is_wrong_reaches_alerts_and_is_over_once_it_is_right(
    instance: dg.DagsterInstance, warehouse: psycopg.Connection, load_files: Load
) -> None:
    definitions, cursor = load_files(FILES), None
    look_at(definitions, instance, warehouse)
    for wrong in (True, False):
        invalid = [Invalid("silver", "people", Path("people"), "people/defs.yaml:1: it is wrong")] if wrong else []
        reported = invalid_definitions(invalid, ())
        sensor = reported.resolve_sensor_def("declarations")
        with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
            cursor = sensor(context).cursor  # type: ignore[union-attr]
        look_at(reported if wrong else definitions, instance, warehouse)
        (alert,) = alerts_of(warehouse)
        assert (alert.condition, alert.subject) == ("check_failed", "silver/people: declaration")
        assert alert.status == ("firing" if wrong else "resolved")


@pytest.mark.slow
def test_tables_with_low_scores_and_personal_data_reach_alerts_and_metrics(
    instance: dg.DagsterInstance, warehouse: psycopg.Connection, load_files: Load, land: Any
) -> None:
    land("people/1.csv", "id,email,amount\n" + ROWS)
    definitions = load_files(FILES)
    look_at(definitions, instance, warehouse)
    result = run(definitions, instance)
    look_at(definitions, instance, warehouse)
    assert {(alert.condition, alert.subject) for alert in alerts_of(warehouse)} == {
        ("check_failed", "silver/people: amount_missing"),
        ("low_score", "silver/people: score"),
        ("check_failed", "gold/amounts: amount_missing"),
        ("low_score", "gold/amounts: score"),
        ("check_failed", "gold/guessed: contract"),
        ("check_failed", "silver/people: rows_fit"),
        ("pii_leak", "gold/guessed: leak_check"),
    }
    measured = checks(instance)["silver/people", "amount_missing"]
    assert measured.facts.keys() == {"measured", "threshold", "rows tested", "rows failed", "dimension"}
    assert (measured.facts["rows failed"], measured.facts["dimension"]) == (39, "completeness")

    follow(instance, warehouse, "start")
    counted = values(warehouse)
    personal = {key[1:]: value for key, value in counted.items() if key[0] == "atlas_pii_detections_total"}
    assert personal == {("silver/people", "EMAIL_ADDRESS"): 1, ("gold/amounts", "EMAIL_ADDRESS"): 1}
    assert counted["atlas_pii_leaks_total", "gold/guessed"] == 1
    assert counted["atlas_pii_leaks_total", "silver/people"] == 0
    rows = {key[1]: value for key, value in counted.items() if key[0] == "atlas_pipeline_rows_processed_total"}
    assert rows == {"bronze/people": 41, "silver/people": 41, "gold/amounts": 40}
    assert counted["atlas_quality_checks_total", "silver/people", "completeness", "warn", "failed"] == 1

    made = {
        event.asset_key.to_user_string(): event.materialization for event in result.get_asset_materialization_events()
    }
    of_all = {"quality score", "seconds"}
    of_silver = {"rows in", "rows published", "rows quarantined", "personal-data columns", "personal-data plan"}
    of_gold = of_silver - {"rows in", "rows quarantined"}
    assert made["bronze/people"].metadata.keys() >= of_all | {"rows in", "lines rejected"}
    assert made["silver/people"].metadata.keys() >= of_all | of_silver
    assert made["gold/amounts"].metadata.keys() >= of_all | of_gold
    for table in ("silver/people", "gold/amounts"):
        columns = made[table].metadata["dagster/column_schema"].schema.columns
        assert {column.name: column.tags for column in columns}["email"] == {"pii": "EMAIL_ADDRESS", "action": "hash"}

    lines = {key: Line(*key.path) for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    _collect(result.all_events, lines)
    silver = lines[dg.AssetKey(["silver", "people"])]
    assert (silver.read, silver.published, silver.quarantined, silver.personal_columns) == (41, 40, 1, 1)
    assert silver.seconds > 0


def test_an_alert_about_a_check_ends_when_the_definitions_no_longer_have_it(
    instance: dg.DagsterInstance, warehouse: psycopg.Connection, load_files: Load, land: Any
) -> None:
    """A table gets its contract, and with that loses the check which warns that it has none."""
    land("people/1.csv", "id,email,amount\n1,a@mail.example,1.5\n")
    people = {"people/defs.yaml": PEOPLE}
    definitions = load_files(people)
    look_at(definitions, instance, warehouse)
    assert run(definitions, instance).success
    look_at(definitions, instance, warehouse)
    assert [(alert.subject, alert.status) for alert in alerts_of(warehouse)] == [("silver/people: contract", "firing")]
    look_at(load_files(people | {"people/contract.yml": CONTRACT.format(table="silver/people")}), instance, warehouse)
    (alert,) = alerts_of(warehouse)
    assert (alert.subject, alert.status, alert.reason) == ("silver/people: contract", "resolved", "check removed")


@pytest.mark.slow
def test_backups_reach_alerts_and_metrics(
    instance: dg.DagsterInstance, warehouse: psycopg.Connection, warehouse_url: str
) -> None:
    database = names(load_settings())[0]
    asset = backup_asset(database, timedelta(hours=26))
    checked = dg.define_asset_job("checked", dg.AssetSelection.checks_for_assets(asset.key))
    resources = {"s3": BackupS3Resource.of(load_settings())}
    definitions = dg.Definitions([asset], jobs=[checked], resources=resources, executor=dg.in_process_executor)
    graph = definitions.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == {f"backups/{database}"}
    assert {node.group_name for node in graph.asset_nodes} == {"backups"}

    look_at(definitions, instance, warehouse)
    definitions.resolve_job_def("checked").execute_in_process(instance=instance, raise_on_error=False)
    look_at(definitions, instance, warehouse)
    assert {(alert.condition, alert.subject, alert.policy) for alert in alerts_of(warehouse)} == {
        ("backup_unverified", f"backups/{database}: complete", "backup-unverified"),
        ("backup_missing", f"backups/{database}: fresh", "backup"),
        ("backup_unverified", f"backups/{database}: restorable", "backup-untested"),
    }

    assert run(definitions, instance, [asset.key]).success
    assert checks(instance)[f"backups/{database}", "fresh"].facts == {"hours allowed": 26.0}
    follow(instance, warehouse, "start")
    assert values(warehouse)["atlas_backup_runs_total", database, "success"] == 1
