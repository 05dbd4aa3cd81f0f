"""One endpoint of a REST API, through dlt's rest_api source.

Belongs here: dlt's configuration of a declared endpoint. Does not belong here: requests (`http.py`), what becomes of
the rows (`extracting.py`).
"""

from collections.abc import Iterator
from typing import Any

from atlas_pipeline.ingest.connectors import Auth, RestApi
from atlas_pipeline.ingest.connectors.http import ATTEMPTS, Session
from atlas_pipeline.ingest.connectors.tally import Tally
from atlas_pipeline.ingest.sources import SourceError
from atlas_pipeline.settings import source_secret

BLOCK_ROWS = 20_000
_RESOURCE = "rows"


def rows(connector: RestApi, tally: Tally) -> Iterator[list[dict[str, Any]]]:
    """Blocks of rows of the endpoint, those that the cursor leaves; within `isolated`.

    Args:
        connector: what is asked.
        tally: counts requests and repeats.

    Raises:
        SourceError: the API refuses, or what it gives are no rows.
        ServiceUnavailable: it does not answer, or asks to be left alone.
    """
    from atlas_pipeline.ingest.connectors.iterating import blocks

    for block in blocks(_resource(connector, tally), BLOCK_ROWS):
        if not all(isinstance(row, dict) for row in block):
            raise SourceError("what the API gives are no objects: does `records` lead to the list of rows?")
        yield block


def check(connector: RestApi) -> str:
    """Ask for the first page, without loading it. Returns what was found. Raises SourceError, ServiceUnavailable."""
    from atlas_pipeline.ingest.connectors.iterating import blocks

    resource = _resource(connector, Tally(), attempts=2)
    [found] = next(blocks(resource, 1), [None])
    if found is None:
        return "it answers, with no rows"
    if not isinstance(found, dict):
        raise SourceError("what the API gives are no objects: does `records` lead to the list of rows?")
    if connector.cursor and connector.cursor.column not in found:
        raise SourceError(f"the cursor column {connector.cursor.column!r} is not in the first row")
    return f"it answers, with rows of {len(found)} columns"


def _resource(connector: RestApi, tally: Tally, attempts: int = ATTEMPTS) -> Any:
    from dlt.sources.rest_api import rest_api_resources

    session = Session(connector.url, tally, per_second=connector.per_second, attempts=attempts)
    client: dict[str, Any] = {
        "base_url": connector.url,
        "session": session,
        "headers": {"Accept": "application/json", "User-Agent": "atlas-pipeline", **connector.headers},
    }
    if connector.auth:
        client["auth"] = _auth(connector.auth, tally)
    endpoint: dict[str, Any] = {
        "path": connector.path,
        "params": dict(connector.params),
        "paginator": _paginator(connector),
    }
    if connector.records:
        endpoint["data_selector"] = connector.records
    if connector.paging.size_param and connector.paging.size and connector.paging.kind != "offset":
        endpoint["params"][connector.paging.size_param] = connector.paging.size
    cursor = connector.cursor
    if cursor:
        endpoint["incremental"] = {
            "cursor_path": cursor.column,
            "initial_value": cursor.initial,
            **({"start_param": cursor.param} if cursor.param else {}),
            **({"lag": cursor.lag} if cursor.lag else {}),
        }
    config: Any = {"client": client, "resources": [{"name": _RESOURCE, "endpoint": endpoint}]}
    return rest_api_resources(config)[0]


def _paginator(connector: RestApi) -> Any:
    from dlt.sources.helpers.rest_client import paginators

    paging = connector.paging
    if paging.kind == "page_number":
        return paginators.PageNumberPaginator(
            base_page=paging.first, page_param=paging.param or "page", total_path=paging.total
        )
    if paging.kind == "offset":
        return paginators.OffsetPaginator(
            limit=paging.size or 100,
            offset_param=paging.param or "offset",
            limit_param=paging.size_param or "limit",
            total_path=paging.total,
        )
    if paging.kind == "cursor":
        return paginators.JSONResponseCursorPaginator(
            cursor_path=paging.next or "cursors.next", cursor_param=paging.param or "cursor"
        )
    if paging.kind == "link_header":
        return paginators.HeaderLinkPaginator(links_next_key=paging.next or "next")
    if paging.kind == "json_link":
        return paginators.JSONLinkPaginator(next_url_path=paging.next or "next")
    return paginators.SinglePagePaginator()


def _auth(auth: Auth, tally: Tally) -> Any:
    from dlt.sources.helpers.rest_client import auth as kinds

    secret = source_secret(auth.secret)
    if auth.kind == "bearer":
        return kinds.BearerTokenAuth(token=secret)
    if auth.kind == "api_key":
        place: Any = auth.place
        return kinds.APIKeyAuth(name=auth.name, api_key=secret, location=place)
    user = source_secret(auth.user or "")
    if auth.kind == "basic":
        return kinds.HttpBasicAuth(username=user, password=secret)
    url = auth.url or ""
    return kinds.OAuth2ClientCredentials(
        access_token_url=url, client_id=user, client_secret=secret, session=Session(url, tally, pages=False)
    )
