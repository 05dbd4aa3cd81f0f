"""Where the two databases are: on the embedded server by default, on a server of the user's own by setting.

Belongs here: their URLs. Does not belong here: connecting (`connect.py`) and what is inside (`bootstrap.py`).
"""

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from atlas_pipeline.settings import Settings
from atlas_pipeline.warehouse.bootstrap import prepare_embedded
from atlas_pipeline.warehouse.connect import DAGSTER, OWNER, WAREHOUSE
from atlas_pipeline.warehouse.embedded import EmbeddedPostgres

_prepared: set[Path] = set()


def warehouse_url(settings: Settings) -> str:
    """libpq URL of the warehouse, after starting the embedded server when that is what holds it."""
    if settings.database_url:
        return settings.database_url.get_secret_value()
    return _embedded(settings).url(WAREHOUSE, OWNER)


def dagster_url(settings: Settings) -> str:
    """SQLAlchemy URL of Dagster's database, naming the psycopg2 driver that dagster-postgres needs."""
    if settings.dagster_database_url:
        url = settings.dagster_database_url.get_secret_value()
    else:
        url = _embedded(settings).url(DAGSTER, OWNER)
    return urlunsplit(urlsplit(url)._replace(scheme="postgresql+psycopg2"))


def _embedded(settings: Settings) -> EmbeddedPostgres:
    home = settings.home_path
    server = EmbeddedPostgres.running(home)
    if home not in _prepared:
        prepare_embedded(server)
        _prepared.add(home)
    return server
