"""How conditions and counts are written for Postgres.

Belongs here: SQL of single expressions. Does not belong here: queries (`queries.py`).
"""

from collections.abc import Collection
from typing import Any

from soda_core.common.sql_ast import CASE_WHEN, COUNT, DISTINCT, IS_NULL, LITERAL, NOT, STRING_HASH, SUM
from soda_postgres.common.data_sources.postgres_data_source import PostgresSqlDialect


class Dialect(PostgresSqlDialect, sqlglot_dialect="postgres"):  # type: ignore[misc, call-arg]
    """Counts rows that meet a condition in the way that costs Postgres least, and quotes any name.

    `databases` says what the database that a contract names is really called: reference data lies in the same. Values
    of the columns `unique` are distinct, which need not be found out by counting.
    """

    def __init__(self, unique: Collection[str]) -> None:
        self.databases: dict[str, str] = {}
        super().__init__()
        self._unique = {self.quote_default(name) for name in unique}

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
        if isinstance(count.expression, DISTINCT) and not isinstance(count.expression.expression, list):
            value = self.build_expression_sql(count.expression.expression)
            if value in self._unique:
                return f"COUNT({value})"
        return _counted(self, count.expression) or super()._build_count_sql(count)


def _counted(dialect: Dialect, expression: Any) -> str | None:
    if not isinstance(expression, CASE_WHEN) or expression.else_expression is not None:
        return None
    if not isinstance(expression.if_expression, LITERAL) or expression.if_expression.value != 1:
        return None
    return f"COUNT(*) FILTER (WHERE {dialect.build_expression_sql(expression.condition)})"
