"""What was counted of each published table, so that a merge of few rows needs to count only these.

Belongs here: the record in the warehouse, and when it may be gone by. Does not belong here: which numbers can be added
up (`soda/additive.py`), and counting (`soda/`).

A record is of one publication: it is written in the transaction that publishes, and read while that is the newest. A
table that was published by something that counts nothing so has none. However good it is, all rows are counted again
after some publications, and some hours: `ATLAS_FULL_CHECKS_MERGES` and `ATLAS_FULL_CHECKS_HOURS`.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from atlas_pipeline.warehouse.publish import Change

Number = int | float | Decimal | date | datetime | None
State = tuple[Any, ...]
"""Numbers that an aggregate is made of: a count; a sum and the rows in it; the outermost value."""


@dataclass(frozen=True)
class Limits:
    """How many publications, and hours, may go by between two times that all rows are counted."""

    merges: int
    hours: float


@dataclass
class Tally:
    """The counts of one table, as they are carried from one publication to the next.

    Attributes:
        layer: of the table.
        name: of the table.
        limits: to carrying them.
        changing: columns whose values may change in rows that stay.
        change: what the table that is measured makes of the published one; null where it is another one.
        before: counts of the published table, by what was counted; empty where there are none to go by.
        merges: publications since all rows were counted.
        counted_at: when that was; null for now.
        after: counts of the table that is measured.
    """

    layer: str
    name: str
    limits: Limits
    changing: Collection[str] = ()
    change: Change | None = None
    before: Mapping[str, State] = field(default_factory=dict)
    merges: int = 0
    counted_at: datetime | None = None
    after: dict[str, State] = field(default_factory=dict)

    def begin(self, connection: psycopg.Connection) -> None:
        """Read the counts of the published table, in the snapshot that the table is measured in."""
        self.before, self.merges, self.counted_at, self.after = {}, 0, None, {}
        if self.change is None:
            return
        row = connection.execute(
            sql.SQL(
                "SELECT c.counts, c.carried, c.counted_at FROM atlas.check_counts c JOIN atlas.publications p"
                " USING (layer, name, version) WHERE (c.layer, c.name) = (%s, %s) AND c.settings = {}"
                " AND c.carried < %s AND c.counted_at > now() - make_interval(secs => %s)"
            ).format(_SETTINGS),
            [self.layer, self.name, self.limits.merges, self.limits.hours * 3600],
        ).fetchone()
        if row:
            self.before = {what: tuple(map(_decoded, state)) for what, state in row[0].items()}
            self.merges, self.counted_at = row[1] + 1, row[2]

    def keep(self, connection: psycopg.Connection) -> None:
        """Write the counts down, as those of the newest publication; to be called in the transaction that publishes."""
        counts = {what: list(map(_encoded, state)) for what, state in self.after.items()}
        connection.execute(
            sql.SQL(
                "INSERT INTO atlas.check_counts (layer, name, version, counts, settings, carried, counted_at)"
                " SELECT layer, name, version, %s, {}, %s, coalesce(%s, clock_timestamp())"
                " FROM atlas.publications WHERE (layer, name) = (%s, %s) ON CONFLICT (layer, name) DO UPDATE SET"
                " version = excluded.version, counts = excluded.counts, settings = excluded.settings,"
                " carried = excluded.carried, counted_at = excluded.counted_at"
            ).format(_SETTINGS),
            [Jsonb(counts, dumps=json.dumps), self.merges, self.counted_at, self.layer, self.name],
        )


def forget_counts(connection: psycopg.Connection, layer: str, name: str) -> None:
    """Have all rows counted at the next publication.

    Args:
        connection: in a transaction that the caller commits.
        layer: of the table.
        name: of the table.
    """
    connection.execute("DELETE FROM atlas.check_counts WHERE (layer, name) = (%s, %s)", [layer, name])


_SETTINGS = sql.SQL(
    "concat_ws(' ', current_setting('TimeZone'), current_setting('DateStyle'), current_setting('IntervalStyle'),"
    " current_setting('server_version_num'))"
)
"""What else decides what a condition on a row says."""


def _encoded(number: Number) -> Any:
    """As JSON, which has one kind of number, and no times."""
    if number is None or type(number) is int:
        return number
    for kind, name in _KINDS.items():
        if isinstance(number, kind):
            return {name: _WRITTEN[name](number)}
    raise TypeError(f"{type(number).__name__} cannot be kept")


def _decoded(number: Any) -> Number:
    if not isinstance(number, dict):
        return number
    ((name, text),) = number.items()
    return _READ[name](text)


_KINDS: Mapping[type, str] = {Decimal: "decimal", float: "float", datetime: "moment", date: "day"}
_WRITTEN: Mapping[str, Any] = {
    "decimal": str,
    "float": float.hex,
    "moment": datetime.isoformat,
    "day": date.isoformat,
}
_READ: Mapping[str, Any] = {
    "decimal": Decimal,
    "float": float.fromhex,
    "moment": datetime.fromisoformat,
    "day": date.fromisoformat,
}
