"""Storage and compute logs of `dagster.yaml`: Dagster's own, in Postgres and under `ATLAS_HOME`.

Belongs here: the bridge from Atlas's settings to Dagster's instance. With it `dagster dev`, `dg dev` and
`dagster asset materialize` work without a variable set: whichever process comes first starts the embedded server.
"""

from typing import Any, Self

from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import event, exc, pool

from atlas_pipeline.instance import logging, warm_runs
from atlas_pipeline.settings import load_settings
from atlas_pipeline.telemetry.setup import process_name
from atlas_pipeline.warehouse.location import dagster_url


@event.listens_for(pool.QueuePool, "checkout")
def _refuse_what_is_gone(connection: Any, record: object, proxy: object) -> None:
    """Reconnect a pooled connection that Postgres dropped, or the web server would answer 500 once after a restart.

    SQLAlchemy's `pool_pre_ping`, which Dagster gives no way to set.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except connection.OperationalError as error:
        raise exc.DisconnectionError from error


class _WithoutConfig:
    """A part of the instance that Atlas's settings configure, and `dagster.yaml` only names."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No configuration in `dagster.yaml`."""
        return {}


class AtlasDagsterStorage(_WithoutConfig, DagsterPostgresStorage):
    """Runs, events and schedules in the database that `ATLAS_DAGSTER_DATABASE_URL` names, or the embedded one."""

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData | None, config_value: dict[str, Any]
    ) -> Self:
        """Build the storage, starting the embedded server if it is used.

        Every process of Dagster calls this when it starts, so it sets up logging, and warm runs in a code server.
        """
        logging.begin()
        if process_name() == "code":
            warm_runs.install()
        return cls(postgres_url=dagster_url(load_settings()), inst_data=inst_data)


class AtlasComputeLogManager(_WithoutConfig, LocalComputeLogManager):
    """Standard output and error of steps, in `ATLAS_HOME`/logs."""

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData | None, config_value: dict[str, Any]
    ) -> Self:
        """Build the manager over the folder of this installation."""
        return cls(base_dir=str(load_settings().home_path / "logs"), inst_data=inst_data)
