"""The asset gold/<name> of a model, its checks, and what they show in the UI.

Belongs here: Dagster's side of a model: its step, metadata, check results; dependencies and column lineage as the SQL
says. Does not belong here: the YAML (`gold_model.py`), running SQL (`warehouse/gold.py`) and measuring (`quality/`).
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import psycopg

from atlas_pipeline import labels
from atlas_pipeline.orchestration.tables.checks import Audit, TableChecks
from atlas_pipeline.orchestration.tables.personal_data import leak_result, leak_spec, pii_tags, plan_table
from atlas_pipeline.orchestration.tables.steps import RETRY, progress_log
from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.pii.gold_audit import GoldAudit, Source
from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.sql.lineage import Model
from atlas_pipeline.warehouse import gold
from atlas_pipeline.warehouse.publish import PublishError, TableBusy, published, table_lock


def gold_asset(
    model: Model,
    lineage: Mapping[str, Sequence[Source]],
    key: Sequence[str],
    allowed: Collection[str],
    rules: Rules,
    spec: Mapping[str, Any],
    checks: TableChecks,
) -> dg.AssetsDefinition:
    """gold/<name>: a SELECT as a table, published only when its contract holds and it holds no unknown personal data.

    `spec` is for the asset. Its checks can also be run alone, on what is published.
    """
    name = checks.asset.path[-1]
    column_deps = dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(dg.AssetKey([one.schema, one.table]), one.column) for one in sources]
            for column, sources in lineage.items()
        }
    )

    @dg.multi_asset(
        name=f"gold__{name}",
        specs=[
            dg.AssetSpec(
                key=checks.asset,
                deps=[dg.AssetKey([table.schema, table.name]) for table in model.tables],
                group_name="gold",
                kinds={"postgres", "sql"},
                metadata={"dagster/table_name": f"gold.{name}", "dagster/column_lineage": column_deps},
                automation_condition=dg.AutomationCondition.eager(),
                **spec,
            )
        ],
        check_specs=[leak_spec(checks.asset), *checks.specs],
        can_subset=True,
        retry_policy=RETRY,
        pool=f"gold_{name}",
    )
    def run_model(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        started = time.monotonic()
        wait = warehouse.settings.lock_timeout_seconds
        alone = checks.asset not in context.selected_asset_keys
        names = {one.name for one in context.selected_asset_check_keys} if alone else None
        audit = Audit(checks, warehouse.url, context.run.run_id, names=names)
        try:
            with warehouse.connect() as connection:
                privacy = GoldAudit(connection, name, lineage, allowed, rules)
                audit.show([one for one in key if not privacy.plans[one].personal])

                def verify(schema: str, table: str) -> bool:
                    held = audit.verify(schema, table)
                    return privacy.passes(schema, table) and held

                if names is not None:
                    with table_lock(connection, "gold", name, wait):
                        _check_published(connection, name, audit, privacy if labels.LEAK_CHECK in names else None)
                else:
                    try:
                        result = gold.build(
                            connection,
                            name,
                            model.statement,
                            batch=context.run.run_id,
                            verify=verify,
                            key=key,
                            record=privacy.record,
                            lock_seconds=wait,
                            progress=progress_log(context),
                        )
                    except gold.ModelFailed:
                        audit.record(connection, published=False)
                        raise
                    scores = audit.record(connection, published=True)
                    types = gold.column_types(connection, name)
        except (gold.ModelFailed, PublishError, TableBusy) as error:
            yield from _results(checks.asset, audit, privacy)
            reasons = "; ".join(filter(None, [privacy.problem, audit.problem]))
            raise dg.Failure(
                f"{model.path}: {error}" + (f" Failed: {reasons}" if reasons else ""), allow_retries=False
            ) from None
        if not alone:
            schema = [dg.TableColumn(c, t, tags=dict(pii_tags(privacy.plans.get(c)))) for c, t in types.items()]
            metadata: dict[str, Any] = {
                "dagster/row_count": result.published,
                "dagster/column_schema": dg.TableSchema(schema),
                "dagster/column_lineage": column_deps,
                labels.ROWS_PUBLISHED: result.published,
                "rows before": result.before if result.before is not None else 0,
                **scores,
                labels.PERSONAL_DATA_COLUMNS: sum(1 for plan in privacy.plans.values() if plan.personal),
                labels.PERSONAL_DATA_PLAN: plan_table(privacy.plans.values()),
                labels.SECONDS: round(time.monotonic() - started, 3),
            }
            yield dg.MaterializeResult(asset_key=checks.asset, metadata=metadata)
        yield from _results(checks.asset, audit, privacy)

    return run_model


def _check_published(connection: psycopg.Connection, name: str, audit: Audit, privacy: GoldAudit | None) -> None:
    """The checks that were asked for, on the table as it is; the leak check if `privacy` is given."""
    if published(connection, "gold", name) is None:
        raise dg.Failure(f"gold.{name} is not there: materialize it first", allow_retries=False)
    audit.verify("gold", name)
    audit.record(connection, published=True)
    if privacy:
        privacy.passes("gold", name)


def _results(asset: dg.AssetKey, audit: Audit, privacy: GoldAudit) -> Iterator[dg.AssetCheckResult]:
    if privacy.report:
        yield leak_result(asset, privacy.report, privacy.problem, privacy.unmasked)
    yield from audit.results()
