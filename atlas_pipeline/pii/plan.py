"""`plan(profile, policy)`: choose the action for a column from its profile and the policy.

Belongs here: the decision, as plain data. Does not belong here: looking at values (`profile.py`) and applying the
action (`apply.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from atlas_pipeline.pii.kinds import FREE_TEXT, UNKNOWN, Action, kind_of
from atlas_pipeline.pii.rules import Rules

ColumnClass = Literal["typed", "free_text", "clean", "uncertain"]
NOT_PERSONAL = "none"
RECOGNISERS = 2
"""Version of what is recognised, in columns and in prose. A new one changes no recorded plan, and nothing that was made
by one; `atlas pii scan --compare` says what it would change."""
FORM = 2
"""Version of the canonical forms of values (`actions/forms.py`); tables planned under an earlier one keep it."""


@dataclass(frozen=True)
class ColumnProfile:
    """What one column holds. `evidence` has counts by rule, never a value; `confidence` is 0 to 1.

    Classes: `typed`, the column is of one kind, `entity`; `free_text`, prose with spans of personal data; `clean`, no
    personal data; `uncertain`, it looks personal without proof, and `entity` is the best guess or UNKNOWN.
    """

    name: str
    column_class: ColumnClass
    entity: str | None = None
    confidence: float = 0.0
    evidence: Mapping[str, int] = field(default_factory=dict)

    def with_swept(self, cells: Mapping[str, int]) -> "ColumnProfile":
        """The profile after a sweep of all rows; `cells` has the cells with personal data that it found, by rule."""
        if not cells:
            return self
        evidence = dict(self.evidence) | {f"swept_{rule}": count for rule, count in sorted(cells.items())}
        return replace(self, column_class="free_text", entity=FREE_TEXT, confidence=1.0, evidence=evidence)


@dataclass(frozen=True)
class Declaration:
    """What the configuration declares for a column: its kind (`none`: no personal data), action and key domain."""

    pii: str | None = None
    action: Action | None = None
    domain: str | None = None


@dataclass(frozen=True)
class Policy:
    """What the configuration declares for a dataset: actions by kind, declarations by column, and the recognisers.

    A column's declaration takes precedence over the action of its kind, and that over the kind's default. `region` is
    the country of phone numbers without a country code, by its two letters (ISO 3166-1).
    """

    actions: Mapping[str, Action] = field(default_factory=dict)
    columns: Mapping[str, Declaration] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    region: str = ""


@dataclass(frozen=True)
class ColumnPlan:
    """The action for one column. `domain` selects the key of `hash` and `encrypt`: equal values have equal tokens
    within a domain. `declared` is true where the configuration names the column's kind or action. `form` is the version
    of the canonical forms, `region` the country of national phone numbers, `recognisers` the version of those that
    found what it is, and that find the spans in its prose."""

    name: str
    column_class: ColumnClass
    entity: str | None
    confidence: float
    evidence: Mapping[str, int]
    action: Action
    domain: str = ""
    declared: bool = False
    form: int = FORM
    region: str = ""
    recognisers: int = RECOGNISERS

    @property
    def personal(self) -> bool:
        """Whether the column, as it was read, holds personal data."""
        return self.entity is not None and kind_of(self.entity).personal


def plan(profile: ColumnProfile, policy: Policy | None = None) -> ColumnPlan:
    """Plan one column: its declaration takes precedence, then the policy of its kind, then the kind's default action.

    Args:
        profile: What the column holds.
        policy: What the configuration declares. Default: nothing.
    """
    policy = policy or Policy()
    declared = policy.columns.get(profile.name, Declaration())
    column_class, entity, confidence = profile.column_class, profile.entity, profile.confidence
    if declared.pii == NOT_PERSONAL or (declared.pii is None and declared.action == "keep"):
        column_class, entity, confidence = "clean", None, 1.0
    elif declared.pii is not None:
        column_class, entity, confidence = "free_text" if declared.pii == FREE_TEXT else "typed", declared.pii, 1.0
    elif column_class == "free_text":
        entity = FREE_TEXT
    elif column_class == "uncertain":
        entity = entity or UNKNOWN
    action: Action = "keep"
    if declared.action is not None:
        action = declared.action
    elif entity is not None:
        action = policy.actions.get(entity) or kind_of(entity).action
    return ColumnPlan(
        name=profile.name,
        column_class=column_class,
        entity=entity,
        confidence=confidence,
        evidence=profile.evidence,
        action=action,
        domain=declared.domain or entity or "",
        declared=declared.pii is not None or declared.action is not None,
        region=policy.region,
    )


def plan_all(profiles: Sequence[ColumnProfile], policy: Policy | None = None) -> list[ColumnPlan]:
    """Plan several columns.

    Args:
        profiles: What the columns hold.
        policy: As for `plan`.

    Returns:
        One plan for each column, in their order.
    """
    return [plan(profile, policy) for profile in profiles]
