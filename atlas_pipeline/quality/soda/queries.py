"""Queries of several metrics, where Soda's own would be slow or wrong.

Belongs here: their SQL. Does not belong here: which metrics they take (`contract.py`).
"""

from itertools import islice
from typing import Any

from soda_core.common.sql_ast import ALIAS, COUNT, CTE, FROM, SELECT, STAR, WITH, SqlExpressionStr
from soda_core.contracts.contract_verification import Measurement
from soda_core.contracts.impl.contract_verification_impl import AggregationQuery

from atlas_pipeline.quality.soda.carrying import Carrying


class KeptQuery(AggregationQuery):  # type: ignore[misc]
    """Metrics whose values are kept, with what else they are made of, so that they can be carried forward."""

    def __init__(self, carrying: Carrying, *arguments: Any):
        self._carrying = carrying
        super().__init__(*arguments)

    def execute(self) -> list[Measurement]:
        row = self.data_source_impl.execute_query(self.build_sql()).rows[0]
        more = iter(row[len(self.aggregation_metrics) :])
        found: list[Measurement] = []
        for metric, own in zip(self.aggregation_metrics, row, strict=False):
            fields = (own, *islice(more, len(self._others(metric))))
            value = metric.convert_db_value(self._carrying.measured(metric, fields))
            for one in (metric, *self.metric_aliases.get(metric.id, ())):
                found.append(Measurement(metric_id=one.id, value=value, metric_name=one.get_short_description()))
        return found

    def _others(self, metric: Any) -> tuple[str, ...]:
        made = self._carrying.of(metric)
        return made.fields[1:] if made else ()


class OneRowQuery(KeptQuery):
    """Always one row: without an aggregate beside it, an expression that is none would be read off the first row."""

    def build_field_expressions(self) -> list[Any]:
        others = [other for metric in self.aggregation_metrics for other in self._others(metric)]
        fields = [ALIAS(SqlExpressionStr(other), f"o_{number}") for number, other in enumerate(others)]
        return [*super().build_field_expressions(), *fields, ALIAS(COUNT(STAR()), "all_rows")]


class DistinctQuery(AggregationQuery):  # type: ignore[misc]
    """COUNT(DISTINCT …) by hashing in Postgres's workers, where its own way is to sort in one process."""

    def build_sql(self) -> str:
        dialect = self.data_source_impl.sql_dialect
        if not self.aggregation_metrics:
            return super().build_sql()
        counted = self.aggregation_metrics[0].sql_expression().expression
        values = CTE("distinct_values").AS([SELECT([ALIAS(counted, "one")]), FROM(self.cte.alias)])
        self.sql = dialect.build_select_sql([WITH([self.cte, values]), SELECT([COUNT("one")]), FROM(values.alias)])
        return self.sql
