"""`atlas migrate`: migrates the schemas of Dagster and Atlas to this version, in one process at a time.

Belongs here: order, lock and progress. Does not belong here: the schemas themselves (`warehouse/schema.sql`, and the
revisions that come with Dagster), and what a database of a later version means (`instance/schema.py`,
`warehouse/bootstrap.py`).
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from atlas_pipeline.cli.output import ERR, OUT, failures_as_messages, print_json, progress
from atlas_pipeline.instance.home import dagster_home
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse import bootstrap
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.location import dagster_url, warehouse_url

LOCK = 0x6174_6C61_736D
"""Key of the advisory lock in the warehouse that serialises migrations."""
_LOOK_SECONDS = 0.5


def run(json: bool) -> int:
    """Migrate both schemas and print what was done. Returns the exit code."""
    with failures_as_messages(), progress("connecting to the databases") as show:
        settings = load_settings()
        os.environ["DAGSTER_HOME"] = str(dagster_home(settings))
        with connect(warehouse_url(settings)) as connection, _alone(connection, show):
            from atlas_pipeline.instance import schema

            before = bootstrap.version_of(connection)
            connection.rollback()
            show("the schema of Atlas")
            warnings = bootstrap.prepare_warehouse(connection)
            after = bootstrap.version_of(connection)
            connection.rollback()
            show("the schema of Dagster")
            dagster = schema.migrate(dagster_url(settings), show)
    for warning in warnings:
        ERR.print(f"atlas: {warning}", markup=False, highlight=False)
    warehouse = {"from": before, "to": after}
    if json:
        print_json({"warehouse": warehouse, "dagster": dagster, "warnings": warnings})
        return 0
    for name, versions in (("Atlas", warehouse), ("Dagster", dagster)):
        was, now = versions["from"], versions["to"]
        state = f"already at {now}" if was == now else f"{'new' if was is None else f'at {was}'}, now at {now}"
        OUT.print(f"{name}: {state}", highlight=False)
    return 0


@contextmanager
def _alone(connection: psycopg.Connection, show: Callable[[str], None]) -> Iterator[None]:
    """Hold the migration lock while the body runs, waiting for it if need be; the connection's end releases it."""
    while True:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()
        connection.rollback()
        if row and row[0]:
            break
        show("waiting for another process that migrates")
        time.sleep(_LOOK_SECONDS)
    yield
