"""The alert sensor over real runs: what fails reaches a receiver once, and its end too."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from typer.testing import CliRunner

from atlas_pipeline.alerting.store import alerts_of
from atlas_pipeline.cli import app
from atlas_pipeline.definitions import defs
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.settings import load_settings
from atlas_pipeline_tests.alerting.receivers import Receiver, receiver

pytestmark = pytest.mark.slow

broken: set[str] = set()
SECRET = "ada@example.com"


@dg.asset(
    key=dg.AssetKey(["silver", "orders"]),
    owners=["team:sales"],
    check_specs=[dg.AssetCheckSpec("amount", asset=dg.AssetKey(["silver", "orders"]), blocking=True)],
)
def orders() -> Iterator[Any]:
    passed = "check" not in broken
    yield dg.AssetCheckResult(
        check_name="amount", passed=passed, description=None if passed else "3 rows below 0", metadata={"measured": 3.0}
    )
    if not passed:
        raise dg.Failure("silver.orders fails its contract")
    if "orders" in broken:
        raise ValueError(SECRET)
    yield dg.MaterializeResult(asset_key=dg.AssetKey(["silver", "orders"]))


@dg.asset(deps=[orders])
def report() -> None:
    """Below."""


@cache
def project() -> dg.RepositoryDefinition:
    return dg.Definitions(
        assets=[orders, report],
        jobs=[dg.define_asset_job("nightly", "*")],
        sensors=[defs().resolve_sensor_def("alerts")],
        resources={"warehouse": WarehouseResource()},
        executor=dg.in_process_executor,
    ).get_repository_def()


@pytest.fixture
def instance(atlas_env: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster over Postgres, as Atlas runs it."""
    storage = {"module": "atlas_pipeline.instance.storage", "class": "AtlasDagsterStorage", "config": {}}
    overrides = {"storage": {"custom": storage}, "telemetry": {"enabled": False}}
    with dg.instance_for_test(overrides=overrides, temp_dir=str(atlas_env)) as one:
        yield one
    broken.clear()
    project.cache_clear()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance) -> Iterator[Receiver]:
    with receiver() as one:
        monkeypatch.setenv("ATLAS_ALERT_CHANNELS", f"team=webhook+http://{one.address}/hook")
        load_settings.cache_clear()
        yield one


def look(instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult:
    sensor = project().get_sensor_def("alerts")
    with dg.build_sensor_context(
        instance=instance, cursor=cursor, repository_def=project(), resources={"warehouse": WarehouseResource()}
    ) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


def said(result: dg.SensorResult) -> str:
    return str(result.skip_reason.skip_message if isinstance(result.skip_reason, dg.SkipReason) else result.skip_reason)


def run(instance: dg.DagsterInstance, job: str = "nightly") -> None:
    project().get_job(job).execute_in_process(instance=instance, raise_on_error=False)


def messages(told: Receiver) -> list[tuple[str, str, str]]:
    return [
        (one["kind"], one["severity"], alert["subject"])
        for one in (got.json for got in told.got)
        for alert in one["alerts"]
    ]


def test_a_check_that_fails_its_run_is_told_once_and_its_end_too(instance: dg.DagsterInstance, told: Receiver) -> None:
    assert "first look" in said(look(instance))
    broken.add("check")
    run(instance)
    result = look(instance)
    assert messages(told) == [("firing", "critical", "silver/orders: amount")]
    message = told.got[0].json
    assert "3 rows below 0" in message["text"]
    assert "measured: 3" in message["text"]
    assert message["alerts"][0]["link"].startswith("http://127.0.0.1:3000/")
    (event,) = result.asset_events
    assert event.asset_key == dg.AssetKey(["alerts"])
    assert event.metadata["event"].value == "began"
    look(instance)
    run(instance)
    look(instance)
    assert len(told.got) == 1
    broken.clear()
    run(instance)
    result = look(instance)
    assert messages(told)[1:] == [("resolved", "critical", "silver/orders: amount")]
    assert told.got[0].json["conversation"] == told.got[1].json["conversation"]
    assert [one.metadata["event"].value for one in result.asset_events] == ["over"]


def test_a_failed_run_is_told_of_the_asset_that_failed_and_quotes_no_row(
    instance: dg.DagsterInstance, told: Receiver
) -> None:
    look(instance)
    broken.add("orders")
    run(instance)
    look(instance)
    assert messages(told) == [("firing", "critical", "silver/orders")]
    assert "team:sales" in told.got[0].body.decode()
    assert SECRET not in told.got[0].body.decode()
    broken.clear()
    run(instance)
    look(instance)
    assert messages(told)[1:] == [("resolved", "critical", "silver/orders")]


def test_without_channels_alerts_are_listed_and_observed(instance: dg.DagsterInstance, warehouse_url: str) -> None:
    look(instance)
    broken.add("orders")
    run(instance)
    result = look(instance)
    assert [one.metadata["subject"].value for one in result.asset_events] == ["silver/orders"]
    assert said(result).endswith("1 alerts fire; 0 new messages")
    with psycopg.connect(warehouse_url) as connection:
        assert [(one.subject, one.status) for one in alerts_of(connection)] == [("silver/orders", "firing")]


def test_a_cursor_that_is_lost_floods_nobody(
    instance: dg.DagsterInstance, told: Receiver, warehouse: psycopg.Connection
) -> None:
    look(instance)
    broken.add("orders")
    for _ in range(3):
        run(instance)
    look(instance)
    assert len(told.got) == 1
    warehouse.execute("DELETE FROM atlas.alert_cursor")
    warehouse.commit()
    assert "first look" in said(look(instance))
    look(instance)
    assert len(told.got) == 1
    broken.clear()
    run(instance)
    look(instance)
    assert [kind for kind, _, _ in messages(told)] == ["firing", "resolved"]


def test_an_asset_that_is_removed_while_its_alert_fires_is_over(
    instance: dg.DagsterInstance, told: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(instance)
    broken.add("orders")
    run(instance)
    look(instance)
    sensor = project().get_sensor_def("alerts")
    rest = dg.Definitions(
        assets=[dg.AssetSpec("other")], sensors=[sensor], resources={"warehouse": WarehouseResource()}
    ).get_repository_def()
    with dg.build_sensor_context(
        instance=instance, repository_def=rest, resources={"warehouse": WarehouseResource()}
    ) as context:
        sensor(context)
    kind, _, subject = messages(told)[-1]
    assert (kind, subject) == ("resolved", "silver/orders")
    assert "removed" in told.got[-1].json["text"]


@pytest.mark.usefixtures("impatient")
def test_the_warehouse_is_away(
    instance: dg.DagsterInstance, told: Receiver, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(instance)
    monkeypatch.setenv("ATLAS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    load_settings.cache_clear()
    first = look(instance)
    assert "cannot be reached" in said(first)
    again = look(instance, first.cursor)
    assert messages(told) == [("firing", "critical", "warehouse")]
    monkeypatch.setenv("ATLAS_DATABASE_URL", warehouse_url)
    load_settings.cache_clear()
    last = look(instance, again.cursor)
    assert messages(told)[1:] == [("resolved", "critical", "warehouse")]
    assert not last.cursor
    look(instance, last.cursor)
    assert len(told.got) == 2


def test_a_look_killed_between_its_save_and_its_delivery_is_told_by_the_next_one_once(
    instance: dg.DagsterInstance, told: Receiver, warehouse: psycopg.Connection
) -> None:
    look(instance)
    broken.add("orders")
    run(instance)
    code = (
        "import dagster as dg\n"
        "from atlas_pipeline_tests.orchestration.alerts.test_sensor import look\n"
        "with dg.DagsterInstance.get() as instance:\n"
        "    look(instance)\n"
    )
    warehouse.execute("LOCK TABLE atlas.alert_channels")  # the first thing that delivery reads
    looking = subprocess.Popen([sys.executable, "-c", code])
    try:
        await_wait_for(warehouse, "alert_channels", looking)
    finally:
        looking.kill()
    assert looking.wait() == -signal.SIGKILL
    warehouse.rollback()
    assert not told.got
    assert said(look(instance)).startswith("read 0 events; 1 alerts fire; 0 new messages")
    assert messages(told) == [("firing", "critical", "silver/orders")]
    assert told.got[0].json["repeat"] is False
    look(instance)
    assert len(told.got) == 1


def await_wait_for(connection: psycopg.Connection, table: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until somebody waits for a lock on the table."""
    deadline = time.monotonic() + 120
    query = "SELECT FROM pg_locks WHERE NOT granted AND relation = to_regclass('atlas.' || %s)"
    while not connection.execute(query, [table]).fetchall():
        assert process.poll() is None, "the process ended before"
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_two_code_locations_that_look_at_once_double_nothing(instance: dg.DagsterInstance, told: Receiver) -> None:
    look(instance)
    with ThreadPoolExecutor(4) as looking:
        for wrong, kind in (({"orders"}, "firing"), (set(), "resolved")):
            broken.clear()
            broken.update(wrong)
            began = [looking.submit(look, instance) for _ in range(4)]
            run(instance)
            ended = [looking.submit(look, instance) for _ in range(4)]
            results = [one.result() for one in (*began, *ended)]
            results.append(look(instance))  # sends what one of them left to another that was just done with sending
            assert sum(len(one.asset_events) for one in results) == 1
            assert messages(told)[-1] == (kind, "critical", "silver/orders")
    assert len(told.got) == 2


def test_a_silence_holds_messages_until_it_ends(
    instance: dg.DagsterInstance, told: Receiver, cli: Callable[..., Any]
) -> None:
    look(instance)
    number = cli("silence", 'key:"silver/orders"', "--for", "1h", "--why", "moving", "--json")["number"]
    broken.add("orders")
    run(instance)
    look(instance)
    assert not told.got
    (listed,) = cli("list", "--json", expect=0)["alerts"]
    assert (listed["status"], listed["silenced_by"]) == ("silenced", number)
    cli("unsilence", str(number), "--json")
    look(instance)
    assert messages(told) == [("firing", "critical", "silver/orders")]
    (listed,) = cli("list", "--json", expect=1)["alerts"]
    assert (listed["status"], listed["told_to"]) == ("firing", ["team"])


def test_a_test_message_reaches_every_channel_and_says_which_did_not_take_it(
    told: Receiver, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = f"team=webhook+http://{told.address}/hook away=webhook+http://127.0.0.1:1/secret-path"
    monkeypatch.setenv("ATLAS_ALERT_CHANNELS", given)
    load_settings.cache_clear()
    came = {one["name"]: one["problem"] for one in cli("test", "--json", expect=1)["channels"]}
    assert came["team"] is None
    assert came["away"]
    assert "secret-path" not in came["away"]
    assert [got.json["kind"] for got in told.got] == ["test"]
    assert cli("test", "--channel", "team", "--json")["channels"] == [{"name": "team", "problem": None}]
    cli("test", "--channel", "nobody", expect=2)


@pytest.fixture
def cli(instance: dg.DagsterInstance) -> Callable[..., Any]:
    """`atlas alerts` in this process; what it prints, as JSON when asked for."""

    def call(*arguments: str, expect: int = 0) -> Any:
        load_settings.cache_clear()
        result = CliRunner().invoke(app, ["alerts", *arguments])
        assert result.exit_code == expect, result.output
        return json.loads(result.stdout) if "--json" in arguments else result.stdout

    return call


def test_tables_of_the_list_are_for_people(instance: dg.DagsterInstance, cli: Callable[..., Any]) -> None:
    look(instance)
    broken.add("orders")
    run(instance)
    look(instance)
    text = cli("list", expect=1)
    assert "silver/orders" in text
    assert "firing" in text
