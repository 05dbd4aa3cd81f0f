"""`atlas pii`: personal data in files and texts, outside the pipeline.

Belongs here: arguments. Does not belong here: what the commands do (`the other modules`, loaded when used).
"""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="pii", help="Find, mask and reveal personal data in files and texts.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
PolicyFile = Annotated[
    Path | None,
    typer.Option("--policy", help="YAML with actions by kind, columns, allow, deny and recognizers."),
]


@app.command(epilog="Example: atlas pii scan customers.csv --json | jq .columns")
def scan(
    files: Annotated[list[Path], typer.Argument(help="CSV, TSV, JSON Lines or Parquet, also .gz and .zst.")],
    policy: PolicyFile = None,
    rows: Annotated[int, typer.Option(min=1, help="Rows, spread over the file, that are looked at closely.")] = 10_000,
    json: Json = False,
) -> None:
    """Say of each column whether it holds personal data, of which kind, and what would be done with it."""
    from atlas_pipeline.cli.pii.scan import run

    raise typer.Exit(run(files, policy, rows, json))


@app.command(epilog="Example: atlas pii mask customers.csv -o masked.parquet")
def mask(
    file: Annotated[Path, typer.Argument(help="CSV, TSV, JSON Lines or Parquet, also .gz and .zst.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The copy, in the format of its name.")],
    policy: PolicyFile = None,
    rows: Annotated[int, typer.Option(min=1, help="Rows, spread over the file, that are looked at closely.")] = 10_000,
    json: Json = False,
) -> None:
    """Write a copy of a file with its personal data masked."""
    from atlas_pipeline.cli.pii.mask import run

    raise typer.Exit(run(file, out, policy, rows, json))


@app.command(epilog="""Example: echo '"Call Ann on +1 415 555 2671"' | atlas pii spans""")
def spans(policy: PolicyFile = None) -> None:
    """Read texts as JSON, one a line, and print where personal data is in each.

    A line is a JSON string, or an object with "text"; its "id" is repeated in the answer.
    """
    from atlas_pipeline.cli.pii.spans import run

    raise typer.Exit(run(policy))


@app.command(epilog="Example: atlas pii reveal 'enc:1f00a2b7:EMAIL_ADDRESS:…' --reason 'ticket 4711'")
def reveal(
    reason: Annotated[str, typer.Option(help="Why; it goes into the audit log.")],
    tokens: Annotated[
        list[str] | None, typer.Argument(help="Tokens of the encrypt action. Default: one a line from standard input.")
    ] = None,
) -> None:
    """Print the values behind encrypted tokens, after writing to the audit log that it was done."""
    from atlas_pipeline.cli.pii.reveal import run

    raise typer.Exit(run(tokens or [], reason))
