"""What the next run would do, as plain data: which tables are built and why, which columns change, what breaks.

Belongs here: the plan, and its Markdown. Does not belong here: collecting it (`orchestration/tables/plan.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Action = Literal["new", "rebuild", "merge", "build", "nothing", "breaks", "left over"]


@dataclass(frozen=True)
class ColumnChanges:
    """Columns that are there, or not, or of another type than in the published table."""

    added: Sequence[str] = ()
    removed: Sequence[str] = ()
    retyped: Sequence[str] = ()

    @property
    def none(self) -> bool:
        """Whether all stay as they are."""
        return not (self.added or self.removed or self.retyped)


@dataclass(frozen=True)
class Step:
    """What happens to one table.

    Attributes:
        table: layer and name.
        action: `new` has never been published, `rebuild` is made anew, `merge` takes new files in, `build` runs a
            model, `breaks` cannot be loaded, `left over` is published and declared no longer.
        reasons: why.
        columns: what changes in them.
        rows: concerned: of the published table, or of the files to merge; null where that is not known.
        fields: of the declaration that differ from an earlier revision.
    """

    table: str
    action: Action
    reasons: Sequence[str] = ()
    columns: ColumnChanges = field(default_factory=ColumnChanges)
    rows: int | None = None
    fields: Sequence[str] = ()


def changed_columns(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> ColumnChanges:
    """Compare the columns of a published table with those that it would have.

    Args:
        before: types by column.
        after: the same; a type that is null is not known.
    """
    retyped = [
        f"{name}: {before[name]} to {kind}"
        for name, kind in after.items()
        if name in before and kind is not None and before[name] not in (None, kind)
    ]
    added = [name for name in after if name not in before]
    return ColumnChanges(added, [name for name in before if name not in after], retyped)


def document(steps: Iterable[Step]) -> dict[str, Any]:
    """The plan for scripts."""
    listed = [asdict(step) for step in steps]
    return {"breaks": any(step["action"] == "breaks" for step in listed), "tables": listed}


def markdown(steps: Sequence[Step]) -> str:
    """The plan as a comment of a pull request."""
    doing = [step for step in steps if step.action != "nothing"]
    broken = sum(step.action == "breaks" for step in steps)
    lines = [f"### Plan: {len(doing)} of {len(steps)} tables change" + (f", {broken} break" if broken else ""), ""]
    if doing:
        lines += ["| Table | What | Why | Columns | Rows |", "| --- | --- | --- | --- | ---: |"]
    for step in doing:
        rows = "" if step.rows is None else f"{step.rows:,}"
        cells = [f"`{step.table}`", f"**{step.action}**", why(step), columns_text(step.columns), rows]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def why(step: Step) -> str:
    """The reasons, and the fields that were changed, on one line."""
    changed = [f"changed: {', '.join(step.fields)}"] if step.fields else []
    return "; ".join(" ".join(reason.split()) for reason in [*step.reasons, *changed])


def columns_text(columns: ColumnChanges) -> str:
    """What changes in columns, on one line."""
    parts = [f"+{name}" for name in columns.added] + [f"-{name}" for name in columns.removed]
    return ", ".join([*parts, *columns.retyped])
