"""The `Dataset` component: one YAML file becomes bronze/<name> and silver/<name>.

Belongs here: the YAML's fields, what is wrong with them, and the two assets. Does not belong here: how files are
loaded and rows typed (`ingest/`), and how a first YAML is written (`scaffold.py`).
"""

import zoneinfo
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Literal

import dagster as dg
from dagster.components.scaffold.scaffold import scaffold_with
from pydantic import Field

from atlas_pipeline import labels
from atlas_pipeline.components.connectors import FilesystemSource, RestApiSource, SqlDatabaseSource
from atlas_pipeline.components.declaration import Described, TableFields, absent_tables, by_table
from atlas_pipeline.components.every import schedules_of
from atlas_pipeline.components.file_options import FileOptions
from atlas_pipeline.components.freshness import Freshness, freshness_policy
from atlas_pipeline.components.partitions import partitions_of
from atlas_pipeline.components.privacy import OfPersons
from atlas_pipeline.components.reading import check_history, check_order, intake_of, notation_of, tombstone_of, type_of
from atlas_pipeline.components.scaffold.dataset import DatasetScaffolder
from atlas_pipeline.components.sources import SourceTable, is_whole, source_of
from atlas_pipeline.ingest import dataset as domain
from atlas_pipeline.ingest.intake import Mode, OnMissing
from atlas_pipeline.ingest.planning import decided
from atlas_pipeline.ingest.readers.columns import name_fault
from atlas_pipeline.ingest.sources.deliveries import Together
from atlas_pipeline.ingest.sources.patterns import PARTITION
from atlas_pipeline.ingest.types import ColumnType
from atlas_pipeline.orchestration.tables.bronze import bronze_asset
from atlas_pipeline.orchestration.tables.checks import TableChecks
from atlas_pipeline.orchestration.tables.references import NOWHERE, Reference, inferred, reference_checks
from atlas_pipeline.orchestration.tables.silver import silver_asset
from atlas_pipeline.pii.kinds import KEY_COLUMN_ACTIONS, KINDS, Action, kind_of
from atlas_pipeline.pii.plan import Policy
from atlas_pipeline.pii.policy import PolicyError, check_recognizers, policy_from
from atlas_pipeline.pii.subjects import DeclaredTable
from atlas_pipeline.pii.subjects import Reference as PersonReference
from atlas_pipeline.quality.generated import ROWS_FIT, ROWS_RECONCILED, VALUES_JOIN
from atlas_pipeline.settings import load_settings


class Column(Described):
    """One column of a dataset."""

    name: str = Field(description="Name of the column, exactly as the source has it.")
    type: ColumnType | Annotated[str, Field(pattern=r"^decimal\([0-9]+, ?[0-9]+\)$")] = Field(
        "text", description="Type in silver; `decimal(10,2)` for 10 digits, 2 of them after the point."
    )
    format: str | None = Field(None, description="strptime format of a date, timestamp or time; default ISO 8601.")
    pii: str | None = Field(
        None,
        description="Kind of personal data it holds, such as EMAIL_ADDRESS or FREE_TEXT; `none` when it holds none. "
        "Default: detected.",
    )
    action: Action | None = Field(
        None,
        description="What silver does with it: keep, drop, redact, mask, hash, encrypt or generalise. "
        "Default: by the dataset's `pii.actions`, else by the kind.",
    )
    key_domain: str | None = Field(
        None,
        description="Columns of one domain have equal hashes for equal values, so that they can be joined. "
        "Default: the kind.",
    )
    references: str | None = Field(
        None,
        description="Dataset whose key its values must be, or dataset.column; `none` for nothing. Default: the dataset "
        "whose whole key has this name, if it ends in _id, _key, _code, _number or _no.",
    )
    optional: bool = Field(False, description="Whether a file may lack the column.")
    null_values: list[str] = Field([], description="Words that mean no value, such as NA.")
    description: str | None = Field(None, description="What the column means; shown in the UI and in Postgres.")
    tags: dict[str, str] = Field({}, description="Tags of the column in the UI.")


class PiiPolicy(Described):
    """What is done with personal data in a dataset, over the defaults of each kind."""

    actions: dict[str, Action] = Field({}, description="Action by kind: `{PERSON: hash}`.")
    allow: list[str] = Field([], description="Values that are never personal, such as the shop's own address.")
    deny: list[str] = Field([], description="Words that always are, such as the name of a secret project.")
    recognizers: str | None = Field(
        None, description="File of recognisers of one's own, in Presidio's YAML, beside this file."
    )
    region: str | None = Field(
        None, description="Country of phone numbers without a country code, such as DE, so that their hashes join."
    )


@scaffold_with(DatasetScaffolder)
class Dataset(TableFields, OfPersons, FileOptions):
    """Files, or a table of another Postgres, as bronze and silver tables."""

    name: str | None = Field(None, description="Name of the tables. Default: the name of the folder.")
    source: Annotated[
        str | SourceTable | RestApiSource | SqlDatabaseSource | FilesystemSource,
        Field(
            description="Glob of files, relative to the landing folder, absolute, s3://bucket/…, gs://bucket/…, "
            "az://container/… or sftp://host/…; CSV, TSV, JSON, JSONL, Parquet, ORC, Avro or a workbook (.xlsx, .xlsm, "
            ".xls, .ods), plain, .gz or .zst. `{partition}` stands for the partition key. Or a table: `database`, "
            "`table`. Or a connector: `rest_api`, `sql_database` or `filesystem`."
        ),
    ]
    columns: list[Column] = Field(description="The columns that silver has. Others stay in bronze and are reported.")
    key: str | list[str] = Field([], description="Column or columns that identify a row; the latest one stays.")
    subject: str | None = Field(
        None,
        description="Column that says whose data a row is; groups of few of them are kept out of gold. Default: what "
        "refers to a table of persons, else the key of such a table.",
    )
    latest_by: str | None = Field(
        None, description="Column that tells which row of a key is the latest. Default: the one loaded last."
    )
    partitions: Literal["daily", "monthly"] | None = Field(
        None, description="One partition a day (2024-01-31) or month (2024-01); `source` needs `{partition}`."
    )
    partitions_start: str | None = Field(None, description="First partition; required with `partitions`.")
    every: str | None = Field(
        None,
        description="How often the source is loaded: `15 minutes`, `6 hours`, `1 day`, or cron in `timezone`; of "
        "partitions the newest. Default: files when they land, others when a run is started.",
    )
    freshness: Freshness | None = Field(None, description="How old silver may get before the UI says that it is stale.")
    pii: PiiPolicy | None = Field(None, description="What is done with personal data, over the default of each kind.")
    timezone: str = Field("UTC", description="IANA zone of timestamps that carry no offset.")
    mode: Mode | None = Field(
        None,
        description="What a load adds: `append` keeps each file's rows (default without a key), `upsert` keeps the "
        "latest row of each key (default with one), with `snapshot` a load is the whole state (default for a table).",
    )
    snapshot_files: Together = Field(
        "file",
        description="Which files of mode `snapshot` are one state: each `file`, those of a `folder`, or `all`. With "
        "`{delivery}` in `source` those that have the same there: `stock_{delivery}_part*.csv`.",
    )
    on_missing: OnMissing = Field(
        "delete",
        description="What becomes of rows that a snapshot lacks: delete; keep; or flag, which keeps them and says in "
        "the column `missing_since` when the first snapshot without them came.",
    )
    deleted_by: str | None = Field(
        None,
        description="Which rows say that their key is deleted: a boolean column, a date or timestamp that is only "
        "there then, or a condition such as `op = 'D'`. They are not in silver, nor are earlier rows of their key.",
    )
    history: bool = Field(
        False,
        description="Whether silver also gets <name>_history: each version of each row, `valid_from` and `valid_to`.",
    )
    skip_equal_files: bool = Field(
        False, description="Whether a file that holds what another one does is passed over: the same feed, sent again."
    )
    description: str | None = Field(None, description="What the dataset is; shown in the UI.")
    tags: dict[str, str] = Field({}, description="Tags of both assets.")

    @property
    def table(self) -> str:
        """Name of the tables."""
        return self.checked_name(self.name or self.folder.name)

    @property
    def reads_files(self) -> bool:
        """Whether its rows are those of files, one by one or extracted together."""
        return isinstance(self.source, str | FilesystemSource)

    @property
    def published_names(self) -> list[str]:
        """The columns of silver, for gold models to read."""
        return list(self.published_types)

    @property
    def published_types(self) -> dict[str, str]:
        """The columns of silver with their Postgres types, as far as the declaration tells."""
        return self._shared_types | ({domain.MISSING_SINCE: "timestamptz"} if self.on_missing == "flag" else {})

    @property
    def silver_tables(self) -> dict[str, dict[str, str]]:
        """The same of all its tables in silver: its own, and that of history."""
        times = dict.fromkeys((domain.VALID_FROM, domain.VALID_TO), "timestamptz")
        history = {domain.history_name(self.table): self._shared_types | times} if self.history else {}
        return {self.table: self.published_types} | history

    @property
    def _shared_types(self) -> dict[str, str]:
        declared = self.declared
        columns = declared.planned(decided(declared, {})).published_columns
        return {column.name: column.postgres_type for column in columns}

    @cached_property
    def declared(self) -> domain.Dataset:
        """The declaration as plain data. Raises DeclarationError, naming file and line."""
        names = [column.name for column in self.columns]
        if not self.columns:
            raise self.fail("a dataset needs at least one column", "columns")
        for index, name in enumerate(names):
            if names.index(name) != index:
                raise self.fail(f"column {name!r} is declared twice", "columns", index)
            if fault := name_fault(name):
                raise self.fail(f"column {name!r}: the name {fault[1]}", "columns", index)
        key = (self.key,) if isinstance(self.key, str) else tuple(self.key)
        if len(set(key)) < len(key):
            raise self.fail("key names a column twice", "key")
        if self.latest_by and not key:
            raise self.fail("latest_by needs a `key`: it tells which of the rows with the same key stays", "latest_by")
        single = {"latest_by": self.latest_by, "subject": self.subject}
        for field, wanted in (("key", key), *((name, (column,) if column else ()) for name, column in single.items())):
            for name in wanted:
                if name not in names:
                    raise self.fail(
                        f"{field} names {name!r}, which is not a declared column: {', '.join(names)}", field
                    )
        columns = tuple(self._column(index, column) for index, column in enumerate(self.columns))
        try:
            zoneinfo.ZoneInfo(self.timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            raise self.fail(f"{self.timezone!r} is not an IANA time zone such as Europe/Paris", "timezone") from None
        declared = domain.Dataset(
            name=self.table,
            source=source_of(self, self.table, key),
            columns=columns,
            key=key,
            latest_by=self.latest_by,
            timezone=self.timezone,
            intake=intake_of(self, key, [column.name for column in self.columns], is_table=is_whole(self.source)),
            notation=notation_of(self),
            policy=self._policy(),
            deleted_by=tombstone_of(self, columns),
            history=self.history,
        )
        check_order(self, declared)
        return declared

    def _policy(self) -> Policy:
        """The policy of the `pii` section. Raises DeclarationError."""
        try:
            policy = policy_from(self.pii.model_dump(exclude_defaults=True) if self.pii else {}, self.folder)
            check_recognizers(policy)
        except PolicyError as error:
            raise self.fail(str(error), "pii") from None
        return replace(policy, rules=replace(policy.rules, model=load_settings().spacy_model))

    def partitions_definition(self) -> dg.TimeWindowPartitionsDefinition | None:
        """Dagster's partitions. Raises DeclarationError when start or placeholder is missing or wrong."""
        marked = isinstance(self.source, str) and PARTITION in self.source
        return partitions_of(self, self.partitions, self.partitions_start, self.timezone, marked=marked)

    def _column(self, index: int, column: Column) -> domain.Column:
        self._check_pii(index, column)
        type, digits = type_of(self, index)
        return domain.Column(
            name=column.name,
            type=type,
            digits=digits,
            format=column.format,
            pii=column.pii,
            action=column.action,
            domain=column.key_domain,
            optional=column.optional,
            null_values=tuple(dict.fromkeys([*self.null_values, *column.null_values])),
            description=column.description,
        )

    def _check_pii(self, index: int, column: Column) -> None:
        kind = column.pii
        recognizers = self.pii.recognizers if self.pii else None
        try:
            policy_from({"recognizers": recognizers, "columns": {column.name: {"pii": kind}}}, self.folder)
        except PolicyError as error:
            raise self.fail(str(error), "columns", index, "pii") from None
        if column.action == "generalise" and (kind is None or kind_of(kind).generaliser is None):
            able = ", ".join(name for name, known in KINDS.items() if known.generaliser)
            raise self.fail(
                f"column {column.name!r}: generalise needs a `pii` that can be generalised: {able}", "columns", index
            )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The two assets, with the contract's checks on silver."""
        tables = by_table(context, Dataset, "silver")
        declared = self.declared
        check_history(self, declared.key, [column.name for column in self.columns], tables)
        partitions = self.partitions_definition()
        shared: dict[str, Any] = {
            "partitions_def": partitions,
            "backfill_policy": dg.BackfillPolicy.single_run() if partitions else None,
        }
        spec: dict[str, Any] = {
            "description": self.description or f"{declared.name}, typed and de-duplicated, with personal data treated.",
            "owners": self.owners,
            "tags": self.tags,
            "freshness_policy": freshness_policy(self, self.freshness),
        }
        references = list(self.references(context))
        checks = TableChecks(
            dg.AssetKey(["silver", declared.name]),
            self.contract,
            self.published_names,
            own=[ROWS_RECONCILED, ROWS_FIT, VALUES_JOIN],
            elsewhere=[reference.check for reference in references],
            reserved=[labels.LEAK_CHECK, labels.REIDENTIFICATION, labels.ANOMALIES],
        )
        tags = {column.name: column.tags for column in self.columns}
        with self.naming_the_place():
            referring, risk = reference_checks(declared, references, checks), self.risk_rule(self.published_names)
            return dg.Definitions(
                assets=[
                    bronze_asset(declared, shared | {"owners": self.owners or None}, self.description, self.tags),
                    silver_asset(declared, shared, spec, tags, checks, risk, anomalies=self.anomalies),
                ],
                asset_checks=[referring] if referring else [],
                schedules=schedules_of(self, declared, partitions),
            )

    def references(self, context: dg.ComponentLoadContext) -> Iterator[Reference]:
        """The declared references, then those that names of keys tell. Raises DeclarationError."""
        others = {name: dataset.declared for name, dataset in by_table(context, Dataset, "silver").items()}
        for index, column in enumerate(self.columns):
            if column.references is None or column.references == NOWHERE:
                continue
            field = ("columns", index, "references")
            table, dot, referenced = column.references.partition(".")
            if table not in others and ("silver", table) in absent_tables():
                continue
            if table not in others:
                expected = ", ".join(sorted(others))
                raise self.fail(
                    f"references names {table!r}, which is not a dataset: expected one of {expected}", *field
                )
            key = others[table].key
            if not dot and len(key) != 1:
                raise self.fail(
                    f"references: say which column, {table}.<column>: its key is not a single column", *field
                )
            referenced = referenced or key[0]
            names = [other.name for other in others[table].columns]
            if referenced not in names:
                raise self.fail(f"references names {column.references!r}: {table} has {', '.join(names)}", *field)
            yield Reference(column.name, table, referenced)
        yield from inferred(self.declared, others, [column.name for column in self.columns if column.references])


def people_of(dataset: Dataset, context: dg.ComponentLoadContext) -> DeclaredTable:
    """What the declaration says of whose data the dataset is. Raises DeclarationError."""
    declared = dataset.declared
    planned = declared.planned(decided(declared, {})).columns
    column = next((column for column in planned if column.name == dataset.subject), None)
    if column and column.treatment not in KEY_COLUMN_ACTIONS:
        raise dataset.fail(
            f"subject names {column.name!r}, which is not told apart any more after {column.treatment!r}: expected "
            f"a column with one of {', '.join(KEY_COLUMN_ACTIONS)}",
            "subject",
        )
    references = tuple(
        PersonReference(each.column, each.table, each.referenced) for each in dataset.references(context)
    )
    return DeclaredTable(tuple(dataset.silver_tables), dataset.subject, declared.key, references)
