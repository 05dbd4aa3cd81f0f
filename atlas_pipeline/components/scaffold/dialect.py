"""How files are written: found in the first one, or said on the command line, and written down in defs.yaml.

Belongs here: the fields of the declaration that are not their defaults. Does not belong here: the guess
(`ingest/readers/csv_sniffer.py`).
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from atlas_pipeline.ingest.types import PLAIN, Notation

if TYPE_CHECKING:
    from atlas_pipeline.ingest.readers import ReadOptions
    from atlas_pipeline.ingest.sources import SourceFile

_SHEET_ROWS = 500


class DialectParams(BaseModel):
    """What the command line may say of the files; what is not said is found in the first one."""

    delimiter: str | None = Field(None, description="Field separator of CSV files. Default: found.")
    quote: str | None = Field(None, description="Quote of CSV files. Default: found.")
    escape: str | None = Field(None, description="Escape character of CSV files. Default: found.")
    encoding: str | None = Field(None, description="Encoding of CSV files, such as cp1252. Default: found.")
    sheet: str | None = Field(None, description="Sheet of workbooks, by name or number. Default: the first visible.")
    records: str | None = Field(None, description="Where the array of a JSON file is: keys with dots between them.")
    flatten: bool = Field(False, description="Make columns of the fields of nested JSON objects.")
    explode: str | None = Field(None, description="Key of an array in JSON whose items are the rows.")
    fixed_width: str | None = Field(None, description="Positions of columns: id=1-6,name=7-26.")
    skip_lines: int | None = Field(None, description="Lines left out at the beginning. Default: found.")
    skip_below: int | None = Field(None, description="Lines left out below the header: units. Default: found.")
    comment: str | None = Field(None, description="Lines that begin with it are left out. Default: found.")
    footer: int | None = Field(None, description="Lines left out at the end. Default: found.")
    header: bool | None = Field(None, description="Whether there is a header row. Default: found.")
    decimal: str | None = Field(None, description="Decimal mark of numbers. Default: found.")
    thousands: str | None = Field(None, description="Mark between groups of three digits. Default: found.")
    booleans: str | None = Field(None, description="Words for true and false: ja,nein. Default: found.")


@dataclass(frozen=True)
class Written:
    """How files are written: `options` to read them with, the `notation` of values, and `notes` for a person.

    `marks_in_doubt` says that numbers such as 1.234 may have a decimal or a thousands point.
    """

    options: "ReadOptions"
    notation: Notation = PLAIN
    notes: list[str] = field(default_factory=list)
    marks_in_doubt: bool = False


def found_dialect(file: "SourceFile", params: DialectParams) -> Written:
    """How a file is written.

    Args:
        file: the first one that the source lists.
        params: what is known of it.

    Raises:
        ValueError: an option that cannot be.
        FileRefused: it is not what its name says.
        OSError, SourceError, ServiceUnavailable: it cannot be read.
    """
    from atlas_pipeline.ingest.readers import CsvOptions, ReadOptions, detect
    from atlas_pipeline.ingest.readers.fixed_width import fields_of as fields_of_width
    from atlas_pipeline.ingest.readers.json_shape import Shape

    format, _ = detect(file.name)
    if params.fixed_width:
        pairs = [part.partition("=") for part in params.fixed_width.split(",")]
        csv = CsvOptions(encoding=params.encoding, skip_lines=params.skip_lines or 0, footer=params.footer or 0)
        fixed = fields_of_width({name.strip(): positions for name, _, positions in pairs})
        return Written(ReadOptions(csv, fixed_width=fixed))
    if format in ("csv", "tsv", "text"):
        return _of_csv(file, params, tab=format == "tsv")
    if format == "workbook":
        return _of_workbook(file, params)
    return Written(ReadOptions(shape=Shape(params.flatten, params.explode), records=params.records))


def header_in_doubt(file: str) -> str:
    """What is asked where the first row of a file may be names or values."""
    return (
        f"{file}: the first row looks like the rows below it, and may be values or names of columns. Say "
        "--header true or --header false"
    )


def _of_csv(file: "SourceFile", params: DialectParams, *, tab: bool) -> Written:
    from atlas_pipeline.ingest.readers import ReadOptions, detect
    from atlas_pipeline.ingest.readers.compression import decompressed
    from atlas_pipeline.ingest.readers.csv_sniffer import HEAD_BYTES, sniff

    with file.open() as stream:
        source = decompressed(stream, detect(file.name)[1])
        head = source.peek(HEAD_BYTES + 1)
    sniffed = sniff(head[:HEAD_BYTES], whole=len(head) <= HEAD_BYTES)
    options = sniffed.options
    own = ("delimiter", "quote", "escape", "encoding", "skip_lines", "skip_below", "comment", "footer")
    said = {name: value for name in own if (value := getattr(params, name)) is not None}
    if params.header:
        said["names"] = ()
    elif params.header is False:
        said["names"] = tuple(f"column_{i}" for i in range(1, sniffed.fields + 1))
        said["skip_below"] = 0
    elif sniffed.header_in_doubt:
        raise ValueError(header_in_doubt(file.name))
    if not params.delimiter and options.delimiter == ("\t" if tab else ","):
        said["delimiter"] = None
    words = params.booleans.split(",") if params.booleans else None
    if words is not None and len(words) != 2:
        raise ValueError("--booleans: expected two words with a comma between them, such as ja,nein")
    notation = Notation(
        params.decimal or sniffed.decimal,
        sniffed.thousands if params.thousands is None else params.thousands,
        (words[0], words[1]) if words else sniffed.booleans,
    )
    in_doubt = sniffed.marks_in_doubt and not params.decimal and params.thousands is None
    return Written(ReadOptions(replace(options, **said)), notation, marks_in_doubt=in_doubt)


def _of_workbook(file: "SourceFile", params: DialectParams) -> Written:
    from atlas_pipeline.ingest.readers import CsvOptions, ReadOptions, detect, workbook
    from atlas_pipeline.ingest.readers.csv_sniffer import sniff_rows
    from atlas_pipeline.ingest.readers.workbook_process import opened

    with file.open() as stream, opened(stream, detect(file.name)[1]) as book:
        sheets = book.sheets
        names = [name for name, _ in sheets]
        sheet: str | int | None = params.sheet
        if params.sheet is not None and params.sheet not in names:
            if not (params.sheet.isdecimal() and 1 <= int(params.sheet) <= len(names)):
                raise ValueError(f"--sheet {params.sheet!r}: the workbook has {_listed(sheets)}")
            sheet = int(params.sheet)
        name = workbook.chosen(book, sheet)
        rows, whole = workbook.head(book, name, _SHEET_ROWS)
    notes = [f"The workbook has {_listed(sheets)}. Read is {name!r}."] if len(sheets) > 1 else []
    if not rows:
        return Written(ReadOptions(sheet=sheet), notes=notes)
    found = sniff_rows([row for _, row in rows], [number for number, _ in rows], whole=whole)
    skip = rows[found.first][0] - 1 if found.first else 0
    header = found.header if params.header is None else params.header
    csv = CsvOptions(
        skip_lines=skip if params.skip_lines is None else params.skip_lines,
        footer=found.footer if params.footer is None else params.footer,
        names=() if header else tuple(f"column_{i}" for i in range(1, len(rows[0][1]) + 1)),
    )
    return Written(ReadOptions(csv, sheet), Notation(booleans=found.booleans), notes)


def _listed(sheets: list[tuple[str, bool]]) -> str:
    """The sheets of a workbook, for the person who asked, on the terminal only."""
    names = ", ".join(f"{name!r}{' (hidden)' if hidden else ''}" for name, hidden in sheets[:20])
    more = f" and {len(sheets) - 20:,} more" if len(sheets) > 20 else ""
    return f"{len(sheets):,} sheet{'' if len(sheets) == 1 else 's'}: {names}{more}"


def fields_of(written: Written) -> dict[str, Any]:
    """The fields of the declaration that say it, without those at their defaults."""
    from atlas_pipeline.ingest.readers import CsvOptions

    plain, options = CsvOptions(), written.options.csv
    shape, fixed = written.options.shape, written.options.fixed_width
    said = {
        "sheet": written.options.sheet,
        "records": written.options.records,
        "flatten": shape.flatten or None,
        "explode": shape.explode,
        "fixed_width": {name: f"{first}-{last}" for name, first, last in fixed} or None,
    }
    fields: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    own = ("delimiter", "quote", "escape", "encoding", "skip_lines", "skip_below", "comment", "footer")
    fields |= {name: getattr(options, name) for name in own if getattr(options, name) != getattr(plain, name)}
    if options.names:
        fields["header"] = False
    if written.notation.decimal != ".":
        fields["decimal"] = written.notation.decimal
    if written.notation.thousands:
        fields["thousands"] = written.notation.thousands
    if written.notation.booleans:
        fields["booleans"] = list(written.notation.booleans)
    return fields
