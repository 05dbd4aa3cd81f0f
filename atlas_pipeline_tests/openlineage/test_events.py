"""Events of real builds: which there are, what is in them, and that each is one of OpenLineage's specification."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster.components.testing import DefsFolderSandbox

from atlas_pipeline.catalog.site.declared import Table
from atlas_pipeline.defs.openlineage.openlineage import openlineage, transports
from atlas_pipeline.event_log.event import Event, EventKind
from atlas_pipeline.openlineage.events import State, fold
from atlas_pipeline.openlineage.project import Project
from atlas_pipeline.openlineage.sending import FileTransport, UrlTransport
from atlas_pipeline.orchestration.openlineage import look, project_of
from atlas_pipeline.settings import load_settings
from atlas_pipeline_tests.openlineage.receivers import receiver
from atlas_pipeline_tests.openlineage.spec import conforms
from atlas_pipeline_tests.ops.runs import dagster_at
from atlas_pipeline_tests.pay import CONTRACT, SALARY
from atlas_pipeline_tests.projects import load, write

pytestmark = pytest.mark.slow

PEOPLE = """\
type: atlas_pipeline.components.Dataset
attributes:
  source: people/*.csv
  key: id
  description: Who buys.
  owners: [team:sales]
  columns:
    - {name: id, type: integer}
    - {name: email, pii: EMAIL_ADDRESS, action: hash, description: How we write.}
    - {name: salary, type: decimal, pii: none}
"""
FILES = {
    "datasets/people/defs.yaml": PEOPLE,
    "datasets/people/contract.yml": CONTRACT.replace("LEVEL", "warn"),
    "gold/pay/defs.yaml": "type: atlas_pipeline.components.GoldModel\nattributes: {description: Pay., key: id}\n",
    "gold/pay/model.sql": "SELECT id, email AS reach, salary FROM silver.people",
}
ROWS = "id,email,salary\n" + "".join(
    f"{7_000_000 + n},person{n}@mail.example,{SALARY + n if n else ''}\n" for n in range(30)
)
VALUES = re.compile(r"70000[0-2][0-9]|mail\.example|7310[0-2][0-9]")
AT = datetime(2026, 3, 1, tzinfo=UTC)
RUN = "3f1c7d0a-6a4f-4b47-9d3e-0d6f0e3a1c11"


@pytest.fixture
def instance(atlas_env: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster over Postgres, as Atlas runs it."""
    with dagster_at(atlas_env) as one:
        yield one


@pytest.fixture
def project(sandbox: DefsFolderSandbox, land: Callable[[str, str], Path]) -> Callable[..., dg.Definitions]:
    """A project over a file of 30 people, one of whom has no salary."""
    land("people/one.csv", ROWS)

    def run(files: dict[str, str]) -> dg.Definitions:
        write(sandbox, FILES | files)
        return load(sandbox)

    return run


def build(definitions: dg.Definitions, instance: dg.DagsterInstance) -> bool:
    job = definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, raise_on_error=False).success


def known(definitions: dg.Definitions) -> Project:
    return project_of(definitions.resolve_asset_graph(), "postgresql://me:secret@db.example:5433/atlas")


def told(path: Path) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event in events:
        conforms(event)
    assert not VALUES.search(path.read_text())
    return events


def names(events: list[dict[str, Any]]) -> list[str]:
    return [f"{event['job']['name']} {event['eventType']}" for event in events]


def test_a_build_is_told_with_schema_lineage_and_checks(
    instance: dg.DagsterInstance, project: Callable[..., dg.Definitions], tmp_path: Path
) -> None:
    definitions = project({})
    transport = FileTransport(tmp_path / "events.jsonl")
    first = look(instance, known(definitions), transport, None)
    assert build(definitions, instance)
    done = look(instance, known(definitions), transport, first.cursor)
    events = told(transport.path)
    assert done.sent == len(events)
    builds = [name for name in names(events) if ".checks" not in name]
    assert builds == [
        f"{name} {kind}" for name in ("bronze.people", "silver.people", "gold.pay") for kind in ("START", "COMPLETE")
    ]
    by_name = dict(zip(names(events), events, strict=True))
    gold, checks = by_name["gold.pay COMPLETE"], by_name["silver.people.checks COMPLETE"]
    assert gold["inputs"] == [{"namespace": "postgres://db.example:5433", "name": "atlas.silver.people"}]
    (output,) = gold["outputs"]
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 30
    assert output["facets"]["columnLineage"]["fields"]["reach"]["inputFields"] == [
        {
            "namespace": "postgres://db.example:5433",
            "name": "atlas.silver.people",
            "field": "email",
            "transformations": [{"type": "DIRECT", "masking": False}],
        }
    ]
    (silver,) = by_name["silver.people COMPLETE"]["outputs"]
    assert silver["facets"]["schema"]["fields"][1] == {"name": "email", "type": "text", "description": "How we write."}
    assert silver["facets"]["columnLineage"]["fields"]["email"]["inputFields"][0]["transformations"] == [
        {"type": "DIRECT", "masking": True}
    ]
    assert silver["facets"]["ownership"]["owners"] == [{"name": "team:sales"}]
    (checked,) = checks["inputs"]
    measured = checked["facets"]["dataQualityMetrics"]
    assert (measured["rowCount"], measured["columnMetrics"]) == (30, {"salary": {"nullCount": 1}})
    found = {one["name"]: one for one in checked["inputFacets"]["dataQualityAssertions"]["assertions"]}
    assert found["salary_missing"] == {
        "assertion": "not_null",
        "success": False,
        "severity": "warn",
        "name": "salary_missing",
        "column": "salary",
        "description": "Missing values of salary",
        "expected": "= 0 (warn)",
    }
    assert "actual" not in found["salary_aggregate"], "it is the greatest salary"
    assert found["leak_check"]["success"] is True
    assert {event["run"]["facets"]["parent"]["run"]["runId"] for event in events} == {
        run.run_id for run in instance.get_runs()
    }
    again = look(instance, known(definitions), transport, done.cursor)
    assert again.sent == 0


def test_a_build_that_fails_is_told(
    instance: dg.DagsterInstance, project: Callable[..., dg.Definitions], tmp_path: Path
) -> None:
    definitions = project({"datasets/people/contract.yml": CONTRACT.replace("LEVEL", "fail")})
    transport = FileTransport(tmp_path / "events.jsonl")
    first = look(instance, known(definitions), transport, None)
    assert not build(definitions, instance)
    look(instance, known(definitions), transport, first.cursor)
    events = told(transport.path)
    assert [name for name in names(events) if ".checks" not in name] == [
        "bronze.people START",
        "bronze.people COMPLETE",
        "silver.people START",
        "silver.people FAIL",
    ]
    failed = next(event for event in events if event["eventType"] == "FAIL")
    said = failed["run"]["facets"]["errorMessage"]["message"]
    assert said == "the table was not published: salary_aggregate"


def test_a_receiver_that_fails_holds_no_build_up_and_misses_nothing(
    instance: dg.DagsterInstance,
    project: Callable[..., dg.Definitions],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with receiver() as there:
        there.answer = "dripping"
        monkeypatch.setenv("ATLAS_OPENLINEAGE_URL", there.url)
        load_settings.cache_clear()
        definitions = project({})
        transport = UrlTransport(there.url, seconds_each=1.0)
        cursor = look(instance, known(definitions), transport, None).cursor
        assert build(definitions, instance)
        assert there.connections == 0, "a build talks to nobody"
        for answer in ("dripping", 500):
            there.answer = answer
            done = look(instance, known(definitions), transport, cursor)
            assert (done.sent, bool(done.problem)) == (0, True)
            cursor = done.cursor
        there.answer = 201
        done = look(instance, known(definitions), transport, cursor)
        assert done.problem is None
        assert [name for name in names(there.events) if ".checks" not in name][-1] == "gold.pay COMPLETE"
        assert len(there.events) == done.sent


def test_sending_goes_on_where_it_stopped(
    instance: dg.DagsterInstance, project: Callable[..., dg.Definitions], tmp_path: Path
) -> None:
    """Each look takes two messages; some are sent twice, none is left out, and all have the ids that they had."""
    definitions = project({})
    whole = FileTransport(tmp_path / "whole.jsonl")
    cursor = first = look(instance, known(definitions), whole, None).cursor
    assert build(definitions, instance)
    look(instance, known(definitions), whole, first)
    parts = FileTransport(tmp_path / "parts.jsonl")

    class Few:
        """Takes two of the messages, and fails at the third."""

        def send(self, messages: Any, seconds: float) -> Any:
            sent = parts.send(messages[:2], seconds)
            return sent if len(messages) <= 2 else type(sent)(2, problem="enough")

    for _ in range(40):
        done = look(instance, known(definitions), Few(), cursor)
        cursor = done.cursor
        if not done.more:
            break
    assert not done.more
    seen = list(dict.fromkeys(parts.path.read_text().splitlines()))
    assert seen == whole.path.read_text().splitlines()


def test_one_look_reads_as_many_pages_as_there_is_time_for(
    instance: dg.DagsterInstance,
    project: Callable[..., dg.Definitions],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    definitions = project({})
    whole, by_page = FileTransport(tmp_path / "whole.jsonl"), FileTransport(tmp_path / "by_page.jsonl")
    first = look(instance, known(definitions), whole, None).cursor
    assert build(definitions, instance)
    assert not look(instance, known(definitions), whole, first).more
    monkeypatch.setattr("atlas_pipeline.orchestration.openlineage._ENTRIES", 3)
    done = look(instance, known(definitions), by_page, first)
    assert (done.more, by_page.path.read_text()) == (False, whole.path.read_text())
    assert done.sent == len(by_page.path.read_text().splitlines())
    assert look(instance, known(definitions), by_page, first, seconds=0).more, "a page, and no time for another one"


def test_nothing_is_sent_unless_it_is_set(atlas_env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert transports(load_settings()) == {}
    monkeypatch.setenv("ATLAS_OPENLINEAGE_FILE", "lineage/events.jsonl")
    monkeypatch.setenv("ATLAS_OPENLINEAGE_URL", "http://marquez:5000/api/v1/lineage")
    monkeypatch.setenv("ATLAS_OPENLINEAGE_KEY", "a-secret")
    load_settings.cache_clear()
    assert transports(load_settings()) == {
        "file": FileTransport(atlas_env / "lineage" / "events.jsonl"),
        "url": UrlTransport("http://marquez:5000/api/v1/lineage", "a-secret"),
    }
    sensors = list(openlineage(None).sensors or [])  # type: ignore[call-arg]
    assert [sensor.name for sensor in sensors] == ["openlineage_file", "openlineage_url"]


@pytest.mark.parametrize(("end", "kind"), [("run_failed", "FAIL"), ("run_canceled", "ABORT")])
def test_a_run_that_is_killed_ends_what_it_began(end: EventKind, kind: str) -> None:
    project = Project(
        {"silver/a": Table("silver.a", "silver", "a")}, {"silver__a": ["silver/a"]}, "postgres://h:1", "atlas"
    )
    state: State = {}

    def event(number: int, kind: EventKind, **fields: Any) -> list[dict[str, Any]]:
        return fold(state, Event(number, kind, AT, run=RUN, **fields), project)

    assert event(1, "planned", assets=("silver/a",)) == []
    (start,) = event(2, "step_started", step="silver__a")
    assert event(3, "step_started", step="silver__a") == [], "a step that is tried again has begun before"
    (over,) = event(4, end)
    assert (start["eventType"], over["eventType"]) == ("START", kind)
    assert start["run"]["runId"] == over["run"]["runId"]
    assert state == {}
    for message in (start, over):
        conforms(message)


def test_runs_that_never_end_are_forgotten_in_time() -> None:
    project = Project({}, {}, "postgres://h:1", "atlas")
    state: State = {}
    for number in range(1000):
        fold(state, Event(number, "planned", AT, run=f"run{number}", assets=("silver/a",)), project)
    assert len(state) == 200
    assert "run999" in state
