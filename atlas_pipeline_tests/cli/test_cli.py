"""The command line from outside: what it prints where, its exit codes, and that what it reports is so."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from atlas_pipeline.sample import generate

COMMANDS = ["demo", "up", "ops", "sample", "status"]
ROWS = 200
DATASETS = ("customers", "orders", "support_tickets")
GOLD = ("customer_360", "revenue_by_country_month", "support_load")


def atlas(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with the settings of the test."""
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **settings}
    command = [sys.executable, "-m", "atlas_pipeline.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


def demo(expect: int = 0) -> tuple[dict[str, Any], str]:
    """Run `atlas demo --json`; its document and what it said on standard error."""
    done = atlas("demo", "--json", ATLAS_SAMPLE_ROWS=str(ROWS))
    assert done.returncode == expect, done.stderr
    return json.loads(done.stdout), done.stderr


def by_table(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The lines of a document, by the full name of their table."""
    return {f"{line['layer']}.{line['name']}": line for line in document["tables"]}


def expected(home: Path) -> dict[str, Any]:
    """What the sample says a correct load must give."""
    datasets: dict[str, Any] = json.loads((home / "landing" / "labels" / "expected.json").read_text())["datasets"]
    return datasets


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_that_is_a_command(command: str) -> None:
    done = atlas(command, "--help")
    assert done.returncode == 0
    assert f"Example: atlas {command}" in done.stdout
    assert "--json" in done.stdout


def test_no_arguments_shows_the_commands() -> None:
    done = atlas()
    assert all(command in done.stdout + done.stderr for command in COMMANDS)


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["status", "--nothing"], ["sample"], ["sample", "--out", "x", "--rows", "1"]]
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], tmp_path: Path) -> None:
    done = atlas(*arguments, ATLAS_HOME=str(tmp_path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["demo", "up", "status"])
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ATLAS_PORTT", "1", "unknown setting ATLAS_PORTT: did you mean ATLAS_PORT?"),
        ("ATLAS_PORT", "none", "ATLAS_PORT: Input should be a valid integer"),
        ("ATLAS_DATABASE_URL", "<CHANGE_ME_URL>", "ATLAS_DATABASE_URL still holds a <CHANGE_ME_"),
    ],
)
@pytest.mark.slow
def test_bad_settings_are_one_line_and_exit_code_1(
    command: str, name: str, value: str, says: str, tmp_path: Path
) -> None:
    done = atlas(command, "--json", **{"ATLAS_HOME": str(tmp_path), "COLUMNS": "60", name: value})
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("atlas: ")]
    assert says in line
    assert done.stderr.splitlines()[-1] == line
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_sample_writes_what_it_says(tmp_path: Path) -> None:
    done = atlas("sample", "--out", str(tmp_path), "--rows", "50", "--seed", "3", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["out"], document["rows"], document["seed"]) == (str(tmp_path), 50, 3)
    assert {one["name"] for one in document["datasets"]} == set(DATASETS)
    for one in document["datasets"]:
        assert sum((tmp_path / name).stat().st_size for name in one["files"]) == one["bytes"]
        assert one["rows"] > 0
    again = atlas("sample", "--out", str(tmp_path), "--rows", "50", "--seed", "3", "--json")
    assert json.loads(again.stdout) == document


@pytest.mark.slow
def test_sample_does_not_overwrite_another(tmp_path: Path) -> None:
    generate(tmp_path, 50)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = atlas("sample", "--out", str(tmp_path), "--rows", "60", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Nothing was overwritten" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_status_of_an_empty_warehouse(atlas_env: Path) -> None:
    done = atlas("status", "--json", ATLAS_PORT="1")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["tables"] == []
    services = document["services"]
    assert set(services) == {"warehouse", "dagster_storage", "webserver", "daemon"}
    assert services["warehouse"]["state"] == services["dagster_storage"]["state"] == "up"
    assert services["warehouse"]["embedded"] is False
    assert services["warehouse"]["version"].startswith("18.")
    assert services["webserver"]["state"] == services["daemon"]["state"] == "down"
    assert "make up" in services["webserver"]["reason"]


@pytest.mark.slow
def test_status_fails_when_the_warehouse_is_away(atlas_env: Path) -> None:
    away = "postgresql://atlas:hunter2@127.0.0.1:1/warehouse"
    done = atlas("status", "--json", ATLAS_PORT="1", ATLAS_DATABASE_URL=away)
    assert done.returncode == 1, done.stderr
    services = json.loads(done.stdout)["services"]
    assert services["warehouse"]["state"] == "down"
    assert "127.0.0.1:1/warehouse" in services["warehouse"]["reason"]
    assert services["dagster_storage"]["state"] == "up"
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_demo_publishes_exactly_what_the_sample_holds_and_once(atlas_env: Path) -> None:
    document, said = demo()
    assert document["ok"] is True
    tables = by_table(document)
    assert set(tables) == {f"{layer}.{name}" for layer in ("bronze", "silver") for name in DATASETS} | {
        f"gold.{name}" for name in GOLD
    }
    assert {line["state"] for line in tables.values()} == {"published"}
    assert "now silver.customers" in said
    truth = expected(atlas_env)
    for name in DATASETS:
        bronze, silver, true = tables[f"bronze.{name}"], tables[f"silver.{name}"], truth[name]
        assert (bronze["read"], bronze["published"]) == (true["rows_in_files"], true["rows_in_files"])
        assert bronze["quarantined"] == true["broken_lines"]
        assert (silver["read"], silver["published"]) == (true["rows_in_files"], true["rows_published"])
        assert silver["quarantined"] == true["rows_rejected"] + true["broken_lines"]
        assert silver["checks_failed"] == 0
        strangers = name == "orders"
        assert silver["checks_warned"] == 1 + strangers, "rows that do not fit; orders of customers who never landed"
        assert silver["checks_passed"] > 0
    assert tables["gold.customer_360"]["published"] == tables["silver.customers"]["published"]
    assert tables["silver.customers"]["personal_columns"] == 7

    again = by_table(demo()[0])
    for name in DATASETS:
        assert (again[f"bronze.{name}"]["read"], again[f"bronze.{name}"]["quarantined"]) == (0, 0)
        assert again[f"silver.{name}"]["read"] == 0
    published = {name: line["published"] for name, line in tables.items()}
    assert {name: line["published"] for name, line in again.items()} == published

    status = atlas("status", "--json", ATLAS_PORT="1")
    assert status.returncode == 0
    listed = by_table(json.loads(status.stdout))
    assert {name: line["rows"] for name, line in listed.items()} == published
    assert set(listed["silver.orders"]) == {"layer", "name", "rows", "quarantined", "published_at"}
    for name in DATASETS:
        assert listed[f"silver.{name}"]["quarantined"] == tables[f"silver.{name}"]["quarantined"]

    plan = atlas("plan", "--json")
    assert plan.returncode == 0
    assert {step["table"]: step["action"] for step in json.loads(plan.stdout)["tables"]} == dict.fromkeys(
        [f"silver.{name}" for name in DATASETS] + [f"gold.{name}" for name in GOLD], "nothing"
    )
    assert atlas("plan", "silver.nothing").returncode == 2
    privacy = atlas("privacy", "report", "--json")
    assert privacy.returncode == 1, "how long data is kept is not declared"
    record = {entry["table"]: entry for entry in json.loads(privacy.stdout)["tables"]}
    assert set(record) == {f"silver.{name}" for name in DATASETS} | {f"gold.{name}" for name in GOLD}
    assert {entry["subjects"]["persons"] for name, entry in record.items() if "silver" in name} == {"customers"}
    assert record["silver.customers"]["missing"] == ["retention"]
    assert record["gold.support_load"]["groups"]["exempt"]


@pytest.mark.slow
def test_demo_reports_a_failed_dataset_and_publishes_the_others(atlas_env: Path) -> None:
    generate(atlas_env / "landing", ROWS)
    (atlas_env / "landing" / "orders" / "orders-2024-03.jsonl.gz").write_bytes(b"no gzip at all")
    drifted = "customer_id,full_name\n" + "".join(f"{number},A\n" for number in range(20))
    (atlas_env / "landing" / "customers" / "customers-2024-03-01.csv").write_text(drifted)
    document, said = demo(expect=1)
    assert document["ok"] is False
    tables = by_table(document)
    assert tables["silver.customers"]["state"] == "failed"
    assert "customers-2024-03-01.csv lacks the columns 'email'" in tables["silver.customers"]["problem"]
    assert "atlas: silver.customers failed: " in said
    assert "Traceback" not in said
    assert tables["bronze.orders"]["checks_warned"] == 2, "a refused file, and lines that are no records"
    truth = expected(atlas_env)
    for name in ("orders", "support_tickets"):
        assert tables[f"silver.{name}"]["state"] == "published"
        assert tables[f"silver.{name}"]["published"] == truth[name]["rows_published"]
    assert tables["gold.revenue_by_country_month"]["state"] == "published"
    assert tables["gold.customer_360"]["state"] == "skipped"
