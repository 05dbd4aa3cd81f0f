"""The asset silver/<name>_history of a dataset: what it declares, its checks, and what they show in the UI.

Belongs here: Dagster's side of a table of history. Does not belong here: the step, which is that of silver
(`silver.py`), since one transaction publishes both; and what is in the table (`ingest/history.py`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import psycopg

from atlas_pipeline import labels
from atlas_pipeline.ingest.dataset import MISSING_SINCE, VALID_FROM, VALID_TO, Dataset
from atlas_pipeline.ingest.history import inconsistent
from atlas_pipeline.ingest.silver import SilverResult
from atlas_pipeline.orchestration.tables.catalogue_link import catalogue_link
from atlas_pipeline.orchestration.tables.checks import check_result, check_spec, score_metadata
from atlas_pipeline.orchestration.tables.personal_data import as_published, leak_result, leak_spec, pii_tags, plan_table
from atlas_pipeline.pii.leaks import sweep_table
from atlas_pipeline.quality.generated import HISTORY_CONSISTENT, history_consistent
from atlas_pipeline.quality.history import record_outcomes
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.warehouse.publish import published

Result = dg.MaterializeResult | dg.AssetCheckResult


class HistoryAsset:
    """The asset of a dataset's table of history.

    Args:
        dataset: as declared.
        spec: arguments of silver's spec, of which owners and tags are history's too.
        column_tags: declared tags of each column.
    """

    def __init__(self, dataset: Dataset, spec: Mapping[str, Any], column_tags: Mapping[str, Mapping[str, str]]):
        self.dataset = dataset
        self.key = dg.AssetKey(["silver", dataset.history_name])
        self._shared = {name: spec[name] for name in ("owners", "tags") if name in spec}
        self._column_tags = column_tags
        self._outcomes: list[Outcome] = []
        self._scores: dict[str, Any] = {}

    def spec(self, planned: Dataset) -> dg.AssetSpec:
        """What Dagster declares of it."""
        return dg.AssetSpec(
            key=self.key,
            deps=[dg.AssetKey(["bronze", self.dataset.name])],
            group_name="silver",
            kinds={"postgres"},
            description=f"Each version of each row of {self.dataset.name}, with `{VALID_FROM}` and `{VALID_TO}`, "
            "which is empty for those that hold now.",
            metadata={
                "dagster/table_name": f"silver.{self.dataset.history_name}",
                **self._columns(planned),
                **catalogue_link(self.key),
            },
            **self._shared,
        )

    @property
    def check_specs(self) -> list[dg.AssetCheckSpec]:
        """Its checks."""
        return [leak_spec(self.key), check_spec(self.key, HISTORY_CONSISTENT, HISTORY_CONSISTENT.path)]

    def measure(self, connection: psycopg.Connection, run_id: str) -> None:
        """Compare the published table with itself and with silver, and write down what came of it; commits."""
        missing = MISSING_SINCE if self.dataset.intake.flag_missing else None
        planned = as_published(connection, self.dataset)
        self._outcomes = [history_consistent(*inconsistent(connection, planned, missing))]
        name = self.dataset.history_name
        scores = record_outcomes(connection, "silver", name, run_id, self._outcomes, published=True)
        self._scores = score_metadata(scores)
        connection.commit()

    def results(self, result: SilverResult[Outcome]) -> Iterator[Result]:
        """What a build came to, after `measure` when it was published."""
        if result.published and result.published.history is not None:
            staged = result.staged.history
            metadata: dict[str, Any] = {
                "dagster/row_count": result.published.history,
                labels.ROWS_PUBLISHED: result.published.history,
                "built anew": bool(staged and staged.anew),
                labels.PERSONAL_DATA_COLUMNS: sum(1 for plan in result.plans if plan.personal),
                labels.PERSONAL_DATA_PLAN: plan_table(result.plans),
            }
            yield dg.MaterializeResult(
                asset_key=self.key, metadata=metadata | self._columns(result.dataset) | self._scores
            )
        yield leak_result(self.key, result.audited.history_leaks)
        yield from self._checked()

    def check(self, connection: psycopg.Connection, planned: Dataset, run_id: str) -> Iterator[dg.AssetCheckResult]:
        """Its checks, on the table as it is. Raises dg.Failure when it was never published."""
        if published(connection, "silver", self.dataset.history_name) is None:
            raise dg.Failure(f"{self.key.to_user_string()} is not there: materialize it first", allow_retries=False)
        self.measure(connection, run_id)
        report = sweep_table(connection, "silver", self.dataset.history_name, planned.plans, planned.policy.rules)
        yield leak_result(self.key, report)
        yield from self._checked()

    def _checked(self) -> Iterator[dg.AssetCheckResult]:
        yield from (check_result(self.key, outcome, outcome.check.path) for outcome in self._outcomes)

    def _columns(self, planned: Dataset) -> dict[str, Any]:
        bronze = dg.AssetKey(["bronze", self.dataset.name])
        columns = [
            dg.TableColumn(
                column.name,
                column.postgres_type,
                column.description,
                tags=dict(self._column_tags.get(column.name, {})) | dict(pii_tags(column.plan)),
            )
            for column in planned.published_columns
        ]
        times = {VALID_FROM: "Since when the version holds.", VALID_TO: "Until when it did; empty if it does."}
        columns += [dg.TableColumn(name, "timestamptz", text) for name, text in times.items()]
        lineage = {column.name: [dg.TableColumnDep(bronze, column.name)] for column in planned.published_columns}
        return {
            "dagster/column_schema": dg.TableSchema(columns),
            "dagster/column_lineage": dg.TableColumnLineage(lineage),
        }
