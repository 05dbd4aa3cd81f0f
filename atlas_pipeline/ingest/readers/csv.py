"""CSV and TSV to batches: the header, blocks of whole records, rows by Arrow, and the rows that cannot be rows.

Belongs here: turning a text source into `Batch`es. Does not belong here: where records end and what quotes mean
(`csv_records.py`), encodings (`text.py`), the rules of column names (`columns.py`).
"""

import codecs
import csv
import re
from collections.abc import Iterator
from itertools import count

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from atlas_pipeline.ingest.batch import Batch, FileRefused, Reject
from atlas_pipeline.ingest.readers import text
from atlas_pipeline.ingest.readers.columns import check_names
from atlas_pipeline.ingest.readers.compression import Source
from atlas_pipeline.ingest.readers.csv_escapes import LINE_BREAK
from atlas_pipeline.ingest.readers.csv_options import CsvOptions, arranged, decoded, separator_line
from atlas_pipeline.ingest.readers.csv_records import MAX_MULTILINE_BYTES, Dialect, Fault, Layout, Positions
from atlas_pipeline.ingest.readers.lines import lines_array

Mask = NDArray[np.bool_]

_ENCODING = ("encoding", "The line is not valid UTF-8. Save the file as UTF-8.")
_NUL = ("nul_byte", "The line holds a NUL byte, which no text may. Remove it.")
_MAX_RECORDS = 1 << 16
_DECODED_BYTES = 1 << 12
_LONE_CR = re.compile(rb"\r(?!\n)")
_SWAP = bytes.maketrans(b"\r\n", b"\n\r")
_SWAP_QUOTES = bytes.maketrans(b"\"'", b"'\"")
_OTHER_QUOTE = str.maketrans("\"'", "'\"")


def read_csv(source: Source, options: CsvOptions, block_bytes: int) -> Iterator[Batch]:
    """Yield the rows of a CSV file in batches of about `block_bytes` of text, at most 65,536 records.

    Memory is bounded by a few blocks, or by the longest line (up to 64 MiB) where that is larger. Raises FileRefused as
    `readers.read` says.
    """
    marked = source.peek(3) == codecs.BOM_UTF8
    source = decoded(source, options.encoding) if options.encoding and not marked else text.as_utf8(source, "CSV")
    head = source.peek(text.HEAD_BYTES)
    dialect = Dialect(options.delimiter or separator_line(head) or ",")
    source = arranged(source, options, dialect.delimiter)
    # Line ends of old Mac files: read with CR and LF changed places, and put back in what is handed out.
    swapped = b"\r" in head and b"\n" not in head
    if swapped:
        plain = source
        source = Source(lambda size: plain.read(size).translate(_SWAP))
    escaped = options.escape is not None
    if options.names:
        names, block, line = list(options.names), b"", 1
    else:
        names, block, line = _header(source, dialect, block_bytes)
        block, line = _below(source, block, line, options.skip_below, block_bytes)
    names = [_requoted(name, options.quote) for name in names]
    if escaped:
        names = [name.replace(LINE_BREAK.decode(), "\n") for name in names]
    parser = _Parser(names, dialect, swapped, options.quote, escaped=escaped)
    found, last = False, False
    while not last:
        data = source.read(text.more_bytes(block, block_bytes))
        last = not data
        block = _ended(block) if last else block + data
        layout = dialect.layout(block, len(names), last)
        for piece, records, newlines in _pieces(block, layout):
            batch = parser.parse(piece, records, line, newlines)
            line += newlines
            if len(batch.lines) or batch.rejects:
                found = True
                yield batch
        block = block[layout.size :]
        if not layout.size and len(block) > text.MAX_LINE_BYTES:
            found = True
            yield parser.too_long(block, line)
            block, line = text.after_line(source, block_bytes), line + 1
    if not found:
        raise FileRefused("header_only", "The file has a header and no rows. Send it with its rows, or not at all.")


def _header(source: Source, dialect: Dialect, block_bytes: int) -> tuple[list[str], bytes, int]:
    """Return the column names, what was read beyond them, and the number of the line after them."""
    block, line, last = b"", 1, False
    while True:
        while (end := block.find(b"\n")) >= 0 and not block[:end].strip():
            block, line = block[end + 1 :], line + 1
        if last and not block.strip():
            raise FileRefused("empty", "The file is empty. A header row and rows were expected.")
        scan = dialect.scan(block, 0, min(len(block), MAX_MULTILINE_BYTES)) if block else None
        if scan is not None:
            header, line = block[: scan.end], line + block.count(b"\n", 0, scan.end + 1)
            return _names(header, dialect), block[scan.end + 1 :], line
        if last or len(block) > MAX_MULTILINE_BYTES:
            if b"\0" in block:
                raise text.looks_binary("CSV")
            raise _bad_header("it does not end, as a quote in it is not closed or it is longer than 1 MiB")
        data = source.read(max(block_bytes, len(block)))
        last = not data
        block = _ended(block) if last else block + data


def _below(source: Source, block: bytes, line: int, count: int, block_bytes: int) -> tuple[bytes, int]:
    """What was read beyond `count` lines that are not blank, and the number of the line after them."""
    while count:
        end = block.find(b"\n") + 1
        if not end:
            data = source.read(block_bytes)
            if not data:
                return b"", line
            block += data
            continue
        count -= bool(block[:end].strip())
        block, line = block[end:], line + 1
    return block, line


def _names(header: bytes, dialect: Dialect) -> list[str]:
    if b"\0" in header:
        raise text.looks_binary("CSV")
    try:
        decoded = header.decode("utf-8")
    except UnicodeDecodeError:
        raise FileRefused(
            "encoding", "The header row is not valid UTF-8. Save the file as UTF-8 and send it again."
        ) from None
    try:
        names = [name.strip() for name in next(csv.reader([decoded], delimiter=dialect.delimiter))]
    except csv.Error:
        raise _bad_header("a carriage return stands alone within it, or a name in it is far too long") from None
    check_names(names)
    return names


def _requoted(text: str, quote: str) -> str:
    """A text as the file has it: files with another quote are read with both quotes changed places."""
    return text if quote == '"' else text.translate(_OTHER_QUOTE)


def _bad_header(wrong: str) -> FileRefused:
    return FileRefused(
        "bad_header", f"The header row cannot be read: {wrong}. The first line must hold the names of the columns."
    )


def _ended(block: bytes) -> bytes:
    return block if not block or block.endswith(b"\n") else block + b"\n"


def _pieces(block: bytes, layout: Layout) -> Iterator[tuple[bytes, Layout, int]]:
    """Yield the complete records of a block and their lines' number, in pieces if many: each may become an object."""
    whole = block[: layout.size]
    newlines = whole.count(b"\n")
    if newlines <= _MAX_RECORDS:
        if whole:
            yield whole, layout, newlines
        return
    ends = _newlines(whole) if layout.ends is None else layout.ends
    start = 0
    for first in range(0, len(ends), _MAX_RECORDS):
        some = ends[first : first + _MAX_RECORDS]
        stop = int(some[-1]) + 1
        faults = {at - start: fault for at, fault in layout.faults.items() if start <= at < stop}
        records = Layout(stop - start, None if layout.ends is None else some - start, faults)
        yield whole[start:stop], records, whole.count(b"\n", start, stop)
        start = stop


class _Parser:
    """Turns blocks of whole records into batches."""

    def __init__(self, names: list[str], dialect: Dialect, swapped: bool, quote: str, *, escaped: bool = False):
        self._escaped = escaped
        self._names = names
        self._dialect = dialect
        self._quote = quote
        self._swapped = swapped
        self._schema = pa.schema([(name, pa.string()) for name in names])
        self._convert = arrow_csv.ConvertOptions(
            check_utf8=False,  # the whole block is checked before
            column_types=self._schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )

    def parse(self, block: bytes, layout: Layout, first_line: int, newlines: int) -> Batch:
        """Return the batch of a block of `newlines` lines, the first of them being line `first_line`."""
        ends, faults = layout.ends, dict(layout.faults)
        if ends is not None:
            ends, faults = self._break_up(block, ends, faults, _too_long_records(block, ends))
        if b"\0" in block or not _is_utf8(block):
            ends = _newlines(block) if ends is None else ends
            faults |= _byte_faults(block, ends)
        if not faults and ends is None:
            lines = lines_array(np.arange(first_line, first_line + newlines, dtype=np.int64))
            if self._is_plain(block):
                return Batch.of_lines(tuple(self._names), block, lines)
            table, wrong = self._rows(block)
            if not wrong and table.num_rows == newlines:
                return Batch(table, lines)
        ends = _newlines(block) if ends is None else ends
        while True:
            starts = _starts(ends)
            kept = np.isin(starts, np.fromiter(faults, np.intp, len(faults)), invert=True) if faults else None
            whole = block if kept is None else _joined(block, starts, ends, kept)
            table, wrong = self._rows(whole)
            candidates = np.flatnonzero(~_blank(block, starts, ends) & (True if kept is None else kept))
            wrong_at = {int(candidates[number - 1]): fields for number, fields in wrong.items()}
            multiline = [i for i in wrong_at if b"\n" in block[starts[i] : ends[i]]]
            if not multiline:
                break
            ends, faults = self._break_up(block, ends, faults, np.array(multiline, np.intp))
        for i, fields in wrong_at.items():
            faults[int(starts[i])] = self._count_fault(fields)
        numbers = first_line + np.searchsorted(_newlines(block), starts)
        rows = np.setdiff1d(candidates, np.fromiter(wrong_at, np.intp, len(wrong_at)), assume_unique=True)
        rejects = []
        at = np.searchsorted(starts, np.sort(np.fromiter(faults, np.intp, len(faults))))
        for start, end, number in zip(starts[at].tolist(), ends[at].tolist(), numbers[at].tolist(), strict=True):
            raw = block[start:end].removesuffix(b"\r")[: text.RAW_KEPT_BYTES]
            rejects.append(Reject(number, *faults[start], self._as_sent(raw)))
        return Batch(table, lines_array(numbers[rows].astype(np.int64)), rejects)

    def _is_plain(self, block: bytes) -> bool:
        """Tell whether the lines of a block are minimal CSV as they stand: no quotes, and fields as the header has."""
        separators = len(self._names) - 1
        if self._dialect.delimiter != "," or not separators or b"\r" in block or b'"' in block:
            return False
        if (self._quote != '"' and b"'" in block) or (self._escaped and LINE_BREAK in block):
            return False
        ends = _newlines(block)
        commas = np.flatnonzero(np.frombuffer(block, np.uint8) == 0x2C)
        if len(commas) != separators * len(ends):
            return False
        of_line = commas.reshape(-1, separators)
        return bool((of_line[:, -1] < ends).all() and (of_line[1:, 0] > ends[:-1]).all())

    def too_long(self, block: bytes, line: int) -> Batch:
        """Return the batch of one reject for a line longer than the bound, whose beginning is `block`."""
        reject = text.line_too_long(self._as_sent(block[: text.RAW_KEPT_BYTES]), line)
        return Batch(self._schema.empty_table(), lines_array(np.empty(0, np.int64)), [reject])

    def _rows(self, block: bytes) -> tuple[pa.Table, dict[int, int]]:
        """Parse records; return the rows, and by 1-based record number the field count of the ones that do not fit."""
        if not block:
            return self._schema.empty_table(), {}
        # Arrow takes a lone CR for a line end: such a CR is data here, so something stands in for it while parsing.
        stand_in = None
        if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
            stand_in = _unused(block)
            block = _LONE_CR.sub(stand_in, block)
        wrong: dict[int, int] = {}

        def skip(row: arrow_csv.InvalidRow) -> str:
            wrong[row.number] = row.actual_columns
            return "skip"

        table = arrow_csv.read_csv(
            pa.BufferReader(block),
            read_options=arrow_csv.ReadOptions(
                column_names=self._names, use_threads=False, block_size=max(len(block) + 1, 1 << 10)
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self._dialect.delimiter, newlines_in_values=b'"' in block, invalid_row_handler=skip
            ),
            convert_options=self._convert,
        )
        if stand_in is not None:
            table = _replaced(table, stand_in, b"\r")
        if self._swapped and (stand_in is not None or b'"' in block):
            token = _unused(block)
            table = _replaced(_replaced(_replaced(table, b"\n", token), b"\r", b"\n"), token, b"\r")
        if self._escaped and LINE_BREAK in block:
            table = _replaced(table, LINE_BREAK, b"\n")
        if self._quote != '"' and (b'"' in block or b"'" in block):
            token = _unused(block)
            table = _replaced(_replaced(_replaced(table, b"'", token), b'"', b"'"), token, b'"')
        return table, wrong

    def _break_up(
        self, block: bytes, ends: Positions, faults: dict[int, Fault], which: Positions
    ) -> tuple[Positions, dict[int, Fault]]:
        """Make a record of its own of each physical line of the records `which` (indices)."""
        if not len(which):
            return ends, faults
        starts = _starts(ends)
        inner: list[int] = []
        faults = dict(faults)
        for i in which:
            start, stop = int(starts[i]), int(ends[i])
            while start <= stop:
                end = block.index(b"\n", start)
                fault = self._dialect.line_fault(block, start, end)
                if fault is not None:
                    faults[start] = fault
                inner.append(end)
                start = end + 1
        return np.union1d(ends, np.array(inner, np.intp)), faults

    def _count_fault(self, fields: int) -> Fault:
        rule = "too_many_fields" if fields > len(self._names) else "too_few_fields"
        return (
            rule,
            f"The line has {fields:,} fields and the header {len(self._names):,}. Quote values that hold the "
            "delimiter, and give every column a field.",
        )

    def _as_sent(self, raw: bytes) -> bytes:
        raw = raw.translate(_SWAP) if self._swapped else raw
        return raw if self._quote == '"' else raw.translate(_SWAP_QUOTES)


def _is_utf8(block: bytes) -> bool:
    try:
        return block.isascii() or bool(str(block, "utf-8"))
    except UnicodeDecodeError:
        return False


def _newlines(block: bytes) -> Positions:
    return np.flatnonzero(np.frombuffer(block, np.uint8) == 0x0A)


def _starts(ends: Positions) -> Positions:
    return np.concatenate((np.zeros(1, np.intp), ends[:-1] + 1))


def _blank(block: bytes, starts: Positions, ends: Positions) -> Mask:
    """Tell which records are empty lines."""
    size = ends - starts
    blank: Mask = (size == 0) | ((size == 1) & (np.frombuffer(block, np.uint8)[starts] == 0x0D))
    return blank


def _too_long_records(block: bytes, ends: Positions) -> Positions:
    """Return the indices of records over several lines that are longer than such records may be."""
    starts = _starts(ends)
    long = np.flatnonzero(ends - starts > MAX_MULTILINE_BYTES)
    return np.array([i for i in long if block.find(b"\n", starts[i], ends[i]) >= 0], np.intp)


def _byte_faults(block: bytes, ends: Positions) -> dict[int, Fault]:
    """Return the faults of records that hold NUL or are not UTF-8, by their start."""
    starts = _starts(ends)
    faults: dict[int, Fault] = {}
    view = memoryview(block)
    i = 0
    while i < len(ends):
        # An error copies what was being decoded: little at a time, lest a file in another encoding take for ever.
        after = int(np.searchsorted(ends, starts[i] + _DECODED_BYTES, side="right"))
        after = max(after, i + 1)
        begin = int(starts[i])
        try:
            str(view[begin : ends[after - 1] + 1], "utf-8")
        except UnicodeDecodeError as error:
            i = int(np.searchsorted(ends, begin + error.start))
            faults[int(starts[i])] = _ENCODING
            i += 1
        else:
            i = after
    nuls = np.flatnonzero(np.frombuffer(block, np.uint8) == 0) if b"\0" in block else np.empty(0, np.intp)
    for i in np.unique(np.searchsorted(ends, nuls)):
        faults[int(starts[i])] = _NUL
    return faults


def _joined(block: bytes, starts: Positions, ends: Positions, kept: Mask) -> bytes:
    """Return the kept records, runs of neighbours copied at once."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], kept, [False]))))
    view = memoryview(block)
    return b"".join(view[starts[first] : ends[after - 1] + 1] for first, after in edges.reshape(-1, 2))


def _unused(block: bytes) -> bytes:
    """Return valid UTF-8 that does not occur in the block and cannot straddle what does."""
    return next(token for n in count() if (token := f"\ufdd0{n}\ufdd1".encode()) not in block)


def _replaced(table: pa.Table, old: bytes, new: bytes) -> pa.Table:
    columns = [pc.replace_substring(column, old.decode(), new.decode()) for column in table.columns]
    return pa.table(columns, schema=table.schema)
