"""The check `small_groups` of a gold table: no row of aggregates tells of few persons.

Belongs here: whose data reaches a model, the steps between staging and publishing it, and the check's result. Does not
belong here: the SQL (`sql/subjects.py`) and the rule (`pii/small_groups.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import dagster as dg
import psycopg
from psycopg import sql

from atlas_pipeline import labels
from atlas_pipeline.pii import small_groups
from atlas_pipeline.pii.privacy_record import newest_measures, record_measure
from atlas_pipeline.pii.record import recorded_by_table
from atlas_pipeline.pii.small_groups import Cells, Counts, SmallGroups
from atlas_pipeline.pii.subjects import DeclaredTable, subjects_of
from atlas_pipeline.sql.lineage import Model, ModelError
from atlas_pipeline.sql.subjects import COUNT, LEVEL, Counted, Subject, count_subjects
from atlas_pipeline.warehouse import gold
from atlas_pipeline.warehouse.publish import Table


@dataclass(frozen=True)
class People:
    """Whose data is in the tables of a project, as far as declarations tell.

    Attributes:
        tables: datasets by name.
        models: gold models by name, each after those that it reads.
        catalog: columns of all tables.
    """

    tables: Mapping[str, DeclaredTable]
    models: Mapping[str, Model]
    catalog: Mapping[Table, Sequence[str]]

    def subjects(self, connection: psycopg.Connection) -> dict[Table, Subject]:
        """The column of each silver and gold table that says whose data a row is, under the plans as they are."""
        plans = recorded_by_table(connection, "silver")
        found = {("silver", name): Subject(*subject) for name, subject in subjects_of(self.tables, plans).items()}
        for name, model in self.models.items():
            try:
                counted = count_subjects(model, self.catalog, found)
            except ModelError:
                continue  # its own check says so
            if counted and counted.column and not counted.groups:
                found["gold", name] = Subject(counted.column, counted.entity)
        return found


@dataclass(frozen=True)
class GroupRule:
    """The rule for groups of few in a model. `of` is the column to count, null for the subjects of the tables."""

    people: People
    model: Model
    cells: Cells
    of: str | None = None

    @property
    def parts(self) -> list[str]:
        """What of it decides what the table holds."""
        return [
            f"{self.cells.at_least} {self.cells.on_small} {self.of or ''}" if self.cells.exempt is None else "exempt"
        ]

    def counted(self, connection: psycopg.Connection) -> Counted | None:
        """The model with the persons of each row counted. Raises ModelError when that cannot be done."""
        subjects = self.people.subjects(connection)
        if self.of:
            tables = [(table.schema, table.name) for table in self.model.tables]
            subjects = {
                table: Subject(self.of, self.of) for table in tables if self.of in self.people.catalog.get(table, ())
            }
        return count_subjects(self.model, self.people.catalog, subjects)


class GroupAudit:
    """The check of one build: `counted` before the model is run, `treat` after, `record` while it is published.

    Args:
        connection: that builds the table.
        name: of the table.
        rule: for its groups of few.
    """

    def __init__(self, connection: psycopg.Connection, name: str, rule: GroupRule) -> None:
        self._connection, self._name, self._rule = connection, name, rule.cells
        self.found: SmallGroups | None = None
        """What came of it; null where rows are no groups of persons."""
        try:
            self._counted = rule.counted(connection)
        except ModelError as error:
            self._counted = None
            self.found = SmallGroups(rule.cells, problem=f"line {error.line}: {error.message}")
        connection.commit()
        refused = _refused(connection, self.statement) if self.statement else None
        if refused and _refused(connection, rule.model.statement) is None:
            self._counted, self.found = None, SmallGroups(rule.cells, problem=refused)

    @property
    def statement(self) -> str | None:
        """The SELECT to run in place of the model's; null for the model's own."""
        return self._counted.statement if self._counted and self._counted.groups else None

    @property
    def of_single_persons(self) -> bool:
        """Whether each row of the model is of one person."""
        return self._counted is not None and not self._counted.groups

    @property
    def subject(self) -> str | None:
        """The column of the model that says whose data a row is; null where none does."""
        return self._counted.column if self._counted else None

    @property
    def problem(self) -> str | None:
        """Why the table must not be published; null when it may."""
        return _problem(self.found) if self.found and self.found.blocks else None

    def treat(self, staged: gold.Staged) -> gold.Staged:
        """Look at the groups of the staged table, and withhold those of few where the rule says so."""
        if self.statement is None or self._counted is None:
            return staged
        connection, table = self._connection, sql.Identifier(staged.schema, staged.table)
        counts = Counts(COUNT, LEVEL, self._counted.keys)
        with connection.transaction():
            found = small_groups.measure(connection, table, counts, self._rule)
            if found.small and self._rule.exempt is None:
                if self._rule.on_small == "suppress":
                    found = small_groups.suppress(connection, table, counts, found)
                else:
                    listed = sql.Identifier(staged.schema, f"{staged.table}__{gold.SMALL}")
                    small_groups.list_small(connection, table, listed, counts, self._rule.at_least)
            self.found = small_groups.compare(connection, table, self._name, counts, found)
            small_groups.forget_counts(connection, table, counts)
        return replace(staged, rows=staged.rows - self.found.withheld - self.found.complementary)

    def record(self, run_id: str, *, published: bool) -> None:
        """Write down what was found; when the table is published, in that transaction."""
        if self.found is None:
            return
        if published and self.statement is not None:
            small_groups.keep_counts(self._connection, self._name)
        numbers = asdict(self.found)
        record_measure(
            *(self._connection, "gold", self._name, labels.SMALL_GROUPS, run_id, numbers),
            passed=self.found.fit,
            published=published,
        )


def _refused(connection: psycopg.Connection, statement: str) -> str | None:
    """Why Postgres would not run a SELECT; null when it would."""
    try:
        connection.execute(sql.SQL("EXPLAIN {}").format(sql.SQL(statement)))
    except psycopg.Error as error:
        return f"Postgres: {error.diag.message_primary}"
    finally:
        connection.rollback()
    return None


def small_groups_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """The blocking check that every gold table has."""
    return dg.AssetCheckSpec(
        labels.SMALL_GROUPS,
        asset=asset,
        description="No row is made of the data of few persons: the persons behind each row are counted.",
        blocking=True,
    )


def small_groups_result(asset: dg.AssetKey, found: SmallGroups | None) -> dg.AssetCheckResult:
    """The result of the check.

    Args:
        asset: the table that was checked.
        found: what came of it; null where rows are no groups of persons.
    """
    metadata: dict[str, dg.MetadataValue] = {}
    description = "rows are no groups of persons"
    if found is not None:
        metadata = {
            name.replace("_", " "): dg.MetadataValue.int(number)
            for name, number in asdict(found).items()
            if isinstance(number, int)
        }
        metadata["persons at least"] = dg.MetadataValue.int(found.rule.at_least)
        if found.rule.exempt is not None:
            metadata["exempt"] = dg.MetadataValue.text(found.rule.exempt)
        description = _problem(found) or _said(found)
    return dg.AssetCheckResult(
        check_name=labels.SMALL_GROUPS,
        asset_key=asset,
        passed=found is None or found.fit,
        severity=dg.AssetCheckSeverity.ERROR if found and found.blocks else dg.AssetCheckSeverity.WARN,
        description=description,
        metadata=metadata,
    )


def recorded_small_groups(connection: psycopg.Connection, name: str) -> SmallGroups | None:
    """What was found when the table was last published; null where rows are no groups of persons."""
    newest = newest_measures(connection, labels.SMALL_GROUPS).get(("gold", name))
    if newest is None:
        return None
    numbers: dict[str, Any] = dict(newest.numbers)
    return SmallGroups(**numbers | {"rule": Cells(**numbers["rule"])})


def _problem(found: SmallGroups) -> str | None:
    """What is wrong, in numbers; null when nothing is."""
    if found.fit:
        return None
    if found.problem is not None:
        return (
            f"it cannot be told how many persons a row is made of: {found.problem}. Write the model so that it can be, "
            "or say in `cells: {exempt: …}` why that need not be known"
        )
    return (
        f"{found.small:,} of {found.groups:,} groups are of fewer than {found.rule.at_least} persons. Make the groups "
        "larger, withhold these by `cells: {on_small: suppress}`, or say in `cells: {exempt: …}` why they "
        "may be shown"
    )


def _said(found: SmallGroups) -> str:
    """What came of a table that is fit."""
    parts = []
    if found.rule.exempt is not None:
        parts.append(f"exempt ({found.rule.exempt}); {found.small:,} of {found.groups:,} groups are small")
    if found.withheld:
        parts.append(
            f"{found.withheld + found.complementary:,} of {found.groups:,} groups were withheld, "
            f"{found.complementary:,} of them since totals would have given others away"
        )
    if found.merged:
        parts.append(f"{found.merged:,} groups became one")
    if found.differing:
        parts.append(
            f"{found.differing:,} groups differ from the publication before by fewer than {found.rule.at_least} "
            "persons: who has both can subtract them"
        )
    return "; ".join(parts) or f"each of {found.groups:,} groups is of {found.rule.at_least} persons or more"
