"""Contracts of one small table, written and verified; tables and checks that several tests use."""

from pathlib import Path
from typing import Any

import yaml

from atlas_pipeline.quality.contract import read_contract
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.quality.verification import verify

CANARY = "canary-4711"
THINGS = f"""
CREATE TABLE silver.moods AS SELECT * FROM (VALUES ('good'), ('bad')) v (mood);
CREATE TABLE silver.things (id int, mood text, amount numeric, code text, at timestamptz, day date, twice int);
INSERT INTO silver.things VALUES
    (1, 'good', 10, 'AB1', '2030-01-01 00:00+00', '2030-01-01'),
    (2, 'good', 20, 'AB2', '2030-01-01 06:00+00', '2030-01-01'),
    (3, 'bad', 20, 'x', '2030-01-01 12:00+00', '2030-01-01'),
    (4, NULL, NULL, NULL, NULL, NULL),
    (5, '{CANARY}', -2, 'AB1', '2030-01-01 18:00+00', '2030-01-01');
"""
SURROUNDINGS = f"""
CREATE TABLE staging.silver__things AS SELECT * FROM silver.things WHERE id < 3;
CREATE TABLE silver.canaries AS SELECT 1 AS id, '{CANARY}' AS mood;
CREATE TABLE silver.things_old AS SELECT 1;
CREATE TABLE bronze.things AS SELECT 1;
CREATE SEQUENCE silver.numbers;
CREATE FUNCTION silver.adds() RETURNS int LANGUAGE sql AS
    'INSERT INTO silver.things (id) VALUES (9) RETURNING id';
CREATE FUNCTION silver.raises(said text) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no %', said USING ERRCODE = '42703'; END $$;
"""
MOODS = {"dataset": "atlas/atlas/silver/moods", "column": "mood"}
WHEN = {"when": {"default": "2030-01-02T00:00:00+00:00"}}
PERCENT = {"threshold": {"metric": "percent"}}
Checks = list[dict[str, Any]]

WAITS = {
    "metric": {"qualifier": "waits", "query": "SELECT 1 FROM pg_advisory_xact_lock(4711)", "threshold": {"must_be": 1}}
}
"""A check that waits until the test lets it go on."""
WAITING = "wait_event = 'advisory'"


def write(path: Path, checks: Checks | None = None, table: str = "things", **rest: Any) -> Path:
    """A contract of `silver.<table>`; `columns` are checks by column."""
    columns: dict[str, Any] = rest.pop("columns", {})
    holders = [
        {"name": name, **(body if isinstance(body, dict) else {"checks": body})} for name, body in columns.items()
    ]
    parts = {**rest, **({"checks": checks} if checks else {}), "columns": holders}
    path = path / "contract.yml"
    path.write_text(f"dataset: atlas/atlas/silver/{table}\n{yaml.safe_dump(parts, sort_keys=False)}")
    return path


def run(path: Path, url: str, schema: str = "silver", table: str = "things", **how: Any) -> dict[str, Outcome]:
    return {outcome.check.path: outcome for outcome in verify(read_contract(path), url, schema, table, **how)}
