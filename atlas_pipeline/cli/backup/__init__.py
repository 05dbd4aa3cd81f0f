"""`atlas backup`: make, list, verify, restore, test and prune backups, and manage the databases that restores replaced.

Belongs here: arguments. Does not belong here: what the commands do (`commands.py`, loaded when used).
"""

from typing import Annotated

import typer

app = typer.Typer(name="backup", help="Make, list, verify, restore and prune backups.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Name = Annotated[str | None, typer.Option("--database", "-d", help="The database. Default: all that Atlas uses.")]
From = Annotated[
    str | None, typer.Option("--from", metavar="INSTALLATION", help="Of another installation: the beginning of its id.")
]
One = Annotated[str, typer.Argument(help="Id of the backup, or its beginning, or `latest`.")]


@app.command(epilog="Example: atlas backup run --class daily --json | jq .backups")
def run(
    database: Name = None,
    backup_class: Annotated[
        str, typer.Option("--class", help="daily, weekly, monthly, staging or manual: how long it is kept.")
    ] = "manual",
    json: Json = False,
) -> None:
    """Back up each database and verify what was stored. Fails when a backup fails."""
    from atlas_pipeline.cli.backup.commands import run

    raise typer.Exit(run(database, backup_class, json))


@app.command("list", epilog="Example: atlas backup list --database atlas")
def list_(database: Name = None, json: Json = False) -> None:
    """List the backups in the store, newest first. Needs no database."""
    from atlas_pipeline.cli.backup.commands import list_backups

    raise typer.Exit(list_backups(database, json))


@app.command(epilog="Example: atlas backup show latest --database atlas")
def show(backup: One = "latest", database: Name = None, source: From = None, json: Json = False) -> None:
    """Show one backup: its contents, and its verifications and restore tests."""
    from atlas_pipeline.cli.backup.commands import show

    raise typer.Exit(show(backup, database, source, json))


@app.command(epilog="Example: atlas backup verify latest")
def verify(backup: One = "latest", database: Name = None, source: From = None, json: Json = False) -> None:
    """Read every object of a backup and compare it with its manifest, for each database that has such a backup.

    Fails on any difference, and when no database has one.
    """
    from atlas_pipeline.cli.backup.commands import verify

    raise typer.Exit(verify(backup, database, source, json))


@app.command(epilog="Example: atlas backup restore latest --database atlas --dry-run")
def restore(
    backup: One = "latest",
    database: Name = None,
    source: From = None,
    accept: Annotated[
        list[str] | None,
        typer.Option("--accept", metavar="DIFFERENCE", help="Go on in spite of this difference, as it was printed."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask to type the name of the database.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Put back the database that the last restore replaced.")] = False,
    json: Json = False,
) -> None:
    """Restore a backup beside the live database, compare it with its manifest, and swap the two."""
    from atlas_pipeline.cli.backup.commands import restore

    raise typer.Exit(
        restore(backup, database, source, accept=accept or [], yes=yes, dry_run=dry_run, undo=undo, json=json)
    )


@app.command(epilog="Example: atlas backup copies --drop atlas__before_20261122T093000Z")
def copies(
    database: Name = None,
    drop: Annotated[str | None, typer.Option("--drop", metavar="COPY", help="Drop this copy.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask to type the name of the copy.")] = False,
    json: Json = False,
) -> None:
    """List the databases that restores replaced and kept, or drop one."""
    from atlas_pipeline.cli.backup import commands

    raise typer.Exit(
        commands.drop(drop, database, yes=yes, json=json) if drop else commands.list_copies(database, json)
    )


@app.command(epilog="Example: atlas backup drill")
def drill(database: Name = None, json: Json = False) -> None:
    """Restore the newest backup of each database into a scratch server and compare it with its manifest."""
    from atlas_pipeline.cli.backup.commands import drill

    raise typer.Exit(drill(database, json))


@app.command(epilog="Example: atlas backup prune --dry-run")
def prune(
    source: From = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted.")] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Delete also what was refused; the newest verified backup is always kept.")
    ] = False,
    json: Json = False,
) -> None:
    """Delete expired backups; never the newest verified one of a database, nor more than half at once."""
    from atlas_pipeline.cli.backup.commands import prune

    raise typer.Exit(prune(source, dry_run, confirm, json))
