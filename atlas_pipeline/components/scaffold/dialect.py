"""How CSV files are written: found in the first one, or said on the command line, and written down in defs.yaml.

Belongs here: the fields of the declaration that are not their defaults. Does not belong here: the guess
(`ingest/readers/csv_sniffer.py`).
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from atlas_pipeline.ingest.readers.csv_sniffer import Sniffed
    from atlas_pipeline.ingest.sources import SourceFile


class DialectParams(BaseModel):
    """What the command line may say of CSV files; what is not said is found in the first one."""

    delimiter: str | None = Field(None, description="Field separator of CSV files. Default: found.")
    quote: str | None = Field(None, description="Quote of CSV files. Default: found.")
    encoding: str | None = Field(None, description="Encoding of CSV files, such as cp1252. Default: found.")
    skip_lines: int | None = Field(None, description="Lines left out at the beginning. Default: found.")
    comment: str | None = Field(None, description="Lines that begin with it are left out. Default: found.")
    footer: int | None = Field(None, description="Lines left out at the end. Default: found.")
    header: bool | None = Field(None, description="Whether there is a header row. Default: found.")
    decimal: str | None = Field(None, description="Decimal mark of numbers. Default: found.")
    thousands: str | None = Field(None, description="Mark between groups of three digits. Default: found.")
    booleans: str | None = Field(None, description="Words for true and false: ja,nein. Default: found.")


def found_dialect(file: "SourceFile", params: DialectParams) -> "Sniffed | None":
    """How a file is written; null for one that is not CSV.

    Args:
        file: the first one that the source lists.
        params: what is known of it.

    Raises:
        ValueError: an option that cannot be.
        FileRefused: it is not what its name says.
        OSError, SourceError, ServiceUnavailable: it cannot be read.
    """
    from atlas_pipeline.ingest.readers import detect
    from atlas_pipeline.ingest.readers.compression import decompressed
    from atlas_pipeline.ingest.readers.csv_sniffer import HEAD_BYTES, sniff

    format, compression = detect(file.name)
    if format not in ("csv", "tsv"):
        return None
    with file.open() as stream:
        source = decompressed(stream, compression)
        head = source.peek(HEAD_BYTES + 1)
    sniffed = sniff(head[:HEAD_BYTES], whole=len(head) <= HEAD_BYTES)
    options = sniffed.options
    own = ("delimiter", "quote", "encoding", "skip_lines", "comment", "footer")
    said = {name: value for name in own if (value := getattr(params, name)) is not None}
    if params.header:
        said["names"] = ()
    elif params.header is False and not options.names:
        raise ValueError("--no-header: the first row looks like a header; name the columns in defs.yaml")
    if not params.delimiter and options.delimiter == ("\t" if format == "tsv" else ","):
        said["delimiter"] = None
    words = params.booleans.split(",") if params.booleans else None
    if words is not None and len(words) != 2:
        raise ValueError("--booleans: expected two words with a comma between them, such as ja,nein")
    return replace(
        sniffed,
        options=replace(options, **said),
        decimal=params.decimal or sniffed.decimal,
        thousands=sniffed.thousands if params.thousands is None else params.thousands,
        booleans=(words[0], words[1]) if words else sniffed.booleans,
    )


def fields_of(dialect: "Sniffed") -> dict[str, Any]:
    """The fields of the declaration that say it, without those at their defaults."""
    from atlas_pipeline.ingest.readers.csv_options import CsvOptions

    plain, options = CsvOptions(), dialect.options
    own = ("delimiter", "quote", "encoding", "skip_lines", "comment", "footer")
    fields = {name: getattr(options, name) for name in own if getattr(options, name) != getattr(plain, name)}
    if options.names:
        fields["header"] = False
    if dialect.decimal != ".":
        fields["decimal"] = dialect.decimal
    if dialect.thousands:
        fields["thousands"] = dialect.thousands
    if dialect.booleans:
        fields["booleans"] = list(dialect.booleans)
    return fields
