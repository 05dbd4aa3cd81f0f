"""The unit tests of a gold model as an asset check.

Belongs here: the check and its result. Does not belong here: reading and running tests (`quality/model_tests/`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from atlas_pipeline import labels
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.quality.model_tests.file import UnitTest
from atlas_pipeline.quality.model_tests.running import Sources, run_test


@dataclass(frozen=True)
class ModelTests:
    """The tests of a model, and what tables they are run on."""

    tests: Sequence[UnitTest]
    sources: Sources


def unit_tests_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check of a model that has tests. The table is not published while one of them fails."""
    return dg.AssetCheckSpec(
        labels.UNIT_TESTS,
        asset=asset,
        description="The model makes of given rows what is expected (`tests/` beside its SQL).",
    )


def unit_tests_result(warehouse: WarehouseResource, asset: dg.AssetKey, tested: ModelTests) -> dg.AssetCheckResult:
    """Run the tests, beside the tables of the project.

    Args:
        warehouse: where they are run; nothing of it stays.
        asset: gold/<name>.
        tested: the model's tests.
    """
    with warehouse.connect() as connection:
        results = [run_test(connection, tested.sources, asset.path[-1], test) for test in tested.tests]
    failed = [result for result in results if not result.passed]
    metadata: dict[str, dg.MetadataValue] = {"tests": dg.MetadataValue.int(len(results))}
    if failed:
        lines = [
            f"{result.test.name} ({result.test.path.name}:{result.test.line}): "
            + (result.problem or f"{sum(one.times for one in result.differences)} rows differ")
            for result in failed
        ]
        metadata["failed"] = dg.MetadataValue.text("\n".join(lines))
        metadata["look"] = dg.MetadataValue.text(f"atlas test {asset.path[-1]}")
    return dg.AssetCheckResult(passed=not failed, asset_key=asset, check_name=labels.UNIT_TESTS, metadata=metadata)
