"""How many persons each row of a model is made of: the model's SELECT with a column that counts them.

Belongs here: from a model and the subjects of the tables it reads to that SELECT. Does not belong here: whose data a
table is (`pii/subjects.py`), and what is done with groups of few (`pii/small_groups.py`).

Values count, as in lineage: persons that only WHERE or EXISTS look at are not counted. A group that is made of groups
counts as the largest of these, which is never too many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from atlas_pipeline.sql.lineage import Model, ModelError, output_columns
from atlas_pipeline.sql.rules import tokens_of

COUNT = "__atlas_subjects"
"""The column with the number of subjects of a row."""
LEVEL = "__atlas_level"
"""The column that says which of the keys a row is a total over, as Postgres's GROUPING does."""


@dataclass(frozen=True)
class Subject:
    """`column` says whose data a row is. `entity` names these persons: the same in all tables that they are in."""

    column: str
    entity: str


@dataclass(frozen=True)
class Counted:
    """A model that data of persons reaches.

    Attributes:
        statement: its SELECT, with the columns COUNT and LEVEL after its own where rows are groups.
        groups: whether rows are groups; else each is of one person.
        entity: whose data it is.
        column: that says whose data a row is; null where none does.
        keys: columns that tell groups apart; empty where that cannot be told.
    """

    statement: str
    groups: bool
    entity: str
    column: str | None
    keys: tuple[str, ...] = ()


def count_subjects(
    model: Model, catalog: Mapping[tuple[str, str], Sequence[str]], subjects: Mapping[tuple[str, str], Subject]
) -> Counted | None:
    """The model with its subjects counted; null when none of its values are of persons.

    Args:
        model: as read.
        catalog: the columns of the tables that it may read.
        subjects: whose data the tables are.

    Raises ModelError: its columns cannot be resolved, or it cannot be told how many persons a row is made of.
    """
    from atlas_pipeline.sql.flows import Flows, Opaque, key_positions
    from atlas_pipeline.sql.splices import Splices, Unplaceable, quoted

    if not any((table.schema, table.name) in subjects for table in model.tables):
        return None
    names = output_columns(model, catalog)
    known = {table: (subject.column, subject.entity) for table, subject in subjects.items()}
    try:
        splices = Splices(model.statement, tokens_of(model.statement, model.path), model.tree)
        flows = Flows(splices, known)
        flow = flows.query(model.tree, {})
        if flow is None:
            return None
        if not flow.cells:
            entity, part = next(iter(flow.parts.items()))
            return Counted(model.statement, False, entity, part.column)
        columns = [quoted(name) for name in names]
        counted = f"coalesce({quoted(flows.hide(flow.parts['']))}, 0) AS {COUNT}"
        level = f"0 AS {LEVEL}"
        if flow.sets is not None:
            texts, name = splices.expressions(flow.sets), splices.name()
            keys = ", ".join(texts[index] for index in key_positions(flow.sets))
            splices.add(flow.sets, f"GROUPING({keys})" if keys else "0", name)
            level = f"{quoted(name)} AS {LEVEL}"
    except Opaque as error:
        raise ModelError(model.path, error.line, error.message) from None
    except Unplaceable:
        raise ModelError(model.path, 1, "a SELECT of it is written in a way that columns cannot be added to") from None
    # The names are identifiers, quoted as such; the rest is the model's own text.
    statement = f"SELECT {', '.join([*columns, counted, level])} FROM (\n{splices.text}\n) AS counted"  # noqa: S608
    read = [subjects.get((table.schema, table.name)) for table in model.tables]
    entities = {subject.entity for subject in read if subject}
    return Counted(statement, True, ", ".join(sorted(entities)), None, flow.keys)
