"""Connectors: sources that are extracted to Parquet in the landing folder, or listed, through dlt.

Belongs here: what one connector declares, as plain data. Does not belong here: reading its YAML (`components/`), asking
its server (`sql.py`, `rest.py`), and its cursor (`warehouse/connectors.py`). Nothing here imports dlt.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import ClassVar, Literal

from atlas_pipeline.ingest.limits import Limits
from atlas_pipeline.ingest.readers import Format
from atlas_pipeline.ingest.readers.options import ReadOptions

Contract = Literal["evolve", "freeze", "discard"]
Pages = Literal["none", "page_number", "offset", "cursor", "link_header", "json_link"]


@dataclass(frozen=True)
class Cursor:
    """The column by which only what is new is asked for.

    Attributes:
        column: whose greatest value is kept.
        initial: where the first extract begins; null for the beginning.
        lag: how far before the kept value each extract begins, for rows that appear late: seconds for moments.
        param: of a REST API: the parameter that takes the value.
    """

    column: str
    initial: str | int | date | datetime | None = None
    lag: float = 0
    param: str | None = None


@dataclass(frozen=True)
class SqlDatabase:
    """A table, view or query of a database. `database` names the setting that holds its URL."""

    kind: ClassVar[str] = "sql_database"
    database: str
    table: str | None = None
    query: str | None = None
    cursor: Cursor | None = None
    contract: Contract = "evolve"

    @property
    def service(self) -> str:
        """What its server is called in messages."""
        return f"the database of {self.database}"


@dataclass(frozen=True)
class Auth:
    """How a REST API knows who asks. Each field but `kind`, `name`, `place` and `url` names a setting.

    Attributes:
        kind: bearer, api_key, basic or oauth2.
        secret: setting with the token, key, password or client secret.
        user: setting with the user or client id.
        name: of the header or parameter of an API key.
        place: of an API key.
        url: of an OAuth2 token.
    """

    kind: Literal["bearer", "api_key", "basic", "oauth2"]
    secret: str
    user: str | None = None
    name: str = "X-API-Key"
    place: Literal["header", "query"] = "header"
    url: str | None = None


@dataclass(frozen=True)
class Paging:
    """How a REST API hands out its pages. `size` is asked for with `size_param` where both are given."""

    kind: Pages = "none"
    param: str | None = None
    first: int = 1
    size: int | None = None
    size_param: str | None = None
    next: str | None = None
    total: str | None = None


@dataclass(frozen=True)
class RestApi:
    """One endpoint of a REST API. `records` is the JSONPath of the rows in an answer; null where it is found."""

    kind: ClassVar[str] = "rest_api"
    url: str
    path: str
    params: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    records: str | None = None
    auth: Auth | None = None
    paging: Paging = field(default_factory=Paging)
    cursor: Cursor | None = None
    contract: Contract = "evolve"
    per_second: float | None = None

    @property
    def service(self) -> str:
        """What its server is called in messages."""
        return f"the API at {self.url}"


@dataclass(frozen=True)
class FileCursor:
    """By what new files are told from those that were extracted.

    Attributes:
        by: when a file was changed, or its name.
        initial: where the first extract begins: a moment, or a name; null for the beginning.
        lag: seconds before the kept moment that each extract begins, for files that turn up late.
    """

    by: Literal["modified", "name"]
    initial: str | None = None
    lag: float = 0


@dataclass(frozen=True)
class Filesystem:
    """Files of a folder, bucket, container or server, many to one extract.

    Attributes:
        files: pattern of their names, as a source of files has it.
        format: of all of them; null for what their names say.
        cursor: which of them are new; null for all of them each time.
        contract: what is done with columns that they did not have before.
        path_column: column that says which file a row is of; null for none.
        reading: how they are read.
        limits: how much one of them may turn into; null for what the settings say.
    """

    kind: ClassVar[str] = "filesystem"
    files: str
    format: Format | None = None
    cursor: FileCursor | None = None
    contract: Contract = "evolve"
    path_column: str | None = None
    reading: ReadOptions = field(default_factory=ReadOptions)
    limits: Limits = field(default_factory=Limits)

    @property
    def service(self) -> str:
        """What its server is called in messages."""
        return f"the files {self.files}"


Extractable = SqlDatabase | RestApi | Filesystem


def fingerprint(connector: Extractable) -> str:
    """Hash of what is extracted, which a cursor belongs to: of another table, or another column, it means nothing."""
    if isinstance(connector, Filesystem):
        by = connector.cursor.by if connector.cursor else None
        parts: list[object] = [connector.kind, connector.files, connector.format, by, asdict(connector.reading)]
        return _hash(parts)
    cursor = connector.cursor.column if connector.cursor else None
    if isinstance(connector, SqlDatabase):
        parts = [connector.kind, connector.database, connector.table, connector.query, cursor]
    else:
        named = asdict(connector)
        parts = [connector.kind, *(named[name] for name in ("url", "path", "params", "records")), cursor]
    return _hash(parts)


def _hash(parts: list[object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]
