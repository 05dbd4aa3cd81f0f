"""Which rows failed a check, by columns that may be shown.

Belongs here: finding them. Does not belong here: which columns may be shown (the caller's business).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from soda_core.common.sql_ast import (
    COLUMN,
    CTE,
    FROM,
    LIMIT,
    ORDER_BY_ASC,
    SELECT,
    STAR,
    WHERE,
    WITH,
    SqlExpressionStr,
)
from soda_core.contracts.impl.contract_verification_impl import CheckImpl, ContractImpl


def failed_rows(
    contract: ContractImpl, impl: CheckImpl, key: Sequence[str], rows: int
) -> tuple[Mapping[str, str], ...]:
    """The keys of rows that failed a check; empty when Soda cannot tell which rows they are.

    Args:
        contract: being measured.
        impl: the check.
        key: columns that may be shown.
        rows: most rows.
    """
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
        returned = _columns(
            source, [WITH([failed]), SELECT(STAR()), FROM(failed.alias), WHERE(SqlExpressionStr("false"))]
        )
        keys = [one for one in keys if one.name in returned]
        if not keys:
            return ()
        # A query may call any column by the name of a key: what is shown must be a key that the table has.
        names = ", ".join(map(dialect.build_expression_sql, keys))
        known = SqlExpressionStr(f"({names}) IN (SELECT {names} FROM {dialect.quote_default(cte.alias)})")  # noqa: S608 — names
        query = [WITH([failed, cte]), SELECT(keys), FROM(failed.alias), WHERE(known), LIMIT(rows)]
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


def _columns(source: Any, query: list[Any]) -> set[str]:
    """The names of the columns that a query returns; empty when Postgres refuses it."""
    try:
        return {column.name for column in source.execute_query(source.sql_dialect.build_select_sql(query)).columns}
    except psycopg.Error:
        source.data_source_connection.check()
        return set()


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)
