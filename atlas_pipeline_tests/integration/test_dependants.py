"""What others made upon silver and gold is there after each publication: views, their owners, grants."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from atlas_pipeline.warehouse.bootstrap import ANALYST
from atlas_pipeline.warehouse.connect import OWNER, connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline.warehouse.publish import PublishError

Execute = Callable[[str], None]


@pytest.fixture
def feed(make_feed: Any) -> Any:
    """silver.things of two rows, and gold.totals."""
    feed = make_feed({"id": "integer", "name": "text"}, key=("id",))
    feed.land("a.csv", "id,name\n1,Ann\n2,Bob\n")
    publish(feed)
    return feed


def publish(feed: Any, columns: str = "count(*) AS things, max(id) AS newest") -> None:
    """Build both tables anew and publish them."""
    feed.outdate()
    feed.run()
    feed.model("totals", f"SELECT {columns} FROM silver.things")


@pytest.fixture
def admin(feed: Any, postgres: EmbeddedPostgres) -> Iterator[Execute]:
    """Run statements as an administrator of the feed's database; roles that a test makes are dropped at the end."""
    name = feed.connection.info.dbname
    with connect(postgres.url(name, SUPERUSER), autocommit=True) as connection:

        def execute(statement: str) -> None:
            connection.execute(statement)  # type: ignore[arg-type]

        execute("CREATE SCHEMA reports; CREATE ROLE stranger; CREATE ROLE colleague")
        execute(f"GRANT ALL ON SCHEMA reports TO {OWNER}, {ANALYST}, stranger, colleague; GRANT {ANALYST} TO {OWNER}")
        try:
            yield execute
        finally:
            feed.connection.rollback()
            execute(f"DROP SCHEMA reports CASCADE; REVOKE {ANALYST} FROM {OWNER}")
            execute("DROP OWNED BY stranger, colleague; DROP ROLE stranger, colleague")


def owner_of(feed: Any, view: str) -> Any:
    return feed.query("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = %s::regclass", [view])[0][0]


def may(feed: Any, role: str, privilege: str, table: str) -> Any:
    return feed.query("SELECT has_table_privilege(%s, %s, %s)", [role, table, privilege])[0][0]


def test_views_upon_views_stay_with_their_owners_grants_comments_and_options(feed: Any, admin: Execute) -> None:
    admin("CREATE VIEW reports.names WITH (security_barrier = true) AS SELECT id, name FROM silver.things")
    admin(f"ALTER VIEW reports.names OWNER TO {ANALYST}; COMMENT ON VIEW reports.names IS 'for ''all'''")
    admin(
        "GRANT SELECT ON reports.names TO colleague WITH GRANT OPTION; GRANT SELECT (id) ON reports.names TO stranger"
    )
    admin('CREATE VIEW reports."Upon it" AS SELECT n.name, t.things FROM reports.names n, gold.totals t')
    admin(f'ALTER VIEW reports."Upon it" OWNER TO {ANALYST}')
    feed.land("b.csv", "id,name\n3,Cy\n")
    publish(feed)
    assert feed.query('SELECT * FROM reports."Upon it" ORDER BY name') == [("Ann", 3), ("Bob", 3), ("Cy", 3)]
    assert (owner_of(feed, "reports.names"), owner_of(feed, 'reports."Upon it"')) == (ANALYST, ANALYST)
    assert may(feed, "colleague", "SELECT WITH GRANT OPTION", "reports.names")
    assert not may(feed, "stranger", "SELECT", "reports.names")
    assert feed.query("SELECT has_column_privilege('stranger', 'reports.names', 'id', 'SELECT')") == [(True,)]
    described = "SELECT reloptions, obj_description(oid) FROM pg_class WHERE oid = 'reports.names'::regclass"
    assert feed.query(described) == [(["security_barrier=true"], "for 'all'")]


def test_a_materialized_view_is_filled_from_the_new_table_and_keeps_its_index(feed: Any, admin: Execute) -> None:
    admin("CREATE MATERIALIZED VIEW reports.counts AS SELECT name, count(*) AS n FROM silver.things GROUP BY name")
    admin("CREATE UNIQUE INDEX ON reports.counts (name)")
    admin("CREATE MATERIALIZED VIEW reports.later AS SELECT name FROM silver.things WITH NO DATA")
    admin(f"ALTER MATERIALIZED VIEW reports.counts OWNER TO {OWNER}")
    admin(f"ALTER MATERIALIZED VIEW reports.later OWNER TO {OWNER}")
    feed.land("b.csv", "id,name\n3,Bob\n")
    publish(feed)
    assert feed.query("SELECT * FROM reports.counts ORDER BY name") == [("Ann", 1), ("Bob", 2)]
    assert feed.query("SELECT count(*) FROM pg_indexes WHERE schemaname = 'reports'") == [(1,)]
    assert feed.query("SELECT relispopulated FROM pg_class WHERE oid = 'reports.later'::regclass") == [(False,)]


def test_grants_on_tables_and_columns_stay(feed: Any, admin: Execute) -> None:
    admin("GRANT SELECT ON silver.things TO colleague; GRANT SELECT (id) ON silver.things TO stranger")
    admin("GRANT SELECT ON gold.totals TO PUBLIC; GRANT SELECT (newest) ON gold.totals TO stranger")
    publish(feed)
    publish(feed, "count(*) AS things")
    assert may(feed, "colleague", "SELECT", "silver.things")
    assert not may(feed, "stranger", "SELECT", "silver.things")
    assert feed.query("SELECT has_column_privilege('stranger', 'silver.things', 'id', 'SELECT')") == [(True,)]
    assert may(feed, "stranger", "SELECT", "gold.totals"), "as everyone"
    assert may(feed, ANALYST, "SELECT", "gold.totals")
    publish(feed)
    assert may(feed, "colleague", "SELECT", "silver.things")


def test_a_view_of_a_column_that_is_gone_stops_the_publication(feed: Any, admin: Execute) -> None:
    admin(f"CREATE VIEW reports.newest AS SELECT newest FROM gold.totals; ALTER VIEW reports.newest OWNER TO {OWNER}")
    with pytest.raises(PublishError, match=r"the view reports\.newest cannot be made again .*column .*newest"):
        publish(feed, "count(*) AS things")
    assert feed.query("SELECT newest FROM reports.newest") == [(2,)]
    admin("DROP VIEW reports.newest")
    publish(feed, "count(*) AS things")
    assert feed.query("SELECT things FROM gold.totals") == [(2,)]


def test_no_value_is_quoted_when_a_materialized_view_cannot_be_filled(feed: Any, admin: Execute) -> None:
    admin("CREATE MATERIALIZED VIEW reports.numbers AS SELECT name::integer AS n FROM silver.things WHERE id > 2")
    admin(f"ALTER MATERIALIZED VIEW reports.numbers OWNER TO {OWNER}")
    feed.land("b.csv", "id,name\n3,Dorothea\n")
    with pytest.raises(PublishError, match=r"reports\.numbers cannot be filled") as caught:
        publish(feed)
    assert "Dorothea" not in str(caught.value)


def test_a_view_of_a_role_that_the_pipeline_is_no_member_of_stops_the_publication(feed: Any, admin: Execute) -> None:
    admin("CREATE VIEW reports.theirs AS SELECT id FROM silver.things; ALTER VIEW reports.theirs OWNER TO stranger")
    with pytest.raises(PublishError, match=rf"reports\.theirs .* belongs to stranger.*GRANT stranger TO {OWNER}"):
        publish(feed)
    feed.connection.rollback()
    admin(f"GRANT stranger TO {OWNER}")
    admin("GRANT USAGE ON SCHEMA silver TO stranger; GRANT SELECT ON silver.things TO stranger")
    publish(feed)
    assert owner_of(feed, "reports.theirs") == "stranger"
    assert feed.query("SELECT count(*) FROM reports.theirs") == [(2,)]


def test_what_cannot_be_kept_stops_the_publication(feed: Any, admin: Execute) -> None:
    body = "LANGUAGE sql RETURN (SELECT NULL::silver.things)"
    admin(f"CREATE FUNCTION reports.all_things() RETURNS SETOF silver.things {body}")
    with pytest.raises(PublishError, match=r"silver\.things cannot be replaced: function"):
        publish(feed)
    feed.connection.rollback()
    assert feed.query("SELECT count(*) FROM silver.things") == [(2,)]


def test_a_publication_that_is_undone_leaves_views_and_grants(feed: Any, admin: Execute) -> None:
    admin(f"CREATE VIEW reports.names AS SELECT name FROM silver.things; ALTER VIEW reports.names OWNER TO {ANALYST}")
    admin("GRANT SELECT ON silver.things TO colleague")
    admin("CREATE VIEW reports.broken AS SELECT newest FROM gold.totals")
    admin(f"ALTER VIEW reports.broken OWNER TO {OWNER}")
    with pytest.raises(PublishError):
        publish(feed, "1 AS one")
    feed.connection.rollback()
    assert feed.query("SELECT count(*) FROM reports.names") == [(2,)]
    assert may(feed, "colleague", "SELECT", "silver.things")
    assert feed.query("SELECT newest FROM reports.broken") == [(2,)]
