"""The numbers of each part against what is so, in real databases, and in Dagster's own as Dagster writes it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._daemon.types import DaemonHeartbeat

from atlas_pipeline.alerting import store
from atlas_pipeline.alerting.state import State
from atlas_pipeline.instance.home import dagster_home
from atlas_pipeline.ops import dagster as dagster_tables
from atlas_pipeline.settings import load_settings
from atlas_pipeline.telemetry.parts import database, tables
from atlas_pipeline.telemetry.parts.asking import Database
from atlas_pipeline.telemetry.parts.system import KINDS, Machine
from atlas_pipeline.telemetry.parts.tally import Tally
from atlas_pipeline.telemetry.sample import Sample
from atlas_pipeline.warehouse import connectors


def found(samples: Iterable[Sample], family: str) -> dict[tuple[str, ...], float]:
    """Values of a family by the values of its labels, in the order of their names."""
    return {
        tuple(one.labels[name] for name in sorted(one.labels)): one.value for one in samples if one.family == family
    }


@pytest.fixture
def asked(warehouse_url: str) -> Database:
    return Database("warehouse", warehouse_url, Tally())


def test_an_empty_warehouse_has_sizes_and_no_alerts(asked: Database) -> None:
    every = list(tables.samples(asked))
    assert set(found(every, "atlas_storage_bytes").values()) == {0}
    assert set(found(every, "atlas_alerts").values()) == {0}
    assert not found(every, "atlas_asset_rows")


def test_files_and_publications_are_told_by_dataset_and_asset(asked: Database, warehouse: psycopg.Connection) -> None:
    for number, (status, octets, rows, rejected) in enumerate(
        [("loaded", 10, 5, 1), ("loaded", 20, 6, 0), ("duplicate", 20, 0, 0), ("refused", 7, 0, 2)]
    ):
        warehouse.execute(
            "INSERT INTO atlas.files (dataset, uri, version, sha256, bytes, status, rows, rejected, batch) "
            "VALUES ('orders', %s, 'v', %s, %s, %s, %s, %s, 'b')",
            [f"canary-{number}.csv", str(number), octets, status, rows, rejected],
        )
    warehouse.execute("CREATE TABLE bronze.orders (i int); CREATE TABLE silver.orders AS SELECT 1 AS i")
    warehouse.execute("CREATE TABLE silver.left_over AS SELECT 1 AS i")
    warehouse.execute("INSERT INTO atlas.publications VALUES ('silver', 'orders', 9, 2, 'd', 'b')")
    warehouse.commit()
    every = list(tables.samples(asked))
    statuses = {("orders", "loaded"): 2, ("orders", "duplicate"): 1, ("orders", "refused"): 1}
    assert found(every, "atlas_landing_files_total") == statuses
    assert found(every, "atlas_landing_bytes_total") == {("orders",): 30}
    assert found(every, "atlas_landing_rows_total") == {("orders",): 11}
    assert found(every, "atlas_landing_rejected_lines_total") == {("orders",): 3}
    assert found(every, "atlas_asset_rows") == {("bronze/orders",): 11, ("silver/orders",): 9}
    assert found(every, "atlas_quarantined_rows") == {("orders",): 2}
    sizes = found(every, "atlas_storage_table_bytes")
    assert sizes.keys() == {("bronze/orders",), ("silver/orders",)}
    assert found(every, "atlas_storage_bytes")[("silver",)] > sizes["silver/orders",] > 0
    assert not [one for one in every if "canary" in str(one)]


def test_quality_is_that_of_the_newest_measurement(asked: Database, warehouse: psycopg.Connection) -> None:
    warehouse.execute("CREATE TABLE silver.orders (i int)")
    for day, score, statuses in (
        (1, 0.1, [("error", "failed"), ("warn", "warned")]),
        (2, 0.9, [("error", "passed"), ("error", "passed"), ("warn", "warned")]),
    ):
        at = datetime(2024, 1, day, tzinfo=UTC)
        for dimension in ("overall", "validity"):
            warehouse.execute(
                "INSERT INTO atlas.quality_scores VALUES ('silver', 'orders', 'r', %s, true, %s, %s, 3, 1)",
                [at, dimension, score],
            )
        for number, (severity, status) in enumerate(statuses):
            warehouse.execute(
                "INSERT INTO atlas.check_outcomes (layer, name, run, measured_at, path, title, dimension, severity,"
                " status, threshold) VALUES ('silver', 'orders', 'r', %s, %s, 't', 'validity', %s, %s, '0')",
                [at, f"p{number}", severity, status],
            )
    warehouse.commit()
    every = list(tables.samples(asked))
    scores = {("silver/orders", "overall"): 0.9, ("silver/orders", "validity"): 0.9}
    assert found(every, "atlas_quality_score") == scores
    failing = {("silver/orders", "error"): 0, ("silver/orders", "warn"): 1}
    assert found(every, "atlas_quality_checks_failing") == failing
    warehouse.execute("DROP TABLE silver.orders")
    warehouse.commit()
    assert not found(tables.samples(asked), "atlas_quality_score")


def test_personal_data_is_counted_by_kind_and_action(asked: Database, warehouse: psycopg.Connection) -> None:
    for position, (kind, action, confidence) in enumerate(
        [("EMAIL_ADDRESS", "hash", 0.5), ("EMAIL_ADDRESS", "hash", 0.9), ("PERSON", "redact", 1.0), (None, "keep", 1.0)]
    ):
        warehouse.execute(
            "INSERT INTO atlas.column_plans (layer, name, position, column_name, class, entity, confidence, evidence,"
            " action, key_domain, declared, rules) VALUES ('silver', 'people', %s, %s, 'typed', %s, %s, '{}', %s, '',"
            " false, '')",
            [position, f"c{position}", kind, confidence, action],
        )
    warehouse.commit()
    every = list(tables.samples(asked))
    columns = {("hash", "silver/people", "EMAIL_ADDRESS"): 2, ("redact", "silver/people", "PERSON"): 1}
    assert found(every, "atlas_pii_columns") == columns
    surest = found(every, "atlas_pii_confidence")
    assert surest == {("silver/people", "EMAIL_ADDRESS"): pytest.approx(0.9), ("silver/people", "PERSON"): 1}


def test_alerts_are_told_by_severity_and_messages_by_channel(asked: Database, warehouse: psycopg.Connection) -> None:
    for subject, status, silenced in (
        ("a", "firing", None),
        ("b", "firing", 3),
        ("c", "pending", None),
        ("d", "resolved", None),
    ):
        warehouse.execute(
            "INSERT INTO atlas.alerts VALUES ('p', %s, %s, 'critical', now(), NULL, %s)",
            [subject, status, json.dumps({"silenced_by": silenced, "problem": "canary"})],
        )
    for dedupe, delivered, given_up in (
        ("1", True, False),
        ("2", True, False),
        ("3", False, True),
        ("4", False, False),
    ):
        warehouse.execute(
            "INSERT INTO atlas.alert_messages (channel, dedupe, document, delivered_at, given_up_at) "
            "VALUES ('team', %s, '{}', CASE WHEN %s THEN now() END, CASE WHEN %s THEN now() END)",
            [dedupe, delivered, given_up],
        )
    warehouse.execute("INSERT INTO atlas.alert_channels VALUES ('team', 5, now() + interval '1 h', 'canary', now())")
    warehouse.commit()
    every = list(tables.samples(asked, ["team", "pager"]))
    alerts = found(every, "atlas_alerts")
    assert {status: alerts["critical", status] for status in ("firing", "silenced", "pending")} == {
        "firing": 1,
        "silenced": 1,
        "pending": 1,
    }
    messages = found(every, "atlas_alert_messages_total")
    assert messages == {
        ("team", "delivered"): 2,
        ("team", "given_up"): 1,
        ("pager", "delivered"): 0,
        ("pager", "given_up"): 0,
    }
    assert found(every, "atlas_alert_messages_waiting") == {("team",): 1, ("pager",): 0}
    assert found(every, "atlas_alert_channel_open") == {("team",): 1, ("pager",): 0}
    assert not [one for one in every if "canary" in str(one)]


def test_connectors_are_counted_without_where_they_are(asked: Database, warehouse: psycopg.Connection) -> None:
    connectors.succeeded(warehouse, "orders", "rest_api", connectors.Attempt(100, 2000, 7, 2, 1.5))
    for _ in range(3):
        attempt = connectors.Attempt(requests=6, retries=5, seconds=0.5)
        connectors.failed(warehouse, "orders", "rest_api", attempt, "canary", away=True)
    connectors.failed(warehouse, "crm", "sql_database", connectors.Attempt(), "canary", away=False)
    every = list(tables.samples(asked))
    counters = {"rows": 100, "bytes": 2000, "requests": 25, "retries": 17, "extract_seconds": 3}
    for name, value in counters.items():
        assert found(every, f"atlas_connector_{name}_total")["orders",] == value
    made = found(every, "atlas_connector_extracts_total")
    assert (made["orders", "success"], made["orders", "failure"]) == (1, 3)
    assert found(every, "atlas_connector_circuit_open") == {("orders",): 1, ("crm",): 0}
    assert found(every, "atlas_connector_last_extract_seconds") == {("orders",): 1.5}
    assert found(every, "atlas_connector_last_success_timestamp_seconds").keys() == {("orders",)}
    assert "canary" not in str(every)


def test_the_number_of_messages_does_not_fall_when_old_ones_are_deleted(
    asked: Database, warehouse: psycopg.Connection
) -> None:
    for days, column in ((40, "delivered_at"), (40, "given_up_at"), (1, "delivered_at")):
        warehouse.execute(
            f"INSERT INTO atlas.alert_messages (channel, dedupe, document, {column}) "
            "VALUES ('team', gen_random_uuid(), '{}', now() - make_interval(days => %s))",
            [days],
        )
    warehouse.commit()
    for _ in range(2):
        told = found(tables.samples(asked), "atlas_alert_messages_total")
        assert told == {("team", "delivered"): 2, ("team", "given_up"): 1}
        store.save(warehouse, store.load(warehouse), State(), 1, (), [])
        warehouse.commit()
    assert warehouse.execute("SELECT count(*) FROM atlas.alert_messages").fetchone() == (1,)


def test_postgres_tells_of_connections_locks_and_transactions(asked: Database, warehouse: psycopg.Connection) -> None:
    warehouse.execute("LOCK TABLE atlas.files IN ACCESS EXCLUSIVE MODE")
    away = Database("dagster", "postgresql://u@127.0.0.1:1/d", Tally())
    every = list(database.samples([asked, away]))
    assert found(every, "atlas_db_up") == {("warehouse",): 1, ("dagster",): 0}
    assert found(every, "atlas_db_locks")["warehouse", "AccessExclusiveLock"] == 1
    assert found(every, "atlas_db_locks").keys() == {("warehouse", mode) for mode in database.MODES}
    assert found(every, "atlas_db_connections_active")["warehouse",] == 1
    assert found(every, "atlas_db_longest_transaction_seconds")["warehouse",] > 0
    assert 0 <= found(every, "atlas_db_cache_hit_ratio")["warehouse",] <= 1
    assert found(every, "atlas_db_size_bytes")["warehouse",] > 1 << 20
    assert found(every, "atlas_db_connections_max")["warehouse",] == 100
    before = found(every, "atlas_db_transactions_total")
    warehouse.rollback()
    assert before.keys() == {("warehouse", "committed"), ("warehouse", "rolled_back")}


def test_processes_of_another_installation_are_not_counted_and_time_never_falls(tmp_path: Path) -> None:
    (tmp_path / "dagster").mkdir()
    machine = Machine(tmp_path, {"home": tmp_path / "not" / "there", "backups": Path("/")})
    works = "import sys, time\nwhile time.process_time() < 0.1: pass\nprint(1, flush=True)\nsys.stdin.read()"
    command = [sys.executable, "-c", works, "dagster._daemon"]

    def start(home: Path) -> subprocess.Popen[Any]:
        environment = {**os.environ, "DAGSTER_HOME": str(home / "dagster")}
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout
        process.stdout.readline()
        return process

    first = list(machine.samples())
    assert found(first, "atlas_processes") == {(kind,): kind == "ops" for kind in KINDS}
    running = [start(tmp_path), start(tmp_path / "elsewhere")]
    during = list(machine.samples())
    for process in running:
        process.communicate()
    after = list(machine.samples())
    assert found(during, "atlas_processes")["daemon",] == 1
    assert found(during, "atlas_memory_usage_bytes")["daemon",] > 1 << 20
    assert found(after, "atlas_processes")["daemon",] == 0
    spent = [found(one, "atlas_cpu_seconds_total")["daemon",] for one in (first, during, after)]
    assert spent == sorted(spent)
    assert spent[0] == 0 < spent[1]
    assert found(after, "atlas_disk_free_bytes")["home",] > 0
    assert found(after, "atlas_system_memory_bytes")["total",] > found(after, "atlas_system_memory_bytes")["available",]


@pytest.fixture
def dagster(atlas_env: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(dagster_home(load_settings()))) as instance:
        yield instance


@pytest.fixture
def dagster_asked(dagster: dg.DagsterInstance) -> Database:
    url = load_settings().dagster_database_url
    assert url
    return Database("dagster", url.get_secret_value(), Tally())


def add_run(instance: dg.DagsterInstance, status: str) -> None:
    """A run that has come to this status: Dagster itself makes queued ones only where there is a code location."""
    run = instance.run_storage.add_run(dg.DagsterRun(job_name="canary"))
    url = load_settings().dagster_database_url
    assert url
    with psycopg.connect(url.get_secret_value()) as connection:
        connection.execute("UPDATE runs SET status = %s WHERE run_id = %s", [status, run.run_id])


def test_the_daemons_are_those_that_dagster_asks_for(dagster: dg.DagsterInstance) -> None:
    assert set(dagster_tables.DAEMONS) == set(dagster.get_required_daemon_types())
    assert isinstance(dagster.run_coordinator, QueuedRunCoordinator)


def test_unended_runs_are_every_status_that_dagster_knows_as_such() -> None:
    ended = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
    deprecated = {dg.DagsterRunStatus.MANAGED}
    every = {one.value for one in set(dg.DagsterRunStatus) - ended - deprecated}
    assert set(dagster_tables.UNENDED) == every


def test_runs_heartbeats_and_freshness_are_read_as_dagster_wrote_them(
    dagster: dg.DagsterInstance, dagster_asked: Database
) -> None:
    now = datetime.now(UTC).timestamp()
    key = dg.AssetKey(["silver", "orders"])
    for state in (FreshnessState.PASS, FreshnessState.WARN):
        dagster._report_runless_asset_event(
            FreshnessStateChange(
                key=key, new_state=state, previous_state=FreshnessState.UNKNOWN, state_change_timestamp=now
            )
        )
    dagster._report_runless_asset_event(
        FreshnessStateChange(
            key=dg.AssetKey(["gold", "sums"]),
            new_state=FreshnessState.NOT_APPLICABLE,
            previous_state=FreshnessState.UNKNOWN,
            state_change_timestamp=now,
        )
    )
    dagster.run_storage.add_daemon_heartbeat(DaemonHeartbeat(now - 100, "SENSOR", "id", []))
    dagster.run_storage.add_daemon_heartbeat(DaemonHeartbeat(now - 100, "OF_ANOTHER_TIME", "id", []))
    for status in ("QUEUED", "QUEUED", "STARTED"):
        add_run(dagster, status)
    every = list(dagster_tables.samples(dagster_asked))
    assert found(every, "atlas_asset_freshness") == {
        ("silver/orders", "pass"): 0,
        ("silver/orders", "warn"): 1,
        ("silver/orders", "fail"): 0,
        ("silver/orders", "unknown"): 0,
    }
    assert found(every, "atlas_daemon_heartbeat_age_seconds") == {("sensor",): pytest.approx(100, abs=30)}
    statuses = dict.fromkeys(dagster_tables.UNENDED, 0) | {"QUEUED": 2, "STARTED": 1}
    assert found(every, "atlas_runs") == {(name.lower(),): number for name, number in statuses.items()}
    assert found(every, "atlas_run_queue_length") == {(): 2}
    queue = dagster_tables.queue(dagster_asked)
    assert (queue.length, queue.going_on, queue.last_start_seconds_ago) == (2, 1, None)
    assert queue.oldest_seconds < 60
    assert not [one for one in every if "canary" in str(one)]


def test_the_age_of_the_queue_does_not_depend_on_the_time_zone_of_the_database(
    dagster: dg.DagsterInstance, dagster_asked: Database
) -> None:
    dagster_asked.rows("SELECT 1")
    url = load_settings().dagster_database_url
    assert url
    with psycopg.connect(url.get_secret_value(), autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(
            psycopg.sql.SQL("ALTER DATABASE {} SET timezone = 'Asia/Tokyo'").format(psycopg.sql.Identifier(name))
        )
    with dg.DagsterInstance.from_config(str(dagster_home(load_settings()))) as later:
        add_run(later, "QUEUED")
    asked = Database("dagster", url.get_secret_value(), Tally())
    assert dagster_tables.queue(asked).oldest_seconds < 60
