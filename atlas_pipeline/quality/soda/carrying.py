"""A contract's numbers as those of the published table, moved by the rows that come and go.

Belongs here: which numbers are had in this way, and the two queries of few rows for it. Does not belong here:
arithmetic (`additive.py`), queries of all rows (`queries.py`), and the record (`quality/counts.py`).
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from soda_core.common.data_source_impl import DataSourceImpl
from soda_core.common.dataset_identifier import DatasetIdentifier
from soda_core.common.filtered_cte import build_filtered_cte
from soda_core.common.sql_ast import ALIAS, FROM, SELECT, WITH, SqlExpressionStr
from soda_core.contracts.impl.contract_verification_impl import AggregationMetricImpl

from atlas_pipeline.quality.counts import State, Tally
from atlas_pipeline.quality.soda.additive import Additive, additive, of_one_row

_FIELDS_A_QUERY = 1000
_ALIAS = "atlas_rows_of_change"


class Carrying:
    """The aggregates of one contract that can be added up.

    Args:
        source: runs queries, and writes SQL.
        prefix: database and schema of the table that is measured, and of those that it changes by.
        columns: of the table, without those whose values change in rows that stay.
        condition: on rows that the contract is about, as SQL.
        tally: the counts of the table; null to count all rows and remember nothing.
    """

    def __init__(
        self,
        source: DataSourceImpl,
        prefix: Sequence[str],
        columns: Collection[str],
        condition: str | None,
        tally: Tally | None,
    ) -> None:
        self._source = source
        self._prefix = prefix
        self._columns = columns if condition is None or of_one_row(condition, columns) else None
        self._condition = condition
        self._tally = tally
        self._known: dict[str, Additive | None] = {}

    def of(self, metric: AggregationMetricImpl) -> Additive | None:
        """What an aggregate is made of; null for one that has to be measured on all rows."""
        if metric.id not in self._known:
            text = self._source.sql_dialect.build_expression_sql(metric.sql_expression())
            self._known[metric.id] = None if self._columns is None else additive(text, self._columns)
        return self._known[metric.id]

    def measured(self, metric: AggregationMetricImpl, row: Sequence[Any]) -> Any:
        """The value of an aggregate over all rows, which is kept; `row` are the fields that it is made of."""
        made = self.of(metric)
        state = made.state(tuple(row)) if made else None
        if made is None or state is None:
            return row[0]
        if self._tally is not None:
            self._tally.after[self._what(made)] = state
        return made.value(state)

    def moved(self, metrics: Iterable[AggregationMetricImpl]) -> Iterator[tuple[AggregationMetricImpl, Any]]:
        """Those aggregates that follow from the published table's and the rows that come and go, and their values."""
        tally = self._tally
        if tally is None or tally.change is None or not tally.before:
            return
        wanted = [(metric, made, self._what(made)) for metric in metrics if (made := self.of(metric))]
        todo = {what: made for _, made, what in wanted if what in tally.before}
        added = self._states(tally.change.added, todo)
        replaced = self._states(tally.change.replaced, {what: todo[what] for what in added})
        for what, gone in replaced.items():
            state = todo[what].moved(tally.before[what], added[what], gone)
            if state is not None:
                tally.after[what] = state
        for metric, made, what in wanted:
            if what in replaced and what in tally.after:
                yield metric, made.value(tally.after[what])

    def _what(self, made: Additive) -> str:
        """What is counted, by which it is known from one publication to the next."""
        text = f"{self._condition or ''}\0{made.fields[0]}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _states(self, table: str | None, todo: Mapping[str, Additive]) -> dict[str, State]:
        """The states of aggregates over few rows, without those that Postgres refuses, or that cannot be added up."""
        if table is None:
            return {what: made.nothing for what, made in todo.items()}
        found: dict[str, State] = {}
        block: dict[str, Additive] = {}
        for what, made in todo.items():
            if sum(len(one.fields) for one in block.values()) + len(made.fields) > _FIELDS_A_QUERY:
                found |= self._block(table, block)
                block = {}
            block[what] = made
        return found | self._block(table, block)

    def _block(self, table: str, block: Mapping[str, Additive]) -> dict[str, State]:
        if not block:
            return {}
        place = DatasetIdentifier(self._source.name, list(self._prefix), table)
        cte = build_filtered_cte(place, self._condition, _ALIAS)
        dialect = self._source.sql_dialect
        fields = [field for made in block.values() for field in made.fields]
        select = SELECT([ALIAS(SqlExpressionStr(field), f"f_{at}") for at, field in enumerate(fields)])
        try:
            row = self._source.execute_query(dialect.build_select_sql([WITH([cte]), select, FROM(_ALIAS)])).rows[0]
        except psycopg.Error:
            self._source.data_source_connection.check()
            return {}
        values, states = iter(row), {}
        for what, made in block.items():
            state = made.state(tuple(next(values) for _ in made.fields))
            if state is not None:
                states[what] = state
        return states
