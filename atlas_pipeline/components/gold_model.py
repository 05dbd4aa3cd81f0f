"""The `GoldModel` component: a folder with `model.sql` becomes gold/<name>.

Belongs here: the YAML's fields, and the tables that models may read. Does not belong here: the asset
(`orchestration/tables/gold.py`), reading SQL (`sql/lineage.py`) and running it (`warehouse/gold.py`).
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import dagster as dg
from pydantic import Field

from atlas_pipeline import labels
from atlas_pipeline.components.dataset import Dataset, people_of
from atlas_pipeline.components.declaration import Described, TableFields, absent_tables, by_table, memoize_per_tree
from atlas_pipeline.components.freshness import Freshness, freshness_policy
from atlas_pipeline.components.privacy import OfPersons
from atlas_pipeline.ingest.copying import FILE_ID
from atlas_pipeline.ingest.dataset import deleted_name
from atlas_pipeline.orchestration.tables.checks import TableChecks
from atlas_pipeline.orchestration.tables.gold import GoldTable, gold_asset
from atlas_pipeline.orchestration.tables.model_tests import ModelTests
from atlas_pipeline.orchestration.tables.small_groups import GroupRule, People
from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.pii.small_groups import Cells, OnSmall
from atlas_pipeline.quality.model_tests.file import UnitTest, read_tests
from atlas_pipeline.quality.model_tests.running import Sources
from atlas_pipeline.settings import load_settings
from atlas_pipeline.sql.increments import followed, over
from atlas_pipeline.sql.lineage import (
    Model,
    check_tables,
    column_lineage,
    disguises,
    order_models,
    output_columns,
    read_model,
)
from atlas_pipeline.warehouse.increments import Incremental, part_of

Catalog = dict[tuple[str, str], list[str]]


class GroupsOfFew(Described):
    """What holds for rows that are made of the data of few persons."""

    of: str | None = Field(
        None, description="Column of the tables it reads whose values are counted. Default: the subjects of these."
    )
    at_least: int | None = Field(
        None, ge=2, description="Persons that a group must have. Default: `ATLAS_CELLS_AT_LEAST`."
    )
    on_small: OnSmall | None = Field(
        None,
        description="What is done with smaller groups: `fail` publishes nothing, `suppress` withholds them, and more "
        "where totals would give them away. Default: `ATLAS_CELLS_ON_SMALL`.",
    )
    exempt: str | None = Field(None, min_length=1, description="Why small groups may be shown; it is recorded.")


class FollowsNewRows(Described):
    """That a table is brought up to date by the rows that are new in silver, instead of being computed as a whole."""

    unique_key: str | list[str] = Field(
        description="Columns by which rows are replaced: those of silver's key, or of a dataset without a key any."
    )


class GoldModel(TableFields, OfPersons):
    """One SELECT over silver and gold, in `model.sql` beside this file, as a gold table."""

    name: str | None = Field(None, description="Name of the table. Default: the name of the folder.")
    description: str | None = Field(None, description="What the table answers; shown in the UI.")
    key: str | list[str] = Field(
        [], description="Column or columns that identify a row; they become the table's primary key."
    )
    incremental: FollowsNewRows | None = Field(
        None, description="Compute only the rows whose key is new in silver. Default: the whole table each time."
    )
    allow_personal_data: list[str] = Field(
        [], description="Columns that may hold personal data which silver keeps; others made from it are refused."
    )
    cells: GroupsOfFew | None = Field(
        None, description="What holds for groups of few persons, where data of persons reaches the model."
    )
    freshness: Freshness | None = Field(None, description="How old it may get before the UI says that it is stale.")
    tags: dict[str, str] = Field({}, description="Tags of the asset.")

    @property
    def table(self) -> str:
        """Name of the table."""
        return self.checked_name(self.name or self.folder.name)

    @cached_property
    def parsed(self) -> Model:
        """The SQL, read once. Raises ModelError naming file and line; DeclarationError without a file."""
        path = self.folder / "model.sql"
        if not path.exists():
            raise self.fail("a gold model needs a model.sql beside its defs.yaml")
        return read_model(path.read_text(encoding="utf-8"), path)

    def unit_tests(self, catalog: Catalog) -> list[UnitTest]:
        """The tests in `tests/`. Raises ModelTestError.

        Args:
            catalog: the columns of all tables that the model may read, and its own.
        """
        read = {(source.schema, source.name): catalog[source.schema, source.name] for source in self.parsed.tables}
        return read_tests(self.folder, read, catalog["gold", self.table])

    def _groups(self, context: dg.ComponentLoadContext, catalog: Catalog) -> GroupRule:
        """The rule for groups of few persons. Raises DeclarationError."""
        declared, settings = self.cells or GroupsOfFew(), load_settings()
        read = [(table.schema, table.name) for table in self.parsed.tables]
        if declared.of and not any(declared.of in catalog[table] for table in read):
            tables = ", ".join(".".join(table) for table in read)
            raise self.fail(f"cells: of names {declared.of!r}, which none of {tables} has", "cells", "of")
        at_least, on_small = declared.at_least or settings.cells_at_least, declared.on_small or settings.cells_on_small
        return GroupRule(people_in(context), self.parsed, Cells(at_least, on_small, declared.exempt), declared.of)

    def _key(self, columns: Sequence[str]) -> list[str]:
        """Columns of the primary key. Raises DeclarationError."""
        unique_key = _listed(self.incremental.unique_key) if self.incremental else []
        key = _listed(self.key) or unique_key
        for column in key:
            if column not in columns:
                raise self.fail(f"key names {column!r}, which the model does not select: {', '.join(columns)}", "key")
        for column in unique_key:
            if column not in key:
                raise self.fail(f"unique_key names {column!r}, which `key` does not", "incremental", "unique_key")
        return key

    def _incremental(self, context: dg.ComponentLoadContext) -> Incremental | None:
        """How the table follows new rows. Raises ModelError, DeclarationError."""
        if self.incremental is None:
            return None
        source = followed(self.parsed, _listed(self.incremental.unique_key))
        component = by_table(context, Dataset, "silver").get(source.table)
        if component is None:
            place = f"silver.{source.table}"
            raise self.fail(f"incremental follows the table of a dataset, and {place} is not one", "incremental")
        dataset = component.declared
        if dataset.intake.flag_missing:
            raise self.fail(
                f"silver.{source.table} has `on_missing: flag`, so that rows change which no new file has",
                "incremental",
            )
        outside = sorted(set(source.columns.values()) - set(dataset.key)) if dataset.key else []
        if outside:
            raise self.fail(
                f"unique_key is made of {', '.join(outside)}, which a newer row of the same key may change. Expected "
                f"columns of silver.{source.table}'s key: {', '.join(dataset.key)}",
                "incremental",
                "unique_key",
            )
        deleted = ("bronze", deleted_name(dataset.name)) if dataset.deleted_by else None
        statement = over(self.parsed, source, part_of(self.table))
        return Incremental((source.schema, source.table), source.columns, statement, FILE_ID, deleted)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset, its dependencies and column lineage read from the SQL."""
        name, model = self.table, self.parsed
        catalog = _catalog(context)
        check_tables(model, catalog)
        lineage = column_lineage(model, catalog)
        columns = list(lineage)
        key = self._key(columns)
        for index, column in enumerate(self.allow_personal_data):
            if column not in columns:
                expected = ", ".join(columns)
                raise self.fail(
                    f"allow_personal_data names {column!r}, which the model does not select: {expected}",
                    "allow_personal_data",
                    index,
                )
        checks = TableChecks(
            dg.AssetKey(["gold", name]),
            self.contract,
            columns,
            reserved=[
                *(labels.LEAK_CHECK, labels.SMALL_GROUPS, labels.REIDENTIFICATION),
                *(labels.UP_TO_DATE, labels.UNIT_TESTS, labels.ANOMALIES),
            ],
        )
        spec: dict[str, Any] = {
            "description": self.description,
            "owners": self.owners,
            "tags": self.tags,
            "freshness_policy": freshness_policy(self, self.freshness),
        }
        with self.naming_the_place():
            tests = ModelTests(self.unit_tests(catalog), _sources(context))
            risk = self.risk_rule(columns)
            groups = self._groups(context, catalog)
            hidden, allowed = disguises(model, catalog), self.allow_personal_data
            follows, watched = self._incremental(context), self.anomalies
            table = GoldTable(
                model, lineage, key, allowed, _rules(context), checks, tests, groups, risk, hidden, follows, watched
            )
            return dg.Definitions(assets=[gold_asset(table, spec)])


def _listed(columns: str | Sequence[str]) -> list[str]:
    return [columns] if isinstance(columns, str) else list(columns)


def people_in(context: dg.ComponentLoadContext) -> People:
    """Whose data is in the tables of the project."""

    def collect() -> People:
        datasets, components = by_table(context, Dataset, "silver"), by_table(context, GoldModel, "gold")
        models = {name: component.parsed for name, component in components.items()}
        ordered = {name: models[name] for name in order_models(models)}
        tables = {name: people_of(dataset, context) for name, dataset in datasets.items()}
        return People(tables, ordered, _catalog(context))

    return memoize_per_tree(context.component_tree, "people", collect)


def _sources(context: dg.ComponentLoadContext) -> Sources:
    """What unit tests are run on."""

    def collect() -> Sources:
        datasets = by_table(context, Dataset, "silver").values()
        silver = {name: types for dataset in datasets for name, types in dataset.silver_tables.items()}
        gold = {name: component.parsed for name, component in by_table(context, GoldModel, "gold").items()}
        return Sources(silver, gold)

    return memoize_per_tree(context.component_tree, "sources", collect)


def _catalog(context: dg.ComponentLoadContext) -> Catalog:
    """The columns of every silver and gold table of the project. Raises ModelError on cycles between models."""

    def collect() -> Catalog:
        datasets, components = by_table(context, Dataset, "silver"), by_table(context, GoldModel, "gold")
        catalog: Catalog = {
            ("silver", name): list(types)
            for dataset in datasets.values()
            for name, types in dataset.silver_tables.items()
        }
        catalog |= {key: list(columns) for key, columns in absent_tables().items() if key not in catalog}
        models = {name: component.parsed for name, component in components.items()}
        catalog |= {("gold", name): [] for name in models}
        for name in order_models(models):
            check_tables(models[name], catalog)
            catalog["gold", name] = output_columns(models[name], catalog)
        return catalog

    return memoize_per_tree(context.component_tree, "catalog", collect)


def _rules(context: dg.ComponentLoadContext) -> Rules:
    """What the project's datasets allow and deny, which holds where their columns go."""

    def collect() -> Rules:
        rules = [dataset.declared.policy.rules for dataset in by_table(context, Dataset, "silver").values()]
        return Rules(
            allow=frozenset().union(*(each.allow for each in rules)),
            deny=frozenset().union(*(each.deny for each in rules)),
        )

    return memoize_per_tree(context.component_tree, "rules", collect)
