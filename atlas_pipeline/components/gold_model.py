"""The `GoldModel` component: a folder with `model.sql` becomes gold/<name>.

Belongs here: the YAML's fields and the asset; dependencies and column lineage as the SQL says. Does not belong here:
reading SQL (`warehouse/sql_lineage.py`) and running it (`warehouse/gold.py`).
"""

import time
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import dagster as dg
from pydantic import Field

from atlas_pipeline.components.dataset import Dataset
from atlas_pipeline.components.declaration import Declared, by_table, once
from atlas_pipeline.components.freshness import Freshness, freshness_policy
from atlas_pipeline.components.personal_data import LEAK_CHECK, leak_result, leak_spec, pii_tags, plan_table
from atlas_pipeline.components.steps import RETRY, progress_log
from atlas_pipeline.components.table_checks import Audit, TableChecks
from atlas_pipeline.pii.gold_audit import GoldAudit
from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.resources.warehouse import WarehouseResource
from atlas_pipeline.warehouse import gold
from atlas_pipeline.warehouse.publish import PublishError, TableBusy, published, table_lock
from atlas_pipeline.warehouse.sql_lineage import (
    Model,
    check_tables,
    column_lineage,
    order_models,
    output_columns,
    read_model,
)

Catalog = dict[tuple[str, str], list[str]]


class GoldModel(Declared):
    """One SELECT over silver and gold, in `model.sql` beside this file, as a gold table."""

    name: str | None = Field(None, description="Name of the table. Default: the name of the folder.")
    description: str | None = Field(None, description="What the table answers; shown in the UI.")
    key: str | list[str] = Field(
        [], description="Column or columns that identify a row; they become the table's primary key."
    )
    allow_personal_data: list[str] = Field(
        [], description="Columns that may hold personal data which silver keeps; others made from it are refused."
    )
    freshness: Freshness | None = Field(None, description="How old it may get before the UI says that it is stale.")
    owners: list[str] = Field([], description="E-mail addresses, or team:<name>.")
    tags: dict[str, str] = Field({}, description="Tags of the asset.")

    @property
    def table(self) -> str:
        """Name of the table."""
        return self.checked_name(self.name or self.folder.name)

    @cached_property
    def parsed(self) -> Model:
        """The SQL, read once. Raises sql_lineage.ModelError naming file and line; DeclarationError without a file."""
        path = self.folder / "model.sql"
        if not path.exists():
            raise self.fail("a gold model needs a model.sql beside its defs.yaml")
        return read_model(path.read_text(encoding="utf-8"), path)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset, its dependencies and column lineage read from the SQL."""
        name, model = self.table, self.parsed
        catalog = _catalog(context)
        check_tables(model, catalog)
        lineage = column_lineage(model, catalog)
        columns = list(lineage)
        key = [self.key] if isinstance(self.key, str) else self.key
        for column in key:
            if column not in columns:
                raise self.fail(f"key names {column!r}, which the model does not select: {', '.join(columns)}", "key")
        for index, column in enumerate(self.allow_personal_data):
            if column not in columns:
                expected = ", ".join(columns)
                raise self.fail(
                    f"allow_personal_data names {column!r}, which the model does not select: {expected}",
                    "allow_personal_data",
                    index,
                )
        checks = TableChecks(dg.AssetKey(["gold", name]), self.contract, columns, reserved=[LEAK_CHECK])
        deps = [dg.AssetKey([table.schema, table.name]) for table in model.tables]
        rules = _rules(context)
        column_deps = dg.TableColumnLineage(
            {
                column: [dg.TableColumnDep(dg.AssetKey([s.schema, s.table]), s.column) for s in sources]
                for column, sources in lineage.items()
            }
        )

        spec = dg.AssetSpec(
            key=checks.asset,
            deps=deps,
            group_name="gold",
            description=self.description,
            kinds={"postgres", "sql"},
            owners=self.owners,
            tags=self.tags,
            metadata={"dagster/table_name": f"gold.{name}", "dagster/column_lineage": column_deps},
            automation_condition=dg.AutomationCondition.eager(),
            freshness_policy=freshness_policy(self, self.freshness),
        )

        def leaks(audit: GoldAudit) -> dg.AssetCheckResult:
            return leak_result(checks.asset, audit.report, audit.problem, audit.unmasked)

        @dg.multi_asset(
            name=f"gold__{name}",
            specs=[spec],
            check_specs=[leak_spec(checks.asset), *checks.specs],
            can_subset=True,
            retry_policy=RETRY,
            pool=f"gold_{name}",
        )
        def run_model(
            context: dg.AssetExecutionContext, warehouse: WarehouseResource
        ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
            started = time.monotonic()
            wait, alone = warehouse.settings.lock_timeout_seconds, checks.asset not in context.selected_asset_keys
            names = {one.name for one in context.selected_asset_check_keys} if alone else None
            audit = Audit(checks, warehouse.url, context.run.run_id, names=names)
            try:
                with warehouse.connect() as connection:
                    privacy = GoldAudit(connection, name, lineage, self.allow_personal_data, rules)
                    audit.show([one for one in key if not privacy.plans[one].personal])

                    def verify(schema: str, table: str) -> bool:
                        held = audit.verify(schema, table)
                        return privacy.passes(schema, table) and held

                    if names is not None:
                        with table_lock(connection, "gold", name, wait):
                            if published(connection, "gold", name) is None:
                                raise dg.Failure(f"gold.{name} is not there: materialize it first", allow_retries=False)
                            verify("gold", name)
                            audit.record(connection, published=True)
                        if LEAK_CHECK in names:
                            yield leaks(privacy)
                        yield from audit.results()
                        return
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
                if privacy.report:
                    yield leaks(privacy)
                    yield from audit.results()
                reasons = "; ".join(filter(None, [privacy.problem, audit.problem]))
                raise dg.Failure(
                    f"{model.path}: {error}" + (f" Failed: {reasons}" if reasons else ""), allow_retries=False
                ) from None
            schema = [dg.TableColumn(c, t, tags=dict(pii_tags(privacy.plans.get(c)))) for c, t in types.items()]
            metadata: dict[str, Any] = {
                "dagster/row_count": result.published,
                "dagster/column_schema": dg.TableSchema(schema),
                "dagster/column_lineage": column_deps,
                "rows published": result.published,
                "rows before": result.before if result.before is not None else 0,
                **scores,
                "personal-data columns": sum(1 for plan in privacy.plans.values() if plan.personal),
                "personal-data plan": plan_table(privacy.plans.values()),
                "seconds": round(time.monotonic() - started, 3),
            }
            yield dg.MaterializeResult(asset_key=checks.asset, metadata=metadata)
            yield leaks(privacy)
            yield from audit.results()

        return dg.Definitions(assets=[run_model])


def _catalog(context: dg.ComponentLoadContext) -> Catalog:
    """The columns of every silver and gold table of the project. Raises ModelError on cycles between models."""

    def collect() -> Catalog:
        datasets, components = by_table(context, Dataset, "silver"), by_table(context, GoldModel, "gold")
        catalog: Catalog = {("silver", name): one.published_names for name, one in datasets.items()}
        models = {name: one.parsed for name, one in components.items()}
        catalog |= {("gold", name): [] for name in models}
        for name in order_models(models):
            check_tables(models[name], catalog)
            catalog["gold", name] = output_columns(models[name], catalog)
        return catalog

    return once(context.component_tree, "catalog", collect)


def _rules(context: dg.ComponentLoadContext) -> Rules:
    """What the project's datasets allow and deny, which holds where their columns go."""

    def collect() -> Rules:
        rules = [dataset.declared.policy.rules for dataset in by_table(context, Dataset, "silver").values()]
        return Rules(
            allow=frozenset().union(*(one.allow for one in rules)), deny=frozenset().union(*(one.deny for one in rules))
        )

    return once(context.component_tree, "rules", collect)
