"""What a dataset is, once its YAML has been checked: source, key, columns, and what is done to personal data.

Belongs here: the declaration as plain data, and its fingerprint. Does not belong here: reading YAML (`components/`) and
acting on the declaration (`bronze.py`, `silver.py`).
"""

import hashlib
import json
from dataclasses import asdict, dataclass

from atlas_pipeline.ingest.source import FileSource, TableSource
from atlas_pipeline.ingest.types import POSTGRES_TYPE, ColumnType
from atlas_pipeline.pii.actions import Action

_RULES_VERSION = 1


@dataclass(frozen=True)
class Column:
    """One declared column. `pii` is the kind of personal data (a Presidio entity name) or null."""

    name: str
    type: ColumnType = "text"
    format: str | None = None
    pii: str | None = None
    action: Action = "keep"
    optional: bool = False
    null_values: tuple[str, ...] = ()
    description: str | None = None

    @property
    def postgres_type(self) -> str:
        """Its type in silver: what was masked is text."""
        return POSTGRES_TYPE[self.type] if self.action == "keep" else "text"


@dataclass(frozen=True)
class Dataset:
    """A dataset as declared. `key` may be empty: then every row is kept."""

    name: str
    source: FileSource | TableSource
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    latest_by: str | None = None
    timezone: str = "UTC"
    delimiter: str | None = None

    @property
    def published_columns(self) -> tuple[Column, ...]:
        """The columns that silver has, in order."""
        return tuple(column for column in self.columns if column.action != "drop")

    def definition(self, hash_key: bytes) -> str:
        """Fingerprint of all that decides what silver holds; another fingerprint means building it anew."""
        columns = [{k: v for k, v in asdict(column).items() if k != "description"} for column in self.columns]
        keyed = any(column.action == "hash" for column in self.columns)
        key = hashlib.sha256(hash_key).hexdigest() if keyed else ""
        parts = [_RULES_VERSION, columns, self.key, self.latest_by, self.timezone, key]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
