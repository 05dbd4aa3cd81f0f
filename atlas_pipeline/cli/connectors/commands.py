"""What the commands of `atlas connectors` do.

Belongs here: the declared connectors, and output. Does not belong here: arguments (`__init__.py`), asking a server
(`ingest/connectors/`), and what is kept of them (`warehouse/connectors.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from atlas_pipeline.cli.output import ERR, OUT, failures_as_messages, print_json, print_table, progress
from atlas_pipeline.cli.project import load_components
from atlas_pipeline.ingest.connectors.source import ExtractedSource
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse import connectors, ledger
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.location import warehouse_url


def list_connectors(json: bool) -> int:
    """Print the connectors. Returns the exit code: 1 when the last attempt of one failed."""
    declared = _declared()
    with _warehouse() as connection:
        states = connectors.states(connection)
    found = [
        {"dataset": name, "kind": source.connector.kind, "cursor": not source.whole, **states.get(name, {})}
        for name, source in declared.items()
    ]
    if json:
        print_json({"connectors": found})
    else:
        heads = {"dataset": "left", "kind": "left", "loads": "left", "extracts": "right", "failed": "right"}
        heads |= {"rows": "right", "last success": "left", "problem": "left"}
        rows = [
            [
                one["dataset"],
                one["kind"],
                "what is new" if one["cursor"] else "all",
                one.get("extracts", 0),
                one.get("failed", 0),
                one.get("rows", 0),
                str(one.get("succeeded_at") or "")[:19],
                one.get("problem") or "",
            ]
            for one in found
        ]
        print_table(f"{len(found)} connectors", heads, rows)
    return int(any(one.get("problem") for one in found))


def check_connectors(dataset: str | None, json: bool) -> int:
    """Reach the servers, and print what was found. Returns the exit code: 1 when one cannot be reached."""
    declared = _declared(dataset)
    results = []
    with failures_as_messages(), progress("testing connectors") as show:
        for name, source in declared.items():
            show(f"testing {name}")
            ok, said = _tested(source)
            results.append({"dataset": name, "kind": source.connector.kind, "ok": ok, "found": said})
    if json:
        print_json({"connectors": results})
    else:
        for one in results:
            text = f"{'ok' if one['ok'] else 'failed':6} {one['dataset']}: {one['found']}"
            OUT.print(text, markup=False, highlight=False)
    if not results:
        ERR.print("atlas: no dataset has a connector", highlight=False)
    return int(not all(one["ok"] for one in results))


def reset_connector(dataset: str, json: bool) -> int:
    """Let the next extract of a dataset begin at the beginning. Returns the exit code."""
    declared = _declared(dataset, keyed=False)
    with _warehouse() as connection:
        loaded = ledger.loaded_files(connection, dataset, pending=False)
        if dataset in declared and not declared[dataset].whole and any(file.rows for file in loaded):
            raise ValueError(
                f"{dataset} has no key, and {len(loaded)} extracts of it are loaded: rows would be loaded twice. Take "
                f"them back first: `atlas files list {dataset}`, `atlas files forget`"
            )
        done = connectors.reset(connection, dataset)
        connection.commit()
    if json:
        print_json({"dataset": dataset, "reset": done})
    else:
        text = "the next extract begins at the beginning" if done else "nothing was extracted yet"
        OUT.print(f"{dataset}: {text}", markup=False, highlight=False)
    return 0


def _tested(source: ExtractedSource) -> tuple[bool, str]:
    """Whether its server can be reached and read, and what was found."""
    from atlas_pipeline.ingest.connectors.extracting import check
    from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError
    from atlas_pipeline.settings import SettingsError

    try:
        return True, check(source, load_settings())
    except (SourceError, ServiceUnavailable, SettingsError) as error:
        return False, str(error)


def _declared(dataset: str | None = None, *, keyed: bool = True) -> dict[str, ExtractedSource]:
    """The connectors by dataset, or that of one; without `keyed` only of datasets without a key.

    Raises ValueError when the dataset has none.
    """
    from atlas_pipeline.components import Dataset

    with failures_as_messages(), progress("loading definitions"):
        tree = load_components()
        every = [component.declared for component in tree.get_all_components(Dataset)]
        found = {one.name: one for one in every if isinstance(one.source, ExtractedSource)}
        if dataset is not None and dataset not in found:
            names = ", ".join(sorted(found)) or "there is none"
            raise ValueError(f"no dataset {dataset} has a connector: expected one of {names}")
    sources = {name: one.source for name, one in sorted(found.items()) if keyed or not one.key}
    chosen: dict[str, Any] = {name: source for name, source in sources.items() if dataset in (None, name)}
    return chosen


@contextmanager
def _warehouse() -> Iterator[psycopg.Connection]:
    with failures_as_messages(), connect(warehouse_url(load_settings())) as connection:
        prepare_warehouse(connection)
        yield connection
