"""The SELECT that counts the persons behind each row: what it counts, and where it says that it cannot be told."""

from collections.abc import Iterator

import psycopg
import pytest

from atlas_pipeline.sql.lineage import ModelError, read_model
from atlas_pipeline.sql.subjects import Counted, Subject, count_subjects

CATALOG = {
    ("silver", "orders"): ["order_id", "customer_id", "amount", "country", "month"],
    ("silver", "customers"): ["customer_id", "country", "segment"],
    ("silver", "days"): ["day"],
    ("gold", "customer_360"): ["customer_id", "revenue"],
}
SUBJECTS = {
    table: Subject("customer_id", "customers") for table, columns in CATALOG.items() if "customer_id" in columns
}


def counted(statement: str) -> Counted | None:
    return count_subjects(read_model(statement, "models/totals/model.sql"), CATALOG, SUBJECTS)


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[psycopg.Connection]:
    """Two countries: customers 1 to 6 in DE, of whom 1 to 3 ordered in January and 1 to 5 in February; 7 in FR."""
    with psycopg.connect(warehouse_url) as connection:
        connection.execute(
            "CREATE TABLE silver.customers AS SELECT n AS customer_id,"
            " CASE WHEN n < 7 THEN 'DE' ELSE 'FR' END AS country, 'retail' AS segment FROM generate_series(1, 7) n;"
            "CREATE TABLE silver.orders (order_id int, customer_id int, amount numeric, country text, month text);"
            "INSERT INTO silver.orders SELECT n, n, 10, 'DE', 'jan' FROM generate_series(1, 3) n;"
            "INSERT INTO silver.orders SELECT n + 10, n, 10, 'DE', 'feb' FROM generate_series(1, 5) n;"
            "INSERT INTO silver.orders SELECT n + 20, 7, 10, 'FR', 'jan' FROM generate_series(1, 9) n;"
            "CREATE TABLE silver.days AS SELECT 'jan' AS day UNION ALL SELECT 'mar';"
            "CREATE TABLE gold.customer_360 AS SELECT customer_id, 1 AS revenue FROM silver.customers"
        )
        yield connection


PER_MONTH = "WITH m AS (SELECT country, month, sum(amount) AS s FROM silver.orders GROUP BY 1, 2)"
PER_CUSTOMER = "WITH b AS (SELECT customer_id AS id, sum(amount) AS s FROM silver.orders GROUP BY customer_id)"
COUNTS = {
    "plain": ("SELECT country, count(*) AS n FROM silver.orders GROUP BY country", {("DE", 8): 5, ("FR", 9): 1}),
    "ordinal": (
        "SELECT country, max(amount) AS m FROM silver.orders o GROUP BY 1 ORDER BY 2",
        {("DE", 10): 5, ("FR", 10): 1},
    ),
    "all": ("SELECT count(*) AS n FROM silver.orders WHERE country IS DISTINCT FROM 'FR'", {(8,): 5}),
    "join": (
        "SELECT c.segment, count(*) AS n FROM silver.orders AS o JOIN silver.customers AS c USING (customer_id) "
        "GROUP BY 1",
        {("retail", 17): 6},
    ),
    "gold_of_single_persons": (
        "SELECT o.country, sum(g.revenue) AS r FROM silver.orders o LEFT JOIN gold.customer_360 g USING (customer_id) "
        "GROUP BY o.country",
        {("DE", 8): 5, ("FR", 9): 1},
    ),
    "through_a_query_by_person": (
        f"{PER_CUSTOMER} SELECT c.country, sum(b.s) AS s FROM silver.customers c LEFT JOIN b ON b.id = c.customer_id "
        "GROUP BY c.country",
        {("DE", 80): 6, ("FR", 90): 1},
    ),
    "groups_as_they_are": (
        f"{PER_MONTH} SELECT month, s * 2 AS t FROM m WHERE country = 'DE'",
        {("jan", 60): 3, ("feb", 100): 5},
    ),
    "groups_of_groups": (
        f"{PER_MONTH} SELECT month, sum(s) AS t FROM m GROUP BY month",
        {("jan", 120): 3, ("feb", 50): 5},
    ),
    "union": (
        "SELECT u.country, count(*) AS n FROM (SELECT country, customer_id AS c FROM silver.orders UNION ALL "
        "SELECT country, customer_id FROM silver.customers) AS u GROUP BY u.country",
        {("DE", 14): 6, ("FR", 10): 1},
    ),
    "union_hidden": (
        "SELECT u.country, count(*) AS n FROM (SELECT country FROM silver.orders UNION ALL "
        "SELECT country FROM silver.customers) AS u GROUP BY u.country",
        {("DE", 14): 6, ("FR", 10): 1},
    ),
    "nobody": (
        "SELECT d.day, count(o.order_id) AS n FROM silver.days d LEFT JOIN silver.orders o ON o.month = d.day "
        "GROUP BY d.day",
        {("jan", 12): 4, ("mar", 0): 0},
    ),
    "a_window_over_groups": (
        "SELECT country, sum(count(*)) OVER () AS n FROM silver.orders GROUP BY country",
        {("DE", 17): 5, ("FR", 17): 1},
    ),
    "nested_joins": (
        "SELECT d.day, count(c.segment) AS n FROM silver.days d LEFT JOIN (silver.orders o JOIN silver.customers c "
        "ON c.customer_id = o.customer_id) ON o.month = d.day GROUP BY d.day",
        {("jan", 12): 4, ("mar", 0): 0},
    ),
}


@pytest.mark.parametrize("case", COUNTS)
def test_the_persons_of_each_group_are_counted(connection: psycopg.Connection, case: str) -> None:
    statement, expected = COUNTS[case]
    result = counted(statement)
    assert result is not None
    assert result.groups
    rows = connection.execute(result.statement).fetchall()
    assert {row[:-2]: row[-2] for row in rows} == expected
    plain = connection.execute(statement).fetchall()
    assert sorted(row[:-2] for row in rows) == sorted(plain), "the model's own columns are as they were"


def test_totals_say_over_which_keys_they_are(connection: psycopg.Connection) -> None:
    result = counted(
        "SELECT upper(country) AS c, month, count(*) AS n FROM silver.orders GROUP BY ROLLUP (upper(country), month)"
    )
    assert result is not None
    assert result.keys == ("c", "month")
    levels = {row[:2]: row[-2:] for row in connection.execute(result.statement).fetchall()}
    assert levels["DE", "jan"] == (3, 0)
    assert levels["DE", None] == (5, 1)
    assert levels[None, None] == (6, 3)


@pytest.mark.parametrize(
    ("statement", "column"),
    [
        ("SELECT customer_id AS who, country FROM silver.customers", "who"),
        ("SELECT c.* FROM silver.customers AS c", "customer_id"),
        ("SELECT country, sum(amount) OVER (PARTITION BY country) AS s FROM silver.orders", None),
        (
            f"{PER_CUSTOMER} SELECT c.customer_id, b.s FROM silver.customers c LEFT JOIN b ON b.id = c.customer_id",
            "customer_id",
        ),
        ("SELECT customer_id, count(*) AS n FROM silver.orders GROUP BY customer_id", "customer_id"),
    ],
)
def test_rows_of_single_persons_are_no_groups(statement: str, column: str | None) -> None:
    result = counted(statement)
    assert result is not None
    assert not result.groups
    assert result.column == column


def test_models_without_persons_are_left_alone() -> None:
    assert counted("SELECT day, count(*) AS n FROM silver.days GROUP BY day") is None
    assert counted("SELECT day FROM silver.days WHERE day IN (SELECT month FROM silver.orders)") is None


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT DISTINCT country FROM silver.customers", "GROUP BY"),
        ("SELECT country FROM silver.orders UNION SELECT country FROM silver.customers", "UNION ALL"),
        ("SELECT day, (SELECT count(*) FROM silver.orders) AS n FROM silver.days", "write it as a join"),
        ("SELECT t.a FROM silver.customers AS t(a, b, c)", "rename them with AS"),
        (
            "WITH b AS (SELECT country, count(*) AS n FROM silver.orders GROUP BY ROLLUP (country)) SELECT n FROM b",
            "last SELECT",
        ),
    ],
)
def test_what_cannot_be_told_is_said(statement: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        counted(statement)
