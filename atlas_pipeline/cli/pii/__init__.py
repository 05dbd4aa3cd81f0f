"""`atlas pii`: personal data in files and texts, outside the pipeline.

Belongs here: arguments. Does not belong here: what the commands do (the other modules, imported when one runs).
"""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="pii", help="Find, mask and reveal personal data in files and texts.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
PolicyFile = Annotated[
    Path | None,
    typer.Option("--policy", help="Policy in YAML, with the keys actions, columns, allow, deny and recognizers."),
]

SampleRows = Annotated[int, typer.Option(min=1, help="Sample size for the profile: rows from all over the file.")]


@app.command(epilog="Examples: atlas pii scan customers.csv --json | jq .columns; atlas pii scan --compare customers")
def scan(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="CSV, TSV, JSON Lines or Parquet, also .gz and .zst; names of datasets with --compare."),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Say what this version would plan otherwise for datasets; default: for all."),
    ] = False,
    policy: PolicyFile = None,
    rows: SampleRows = 10_000,
    json: Json = False,
) -> None:
    """Report for each column its kind of personal data, if any, and the action planned for it.

    A column that seems clean in the sample is checked in every row for data whose form proves it.
    """
    if compare:
        from atlas_pipeline.cli.pii.compare import run as compared

        raise typer.Exit(compared([str(name) for name in files or ()], json))
    if not files:
        raise typer.BadParameter("expected the path of a file, or --compare", param_hint="FILES")
    from atlas_pipeline.cli.pii.scan import run

    raise typer.Exit(run(files, policy, rows, json))


@app.command(epilog="Example: atlas pii mask customers.csv -o masked.parquet")
def mask(
    file: Annotated[Path, typer.Argument(help="CSV, TSV, JSON Lines or Parquet, also .gz and .zst.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The copy to write; its name's ending sets the format.")],
    policy: PolicyFile = None,
    rows: SampleRows = 10_000,
    json: Json = False,
) -> None:
    """Write a copy of a file with the planned action applied to each column; `atlas pii scan` shows the plan."""
    from atlas_pipeline.cli.pii.mask import run

    raise typer.Exit(run(file, out, policy, rows, json))


@app.command(epilog="""Example: echo '"Call Ann on +1 415 555 2671"' | atlas pii spans""")
def spans(policy: PolicyFile = None) -> None:
    """Read texts from standard input, one JSON document a line, and print the spans of personal data in each.

    A line is a JSON string, or an object with "text"; its "id" is copied to the output line.
    """
    from atlas_pipeline.cli.pii.spans import run

    raise typer.Exit(run(policy))


@app.command(epilog="Example: atlas pii reveal 'enc:1f00a2b7:EMAIL_ADDRESS:…' --reason 'ticket 4711'")
def reveal(
    reason: Annotated[str, typer.Option(help="Why the values are needed, for the audit log.")],
    tokens: Annotated[
        list[str] | None, typer.Argument(help="Tokens of the encrypt action. Default: one a line from standard input.")
    ] = None,
) -> None:
    """Decrypt tokens and print their values, after an entry in the audit log under ATLAS_HOME."""
    from atlas_pipeline.cli.pii.reveal import run

    raise typer.Exit(run(tokens or [], reason))


@app.command(epilog="Example: atlas pii renew customers orders")
def renew(
    tables: Annotated[list[str], typer.Argument(help="Datasets whose plans are dropped.")],
) -> None:
    """Drop the recorded plans of silver tables: the next build profiles them anew, with this version's rules.

    Hashes and encrypted values of a table that an earlier version planned may change with it, so renew tables that are
    joined together.
    """
    from atlas_pipeline.cli.pii.renew import run

    raise typer.Exit(run(tables))
