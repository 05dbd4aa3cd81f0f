"""A value planted in every input is searched for in all that is written down: logs, errors, events, tables, files.

It may be in the landing folder, in bronze and in the rejected lines, which only the pipeline reads; nowhere else.
"""

import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster.components.testing import create_defs_folder_sandbox
from psycopg import sql
from typer.testing import CliRunner

from atlas_pipeline.cli import app
from atlas_pipeline.instance.home import dagster_home
from atlas_pipeline.settings import load_settings
from atlas_pipeline_tests import projects

CANARY = "zqxcanary"
MAY_HOLD_IT = {"atlas.rejected_lines"}
DATASET = "type: atlas_pipeline.components.Dataset\nattributes:\n"
GOLD = "type: atlas_pipeline.components.GoldModel\nattributes:\n  description: Fails.\n"
FILES = {
    "datasets/people/defs.yaml": DATASET
    + "  source: people/*.csv\n  key: id\n  columns:\n    - {name: id, type: integer}\n    - {name: full_name}\n"
    "    - {name: email}\n    - {name: born, type: date, pii: DATE_OF_BIRTH}\n    - {name: notes}\n"
    "    - {name: team}\n",
    "datasets/people/contract.yml": "dataset: atlas/atlas/silver/people\ncolumns:\n  - name: team\n    checks:\n"
    "      - invalid:\n          valid_values: [red, blue]\n          threshold:\n            must_be: 0\n"
    "            level: warn\n",
    "datasets/events/defs.yaml": DATASET
    + "  source: events/*.jsonl\n  columns:\n    - {name: seen, type: integer}\n    - {name: payload, type: json}\n",
    "datasets/drifting/defs.yaml": DATASET
    + "  source: drifting/*.csv\n  columns:\n    - {name: n, type: integer}\n    - {name: note}\n",
    "gold/cast/defs.yaml": GOLD,
    "gold/cast/model.sql": "SELECT (full_name || notes)::int AS n FROM silver.people",
    "gold/keyed/defs.yaml": GOLD + "  key: one\n",
    "gold/keyed/model.sql": "SELECT 1 AS one, email FROM silver.people",
}


def plant(landing: Path) -> None:
    """Files in which every kind of fault holds the canary."""
    for name in ("people", "events", "drifting"):
        (landing / name).mkdir()
    good = "".join(
        f"{n},Anna {CANARY},{CANARY}{n}@mail.example,1980-01-{n % 28 + 1:02},"
        f'"write to {CANARY}@mail.example or {CANARY}.x@corp.example about order {n}",{"red" if n % 3 else "green"}\n'
        for n in range(60)
    )
    bad = f"{CANARY},Bad Type,a@mail.example,1980-01-01,x,red\n,No Key {CANARY},b@mail.example,1980-01-01,x,red\n"
    bad += f"7,{CANARY},too,many,fields,in,this,line\n71,Late Date,c@mail.example,{CANARY},x,red\n"
    (landing / "people" / "1.csv").write_text(f"id,full_name,email,born,notes,team\n{good}{bad}")
    (landing / "people" / "2.csv").write_bytes(f'id,full_name\n1,"{CANARY} never ends'.encode())
    (landing / "people" / "3.csv").write_bytes(f"id,other\n\xff\xfe{CANARY}".encode("latin-1"))
    events = "".join(f'{{"seen": {n}, "payload": {{"mail": "{CANARY}@mail.example"}}}}\n' for n in range(30))
    (landing / "events" / "1.jsonl").write_text(f'{events}{{"seen": "{CANARY}"}}\n{{"{CANARY}\n')
    (landing / "drifting" / "1.csv").write_text("n,note\n" + "".join(f"{n},fine\n" for n in range(40)))


@pytest.fixture
def everything(atlas_env: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Iterator[Any]:
    """A run of the project, repeated as often as one likes, whose output is kept."""
    temporary = atlas_env / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    plant(atlas_env / "landing")
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    with (
        create_defs_folder_sandbox() as sandbox,
        dg.DagsterInstance.from_config(str(dagster_home(load_settings()))) as instance,
    ):
        projects.write(sandbox, FILES)
        job = projects.load(sandbox).resolve_implicit_global_asset_job_def()

        def run() -> dg.ExecuteInProcessResult:
            return job.execute_in_process(instance=instance, raise_on_error=False)

        run.said = lambda: log.getvalue() + "".join(capfd.readouterr())  # type: ignore[attr-defined]
        yield run
    logging.getLogger().removeHandler(handler)


def tables(url: str) -> Iterator[tuple[str, str]]:
    """Every table of a database that is not the system's, and its rows as text."""
    with psycopg.connect(url) as connection:
        names = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, table in names:
            statement = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(schema, table))
            yield f"{schema}.{table}", "\n".join(row for (row,) in connection.execute(statement))


def where_it_is(home: Path) -> list[str]:
    """Files and tables that hold the canary and must not."""
    settings = load_settings()
    assert settings.database_url
    assert settings.dagster_database_url
    found = []
    for path in home.rglob("*"):
        if path.is_file() and home / "landing" not in path.parents and CANARY.encode() in path.read_bytes():
            found.append(str(path))
    for url in (settings.database_url.get_secret_value(), settings.dagster_database_url.get_secret_value()):
        for name, text in tables(url):
            if CANARY in text and not name.startswith("bronze.") and name not in MAY_HOLD_IT:
                found.append(name)
    return found


@pytest.mark.slow
def test_a_canary_in_every_input_is_written_nowhere(everything: Any, atlas_env: Path) -> None:
    first = everything()
    states = {event.step_key: event.is_step_success for event in first.all_events if event.is_step_success}
    assert {"bronze__people", "silver__people", "silver__events", "silver__drifting"} <= states.keys()
    failed = {event.step_key for event in first.get_step_failure_events()}
    assert failed == {"gold__cast", "gold__keyed"}
    settings = load_settings()
    assert settings.database_url
    quarantined = dict(tables(settings.database_url.get_secret_value()))["quarantine.people"]
    assert len(quarantined.splitlines()) >= 4
    # A column that was clean holds it now: publishing is blocked, and says so without it.
    drift = "".join(f"{n},{CANARY}{n}@mail.example\n" for n in range(20))
    (atlas_env / "landing" / "drifting" / "2.csv").write_text(f"n,note\n{drift}")
    # Most of a typed column is not of its type any more.
    late = "".join(f"{n + 100},Anna,{n}@mail.example,{CANARY},x,red\n" for n in range(50))
    (atlas_env / "landing" / "people" / "4.csv").write_text(f"id,full_name,email,born,notes,team\n{late}")
    second = everything()
    assert {"silver__drifting", "silver__people"} <= {event.step_key for event in second.get_step_failure_events()}
    assert CANARY not in everything.said()
    assert [name for name in where_it_is(atlas_env) if not name.startswith("staging.")] == []


def test_a_canary_does_not_leave_the_command_line_unmasked(atlas_env: Path) -> None:
    plant(atlas_env / "landing")
    source, out = atlas_env / "landing" / "people" / "1.csv", atlas_env / "masked.csv"
    runner = CliRunner()
    for arguments in (
        ["pii", "scan", str(source)],
        ["pii", "scan", str(source), "--json"],
        ["pii", "mask", str(source), "-o", str(out)],
        ["pii", "scan", str(source.with_name("2.csv"))],
        ["pii", "mask", str(source.with_name("3.csv")), "-o", str(out.with_name("other.csv"))],
        ["pii", "reveal", f"enc:{CANARY}", "--reason", "test"],
    ):
        result = runner.invoke(app, arguments)
        assert CANARY not in result.output + str(result.exception), arguments
    assert runner.invoke(app, ["pii", "spans"], input=f'{{"text": "{CANARY}\n').exit_code == 1
    masked = out.read_text()
    assert f"{CANARY}@" not in masked
    assert f"{CANARY}.x@" not in masked
    assert f"Anna {CANARY}" not in masked
    out.unlink()
    assert where_it_is(atlas_env) == []
