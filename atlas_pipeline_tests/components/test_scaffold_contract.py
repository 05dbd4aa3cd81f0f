"""The contract that a scaffold writes: what is in it, that it holds on its own data, and what bad data it catches."""

import datetime as dt
import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
import yaml
from dagster.components.component_scaffolding import scaffold_object
from dagster.components.testing import create_defs_folder_sandbox
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg import sql

from atlas_pipeline.components.scaffold.contract import contract, count_checks
from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.infer import Inference, guess_latest_by, infer
from atlas_pipeline.ingest.planning import decided
from atlas_pipeline.ingest.readers import read
from atlas_pipeline.ingest.readers.columns import name_fault
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.pii.plan import ColumnProfile
from atlas_pipeline.quality.contract import read_contract
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.quality.verification import verify
from atlas_pipeline_tests import projects

DATASET = "atlas_pipeline.components.Dataset"
NOW = dt.datetime(2024, 6, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)

Table = dict[str, list[Any]]


_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false")


def jsonl(table: Table) -> bytes:
    """JSON Lines, in which the columns whose values all are numbers or booleans have them as such."""
    plain = {name: all(v is None or _NUMBER.fullmatch(v) for v in values) for name, values in table.items()}
    columns = [
        [
            json.dumps(name) + ":" + (value if plain[name] and value is not None else json.dumps(value))
            for value in values
        ]
        for name, values in table.items()
    ]
    return "".join("{" + ",".join(row) + "}\n" for row in zip(*columns, strict=True)).encode()


def written(
    table: Table, key: Sequence[str] | None = None, *, complete: bool = True, personal: dict[str, str] | None = None
) -> dict[str, Any]:
    """The contract of a table, read back: its `checks`, and of each column its type and checks by kind."""
    from io import BytesIO

    guess: Inference = infer(read(BytesIO(jsonl(table)), "a.jsonl"))
    columns = tuple(Column(c.name, c.type, c.format, action=None, null_values=c.null_values) for c in guess.columns)
    keys = tuple(key) if key is not None else (guess.key,) if guess.key else ()
    dataset = Dataset("orders", FileSource("a"), columns, keys, guess_latest_by(guess.columns) if keys else None)
    profiles = {name: ColumnProfile(name, "typed", kind) for name, kind in (personal or {}).items()}
    dataset = dataset.planned(decided(dataset, profiles))
    document = yaml.safe_load(contract(dataset, guess, complete=complete, now=NOW))
    assert document["dataset"] == "atlas/atlas/silver/orders"
    columns_found = {
        one["name"]: {"type": one["data_type"]}
        | {kind: body or {} for c in one.get("checks", []) for kind, body in c.items()}
        for one in document.get("columns", [])
    }
    return {"checks": {kind: body for check in document["checks"] for kind, body in check.items()}} | columns_found


def level(check: dict[str, Any]) -> str:
    return check.get("threshold", {}).get("level", "fail")


def orders(rows: int = 60) -> Table:
    return {
        "order_id": [str(n) for n in range(1, rows + 1)],
        "customer_id": [str(n % 7) for n in range(rows)],
        "status": ["new", "paid", "sent"] * (rows // 3),
        "price": [f"{n}.50" for n in range(rows)],
        "sku": [f"SKU-{n:04}" for n in range(rows)],
        "ordered_on": [str(dt.date(2024, 3, 1) + dt.timedelta(days=n)) for n in range(rows)],
        "updated_at": [f"2024-05-{n % 30 + 1:02}T10:00:00Z" for n in range(rows)],
        "email": [f"person{n}@example.org" for n in range(rows)],
        "note": [None, "x", "yy"] * (rows // 3),
    }


def test_an_ordinary_table() -> None:
    found = written(orders(), personal={"email": "EMAIL_ADDRESS"})
    assert list(found["checks"]) == ["schema", "row_count", "freshness"]
    assert found["checks"]["schema"] == {"allow_extra_columns": True, "allow_other_column_order": True}
    freshness = found["checks"]["freshness"]
    assert (freshness["column"], freshness["name"]) == ("updated_at", "The newest updated_at is at most 5 days old")
    assert freshness["threshold"] == {"unit": "day", "must_be_less_than_or_equal": 5, "level": "warn"}
    assert found["order_id"] == {"type": "bigint", "missing": {}, "duplicate": {}}
    assert found["customer_id"] == {"type": "bigint", "missing": {}}  # no quantity
    assert found["status"]["invalid"]["valid_values"] == ["new", "paid", "sent"]
    assert found["price"]["type"] == "numeric"
    assert found["price"]["invalid"] == {
        "name": "price is 0 or more",
        "valid_min": 0,
        "threshold": {"must_be": 0, "level": "warn"},
    }
    nobody = {name: values for name, values in orders().items() if name != "email"}
    assert "invalid" not in found["sku"]
    assert written(nobody)["sku"]["invalid"]["valid_length"] == 8
    assert found["ordered_on"]["failed_rows"]["expression"] == (
        '"ordered_on" < \'1990-01-01\' OR "ordered_on" > current_date + 1'
    )
    assert found["updated_at"]["type"] == "timestamp with time zone"
    assert found["email"] == {"type": "text"}
    assert found["note"] == {"type": "text"}
    assert {level(check) for name in ("status", "price") for check in [found[name]["invalid"]]} == {"warn"}


def test_of_a_sample_only_the_key_must_be_there() -> None:
    found = written(orders(), complete=False)
    assert level(found["order_id"]["missing"]) == "fail"
    assert level(found["price"]["missing"]) == "warn"
    assert level(found["customer_id"]["missing"]) == "warn"


def test_several_key_columns_are_unique_together() -> None:
    found = written({"a": ["1", "1"], "b": ["x", "y"]}, key=["a", "b"])
    assert found["checks"]["duplicate"] == {"name": "a, b are unique together", "columns": ["a", "b"]}
    assert "duplicate" not in found["a"]
    assert "duplicate" not in written({"a": ["1"], 'b"': ["x"]}, key=["a", 'b"'])["checks"]


@pytest.mark.parametrize(
    ("name", "values", "bounds"),
    [
        ("price", ["0", "3"], (0, None)),
        ("price", ["-1", "5"], (None, None)),
        ("price", ["1e300", "2.5e7"], (0, None)),
        ("amount", ["1", "6"], (None, None)),  # a refund may come
        ("balance", ["120.5", "80"], (None, None)),
        ("temperature", ["20", "21"], (None, None)),
        ("quantity", ["1", "9"], (0, None)),
        ("flow_id", ["1", "9"], (None, None)),
        ("share", ["0.2", "0.9"], (0, 1)),
        ("discount_pct", ["20", "60"], (0, 100)),
        ("percent", ["20", "160"], (0, None)),
        ("spercenty", ["20", "60"], (0, None)),
        ("lat", ["48.1", "-33.9"], (-90, 90)),
        ("lon", ["16.4", "151.2"], (-180, 180)),
        ("year", ["2019", "2024"], (1900, 2100)),
        ("birth_year", ["1964", "2001"], (1900, 2100)),
        ("year", ["1", "40"], (0, None)),
        ("month", ["1", "12"], (1, 12)),
        ("hour", ["0", "23"], (0, 24)),
        ("ph", ["6.8", "7.4"], (0, 14)),
    ],
)
def test_ranges_are_what_a_name_means(name: str, values: list[str], bounds: tuple[int | None, int | None]) -> None:
    check = written({"x": ["a"] * 60, name: values * 30})[name].get("invalid", {})
    assert (check.get("valid_min"), check.get("valid_max")) == bounds


def test_few_rows_tell_little() -> None:
    found = written(
        {"id": ["1", "2"], "price": ["3", "4"], "balance": ["-1", "2"], "code": ["AB", "CD"], "x": ["1", "2"]}
    )
    assert found["price"]["invalid"]["name"] == "price is 0 or more"
    assert [list(found[name]) for name in ("balance", "code", "x")] == [["type"], ["type", "missing"], ["type"]]


@pytest.mark.parametrize(
    ("name", "values", "listed"),
    [
        ("status", ["new", "paid"], True),
        ("currency", ["EUR", "SEK"], True),
        ("x", ["Y", "N"], True),
        ("x", ["yellow", "red"], False),
        ("town", ["Lund", "Ystad"], False),
        ("sensor", ["S1", "S2"], False),
        ("product_name", ["Tea", "Cup"], False),
        ("status", ["new"], False),
    ],
)
def test_lists_of_values_are_of_what_is_closed(name: str, values: list[str], listed: bool) -> None:
    found = written({"n": ["1"] * 60, name: values * (60 // len(values))})[name]
    assert ("valid_values" in found.get("invalid", {})) is listed


def test_a_value_that_is_there_once_is_no_sign_of_a_list() -> None:
    assert "invalid" not in written({"n": ["1"] * 60, "status": ["new"] * 59 + ["lost"]})["status"]


def test_in_a_table_of_persons_a_rare_value_is_not_listed() -> None:
    states = ["single", "married"] * 28 + ["widowed"] * 4
    table: Table = {"email": [f"person{n}@example.org" for n in range(60)], "status": list(states)}
    assert "valid_values" in written({"n": ["1"] * 60, "status": list(states)})["status"]["invalid"]
    assert "invalid" not in written(table, personal={"email": "EMAIL_ADDRESS"})["status"]


@pytest.mark.parametrize(("key", "personal"), [("email", {"email": "EMAIL_ADDRESS"}), ("patient_id", {})])
def test_in_a_table_of_persons_no_length_and_no_bound_of_a_sample_is_told(key: str, personal: dict[str, str]) -> None:
    table: Table = {
        key: [f"p{n}@example.org" for n in range(60)],
        "badge_code": [f"A{n:05}" for n in range(60)],
        "height_cm": [str(150 + n) for n in range(60)],
    }
    found = written(table, [key], personal=personal)
    assert "valid_length" in written({"n": ["1"] * 60} | {"badge_code": table["badge_code"]})["badge_code"]["invalid"]
    assert "invalid" not in found["badge_code"]
    assert set(found["height_cm"].get("invalid", {})) <= {"name", "valid_min", "threshold"}
    assert found["height_cm"].get("invalid", {}).get("valid_min", 0) == 0


@pytest.mark.parametrize(
    ("codes", "length"),
    [
        ([f"SKU-{n:04}" for n in range(60)], 8),
        ([f"SKU-{n}" for n in range(100, 160)], None),  # one day 1000
        ([str(n) for n in range(100, 160)], None),
        ([f"{n:05}" for n in range(60)], 5),
        ([f"{n:032x}" for n in range(60)], 32),
        ([f"{chr(97 + n % 26)}{chr(97 + n // 26)}c" for n in range(60)], None),  # words of three letters
    ],
)
def test_lengths_are_of_codes(codes: list[str], length: int | None) -> None:
    assert written({"n": ["1"] * 60, "sku": codes})["sku"].get("invalid", {}).get("valid_length") == length


def test_what_comes_last_is_not_before_what_comes_first() -> None:
    days = [str(dt.date(2024, 3, 1) + n * DAY) for n in range(20)]
    found = written({"valid_from": days, "valid_to": days[1:] + days[-1:]})["valid_to"]
    assert found["failed_rows"]["expression"] == '"valid_to" < "valid_from"'
    assert (
        written({"start_date": days, "end_date": days[:1] * 20})["end_date"].get("failed_rows", {}).get("qualifier")
        is None
    )


@pytest.mark.parametrize(
    ("moments", "expression"),
    [
        (["2024-01-01", "2024-06-01"], '"d" < \'1900-01-01\' OR "d" > current_date + 1'),
        ([f"2024-05-2{n}" for n in range(8)], '"d" < \'1990-01-01\' OR "d" > current_date + 1'),
        (["2024-01-01", "2024-06-02"], "\"d\" < '1900-01-01'"),
        (["1905-01-01", "2024-06-01"], '"d" < \'1900-01-01\' OR "d" > current_date + 1'),
        (["0001-01-01", "2024-06-01"], '"d" > current_date + 1'),
        (["0001-01-01", "9999-12-31"], None),
        (
            ["1990-01-02T00:00:00Z", "2024-06-01T11:00:00Z"],
            "\"d\" < '1900-01-01' OR \"d\" > now() + interval '1 day'",
        ),
        (["2024-01-01T00:00:00Z", "9999-12-31T23:59:59-05:00"], "\"d\" < '1900-01-01'"),
    ],
)
def test_moments_are_neither_early_nor_late(moments: list[str], expression: str | None) -> None:
    assert written({"d": moments})["d"].get("failed_rows", {}).get("expression") == expression


def daily(until: str, days: int = 10, every: int = 1) -> list[str]:
    last = dt.date.fromisoformat(until)
    return [str(last - n * every * DAY) for n in range(days)]


@pytest.mark.parametrize(
    ("table", "column", "days"),
    [
        ({"d": daily("2024-06-01")}, "d", 3),
        ({"d": daily("2024-05-27")}, "d", 8),
        ({"d": daily("2024-05-01")}, None, None),  # it has ended
        ({"d": daily("1998-08-01")}, None, None),
        ({"d": daily("2024-06-01", every=7)}, "d", 10),
        ({"d": daily("2024-05-31", every=30)}, "d", 39),
        ({"d": daily("2024-06-01", every=11)}, None, None),  # no rhythm
        ({"d": daily("2024-06-01", 4)}, None, None),  # too few to tell
        ({"d": daily("2024-06-02")}, "d", 3),
        ({"d": daily("2024-06-03")}, None, None),
        ({"due_on": daily("2024-06-01")}, None, None),  # may lie ahead
        ({"d": daily("2024-06-01"), "t": [f"{day}T10:00Z" for day in daily("2024-06-01")]}, "t", 3),
        ({"a": ["x"]}, None, None),
    ],
)
def test_freshness_is_of_a_feed_that_goes_on(table: Table, column: str | None, days: int | None) -> None:
    check = written(table)["checks"].get("freshness", {"column": None, "threshold": {}})
    assert (check["column"], check["threshold"].get("must_be_less_than_or_equal")) == (column, days)


def test_freshness_is_of_rows_that_stay() -> None:
    moments = [f"{day}T12:00Z" for day in daily("2024-05-31")]
    table = {"id": ["1", "1"] * 5, "t": moments, "updated_at": moments}
    assert written(table, key=["id"])["checks"]["freshness"]["column"] == "updated_at"
    assert written(table, key=["id", "t"])["checks"]["freshness"]["column"] in ("t", "updated_at")
    table["id"][1] = None
    assert "freshness" not in written(table, key=["id"])["checks"]


def test_a_personal_column_shows_no_value() -> None:
    table = orders() | {"born": ["1985-01-31"] * 60, "age": ["31"] * 60, "town": ["Gotham"] * 60}
    warned = {"missing": {"threshold": {"must_be": 0, "level": "warn"}}}
    found = written(table, personal={"born": "DATE_OF_BIRTH", "age": "AGE", "town": "CITY", "updated_at": "DATE_TIME"})
    assert [found[name] for name in ("born", "age", "town")] == [
        {"type": "text"} | warned,
        warned | {"type": "text"},
        {"type": "text"} | warned,
    ]
    assert found["updated_at"] == {"type": "timestamp with time zone"} | warned  # kept, to order rows
    assert "freshness" not in found["checks"]


def test_counting() -> None:
    text = "dataset: a\nchecks:\n  - row_count:\n  - freshness: {threshold: {level: warn}}\n"
    assert count_checks(text + "columns: []\n") == (2, 1)
    assert count_checks(text + "columns:\n  - name: a\n  - {name: b, checks: [{missing: }]}\n") == (3, 1)


# On a real Postgres.

_names = itertools.count()


def load(home: Path, tables: Sequence[Table], keys: Sequence[str | None] | None = None) -> list[tuple[str, Path]]:
    """Scaffold and materialize tables; every asset check has passed. Names, and the contracts in the home folder."""
    done = []
    with create_defs_folder_sandbox() as sandbox:
        for table, key in zip(tables, keys or [None] * len(tables), strict=True):
            name = f"t{next(_names)}"
            source = home / "landing" / name / "a.jsonl"
            source.parent.mkdir(parents=True)
            source.write_bytes(jsonl(table))
            folder = sandbox.defs_folder_path / name
            params = {"source": f"{name}/*.jsonl"} | ({"key": key} if key else {})
            scaffold_object(folder, DATASET, json.dumps(params), "yaml", sandbox.project_root)
            text = (folder / "contract.yml").read_text(encoding="utf-8")
            assert soda_errors(text) == ""
            (home / f"{name}.yml").write_text(text, encoding="utf-8")
            done.append((name, home / f"{name}.yml"))
        job = projects.load(sandbox).resolve_implicit_global_asset_job_def()
        with dg.DagsterInstance.ephemeral() as instance:
            result = job.execute_in_process(instance=instance)
    evaluations = result.get_asset_check_evaluations()
    assert [(one.check_name, one.description) for one in evaluations if not one.passed] == []
    assert len(evaluations) >= sum(count_checks(path.read_text(encoding="utf-8"))[0] for _, path in done)
    return done


def soda_errors(text: str) -> str:
    """What Soda's own parser says of a contract."""
    from soda_core.common.yaml import ContractYamlSource
    from soda_core.contracts.contract_verification import ContractVerificationSession

    session = ContractVerificationSession.execute(
        contract_yaml_sources=[ContractYamlSource.from_str(text)], only_validate_without_execute=True
    )
    return session.get_errors_str() or ""


def not_passed(outcomes: list[Outcome]) -> list[tuple[str, str, str]]:
    return sorted((one.check.path, one.severity, one.status) for one in outcomes if not one.passed)


@pytest.mark.slow
def test_it_holds_however_old_or_new_the_data_is(atlas_env: Path, warehouse_url: str) -> None:
    now = dt.datetime.now(dt.UTC)
    moments = [now, now - DAY, now - 90 * DAY, now + DAY, now + 400 * DAY, dt.datetime(1870, 1, 1), dt.datetime.max]
    tables: list[Table] = [orders()]
    for moment in moments:
        tables.append({"id": ["1"], "updated_at": [moment.isoformat()], "n": ["-1"]})
        tables.append({"id": ["1", "2"], "seen": [str(moment.date()), None], "n": ["-1", "2"]})
    dirty = orders(600)
    dirty["price"][0], dirty["updated_at"][0] = "oops", now.isoformat()  # the newest row goes to quarantine
    keys = [None] * (len(tables) + 1) + ["customer_id", "customer_id,status"]
    for name, path in load(atlas_env, [*tables, dirty, orders(), orders()], keys):
        assert not_passed(verify(read_contract(path), warehouse_url, "silver", name)) == []


@pytest.mark.slow
def test_bad_data_is_caught(atlas_env: Path, warehouse_url: str, warehouse: psycopg.Connection) -> None:
    now = dt.datetime.now(dt.UTC)
    table = {name: values for name, values in orders().items() if name != "email"}
    table["updated_at"] = [(now - n * DAY / 60).isoformat() for n in range(60)]
    table["ordered_on"] = [str((now - n * DAY).date()) for n in range(60)]
    ((name, path),) = load(atlas_env, [table])
    bad = {
        "UPDATE {} SET price = -1 WHERE order_id = 1": [("columns.price.checks.invalid", "warn", "warned")],
        "UPDATE {} SET status = 'lost' WHERE order_id = 1": [("columns.status.checks.invalid", "warn", "warned")],
        "UPDATE {} SET sku = 'SKU-1' WHERE order_id = 1": [("columns.sku.checks.invalid", "warn", "warned")],
        "UPDATE {} SET customer_id = NULL WHERE order_id = 1": [
            ("columns.customer_id.checks.missing", "error", "failed")
        ],
        "UPDATE {} SET order_id = 2 WHERE order_id = 1": [("columns.order_id.checks.duplicate", "error", "failed")],
        "UPDATE {} SET ordered_on = '1970-01-01' WHERE order_id = 1": [
            ("columns.ordered_on.checks.failed_rows", "warn", "warned")
        ],
        "UPDATE {} SET updated_at = now() + interval '2 days' WHERE order_id = 1": [
            ("columns.updated_at.checks.failed_rows", "warn", "warned")
        ],
        "UPDATE {} SET ordered_on = ordered_on - 9": [("checks.freshness", "warn", "warned")],
        "ALTER TABLE {} ALTER price TYPE text": [
            ("checks.schema", "error", "failed"),
            ("columns.price.checks.invalid", "error", "not evaluated"),
        ],
        "ALTER TABLE {} RENAME note TO notes": [("checks.schema", "error", "failed")],
    }
    for number, (statement, expected) in enumerate(bad.items()):
        place = sql.Identifier("staging", f"bad{number}")
        silver = sql.Identifier("silver", name)
        warehouse.execute(sql.SQL("CREATE TABLE {} AS SELECT * FROM {}").format(place, silver))
        warehouse.execute(sql.SQL(statement).format(place))
        warehouse.commit()
        outcomes = verify(read_contract(path), warehouse_url, "staging", f"bad{number}")
        if "TYPE text" not in statement:
            assert not_passed(outcomes) == expected
        else:
            assert ("checks.schema", "error", "failed") in not_passed(outcomes)


_rows = 55


def repeated(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Few values or many, some missing, over all rows."""
    some = st.lists(st.none() | values, min_size=1, max_size=_rows) | st.lists(values, min_size=1, max_size=4)
    return some.map(lambda found: list(itertools.islice(itertools.cycle(found), _rows)))


letters = st.characters(codec="utf-8", exclude_characters="\0")
integers = st.integers(-(10**20), 10**20) | st.integers(-5, 100)
kinds = {
    "integers": integers.map(str),
    "decimals": st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    "floats": st.floats(allow_nan=False, allow_infinity=False).map(repr),
    "dates": st.dates().map(str),
    "moments": st.datetimes(timezones=st.just(dt.UTC)).map(dt.datetime.isoformat),
    "booleans": st.sampled_from(["true", "false"]),
    "words": st.sampled_from(["new", "it's", 'a "b"', "null", "NA", "1e3", "~", "ü", "a: b", "- x", "#", ""]),
    "codes": st.text(letters, min_size=3, max_size=3),
    "texts": st.text(letters, max_size=20),
    "times": st.times().map(dt.time.isoformat),
    "uuids": st.uuids().map(str),
    "json": st.dictionaries(st.text("ab"), integers).map(json.dumps),
}
names = st.text(letters, min_size=1, max_size=12) | st.sampled_from(
    ["a b", 'quo"te', "${x}", "it's", "end", "Größe", "a,b"]
)
names = names.filter(lambda name: not name_fault(name) and not any(mark in name for mark in ("{{", "{%", "{#")))
mixed = repeated(st.one_of(*kinds.values()))
columns = st.one_of(mixed, *map(repeated, kinds.values()))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    table: Table = {"id": [str(n) for n in range(_rows)]} if draw(st.booleans()) else {}
    for name in draw(st.lists(names, min_size=1, max_size=6, unique=True)):
        table[name] = draw(columns)
    return table


@pytest.mark.slow
@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(st.lists(tables(), min_size=1, max_size=4))
@example([{"a\x85b": ["x"], "c\u2028d": ["y"], "\x85e": ["z"]}])
def test_it_holds_on_any_data(atlas_env: Path, warehouse_url: str, found: list[Table]) -> None:
    for name, path in load(atlas_env, found):
        assert not_passed(verify(read_contract(path), warehouse_url, "silver", name)) == []
