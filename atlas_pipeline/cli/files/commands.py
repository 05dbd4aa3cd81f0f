"""What the commands of `atlas files` do.

Belongs here: the connection, the question before rows are taken out, the run afterwards, and output. Does not belong
here: arguments (`__init__.py`) and what is changed (`ingest/withdrawal.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import psycopg

from atlas_pipeline.cli.output import ERR, OUT, failures_as_messages, print_json, print_table, progress
from atlas_pipeline.cli.project import load_components
from atlas_pipeline.ingest import withdrawal
from atlas_pipeline.ingest.dataset import history_name
from atlas_pipeline.settings import Settings, load_settings
from atlas_pipeline.warehouse import ledger
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.location import warehouse_url


def list_files(dataset: str, json: bool) -> int:
    """Print the files of a dataset as the ledger has them. Returns the exit code."""
    with _warehouse() as (_, connection):
        states = ledger.file_states(connection, dataset)
        if not states:
            raise withdrawal.NoSuchFile(f"no file of a dataset {dataset} was ever looked at")
    if json:
        print_json({"dataset": dataset, "files": [asdict(state) for state in states]})
        return 0
    columns = {
        "file": "left",
        "status": "left",
        "rows": "right",
        "rejected": "right",
        "versions": "right",
        "why": "left",
    }
    rows = [[s.uri, s.status, s.rows, s.rejected, s.versions, s.rule or ""] for s in states]
    print_table(f"{dataset}: {len(states)} files", columns, rows, optional=["versions", "rejected"])
    return 0


def show_file(dataset: str, uri: str, json: bool) -> int:
    """Print one file as the ledger has it. Returns the exit code."""
    with _warehouse() as (_, connection):
        state = withdrawal.find(connection, dataset, uri)
    if json:
        print_json({"dataset": dataset, **asdict(state)})
        return 0
    for name, value in asdict(state).items():
        OUT.print(f"{name.replace('_', ' '):12} {'' if value is None else value}", markup=False, highlight=False)
    return 0


def forget_file(dataset: str, uri: str, reason: str, *, yes: bool, dry_run: bool, build: bool, json: bool) -> int:
    """Take one file back, after asking.

    Args:
        dataset: The dataset.
        uri: URI of the file, or its end.
        reason: Kept in the ledger.
        yes: Do not ask.
        dry_run: Only say what would be done.
        build: Run bronze and silver afterwards.
        json: Print one JSON document instead of text.

    Returns:
        The exit code: 1 when it was not confirmed, or the run failed.
    """
    with _warehouse() as (settings, connection):
        options: dict[str, Any] = {"reason": reason, "lock_seconds": settings.lock_timeout_seconds}
        plan = withdrawal.forget(connection, dataset, uri, dry_run=True, **options)
        text = f"{plan.rows:,} rows and {plan.rejected:,} rejected lines of {plan.uri}"
        if not dry_run and not yes and not _confirmed(f"Take {text} out of {dataset}?"):
            ERR.print("atlas: nothing was done", highlight=False)
            return 1
        if not dry_run:
            withdrawal.forget(connection, dataset, plan.uri, **options)
    if json:
        print_json({"dataset": dataset, "dry_run": dry_run, **asdict(plan)})
    else:
        OUT.print(f"{'would take' if dry_run else 'took'} {text} out of bronze", markup=False, highlight=False)
    return 0 if dry_run else _built(dataset, build)


def reload_files(dataset: str, uri: str | None, *, build: bool, json: bool) -> int:
    """Have files read again.

    Args:
        dataset: The dataset.
        uri: URI of one file, or its end; None for all.
        build: Run bronze and silver afterwards.
        json: Print one JSON document instead of text.

    Returns:
        The exit code.
    """
    from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError

    with _warehouse() as (settings, connection):
        try:
            uris = withdrawal.reload(connection, _declared(dataset), settings, uri)
        except (SourceError, ServiceUnavailable) as error:
            raise ValueError(str(error)) from None
    return _asked_again(dataset, uris, build, json)


def accept_snapshot(dataset: str, uri: str, *, build: bool, json: bool) -> int:
    """Accept a snapshot that was refused for having shrunk.

    Args:
        dataset: The dataset.
        uri: URI of the snapshot, or its end.
        build: Run bronze and silver afterwards.
        json: Print one JSON document instead of text.

    Returns:
        The exit code.
    """
    with _warehouse() as (_, connection):
        uris = [withdrawal.accept(connection, dataset, uri)]
    return _asked_again(dataset, uris, build, json)


def _asked_again(dataset: str, uris: list[str], build: bool, json: bool) -> int:
    if json:
        print_json({"dataset": dataset, "files": uris})
    else:
        OUT.print(f"{len(uris)} files of {dataset} will be read again", highlight=False)
    return _built(dataset, build)


@contextmanager
def _warehouse() -> Iterator[tuple[Settings, psycopg.Connection]]:
    """The warehouse, and what a user can mend as a message."""
    with failures_as_messages():
        settings = load_settings()
        with connect(warehouse_url(settings)) as connection:
            prepare_warehouse(connection)
            connection.commit()
            try:
                yield settings, connection
            except withdrawal.NoSuchFile as error:
                raise ValueError(str(error)) from None


def _declared(dataset: str) -> Any:
    """The declaration of a dataset. Raises ValueError when there is none of that name."""
    from atlas_pipeline.components import Dataset

    with progress("loading definitions"):
        tree = load_components()
        found = {component.table: component for component in tree.get_all_components(Dataset)}
    if dataset not in found:
        raise ValueError(f"there is no dataset {dataset}: expected one of {', '.join(sorted(found))}")
    return found[dataset].declared


def _built(dataset: str, build: bool) -> int:
    """Run bronze and silver of the dataset, if that is wanted. Returns the exit code."""
    if not build:
        ERR.print(f"the next run of bronze/{dataset} and silver/{dataset} brings it to the tables", highlight=False)
        return 0
    import dagster as dg

    from atlas_pipeline.cli.demo import materialize

    with failures_as_messages(), progress("starting") as show:
        tables = [("bronze", dataset), ("silver", dataset), ("silver", history_name(dataset))]
        lines = materialize(show, [dg.AssetKey(table) for table in tables])
    for line in lines:
        if line.state == "failed":
            ERR.print(f"atlas: {line.layer}.{line.name} failed: {line.problem}", markup=False, highlight=False)
    if not lines:
        ERR.print(f"{dataset} has partitions, or is not declared: run it from the UI", highlight=False)
    return 1 if any(line.state == "failed" for line in lines) else 0


def _confirmed(question: str) -> bool:
    import typer

    return typer.confirm(question, err=True)
