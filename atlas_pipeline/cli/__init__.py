"""`atlas`, the command line: one module for each command, imported when it runs so that `--help` answers at once.

Belongs here: arguments, progress and output. Does not belong here: work that assets do (`ingest/`, `warehouse/`). With
`--json` a command prints one JSON document and nothing else to standard output; progress goes to standard error.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from atlas_pipeline.cli.alerts import app as alerts
from atlas_pipeline.cli.backup import app as backup
from atlas_pipeline.cli.connectors import app as connectors
from atlas_pipeline.cli.docs import app as docs
from atlas_pipeline.cli.files import app as files
from atlas_pipeline.cli.pii import app as pii
from atlas_pipeline.cli.privacy import app as privacy

app = typer.Typer(
    name="atlas",
    help="A self-hosted data pipeline on Dagster: from landing files to gold tables in Postgres.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

app.add_typer(alerts)
app.add_typer(backup)
app.add_typer(connectors)
app.add_typer(docs)
app.add_typer(files)
app.add_typer(pii)
app.add_typer(privacy)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@app.command(epilog="Example: atlas demo --json | jq .tables")
def demo(json: Json = False) -> None:
    """Materialize every asset once, without a server, and print a summary. Exit code 1 when anything failed."""
    from atlas_pipeline.cli.demo import run

    raise typer.Exit(run(json))


@app.command("test", epilog="Example: atlas test revenue_by_country_month")
def run_model_tests(
    models: Annotated[list[str] | None, typer.Argument(help="Gold models. Default: all.")] = None, json: Json = False
) -> None:
    """Run the unit tests of gold models over given rows, without touching a table. Exit code 1 when one fails."""
    from atlas_pipeline.cli.model_tests import run

    raise typer.Exit(run(models or [], json))


@app.command(epilog="Example: atlas plan --since main --format markdown")
def plan(
    tables: Annotated[list[str] | None, typer.Argument(help="Tables such as silver.orders. Default: all.")] = None,
    json: Json = False,
    format: Annotated[
        Literal["text", "markdown"], typer.Option(help="`markdown` prints a comment for a pull request.")
    ] = "text",
    since: Annotated[
        str | None, typer.Option(help="A git revision: only what is declared otherwise since, and what reads it.")
    ] = None,
) -> None:
    """Show what the next run would do to each table and why, without running it. Exit code 2 where something breaks."""
    from atlas_pipeline.cli.plan import run

    raise typer.Exit(run(tables or [], json, format == "markdown", since))


@app.command(epilog="Example: atlas up --port 3001")
def up(
    json: Json = False,
    host: Annotated[str | None, typer.Option(help="Address to bind. Default: ATLAS_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to bind. Default: ATLAS_PORT.")] = None,
) -> None:
    """Materialize missing assets, then serve the Dagster UI with daemon and sensors until Ctrl-C."""
    from atlas_pipeline.cli.up import run

    raise typer.Exit(run(json, host, port))


@app.command(epilog="Example: atlas ops --port 9465")
def ops(
    json: Json = False,
    host: Annotated[str | None, typer.Option(help="Address to bind. Default: ATLAS_OPS_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to bind. Default: ATLAS_OPS_PORT.")] = None,
    webserver: Annotated[
        bool, typer.Option(help="Check through the web server at ATLAS_WEBSERVER_URL that the code location loads.")
    ] = True,
) -> None:
    """Serve metrics for Prometheus and health checks over HTTP until Ctrl-C.

    Paths: /metrics, /health, /health/live, /health/ready and /health/startup.
    """
    from atlas_pipeline.cli.ops import run

    raise typer.Exit(run(json, host, port, webserver))


@app.command(epilog="Example: atlas serve webserver --read-only --port 3001")
def serve(
    process: Annotated[Literal["code", "daemon", "webserver"], typer.Argument(help="The process to run.")],
    host: Annotated[
        str | None, typer.Option(help="Address to bind. Default: ATLAS_HOST for the web server, 127.0.0.1 for code.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port to bind. Default: ATLAS_PORT for the web server, that of ATLAS_CODE_SERVER for code."),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Web server only: refuse every mutation.")] = False,
) -> None:
    """Run one process of the platform in the foreground until SIGTERM. Run `atlas migrate` first.

    On SIGTERM, `code` starts no more runs, and waits up to ATLAS_STOP_SECONDS for the running ones to end.
    """
    from atlas_pipeline.cli.serve import run

    raise typer.Exit(run(process, host, port, read_only))


@app.command(epilog="Example: atlas health daemon")
def health(
    process: Annotated[Literal["code", "daemon", "webserver", "ops"], typer.Argument(help="The process to check.")],
    json: Json = False,
) -> None:
    """Check the health of one process of this installation. Exit code 1, with the reason on one line, when it fails."""
    from atlas_pipeline.cli.health import run

    raise typer.Exit(run(process, json))


@app.command(epilog="Example: atlas migrate --json")
def migrate(json: Json = False) -> None:
    """Migrate the schemas of Dagster and Atlas to this version. Safe to start several times at once."""
    from atlas_pipeline.cli.migrate import run

    raise typer.Exit(run(json))


@app.command(epilog="Example: atlas sample --rows 1000 --seed 7 --out /tmp/landing")
def sample(
    out: Annotated[Path, typer.Option(help="Folder to write to, with a subfolder for each dataset.")],
    rows: Annotated[
        int, typer.Option(min=20, help="Number of customers; there are 5 times as many orders, half as many tickets.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed: the same rows and seed give the same bytes.")] = 7,
    json: Json = False,
) -> None:
    """Write sample data with the flaws of real feeds, and labels of the personal data in it."""
    from atlas_pipeline.cli.sample import run

    raise typer.Exit(run(out, rows, seed, json))


@app.command(epilog="Example: atlas status --json")
def status(json: Json = False) -> None:
    """List the published tables, and check the services. Exit code 1 when a database is down."""
    from atlas_pipeline.cli.status import run

    raise typer.Exit(run(json))


@app.command(epilog="Example: atlas quality silver.orders --history 10")
def quality(
    table: Annotated[
        str | None, typer.Argument(metavar="TABLE", help="Show one table, such as silver.orders. Default: all.")
    ] = None,
    history: Annotated[
        int | None, typer.Option(min=1, help="Show this many measurements of TABLE, newest first.")
    ] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Show only checks that do not pass, however many they are.")
    ] = False,
    recount: Annotated[
        bool,
        typer.Option(
            "--recount", help="Have the next publication count all rows of the tables shown, not only new ones."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Show the quality scores of each table when last measured, and the checks that do not pass.

    Exit code 1 when a table shown was not published, or a check of severity error does not pass.
    """
    from atlas_pipeline.cli.quality import run

    if history is not None and (table is None or failed):
        raise typer.BadParameter("--history needs a TABLE and excludes --failed")
    raise typer.Exit(run(table, history, failed, json, recount=recount))
