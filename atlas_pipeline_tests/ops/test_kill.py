"""Exporters killed 50 times while runs go on: totals are what the log says, counted by Postgres alone.

Exporters are processes of their own, started from one that has the imports done, and killed by SIGKILL wherever they
are; the log is filled by real runs meanwhile.
"""

import itertools
import multiprocessing
import os
import random
import time
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Thread

import dagster as dg
import psycopg
import pytest

from atlas_pipeline.ops import counting
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.location import warehouse_url as location
from atlas_pipeline_tests.ops.runs import (
    BRONZE,
    DEFS,
    GOLD,
    SILVER,
    copy_runs,
    counted_by_sql,
    dagster_at,
    follow,
    materialize,
    values,
)

pytestmark = pytest.mark.slow

KILLS = 50
LONGEST_SECONDS = 0.3
COPIES = 400


def export(environment: dict[str, str], home: Path, started: Connection) -> None:
    """Follow the log until killed, a small page at a time, so that a kill finds it in any state."""
    os.environ.update(environment)
    load_settings.cache_clear()
    counting.PAGE = 40
    counting.READ_SECONDS = 0
    with dagster_at(home) as instance, connect(location(load_settings())) as connection:
        while True:
            # Nothing is counted while the server has not noticed that the exporter before was killed.
            if follow(instance, connection, "start").events:
                started.send("counted")


def counted(connection: psycopg.Connection) -> float:
    """How many events were counted until now."""
    with connection.transaction():
        return values(connection).get(("atlas_event_log_events_total",), 0)


def test_an_exporter_killed_fifty_times_counts_every_event_once(
    atlas_env: Path, warehouse: psycopg.Connection, tmp_path: Path
) -> None:
    chance = random.Random(9464)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    environment = {name: value for name, value in os.environ.items() if name.startswith("ATLAS_")}
    over = Event()
    with dagster_at(atlas_env) as instance:
        materialize(instance, BRONZE, SILVER)
        materialize(instance, GOLD, dg.AssetKey("below"))
        copy_runs(instance, COPIES)

        def runs() -> None:
            for number in itertools.count():
                if over.is_set():
                    return
                if number % 3:
                    materialize(instance, BRONZE, SILVER)
                else:
                    DEFS.resolve_job_def("mapped").execute_in_process(instance=instance)

        load = Thread(target=runs)
        load.start()
        seen = [counted(warehouse)]
        try:
            for number in range(KILLS):
                home = tmp_path / f"exporter{number}"
                home.mkdir()
                here, there = processes.Pipe()
                exporter = processes.Process(target=export, args=(environment, home, there), daemon=True)
                exporter.start()
                assert here.poll(60)
                here.recv()
                time.sleep(chance.uniform(0.02, LONGEST_SECONDS))
                exporter.kill()
                exporter.join()
                seen.append(counted(warehouse))
        finally:
            over.set()
            load.join()
        assert seen == sorted(seen)
        while follow(instance, warehouse, "start").more:
            pass
        expected = counted_by_sql(instance)
    found = values(warehouse)
    assert {key: found.get(key) for key in expected} == expected
    assert expected["atlas_event_log_events_total",] > seen[-1]
    assert len(set(seen)) > KILLS * 0.9
