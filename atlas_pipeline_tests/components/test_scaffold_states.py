"""Files that come one after the other, as feeds send them: scaffolded on the first, loaded round by round, read.

Belongs here: what a second and a third delivery do to silver, by mode. Does not belong here: how files are written
(`test_scaffold_neighbours.py`).
"""

import datetime as dt
import json
import os
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
import yaml
from dagster.components.component_scaffolding import scaffold_object
from dagster.components.testing import DefsFolderSandbox, create_defs_folder_sandbox
from psycopg import sql

from atlas_pipeline_tests import projects

pytestmark = pytest.mark.slow

DATASET = "atlas_pipeline.components.Dataset"
Files = dict[str, str | None]


@dataclass(frozen=True)
class Feed:
    """Rounds of files (None: taken away), what is said to the scaffold and added to its YAML, and what silver has.

    `rows` are of `columns`, of silver or of the table `of`; `refused` are the rules of the files that are, in the end.
    """

    rounds: list[Files]
    rows: list[tuple[Any, ...]]
    said: dict[str, Any] = field(default_factory=dict)
    added: dict[str, Any] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    of: str = ""
    refused: list[str] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)


def csv(header: str, *rows: str) -> str:
    return "\n".join([header, *rows]) + "\n"


DAY1, DAY2, DAY3 = (dt.datetime(2024, 1, day, tzinfo=dt.UTC) for day in (1, 2, 3))
TEN = [f"{n},v{n}" for n in range(10)]
FEEDS = {
    "back_without_key": Feed(
        [
            {"a.csv": csv("n,state", "1,open")},
            {"a.csv": csv("n,state", "1,closed")},
            {"a.csv": csv("n,state", "1,open")},
        ],
        [(1, "open")],
    ),
    "back_with_key": Feed(
        [
            {"a.csv": csv("id,state", "1,open")},
            {"a.csv": csv("id,state", "1,shut")},
            {"a.csv": csv("id,state", "1,open")},
        ],
        [("1", "open")],
        {"key": "id"},
    ),
    "back_of_two_names": Feed(
        [{"a.csv": csv("id,s", "1,x")}, {"b.csv": csv("id,s", "1,y")}, {"c.csv": csv("id,s", "1,x")}],
        [("1", "x")],
        {"key": "id"},
    ),
    "equal_days": Feed(
        [{"1.csv": csv("item,qty", "tea,1")}, {"2.csv": csv("item,qty", "tea,1")}, {"3.csv": csv("item,qty", "cup,2")}],
        [("cup", 2), ("tea", 1), ("tea", 1)],
    ),
    "equal_days_once": Feed(
        [{"1.csv": csv("item,qty", "tea,1")}, {"2.csv": csv("item,qty", "tea,1"), "3.csv": csv("item,qty", "cup,2")}],
        [("cup", 2), ("tea", 1)],
        added={"skip_equal_files": True},
    ),
    "monday_corrected": Feed(
        [{"1.csv": csv("id,n", "1,1", "2,2")}, {"2.csv": csv("id,n", "1,5")}, {"1.csv": csv("id,n", "1,7", "3,3")}],
        [("1", 5), ("3", 3)],
        {"key": "id"},
    ),
    "corrected_column": Feed(
        [{"1.csv": csv("id,n", "1,1")}, {"2.csv": csv("id,m", "2,2")}, {"2.csv": csv("id,n", "2,3")}],
        [("1", 1), ("2", 3)],
        {"key": "id"},
    ),
    "taken_from_landing": Feed(
        [{"1.csv": csv("id,n", "1,1")}, {"1.csv": None, "2.csv": csv("id,n", "2,2")}],
        [("1", 1), ("2", 2)],
        {"key": "id"},
    ),
    "grows": Feed(
        [{"log.csv": csv("id,n", "1,1")}, {"log.csv": csv("id,n", "1,1", "2,2")}],
        [("1", 1), ("2", 2)],
        added={"key": None, "mode": "append"},
        columns=["id", "n"],
    ),
    "state": Feed(
        [{"s.csv": csv("id,n", "1,1", "2,2", "3,3")}, {"s.csv": csv("id,n", "1,9", "3,3", "4,4")}],
        [("1", 9), ("3", 3), ("4", 4)],
        {"key": "id"},
        {"mode": "snapshot"},
    ),
    "state_without_key": Feed(
        [{"s.csv": csv("k,n", "a,1", "a,1")}, {"s.csv": csv("k,n", "a,1", "a,1", "b,2")}],
        [("a", 1), ("a", 1), ("b", 2)],
        added={"mode": "snapshot"},
    ),
    "state_shrinks": Feed(
        [{"s.csv": csv("id,v", *TEN)}, {"s.csv": csv("id,v", *TEN[:4])}],
        [tuple(row.split(",")) for row in TEN],
        {"key": "id"},
        {"mode": "snapshot"},
        refused=["snapshot_shrank"],
    ),
    "state_halves": Feed(
        [{"s.csv": csv("id,v", *TEN)}, {"s.csv": csv("id,v", *TEN[:5])}],
        [tuple(row.split(",")) for row in TEN[:5]],
        {"key": "id"},
        {"mode": "snapshot"},
    ),
    "state_empties": Feed(
        [{"s.csv": csv("id,v", "1,a")}, {"s.csv": "id,v\n"}],
        [("1", "a")],
        {"key": "id"},
        {"mode": "snapshot"},
        refused=["header_only"],
    ),
    "state_kept": Feed(
        [{"s.csv": csv("id,n", "1,1", "2,2")}, {"s.csv": csv("id,n", "2,3")}],
        [("1", 1), ("2", 3)],
        {"key": "id"},
        {"mode": "snapshot", "on_missing": "keep"},
    ),
    "state_flagged": Feed(
        [{"s.csv": csv("id,n", "1,1", "2,2")}, {"s.csv": csv("id,n", "2,3")}],
        [("1", True), ("2", False)],
        {"key": "id"},
        {"mode": "snapshot", "on_missing": "flag"},
        ["id", "missing_since IS NOT NULL"],
    ),
    "states_by_day": Feed(
        [{"s_2024-01-01.csv": csv("id,n", "1,1", "2,2")}, {"s_2024-01-02.csv": csv("id,n", "2,2", "3,3")}],
        [("2", 2), ("3", 3)],
        {"key": "id"},
        {"mode": "snapshot"},
    ),
    "deleted_by_word": Feed(
        [
            {"1.csv": csv("id,op,n", "1,I,1", "2,I,2")},
            {"2.csv": csv("id,op,n", "1,D,1")},
            {"3.csv": csv("id,op,n", "3,I,3", "3,D,3")},
        ],
        [("2", 2)],
        {"key": "id"},
        {"deleted_by": "op = 'D'"},
        ["id", "n"],
    ),
    "deleted_and_back": Feed(
        [
            {"1.csv": csv("id,gone,n", "1,false,1")},
            {"2.csv": csv("id,gone,n", "1,true,1")},
            {"3.csv": csv("id,gone,n", "1,false,4")},
        ],
        [("1", 4)],
        {"key": "id"},
        {"deleted_by": "gone"},
        ["id", "n"],
    ),
    "deleted_at": Feed(
        [
            {"1.csv": csv("id,deleted_at,n", "1,,1", "2,2024-01-05T00:00:00Z,2", "3,,3")},
            {"2.csv": csv("id,deleted_at,n", "3,2024-02-05T00:00:00Z,3")},
        ],
        [("1", 1)],
        {"key": "id"},
        {"deleted_by": "deleted_at"},
        ["id", "n"],
    ),
    "late_row": Feed(
        [
            {"1.csv": csv("id,n,updated_at", "1,5,2024-01-03T00:00:00Z")},
            {"2.csv": csv("id,n,updated_at", "1,4,2024-01-02T00:00:00Z")},
        ],
        [("1", 5)],
        {"key": "id"},
        columns=["id", "n"],
    ),
    "versions": Feed(
        [
            {"1.csv": csv("id,n,updated_at", "1,1,2024-01-01T00:00:00Z")},
            {"2.csv": csv("id,n,updated_at", "1,3,2024-01-03T00:00:00Z")},
            {"3.csv": csv("id,n,updated_at", "1,2,2024-01-02T00:00:00Z")},
        ],
        [("1", 1, DAY1, DAY2), ("1", 2, DAY2, DAY3), ("1", 3, DAY3, None)],
        {"key": "id"},
        {"history": True},
        ["id", "n", "valid_from", "valid_to"],
        "versions_history",
    ),
    "versions_of_a_date": Feed(
        [
            {"1.csv": csv("id,n,stand,updated", "1,1,x,2024-01-01")},
            {"2.csv": csv("id,n,stand,updated", "1,1,x,2024-01-02", "2,1,x,2024-01-02")},
            {"3.csv": csv("id,n,stand,updated", "1,2,x,2024-01-03")},
        ],
        [("1", 1, DAY1, DAY2), ("1", 1, DAY2, DAY3), ("1", 2, DAY3, None), ("2", 1, DAY2, None)],
        {"key": "id"},
        {"history": True, "latest_by": "updated"},
        ["id", "n", "valid_from", "valid_to"],
        "versions_of_a_date_history",
    ),
    "versions_of_states": Feed(
        [
            {"s.csv": csv("id,n", "1,1", "2,2")},
            {"s.csv": csv("id,n", "1,5")},
            {"s.csv": csv("id,n", "1,5", "2,2")},
        ],
        [("1", 1, False), ("1", 5, True), ("2", 2, False), ("2", 2, True)],
        {"key": "id"},
        {"mode": "snapshot", "history": True},
        ["id", "n", "valid_to IS NULL"],
        "versions_of_states_history",
    ),
    "tombstones_in_history": Feed(
        [
            {"1.csv": csv("id,op,updated_at", "1,I,2024-01-01T00:00:00Z")},
            {"2.csv": csv("id,op,updated_at", "1,D,2024-01-02T00:00:00Z")},
            {"3.csv": csv("id,op,updated_at", "1,I,2024-01-03T00:00:00Z")},
        ],
        [("1", DAY1, DAY2), ("1", DAY3, None)],
        {"key": "id"},
        {"deleted_by": "op = 'D'", "history": True},
        ["id", "valid_from", "valid_to"],
        "tombstones_in_history_history",
    ),
    "new_column": Feed(
        [{"1.csv": csv("id,n", "1,1")}, {"2.csv": csv("id,n,extra", "2,2,x")}],
        [("1", 1), ("2", 2)],
        {"key": "id"},
    ),
    "a_bad_value": Feed(
        [{"1.csv": csv("id,n", "1,1", "2,2")}, {"2.csv": csv("id,n", "3,x", "4,4")}],
        [("1", 1), ("2", 2), ("4", 4)],
        {"key": "id"},
        quarantined=["wrong_type"],
    ),
    "a_personal_value": Feed(
        [
            {"1.csv": csv("id,note", "1,fine", "2,good")},
            {"2.csv": csv("id,note", "3,ada.example@mail.example", "4,well")},
        ],
        [("1", "fine"), ("2", "good"), ("4", "well")],
        {"key": "id"},
        quarantined=["personal_data"],
    ),
    "by_day": Feed(
        [
            {"2024-01-01.csv": csv("item,qty", "tea,1")},
            {"2024-01-02.csv": csv("item,qty", "tea,1")},
            {"2024-01-03.csv": csv("item,qty", "cup,2")},
        ],
        [("cup", 2), ("tea", 1), ("tea", 1)],
        {"source": "by_day/{partition}.csv"},
    ),
    "prices": Feed(
        [{"1.csv": "sku;preis\na-1;1.234,50\na-2;2,50\n"}, {"2.csv": "sku;preis\na-3;3.50\na-4;4,75\n"}],
        [("a-1", Decimal("1234.50")), ("a-2", Decimal("2.50")), ("a-4", Decimal("4.75"))],
        {"key": "sku"},
        quarantined=["wrong_type"],
    ),
}


def _declare(sandbox: DefsFolderSandbox, name: str, feed: Feed) -> None:
    """As a person does: by the scaffold, and some lines added."""
    folder = sandbox.defs_folder_path / name
    params = json.dumps({"source": f"{name}/*"} | feed.said)
    scaffold_object(folder, DATASET, params, "yaml", sandbox.project_root)
    path = folder / "defs.yaml"
    document = yaml.safe_load(path.read_text())
    document["attributes"] |= feed.added
    document["attributes"] = {key: value for key, value in document["attributes"].items() if value is not None}
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    (folder / "contract.yml").unlink()  # what it says of the first file is not what is tested


def _found(warehouse: psycopg.Connection, name: str, feed: Feed) -> tuple[list[str], list[str], list[str]]:
    """Rows as text, rules of refused files, rules in quarantine."""
    if feed.columns:
        chosen: sql.Composable = sql.SQL(", ").join(map(sql.SQL, feed.columns))  # type: ignore[arg-type]
    else:
        columns = warehouse.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
            " AND attname NOT LIKE '\\_atlas%%' ORDER BY attnum",
            [f"silver.{name}"],
        ).fetchall()
        chosen = sql.SQL(", ").join(sql.Identifier(column) for (column,) in columns)
    table = sql.Identifier("silver", feed.of or name)
    rows = warehouse.execute(sql.SQL("SELECT {} FROM {}").format(chosen, table)).fetchall()
    refused = warehouse.execute(
        "SELECT rule FROM (SELECT DISTINCT ON (uri) status, rule FROM atlas.files WHERE dataset = %s"
        " ORDER BY uri, file_id DESC) newest WHERE status = 'refused'",
        [name],
    ).fetchall()
    statement = sql.SQL("SELECT rule FROM {} ORDER BY rule").format(sql.Identifier("quarantine", name))
    return (
        sorted(map(repr, rows)),
        [rule for (rule,) in refused],
        [rule for (rule,) in warehouse.execute(statement).fetchall()],
    )


def test_what_silver_has_after_the_last_round(atlas_env: Path, warehouse: psycopg.Connection) -> None:
    with create_defs_folder_sandbox() as sandbox, dg.DagsterInstance.ephemeral() as instance:
        for number in range(max(len(feed.rounds) for feed in FEEDS.values())):
            for name, feed in FEEDS.items():
                for file, text in feed.rounds[number].items() if number < len(feed.rounds) else ():
                    path = atlas_env / "landing" / name / file
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.unlink(missing_ok=True)
                    if text is not None:
                        path.write_text(text)
                        os.utime(path, (1e9 + number, 1e9 + number))
                if number == 0:
                    _declare(sandbox, name, feed)
            definitions = projects.load(sandbox)
            job = definitions.resolve_implicit_global_asset_job_def()
            by_day = [dg.AssetKey([layer, "by_day"]) for layer in ("bronze", "silver")]
            others = list(definitions.resolve_asset_graph().materializable_asset_keys - set(by_day))
            for keys, partition in ((others, None), (by_day, f"2024-01-0{number + 1}")):
                job.execute_in_process(
                    instance=instance, asset_selection=keys, partition_key=partition, raise_on_error=False
                )
    wrong = []
    for name, feed in FEEDS.items():
        expected = (sorted(map(repr, feed.rows)), feed.refused, feed.quarantined)
        try:
            found = _found(warehouse, name, feed)
        except psycopg.Error as error:
            found = ([type(error).__name__], [], [])
            warehouse.rollback()
        if found != expected:
            wrong.append(f"{name}: {found}, expected {expected}")
    assert wrong == [], "\n".join(wrong)
