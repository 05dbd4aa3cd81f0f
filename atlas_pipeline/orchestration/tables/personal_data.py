"""What Dagster shows of personal data: the plan of each column, its tags, the leak check; and what it does not show.

Belongs here: metadata, tags and the check's results, all of counts and names. Does not belong here: finding personal
data and sweeping tables (`pii/`).
"""

import json
from collections.abc import Collection, Iterable, Mapping

import dagster as dg
import psycopg

from atlas_pipeline import labels
from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.pii.leaks import LeakReport
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.record import recorded_plans


def as_published(connection: psycopg.Connection, dataset: Dataset) -> Dataset:
    """The dataset with the plans under which its silver table was last published."""
    recorded = recorded_plans(connection, "silver", dataset.name)
    return dataset.planned({column: record.plan for column, record in recorded.items()})


def shown_key(dataset: Dataset) -> list[str]:
    """The key columns of silver whose values tell nothing about a person."""
    plans, kept = dataset.plans, {column.name for column in dataset.published_columns}
    return [name for name in dataset.key if name in kept and not (name in plans and plans[name].personal)]


def leak_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """The blocking check that every silver and gold table has."""
    return dg.AssetCheckSpec(
        labels.LEAK_CHECK,
        asset=asset,
        description="The table holds no personal data that its plan does not know of: all rows are swept, and tags "
        "follow columns to where they are used.",
        blocking=True,
    )


def leak_result(
    asset: dg.AssetKey, report: LeakReport | None, problem: str | None = None, unmasked: Collection[str] = ()
) -> dg.AssetCheckResult:
    """The result of the leak check.

    Args:
        asset: the table that was checked.
        report: of the sweep; null when there was none.
        problem: what failed; null for what the sweep found, if anything.
        unmasked: columns that lineage says are made from personal data that is not masked.
    """
    metadata: dict[str, dg.MetadataValue] = {}
    if report:
        metadata = {
            "rows swept": dg.MetadataValue.int(report.rows),
            "columns swept": dg.MetadataValue.json(report.columns),
            "cells found": dg.MetadataValue.int(sum(sum(rules.values()) for rules in report.found.values())),
        }
        if report.found:
            metadata["found"] = dg.MetadataValue.table(
                [
                    dg.TableRecord({"column": column, "rule": rule, "cells": count})
                    for column, rules in report.found.items()
                    for rule, count in sorted(rules.items())
                ]
            )
            problem = problem or str(report)
    if unmasked:
        metadata["unmasked by lineage"] = dg.MetadataValue.json(sorted(unmasked))
    return dg.AssetCheckResult(
        check_name=labels.LEAK_CHECK,
        asset_key=asset,
        passed=problem is None,
        severity=dg.AssetCheckSeverity.ERROR,
        description=problem,
        metadata=metadata,
    )


def plan_table(plans: Iterable[ColumnPlan]) -> dg.TableMetadataValue:
    """The plan as a table, personal data first: what each column holds, on what evidence, and what is done."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "column": plan.name,
                    "class": plan.column_class,
                    labels.PLAN_ENTITY: plan.entity or "",
                    "confidence": round(plan.confidence, 2),
                    "action": plan.action,
                    "decided": "declared" if plan.declared else "detected",
                    "evidence": json.dumps(dict(plan.evidence), sort_keys=True),
                }
            )
            for plan in sorted(plans, key=lambda plan: not plan.personal)
        ]
    )


def pii_tags(plan: ColumnPlan | None) -> Mapping[str, str]:
    """The tags of a column that was made from personal data; empty for one that was not."""
    if plan is None or plan.entity is None or not plan.personal:
        return {}
    return {labels.PII_TAG: plan.entity, labels.ACTION_TAG: plan.action}
