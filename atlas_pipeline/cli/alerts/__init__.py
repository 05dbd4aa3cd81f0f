"""`atlas alerts`: list alerts, test their channels, silence them.

Belongs here: arguments. Does not belong here: what the commands do (`commands.py`, loaded when used).
"""

from typing import Annotated

import typer

app = typer.Typer(name="alerts", help="List alerts, try their channels, and silence them.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@app.command("list", epilog="Example: atlas alerts list --json | jq '.alerts[] | select(.status == \"firing\")'")
def list_(json: Json = False) -> None:
    """List alerts that fire or ended in the last day, silences, and messages that are not delivered.

    Exit code 1 when a critical alert fires that is not silenced.
    """
    from atlas_pipeline.cli.alerts.commands import list_alerts

    raise typer.Exit(list_alerts(json))


@app.command("test", epilog="Example: atlas alerts test --channel pager")
def try_channels(
    channel: Annotated[str | None, typer.Option(help="One channel. Default: all of ATLAS_ALERT_CHANNELS.")] = None,
    json: Json = False,
) -> None:
    """Send a test message, now. Fails when a channel does not take it."""
    from atlas_pipeline.cli.alerts.commands import send_test

    raise typer.Exit(send_test(channel, json))


@app.command(epilog="Example: atlas alerts silence 'key:\"silver/orders\"+' --for 2h --why 'the source is being moved'")
def silence(
    selection: Annotated[
        str, typer.Argument(help="Assets, as Dagster selects them, or a pattern of subjects such as 'job backup_*'.")
    ],
    why: Annotated[str, typer.Option(help="Shown beside each alert that it silences.")],
    lasting: Annotated[str, typer.Option("--for", help="How long, such as 30m, 2h or 1 day; up to 365 days.")] = "2h",
    json: Json = False,
) -> None:
    """Mute matching alerts for a while. They stay listed; one still firing when the silence ends is sent then."""
    from atlas_pipeline.cli.alerts.commands import add_silence

    raise typer.Exit(add_silence(selection, lasting, why, json))


@app.command(epilog="Example: atlas alerts unsilence 3")
def unsilence(
    number: Annotated[int, typer.Argument(help="The number that `atlas alerts list` shows.")], json: Json = False
) -> None:
    """End a silence before its time."""
    from atlas_pipeline.cli.alerts.commands import end_silence

    raise typer.Exit(end_silence(number, json))
