"""The warehouse as a Dagster resource: settings in, connections out.

Belongs here: what assets, checks and sensors are handed. Does not belong here: SQL.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import psycopg

from atlas_pipeline.settings import Settings, load_settings
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.location import warehouse_url

_prepared: set[str] = set()


class WarehouseResource(dg.ConfigurableResource[None]):
    """The Postgres that holds bronze, silver and gold, as the settings of this process describe it."""

    @property
    def settings(self) -> Settings:
        """The settings of this process."""
        return load_settings()

    @property
    def url(self) -> str:
        """Connection URL; starts the embedded server if that is where the warehouse is."""
        return warehouse_url(self.settings)

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection]:
        """A connection as the pipeline's role, with schemas and ledger in place."""
        url = self.url
        with connect(url) as connection:
            if url not in _prepared:
                for warning in prepare_warehouse(connection):
                    dg.get_dagster_logger().warning(warning)
                _prepared.add(url)
            yield connection


def with_warehouse(loaded: dg.Definitions) -> dg.Definitions:
    """Definitions and the resource that all assets need."""
    return dg.Definitions.merge(loaded, dg.Definitions(resources={"warehouse": WarehouseResource()}))
