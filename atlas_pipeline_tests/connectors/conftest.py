"""What tests of connectors are handed: one run of a dataset by Dagster, and what its steps say.

Belongs here: projects with one dataset. Does not belong here: the servers that it extracts from.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster.components.testing import create_defs_folder_sandbox

from atlas_pipeline_tests import projects

Run = Callable[..., dg.ExecuteInProcessResult]
Read = Callable[..., list[tuple[Any, ...]]]

DEFS = "type: atlas_pipeline.components.Dataset\nattributes:\n"


@pytest.fixture
def run(atlas_env: Path) -> Run:
    """One run of bronze and silver of the dataset `things`, whose attributes are this YAML."""

    def materialize(attributes: str) -> dg.ExecuteInProcessResult:
        with create_defs_folder_sandbox() as sandbox:
            text = "".join(f"  {line}\n" for line in attributes.strip("\n").splitlines())
            projects.write(sandbox, {"things/defs.yaml": DEFS + text})
            found = projects.load(sandbox)
        with dg.DagsterInstance.ephemeral() as instance:
            job = found.resolve_implicit_global_asset_job_def()
            return job.execute_in_process(instance=instance, raise_on_error=False)

    return materialize


@pytest.fixture
def read(warehouse: psycopg.Connection) -> Read:
    """Rows of the warehouse as they are now."""

    def rows(statement: str) -> list[tuple[Any, ...]]:
        found = warehouse.execute(statement).fetchall()  # type: ignore[arg-type]
        warehouse.commit()
        return found

    return rows


def problem(result: dg.ExecuteInProcessResult) -> str:
    """What the failed step says."""
    assert not result.success
    (event, *_) = [event for event in result.all_events if event.is_step_failure]
    failure = event.step_failure_data.user_failure_data
    assert failure is not None, event.step_failure_data.error
    return str(failure.description)
