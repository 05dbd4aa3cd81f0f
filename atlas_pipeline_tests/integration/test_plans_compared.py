"""What a newer recogniser would plan otherwise is said before anything is built anew, and changes nothing."""

import json
from dataclasses import replace
from typing import Any

import pytest
from stdnum.br import cpf

from atlas_pipeline.cli.pii import compare
from atlas_pipeline.ingest.dataset import Column
from atlas_pipeline.ingest.planning import replanned
from atlas_pipeline.pii.plan import RECOGNISERS
from atlas_pipeline.pii.record import drop_plans, recorded_plans

NUMBERS = [number for at in range(52_000_000_000, 52_000_003_000) if cpf.is_valid(number := str(at))]
OLDER = (
    "UPDATE atlas.column_plans SET class = 'clean', entity = NULL, action = 'keep', recognisers = 1"
    " WHERE column_name = 'field'"
)


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
    assert column["today"] == {
        "class": "typed",
        "entity": "NATIONAL_ID",
        "action": "redact",
        "recognisers": RECOGNISERS,
    }
    assert not any(number in shown for number in NUMBERS)
    assert compare.run([name], json=False) == 0
    assert compare.run(["unbuilt"], json=False) == 1


def definition(feed: Any) -> str:
    ((made,),) = feed.query("SELECT definition FROM atlas.publications WHERE layer = 'silver'")
    return made


def test_newer_recognisers_read_no_prose_anew_until_somebody_asks(make_feed: Any) -> None:
    feed = make_feed([Column("id"), Column("note", action=None)], key=("id",))
    feed.land("a.csv", "id,note\n" + "".join(f"{at},please ask anna{at}@example.org about it\n" for at in range(30)))
    feed.run()
    feed.connection.execute("UPDATE atlas.column_plans SET recognisers = 1")
    feed.outdate()
    feed.build()
    older = definition(feed)
    feed.land("b.csv", "id,note\n99,nothing new\n")
    assert not feed.run().rebuilt
    assert definition(feed) == older
    recorded = recorded_plans(feed.connection, "silver", "things")
    assert recorded["note"].plan.recognisers == 1
    ((before, now),) = replanned(feed.connection, feed.dataset, recorded)
    assert (before.name, before.recognisers, now.recognisers) == ("note", 1, RECOGNISERS)
    assert (before.column_class, before.action) == (now.column_class, now.action)
    drop_plans(feed.connection, "silver", "things")
    feed.connection.commit()
    assert feed.build().rebuilt
    assert recorded_plans(feed.connection, "silver", "things")["note"].plan.recognisers == RECOGNISERS
    assert definition(feed) != older


def test_a_column_that_comes_later_is_judged_by_those_that_are_there(make_feed: Any) -> None:
    before = [Column("id"), Column("mail", action=None)]
    feed = make_feed(before, key=("id",))
    feed.land("a.csv", "id,mail,medication,shelf\n" + "".join(f"{at},a{at}@example.org,pill,x\n" for at in range(30)))
    feed.run()
    later = [Column(name, action=None, optional=True) for name in ("medication", "shelf")]
    feed.build(replace(feed.dataset, columns=(*before, *later)))
    plans = recorded_plans(feed.connection, "silver", "things")
    assert plans["medication"].plan.entity == "HEALTH"
    assert plans["shelf"].plan.action == "keep"
