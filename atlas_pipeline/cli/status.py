"""`atlas status`: the published tables and the state of the services, each asked when the command runs."""

import json as jsonlib
import urllib.error
import urllib.request
from typing import Any

import psycopg

from atlas_pipeline import labels
from atlas_pipeline.cli.output import OUT, failures_as_messages, print_json, print_table, progress
from atlas_pipeline.settings import Settings, load_settings
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import WarehouseError, connect
from atlas_pipeline.warehouse.location import dagster_url, warehouse_url

_TABLES = """
SELECT 'bronze' AS layer, dataset AS name, sum(rows)::bigint, sum(rejected)::bigint, max(loaded_at)
FROM atlas.files WHERE status = 'loaded' AND superseded_by IS NULL GROUP BY dataset
UNION ALL
SELECT layer, name, rows, quarantined, published_at FROM atlas.publications
ORDER BY 1, 2
"""
_STATE = jsonlib.dumps(
    {
        "query": "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }"
        " assetNodes { assetKey { path } kinds } }"
    }
)


def run(json: bool) -> int:
    """Print tables and services. Returns the exit code: 1 when a database is down."""
    with failures_as_messages(), progress("checking the warehouse") as show:
        settings = load_settings()
        tables: list[dict[str, Any]] = []
        services = {}
        try:
            with connect(warehouse_url(settings)) as connection:
                prepare_warehouse(connection)
                services["warehouse"] = _postgres(connection, embedded=settings.database_url is None)
                names = ("layer", "name", "rows", "quarantined", "published_at")
                tables = [dict(zip(names, row, strict=True)) for row in connection.execute(_TABLES)]
        except WarehouseError as error:
            services["warehouse"] = {"state": "down", "reason": str(error)}
        show("checking Dagster")
        services["dagster_storage"] = _dagster_storage(settings)
        services |= _dagster_services(settings)
    for table in tables:
        table["published_at"] = table["published_at"].isoformat()
    if json:
        print_json({"tables": tables, "services": services})
    else:
        columns = {"table": "left", "rows": "right", "quarantined": "right", "published at": "left"}
        rows = [[f"{t['layer']}.{t['name']}", t["rows"], t["quarantined"], t["published_at"][:19]] for t in tables]
        print_table("Tables", columns, rows)
        lines = [
            [name, service["state"], service.get("reason") or service.get("detail", "")]
            for name, service in services.items()
        ]
        print_table("Services", {"service": "left", "state": "left", "detail": "left"}, lines)
        if command := services["warehouse"].get("psql"):
            OUT.print(f"To look inside: {command}", markup=False, highlight=False)
    databases = (services["warehouse"], services["dagster_storage"])
    return 0 if all(database["state"] == "up" for database in databases) else 1


def _postgres(connection: psycopg.Connection, embedded: bool) -> dict[str, Any]:
    info = connection.info
    version = f"{info.server_version // 10000}.{info.server_version % 10000}"
    kind = "embedded, started on demand" if embedded else "external server"
    return {
        "state": "up",
        "version": version,
        "embedded": embedded,
        "detail": f"Postgres {version}, {kind}",
        "psql": f"psql 'host={info.host} port={info.port} dbname={info.dbname} user={info.user}'",
    }


def _dagster_storage(settings: Settings) -> dict[str, Any]:
    try:
        with connect(dagster_url(settings).replace("+psycopg2", "", 1)):
            return {"state": "up", "detail": "runs and events"}
    except WarehouseError as error:
        return {"state": "down", "reason": str(error)}


def _dagster_services(settings: Settings) -> dict[str, dict[str, Any]]:
    """The states of web server, daemon and declarations, all asked of the web server.

    The first two count as down when it does not answer, and nothing is said of declarations.
    """
    url = (settings.webserver_url or f"http://{settings.host}:{settings.port}").rstrip("/")
    request = urllib.request.Request(  # noqa: S310 — always http to the address of our own web server
        f"{url}/graphql", _STATE.encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            data = jsonlib.load(response)["data"]
            daemons = data["instance"]["daemonHealth"]["allDaemonStatuses"]
            tables = [(".".join(node["assetKey"]["path"]), node["kinds"]) for node in data["assetNodes"]]
    except (urllib.error.URLError, OSError, ValueError, KeyError, TypeError):
        down = {"state": "down", "reason": f"no answer at {url}: `make up` starts it"}
        return {"webserver": down, "daemon": {"state": "down", "reason": "unknown while the web server is down"}}
    unhealthy = [status["daemonType"].lower() for status in daemons if status["required"] and not status["healthy"]]
    daemon = {"state": "down", "reason": f"no heartbeat: {', '.join(unhealthy)}"} if unhealthy else {"state": "up"}
    invalid = sorted(table for table, kinds in tables if labels.INVALID_KIND in kinds)
    declarations = {"state": "up"}
    if invalid:
        reason = f"not loaded, since what declares them is wrong: {', '.join(invalid)}; `dg check defs` says why"
        declarations = {"state": "invalid", "reason": reason}
    return {"webserver": {"state": "up", "detail": url}, "daemon": daemon, "declarations": declarations}
