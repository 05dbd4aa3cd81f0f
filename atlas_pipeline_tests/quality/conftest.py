"""A warehouse with the small table that contracts are verified on."""

import psycopg
import pytest

from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import OWNER, connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline_tests.quality.verifications import SURROUNDINGS, THINGS


@pytest.fixture
def things(warehouse: psycopg.Connection) -> psycopg.Connection:
    """A connection to the test's own warehouse, which has the table `silver.things`."""
    warehouse.execute(THINGS)
    warehouse.commit()
    return warehouse


@pytest.fixture(scope="session")
def url(postgres: EmbeddedPostgres) -> str:
    """A warehouse with the table `silver.things` and others around it, for tests that only read."""
    with connect(postgres.url(SUPERUSER, SUPERUSER), autocommit=True) as administrator:
        administrator.execute(f"CREATE DATABASE verifications OWNER {OWNER}")
    verifications = postgres.url("verifications", OWNER)
    with connect(verifications) as connection:
        prepare_warehouse(connection)
        connection.execute(THINGS + SURROUNDINGS)
    return verifications
