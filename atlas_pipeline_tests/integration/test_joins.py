"""A join that finds nothing, since two tables treat the same values differently, is told of when one is published."""

from typing import Any

import pytest

from atlas_pipeline.ingest.dataset import Column
from atlas_pipeline.pii.joins import mismatches
from atlas_pipeline.quality.generated import values_join

pytestmark = pytest.mark.slow

LOGINS = [f"login{at}x" for at in range(60)]


def publish(make_feed: Any, name: str, column: Column, values: list[str], key: str = "n") -> Any:
    """A silver table with a column of these values."""
    feed = make_feed([Column(key), column], name=name, source=f"{name}*.csv")
    rows = "".join(f"k{at},{value}\n" for at, value in enumerate(values))
    feed.land(f"{name}.csv", f"{key},{column.name}\n{rows}")
    feed.run()
    return feed


def said(feed: Any) -> str:
    outcome = values_join([str(each) for each in mismatches(feed.connection, feed.dataset.name)])
    feed.connection.commit()
    assert outcome.passed == (outcome.problem is None)
    return outcome.problem or ""


def test_one_kept_and_one_hashed(make_feed: Any) -> None:
    publish(make_feed, "users", Column("login", pii="USERNAME", action="hash"), LOGINS)
    feed = publish(make_feed, "visits", Column("who"), [value.upper() for value in LOGINS[:30]])
    assert said(feed) == (
        "'who' (kept as it is) holds values of silver.users 'login' (hashed as USERNAME, form 2), and joining them "
        "finds nothing: declare `pii: USERNAME`, `action: hash` for 'who' here, or do not join them"
    )
    assert not any(value in said(feed) for value in LOGINS)


@pytest.mark.parametrize(
    ("other", "remedy"),
    [
        (Column("who", pii="DEVICE_ID", action="hash"), "declare the same `pii` and the same `key_domain` for both"),
        (Column("who", pii="USERNAME", action="hash", domain="visits"), "declare the same `pii` and the same"),
        (Column("who", pii="DEVICE_ID", action="hash", domain="USERNAME"), "declare the same `pii` and the same"),
        (Column("who", pii="USERNAME", action="encrypt"), "`action: hash` for 'who' here"),
        (Column("who", pii="USERNAME", action="mask"), "`action: hash` for 'who' here"),
    ],
)
def test_tokens_that_differ(make_feed: Any, other: Column, remedy: str) -> None:
    publish(make_feed, "users", Column("login", pii="USERNAME", action="hash"), LOGINS)
    assert remedy in said(publish(make_feed, "visits", other, LOGINS))


def test_tokens_of_an_earlier_form(make_feed: Any) -> None:
    feed = publish(make_feed, "users", Column("login", pii="USERNAME", action="hash"), LOGINS)
    publish(make_feed, "visits", Column("who", pii="USERNAME", action="hash"), LOGINS)
    assert said(feed) == ""
    feed.connection.execute("UPDATE atlas.column_plans SET form = 1 WHERE name = 'visits'")
    assert "`atlas pii renew` the table" in said(feed)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (Column("who", pii="USERNAME", action="hash"), LOGINS),
        (Column("who", pii="USERNAME", action="redact"), LOGINS),
        (Column("who"), [f"other{at}" for at in range(60)]),
        (Column("who"), [*LOGINS[:2], *(f"other{at}" for at in range(60))]),
    ],
)
def test_nothing_is_said_of_columns_that_join_or_hold_others(make_feed: Any, column: Column, values: list[str]) -> None:
    publish(make_feed, "users", Column("login", pii="USERNAME", action="hash"), LOGINS)
    assert said(publish(make_feed, "visits", column, values)) == ""


def test_small_numbers_count_only_where_names_agree(make_feed: Any) -> None:
    numbers = [str(at) for at in range(10, 90)]
    publish(make_feed, "customers", Column("id", pii="ACCOUNT_NUMBER", action="hash"), numbers)
    assert said(publish(make_feed, "machines", Column("wheels", "integer"), numbers)) == ""
    assert "'customer_id' (kept as it is)" in said(
        publish(make_feed, "orders", Column("customer_id", "integer"), numbers)
    )


def test_new_rows_are_added_and_a_new_build_begins_anew(make_feed: Any) -> None:
    publish(make_feed, "users", Column("login", pii="USERNAME", action="hash"), LOGINS)
    feed = publish(make_feed, "visits", Column("who"), ["somebody1", "somebody2"])
    assert said(feed) == ""
    feed.land("visits2.csv", "n,who\n" + "".join(f"b{at},{value}\n" for at, value in enumerate(LOGINS)))
    feed.run()
    assert "'who'" in said(feed)
    kept = "SELECT cardinality(sketch) FROM atlas.join_sketches WHERE name = 'visits' AND column_name = 'who'"
    assert feed.query(kept) == [(len(LOGINS) + 2,)]
    feed.outdate()
    feed.build()
    assert feed.query(kept) == [(len(LOGINS) + 2,)]
