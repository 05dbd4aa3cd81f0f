"""What a dataset is, once its YAML has been checked: source, key, columns, and what is done to personal data.

Belongs here: the declaration as plain data, and its fingerprint. Does not belong here: reading YAML (`components/`) and
acting on the declaration (`bronze.py`, `silver.py`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace

from atlas_pipeline.ingest.connectors.source import ExtractedSource
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.ingest.sources.postgres import TableSource
from atlas_pipeline.ingest.types import PLAIN, POSTGRES_TYPE, ColumnType, Digits, Notation, joined_type
from atlas_pipeline.pii.keys import Keys
from atlas_pipeline.pii.kinds import KEYED_ACTIONS, Action
from atlas_pipeline.pii.plan import ColumnPlan, Policy
from atlas_pipeline.pii.record import rules_fingerprint

_RULES_VERSION = 2
MISSING_SINCE = "missing_since"
"""The column that `on_missing: flag` adds: when the first snapshot without the row came, null if the newest has it."""
VALID_FROM, VALID_TO = "valid_from", "valid_to"
"""The columns that a table of history adds: from when to when a version held; `valid_to` is null of those that hold."""


@dataclass(frozen=True)
class Column:
    """One declared column. `pii` is the kind of personal data, as declared; without `pii` and `action` it is detected.

    `plan` is null until it is known what is done with the column; `digits` are those of a decimal(p,s).
    """

    name: str
    type: ColumnType = "text"
    format: str | None = None
    pii: str | None = None
    action: Action | None = "keep"
    domain: str | None = None
    optional: bool = False
    null_values: tuple[str, ...] = ()
    description: str | None = None
    plan: ColumnPlan | None = None
    digits: Digits | None = None

    @property
    def detected(self) -> bool:
        """Whether nobody says what the column holds, so that it is looked at."""
        return self.pii is None and self.action is None

    @property
    def treatment(self) -> Action:
        """What is done with it, as planned, else as declared."""
        return self.plan.action if self.plan else self.action or "keep"

    @property
    def stays_json(self) -> bool:
        """Whether personal data in it is replaced within JSON, so that it is JSON still."""
        return self.type == "json" and self.treatment in ("redact", "mask")

    @property
    def postgres_type(self) -> str:
        """Its type in silver: what was masked is text, but JSON stays JSON where its shape can stay."""
        if self.treatment != "keep" and not self.stays_json:
            return "text"
        return f"numeric({self.digits[0]},{self.digits[1]})" if self.digits else POSTGRES_TYPE[self.type]

    def comment(self, timezone: str) -> str | None:
        """What a reader of silver is told of the column: its description, and which moments a timestamp means.

        `timezone` is that of timestamps without an offset.
        """
        said = [self.description] if self.description else []
        if self.treatment == "keep" and self.type == "timestamp":
            said.append(f"With time zone; where the source has no offset, its times are those of {timezone}.")
        elif self.treatment == "keep" and self.type == "local_timestamp":
            said.append("Without time zone: the clock as the source has it.")
        return " ".join(said) or None


@dataclass(frozen=True)
class Tombstone:
    """The condition under which a row says that its key is deleted, as SQL, and the columns that it reads."""

    condition: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """A dataset as declared. `key` may be empty: then every row is kept. `policy` is for personal data.

    With `deleted_by` a row may say that its key is deleted, with `history` the versions of each row are kept too.
    """

    name: str
    source: FileSource | TableSource | ExtractedSource
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    latest_by: str | None = None
    timezone: str = "UTC"
    intake: Intake = field(default_factory=Intake)
    notation: Notation = PLAIN
    policy: Policy = field(default_factory=Policy)
    deleted_by: Tombstone | None = None
    history: bool = False

    @property
    def history_name(self) -> str:
        """Name of the table of history in silver."""
        return history_name(self.name)

    @property
    def layered(self) -> bool:
        """Whether more than the rows of silver follows from those of bronze, so that all of them are staged first."""
        return self.deleted_by is not None or self.history or self.intake.flag_missing

    @property
    def staged_columns(self) -> tuple[Column, ...]:
        """The columns of silver, and those that are dropped but say whether a row is deleted."""
        asked = self.deleted_by.columns if self.deleted_by else ()
        return tuple(column for column in self.columns if column.treatment != "drop" or column.name in asked)

    @property
    def published_columns(self) -> tuple[Column, ...]:
        """The columns that silver has, in order."""
        return tuple(column for column in self.columns if column.treatment != "drop")

    @property
    def plans(self) -> dict[str, ColumnPlan]:
        """The plans of the columns that have one."""
        return {column.name: column.plan for column in self.columns if column.plan}

    def planned(self, plans: Mapping[str, ColumnPlan]) -> "Dataset":
        """The dataset with these plans in its columns."""
        return replace(self, columns=tuple(replace(column, plan=plans[column.name]) for column in self.columns))

    def definition(self, keys: Keys) -> str:
        """Fingerprint of all that decides what silver holds; another fingerprint means building it anew.

        Of the keys those count that a column is hashed or encrypted under. Raises KeyMissing.
        """
        columns = [
            (c.name, joined_type(c.type, c.digits), c.format, c.optional, c.null_values, c.pii, c.treatment)
            + ((c.plan.column_class, c.plan.entity, c.plan.domain) if c.plan else ())
            + (_form_of(c.plan) + _reading_of(c.plan) if c.plan else ())
            for c in self.columns
        ]
        keyed = keys.fingerprint({column.treatment for column in self.columns})
        texts = any(c.plan and c.plan.column_class == "free_text" for c in self.columns)
        rules = rules_fingerprint(self.policy.rules) if texts else ""
        parts = [_RULES_VERSION, columns, self.key, self.latest_by, self.timezone, keyed, rules]
        if self.notation != PLAIN:
            parts.append(astuple(self.notation))
        if self.deleted_by:
            parts.append(["deleted_by", self.deleted_by.condition])
        if self.intake.flag_missing:
            parts.append("flag_missing")
        if any(column.stays_json for column in self.columns):
            parts.append("json_stays_json")
        if self.history:
            parts.append(["history", self.intake.states])
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _form_of(plan: ColumnPlan) -> tuple[object, ...]:
    """What else decides the tokens of a column; nothing under the forms of version 1, which had no number."""
    if plan.action not in KEYED_ACTIONS or plan.form == 1:
        return ()
    return (plan.form, plan.region if plan.entity == "PHONE_NUMBER" else "")


def _reading_of(plan: ColumnPlan) -> tuple[object, ...]:
    """What else decides which spans of prose are cut out; nothing under the recognisers that had no number."""
    found = plan.column_class == "free_text" and plan.action == "redact" and plan.recognisers > 1
    return ("recognisers", plan.recognisers) if found else ()


def history_name(name: str) -> str:
    """Name of the table of history of a dataset."""
    return f"{name}_history"


def deleted_name(name: str) -> str:
    """Name in bronze of the table of rows that say that their key is deleted."""
    return f"{name}__deleted"
