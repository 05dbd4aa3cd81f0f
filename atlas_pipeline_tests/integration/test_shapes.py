"""Nested JSON and fixed positions from the declaration to silver, and what the scaffold writes of them."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from dagster.components.component_scaffolding import scaffold_object
from dagster.components.testing import DefsFolderSandbox

from atlas_pipeline.components import Dataset
from atlas_pipeline.settings import load_settings
from atlas_pipeline_tests.integration.conftest import Feed

ORDERS = [
    {"order_id": 1, "customer": {"size": "S"}, "items": [{"sku": "007", "n": 2}, {"sku": "b", "n": 1}]},
    {"order_id": 2, "customer": {"size": "L"}, "items": []},
    {"order_id": 3, "customer": {"size": "S"}, "items": [{"sku": "c", "n": 5}]},
]


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The landing folder of an installation."""
    monkeypatch.setenv("ATLAS_HOME", str(tmp_path))
    load_settings.cache_clear()
    folder = load_settings().landing_path
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def scaffolded(sandbox: DefsFolderSandbox, name: str, source: str, **options: Any) -> dict[str, Any]:
    folder = sandbox.defs_folder_path / name
    params = json.dumps({"source": source, **options})
    scaffold_object(folder, "atlas_pipeline.components.Dataset", params, "yaml", sandbox.project_root)
    return yaml.safe_load((folder / "defs.yaml").read_text())["attributes"]


def declared(sandbox: DefsFolderSandbox, name: str) -> Any:
    with sandbox.load_component_and_build_defs(defs_path=sandbox.defs_folder_path / name) as (component, _):
        assert isinstance(component, Dataset)
        return component.declared


def test_a_child_table_is_a_dataset_over_the_same_files(
    landing: Path, sandbox: DefsFolderSandbox, warehouse: psycopg.Connection, warehouse_url: str, tmp_path: Path
) -> None:
    (landing / "orders.json").write_text(json.dumps({"data": ORDERS}))
    options = {"records": "data", "flatten": True}
    parent = scaffolded(sandbox, "orders", "orders.json", **options)
    assert (parent["records"], parent["flatten"]) == ("data", True)
    assert [one["name"] for one in parent["columns"]] == ["order_id", "customer_size", "items"]
    child = scaffolded(sandbox, "order_items", "orders.json", explode="items", key="order_id,items_index", **options)
    assert child["explode"] == "items"
    feeds = {}
    for name in ("orders", "order_items"):
        feeds[name] = Feed(warehouse, warehouse_url, tmp_path, declared(sandbox, name))
        feeds[name].run()
    found = feeds["orders"].query('SELECT order_id::text, customer_size FROM silver."orders" ORDER BY 1')
    assert found == [("1", "S"), ("2", "L"), ("3", "S")]
    columns = "order_id::text, items_index::text, items_sku, items_n"
    found = feeds["order_items"].query(f'SELECT {columns} FROM silver."order_items" ORDER BY 1, 2')
    assert found == [("1", "1", "007", 2), ("1", "2", "b", 1), ("3", "1", "c", 5)]
    ORDERS[0]["items"].pop()  # type: ignore[attr-defined]
    (landing / "orders.json").write_text(json.dumps({"data": ORDERS}))
    feeds["order_items"].run()
    assert len(feeds["order_items"].rows()) == 2


def test_fixed_positions_are_declared_by_name(
    landing: Path, sandbox: DefsFolderSandbox, warehouse: psycopg.Connection, warehouse_url: str, tmp_path: Path
) -> None:
    lines = "".join(f"{i:04d}Name {i:<5}{i * 3:>5}\n" for i in range(1, 30))
    (landing / "banks.txt").write_text(lines)
    written = scaffolded(sandbox, "banks", "banks.txt", fixed_width="blz=1-4,name=5-14,n=15-19", key="blz")
    assert written["fixed_width"] == {"blz": "1-4", "name": "5-14", "n": "15-19"}
    (landing / "banks.txt").write_text(lines + "0030Name 30      x5\n")
    one = Feed(warehouse, warehouse_url, tmp_path, declared(sandbox, "banks"))
    one.run()
    found = one.query("SELECT blz, n FROM silver.banks ORDER BY 1")
    assert found[0] == ("0001", 3)
    assert len(found) == 29
    assert [(line, rule) for _, line, rule in one.quarantine()] == [(30, "wrong_type")]
