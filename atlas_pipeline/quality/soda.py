"""Soda: a contract measured on one table, in the transaction that it is handed.

Belongs here: every import of Soda, and what Atlas does otherwise than Soda's own session. Does not belong here: where
the table is and what follows (`verification.py`), which imports this module late because Soda takes a second.

Otherwise than Soda: all queries read one snapshot; counts are taken with FILTER, and each COUNT(DISTINCT) in a query of
its own, so that Postgres can use its workers and indexes; a check that Postgres refuses does not take the others of
its query along; no message quotes a value; nothing of Soda stays behind in the host's logging.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from soda_core.common.data_source_connection import DataSourceConnection
from soda_core.common.exceptions import SodaCoreException
from soda_core.common.logs import preserve_active_logs
from soda_core.common.sql_ast import (
    ALIAS,
    CASE_WHEN,
    COLUMN,
    COUNT,
    CTE,
    DISTINCT,
    FROM,
    IS_NULL,
    LIMIT,
    LITERAL,
    NOT,
    ORDER_BY_ASC,
    SELECT,
    STAR,
    STRING_HASH,
    SUM,
    WHERE,
    WITH,
    SqlExpressionStr,
)
from soda_core.common.yaml import ContractYamlSource
from soda_core.contracts.contract_verification import CheckResult, Measurement
from soda_core.contracts.impl.check_types.schema_check import SchemaCheckResult
from soda_core.contracts.impl.contract_verification_impl import (
    AggregationMetricImpl,
    AggregationQuery,
    CheckImpl,
    ContractImpl,
    MetricImpl,
    Query,
    ThresholdImpl,
)
from soda_core.contracts.impl.contract_yaml import ContractYaml
from soda_postgres.common.data_sources.postgres_data_source import PostgresDataSourceImpl, PostgresSqlDialect
from soda_postgres.common.data_sources.postgres_data_source_connection import PostgresDataSource

from atlas_pipeline.quality.contract import DATASET_LINE
from atlas_pipeline.quality.outcome import Check, Outcome, Status
from atlas_pipeline.quality.quiet import listening

DATA_SOURCE = "atlas"
_METRICS_A_QUERY = 400  # Postgres takes 1,664 columns, and a query that fails is halved
_STATUS: Mapping[str, Status] = {"PASSED": "passed", "WARN": "warned", "FAILED": "failed"}
_ROWS_FAILED = {
    "missing": "missing_count",
    "invalid": "invalid_count",
    "duplicate": "duplicate_count",
    "failed_rows": "failed_rows_count",
}


def measure(
    text: str,
    connection: psycopg.Connection,
    dataset: str,
    checks: Sequence[Check],
    *,
    key: Sequence[str] = (),
    sample: int = 20,
    rewrite: Callable[[str], str] = lambda statement: statement,
) -> list[Outcome]:
    """What comes of `checks`, which are all or some of those in the contract `text`, on `dataset` instead of its own.

    Each query, after `rewrite`, runs in a savepoint of the connection's transaction. `key` names the columns whose
    values may be shown, of up to `sample` rows that failed. Raises psycopg.OperationalError when the connection is
    lost.
    """
    wanted = {check.path: check for check in checks}
    source = PostgresDataSourceImpl(
        PostgresDataSource.model_construct(name=DATA_SOURCE, type="postgres"), _Connection(connection, rewrite)
    )
    source.sql_dialect = _Dialect()
    if declared := DATASET_LINE.search(text):
        source.sql_dialect.databases[declared[0].split("/")[1]] = dataset.split("/")[1]
    with listening() as problems, preserve_active_logs():
        yaml = ContractYaml.parse(
            ContractYamlSource.from_str(DATASET_LINE.sub(lambda _: f"dataset: {json.dumps(dataset)}", text, count=1)),
            primary_data_source_impl=source,
        )
        contract = _Contract(yaml=yaml, data_source_impl=source, wanted=wanted.keys())
        if problems:
            return [Outcome(check, "not evaluated", problem=f"Soda: {problems[0]}") for check in checks]
        results = {result.check.relative_path: result for result in contract.verify().check_results}
        impls = {impl.relative_path: impl for impl in contract.all_check_impls}
        return [
            _outcome(contract, impls[path], results[path], check, key, sample)
            if path in results
            else Outcome(check, "not evaluated", problem="Soda does not know this check")
            for path, check in wanted.items()
        ]


class _Contract(ContractImpl):  # type: ignore[misc]
    """A contract of which only the `wanted` checks are measured."""

    all_check_impls: list[CheckImpl]
    metrics: list[MetricImpl]

    def __init__(self, *, wanted: Any, **arguments: Any):
        self.wanted = wanted
        self.refused: dict[str, str] = {}
        """Why a metric, by its id, has no value."""
        super().__init__(**arguments)

    def _build_queries(self) -> list[Query]:
        self.all_check_impls = [one for one in self.all_check_impls if one.relative_path in self.wanted]
        for one in self.all_check_impls:
            one._build_definition = str  # Its YAML once more, which nobody reads.
        needed = {metric.id for one in self.all_check_impls for metric in one.metrics} | {self.row_count_metric_impl.id}
        self.metrics = [metric for metric in self.metrics if metric.id in needed]
        return super()._build_queries()

    def bundle_aggregation_metrics(self, metrics: list[AggregationMetricImpl], scope: Any) -> list[AggregationQuery]:
        together: list[AggregationMetricImpl] = []
        distinct: dict[str, list[AggregationMetricImpl]] = {}
        for metric in metrics:
            expression = metric.sql_expression()
            if isinstance(expression, COUNT) and isinstance(expression.expression, DISTINCT):
                sql = self.data_source_impl.sql_dialect.build_expression_sql(expression)
                distinct.setdefault(sql, []).append(metric)
            else:
                together.append(metric)
        blocks = [together[i : i + _METRICS_A_QUERY] for i in range(0, len(together), _METRICS_A_QUERY)]
        queries = [query for block in blocks for query in self._bundle(block, scope, {})]
        for first, *others in distinct.values():
            query = _DistinctQuery(
                scope.cte, self.dataset_prefix, self.dataset_name, self.data_source_impl, self.logs, {first.id: others}
            )
            query.append_aggregation_metric(first)
            queries.append(query)
        return queries

    def _bundle(self, metrics: list[AggregationMetricImpl], scope: Any, aliases: dict) -> list[AggregationQuery]:
        queries: list[AggregationQuery] = []
        for bundled in super().bundle_aggregation_metrics(metrics, scope):
            own = {**aliases, **bundled.metric_aliases}
            query = _AggregationQuery(
                scope.cte, self.dataset_prefix, self.dataset_name, self.data_source_impl, self.logs, own
            )
            for metric in bundled.aggregation_metrics:
                query.append_aggregation_metric(metric)
            queries.append(query)
        return queries

    def _execute_queries(self) -> list[Measurement]:
        return [found for query in self.queries for found in self._run(query)]

    def _run(self, query: Query) -> list[Measurement]:
        source = self.data_source_impl.data_source_connection
        source.refusal = None
        try:
            found: list[Measurement] = query.execute()
        except (SodaCoreException, psycopg.Error):
            found = []
        source.check()
        if found or source.refusal is None:
            return found
        metrics = query.aggregation_metrics if isinstance(query, AggregationQuery) else query.metrics
        if len(metrics) > 1:
            middle = len(metrics) // 2
            halves = (metrics[:middle], metrics[middle:])
            parts = [one for half in halves for one in self._bundle(half, self.base_scope, query.metric_aliases)]
            return [found for part in parts for found in self._run(part)]
        aliases = getattr(query, "metric_aliases", {}).get(metrics[0].id, ())
        self.refused |= {metric.id: source.refusal for metric in (*metrics, *aliases)}
        return []


class _AggregationQuery(AggregationQuery):  # type: ignore[misc]
    """Always one row: without an aggregate beside it, an expression that is none would be read off the first row."""

    def build_field_expressions(self) -> list[Any]:
        return [*super().build_field_expressions(), ALIAS(COUNT(STAR()), "all_rows")]


class _DistinctQuery(AggregationQuery):  # type: ignore[misc]
    """COUNT(DISTINCT …) by hashing in Postgres's workers, where its own way is to sort in one process."""

    def build_sql(self) -> str:
        dialect = self.data_source_impl.sql_dialect
        if not self.aggregation_metrics:
            return super().build_sql()
        counted = self.aggregation_metrics[0].sql_expression().expression
        values = CTE("distinct_values").AS([SELECT([ALIAS(counted, "one")]), FROM(self.cte.alias)])
        self.sql = dialect.build_select_sql([WITH([self.cte, values]), SELECT([COUNT("one")]), FROM(values.alias)])
        return self.sql


_QUERY = re.compile(r"(?is)(\s|\(|--[^\n]*\n|/\*.*?\*/)*(select|with|values|table)\b")


class _Connection(DataSourceConnection):  # type: ignore[misc]
    """The caller's connection, each query in a savepoint; `refusal` is why Postgres refused the last one."""

    def __init__(self, connection: psycopg.Connection, rewrite: Callable[[str], str]):
        self.refusal: str | None = None
        self._rewrite = rewrite
        super().__init__(DATA_SOURCE, {}, connection)

    def _create_connection(self, config: Any) -> Any:
        return self.connection

    def execute_query(self, sql: str, log_query: bool = True) -> Any:
        statement = self._rewrite(sql)
        return self._guarded(statement, lambda: DataSourceConnection.execute_query(self, statement, log_query=False))

    def execute_query_one_by_one(
        self, sql: str, row_callback: Any, log_query: bool = True, row_limit: Any = None
    ) -> Any:
        statement = self._rewrite(sql)
        return self._guarded(
            statement,
            lambda: DataSourceConnection.execute_query_one_by_one(self, statement, row_callback, False, row_limit),
        )

    def check(self) -> None:
        """Raise when the connection is lost."""
        if self.connection.broken:
            raise psycopg.OperationalError("the connection was lost")

    def _guarded(self, statement: str, work: Callable[[], Any]) -> Any:
        if not _QUERY.match(statement):  # COMMIT would end the snapshot, and COPY the conversation.
            self.refusal = "it is no query: expected SELECT, WITH, VALUES or TABLE"
            raise psycopg.ProgrammingError(self.refusal)
        try:
            # A pipeline takes one statement at a time, where otherwise `SELECT 1; COMMIT; DELETE …` would be three.
            with self.connection.transaction(), self.connection.pipeline():
                found = work()
        except psycopg.Error as error:
            self.refusal = _reason(error)
            raise
        self.refusal = None
        return found


def _reason(error: psycopg.Error) -> str:
    """Why Postgres refused, in its own words where they can only be about the query and names in it.

    Faults that it finds in the text of the query have a position there. What has none may come from a value: a text
    that was cast to the name of a table, a word for the full-text search, SQL that a function put together.
    """
    in_text = (error.sqlstate or "").startswith("42") and error.diag.statement_position
    if in_text or isinstance(error, psycopg.errors.InsufficientPrivilege | psycopg.errors.ReadOnlySqlTransaction):
        return f"Postgres: {error.diag.message_primary}"
    return f"Postgres refused it ({type(error).__name__})"


class _Dialect(PostgresSqlDialect, sqlglot_dialect="postgres"):  # type: ignore[misc, call-arg]
    """Counts rows that meet a condition in the way that costs Postgres least, and quotes any name.

    `databases` says what the database that a contract names is really called: reference data lies in the same.
    """

    def __init__(self) -> None:
        self.databases: dict[str, str] = {}
        super().__init__()

    def _build_qualified_quoted_dataset_name(self, dataset_name: str, dataset_prefix: list[str] | None) -> str:
        first, *others = dataset_prefix or [""]
        prefix = [self.databases.get(first, first), *others] if first else dataset_prefix
        qualified: str = super()._build_qualified_quoted_dataset_name(dataset_name, prefix)
        return qualified

    def quote_default(self, identifier: str | None) -> str | None:
        quoted: str | None = super().quote_default(identifier and identifier.replace('"', '""'))
        return quoted

    def _build_case_when_sql(self, case_when: CASE_WHEN) -> str:
        """A value where it is not null is the value, and an index on a column can serve when it is not wrapped."""
        there, value = NOT(IS_NULL(case_when.if_expression)), str(self.build_expression_sql(case_when.if_expression))
        same = self.build_expression_sql(there) == self.build_expression_sql(case_when.condition)
        return value if same and case_when.else_expression is None else str(super()._build_case_when_sql(case_when))

    def _build_string_hash_sql(self, string_hash: STRING_HASH) -> str:
        return str(self.build_expression_sql(string_hash.expression))  # To tell texts apart they need no hash.

    def _build_sum_sql(self, sum: SUM) -> str:
        return _counted(self, sum.expression) or super()._build_sum_sql(sum)

    def _build_count_sql(self, count: COUNT) -> str:
        return _counted(self, count.expression) or super()._build_count_sql(count)


def _counted(dialect: _Dialect, expression: Any) -> str | None:
    if not isinstance(expression, CASE_WHEN) or expression.else_expression is not None:
        return None
    if not isinstance(expression.if_expression, LITERAL) or expression.if_expression.value != 1:
        return None
    return f"COUNT(*) FILTER (WHERE {dialect.build_expression_sql(expression.condition)})"


def _outcome(
    contract: _Contract, impl: CheckImpl, result: CheckResult, check: Check, key: Sequence[str], sample: int
) -> Outcome:
    threshold = " and ".join(_limit(one) for one in (impl.threshold, impl.warn_threshold) if one)
    refused = next((contract.refused[metric.id] for metric in impl.metrics if metric.id in contract.refused), None)
    status = _STATUS.get(result.outcome.name, "not evaluated") if refused is None else "not evaluated"
    if status == "not evaluated":
        return Outcome(check, status, threshold=threshold, problem=refused or _UNMEASURED)
    values = result.diagnostic_metric_values or {}
    failed = values.get(_ROWS_FAILED.get(check.type, ""))
    tested = values.get("check_rows_tested") if failed is not None else None
    if failed is not None and tested is None:
        tested = values.get("dataset_rows_tested")
    measured = float(result.threshold_value) if result.threshold_value is not None else None
    return Outcome(
        check,
        status,
        measured=measured,
        threshold=threshold,
        rows_tested=None if tested is None else int(tested),
        rows_failed=None if failed is None else int(failed),
        problem=None if status == "passed" else _problem(result, measured, threshold),
        sample=_sample(contract, impl, key, sample) if status != "passed" and failed and key else (),
    )


def _limit(threshold: ThresholdImpl) -> str:
    """A threshold in a few signs: `> 0`, `= 5 (warn)`, `4 < value <= 5`."""
    said: str = threshold.get_assertion_summary("value")
    words = said.split()
    if len(words) == 3:
        said = f"{words[1]} {words[2]}" if words[0] == "value" else f"{words[1].replace('<', '>')} {words[0]}"
    return said + (" (warn)" if threshold.level.value == "warn" else "")


_UNMEASURED = "there was nothing to measure: the table has no rows for it, or the result is no finite number"


def _problem(result: CheckResult, measured: float | None, threshold: str) -> str:
    if isinstance(result, SchemaCheckResult):
        faults = [f"column {name} is missing" for name in result.expected_column_names_not_actual]
        faults += [f"column {name} was not expected" for name in result.actual_column_names_not_expected]
        faults += [
            f"column {one.column} is {one.get_actual()}, expected {one.get_expected()}"
            for one in result.column_data_type_mismatches
        ]
        return "; ".join(faults) or "the columns are in another order"
    if measured is None:
        return "there is no time to measure from: no rows, or none with a time"
    number = f"{measured:.0f}" if measured.is_integer() else f"{measured:.10g}"
    return f"measured {number}, expected {threshold}"


def _sample(contract: _Contract, impl: CheckImpl, key: Sequence[str], rows: int) -> tuple[Mapping[str, str], ...]:
    """The keys of up to `rows` rows that failed; empty when Soda cannot tell which rows they are."""
    source = contract.data_source_impl
    dialect, cte = source.sql_dialect, impl.scope.cte
    keys = [COLUMN(name) for name in key]
    limit = [*(ORDER_BY_ASC(name) for name in keys), LIMIT(rows)]
    yaml = impl.check_yaml
    if getattr(impl, "ref_query", None):
        keys = [one.IN(impl.ref_query.referencing_alias) for one in keys]
        query = [*impl.ref_query.build_query(cte, SELECT(keys)), LIMIT(rows)]
    elif impl.type == "failed_rows" and not yaml.expression:
        failed = CTE("failed_rows").AS(yaml.query or yaml.keys_query)
        query = [WITH([failed]), SELECT(STAR()), FROM(failed.alias), LIMIT(rows)]
    else:
        if impl.type == "duplicate":
            # What is counted as distinct: null in rows that are filtered out or missing, which IN never finds.
            metric = impl.metrics[0]
            counted = dialect.build_expression_sql(metric.sql_expression().expression.expression)
            twice = f"{dialect.quote_default(cte.alias)} GROUP BY 1 HAVING count(*) > 1"
            condition = SqlExpressionStr(f"({counted}) IN (SELECT {counted} FROM {twice})")  # noqa: S608 — the contract's own SQL
        else:
            condition = impl.get_threshold_metric_impl().sql_condition_expression()
        query = [WITH([cte]), SELECT(keys), FROM(cte.alias), WHERE(condition), *limit]
    try:
        found = source.execute_query(dialect.build_select_sql(query))
    except psycopg.Error:
        source.data_source_connection.check()
        return ()
    named = [(at, column.name) for at, column in enumerate(found.columns) if column.name in key]
    return tuple({name: _shown(row[at]) for at, name in named} for row in found.rows if named)


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)
