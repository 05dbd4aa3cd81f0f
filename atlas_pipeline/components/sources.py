"""The source of a dataset: files, a table of another Postgres, or a connector.

Belongs here: what is wrong with `source:`. Does not belong here: the fields of connectors (`connectors.py`), and
reading (`ingest/`).
"""

import re
from typing import Any

from pydantic import Field

from atlas_pipeline.components.connectors import ConnectorSource, FilesystemSource, extracted, whole
from atlas_pipeline.components.declaration import Described
from atlas_pipeline.ingest.connectors.source import ExtractedSource
from atlas_pipeline.ingest.sources import SourceError
from atlas_pipeline.ingest.sources.files import FileSource, check_address
from atlas_pipeline.ingest.sources.patterns import DELIVERY
from atlas_pipeline.ingest.sources.postgres import TableSource


class SourceTable(Described):
    """A table of another Postgres as a source."""

    database: str = Field(description="Name of the variable that holds the connection URL; ends in _DATABASE_URL.")
    table: str = Field(description="The table, as schema.table.")


def is_whole(source: str | SourceTable | ConnectorSource) -> bool:
    """Whether each load is all that there is, as of a table."""
    return isinstance(source, SourceTable) or (isinstance(source, ConnectorSource) and whole(source))


def source_of(declared: Any, name: str, key: tuple[str, ...]) -> FileSource | TableSource | ExtractedSource:
    """The source of a dataset.

    Args:
        declared: the dataset.
        name: of its tables.
        key: the columns of its key.

    Raises:
        DeclarationError: what `source` holds cannot be, or does not go with other fields.
    """
    source = declared.source
    if not isinstance(source, str) and declared.snapshot_files != "file":
        raise declared.fail("snapshot_files is for a `source` of files", "snapshot_files")
    if isinstance(source, ConnectorSource):
        if isinstance(source, FilesystemSource):
            check_pattern(source.filesystem.files, declared, "source", "filesystem", "files")
        return extracted(source, declared, name, key)
    if isinstance(source, SourceTable):
        if not re.fullmatch(r"[A-Za-z0-9_]+_DATABASE_URL", source.database):
            raise declared.fail(
                f"database {source.database!r}: expected the name of a variable that ends in _DATABASE_URL, "
                "such as SHOP_DATABASE_URL",
                "source",
                "database",
            )
        if not source.table.rpartition(".")[2]:
            raise declared.fail(f"table {source.table!r}: expected schema.table", "source", "table")
        return TableSource(source.database, source.table)
    check_pattern(source, declared, "source")
    together = declared.snapshot_files
    if DELIVERY in source and together != "file":
        raise declared.fail(f"{DELIVERY} in source says which files belong together: choose one", "snapshot_files")
    if (DELIVERY in source or together != "file") and declared.mode != "snapshot":
        raise declared.fail("files are one state together in mode snapshot: declare `mode: snapshot`", "mode")
    return FileSource(source, together)


def check_pattern(pattern: str, declared: Any, *place: str) -> None:
    """Whether a pattern that begins with a scheme is an address of that scheme.

    Args:
        pattern: as declared.
        declared: the dataset, for its errors.
        place: where it stands in the YAML.

    Raises:
        DeclarationError: it is not.
    """
    try:
        check_address(pattern)
    except SourceError as error:
        raise declared.fail(str(error), *place) from None
