"""`atlas quality` from outside: what is printed where, and exit codes, over measurements that were really recorded."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from atlas_pipeline.cli import app
from atlas_pipeline.cli.output import OUT
from atlas_pipeline.quality.history import record_outcomes
from atlas_pipeline.quality.outcome import DIMENSIONS, Check, Dimension, Outcome, Severity, Status
from atlas_pipeline.settings import PROJECT_ROOT

LONG = "a_long_name_of_a_table_that_is_longer_than_most_people_like"


def outcome(
    path: str,
    status: Status = "passed",
    *,
    dimension: Dimension = "validity",
    severity: Severity = "error",
    **more: Any,
) -> Outcome:
    title = more.pop("title", f"title of {path}")
    return Outcome(Check(path, "missing", None, title, severity, dimension), status, **more)


GOOD = [
    outcome("id", rows_tested=1000, rows_failed=0, measured=0.0, threshold="value = 0", dimension="completeness"),
    outcome("schema"),
]
WARNED = [
    outcome("id", rows_tested=1000, rows_failed=3, measured=0.3, threshold="value < 1", dimension="completeness"),
    outcome("mood", "warned", rows_tested=1000, rows_failed=1, measured=1.0, problem="measured 1, expected value = 0"),
]
FAILED = [
    *WARNED,
    outcome("fresh", "failed", dimension="timeliness", measured=31.25, threshold="value < 24", problem="it is old"),
    outcome("sql", "not evaluated", title="[/b] is no markup,\nit is [bold]", problem='Postgres: no table "[x]"'),
]


def quality(*arguments: object, expect: int = 0) -> Any:
    """Run the command in this process."""
    done = CliRunner().invoke(app, ["quality", *map(str, arguments)])
    assert done.exit_code == expect, (done.stdout, done.stderr, done.exception)
    return done


def document(*arguments: object, expect: int = 0) -> dict[str, Any]:
    """What it prints with --json, which must be one document and nothing else."""
    found: dict[str, Any] = json.loads(quality(*arguments, "--json", expect=expect).stdout)
    return found


@pytest.fixture
def measured(atlas_env: Path, warehouse: psycopg.Connection) -> psycopg.Connection:
    """A warehouse where two tables were published and one was, and then was not."""
    record(warehouse, "gold", "totals", GOOD)
    record(warehouse, "silver", "orders", GOOD, run="first-run-of-all")
    record(warehouse, "silver", "customers", WARNED)
    record(warehouse, "silver", "orders", FAILED, published=False, run="second-run-of-all")
    return warehouse


def record(
    connection: psycopg.Connection,
    layer: str,
    name: str,
    outcomes: Sequence[Outcome],
    *,
    published: bool = True,
    run: str = "run",
) -> None:
    record_outcomes(connection, layer, name, run, outcomes, published=published)
    connection.commit()


def test_the_whole_warehouse(measured: psycopg.Connection) -> None:
    done = quality(expect=1)
    lines = {
        line.split()[0]: line.split() for line in done.stdout.splitlines() if line.startswith(" ") and line.strip()
    }
    heads = ["table", "complete", "unique", "valid", "accurate", "consistent", "timely", "overall"]
    assert lines["table"][:8] == heads
    assert lines["silver.customers"][1:11] == ["0.9970", "—", "0.9990", "—", "—", "—", "0.9980", "1", "of", "2"]
    assert lines["silver.orders"][1:11] == ["0.9970", "—", "0.4995", "—", "—", "0.0000", "0.4988", "3", "of", "4"]
    assert lines["gold.totals"][1:11] == ["1.0000", "—", "1.0000", "—", "—", "—", "1.0000", "0", "of", "2"]
    tables = [line.split()[0] for line in done.stdout.splitlines() if line.startswith((" silver.", " gold."))]
    assert tables == ["silver.customers", "silver.orders", "gold.totals"]
    assert "silver.orders was not published" in done.stdout
    assert "4 of 8 checks do not pass:" in done.stdout
    assert "error, not evaluated: silver.orders: [/b] is no markup, it is [bold]\n" in done.stdout
    assert 'Postgres: no table "[x]"\n' in done.stdout
    assert "warn, warned: silver.customers: title of mood\n" in done.stdout
    assert "      measured 1, expected value = 0; 1 of 1,000 rows failed\n" in done.stdout
    assert "      it is old; measured 31.25, expected value < 24\n" in done.stdout
    said = done.stdout
    assert said.index("error, failed") < said.index("warn, warned: silver.customers"), "the gravest first"
    assert "reading quality scores" in done.stderr


def test_recount_forgets_what_was_counted_of_the_tables_shown(measured: psycopg.Connection) -> None:
    for name in ("customers", "orders"):
        measured.execute("INSERT INTO atlas.check_counts VALUES ('silver', %s, 1, '{}', '', 0, now())", [name])
    measured.commit()
    left = "SELECT name FROM atlas.check_counts ORDER BY 1"
    quality("orders", expect=1)
    assert measured.execute(left).fetchall() == [("customers",), ("orders",)]
    quality("orders", "--recount", expect=1)
    assert measured.execute(left).fetchall() == [("customers",)]
    quality("--recount", expect=1)
    assert measured.execute(left).fetchall() == []


def test_a_table_without_a_contract_has_no_overall_score(measured: psycopg.Connection) -> None:
    for layer in ("bronze", "silver"):
        record(measured, layer, "bare", [outcome("rows_reconciled"), outcome("references.a.b")])
    lines = {line.split()[0]: line for line in quality(expect=1).stdout.splitlines() if ".bare" in line}
    assert "no contract" in lines["silver.bare"]
    assert "no contract" not in lines["bronze.bare"], "a contract is of silver or gold"
    contracts = {f"{one['layer']}.{one['name']}": one["contract"] for one in document(expect=1)["tables"]}
    assert contracts["silver.bare"] is False
    assert contracts["silver.orders"] is True


def test_one_table_by_either_name(measured: psycopg.Connection) -> None:
    by_full, by_short = quality("silver.orders", expect=1).stdout, quality("orders", expect=1).stdout
    assert by_full == by_short
    assert "title of id" in by_full, "checks that pass are listed too"
    assert "customers" not in by_full
    only_failed = quality("orders", "--failed", expect=1).stdout
    assert "title of id" not in only_failed
    assert "title of fresh" in only_failed
    assert "2 of 2 checks pass." in quality("totals").stdout


def test_the_exit_code_is_about_what_is_shown(measured: psycopg.Connection) -> None:
    quality("totals")
    quality("customers")
    quality("orders", expect=1)
    quality("orders", "--history", 2, expect=1)
    record(measured, "silver", "orders", WARNED)
    quality()
    record(measured, "silver", "orders", GOOD, published=False)
    assert "silver.orders was not published" in quality(expect=1).stdout
    record(measured, "silver", "orders", FAILED)
    quality(expect=1)


def test_history_newest_first_and_no_more_than_asked(measured: psycopg.Connection) -> None:
    text = quality("orders", "--history", 5, expect=1).stdout
    rows = [line.split() for line in text.splitlines() if line.startswith(" 20")]
    assert [(row[2], row[3]) for row in rows] == [("second-r", "no"), ("first-ru", "yes")]
    assert [one["run"] for one in document("orders", "--history", 1, expect=1)["history"]] == ["second-run-of-all"]
    both = document("orders", "--history", 2, expect=1)["history"]
    assert [one["published"] for one in both] == [False, True]


def test_json_is_one_document(measured: psycopg.Connection) -> None:
    found = document(expect=1)
    assert found["ok"] is False
    assert [(one["layer"], one["name"]) for one in found["tables"]] == [
        ("silver", "customers"),
        ("silver", "orders"),
        ("gold", "totals"),
    ]
    customers = found["tables"][0]
    assert list(customers["dimensions"]) == list(DIMENSIONS)
    assert customers["dimensions"]["completeness"] == 0.997
    assert customers["dimensions"]["uniqueness"] is None
    assert (customers["overall"], customers["checks"], customers["failed"]) == (0.998, 2, 1)
    assert (customers["published"], customers["run"]) == (True, "run")
    assert all(one["status"] != "passed" for one in found["checks"])
    assert len(found["checks"]) == 4
    assert "history" not in found
    one = document("customers")
    assert one["ok"] is True
    assert {check["path"]: check["status"] for check in one["checks"]} == {"id": "passed", "mood": "warned"}
    assert one["checks"][0]["rows_failed"] == 3
    assert [check["path"] for check in document("customers", "--failed")["checks"]] == ["mood"]


def test_a_table_that_there_is_not(measured: psycopg.Connection) -> None:
    for arguments in (["nope"], ["nope", "--json"], ["silver.totals", "--history", "3"]):
        done = quality(*arguments, expect=2)
        assert done.stdout == ""
        assert f"atlas: {arguments[0]} has no measurements: expected one of" in done.stderr
        assert "silver.customers, silver.orders, gold.totals" in done.stderr


def test_a_name_of_several_tables(measured: psycopg.Connection) -> None:
    record(measured, "gold", "orders", GOOD)
    said = quality("orders", expect=2).stderr
    assert "orders matches several tables: expected one of silver.orders, gold.orders" in said
    assert document("gold.orders")["ok"] is True


@pytest.mark.parametrize("arguments", [["--history", "3"], ["orders", "--history", "0"], ["a", "b"], ["--nothing"]])
def test_wrong_usage(arguments: list[str], tmp_path: Path) -> None:
    done = quality(*arguments, expect=2)
    assert done.stdout == ""
    assert "Usage: " in done.stderr


def test_history_and_failed_do_not_go_together() -> None:
    assert "--history" in quality("orders", "--history", 3, "--failed", expect=2).stderr


def test_nothing_was_measured_yet(atlas_env: Path) -> None:
    for arguments in ([], ["orders"], ["orders", "--history", "3"], ["--failed"]):
        assert "atlas demo" in quality(*arguments).stdout
        assert document(*arguments)["tables"] == []


def test_twenty_checks_are_shown_and_all_when_asked(atlas_env: Path, warehouse: psycopg.Connection) -> None:
    many = [outcome(f"c{number:02}", "warned", severity="warn") for number in range(24)]
    record(warehouse, "gold", "totals", [*many, outcome("z", "failed")])
    short = quality(expect=1).stdout
    assert short.count("warn, warned: ") == 19
    assert "error, failed: gold.totals: title of z" in short
    assert "and 5 more: --failed shows all of them." in short
    full = quality("--failed", expect=1).stdout
    assert full.count("warn, warned: ") == 24
    assert "more: --failed" not in full


@pytest.mark.parametrize("width", [60, 80, 120, 160])
def test_it_fits_the_terminal(measured: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    record(measured, "gold", LONG, FAILED, published=False)
    monkeypatch.setattr(OUT, "_width", width)
    for arguments in ([], [LONG], [LONG, "--history", "3"]):
        lines = quality(*arguments, expect=1).stdout.splitlines()
        assert max(len(line.rstrip()) for line in lines if LONG not in line) <= width
    whole = quality(expect=1).stdout
    assert all(score in whole for score in ("0.9980", "0.4988", "1.0000")), "a score is never cut"
    assert ("consistent" in whole) == (width == 160)
    assert " 3 of 4" in whole


def test_help_says_what_the_exit_code_means_and_gives_an_example() -> None:
    text = " ".join(quality("--help").stdout.split())
    assert "Exit code 1 when" in text
    assert "Example: atlas quality silver.orders --history 10" in text


@pytest.mark.slow
def test_in_a_process_of_its_own(measured: psycopg.Connection) -> None:
    command = [sys.executable, "-m", "atlas_pipeline.cli", "quality", "--json"]
    done = subprocess.run(command, env=dict(os.environ), cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert len(json.loads(done.stdout)["tables"]) == 3
    assert "Traceback" not in done.stderr
