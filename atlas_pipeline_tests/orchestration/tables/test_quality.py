"""Quality in Dagster: each check of a contract is an asset check; what fails is not published, and can be found."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster.components.testing import DefsFolderSandbox

from atlas_pipeline.settings import load_settings
from atlas_pipeline_tests.projects import Load, complaint

DATASET = "type: atlas_pipeline.components.Dataset\nattributes:\n"
GOLD = "type: atlas_pipeline.components.GoldModel\nattributes:\n"
ORDERS = DATASET + (
    "  source: orders/*.csv\n  key: order_id\n  columns:\n"
    "    - {name: order_id, pii: none}\n    - {name: customer_id, type: integer, pii: none}\n"
    "    - {name: amount, type: decimal, pii: none}\n"
)
CONTRACT = """\
dataset: atlas/atlas/silver/orders
checks:
  - row_count:
columns:
  - name: order_id
    checks:
      - missing:
  - name: amount
    checks:
      - missing:
          threshold: {must_be: 0, level: warn}
      - invalid:
          name: Amounts are not negative
          valid_min: 0
"""
MODEL = "SELECT count(*) AS orders, sum(amount) AS amount FROM silver.orders"
HEADER = "order_id,customer_id,amount\n"
GOOD = HEADER + "".join(f"A{n},{n % 3},{n}.5\n" for n in range(1, 11))
SILVER, GOLD_KEY = dg.AssetKey(["silver", "orders"]), dg.AssetKey(["gold", "sums"])
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@pytest.fixture
def project(load_files: Load) -> Load:
    """Load orders with this contract, and a gold model over them."""

    def run(contract: str | None = CONTRACT, files: dict[str, str] | None = None, orders: str = ORDERS) -> Any:
        every = {"orders/defs.yaml": orders, "sums/defs.yaml": GOLD + "  description: Sums.\n", "sums/model.sql": MODEL}
        return load_files(every | ({"orders/contract.yml": contract} if contract else {}) | (files or {}))

    return run


def run(
    definitions: dg.Definitions,
    assets: Collection[dg.AssetKey] | None = None,
    checks: Collection[dg.AssetCheckKey] | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialize everything, or what is selected; without assets only the checks run."""
    job = definitions.resolve_implicit_global_asset_job_def()
    if checks is not None:
        job = job.get_subset(asset_selection=set(assets or ()), asset_check_selection=set(checks))
        return job.execute_in_process(raise_on_error=False)
    return job.execute_in_process(raise_on_error=False, asset_selection=list(assets) if assets else None)


def found(result: dg.ExecuteInProcessResult, asset: dg.AssetKey = SILVER) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations() if one.asset_key == asset}


def sample(check: dg.AssetCheckEvaluation) -> list[dict[str, Any]]:
    """The keys of failed rows that a check shows."""
    return [dict(row.data) for row in check.metadata["sample of failed rows"].records]


def query(statement: str) -> list[tuple]:
    url = load_settings().database_url
    assert url
    with psycopg.connect(url.get_secret_value()) as connection:
        return connection.execute(statement).fetchall()


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.get_step_failure_events()
    return str(event.step_failure_data.user_failure_data)


def specs(definitions: dg.Definitions, asset: dg.AssetKey = SILVER) -> dict[str, dg.AssetCheckSpec]:
    graph = definitions.resolve_asset_graph()
    return {key.name: graph.get_check_spec(key) for key in graph.asset_check_keys if key.asset_key == asset}


# What the UI shows of checks.


def test_every_check_of_a_contract_is_an_asset_check_without_a_database(project: Load) -> None:
    shown = specs(project())
    assert set(shown) == {
        "row_count",
        "order_id_missing",
        "amount_missing",
        "amount_invalid",
        "rows_fit",
        "rows_reconciled",
        "values_join",
        "leak_check",
        "anomalies",
        "reidentification",
    }
    assert {name for name, spec in shown.items() if spec.blocking} == {
        "row_count",
        "order_id_missing",
        "amount_invalid",
        "leak_check",
        "reidentification",
    }
    assert shown["amount_invalid"].description == "Amounts are not negative (validity, error)"
    assert {name: shown["amount_invalid"].metadata[name] for name in ("dimension", "path")} == {
        "dimension": "validity",
        "path": "columns.amount.checks.invalid",
    }


def test_a_check_that_is_added_to_the_file_is_there_after_a_reload(project: Load) -> None:
    assert "customer_id_missing" not in specs(project())
    more = CONTRACT + "  - name: customer_id\n    checks:\n      - missing:\n"
    assert "customer_id_missing" in specs(project(more))


@pytest.mark.parametrize(
    "edited",
    [
        CONTRACT.replace("checks:\n  - row_count:\n", "").replace("valid_min: 0", "valid_min: 100")
        + "  - name: customer_id\n    checks:\n      - missing:\n",
        "no contract",
        None,
    ],
    ids=["other_checks", "no_contract", "deleted"],
)
def test_a_contract_that_is_edited_counts_from_a_reload_on(
    land: Any, project: Load, sandbox: DefsFolderSandbox, edited: str | None
) -> None:
    """Until then all checks that Dagster shows are made as it shows them, with the table or alone."""
    land("orders/1.csv", GOOD)
    definitions = project()
    path = sandbox.defs_folder_path / "orders" / "contract.yml"
    path.write_text(edited) if edited else path.unlink()
    result = run(definitions)
    assert result.success
    assert {name: check.passed for name, check in found(result).items()} == dict.fromkeys(specs(definitions), True)
    alone = run(definitions, checks=[dg.AssetCheckKey(SILVER, "row_count")])
    assert {name: check.passed for name, check in found(alone).items()} == {"row_count": True}


def test_an_edited_contract_blocks_what_it_blocks_after_a_reload(land: Any, project: Load) -> None:
    land("orders/1.csv", GOOD)
    definitions = project()
    stricter = CONTRACT.replace("valid_min: 0", "valid_min: 100").replace("  - row_count:\n", "  - schema:\n")
    reloaded = project(stricter)
    assert run(definitions).success
    result = run(reloaded)
    assert not result.success
    shown = found(result)
    assert {"schema", "row_count"} & set(shown) == {"schema"}
    assert not shown["amount_invalid"].passed


def test_what_a_check_measured_is_in_its_metadata(land: Any, project: Load) -> None:
    land("orders/1.csv", GOOD + "A11,1,\n")
    result = run(project())
    assert result.success
    checks = found(result)
    assert {name for name, one in checks.items() if not one.passed} == {"amount_missing"}
    missing = checks["amount_missing"]
    assert (missing.severity, missing.blocking) == (WARN, False)
    assert sample(missing) == [{"order_id": "A11"}]
    values = {name: value.value for name, value in missing.metadata.items() if name != "sample of failed rows"}
    assert values == {
        "dimension": "completeness",
        "outcome": "warned",
        "measured": 1.0,
        "threshold": "= 0 (warn)",
        "rows tested": 11,
        "rows failed": 1,
        "rows shown": 1,
    }
    assert isinstance(missing.metadata["measured"], dg.FloatMetadataValue), "numbers become a trend"
    assert checks["amount_invalid"].metadata["rows tested"].value == 11


def test_a_table_without_a_contract_says_so_as_a_warning(land: Any, project: Load) -> None:
    land("orders/1.csv", GOOD)
    definitions = project(contract=None)
    assert "contract" in specs(definitions)
    assert "contract" in specs(definitions, GOLD_KEY)
    result = run(definitions)
    assert result.success
    check = found(result)["contract"]
    assert (check.passed, check.severity) == (False, WARN)
    assert check.description == "there is no contract.yml beside defs.yaml, so nothing is checked but what always is"


def test_two_datasets_with_the_same_checks_do_not_collide(land: Any, load_files: Load) -> None:
    columns = "    - {name: id, pii: none}\n    - {name: n, type: integer, pii: none}\n"
    contract = "dataset: atlas/atlas/silver/NAME\ncolumns:\n  - name: n\n    checks:\n      - missing:\n"
    files = {}
    for name in ("one", "two"):
        files[f"{name}/defs.yaml"] = DATASET + f"  source: {name}/*.csv\n  key: id\n  columns:\n" + columns
        files[f"{name}/contract.yml"] = contract.replace("NAME", name)
    land("one/1.csv", "id,n\n1,1\n")
    land("two/1.csv", "id,n\n1,\n2,\n")
    result = run(load_files(files))
    one, two = (found(result, dg.AssetKey(["silver", name]))["n_missing"] for name in ("one", "two"))
    assert (one.passed, one.metadata["measured"].value) == (True, 0)
    assert (two.passed, two.metadata["measured"].value) == (False, 2)


def test_checks_whose_names_would_be_one_are_told_apart(project: Load) -> None:
    more = CONTRACT.replace("  - row_count:\n", "").replace("columns:\n", "columns:\n  - name: customer_id\n", 1)
    more = more.replace(
        "checks:\n",
        "checks:\n  - failed_rows:\n      qualifier: a b\n      expression: amount < 0\n"
        "  - failed_rows:\n      qualifier: a.b\n      expression: amount < 1\n",
        1,
    )
    names = [name for name in specs(project(more)) if name.startswith("failed_rows_a_b")]
    assert len(names) == 2


# Write, audit, publish.


def test_an_error_keeps_the_published_table_and_stops_what_is_downstream(land: Any, project: Load) -> None:
    land("orders/1.csv", GOOD)
    definitions = project()
    assert run(definitions).success
    land("orders/2.csv", HEADER + "A90,1,-4\nA91,1,-5\nA92,1,6\n")
    result = run(definitions)
    assert not result.success
    said = failure(result)
    assert "silver.orders was not published" in said
    assert "columns.amount.checks.invalid (measured 2, expected = 0)" in said
    assert query("SELECT count(*), min(amount) FROM silver.orders") == [(10, 1.5)]
    assert "gold__sums" not in {event.step_key for event in result.all_events if event.is_step_start}
    check = found(result)["amount_invalid"]
    assert (check.passed, check.severity, check.blocking) == (False, ERROR, True)
    assert sample(check) == [{"order_id": "A90"}, {"order_id": "A91"}]
    assert query("SELECT stage, rule, columns, line, file LIKE '%2.csv' FROM quarantine.orders ORDER BY line") == [
        ("contract", "columns.amount.checks.invalid", ["amount"], 2, True),
        ("contract", "columns.amount.checks.invalid", ["amount"], 3, True),
    ]
    assert query("SELECT quarantined FROM atlas.publications WHERE layer = 'silver'") == [(0,)]

    land("orders/1.csv", GOOD)
    mended = project(CONTRACT.replace("valid_min: 0", "valid_min: -10"))
    assert run(mended).success
    assert query("SELECT count(*) FROM silver.orders") == [(13,)]
    assert query("SELECT count(*) FROM quarantine.orders") == [(0,)]


def test_a_warning_publishes_and_what_is_downstream_runs(land: Any, project: Load) -> None:
    land("orders/1.csv", GOOD + "A11,1,\n")
    result = run(project())
    assert result.success
    assert query("SELECT orders FROM gold.sums") == [(11,)]


def test_a_first_build_that_fails_leaves_no_table(land: Any, project: Load) -> None:
    land("orders/1.csv", HEADER + "A1,1,-1\n")
    assert not run(project()).success
    assert query("SELECT to_regclass('silver.orders'), to_regclass('staging.silver__orders') IS NOT NULL") == [
        (None, True)
    ]


def test_published_rows_that_fail_a_new_check_are_not_in_quarantine(land: Any, project: Load) -> None:
    land("orders/1.csv", GOOD)
    assert run(project()).success
    result = run(project(CONTRACT.replace("valid_min: 0", "valid_min: 5")))
    assert not result.success
    assert "silver.orders fails its contract" in failure(result)
    assert query("SELECT count(*) FROM silver.orders") == [(10,)]
    assert query("SELECT count(*) FROM quarantine.orders") == [(0,)]
    newest = "SELECT published FROM atlas.quality_scores WHERE layer = 'silver' ORDER BY measured_at DESC LIMIT 1"
    assert query(newest) == [(True,)]


def test_a_check_that_cannot_be_evaluated_blocks_with_the_reason(land: Any, project: Load) -> None:
    land("orders/1.csv", GOOD)
    broken = CONTRACT.replace(
        "checks:\n  - row_count:\n", "checks:\n  - failed_rows:\n      expression: amount ~ 'x'\n"
    )
    result = run(project(broken))
    assert not result.success
    checks = found(result)
    assert checks["failed_rows"].metadata["outcome"].value == "not evaluated"
    assert "operator does not exist: numeric ~ unknown" in str(checks["failed_rows"].description)
    assert checks["amount_invalid"].passed, "the others were"


def test_sql_that_names_the_table_is_about_the_table_as_it_will_be(land: Any, project: Load) -> None:
    contract = "dataset: atlas/atlas/silver/orders\nchecks:\n  - metric:\n      threshold: {must_be_less_than: 11}\n"
    contract += "      query: SELECT count(*) FROM silver.orders\ncolumns: []\n"
    definitions = project(contract)
    land("orders/1.csv", GOOD)
    assert run(definitions).success
    land("orders/2.csv", HEADER + "A90,1,1\n")
    result = run(definitions)
    assert not result.success
    assert found(result)["metric"].metadata["measured"].value == 11


def test_no_personal_value_names_a_failed_row(land: Any, project: Load) -> None:
    columns = ORDERS.replace("order_id, pii: none", "order_id, pii: EMAIL_ADDRESS, action: keep")
    land("orders/1.csv", HEADER + "canary@mail.example,1,-4\n")
    result = run(project(orders=columns))
    check = found(result)["amount_invalid"]
    assert [set(row) for row in sample(check)] == [{"_atlas_file_id", "_atlas_line"}]
    assert "canary" not in "\n".join(map(str, result.all_events))


def test_gold_has_a_contract_too(land: Any, project: Load) -> None:
    contract = "dataset: atlas/atlas/gold/sums\ncolumns:\n  - name: amount\n    checks:\n      - invalid:\n"
    contract += "          valid_max: 60\n"
    land("orders/1.csv", GOOD)
    definitions = project(files={"sums/contract.yml": contract})
    assert run(definitions).success
    land("orders/2.csv", HEADER + "A90,1,100\n")
    result = run(definitions)
    assert not result.success
    assert "columns.amount.checks.invalid" in failure(result)
    assert query("SELECT orders FROM gold.sums") == [(10,)]
    assert query("SELECT count(*) FROM silver.orders") == [(11,)]


# Checks alone.


def test_checks_run_alone_on_the_published_table(land: Any, project: Load) -> None:
    land("orders/1.csv", GOOD)
    definitions = project()
    assert run(definitions).success
    graph = definitions.resolve_asset_graph()
    chosen = dg.AssetCheckKey(SILVER, "amount_missing")
    assert graph.get_execution_set_asset_and_check_keys(chosen) <= {chosen}, "the UI offers to run it alone"
    with psycopg.connect(load_settings().database_url.get_secret_value()) as connection:  # type: ignore[union-attr]
        connection.execute("UPDATE silver.orders SET amount = NULL WHERE order_id = 'A3'")
    result = run(definitions, checks=[chosen])
    assert result.success
    assert not result.asset_materializations_for_node("silver__orders")
    assert list(found(result)) == ["amount_missing"]
    assert found(result)["amount_missing"].metadata["sample of failed rows"].records[0].data == {"order_id": "A3"}
    without_bronze = [key for key in graph.asset_check_keys if key.asset_key.path[0] != "bronze"]
    everything = run(definitions, checks=without_bronze)
    assert everything.success
    assert set(found(everything)) == set(specs(definitions))
    assert {name for name, one in found(everything).items() if not one.passed} == {"amount_missing"}
    assert set(found(everything, GOLD_KEY)) == {
        "leak_check",
        "contract",
        "small_groups",
        "anomalies",
        "reidentification",
        "up_to_date",
    }


def test_a_blocking_check_that_fails_alone_changes_no_table(land: Any, project: Load) -> None:
    land("orders/1.csv", GOOD)
    definitions = project()
    assert run(definitions).success
    with psycopg.connect(load_settings().database_url.get_secret_value()) as connection:  # type: ignore[union-attr]
        connection.execute("UPDATE silver.orders SET amount = -1 WHERE order_id = 'A3'")
    result = run(definitions, checks=[dg.AssetCheckKey(SILVER, "amount_invalid")])
    assert not result.success, "as Dagster has it with blocking checks"
    assert not found(result)["amount_invalid"].passed
    assert query("SELECT count(*) FROM silver.orders") == [(10,)]
    assert query("SELECT count(*) FROM quarantine.orders") == [(0,)], "what is published is not in quarantine"


def test_checks_of_a_table_that_is_not_there_say_so(atlas_env: Path, project: Load) -> None:
    result = run(project(), checks=[dg.AssetCheckKey(SILVER, "row_count"), dg.AssetCheckKey(GOLD_KEY, "leak_check")])
    assert not result.success
    said = " ".join(str(one.step_failure_data.user_failure_data) for one in result.get_step_failure_events())
    assert "silver.orders is not there: materialize it first" in said
    assert "gold.sums is not there: materialize it first" in said


def test_checks_of_a_partitioned_dataset_run_alone(land: Any, load_files: Load) -> None:
    days = "  source: orders/{partition}/*.csv\n  partitions: daily\n  partitions_start: '2024-01-01'\n"
    definitions = load_files(
        {"orders/defs.yaml": ORDERS.replace("  source: orders/*.csv\n", days), "orders/contract.yml": CONTRACT}
    )
    folder = load_settings().landing_path / "orders" / "2024-01-02"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text(GOOD)
    job = definitions.resolve_implicit_job_def_def_for_assets([dg.AssetKey(["bronze", "orders"]), SILVER])
    assert job is not None
    assert job.execute_in_process(partition_key="2024-01-02").success
    result = run(definitions, checks=[dg.AssetCheckKey(SILVER, "row_count")])
    assert result.success
    assert found(result)["row_count"].metadata["measured"].value == 10


# Scores.


def test_scores_are_on_the_asset_and_kept_by_run(land: Any, project: Load) -> None:
    land("orders/1.csv", GOOD + "A11,1,\n")
    definitions = project()
    result = run(definitions)
    (made,) = result.asset_materializations_for_node("silver__orders")
    values = {name: value.value for name, value in made.metadata.items() if name.startswith("quality")}
    assert values == {
        "quality: completeness": round((1 + 1 + 10 / 11) / 3, 6),
        "quality: validity": 1.0,
        "quality: consistency": 1.0,
        "quality score": round(((1 + 1 + 10 / 11) / 3 + 2) / 3, 6),
    }
    statement = (
        "SELECT dimension, round(score::numeric, 6)::float, checks, failed FROM atlas.quality_scores"
        f" WHERE layer = 'silver' AND name = 'orders' AND run = '{result.run_id}' AND published ORDER BY 1"
    )
    assert query(statement) == [
        ("completeness", values["quality: completeness"], 3, 1),
        ("consistency", 1.0, 2, 0),
        ("overall", values["quality score"], 7, 1),
        ("validity", 1.0, 2, 0),
    ]
    assert query("SELECT DISTINCT layer FROM atlas.quality_scores ORDER BY 1") == [("bronze",), ("silver",)]


def test_what_was_not_published_is_scored_too(land: Any, project: Load) -> None:
    land("orders/1.csv", HEADER + "A1,1,-1\nA2,1,2\n")
    run(project())
    statement = "SELECT published, score FROM atlas.quality_scores WHERE layer = 'silver' AND dimension = 'validity'"
    assert query(statement) == [(False, 0.75)]


def test_a_check_that_runs_alone_keeps_what_is_known_of_the_others(land: Any, project: Load) -> None:
    land("orders/1.csv", GOOD + "A11,1,\n")
    definitions = project()
    run(definitions)
    run(definitions, checks=[dg.AssetCheckKey(SILVER, "row_count")])
    statement = (
        "SELECT score, checks, failed FROM atlas.quality_scores WHERE layer = 'silver' AND dimension = 'overall'"
    )
    first, second = query(statement)
    assert first == second


# References.

CUSTOMERS = DATASET + (
    "  source: customers/*.csv\n  key: customer_id\n  columns:\n    - {name: customer_id, type: integer, pii: none}\n"
)


def test_a_column_named_as_another_key_refers_to_it(land: Any, project: Load) -> None:
    land("orders/1.csv", GOOD + "A11,,1\n")
    land("customers/1.csv", "customer_id\n1\n2\n")
    definitions = project(files={"customers/defs.yaml": CUSTOMERS})
    name = "references_customer_id_customers"
    spec = specs(definitions)[name]
    assert (spec.blocking, spec.description) == (
        False,
        "Each customer_id is the customer_id of a row of silver.customers (consistency, warn)",
    )
    result = run(definitions)
    assert result.success
    check = found(result)[name]
    assert (check.passed, check.severity) == (False, WARN)
    assert check.description == "3 of 10 rows refer to no row of silver.customers"
    assert sample(check) == [
        {"order_id": "A3"},
        {"order_id": "A6"},
        {"order_id": "A9"},
    ]
    assert query(
        "SELECT checks, failed FROM atlas.quality_scores WHERE layer = 'silver' AND name = 'orders'"
        " AND dimension = 'overall' ORDER BY measured_at DESC LIMIT 1"
    ) == [(8, 1)]
    land("customers/2.csv", "customer_id\n0\n")
    assert found(run(definitions))[name].passed


@pytest.mark.parametrize(
    ("orders", "customers", "names"),
    [
        (ORDERS.replace("type: integer, pii: none", "pii: none"), CUSTOMERS, []),
        (ORDERS.replace("type: integer,", "type: integer, references: none,"), CUSTOMERS, []),
        (ORDERS.replace("customer_id, type", "buyer, references: customers, type"), CUSTOMERS, ["buyer_customers"]),
        (
            ORDERS.replace("customer_id, type", "buyer, references: customers.customer_id, type"),
            CUSTOMERS,
            ["buyer_customers"],
        ),
        (
            ORDERS.replace("amount, type: decimal", "replaces, references: orders"),
            CUSTOMERS,
            ["customer_id_customers", "replaces_orders"],
        ),
    ],
    ids=["another_type", "none", "declared", "declared_column", "itself"],
)
def test_which_columns_refer_to_what(load_files: Load, orders: str, customers: str, names: list[str]) -> None:
    definitions = load_files({"orders/defs.yaml": orders, "customers/defs.yaml": customers})
    references = [name.removeprefix("references_") for name in specs(definitions) if name.startswith("references_")]
    assert sorted(references) == names


@pytest.mark.parametrize(
    ("references", "message"),
    [
        ("custmers", "references names 'custmers', which is not a dataset: expected one of customers, orders"),
        ("customers.id", "references names 'customers.id': customers has customer_id"),
    ],
)
def test_mistakes_in_references(load_files: Load, sandbox: DefsFolderSandbox, references: str, message: str) -> None:
    orders = ORDERS.replace("customer_id, type", f"buyer, references: {references}, type")
    said = complaint(load_files, {"orders/defs.yaml": orders, "customers/defs.yaml": CUSTOMERS})
    assert said == f"{sandbox.defs_folder_path}/orders/defs.yaml:7: {message}"


def test_a_reference_to_a_table_that_is_not_there_is_a_warning_with_the_reason(land: Any, project: Load) -> None:
    land("orders/1.csv", GOOD)
    definitions = project(files={"customers/defs.yaml": CUSTOMERS})
    keys = {dg.AssetKey(["bronze", "orders"]), SILVER}
    checks = [key for key in definitions.resolve_asset_graph().asset_check_keys if key.asset_key in keys]
    result = run(definitions, assets=keys, checks=checks)
    check = found(result)["references_customer_id_customers"]
    assert (check.passed, check.severity) == (False, WARN)
    assert check.description == "silver.customers is not there: materialize it first"


# Freshness.


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("{fail_after: 26h}", "TimeWindowFreshnessPolicy"),
        ("{fail_after: 2 days, warn_after: 1d 12h}", "TimeWindowFreshnessPolicy"),
        ("{fail_after: 60 s}", "TimeWindowFreshnessPolicy"),
        ("{deadline: '0 9 * * 1-5', within: 90m, timezone: Europe/Paris}", "CronFreshnessPolicy"),
    ],
)
def test_a_freshness_section_is_a_policy_of_the_table(load_files: Load, text: str, policy: str) -> None:
    definitions = load_files(
        {
            "orders/defs.yaml": ORDERS + f"  freshness: {text}\n",
            "sums/defs.yaml": GOLD + f"  freshness: {text}\n",
            "sums/model.sql": MODEL,
        }
    )
    graph = definitions.resolve_asset_graph()
    assert {type(graph.get(key).freshness_policy).__name__ for key in (SILVER, GOLD_KEY)} == {policy}
    assert graph.get(dg.AssetKey(["bronze", "orders"])).freshness_policy is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "expected either `fail_after` or `deadline`"),
        ("{fail_after: 1h, deadline: '0 9 * * *'}", "expected either `fail_after` or `deadline`"),
        ("{fail_after: soon}", "fail_after: found 'soon', expected a duration such as 30s, 90m, 2h or 1 day"),
        (
            "{fail_after: 30s}",
            "fail_after: found '30s', expected a duration such as 30s, 90m, 2h or 1 day, at least 1 min",
        ),
        ("{fail_after: 1h, warn_after: 2h}", "warn_after must be less than fail_after"),
        ("{fail_after: 1h, within: 2h}", "`within` goes with `deadline`"),
        ("{deadline: '0 9 * *', within: 1h}", "deadline '0 9 * *': Invalid cron string"),
        ("{deadline: '0 9 * * *'}", "`deadline` needs `within`, such as 2h"),
        ("{deadline: '0 9 * * *', within: 1h, timezone: Mars}", "'Mars' is not an IANA time zone"),
        ("{deadline: '0 9 * * *', within: 40h}", "must be less than or equal to the smallest cron interval"),
        ("{deadline: '0 9 * * *', within: 1h, warn_after: 1h}", "`warn_after` goes with `fail_after`"),
    ],
)
def test_mistakes_in_freshness(load_files: Load, sandbox: DefsFolderSandbox, text: str, message: str) -> None:
    said = complaint(load_files, {"orders/defs.yaml": ORDERS + f"  freshness: {text}\n"})
    assert said.startswith(f"{sandbox.defs_folder_path}/orders/defs.yaml:9: freshness: ")
    assert message in said
