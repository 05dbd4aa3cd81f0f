"""What tests of backups are handed: empty databases and another server."""

from collections.abc import Callable, Iterator

import pytest

from atlas_pipeline.warehouse.embedded import EmbeddedPostgres
from atlas_pipeline_tests.backup.pg_dump_harness import databases
from atlas_pipeline_tests.servers import own_postgres


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[Callable[[], str]]:
    """Make empty databases, which are dropped at the end."""
    with databases(postgres) as make:
        yield make


@pytest.fixture
def elsewhere() -> Iterator[EmbeddedPostgres]:
    """Another server, without any roles."""
    with own_postgres() as server:
        yield server
