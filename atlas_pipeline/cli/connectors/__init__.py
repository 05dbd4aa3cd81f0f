"""`atlas connectors`: what datasets extract, and whether their servers can be reached.

Belongs here: arguments. Does not belong here: what the commands do (`commands.py`, loaded when used).
"""

from typing import Annotated

import typer

app = typer.Typer(name="connectors", help="List connectors, test them, let one begin anew.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@app.command("list", epilog="Example: atlas connectors list --json | jq .connectors")
def list_(json: Json = False) -> None:
    """List the connectors of all datasets, and how extracting goes. Exit code 1 when the last attempt of one failed."""
    from atlas_pipeline.cli.connectors.commands import list_connectors

    raise typer.Exit(list_connectors(json))


@app.command("test", epilog="Example: atlas connectors test orders")
def check(
    dataset: Annotated[str | None, typer.Argument(help="The dataset. Default: all that have a connector.")] = None,
    json: Json = False,
) -> None:
    """Reach the server with the credentials and look at the first rows, without loading. Exit code 1 on a failure."""
    from atlas_pipeline.cli.connectors.commands import check_connectors

    raise typer.Exit(check_connectors(dataset, json))


@app.command(epilog="Example: atlas connectors reset orders")
def reset(dataset: Annotated[str, typer.Argument(help="The dataset.")], json: Json = False) -> None:
    """Let the next extract begin where the first one did. What was loaded stays: without a key, take it back before."""
    from atlas_pipeline.cli.connectors.commands import reset_connector

    raise typer.Exit(reset_connector(dataset, json))
