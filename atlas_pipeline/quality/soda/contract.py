"""Measuring a contract: which of its checks, in which queries, and what to do with one that Postgres refuses.

Belongs here: Soda's contract, and the order of its queries. Does not belong here: how a query is written (`dialect.py`,
`queries.py`) and run (`connection.py`), and what is made of its result (`outcomes.py`).
"""

import json
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from soda_core.common.exceptions import SodaCoreException
from soda_core.common.logs import preserve_active_logs
from soda_core.common.sql_ast import COUNT, DISTINCT
from soda_core.common.yaml import ContractYamlSource
from soda_core.contracts.contract_verification import Measurement
from soda_core.contracts.impl.contract_verification_impl import (
    AggregationMetricImpl,
    AggregationQuery,
    CheckImpl,
    ContractImpl,
    MetricImpl,
    Query,
)
from soda_core.contracts.impl.contract_yaml import ContractYaml
from soda_postgres.common.data_sources.postgres_data_source import PostgresDataSourceImpl
from soda_postgres.common.data_sources.postgres_data_source_connection import PostgresDataSource

from atlas_pipeline.quality.contract import DATASET_LINE
from atlas_pipeline.quality.counts import Tally
from atlas_pipeline.quality.outcome import Check, Outcome
from atlas_pipeline.quality.quiet import listening
from atlas_pipeline.quality.soda.carrying import Carrying
from atlas_pipeline.quality.soda.connection import DATA_SOURCE, Connection
from atlas_pipeline.quality.soda.dialect import Dialect
from atlas_pipeline.quality.soda.few_values import FewValuesQuery, by_column
from atlas_pipeline.quality.soda.outcomes import outcome_of
from atlas_pipeline.quality.soda.queries import DistinctQuery, OneRowQuery

_METRICS_A_QUERY = 400  # Postgres takes 1,664 columns, and a query that fails is halved
_PARSING = threading.Lock()  # Soda reads all its YAML with one parser, which is for one thread at a time


@dataclass(frozen=True)
class Known:
    """Columns of a table: that have no value twice, that have few values, and whose values rows that stay keep."""

    unique: Collection[str]
    few: Collection[str]
    steady: Collection[str]


def measure(
    text: str,
    connection: psycopg.Connection,
    place: str,
    checks: Sequence[Check],
    known: Known,
    *,
    key: Sequence[str] = (),
    sample: int = 20,
    tally: Tally | None = None,
    rewrite: Callable[[str], str] = lambda statement: statement,
) -> list[Outcome]:
    """Measure checks of a contract on another dataset than its own.

    Args:
        text: the contract.
        connection: each query runs in a savepoint of its transaction.
        place: database, schema and name of the table that is measured.
        checks: all or some of those in the contract.
        known: of the table.
        key: columns whose values may be shown of rows that failed.
        sample: most such rows for each check.
        tally: counts of the published table that are carried forward, and those of this one are put into.
        rewrite: applied to each query before it runs.

    Raises:
        psycopg.OperationalError: when the connection is lost.
    """
    wanted = {check.path: check for check in checks}
    source = PostgresDataSourceImpl(
        PostgresDataSource.model_construct(name=DATA_SOURCE, type="postgres"), Connection(connection, rewrite)
    )
    source.sql_dialect = Dialect(known.unique)
    if declared := DATASET_LINE.search(text):
        source.sql_dialect.databases[declared[0].split("/")[1]] = place.split("/")[0]
    with listening() as problems, preserve_active_logs():
        own = DATASET_LINE.sub(lambda _: f"dataset: {json.dumps(f'{DATA_SOURCE}/{place}')}", text, count=1)
        with _PARSING:
            yaml = ContractYaml.parse(ContractYamlSource.from_str(own), primary_data_source_impl=source)
        contract = Contract(yaml=yaml, data_source_impl=source, wanted=wanted.keys(), known=known, tally=tally)
        if problems:
            return [Outcome(check, "not evaluated", problem=f"Soda: {problems[0]}") for check in checks]
        results = {result.check.relative_path: result for result in contract.verify().check_results}
        impls = {impl.relative_path: impl for impl in contract.all_check_impls}
        return [
            outcome_of(contract, contract.refused, impls[path], results[path], check, key, sample)
            if path in results
            else Outcome(check, "not evaluated", problem="Soda does not know this check")
            for path, check in wanted.items()
        ]


class Contract(ContractImpl):  # type: ignore[misc]
    """A contract of which only the `wanted` checks are measured."""

    all_check_impls: list[CheckImpl]
    metrics: list[MetricImpl]

    def __init__(self, *, wanted: Any, known: Known, tally: Tally | None, **arguments: Any):
        """A contract over one table.

        Args:
            wanted: paths of the checks to measure.
            known: of the table.
            tally: counts that are carried forward; null to count all rows.
            arguments: Soda's own.
        """
        self.wanted = wanted
        self.few = known.few
        self.refused: dict[str, str] = {}
        """Why a metric, by its id, has no value."""
        self._aggregates: list[AggregationMetricImpl] = []
        super().__init__(**arguments)
        self._carrying = Carrying(self.data_source_impl, self.dataset_prefix, known.steady, self.filter, tally)

    def _build_queries(self) -> list[Query]:
        self.all_check_impls = [one for one in self.all_check_impls if one.relative_path in self.wanted]
        for one in self.all_check_impls:
            one._build_definition = str  # Its YAML once more, which nobody reads.
        needed = {metric.id for one in self.all_check_impls for metric in one.metrics} | {self.row_count_metric_impl.id}
        self.metrics = [metric for metric in self.metrics if metric.id in needed]
        return super()._build_queries()

    def bundle_aggregation_metrics(self, metrics: list[AggregationMetricImpl], scope: Any) -> list[AggregationQuery]:
        """None yet: which of them need all rows is known once those that come and go were looked at."""
        self._aggregates = metrics
        return []

    def _bundled(self, metrics: list[AggregationMetricImpl], scope: Any) -> list[AggregationQuery]:
        together: list[AggregationMetricImpl] = []
        distinct: dict[str, list[AggregationMetricImpl]] = {}
        for metric in metrics:
            expression = metric.sql_expression()
            sql = self.data_source_impl.sql_dialect.build_expression_sql(expression)
            counts_distinct = isinstance(expression, COUNT) and isinstance(expression.expression, DISTINCT)
            if counts_distinct and "DISTINCT" in sql:
                distinct.setdefault(sql, []).append(metric)
            else:
                together.append(metric)
        grouped = by_column(self.data_source_impl.sql_dialect, together, self.few)
        apart = {metric.id for metrics in grouped.values() for metric in metrics}
        together = [metric for metric in together if metric.id not in apart]
        blocks = [together[i : i + _METRICS_A_QUERY] for i in range(0, len(together), _METRICS_A_QUERY)]
        queries = [query for block in blocks for query in self._bundle(block, scope, {})]
        place = (scope.cte, self.dataset_prefix, self.dataset_name, self.data_source_impl, self.logs)
        for column, alike in grouped.items():
            for bundled in super().bundle_aggregation_metrics(alike, scope):
                few = FewValuesQuery(column, self._carrying, *place, bundled.metric_aliases)
                for metric in bundled.aggregation_metrics:
                    few.append_aggregation_metric(metric)
                queries.append(few)
        for first, *others in distinct.values():
            query = DistinctQuery(*place, {first.id: others})
            query.append_aggregation_metric(first)
            queries.append(query)
        return queries

    def _bundle(self, metrics: list[AggregationMetricImpl], scope: Any, aliases: dict) -> list[AggregationQuery]:
        queries: list[AggregationQuery] = []
        for bundled in super().bundle_aggregation_metrics(metrics, scope):
            own = {**aliases, **bundled.metric_aliases}
            query = OneRowQuery(
                self._carrying, scope.cte, self.dataset_prefix, self.dataset_name, self.data_source_impl, self.logs, own
            )
            for metric in bundled.aggregation_metrics:
                query.append_aggregation_metric(metric)
            queries.append(query)
        return queries

    def _execute_queries(self) -> list[Measurement]:
        moved = {
            metric.id: Measurement(metric.id, metric.convert_db_value(value), metric.get_short_description())
            for metric, value in self._carrying.moved(self._aggregates)
        }
        rest = [metric for metric in self._aggregates if metric.id not in moved]
        queries = [*self.queries, *(self._bundled(rest, self.base_scope) if rest else [])]
        return [*moved.values(), *(found for query in queries for found in self._run(query))]

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
