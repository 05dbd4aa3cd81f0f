"""The YAML of connectors: `source: {rest_api: …}`, `{sql_database: …}`, `{filesystem: …}`.

Belongs here: its fields, and what is wrong with them. Does not belong here: what is done with them
(`ingest/connectors/`). Nothing here imports dlt, so that definitions load without it.
"""

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field

from atlas_pipeline.components.declaration import Described
from atlas_pipeline.components.reading import reading_of
from atlas_pipeline.environment import is_source_secret
from atlas_pipeline.ingest import connectors as domain
from atlas_pipeline.ingest.connectors.source import ExtractedSource
from atlas_pipeline.ingest.limits import Limits
from atlas_pipeline.ingest.readers.columns import name_fault
from atlas_pipeline.ingest.sources.patterns import DELIVERY, PARTITION

_SECRET_HEADERS = ("authorization", "cookie", "token", "key", "secret", "password")
_NAMED = "Name of the variable that holds it, such as CRM_API_TOKEN; a file by CRM_API_TOKEN_FILE."


class _Fields(Described):
    model_config = ConfigDict(populate_by_name=True)


class CursorFields(_Fields):
    """The column by which only new rows are asked for."""

    column: str = Field(description="Column whose greatest value is kept: a moment, or a number that only grows.")
    initial: int | str | None = Field(None, description="Where the first extract begins. Default: at the beginning.")
    lag: float = Field(
        0,
        description="How far before the kept value each extract begins, for rows that come late. Seconds; needs a key.",
    )
    param: str | None = Field(None, description="REST only: parameter that takes the value, such as `since`.")


class Contracted(_Fields):
    """What all connectors share."""

    schema_changes: Literal["evolve", "freeze", "discard"] = Field(
        "evolve",
        alias="schema",
        description="What is done when the source has other columns than before: `evolve` loads them, `freeze` loads "
        "nothing and says so, also when the kind of a column changed, `discard` leaves new columns out.",
    )


class OfRows(Contracted):
    """What connectors of rows share."""

    cursor: str | CursorFields | None = Field(
        None, description="Column by which only new rows are asked for, or a mapping. Default: each load is the whole."
    )


class SqlDatabaseFields(OfRows):
    """A table or query of Postgres, MySQL, MariaDB, SQL Server or SQLite."""

    database: str = Field(description="Name of the variable that holds the connection URL; ends in _DATABASE_URL.")
    table: str | None = Field(None, description="The table or view, as schema.table or table.")
    query: str | None = Field(None, description="A SELECT in place of a table.")


class BasicFields(_Fields):
    """User and password."""

    user: str = Field(description=_NAMED.replace("TOKEN", "USER"))
    password: str = Field(description=_NAMED.replace("TOKEN", "PASSWORD"))


class OAuthFields(_Fields):
    """OAuth 2.0 with client credentials."""

    url: str = Field(description="Where tokens are had.")
    client_id: str = Field(description=_NAMED.replace("TOKEN", "ID"))
    client_secret: str = Field(description=_NAMED.replace("TOKEN", "SECRET"))


class AuthFields(_Fields):
    """How the API knows who asks: one of bearer, api_key, basic and oauth2."""

    bearer: str | None = Field(None, description=_NAMED)
    api_key: str | None = Field(None, description=_NAMED.replace("TOKEN", "KEY"))
    name: str = Field("X-API-Key", description="Header or parameter of `api_key`.")
    place: Literal["header", "query"] = Field("header", alias="in", description="Where `api_key` is put.")
    basic: BasicFields | None = Field(None, description="User and password.")
    oauth2: OAuthFields | None = Field(None, description="Client credentials.")


class PagesFields(_Fields):
    """How the API hands out pages."""

    type: Literal["none", "page_number", "offset", "cursor", "link_header", "json_link"] = Field(
        description="`page_number` and `offset` count, until a page is empty or `total` is reached; `cursor` passes on "
        "what the answer has at `next`; `link_header` and `json_link` follow a link."
    )
    param: str | None = Field(None, description="Parameter of page, offset or cursor. Default: page, offset, cursor.")
    first: int = Field(1, description="Number of the first page.")
    size: int | None = Field(None, ge=1, description="Rows on a page.")
    size_param: str | None = Field(None, description="Parameter that takes `size`. Default with `offset`: limit.")
    next: str | None = Field(None, description="JSONPath of the next cursor or link; relation of the Link header.")
    total: str | None = Field(None, description="JSONPath of the number of pages, or with `offset` of rows.")


class RestApiFields(OfRows):
    """One endpoint of a REST API that answers in JSON."""

    url: str = Field(description="Base URL of the API. Requests go to no other server.")
    path: str = Field(description="Path of the endpoint below it.")
    pages: Literal["none", "page_number", "offset", "cursor", "link_header", "json_link"] | PagesFields = Field(
        description="How the API hands out pages: a word, or a mapping with `type`."
    )
    params: dict[str, str | int | float | bool] = Field({}, description="Parameters of each request. No credentials.")
    headers: dict[str, str] = Field({}, description="Headers of each request. No credentials.")
    records: str | None = Field(None, description="JSONPath of the rows in an answer. Default: the list in it.")
    auth: AuthFields | None = Field(None, description="How the API knows who asks.")
    requests_per_second: float | None = Field(None, gt=0, description="The most requests in a second.")


class RestApiSource(_Fields):
    """A REST API as a source."""

    rest_api: RestApiFields = Field(description="One endpoint of a REST API.")


class SqlDatabaseSource(_Fields):
    """A database as a source."""

    sql_database: SqlDatabaseFields = Field(description="A table or query of a database.")


class FileCursorFields(_Fields):
    """By what new files are told from those that were extracted."""

    by: Literal["modified", "name"] = Field(
        description="`modified`: files changed since the last extracted one; needs a `key`, or `mode: append`. "
        "`name`: files whose address comes after the last one, for names that only grow, such as dates."
    )
    initial: str | None = Field(
        None, description="Where the first extract begins: a moment, or an address. Default: at the beginning."
    )
    lag: float = Field(
        0,
        ge=0,
        description="`modified` only: how far before the kept moment each extract begins, for files that turn up late "
        "with an earlier moment. Seconds; needs a key.",
    )


class FilesystemFields(Contracted):
    """Many files of a folder, bucket or server, extracted together."""

    files: str = Field(
        description="Pattern of the files, as a `source` of files has it: relative to the landing folder, absolute, "
        "s3://bucket/…, gs://bucket/…, az://container/… or sftp://host/…."
    )
    format: Literal["csv", "tsv", "jsonl", "json", "parquet", "orc", "avro"] | None = Field(
        None, description="Format of all of them. Default: what the name of each says."
    )
    cursor: Literal["modified", "name"] | FileCursorFields | None = Field(
        None, description="Which files are new: a word, or a mapping with `by`. Default: each load is all files."
    )
    path_column: str | None = Field(None, description="Column that says which file a row is of. Default: none.")


class FilesystemSource(_Fields):
    """Files as one source of rows."""

    filesystem: FilesystemFields = Field(description="Many files, extracted together.")


ConnectorSource = RestApiSource | SqlDatabaseSource | FilesystemSource


class ConnectorFault(Exception):
    """What is wrong with a connector's fields, and where: the steps below `source`."""

    def __init__(self, message: str, *place: str):
        super().__init__(message)
        self.place = place


def _connector_of(source: ConnectorSource, dataset: Any, key: tuple[str, ...]) -> domain.Extractable:
    """The connector as plain data. Raises ConnectorFault."""
    if isinstance(source, RestApiSource):
        return _rest_api(source.rest_api)
    if isinstance(source, FilesystemSource):
        return _filesystem(source.filesystem, dataset, key)
    return _sql_database(source.sql_database)


def whole(source: ConnectorSource) -> bool:
    """Whether each extract is all that there is."""
    if isinstance(source, FilesystemSource):
        return source.filesystem.cursor is None
    fields = source.rest_api if isinstance(source, RestApiSource) else source.sql_database
    return fields.cursor is None


def extracted(source: ConnectorSource, dataset: Any, name: str, key: tuple[str, ...]) -> ExtractedSource:
    """The source of a dataset.

    Args:
        source: as declared.
        dataset: the component, for its mode, columns and errors.
        name: of the dataset.
        key: its key.

    Raises:
        DeclarationError: fields that do not go together.
    """
    try:
        connector = _connector_of(source, dataset, key)
    except ConnectorFault as fault:
        raise dataset.fail(str(fault), "source", *fault.place) from None
    cursor = connector.cursor
    if cursor and dataset.mode == "snapshot":
        raise dataset.fail("mode snapshot loads all each time, and a `cursor` only what is new: choose one", "mode")
    if cursor and cursor.lag and not key:
        raise dataset.fail("lag loads rows again, which needs a `key`: it tells which are the same", "source")
    if dataset.partitions:
        raise dataset.fail("partitions are for files: a connector has one state", "partitions")
    return ExtractedSource(name, connector, cursor is None, tuple(column.name for column in dataset.columns))


def _filesystem(fields: FilesystemFields, dataset: Any, key: tuple[str, ...]) -> domain.Filesystem:
    where = "filesystem"
    if marked := next((mark for mark in (PARTITION, DELIVERY) if mark in fields.files), None):
        raise ConnectorFault(f"files: {marked} is for a `source` of files: a connector has one state", where, "files")
    if fields.path_column is not None and (fault := name_fault(fields.path_column)):
        raise ConnectorFault(f"path_column: the name {fault[1]}", where, "path_column")
    cursor = FileCursorFields(by=fields.cursor) if isinstance(fields.cursor, str) else fields.cursor
    if cursor and cursor.by == "modified" and not key and dataset.mode is None:
        raise ConnectorFault(
            "a file that is changed is extracted again, all of it: declare a `key`, or `mode: append` to keep the rows "
            "of both, or the cursor `name`, by which files are extracted once",
            where,
            "cursor",
        )
    return domain.Filesystem(
        files=fields.files,
        format=fields.format,
        cursor=_file_cursor(cursor, where) if cursor else None,
        contract=fields.schema_changes,
        path_column=fields.path_column,
        reading=reading_of(dataset, [column.name for column in dataset.columns]),
        limits=Limits(dataset.max_file_rows, dataset.max_expansion),
    )


def _file_cursor(cursor: FileCursorFields, where: str) -> domain.FileCursor:
    initial = cursor.initial
    if cursor.by == "name" and cursor.lag:
        raise ConnectorFault("lag is for the cursor `modified`", where, "cursor")
    if cursor.by == "modified" and initial is not None:
        try:
            dt.datetime.fromisoformat(initial)
        except ValueError:
            raise ConnectorFault("initial: expected a moment such as 2026-01-31T00:00:00Z", where, "cursor") from None
    return domain.FileCursor(cursor.by, initial, cursor.lag)


def _sql_database(fields: SqlDatabaseFields) -> domain.SqlDatabase:
    where = "sql_database"
    if not re.fullmatch(r"[A-Za-z0-9_]+_DATABASE_URL", fields.database):
        raise ConnectorFault(
            f"database {fields.database!r}: expected the name of a variable that ends in _DATABASE_URL, such as "
            "SHOP_DATABASE_URL; the URL itself does not belong into YAML",
            where,
            "database",
        )
    if (fields.table is None) == (fields.query is None):
        raise ConnectorFault("expected either `table` or `query`", where)
    if fields.query is not None and not re.match(r"\s*(select|with)\b", fields.query, re.IGNORECASE):
        raise ConnectorFault("query: expected a SELECT", where, "query")
    cursor = _cursor(fields.cursor)
    if cursor and cursor.param:
        raise ConnectorFault("param is for REST APIs", where, "cursor")
    return domain.SqlDatabase(fields.database, fields.table, fields.query, cursor, fields.schema_changes)


def _rest_api(fields: RestApiFields) -> domain.RestApi:
    where = "rest_api"
    _check_url(fields.url, where, "url")
    if re.match(r"[a-z]+://", fields.path, re.IGNORECASE):
        raise ConnectorFault("path: expected a path below `url`, not a URL", where, "path")
    for kind, names in (("headers", fields.headers), ("params", fields.params)):
        for name in names:
            if any(word in name.lower() for word in _SECRET_HEADERS):
                raise ConnectorFault(f"{name} looks like a credential: declare it in `auth`, by a setting", where, kind)
    pages = PagesFields(type=fields.pages) if isinstance(fields.pages, str) else fields.pages
    paging = domain.Paging(pages.type, pages.param, pages.first, pages.size, pages.size_param, pages.next, pages.total)
    return domain.RestApi(
        url=fields.url.rstrip("/") + "/",
        path=fields.path.lstrip("/"),
        params=fields.params,
        headers=fields.headers,
        records=fields.records,
        auth=_auth(fields.auth) if fields.auth else None,
        paging=paging,
        cursor=_cursor(fields.cursor),
        contract=fields.schema_changes,
        per_second=fields.requests_per_second,
    )


def _auth(fields: AuthFields) -> domain.Auth:
    where = ("rest_api", "auth")
    given = [name for name in ("bearer", "api_key", "basic", "oauth2") if getattr(fields, name)]
    if len(given) != 1:
        raise ConnectorFault("expected one of bearer, api_key, basic and oauth2", *where)
    for name in _secret_names(fields):
        if not is_source_secret(name):
            raise ConnectorFault(
                "expected the name of a variable such as CRM_API_TOKEN, which ends in _API_TOKEN, _API_KEY, _API_USER, "
                "_API_PASSWORD, _API_ID or _API_SECRET; the credential itself does not belong into YAML",
                *where,
            )
    if fields.bearer:
        return domain.Auth("bearer", fields.bearer)
    if fields.api_key:
        return domain.Auth("api_key", fields.api_key, name=fields.name, place=fields.place)
    if fields.basic:
        return domain.Auth("basic", fields.basic.password, fields.basic.user)
    assert fields.oauth2 is not None
    _check_url(fields.oauth2.url, *where, "oauth2")
    return domain.Auth("oauth2", fields.oauth2.client_secret, fields.oauth2.client_id, url=fields.oauth2.url)


def _secret_names(fields: AuthFields) -> Iterator[str]:
    yield from filter(None, (fields.bearer, fields.api_key))
    if fields.basic:
        yield from (fields.basic.user, fields.basic.password)
    if fields.oauth2:
        yield from (fields.oauth2.client_id, fields.oauth2.client_secret)


def _check_url(url: str, *place: str) -> None:
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment
        has_user, _ = parts.username is not None, parts.port
    except ValueError:
        wrong, has_user = True, False
    if has_user:
        raise ConnectorFault("the URL has a user: declare it in `auth`, by a setting", *place)
    if wrong:
        raise ConnectorFault("expected a URL such as https://api.example.com/v1/, without a query", *place)


def _cursor(fields: str | CursorFields | None) -> domain.Cursor | None:
    if fields is None:
        return None
    if isinstance(fields, str):
        return domain.Cursor(fields)
    initial = fields.initial.isoformat() if isinstance(fields.initial, dt.date) else fields.initial
    return domain.Cursor(fields.column, initial, fields.lag, fields.param)
