"""`plan(profile, policy)`: from what was found in a column to what is done with it.

Belongs here: the decision, as plain data. Does not belong here: looking at values (`profile.py`) and doing it
(`apply.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from atlas_pipeline.pii.kinds import FREE_TEXT, UNKNOWN, Action, kind_of
from atlas_pipeline.pii.rules import Rules

ColumnClass = Literal["typed", "free_text", "clean", "uncertain"]
NOT_PERSONAL = "none"


@dataclass(frozen=True)
class ColumnProfile:
    """What was found in one column. `evidence` holds counts by rule, never a value; `confidence` is 0 to 1.

    typed: the column is of one kind, `entity`. free_text: prose, in which personal data are spans. clean: neither.
    uncertain: it looks personal and nothing proves it; `entity` is the best guess or UNKNOWN.
    """

    name: str
    column_class: ColumnClass
    entity: str | None = None
    confidence: float = 0.0
    evidence: Mapping[str, int] = field(default_factory=dict)

    def with_swept(self, cells: Mapping[str, int]) -> "ColumnProfile":
        """What it is after a sweep of all rows found personal data, in so many cells by rule, that no sample showed."""
        if not cells:
            return self
        evidence = dict(self.evidence) | {f"swept_{rule}": count for rule, count in sorted(cells.items())}
        return replace(self, column_class="free_text", entity=FREE_TEXT, confidence=1.0, evidence=evidence)


@dataclass(frozen=True)
class Declaration:
    """What a person says of a column: its kind (`none` for no personal data), the action, the domain of its key."""

    pii: str | None = None
    action: Action | None = None
    domain: str | None = None


@dataclass(frozen=True)
class Policy:
    """What a person says of a dataset: actions by kind over the defaults, columns over the kinds, and the rules."""

    actions: Mapping[str, Action] = field(default_factory=dict)
    columns: Mapping[str, Declaration] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True)
class ColumnPlan:
    """What is done with one column. `domain` names the key of hash and encrypt: equal domains give equal tokens."""

    name: str
    column_class: ColumnClass
    entity: str | None
    confidence: float
    evidence: Mapping[str, int]
    action: Action
    domain: str = ""
    declared: bool = False

    @property
    def personal(self) -> bool:
        """Whether the column, as it was read, holds personal data."""
        return self.entity is not None and kind_of(self.entity).personal


def plan(profile: ColumnProfile, policy: Policy | None = None) -> ColumnPlan:
    """The plan of one column: what is declared of it wins, then the policy of its kind, then the kind's default."""
    policy = policy or Policy()
    said = policy.columns.get(profile.name, Declaration())
    column_class, entity, confidence = profile.column_class, profile.entity, profile.confidence
    if said.pii == NOT_PERSONAL or (said.pii is None and said.action == "keep"):
        column_class, entity, confidence = "clean", None, 1.0
    elif said.pii is not None:
        column_class, entity, confidence = "free_text" if said.pii == FREE_TEXT else "typed", said.pii, 1.0
    elif column_class == "free_text":
        entity = FREE_TEXT
    elif column_class == "uncertain":
        entity = entity or UNKNOWN
    action: Action = "keep"
    if said.action is not None:
        action = said.action
    elif entity is not None:
        action = policy.actions.get(entity) or kind_of(entity).action
    return ColumnPlan(
        name=profile.name,
        column_class=column_class,
        entity=entity,
        confidence=confidence,
        evidence=profile.evidence,
        action=action,
        domain=said.domain or entity or "",
        declared=said.pii is not None or said.action is not None,
    )


def plan_all(profiles: Sequence[ColumnProfile], policy: Policy | None = None) -> list[ColumnPlan]:
    """The plans of several columns, in their order."""
    return [plan(profile, policy) for profile in profiles]
