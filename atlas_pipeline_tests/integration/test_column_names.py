"""Values that stand where names of columns are expected: nobody reads them in a catalogue, an event or a reason."""

from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from atlas_pipeline.ingest.column_names import safe_names, seems_personal
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline_tests.integration.conftest import MakeFeed

VALUES = ["ada.example@mail.example", "+49 30 55501000", "DE89 3704 0044 0532 0130 00", "10.1.2.3", "4155552671"]
NAMES = ["first name", "e-mail", "revenue_2024", "2024-01-31", "q1", "address 2", "Größe (cm)", "iban", "utm_1", "2024"]


@pytest.mark.parametrize("value", VALUES)
def test_values_seem_personal(value: str) -> None:
    assert seems_personal(value)


@pytest.mark.parametrize("name", NAMES)
def test_names_do_not(name: str) -> None:
    assert not seems_personal(name)


def test_names_by_position_are_not_taken_already() -> None:
    found = safe_names(("id", "column_2", "a@mail.example"), {"id", "other"})
    assert len(set(found)) == 3
    assert found[0] == "id"
    assert "@" not in "".join(found)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("b.csv", "1,ada.example@mail.example,Ada Example\n2,b.example@mail.example,Bo Example\n"),
        ("b.jsonl", '{"id":"1","ada.example@mail.example":"x","Ada Example":"y"}\n'),
        ("b.csv", "id,ada.example@mail.example,Ada Example\n2,b.example@mail.example,Bo Example\n"),
    ],
)
def test_values_reach_no_catalogue(make_feed: MakeFeed, warehouse: psycopg.Connection, name: str, content: str) -> None:
    feed = make_feed({"id": "text", "email": "text"}, intake=Intake(declared=frozenset(("id", "email"))))
    feed.land("a.csv", "id,email\n7,x\n")
    feed.load()
    feed.land(name, content)
    result = feed.load()
    names = [row[0] for row in feed.query("SELECT attname FROM pg_attribute")]
    told = [repr(result), repr(feed.ledger("uri, status, rule, reason, columns")), repr(feed.quarantine("reason"))]
    for text in [*names, *told]:
        assert "ada" not in text.lower().replace("metadata", "")


def test_rows_that_silver_rejects_warn_with_rule_count_and_file(
    load_files: Callable[[Mapping[str, str]], dg.Definitions], land: Callable[[str, str], Path]
) -> None:
    land("things/a.csv", "id,n\n1,1\n2,secret\n3,4\n4,5\n")
    land("things/b.csv", "id,n\n,1\n5,5\n")
    yaml = (
        "type: atlas_pipeline.components.Dataset\nattributes:\n  source: things/*.csv\n  key: id\n"
        "  columns: [{name: id}, {name: n, type: integer}]\n"
    )
    definitions = load_files({"things/defs.yaml": yaml})
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance)
    (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "rows_fit"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["rows failed"].value == 2
    said = check.description or ""
    assert "missing_key: 1 of" in said
    assert "wrong_type: 1 of" in said
    assert "things/a.csv" in said
    assert "secret" not in said
