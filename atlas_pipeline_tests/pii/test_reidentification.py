"""k-anonymity and l-diversity in SQL are what pycanon computes in Python, on random tables."""

import random

import pandas as pd
import psycopg
import pytest
from psycopg import sql
from pycanon import anonymity

from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.reidentification import RiskRule, measure_risk, quasi_identifiers, risk_problem

TABLE = sql.Identifier("silver", "patients")
COLUMNS = ("born", "postcode", "gender", "diagnosis", "salary")


def patients(seed: int, rows: int) -> pd.DataFrame:
    chance = random.Random(seed)
    return pd.DataFrame(
        [
            (
                str(chance.randint(1950, 1953 + seed)),
                str(chance.randint(10, 12)),
                chance.choice(("f", "m")),
                chance.choice(("flu", "burn", "cold", "cough")),
                str(chance.randint(1, 9)),
            )
            for _ in range(rows)
        ],
        columns=list(COLUMNS),
    )


def load(connection: psycopg.Connection, frame: pd.DataFrame) -> None:
    connection.execute(
        "DROP TABLE IF EXISTS silver.patients;"
        "CREATE TABLE silver.patients (born text, postcode text, gender text, diagnosis text, salary text)"
    )
    with connection.cursor() as cursor, cursor.copy("COPY silver.patients FROM STDIN") as copy:
        for row in frame.itertuples(index=False):
            copy.write_row(tuple(row))


@pytest.mark.parametrize("seed", range(5))
def test_k_and_l_are_those_of_pycanon(warehouse: psycopg.Connection, seed: int) -> None:
    frame = patients(seed, 40 * (seed + 1) ** 2)
    load(warehouse, frame)
    quasi, sensitive = ["born", "postcode", "gender"], ["diagnosis", "salary"]
    risk = measure_risk(warehouse, TABLE, quasi, sensitive)
    assert risk.k == anonymity.k_anonymity(frame, quasi)
    for column in sensitive:
        assert risk.diversity[column] == anonymity.l_diversity(frame, quasi, [column])
    sizes = frame.groupby(quasi).size()
    assert (risk.rows, risk.groups, risk.unique) == (len(frame), len(sizes), int((sizes == 1).sum()))


def test_persons_count_where_one_has_several_rows(warehouse: psycopg.Connection) -> None:
    warehouse.execute(
        "CREATE TABLE silver.patients AS SELECT * FROM"
        " (VALUES (1, 'a'), (1, 'a'), (2, 'a'), (3, 'b'), (3, 'b')) v (id, town)"
    )
    assert measure_risk(warehouse, TABLE, ["town"]).k == 2
    risk = measure_risk(warehouse, TABLE, ["town"], subject="id")
    assert (risk.k, risk.rows, risk.unique, risk.share_unique) == (1, 3, 1, 1 / 3)


def test_an_empty_table_has_no_k(warehouse: psycopg.Connection) -> None:
    load(warehouse, patients(0, 0))
    risk = measure_risk(warehouse, TABLE, ["born"], ["diagnosis"])
    assert (risk.k, risk.rows, risk.share_unique) == (None, 0, 0.0)
    assert risk_problem(risk, RiskRule(fail_below=5)) == (None, False)
    assert measure_risk(warehouse, TABLE, []).quasi == ()


def test_quasi_identifiers_are_readable_columns_of_such_kinds_and_declared_ones() -> None:
    kinds = {"born": ("DATE_OF_BIRTH", "generalise"), "city": ("CITY", "redact"), "mail": ("EMAIL_ADDRESS", "keep")}
    plans = {
        name: ColumnPlan(name, "typed", kind, 1.0, {}, action)  # type: ignore[arg-type]
        for name, (kind, action) in kinds.items()
    }
    assert quasi_identifiers(plans, RiskRule(quasi=("job", "gone")), ["job", *plans]) == ("job", "born")


def test_the_stricter_threshold_that_is_missed_counts(warehouse: psycopg.Connection) -> None:
    load(warehouse, patients(1, 40))
    risk = measure_risk(warehouse, TABLE, ["born", "postcode", "gender"])
    assert risk.k is not None
    assert risk.k < 5
    assert risk_problem(risk, RiskRule())[0] is None
    problem, blocks = risk_problem(risk, RiskRule(warn_below=5))
    assert problem is not None
    assert "born, postcode, gender" in problem
    assert not blocks
    assert risk_problem(risk, RiskRule(warn_below=9, fail_below=5))[1]
