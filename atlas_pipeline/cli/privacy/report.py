"""`atlas privacy report`: the record of processing activities from declarations, plans and what was measured.

Belongs here: collecting what the project declares, and printing. Does not belong here: the report
(`catalog/privacy_report.py`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atlas_pipeline.alerting.channels import configured_channels
from atlas_pipeline.catalog.privacy_page import privacy_page
from atlas_pipeline.catalog.privacy_report import Declared, Surroundings, privacy_report
from atlas_pipeline.cli.output import OUT, failures_as_messages, print_json, print_table, progress
from atlas_pipeline.cli.project import load_components
from atlas_pipeline.documents.faults import DocumentError
from atlas_pipeline.settings import Settings, load_settings
from atlas_pipeline.sql.lineage import ModelError
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.location import warehouse_url
from atlas_pipeline.warehouse.publish import Table


def run(json: bool, html: Path | None) -> int:
    """Print or write the report.

    Args:
        json: print one JSON document instead of text.
        html: file to write the page to; null for none.

    Returns:
        The exit code: 1 when something is missing.
    """
    from atlas_pipeline.components.declaration import DeclarationError

    with failures_as_messages(), progress("loading definitions") as show:
        settings = load_settings()
        try:
            people, tables = _project()
        except (DocumentError, DeclarationError, ModelError) as error:
            raise ValueError(str(error)) from None
        show("reading what was measured")
        with connect(warehouse_url(settings)) as connection:
            prepare_warehouse(connection)
            subjects = {
                table: (subject.column, subject.entity) for table, subject in people.subjects(connection).items()
            }
            report = privacy_report(connection, tables, subjects, _surroundings(settings))
    if html is not None:
        html.write_text(privacy_page(report), encoding="utf-8")
    if json:
        print_json(report)
    else:
        _show(report, html)
    return 0 if report["complete"] else 1


def _project() -> tuple[Any, dict[Table, Declared]]:
    """Whose data is where, and what the project says of each table."""
    from atlas_pipeline.components import Dataset, GoldModel
    from atlas_pipeline.components.gold_model import people_in

    tree = load_components()
    people = people_in(tree.load_context)
    tables: dict[Table, Declared] = {}
    for dataset in tree.get_all_components(Dataset):
        source = dataset.source
        place = source if isinstance(source, str) else getattr(source, "table", None) or type(source).__name__
        for name in dataset.silver_tables:
            tables["silver", name] = Declared(dataset.description, dataset.owners, dataset.processing, [str(place)])
    models = {component.table: component for component in tree.get_all_components(GoldModel)}
    for name, model in people.models.items():
        declared, reads = models[name], [(table.schema, table.name) for table in model.tables]
        sources = [".".join(table) for table in reads]
        tables["gold", name] = Declared(declared.description, declared.owners, declared.processing, sources, reads)
    return people, tables


def _surroundings(settings: Settings) -> Surroundings:
    sealed = "encrypted" if settings.backup_recipients else "not encrypted by Atlas"
    backups = f"{settings.backup_place} ({settings.backup_schedules or 'no schedule'}; {sealed})"
    return Surroundings(sorted(configured_channels(settings)), backups)


def _show(report: Mapping[str, Any], html: Path | None) -> None:
    columns = dict.fromkeys(("table", "whose data", "kinds", "purpose", "k", "missing"), "left")
    rows = [
        [
            entry["table"],
            entry["subjects"]["persons"] or "",
            ", ".join(sorted({kind["kind"] for kind in entry["kinds"]})),
            entry["purpose"] or "",
            "" if entry["k"] is None else str(entry["k"]),
            ", ".join(entry["missing"]),
        ]
        for entry in report["tables"]
    ]
    print_table("Record of processing activities", columns, rows, optional=["kinds"])
    if html is not None:
        OUT.print(f"written: {html}", markup=False, highlight=False)
