"""What a newer recogniser would plan otherwise is said before anything is built anew, and changes nothing."""

import json
from typing import Any

import pytest
from stdnum.br import cpf

from atlas_pipeline.cli.pii import compare
from atlas_pipeline.ingest.dataset import Column
from atlas_pipeline.ingest.planning import replanned
from atlas_pipeline.pii.record import recorded_plans

NUMBERS = [number for at in range(52_000_000_000, 52_000_003_000) if cpf.is_valid(number := str(at))]
OLDER = "UPDATE atlas.column_plans SET class = 'clean', entity = NULL, action = 'keep' WHERE column_name = 'field'"


@pytest.fixture
def older(make_feed: Any) -> Any:
    """A dataset that was planned when nobody knew these numbers."""
    feed = make_feed([Column("id"), Column("field", action=None), Column("word", action=None)], key=("id",))
    rows = "".join(f"{at},{number},plain\n" for at, number in enumerate(NUMBERS))
    feed.land("a.csv", "id,field,word\n" + rows)
    feed.run()
    feed.connection.execute(OLDER)
    feed.connection.commit()
    return feed


def test_what_would_change_is_said_and_nothing_does(older: Any) -> None:
    name = older.dataset.name
    recorded = recorded_plans(older.connection, "silver", name)
    ((before, now),) = replanned(older.connection, older.dataset, recorded)
    assert (before.name, before.column_class, before.action) == ("field", "clean", "keep")
    assert (now.column_class, now.entity, now.action) == ("typed", "NATIONAL_ID", "redact")
    assert recorded_plans(older.connection, "silver", name) == recorded


def test_the_command_names_columns_and_no_values(
    older: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = older.dataset.name
    monkeypatch.setattr(compare, "_declared", lambda: {name: older.dataset, "unbuilt": older.dataset})
    monkeypatch.setattr(compare, "warehouse_url", lambda settings: older.url)
    assert compare.run([], json=True) == 0
    shown = capsys.readouterr().out
    (column,) = json.loads(shown)["datasets"][name]
    assert column["column"] == "field"
    assert column["today"] == {"class": "typed", "entity": "NATIONAL_ID", "action": "redact"}
    assert not any(number in shown for number in NUMBERS)
    assert compare.run([name], json=False) == 0
    assert compare.run(["unbuilt"], json=False) == 1
