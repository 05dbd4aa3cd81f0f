"""Counts over a column of few values, taken from its distinct values and how often each occurs.

Belongs here: which metrics can be taken so, and their query. Does not belong here: which columns have few values
(`quality/verification.py` asks Postgres), and other queries (`queries.py`).

A regular expression on a million texts of which twenty differ is evaluated twenty times, and so is all else that looks
at that column alone.
"""

from collections.abc import Collection, Iterable
from typing import Any

from soda_core.common.sql_ast import ALIAS, COLUMN, COUNT, CTE, FROM, GROUP_BY, SELECT, STAR, WITH, SqlExpressionStr
from soda_core.contracts.impl.contract_verification_impl import AggregationMetricImpl

from atlas_pipeline.quality.soda.dialect import Dialect
from atlas_pipeline.quality.soda.queries import KeptQuery

_ROWS = "atlas_rows"
_LEAST = 4
"""Grouping costs about as much as four simple conditions, or as a regular expression."""


class FewValuesQuery(KeptQuery):
    """Metrics that look at one column, over its distinct values."""

    def __init__(self, column: str, *arguments: Any):
        self._column = column
        super().__init__(*arguments)

    def build_sql(self) -> str:
        dialect = self.data_source_impl.sql_dialect
        column = COLUMN(self._column)
        grouped = [SELECT([column, ALIAS(COUNT(STAR()), _ROWS)]), FROM(self.cte.alias), GROUP_BY([column])]
        values = CTE("few_values").AS(grouped)
        found = [
            ALIAS(SqlExpressionStr(_over_values(dialect.build_expression_sql(metric.sql_expression()))), f"m_{number}")
            for number, metric in enumerate(self.aggregation_metrics)
        ] or [COUNT(STAR())]
        self.sql = dialect.build_select_sql([WITH([self.cte, values]), SELECT(found), FROM(values.alias)])
        return str(self.sql)


def by_column(
    dialect: Dialect, metrics: Iterable[AggregationMetricImpl], few: Collection[str]
) -> dict[str, list[AggregationMetricImpl]]:
    """The metrics that are worth taking from distinct values, by their column.

    Args:
        dialect: writes their SQL.
        metrics: aggregates of one table.
        few: its columns that have few values.
    """
    if not few:
        return {}
    found: dict[str, list[tuple[AggregationMetricImpl, int]]] = {}
    for metric in metrics:
        text = dialect.build_expression_sql(metric.sql_expression())
        column = _only_column(text)
        if column in few:
            found.setdefault(column, []).append((metric, _LEAST if "~" in text else 1))
    return {
        column: [metric for metric, _ in weighed]
        for column, weighed in found.items()
        if sum(weight for _, weight in weighed) >= _LEAST
    }


def _only_column(text: str) -> str:
    """The one column that a count of rows under a condition looks at; empty for any other expression."""
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError

    try:
        tree = parse_one(text, dialect="postgres")
    except (SqlglotError, RecursionError):
        return ""
    counted = tree.this if isinstance(tree, exp.Filter) else None
    if not isinstance(counted, exp.Count) or not isinstance(counted.this, exp.Star):
        return ""
    # What a function does is known of those that sqlglot knows; others might look at more than the value.
    if tree.find(exp.Query, exp.Anonymous, exp.Window, exp.Rand, exp.Placeholder, exp.Parameter):
        return ""
    columns = list(tree.find_all(exp.Column))
    names = {column.name if column.this.quoted else column.name.lower() for column in columns}
    return names.pop() if len(names) == 1 and not any(column.table for column in columns) else ""


def _over_values(text: str) -> str:
    """`COUNT(*) FILTER (WHERE …)`, of values that stand for several rows each."""
    condition = text[text.index("(", text.upper().index("FILTER")) :]
    return f"coalesce(sum({_ROWS}) FILTER {condition}, 0)::bigint"
