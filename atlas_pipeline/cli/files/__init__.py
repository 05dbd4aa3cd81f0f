"""`atlas files`: the files of a dataset listed, taken back, and loaded again.

Belongs here: arguments. Does not belong here: what the commands do (`commands.py`, loaded when used).
"""

from typing import Annotated

import typer

app = typer.Typer(name="files", help="List the files of a dataset, take one back, load it again.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Name = Annotated[str, typer.Argument(help="The dataset.")]
File = Annotated[str, typer.Argument(help="URI of the file, or its end, as `atlas files list` shows it.")]
Build = Annotated[bool, typer.Option("--build/--no-build", help="Run bronze and silver of the dataset afterwards.")]


@app.command("list", epilog="Example: atlas files list orders --json | jq .files")
def list_(dataset: Name, json: Json = False) -> None:
    """List the files that were ever looked at: what counts of them, and why some were refused."""
    from atlas_pipeline.cli.files.commands import list_files

    raise typer.Exit(list_files(dataset, json))


@app.command(epilog="Example: atlas files show orders orders-2024-01.jsonl.gz")
def show(dataset: Name, uri: File, json: Json = False) -> None:
    """Show one file."""
    from atlas_pipeline.cli.files.commands import show_file

    raise typer.Exit(show_file(dataset, uri, json))


@app.command(epilog="Example: atlas files forget orders orders-2024-01.jsonl.gz --dry-run")
def forget(
    dataset: Name,
    uri: File,
    reason: Annotated[str, typer.Option("--reason", help="Kept in the ledger.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    build: Build = True,
    json: Json = False,
) -> None:
    """Take the rows of one file out of bronze, quarantine and silver. `reload` brings them back."""
    from atlas_pipeline.cli.files.commands import forget_file

    raise typer.Exit(forget_file(dataset, uri, reason, yes=yes, dry_run=dry_run, build=build, json=json))


@app.command(epilog="Example: atlas files reload orders")
def reload(
    dataset: Name,
    uri: Annotated[str | None, typer.Argument(help="URI of the file, or its end. Default: all files.")] = None,
    build: Build = True,
    json: Json = False,
) -> None:
    """Read one file again, or all, whatever was known of them."""
    from atlas_pipeline.cli.files.commands import reload_files

    raise typer.Exit(reload_files(dataset, uri, build=build, json=json))


@app.command(epilog="Example: atlas files accept customers postgres://SHOP_DATABASE_URL/public.customers")
def accept(dataset: Name, uri: File, build: Build = True, json: Json = False) -> None:
    """Accept a snapshot that was refused: less than half of the rows of the one before, or fewer files."""
    from atlas_pipeline.cli.files.commands import accept_snapshot

    raise typer.Exit(accept_snapshot(dataset, uri, build=build, json=json))
