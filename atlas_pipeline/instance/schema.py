"""The schema of Dagster's own database: its revision, the head revision of this Dagster, and the migration between.

Belongs here: revisions and the migration that comes with Dagster. Does not belong here: Atlas's schema
(`warehouse/bootstrap.py`), and who may migrate when (`cli/migrate.py`).
"""

from collections.abc import Callable

import dagster as dg
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from dagster._core.storage.sql import get_alembic_config
from dagster_postgres import utils

from atlas_pipeline.warehouse.connect import WarehouseError, connect, where


def check(url: str) -> None:
    """Raise WarehouseError unless the database is at the revision of this Dagster."""
    before, head = revision_of(url), _known(url, revision_of(url))
    if before != head:
        state = "has no tables of Dagster" if before is None else f"is at revision {before} of Dagster's schema"
        raise WarehouseError(
            f"Postgres at {where(_libpq(url))} {state}, and Dagster {dg.__version__} is at {head}: run `atlas migrate`"
        )


def migrate(url: str, show: Callable[[str], None]) -> dict[str, str | None]:
    """Migrate the database to the head revision of this Dagster, through the instance of `DAGSTER_HOME`.

    Args:
        url: SQLAlchemy URL of Dagster's database.
        show: takes a line of progress.

    Returns:
        The revisions `from` (null of a new database) and `to`.

    Raises:
        WarehouseError: the database is at a revision that this Dagster does not know.
    """
    before = revision_of(url)
    head = _known(url, before)
    if before != head:
        # A new database gets its tables when the instance is loaded.
        with dg.DagsterInstance.get() as instance:
            if before is not None:
                instance.upgrade(show)
    return {"from": before, "to": revision_of(url)}


def revision_of(url: str) -> str | None:
    """The revision recorded in the database; null when it has none of Dagster's tables."""
    with connect(_libpq(url)) as connection:
        found = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
        if not found or found[0] is None:
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return row[0] if row else None


def _known(url: str, revision: str | None) -> str:
    """The revision of this Dagster. Raises WarehouseError when it does not know that of the database."""
    scripts = ScriptDirectory.from_config(get_alembic_config(utils.__file__, config_path="alembic/alembic.ini"))
    head = scripts.get_current_head()
    assert head is not None
    try:
        if revision is not None:
            scripts.get_revision(revision)
    except CommandError:
        raise WarehouseError(
            f"Postgres at {where(_libpq(url))} is at revision {revision} of Dagster's schema, which Dagster "
            f"{dg.__version__} (at {head}) does not know: a later version has been here. Run that version, or restore "
            "a backup from before it"
        ) from None
    return head


def _libpq(url: str) -> str:
    return url.replace("+psycopg2", "", 1)
