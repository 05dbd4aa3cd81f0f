"""Lines whose fields have fixed positions, to batches: each field cut out and trimmed.

Belongs here: positions, and lines that do not fit them. Does not belong here: encodings and lines that are left out
(`csv_options.py`).
"""

import codecs
import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.ingest.batch import Batch, FileRefused, Reject
from atlas_pipeline.ingest.readers import text
from atlas_pipeline.ingest.readers.compression import Source
from atlas_pipeline.ingest.readers.csv_options import CsvOptions, arranged, decoded
from atlas_pipeline.ingest.readers.lines import lines_array

_POSITIONS = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")
Field = tuple[str, int, int]
"""Name, first and last position, from 1."""


def fields_of(positions: dict[str, str]) -> tuple[Field, ...]:
    """The fields of a declaration, `{id: 1-6, name: 7-26}`. Raises ValueError, saying what was expected."""
    found: list[Field] = []
    for name, written in positions.items():
        match = _POSITIONS.fullmatch(str(written).strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last:
            raise ValueError(f"fixed_width of {name!r} is {written!r}: expected positions from 1, such as 7-26")
        found.append((name, first, last))
    return tuple(found)


def read_fixed_width(
    source: Source, fields: tuple[Field, ...], options: CsvOptions, block_bytes: int
) -> Iterator[Batch]:
    """Yield the rows of a file of fixed positions, which count characters; a field of spaces is null.

    Args:
        source: the file's bytes.
        fields: name and positions of each column.
        options: encoding, and lines that are left out.
        block_bytes: about how much text becomes one batch.

    Raises:
        FileRefused: as `readers.read` says.
    """
    marked = source.peek(3) == codecs.BOM_UTF8
    plain = options.encoding and not marked
    source = decoded(source, options.encoding) if plain else text.as_utf8(source, "fixed-width text")
    source = arranged(source, options)
    rest, line, found = b"", 1, False
    while data := source.read(max(block_bytes, len(rest))):
        rest += data
        size = rest.rfind(b"\n") + 1
        if size:
            batch = _batch(rest[:size].split(b"\n")[:-1], line, fields)
            found |= bool(len(batch.lines) or batch.rejects)
            yield batch
            line += rest.count(b"\n", 0, size)
            rest = rest[size:]
        elif len(rest) > text.MAX_LINE_BYTES:
            found = True
            yield Batch(_table([], fields), lines_array(np.empty(0, np.int64)), [text.line_too_long(rest, line)])
            rest, line = text.after_line(source, block_bytes), line + 1
    if rest.strip():
        found = True
        yield _batch([rest], line, fields)
    if not found:
        raise FileRefused("empty", "The file is empty. Lines of fixed positions were expected.")


def _batch(lines: list[bytes], first: int, fields: tuple[Field, ...]) -> Batch:
    rejects: list[Reject] = []
    texts: list[str] = []
    numbers: list[int] = []
    end = max(last for _, _, last in fields)
    for number, raw in enumerate(lines, first):
        raw = raw.removesuffix(b"\r")
        if not raw.strip():
            continue
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            rule, reason = "encoding", "The line is not valid UTF-8. Save the file as UTF-8, or declare its `encoding`."
        else:
            if "\0" in line:
                rule, reason = "nul_byte", "The line holds a NUL byte, which no text may. Remove it."
            elif line[end:].strip():
                rule, reason = "too_many_fields", f"The line goes on after position {end:,}, where the last field ends."
            else:
                texts.append(line)
                numbers.append(number)
                continue
        rejects.append(Reject(number, rule, reason, raw[: text.RAW_KEPT_BYTES]))
    return Batch(_table(texts, fields), lines_array(np.array(numbers, np.int64)), rejects)


def _table(lines: list[str], fields: tuple[Field, ...]) -> pa.Table:
    whole = pa.array(lines, pa.string())
    columns = []
    for _, first, last in fields:
        cut = pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(whole, first - 1, last))
        columns.append(pc.if_else(pc.equal(cut, ""), pa.scalar(None, pa.string()), cut))
    return pa.table(columns, schema=pa.schema([(name, pa.string()) for name, _, _ in fields]))
