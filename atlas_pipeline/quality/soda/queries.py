"""Queries of several metrics, where Soda's own would be slow or wrong.

Belongs here: their SQL. Does not belong here: which metrics they take (`contract.py`).
"""

from typing import Any

from soda_core.common.sql_ast import ALIAS, COUNT, CTE, FROM, SELECT, STAR, WITH
from soda_core.contracts.impl.contract_verification_impl import AggregationQuery


class OneRowQuery(AggregationQuery):  # type: ignore[misc]
    """Always one row: without an aggregate beside it, an expression that is none would be read off the first row."""

    def build_field_expressions(self) -> list[Any]:
        return [*super().build_field_expressions(), ALIAS(COUNT(STAR()), "all_rows")]


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
