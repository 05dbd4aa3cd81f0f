"""`atlas privacy`: what a data protection officer asks for.

Belongs here: arguments. Does not belong here: what the commands do (`report.py`, loaded when used).
"""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="privacy", help="Report what is processed about persons, and why.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Report what is processed about persons, and why."""


@app.command(epilog="Example: atlas privacy report --html record.html")
def report(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the report to this file as one HTML page.")] = None,
) -> None:
    """Report purpose, subjects, kinds, sources and recipients of each table (GDPR Art. 30), and what is missing.

    Exit code 1 when something is missing.
    """
    from atlas_pipeline.cli.privacy.report import run

    raise typer.Exit(run(json, html))
