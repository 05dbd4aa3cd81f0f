"""Personal data through the pipeline: found without a word in YAML, treated, kept out of gold; drift blocks."""

import json
import random
import re
from collections.abc import Iterable
from typing import Any

import dagster as dg
import psycopg
import pytest
from stdnum.br import cpf

from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.bootstrap import ANALYST
from atlas_pipeline.warehouse.connect import OWNER
from atlas_pipeline_tests.projects import Load

pytestmark = pytest.mark.slow

DATASET = "type: atlas_pipeline.components.Dataset\nattributes:\n"
GOLD = "type: atlas_pipeline.components.GoldModel\nattributes:\n"
PEOPLE = DATASET + "  source: people/*.csv\n  key: id\n  columns:\n"
COLUMNS = ("{name: id, type: integer}", "{name: full_name}", "{name: email}", "{name: phone}", "{name: segment}")
COLUMNS += ("{name: notes}", "{name: spent, type: decimal}")
HEADER = "id,full_name,email,phone,segment,notes,spent\n"
GIVEN = ("Anna", "Peter", "Maria", "Thomas", "Laura", "David", "Julia", "Robert", "Emma", "Daniel")
FAMILY = ("Kowalska", "Schmidt", "Garcia", "Miller", "Rossi", "Johnson", "Novak", "Martin", "Jensen", "Brown")
NOTE = "the parcel came late and the box was open, please send a new one to me soon"


def people(start: int, count: int, segment: str = "retail", notes: str = NOTE) -> str:
    """Rows of people who are told apart by a number."""
    lines = []
    for n in range(start, start + count):
        given, family = GIVEN[n % 10], FAMILY[n // 10 % 10]
        email = f"{given}.{family}{n}@mail.example".lower()
        phone = f"+49 30 {5550000 + n}"
        lines.append(f'{n},{given} {family},{email},{phone},{segment},"{notes}",{n}.50')
    return "\n".join(lines) + "\n"


@pytest.fixture
def load(load_files: Load) -> Load:
    """Load a project of the dataset `people` with these columns, further attributes, and further files."""

    def run(columns: Iterable[str] = COLUMNS, attributes: str = "", files: dict[str, str] | None = None) -> Any:
        listed = "".join(f"    - {column}\n" for column in columns)
        return load_files({"datasets/people/defs.yaml": PEOPLE + listed + attributes} | (files or {}))

    return run


def run(definitions: dg.Definitions) -> dg.ExecuteInProcessResult:
    return definitions.resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)


def query(statement: str, url: str | None = None) -> list[tuple]:
    settings = load_settings()
    assert settings.database_url
    with psycopg.connect(url or settings.database_url.get_secret_value()) as connection:
        return connection.execute(statement).fetchall()


def plans(result: dg.ExecuteInProcessResult, step: str = "silver__people") -> dict[str, dict[str, Any]]:
    (made,) = result.asset_materializations_for_node(step)
    return {record.data["column"]: dict(record.data) for record in made.metadata["personal-data plan"].records}


def leak_checks(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    found = result.get_asset_check_evaluations()
    return {check.asset_key.to_user_string(): check for check in found if check.check_name == "leak_check"}


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.get_step_failure_events()
    error = event.step_failure_data.error
    assert error is not None
    return f"{event.step_failure_data.user_failure_data} {error.to_string()}"


def test_undeclared_columns_are_found_shown_and_protected(land: Any, load: Load) -> None:
    land("people/1.csv", HEADER + people(0, 200))
    result = run(load())
    assert result.success
    found = plans(result)
    assert {name: (one["class"], one["entity"], one["action"]) for name, one in found.items()} == {
        "id": ("clean", "", "keep"),
        "full_name": ("typed", "PERSON", "redact"),
        "email": ("typed", "EMAIL_ADDRESS", "hash"),
        "phone": ("typed", "PHONE_NUMBER", "mask"),
        "segment": ("clean", "", "keep"),
        "notes": ("free_text", "FREE_TEXT", "redact"),
        "spent": ("clean", "", "keep"),
    }
    evidence = json.loads(found["email"]["evidence"])
    assert found["email"]["confidence"] > 0.9
    assert evidence["rows"] == 200
    assert all(isinstance(count, int) for count in evidence.values())
    (made,) = result.asset_materializations_for_node("silver__people")
    tags = {column.name: column.tags for column in made.metadata["dagster/column_schema"].schema.columns}
    assert tags["email"] == {"pii": "EMAIL_ADDRESS", "action": "hash"}
    assert tags["segment"] == {}
    preview = made.metadata["preview"].value
    assert "retail" in preview
    assert NOTE[:20] not in preview
    name, email, phone, notes = query("SELECT full_name, email, phone, notes FROM silver.people")[0]
    assert (name, notes) == ("<PERSON>", NOTE)
    assert len(email) == 64
    assert phone.startswith("*****")
    assert phone[-4:].isdigit()
    assert leak_checks(result)["silver/people"].passed
    assert leak_checks(result)["silver/people"].metadata["rows swept"].value == 200


def test_one_email_in_500_notes_is_cut_out_and_the_column_stays_text(land: Any, load: Load) -> None:
    told = "please answer to anna.kowalska@mail.example, thank you so much for the help"
    land("people/1.csv", HEADER + people(0, 250) + people(250, 1, notes=told) + people(251, 249))
    result = run(load())
    assert result.success
    assert plans(result)["notes"]["class"] == "free_text"
    told = dict(query("SELECT notes, count(*) FROM silver.people GROUP BY 1"))
    assert told == {NOTE: 499, "please answer to <EMAIL_ADDRESS>, thank you so much for the help": 1}


def test_a_rare_email_that_no_sample_shows_is_found_by_the_sweep(land: Any, load: Load) -> None:
    rows = people(0, 45_000) + people(45_000, 1, segment="retail (boss@mail.example)") + people(45_001, 15_000)
    land("people/1.csv", HEADER + rows)
    result = run(load())
    assert result.success
    plan = plans(result)["segment"]
    assert (plan["class"], plan["action"]) == ("free_text", "redact")
    assert query("SELECT DISTINCT segment FROM silver.people ORDER BY 1") == [
        ("retail",),
        ("retail (<EMAIL_ADDRESS>)",),
    ]


@pytest.mark.parametrize("segment", ["anna@mail.example", "ask anna@mail.example"])
def test_a_few_rows_with_emails_in_a_clean_column_keep_no_others_back(land: Any, load: Load, segment: str) -> None:
    land("people/1.csv", HEADER + people(0, 100))
    definitions = load()
    assert run(definitions).success
    for number, rows in enumerate((people(200, 1, segment=segment), people(300, 5)), 2):
        land(f"people/{number}.csv", HEADER + rows)
        result = run(definitions)
        assert result.success
        assert leak_checks(result)["silver/people"].passed
        (fit,) = [check for check in result.get_asset_check_evaluations() if check.check_name == "rows_fit"]
        assert (fit.passed, fit.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert "personal_data" in f"{fit.description} {fit.metadata}"
        assert "anna@" not in f"{fit.description} {fit.metadata}"
    assert query("SELECT count(*), count(DISTINCT segment) FROM silver.people") == [(105, 1)]
    ((rule, columns, reason),) = query("SELECT rule, columns, reason FROM quarantine.people")
    assert (rule, columns) == ("personal_data", ["segment"])
    assert "declare its `pii`" in reason
    assert "anna@" not in reason
    # Declaring it is the way on.
    columns = [column.replace("name: segment", "name: segment, pii: EMAIL_ADDRESS") for column in COLUMNS]
    assert run(load(columns)).success
    assert query("SELECT count(*) FROM silver.people") == [(106,)]
    assert query("SELECT count(*) FROM quarantine.people") == [(0,)]
    assert query("SELECT count(*) FROM silver.people WHERE segment LIKE '%@%'") == [(0,)]


@pytest.mark.parametrize(
    ("segment", "count"), [("anna@mail.example", 30), ("ask anna@mail.example", 12)], ids=["all_new_rows", "many"]
)
def test_a_clean_column_that_now_holds_emails_blocks_publishing(
    land: Any, load: Load, segment: str, count: int
) -> None:
    land("people/1.csv", HEADER + people(0, 100))
    definitions = load()
    assert run(definitions).success
    land("people/2.csv", HEADER + people(200, count, segment=segment))
    result = run(definitions)
    assert not result.success
    check = leak_checks(result)["silver/people"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.ERROR
    said = failure(result)
    assert "'segment'" in said
    assert "EMAIL_ADDRESS" in said
    assert str(count) in check.description
    assert "anna@" not in said + check.description
    assert query("SELECT count(*), count(DISTINCT segment) FROM silver.people") == [(100, 1)]
    # Declaring it is the way on.
    columns = [column.replace("name: segment", "name: segment, pii: EMAIL_ADDRESS") for column in COLUMNS]
    assert run(load(columns)).success
    assert query("SELECT count(*) FROM silver.people WHERE segment LIKE '%@%'") == [(0,)]
    columns = [column.replace("name: segment", "name: segment, pii: none") for column in COLUMNS]
    assert run(load(columns)).success
    assert query("SELECT count(*) FROM silver.people WHERE segment LIKE '%@%'") == [(count,)]


def numbered(rows: str) -> str:
    """The rows with a Brazilian CPF each in place of the segment."""
    rng = random.Random(rows)
    values = (number for number in iter(lambda: f"{rng.randrange(10**11):011}", "") if cpf.is_valid(number))
    return re.sub(",CPF,", lambda _: f",{next(values)},", rows)


def test_a_plan_stays_where_the_recognisers_know_more_than_they_did(land: Any, load: Load) -> None:
    """The published rows look just as the new ones do: nothing has changed but what is known of them."""
    land("people/1.csv", HEADER + numbered(people(0, 100, segment="CPF")))
    definitions = load()
    assert plans(run(definitions))["segment"]["action"] == "redact"
    change = (
        "UPDATE atlas.column_plans SET class = 'clean', entity = NULL, action = 'keep', recognisers = 1"
        " WHERE column_name = 'segment'"
    )
    query(f"{change} RETURNING 1")
    land("people/2.csv", HEADER + numbered(people(200, 50, segment="CPF")))
    result = run(definitions)
    assert result.success
    assert plans(result)["segment"]["action"] == "keep"


def test_a_column_without_values_is_not_decided_yet(land: Any, load: Load) -> None:
    definitions = load()
    empty = run(definitions)
    assert empty.success
    assert plans(empty)["email"]["confidence"] == 0
    land("people/1.csv", HEADER + people(0, 30, segment=""))
    assert run(definitions).success
    land("people/2.csv", HEADER + people(30, 30, segment="boss@mail.example"))
    result = run(definitions)
    assert result.success
    assert plans(result)["segment"]["entity"] == "EMAIL_ADDRESS"
    assert query(
        "SELECT count(*), count(*) FILTER (WHERE email LIKE '%@%' OR segment LIKE '%@%') FROM silver.people"
    ) == [(60, 0)]


def test_a_changed_file_of_recognisers_builds_anew(land: Any, load: Load) -> None:
    own = "recognizers:\n  - name: x\n    supported_entity: BADGE\n    supported_language: en\n    patterns:\n"
    land(
        "people/1.csv",
        HEADER + people(0, 30, notes="the badge B-1234 or C-1234 was found at the door, says the porter"),
    )
    for letter in "BC":
        files = {"datasets/people/own.yaml": own + f"      - {{name: x, regex: '{letter}-\\d{{4}}', score: 0.9}}\n"}
        assert run(load(attributes="  pii: {recognizers: own.yaml}\n", files=files)).success
        (notes,) = query("SELECT DISTINCT notes FROM silver.people")
        assert f"{letter}-1234" not in notes[0]
        assert "<BADGE>" in notes[0]


def test_what_was_decided_stays_decided(land: Any, load: Load) -> None:
    land("people/1.csv", HEADER + people(0, 50))
    definitions = load()
    first = run(definitions)
    before = query("SELECT * FROM silver.people ORDER BY id")
    land("people/2.csv", HEADER + people(50, 50).replace("@mail.example", ""))
    second = run(definitions)
    assert second.success
    assert plans(first)["email"] == plans(second)["email"]
    after = query("SELECT * FROM silver.people ORDER BY id")
    assert after[:50] == before
    assert all(len(row[2]) == 64 for row in after)


def test_hashes_join_across_tables_and_runs(land: Any, load: Load) -> None:
    other = DATASET + "  source: visits/*.csv\n  columns:\n    - {name: visitor_email}\n    - {name: page}\n"
    land("people/1.csv", HEADER + people(0, 60))
    emails = [line.split(",")[2] for line in people(0, 60).splitlines()]
    land("visits/1.csv", "visitor_email,page\n" + "".join(f"{email.upper()},home\n" for email in emails))
    assert run(load(files={"datasets/visits/defs.yaml": other})).success
    joined = "SELECT count(*) FROM silver.people p JOIN silver.visits v ON v.visitor_email = p.email"
    assert query(joined) == [(60,)]


def test_a_policy_by_kind_and_an_allow_list(land: Any, load: Load) -> None:
    shop = "write to help@shop.example for this, they answer on the same day as a rule"
    land("people/1.csv", HEADER + people(0, 50, notes=shop))
    policy = "  pii: {actions: {EMAIL_ADDRESS: encrypt, PHONE_NUMBER: drop}, allow: [help@shop.example]}\n"
    result = run(load(attributes=policy))
    assert result.success, failure(result)
    columns = [name for (name,) in query("SELECT attname FROM pg_attribute WHERE attrelid = 'silver.people'::regclass")]
    assert "phone" not in columns
    assert query("SELECT DISTINCT left(email, 4), notes FROM silver.people") == [("enc:", shop)]


def test_a_recogniser_of_ones_own_beside_the_declaration(land: Any, load: Load) -> None:
    card = "my card is LC-00012345, please add the points for the parcel to it"
    land("people/1.csv", HEADER + people(0, 50, segment="LC-00012345", notes=card))
    own = {
        "datasets/people/own.yaml": "recognizers:\n  - name: Loyalty card\n    supported_entity: LOYALTY_CARD\n"
        "    supported_language: en\n    patterns:\n      - {name: card, regex: 'LC-\\d{8}', score: 0.9}\n"
    }
    result = run(load(attributes="  pii: {recognizers: own.yaml, actions: {LOYALTY_CARD: mask}}\n", files=own))
    assert result.success, failure(result)
    assert plans(result)["segment"]["entity"] == "LOYALTY_CARD"
    assert query("SELECT DISTINCT segment, notes FROM silver.people") == [
        ("*******2345", card.replace("LC-00012345", "<LOYALTY_CARD>"))
    ]


KEPT = (*COLUMNS[:2], "{name: email, pii: EMAIL_ADDRESS, action: keep}", *COLUMNS[3:])


def test_a_kept_column_reaches_gold_only_where_a_model_allows_it(land: Any, load: Load) -> None:
    land("people/1.csv", HEADER + people(0, 40))
    model = {"gold/contacts/model.sql": "SELECT id, lower(email) AS contact, phone FROM silver.people"}
    second = {
        "gold/addresses/model.sql": "SELECT contact AS address FROM gold.contacts",
        "gold/addresses/defs.yaml": GOLD + "  description: Where to write to.\n",
    }
    closed = run(load(KEPT, files=model | {"gold/contacts/defs.yaml": GOLD + "  description: Who they are.\n"}))
    assert not closed.success
    check = leak_checks(closed)["gold/contacts"]
    assert not check.passed
    assert check.metadata["unmasked by lineage"].data == ["contact"]
    assert "allow_personal_data" in failure(closed)
    assert query("SELECT to_regclass('gold.contacts')") == [(None,)]
    allowed = {"gold/contacts/defs.yaml": GOLD + "  allow_personal_data: [contact]\n"}
    opened = run(load(KEPT, files=model | allowed | second))
    assert leak_checks(opened)["gold/contacts"].passed
    (made,) = opened.asset_materializations_for_node("gold__contacts")
    tags = {column.name: column.tags for column in made.metadata["dagster/column_schema"].schema.columns}
    assert tags == {
        "id": {},
        "contact": {"pii": "EMAIL_ADDRESS", "action": "keep"},
        "phone": {"pii": "PHONE_NUMBER", "action": "mask"},
    }
    assert not leak_checks(opened)["gold/addresses"].passed, "what one model allows, the next must allow too"


def test_a_model_that_makes_personal_data_is_caught_by_the_sweep(land: Any, load: Load) -> None:
    land("people/1.csv", HEADER + people(0, 40))
    model = {
        "gold/guessed/model.sql": "SELECT 'p' || id || '@mail.example' AS reach FROM silver.people",
        "gold/guessed/defs.yaml": GOLD + "  description: Addresses put together again.\n",
    }
    result = run(load(files=model))
    assert not result.success
    check = leak_checks(result)["gold/guessed"]
    assert not check.passed
    assert check.metadata["cells found"].value == 40
    assert query("SELECT to_regclass('gold.guessed')") == [(None,)]


def test_analysts_read_silver_and_gold_and_no_layer_with_raw_values(land: Any, load: Load) -> None:
    land("people/1.csv", HEADER + people(0, 40) + "x,bad\n")
    model = {
        "gold/counted/model.sql": "SELECT count(*) AS people FROM silver.people",
        "gold/counted/defs.yaml": GOLD + "  description: How many.\n",
    }
    assert run(load(files=model)).success
    settings = load_settings()
    assert settings.database_url
    url = settings.database_url.get_secret_value().replace(f"//{OWNER}@", f"//{ANALYST}@")
    assert query("SELECT count(*) FROM silver.people", url) == [(40,)]
    assert query("SELECT people FROM gold.counted", url) == [(40,)]
    for table in ("bronze.people", "quarantine.people", "atlas.rejected_lines", "atlas.column_plans"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            query(f"SELECT * FROM {table}", url)


def test_hashing_without_a_key_is_refused_in_production(land: Any, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    land("people/1.csv", HEADER + people(0, 40))
    definitions = load()
    monkeypatch.setenv("ATLAS_ENVIRONMENT", "production")
    load_settings.cache_clear()
    refused = run(definitions)
    assert not refused.success
    assert "ATLAS_PII_HASH_KEY" in failure(refused)
    for name in ("ATLAS_PII_HASH_KEY", "ATLAS_PII_ENCRYPT_KEY"):
        monkeypatch.setenv(name, "green umbrella stand")
    load_settings.cache_clear()
    assert run(definitions).success


def test_headers_that_mislead_and_numbers_that_look_like_more(land: Any, load_files: Load) -> None:
    header = "file_name,public_id,driver,order_no,year,epoch,uuid"
    rows = "".join(
        f"report_{n}.pdf,{415555_2671 + n},nvidia-{n % 9},{1001 + n},{1990 + n % 30},{1700000000 + n * 77},"
        f"{n:08x}-0000-4000-8000-{n:012x}\n"
        for n in range(300)
    )
    land("files/1.csv", f"{header}\n{rows}")
    columns = "".join(f"    - {{name: {name}}}\n" for name in header.split(","))
    found = plans(
        run(load_files({"datasets/files/defs.yaml": DATASET + "  source: files/*.csv\n  columns:\n" + columns})),
        "silver__files",
    )
    assert {name: one["class"] for name, one in found.items()} == dict.fromkeys(header.split(","), "clean")
