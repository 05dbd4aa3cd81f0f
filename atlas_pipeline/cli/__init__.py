"""`atlas`, the command line: one module for each command, loaded when it is used so that `--help` answers at once.

Belongs here: arguments, progress and output. Does not belong here: work that assets do (`ingest/`, `warehouse/`). With
`--json` a command prints one JSON document on standard output and nothing else there; progress goes to standard error.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from atlas_pipeline.cli.alerts import app as alerts
from atlas_pipeline.cli.backup import app as backup
from atlas_pipeline.cli.pii import app as pii

app = typer.Typer(
    name="atlas",
    help="A self-hosted data pipeline on Dagster: landing files to gold tables in Postgres.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

app.add_typer(alerts)
app.add_typer(backup)
app.add_typer(pii)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@app.command(epilog="Example: atlas demo --json | jq .tables")
def demo(json: Json = False) -> None:
    """Materialize everything once, without a server, and print what came of it. Fails if anything failed."""
    from atlas_pipeline.cli.demo import run

    raise typer.Exit(run(json))


@app.command(epilog="Example: atlas up --port 3001")
def up(
    json: Json = False,
    host: Annotated[str | None, typer.Option(help="Address to bind. Default: ATLAS_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to bind. Default: ATLAS_PORT.")] = None,
) -> None:
    """Materialize what never was, then serve the Dagster UI with daemon and sensors until Ctrl-C."""
    from atlas_pipeline.cli.up import run

    raise typer.Exit(run(json, host, port))


@app.command(epilog="Example: atlas ops --port 9465")
def ops(
    json: Json = False,
    host: Annotated[str | None, typer.Option(help="Address to bind. Default: ATLAS_OPS_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to bind. Default: ATLAS_OPS_PORT.")] = None,
    webserver: Annotated[
        bool, typer.Option(help="Ask the web server at ATLAS_WEBSERVER_URL whether the code is loaded.")
    ] = True,
) -> None:
    """Serve /metrics for Prometheus, and /health, /health/live, /health/ready and /health/startup, until Ctrl-C."""
    from atlas_pipeline.cli.ops import run

    raise typer.Exit(run(json, host, port, webserver))


@app.command(epilog="Example: atlas serve webserver --read-only --port 3001")
def serve(
    process: Annotated[Literal["code", "daemon", "webserver"], typer.Argument(help="Which process.")],
    host: Annotated[
        str | None, typer.Option(help="Address to bind. Default: ATLAS_HOST for the web server, 127.0.0.1 for code.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port to bind. Default: ATLAS_PORT for the web server, that of ATLAS_CODE_SERVER for code."),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="A web server that refuses whatever changes something.")
    ] = False,
) -> None:
    """Run one process of the platform in the foreground until SIGTERM. `atlas migrate` must have run before.

    `code` takes no new run then, and lets those that go on end for up to ATLAS_STOP_SECONDS.
    """
    from atlas_pipeline.cli.serve import run

    raise typer.Exit(run(process, host, port, read_only))


@app.command(epilog="Example: atlas health daemon")
def health(
    process: Annotated[Literal["code", "daemon", "webserver", "ops"], typer.Argument(help="Which process.")],
    json: Json = False,
) -> None:
    """Ask one process of this installation whether it is well. Fails, with one line that says why, when it is not."""
    from atlas_pipeline.cli.health import run

    raise typer.Exit(run(process, json))


@app.command(epilog="Example: atlas migrate --json")
def migrate(json: Json = False) -> None:
    """Bring the schemas of Dagster and Atlas to this version, once, also when several are started at once."""
    from atlas_pipeline.cli.migrate import run

    raise typer.Exit(run(json))


@app.command(epilog="Example: atlas sample --rows 1000 --seed 7 --out /tmp/landing")
def sample(
    out: Annotated[Path, typer.Option(help="Folder to write into; each dataset gets a folder of its own.")],
    rows: Annotated[
        int, typer.Option(min=20, help="Customers; five times as many orders, half as many tickets.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(help="The same rows and seed give the same bytes.")] = 7,
    json: Json = False,
) -> None:
    """Write sample data with the dirt of real feeds, and beside it labels of what is personal in it."""
    from atlas_pipeline.cli.sample import run

    raise typer.Exit(run(out, rows, seed, json))


@app.command(epilog="Example: atlas status --json")
def status(json: Json = False) -> None:
    """Show the tables that are published, and which services are up. Fails if a database is away."""
    from atlas_pipeline.cli.status import run

    raise typer.Exit(run(json))


@app.command(epilog="Example: atlas quality silver.orders --history 10")
def quality(
    table: Annotated[str | None, typer.Argument(metavar="TABLE", help="One table, such as silver.orders.")] = None,
    history: Annotated[int | None, typer.Option(min=1, help="The last so many measurements of TABLE.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only checks that do not pass, and all of these.")] = False,
    json: Json = False,
) -> None:
    """Show how good each table was when it was last measured, and the checks that do not pass.

    Exit code 1 when a table shown was not published, or a check whose severity is error does not pass.
    """
    from atlas_pipeline.cli.quality import run

    if history is not None and (table is None or failed):
        raise typer.BadParameter("--history takes a TABLE, and no --failed")
    raise typer.Exit(run(table, history, failed, json))
