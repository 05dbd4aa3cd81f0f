"""Files of every supported format, compressed or not, to batches of text rows.

Belongs here: what a file name says and the one way in, `read`. Does not belong here: how a format is read (one module
each), what the text means, or where rows go.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import BinaryIO, Literal

from atlas_pipeline.ingest.batch import Batch, FileRefused
from atlas_pipeline.ingest.limits import Meter
from atlas_pipeline.ingest.readers.compression import Compression, decompressed
from atlas_pipeline.ingest.readers.csv import read_csv
from atlas_pipeline.ingest.readers.csv_options import CsvOptions
from atlas_pipeline.ingest.readers.jsonl import read_jsonl
from atlas_pipeline.ingest.readers.options import ReadOptions
from atlas_pipeline.ingest.readers.parquet import read_parquet

__all__ = ["Compression", "CsvOptions", "Format", "ReadOptions", "detect", "read"]

Format = Literal["csv", "tsv", "text", "jsonl", "json", "parquet", "orc", "avro", "workbook", "extract", "delivery"]
"""`extract` is what connectors write, `delivery` several files as one; no name of a file says so."""

_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".txt": "text",
    ".dat": "text",
    ".parquet": "parquet",
    ".orc": "orc",
    ".avro": "avro",
    ".xlsx": "workbook",
    ".xlsm": "workbook",
    ".xls": "workbook",
    ".ods": "workbook",
}
_COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}


def detect(name: str) -> tuple[Format, Compression]:
    """Return what a file's name (or path or key) says it holds; case does not matter.

    Raises FileRefused `unknown_format` for any other ending.
    """
    path = PurePosixPath(name.lower())
    compression = _COMPRESSIONS.get(path.suffix, "none")
    if compression != "none":
        path = path.with_suffix("")
    if path.suffix not in _FORMATS:
        raise FileRefused(
            "unknown_format",
            f"The file's name ends in {path.suffix or 'no extension'!r}. Expected one of {' '.join(_FORMATS)}, with "
            ".gz or .zst after it when compressed. Rename the file for what it holds.",
        )
    return _FORMATS[path.suffix], compression


def read(
    stream: BinaryIO,
    name: str,
    *,
    format: Format | None = None,
    options: ReadOptions = ReadOptions(),  # noqa: B008 — it is frozen
    block_bytes: int = 4 << 20,
    meter: Meter | None = None,
) -> Iterator[Batch]:
    """Yield the rows of a file, as text exactly as the file has it, with constant memory.

    Rows that cannot be loaded are in `Batch.rejects`, the others are not affected by them; their rules are `encoding`,
    `nul_byte`, `line_too_long`; in CSV `too_few_fields`, `too_many_fields`, `unterminated_quote`, `stray_quote`; in
    JSON Lines `not_json`, `not_an_object`, `empty_object`, `bad_column_name`, `not_an_array`; in workbooks
    `too_many_fields`.

    Args:
        stream: at the file's beginning; need not be seekable. What it raises is passed on.
        name: of the file; its extensions tell format and compression.
        format: overrides the format, with the name then telling only the compression.
        options: how files of each format are read.
        block_bytes: about how much decompressed text becomes one batch; binary formats come in batches of rows instead.
        meter: counts what the file turns into; null for no limits. Rows and their text are the caller's to count.

    Raises:
        FileRefused: possibly after some batches (discard these), with one of the rules `unknown_format`,
            `wrong_format`, `empty`, `header_only`, `bad_header`, `encoding`, `truncated`, `corrupt`,
            `too_many_columns`, `empty_column_name`, `duplicate_columns`, `column_name_too_long`,
            `reserved_column_name`, `nul_byte`; of workbooks also `password_protected`, `no_such_sheet`, of JSON
            `bad_json`; those of `meter`, `too_many_rows` and `expands_too_much`.
    """
    if format is None:
        format, compression = detect(name)
    else:
        compression = _COMPRESSIONS.get(PurePosixPath(name.lower()).suffix, "none")
    return _read(stream, format, compression, options, block_bytes, meter or Meter())


def _read(
    stream: BinaryIO,
    format: Format,
    compression: Compression,
    options: ReadOptions,
    block_bytes: int,
    meter: Meter,
) -> Iterator[Batch]:
    if format == "parquet":
        return read_parquet(stream, compression, meter)
    if format == "extract":
        from atlas_pipeline.ingest.readers.extract import read_extract

        return read_extract(stream, compression, meter)
    if format == "delivery":
        from atlas_pipeline.ingest.readers.delivery import read_delivery

        return read_delivery(stream, options, block_bytes, meter)
    if format == "orc":
        from atlas_pipeline.ingest.readers.orc import read_orc

        return read_orc(stream, compression, meter)
    if format == "avro":
        from atlas_pipeline.ingest.readers.avro import read_avro

        return read_avro(stream, compression, meter)
    if format == "workbook":
        from atlas_pipeline.ingest.readers.workbook import read_workbook

        return read_workbook(stream, compression, options, meter)
    source = decompressed(stream, compression, meter)
    if format == "json":
        from atlas_pipeline.ingest.readers.json_array import as_lines

        return read_jsonl(as_lines(source, options.records), block_bytes, options.shape)
    if format == "jsonl":
        return read_jsonl(source, block_bytes, options.shape)
    csv = options.csv
    if options.fixed_width:
        from atlas_pipeline.ingest.readers.fixed_width import read_fixed_width

        return read_fixed_width(source, options.fixed_width, csv, block_bytes)
    return read_csv(source, csv if format != "tsv" or csv.delimiter else replace(csv, delimiter="\t"), block_bytes)
