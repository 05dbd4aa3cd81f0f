"""Columns that refer to rows of another dataset, and the checks that they do.

Belongs here: which columns refer to what, as declared or by the names of keys, and the step that checks it once both
tables are built. Does not belong here: the SQL (`quality/generated.py`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.ingest.planning import decided
from atlas_pipeline.orchestration.tables.checks import TableAudit, TableChecks, check_name, check_spec
from atlas_pipeline.orchestration.tables.personal_data import as_published, shown_key
from atlas_pipeline.orchestration.tables.steps import RETRY
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.quality.generated import reference_check, references_hold
from atlas_pipeline.quality.outcome import Check

NOWHERE = "none"
_NAMES_A_ROW = re.compile(r"_(id|key|code|number|no)$")
"""A column called `id` or `name` may mean anything; `customer_id` means a customer."""


@dataclass(frozen=True)
class Reference:
    """`column` holds values of silver.`table`.`referenced`."""

    column: str
    table: str
    referenced: str

    @property
    def check(self) -> Check:
        """The check that it does."""
        return reference_check(self.column, self.table, self.referenced)


def inferred(dataset: Dataset, others: Mapping[str, Dataset], but: Sequence[str]) -> Iterator[Reference]:
    """A column with the name and type of the whole key of one other dataset refers to it.

    Args:
        dataset: whose columns are looked at.
        others: all datasets by name.
        but: columns that are left out.
    """
    for column in dataset.columns:
        if column.name in but or column.name in dataset.key or not _NAMES_A_ROW.search(column.name):
            continue
        targets = [
            name
            for name, other in others.items()
            if other.key == (column.name,) and _as_published(other, column.name) == _as_published(dataset, column.name)
        ]
        if len(targets) == 1 and targets[0] != dataset.name:
            yield Reference(column.name, targets[0], column.name)


def _as_published(dataset: Dataset, name: str) -> tuple[str, str] | None:
    """What decides whether values of two tables can be equal: the column's type, and what is done with it."""
    planned = dataset.planned(decided(dataset, {}))
    column = next((column for column in planned.published_columns if column.name == name), None)
    return (column.postgres_type, planned.plans[name].action) if column else None


def reference_checks(
    dataset: Dataset, references: Sequence[Reference], checks: TableChecks
) -> dg.AssetChecksDefinition | None:
    """The step that checks the references of silver/<name>, after the tables that it refers to; null without any.

    Args:
        dataset: as declared.
        references: of its columns.
        checks: of the table.
    """
    if not references:
        return None
    by_name = {check_name(reference.check): reference for reference in references}

    @dg.multi_asset_check(
        name=f"references__{dataset.name}",
        specs=[
            check_spec(checks.asset, reference.check, name, {dg.AssetKey(["silver", reference.table])} - {checks.asset})
            for name, reference in by_name.items()
        ],
        can_subset=True,
        retry_policy=RETRY,
        pool=f"silver_{dataset.name}",
    )
    def check_references(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
    ) -> Iterator[dg.AssetCheckResult]:
        names = {key.name for key in context.selected_asset_check_keys}
        audit = TableAudit(checks, warehouse.url, context.run.run_id, names=names)
        with warehouse.connect() as connection:
            key = shown_key(as_published(connection, dataset))
            outcomes = []
            for name in sorted(names):
                to = by_name[name]
                outcomes.append(
                    references_hold(connection, to.check, dataset.name, to.column, to.table, to.referenced, key)
                )
            audit.record(connection, outcomes, published=True)
        yield from audit.results(outcomes, key)

    return check_references
