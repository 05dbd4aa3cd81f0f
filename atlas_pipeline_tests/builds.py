"""Builds of silver and gold without Dagster and without a contract."""

from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.ingest.silver import Staged
from atlas_pipeline.quality.outcome import Check, Outcome
from atlas_pipeline.warehouse import gold
from atlas_pipeline.warehouse.publish import table_lock


def holds(dataset: Dataset, staged: Staged) -> list[Outcome]:
    """A contract in which every check passes."""
    return []


def fails(dataset: Dataset, staged: Staged) -> list[Outcome]:
    """A contract in which a check fails that blocks publishing."""
    return [Outcome(Check("checks.schema", "schema", None, "schema", "error", "validity"), "failed")]


def build_gold(build: gold.GoldBuild) -> None:
    """Run a model and publish its table."""
    with table_lock(build.connection, "gold", build.name, 600):
        staged = gold.stage(build)
        with build.connection.transaction():
            gold.publish(build, staged)
