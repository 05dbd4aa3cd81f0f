"""Which models can be computed for some keys alone, and over which SELECT."""

import pytest

from atlas_pipeline.sql.increments import followed, over
from atlas_pipeline.sql.lineage import ModelError, read_model

PART = '"staging"."part"'


@pytest.mark.parametrize(
    ("statement", "column", "expected"),
    [
        ("SELECT id, a * 2 AS b FROM silver.things", "id", f"SELECT id, a * 2 AS b FROM {PART} AS things"),
        ("SELECT t.id FROM silver.things t", "id", f"SELECT t.id FROM {PART} t"),
        ("SELECT t.id FROM silver.things AS t", "id", f"SELECT t.id FROM {PART} AS t"),
        (
            "SELECT silver.things.id FROM silver.things WHERE silver.things.a > 1",
            "id",
            f"SELECT things.id FROM {PART} AS things WHERE things.a > 1",
        ),
        (
            "SELECT day AS d, count(*) AS n FROM silver.things GROUP BY 1",
            "day",
            f"SELECT day AS d, count(*) AS n FROM {PART} AS things GROUP BY 1",
        ),
        (
            'SELECT "P x".id FROM silver."things" "P x" JOIN silver.others o ON o.id = "P x".other',
            "id",
            f'SELECT "P x".id FROM {PART} "P x" JOIN silver.others o ON o.id = "P x".other',
        ),
    ],
)
def test_the_part_takes_the_place_of_the_table(statement: str, column: str, expected: str) -> None:
    model = read_model(statement, "/models/m/model.sql")
    source = followed(model, [model.columns[0]])
    assert (source.schema, source.table, source.columns) == ("silver", "things", {model.columns[0]: column})
    assert over(model, source, PART) == expected


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT day AS id, count(*) AS n FROM silver.things GROUP BY day",
        "SELECT day AS id, count(*) AS n FROM silver.things GROUP BY id",
        "SELECT day AS id, x, count(*) AS n FROM silver.things GROUP BY x, day",
        "SELECT id, row_number() OVER (PARTITION BY id ORDER BY x) AS n FROM silver.things",
        "SELECT t.id, o.name FROM silver.things t LEFT JOIN silver.others o ON o.id = t.other",
        "SELECT t.id, (SELECT max(o.x) FROM silver.others o WHERE o.id = t.id) AS m FROM silver.things t",
        "WITH a AS (SELECT c, count(*) AS n FROM silver.others GROUP BY c) SELECT t.id, a.n FROM silver.things t"
        " JOIN a ON a.c = t.c",
        "SELECT DISTINCT id, x FROM silver.things",
    ],
)
def test_rows_that_follow_from_their_own_key(statement: str) -> None:
    assert followed(read_model(statement, "/models/m/model.sql"), ["id"]).table == "things"


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("SELECT country AS id, count(*) AS n FROM silver.things GROUP BY x, country || ''", "does not group by"),
        ("SELECT id, count(*) AS n FROM silver.things GROUP BY ROLLUP (id)", "group"),
        ("SELECT id, count(*) AS n FROM silver.things GROUP BY GROUPING SETS ((id), ())", "group"),
        ("SELECT max(id) AS id FROM silver.things", "does not select the column 'id'"),
        ("SELECT id, row_number() OVER (ORDER BY x) AS n FROM silver.things", "window"),
        ("SELECT id, sum(x) OVER w AS n FROM silver.things WINDOW w AS (ORDER BY x)", "window"),
        ("SELECT id, now() AS n FROM silver.things", "calls"),
        ("SELECT id, current_date - day AS age FROM silver.things", "calls"),
        ("SELECT id, day = 'today' AS new FROM silver.things", "has the time"),
        ("SELECT id FROM silver.things LIMIT 3", "LIMIT"),
        ("SELECT id FROM silver.things OFFSET 3", "LIMIT"),
        ("SELECT DISTINCT ON (x) id, x FROM silver.things ORDER BY x", "DISTINCT ON"),
        ("SELECT id FROM silver.things UNION ALL SELECT id FROM silver.others", "UNION"),
        ("SELECT t.id FROM silver.things t RIGHT JOIN silver.others o ON o.id = t.other", "RIGHT JOIN"),
        ("SELECT t.id FROM silver.things t FULL JOIN silver.others o ON o.id = t.other", "FULL JOIN"),
        ("SELECT o.id FROM silver.things t JOIN silver.others o ON o.id = t.other", "does not select the column"),
        ("SELECT t.id, (SELECT max(u.x) FROM silver.things u) AS m FROM silver.things t", "more than once"),
        ("WITH a AS (SELECT id FROM silver.things) SELECT id FROM a", "does not begin its FROM"),
        ("SELECT id FROM gold.things", "only tables of silver"),
        ("SELECT t.id FROM silver.things t TABLESAMPLE BERNOULLI (10)", "sample"),
    ],
)
def test_rows_that_follow_from_other_keys_are_refused(statement: str, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        followed(read_model(statement, "/models/m/model.sql"), ["id"])
