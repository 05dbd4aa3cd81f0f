"""`atlas docs`: the catalogue of the project's tables, as a site for people.

Belongs here: arguments. Does not belong here: what the commands do (`build.py` and `serve.py`, loaded when used).
"""

from pathlib import Path
from typing import Annotated

import typer

from atlas_pipeline.environment import CATALOGUE_PORT

app = typer.Typer(name="docs", help="The catalogue: a site of all tables, for people.", no_args_is_help=True)

Output = Annotated[
    Path | None,
    typer.Option(help="Folder of the site; one of an earlier build is replaced. Default: `catalogue` in ATLAS_HOME."),
]
Declared = Annotated[
    bool, typer.Option("--declared-only", help="Do without the database: show what declarations say alone.")
]


@app.callback()
def group() -> None:
    """The catalogue: a site of all tables, for people."""


@app.command(epilog="Example: atlas docs build --output site")
def build(
    output: Output = None,
    declared_only: Declared = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Build the catalogue as a folder that opens in a browser without a server.

    Exit code 1 when it was not built, and 2 when it was built while a declaration is wrong, which it says.
    """
    from atlas_pipeline.cli.docs.build import run

    raise typer.Exit(run(output, declared_only, json))


@app.command(epilog="Example: atlas docs serve --port 8080")
def serve(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to bind on 127.0.0.1; 0 for a free one.")
    ] = CATALOGUE_PORT,
    output: Output = None,
    declared_only: Declared = False,
    json: Annotated[bool, typer.Option("--json", help="Print the address as one JSON document.")] = False,
) -> None:
    """Build the catalogue, and serve it on this machine alone until Ctrl-C."""
    from atlas_pipeline.cli.docs.serve import run

    raise typer.Exit(run(port, output, declared_only, json))
