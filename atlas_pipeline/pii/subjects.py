"""Whose data the rows of silver tables are: as declared, else as keys, references and plans tell.

Belongs here: that. Does not belong here: how subjects go on into gold (`sql/subjects.py`), and what is done with
groups of few (`small_groups.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from atlas_pipeline.pii.plan import ColumnPlan

_OF_A_PERSON = frozenset(
    (
        *("PERSON", "USERNAME", "EMAIL_ADDRESS", "PHONE_NUMBER", "STREET_ADDRESS", "DATE_OF_BIRTH", "AGE", "GENDER"),
        *("NRP", "MARITAL_STATUS", "NATIONAL_ID", "US_SSN", "UK_NHS", "HEALTH_ID", "TAX_ID", "PASSPORT"),
        *("DRIVER_LICENSE",),
    )
)
"""Kinds of which a column says that the row it is in is about a person."""


@dataclass(frozen=True)
class Reference:
    """`column` holds values of silver.`table`.`referenced`."""

    column: str
    table: str
    referenced: str


@dataclass(frozen=True)
class DeclaredTable:
    """What a declaration says of whose data a dataset is.

    Attributes:
        names: its tables in silver: its own, and that of history.
        subject: the column that says so, as declared; null where it does not.
        key: its key.
        references: what its columns refer to.
    """

    names: tuple[str, ...]
    subject: str | None
    key: tuple[str, ...]
    references: tuple[Reference, ...] = ()


def subjects_of(
    tables: Mapping[str, DeclaredTable], plans: Mapping[str, Mapping[str, ColumnPlan]]
) -> dict[str, tuple[str, str]]:
    """The column of each silver table that says whose data a row is, and a name for these persons.

    A declared column comes first. Else a reference to the subjects of another table says whose data a row is, as
    orders are of customers; else the key of a table with a column that only persons have, such as a name.

    Args:
        tables: declarations by name of dataset.
        plans: of the columns of each, as far as they are known.
    """
    known: dict[str, tuple[str, str] | None] = {}

    def look(name: str) -> tuple[str, str] | None:
        if name not in known:
            known[name] = None  # of tables that refer to each other in a circle none is the first
            known[name] = _subject(name, tables[name])
        return known[name]

    def _subject(name: str, table: DeclaredTable) -> tuple[str, str] | None:
        for reference in table.references:
            target = look(reference.table) if reference.table in tables else None
            if target and target[0] == reference.referenced and table.subject in (None, reference.column):
                return reference.column, target[1]
        if table.subject:
            return table.subject, name
        if len(table.key) == 1 and any(plan.entity in _OF_A_PERSON for plan in plans.get(name, {}).values()):
            return table.key[0], name
        return None

    found = {name: look(name) for name in tables}
    return {silver: subject for name, subject in found.items() if subject is not None for silver in tables[name].names}
