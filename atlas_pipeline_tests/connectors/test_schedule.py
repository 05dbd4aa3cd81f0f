"""`every:` of a dataset: a schedule for every kind of source, and what is wrong with the words."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from atlas_pipeline import labels
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline_tests.projects import complaint

Load = Callable[[Mapping[str, str]], dg.Definitions]

DEFS = """type: atlas_pipeline.components.Dataset
attributes:
  source: {source}
  every: {every}
  columns: [{{name: id}}]
"""
FILES, TABLE = "things/*.csv", "{database: SHOP_DATABASE_URL, table: public.things}"
SQL = "{sql_database: {database: SHOP_DATABASE_URL, table: things}}"
REST = "{rest_api: {url: 'http://127.0.0.1:1/', path: x, pages: none}}"


def schedule(load_files: Load, source: str, every: str) -> dg.ScheduleDefinition:
    found = load_files({"things/defs.yaml": DEFS.format(source=source, every=every)})
    return found.resolve_schedule_def("load_things")  # type: ignore[return-value]


def tick(one: dg.ScheduleDefinition, instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    context = dg.build_schedule_context(instance=instance)
    return one(context, warehouse=WarehouseResource())  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("every", "cron"),
    [
        ("15 minutes", "*/15 * * * *"),
        ("1h", "0 * * * *"),
        ("6 hours", "0 */6 * * *"),
        ("1 day", "0 0 * * *"),
        ("1 week", "0 0 * * 0"),
        ("'30 5  * * 1-5'", "30 5 * * 1-5"),
    ],
)
def test_words_and_cron(every: str, cron: str, load_files: Load, atlas_env: Path) -> None:
    one = schedule(load_files, FILES, every)
    assert one.cron_schedule == cron
    assert one.default_status == dg.DefaultScheduleStatus.RUNNING


@pytest.mark.parametrize(
    ("every", "said"),
    [
        ("7 minutes", "do not divide an hour, a day or a week"),
        ("36 hours", "do not divide"),
        ("10 seconds", "at least 1 minute"),
        ("soon", "expected a duration such as"),
        ("'99 5 * * *'", "'99 5 \\* \\* \\*' is not a cron expression"),
        ("90s", "do not divide"),
    ],
)
def test_what_cannot_be_scheduled(every: str, said: str, load_files: Load, atlas_env: Path) -> None:
    text = complaint(load_files, {"things/defs.yaml": DEFS.format(source=FILES, every=every)})
    assert re.search(f"defs.yaml:4: every: .*{said}", text), text


@pytest.mark.parametrize("source", [FILES, TABLE, SQL, REST])
def test_every_kind_of_source_is_loaded(source: str, load_files: Load, atlas_env: Path) -> None:
    with dg.instance_for_test() as instance:
        request = tick(schedule(load_files, source, "1h"), instance)
    assert isinstance(request, dg.RunRequest)
    assert request.tags[labels.DATASET_TAG] == "things"


def test_not_while_a_run_is_under_way(load_files: Load, atlas_env: Path) -> None:
    with dg.instance_for_test() as instance:
        one = schedule(load_files, SQL, "1h")
        run = instance.add_run(
            dg.DagsterRun(job_name="x", status=dg.DagsterRunStatus.STARTED, tags={labels.DATASET_TAG: "things"})
        )
        assert isinstance(tick(one, instance), dg.SkipReason)
        instance.delete_run(run.run_id)
        assert isinstance(tick(one, instance), dg.RunRequest)


def test_not_while_its_server_is_left_alone(load_files: Load, atlas_env: Path, warehouse: psycopg.Connection) -> None:
    warehouse.execute(
        "INSERT INTO atlas.connectors (dataset, kind, problem, open_until)"
        " VALUES ('things', 'rest_api', 'answered 503', clock_timestamp() + interval '1 hour')"
    )
    warehouse.commit()
    with dg.instance_for_test() as instance:
        result = tick(schedule(load_files, REST, "1h"), instance)
    assert isinstance(result, dg.SkipReason)
    assert "is left alone until" in str(result.skip_message)


def test_partitions_load_the_newest(load_files: Load, atlas_env: Path) -> None:
    text = DEFS.format(source="things/{partition}.csv", every="1h")
    text += "  partitions: daily\n  partitions_start: '2024-01-01'\n"
    with dg.instance_for_test() as instance:
        one = load_files({"things/defs.yaml": text}).resolve_schedule_def("load_things")
        request = tick(one, instance)  # type: ignore[arg-type]
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key
