"""Small files that turn into far more than they are: refused by rule, in little memory, and not tried for ever."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from atlas_pipeline.components.dataset import Dataset
from atlas_pipeline.ingest import withdrawal
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.limits import Limits, limits_of
from atlas_pipeline.settings import PROJECT_ROOT, Settings
from atlas_pipeline_tests.ingest.bombs import BOMBS
from atlas_pipeline_tests.integration.conftest import Feed, MakeFeed

MOST_BYTES = 600_000_000
LOAD = PROJECT_ROOT / "benchmarks" / "bench_bombs.py"
QUICK = ("dictionary.parquet", "front.parquet", "one_list.parquet", "zeros.parquet", "rows.csv.gz", "cells.csv.gz")
"""The others are left to the benchmark."""


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_a_bomb_is_loaded_in_little_memory(name: str, warehouse_url: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(BOMBS[name]())
    command = [sys.executable, str(LOAD), "--load", warehouse_url, str(path), "limited"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT_ROOT)
    said = json.loads(done.stdout)
    assert said["rule"] == "expands_too_much"
    assert said["peak"] * 1e6 < MOST_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("name", ["far.xlsx", "text.xlsx", "texts.xlsx", "padded.xlsx", "rows.ods"])
def test_a_workbook_that_stands_for_more_is_refused_in_little_memory(
    name: str, warehouse_url: str, tmp_path: Path
) -> None:
    """That of the process that reads it, and that of the one that loads."""
    path = tmp_path / name
    path.write_bytes(BOMBS[name]())
    command = [sys.executable, str(LOAD), "--load", warehouse_url, str(path), "limited"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT_ROOT)
    said = json.loads(done.stdout)
    assert said["rule"] in ("corrupt", "expands_too_much")
    assert said["peak"] * 1e6 < MOST_BYTES


@pytest.mark.slow
def test_a_dictionary_is_written_out_in_little_memory_too(warehouse_url: str, tmp_path: Path) -> None:
    path = tmp_path / "lists.parquet"
    path.write_bytes(BOMBS[path.name]())
    command = [sys.executable, str(LOAD), "--load", warehouse_url, str(path), "free"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT_ROOT)
    said = json.loads(done.stdout)
    assert (said["rule"], said["rows"]) == (None, 4000)
    assert said["peak"] * 1e6 < MOST_BYTES


@pytest.fixture
def feed(make_feed: MakeFeed) -> Feed:
    return make_feed({"id": "integer"}, intake=Intake(limits=Limits(rows=2)))


def limited(feed: Feed, **limits: float | None) -> None:
    feed.dataset = replace(feed.dataset, intake=Intake(limits=Limits(**limits)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", "id\n1\n2\n3\n"), ("a.jsonl", '{"id":1}\n{"id":2}\n{"id":3}\n'), ("b.csv", "id\n1\n2,2\n3,3\n")],
)
def test_a_file_with_more_rows_is_refused_and_remembered(feed: Feed, name: str, content: str) -> None:
    feed.land(name, content)
    (refused,) = feed.load().refused
    assert refused.rule == "too_many_rows"
    assert "more than 2 rows" in (refused.reason or "")
    again = feed.load()
    assert (len(again.files), len(again.refused), len(again.known)) == (0, 1, 1)
    assert feed.ledger() == [(name, "refused", "too_many_rows")]
    assert feed.rows("bronze") == []


def test_a_refused_file_is_read_again_under_other_limits(feed: Feed) -> None:
    feed.land("a.csv", "id\n1\n2\n3\n")
    feed.load()
    limited(feed, rows=3)
    assert [file.status for file in feed.load().files] == ["loaded"]
    limited(feed, rows=1)
    assert feed.load().files == []
    assert feed.rows("bronze") == [("1",), ("2",), ("3",)]


def test_a_refused_file_is_read_again_when_it_is_asked_for(feed: Feed) -> None:
    feed.land("a.csv", "id\n1\n2\n3\n")
    feed.load()
    withdrawal.reload(feed.connection, feed.dataset, feed.settings, "a.csv")
    assert [file.rule for file in feed.load().files] == ["too_many_rows"]
    assert feed.load().files == []


def test_an_expansion_is_measured_beside_the_files_own_size(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atlas_pipeline.ingest.limits.FREE_BYTES", 1000)
    limited(feed, expansion=50)
    feed.land("few.csv", "id\n" + "1\n" * 500)
    feed.land("many.jsonl", '{"id":1}\n' * 1000)
    assert feed.load().refused == []
    limited(feed, expansion=10)
    feed.land("few.csv", "id\n" + "1\n" * 501)
    (refused,) = feed.load().refused
    assert refused.rule == "expands_too_much"
    assert "max_expansion" in (refused.reason or "")


def test_what_a_dataset_says_comes_before_the_settings() -> None:
    settings = limits_of(Settings(max_file_rows=5, max_expansion=0))
    assert settings == Limits(5, None)
    assert Intake().within(settings).limits == Limits(5, None)
    assert Intake(limits=Limits(9, 3.0)).within(settings).limits == Limits(9, 3.0)
    assert Intake(limits=Limits(0)).within(settings).limits == Limits(None, None)


def test_limits_in_yaml_hold_in_a_run(
    load_files: Callable[[Mapping[str, str]], dg.Definitions], land: Callable[[str, str], Path]
) -> None:
    land("things/a.csv", "id\n1\n2\n3\n")
    yaml = (
        f"type: {Dataset.__module__.removesuffix('.dataset')}.Dataset\nattributes:\n  source: things/*.csv\n"
        "  max_file_rows: 2\n  columns: [{name: id, type: integer}]\n"
    )
    definitions = load_files({"things/defs.yaml": yaml})
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey(["bronze", "things"])])
    (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "files_readable"]
    assert not check.passed
    table = check.metadata["files refused"].value
    assert [record.data["rule"] for record in table.records] == ["too_many_rows"]


def test_a_load_that_is_refused_half_way_ends_its_reading_thread(feed: Feed) -> None:
    import threading

    feed.land("a.csv", "id\n" + "1\n" * 1_000_000)
    feed.load()
    deadline = time.monotonic() + 10
    while any(thread.name == "atlas-reader" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
