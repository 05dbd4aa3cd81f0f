"""What a project declares of its tables, as the catalogue shows it: plain data.

Belongs here: these types. Does not belong here: where they come from (`orchestration/tables/catalogue.py`), and what
was measured (`recorded.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ColumnOf = tuple[str, str]
"""Key of a table, and name of a column of it."""


@dataclass(frozen=True)
class Column:
    """One column, as far as a declaration tells; `sources` are the columns that it is made from."""

    name: str
    type: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    sources: Sequence[ColumnOf] = ()


@dataclass(frozen=True)
class Check:
    """One check; `path` is its place in the contract, null for one whose outcomes are recorded by its name."""

    name: str
    title: str
    path: str | None
    dimension: str
    blocking: bool


@dataclass(frozen=True)
class Table:
    """One table, or another asset.

    Attributes:
        key: layer and name, such as silver.orders.
        layer: bronze, silver, gold, or the first part of the key of another asset.
        name: without the layer.
        description: what it is; null where the project does not say.
        owners: who answers for it.
        tags: of the asset.
        reads: keys of the tables that it is made from.
        columns: in their order, as far as declarations tell.
        checks: in their order.
        facts: other fields of the declaration, by their heading.
        recipients: who else receives the data, as declared.
        sql: of a gold model.
        invalid: what is wrong with the declaration; null for one that is right.
    """

    key: str
    layer: str
    name: str
    description: str | None = None
    owners: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    reads: Sequence[str] = ()
    columns: Sequence[Column] = ()
    checks: Sequence[Check] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    recipients: Sequence[str] = ()
    sql: str | None = None
    invalid: str | None = None
